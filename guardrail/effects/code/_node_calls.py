"""Calls in code of Node that read or write a file, run a command, or ask for a page, that a literal names."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Final

from guardrail.effects.code._literals import PATH, VALUE, Walk, arguments
from guardrail.effects.code._node_express import PACKAGE, made
from guardrail.effects.code._node_modules import LOCAL, given_out, imported, taken_out, whole_module
from guardrail.effects.code._node_names import FS_CONTENTS, FS_READS, FS_WRITES, MODULES, OWN, RUN_PROGRAM, RUN_SHELL
from guardrail.effects.code._node_values import Shape, closing
from guardrail.effects.code._tokens import Token
from guardrail.patterns import lazy

_URL: Final = lazy(r"https?://[\w./:?=&%+,~-]+", re.ASCII)
_ENCODINGS: Final = frozenset("utf8 utf-8 UTF-8 ascii latin1 base64 hex".split())
_FS_OPTIONS: Final = (
    ("{", "encoding", ":", None, "}"),
    ("{", "withFileTypes", ":", "true", "}"),
    ("{", "recursive", ":", "true", "}"),
    ("{", "withFileTypes", ":", "true", ",", "recursive", ":", "true", "}"),
    ("{", "recursive", ":", "true", ",", "withFileTypes", ":", "true", "}"),
)

_MADE: Final = ((")",), (",", "{", "recursive", ":", "true", "}", ")"))
"""How a call ends that makes a directory."""

_PUBLIC: Final = frozenset(("PORT", "HOST", "NODE_ENV"))
"""Variables of the environment that hold nothing that is not told to everybody."""

_RUN_OPTIONS: Final = frozenset("encoding stdio maxBuffer timeout".split())


def node(walk: Walk, token: Token) -> bool:
    """Take out what begins here, if it is known; whether it was."""
    if token.text == "import":
        return imported(walk)
    if (token.text in ("const", "let", "var") and taken_out(walk)) or given_out(walk):
        return True
    if token.text == "fetch" and _asked(walk):
        return True
    if token.text == PACKAGE and PACKAGE in walk.found["packages"] and made(walk):
        return True
    if _on_process(walk) or _timed(walk, token) or _served(walk, token) or whole_module(walk):
        return True
    if given := walk.texts("require", "(", None, ")"):
        return _required(walk, given[0])
    if walk.texts("fs", ".", "promises", ".") is not None:
        return _on_file(walk, 4)
    if walk.texts("fs", ".") is not None:
        return _on_file(walk, 2)
    if walk.texts("child_process", ".") is not None:
        return _run(walk, 2)
    return _run(walk, 0) or _on_file(walk, 0)


def _asked(walk: Walk) -> bool:
    """`fetch("https://…", {headers: {…}})`: a page is asked for, and told nothing but what stands there."""
    given = arguments(walk)
    if not given or len(given) > 2 or len(given[0]) != 1 or given[0][0].kind != "text":
        return False
    options = given[1] if len(given) == 2 else ()
    plain = all(
        token.kind in ("text", "number") or token.text in ("{", "}", ":", ",", "headers") or following.text == ":"
        for token, following in itertools.pairwise((*options, Token("sign", ";")))
    )
    if not plain or not _URL.fullmatch(given[0][0].text) or any(token.text in ("body", "method") for token in options):
        return False
    walk.found["asks"].append(given[0][0].text)
    walk.take(2 + sum(map(len, given)) + len(given), VALUE)
    return True


def _on_process(walk: Walk) -> bool:
    """Variables of the environment, and where a module is."""
    if walk.texts("process", ".", "env", ".") is not None:
        name = walk.tokens[walk.at + 4].text if walk.at + 4 < len(walk.tokens) else ""
        walk.environment = walk.environment or name not in _PUBLIC
        walk.take(3, VALUE)
        return True
    if walk.texts("require", ".", "resolve", "(", None, ")"):
        walk.take(6, VALUE)
        return True
    return False


_TIMERS: Final = frozenset("setTimeout setInterval setImmediate".split())


def _timed(walk: Walk, token: Token) -> bool:
    """`setTimeout(() => …)` and `new Promise(done => setTimeout(done, …))`: of a function, as of a text it is code."""
    tokens = walk.tokens
    if token.text == "new" and walk.texts("new", "Promise", "(") is not None:
        begin = walk.at + 3
        bare = begin + 1 < len(tokens) and tokens[begin + 1].text == "=>"
        name = tokens[begin].text if bare else tokens[begin + 1].text if begin + 1 < len(tokens) else ""
        want = [name, "=>"] if bare else ["(", name, ")", "=>"]
        want += ["setTimeout", "(", name, ","]
        if OWN.fullmatch(name) and [one.text for one in tokens[begin : begin + len(want)]] == want:
            opened = (Token("word", "String"), Token("sign", "("))
            walk.take(3 + len(want), (*opened, *opened, *VALUE, Token("sign", ",")))
            return True
    if token.text not in _TIMERS or walk.texts(token.text, "(") is None:
        return False
    begin = walk.at + 2
    begin += begin < len(tokens) and tokens[begin] == Token("word", "async")
    following = [one.text for one in tokens[begin : begin + 2]]
    if following[:1] == ["("]:
        end = closing(tokens, begin)
        following = ["", tokens[end + 1].text if end + 1 < len(tokens) else ""]
    if following[1:] != ["=>"]:
        return False
    walk.take(2, (Token("word", "String"), Token("sign", "(")))
    return True


def _served(walk: Walk, token: Token) -> bool:
    """`http.createServer(…)`."""
    if token.text == "createServer" and walk.texts("createServer", "(") is not None:
        walk.serves = True
    if walk.texts("http", ".", "createServer", "(") is None:
        return False
    walk.serves = True
    walk.take(3, (Token("word", "createServer"),))
    return True


def _required(walk: Walk, name: str) -> bool:
    module = name.removeprefix("node:")
    if name == PACKAGE and [one.text for one in walk.rest[-2:]] == [PACKAGE, "="]:
        walk.found["packages"].append(PACKAGE)
        walk.rest[-2] = Token("word", "x")
        walk.take(4, VALUE)
        return True
    if name.endswith(".json") and name.startswith(("./", "../", "/")) and PATH.fullmatch(name):
        walk.found["reads"].append(name)
        walk.take(4, VALUE)
        return True
    if LOCAL.fullmatch(name):
        walk.found["imports"].append(name)
        walk.take(4, VALUE)
        return True
    if module in ("fs", "child_process"):
        ahead = Walk(walk.tokens)
        ahead.at = walk.at + 4
        if ahead.texts(".") is None:
            return False
        return _on_file(walk, 5) if module == "fs" else _run(walk, 5)
    if module not in MODULES:
        return False
    walk.take(4, (Token("word", module),))
    return True


def _on_file(walk: Walk, skip: int) -> bool:
    """A call of `fs` whose name stands so many tokens further on."""
    start, walk.at = walk.at, walk.at + skip
    name = walk.tokens[walk.at].text if walk.at < len(walk.tokens) else ""
    done = (name in FS_READS and (_read(walk, name) or _looked(walk, name))) or (
        name in FS_WRITES and _written(walk, name)
    )
    if not done:
        walk.at = start
    return done


def _looked(walk: Walk, name: str) -> bool:
    """A file is looked at whose name is worked out: the name has to be plain as well, and stays among the rest."""
    given = arguments(walk)
    # INVARIANT: the options are known to be none that empty a file.
    if not given or len(given) > 2 or not given[0] or given[0][0].text == "..." or not _harmless(given[1:]):
        return False
    if name in FS_CONTENTS:
        walk.reads_any = True
    else:
        walk.lists = True
    walk.take(2, (Token("word", "String"), Token("sign", "(")))
    return True


def _harmless(given: Sequence[Sequence[Token]]) -> bool:
    """The options of a call that looks at a file."""
    for words in given:
        if len(words) == 1 and words[0].kind == "text" and words[0].text in _ENCODINGS:
            continue
        texts = tuple(None if token.kind == "text" and token.text in _ENCODINGS else token.text for token in words)
        if texts not in _FS_OPTIONS:
            return False
    return True


def _run(walk: Walk, skip: int) -> bool:
    """`execSync("git log")` and `execFileSync("git", ["log"])`: a command that stands there as it is run."""
    start, walk.at = walk.at, walk.at + skip
    name = walk.tokens[walk.at].text if walk.at < len(walk.tokens) else ""
    given = arguments(walk) if name in RUN_SHELL | RUN_PROGRAM else None
    words = _command(name, given) if given else None
    if given is None or words is None:
        walk.at = start
        return False
    walk.runs.append(words)
    # The name, two parentheses, and what is between them with its commas.
    walk.take(2 + sum(map(len, given)) + len(given), VALUE)
    return True


def _command(name: str, given: Sequence[Sequence[Token]]) -> tuple[str, ...] | None:
    """The words of a command, if all of them are literal and its options are known."""
    shell = name in RUN_SHELL
    rest = list(given)
    head = _literal(rest.pop(0))
    words: list[str | None] = [head]
    if not shell and rest and rest[0] and rest[0][0].text == "[":
        inside = rest.pop(0)[1:-1]
        if any(token != Token("sign", ",") for token in inside[1::2]):
            return None
        words += [_literal((token,)) for token in inside[::2]]
    if len(rest) > 1 or not all(map(_is_run_option, rest)) or None in words:
        return None
    known = tuple(word for word in words if word is not None)
    return ("sh", "-c", *known) if shell else known


def _literal(tokens: Sequence[Token]) -> str | None:
    """A text that is no more than it seems: without escapes."""
    if len(tokens) != 1 or tokens[0].kind != "text" or "\\" in tokens[0].text:
        return None
    return tokens[0].text or None


def _is_run_option(tokens: Sequence[Token]) -> bool:
    """`{encoding: "utf8", stdio: "pipe"}`: nothing that says where, or with what, a command is run."""
    if len(tokens) < 2 or tokens[0].text != "{" or tokens[-1].text != "}" or len(tokens) % 4 not in (1, 2):
        return False
    inside = tokens[1:-1]
    for at in range(0, len(inside), 4):
        part = inside[at : at + 4]
        plain = len(part) >= 3 and part[1].text == ":" and part[2].kind in ("text", "number")
        if not plain or part[0].text not in _RUN_OPTIONS or (len(part) == 4 and part[3].text != ","):
            return False
    return True


def _read(walk: Walk, name: str) -> bool:
    # INVARIANT: the whole call is matched, since a `flag` among its options can empty the file.
    own = walk.texts(name, "(", "0") is not None and name == "readFileSync"
    given = walk.texts(name, "(", None)
    if not own and (not given or not PATH.fullmatch(given[0])):
        return False
    size = _rest_of_read(walk)
    if not size:
        return False
    if not own and given:
        walk.found["reads"].append(given[0])
    walk.take(3 + size, VALUE)
    return True


def _rest_of_read(walk: Walk) -> int:
    """How many tokens the rest of a call takes, behind the name of the file; 0 if it is not known."""
    ahead = Walk(walk.tokens)
    ahead.at = walk.at + 3
    if ahead.texts(")") is not None:
        return 1
    if (given := ahead.texts(",", None, ")")) and given[0] in _ENCODINGS:
        return 3
    for options in _FS_OPTIONS:
        given = ahead.texts(",", *options, ")")
        if given is not None and set(given) <= _ENCODINGS:
            return len(options) + 2
    return 0


def _written(walk: Walk, name: str) -> bool:
    kind = FS_WRITES[name]
    if kind == "makes":
        given = walk.texts(name, "(", None)
        end = next((end for end in _MADE if given and Walk(walk.tokens[walk.at + 3 :]).texts(*end) is not None), None)
        if not given or end is None or not PATH.fullmatch(given[0]):
            return False
        walk.found[kind].append(given[0])
        walk.take(3 + len(end), VALUE)
        return True
    given = walk.texts(name, "(", None, ",")
    if not given or not PATH.fullmatch(given[0]):
        return False
    walk.found[kind].append(given[0])
    walk.take(4, (Token("word", "String"), Token("sign", "(")))
    return True


_NUMBERED: Final = lazy(
    r"(?:(?:Number|parseInt) \( (?:process \. env \. PORT (?:\|\||\?\?) )?#(?: , 10)? \)"
    r"|(?:process \. env \. PORT (?:\|\||\?\?) )?#)(?: ;.*| [a-z].*|)"
)
"""A number, or what the environment says in its place; `#` stands for the number."""


def ports(tokens: Sequence[Token]) -> set[str]:
    """Names that are given once to a number, or to what the environment says in its place."""
    found: set[str] = set()
    if not any(token.text == "listen" for token in tokens):
        return found
    shape = Shape(tokens)
    for at in range(len(tokens) - 3):
        declared = tokens[at].text == "const" and tokens[at + 1].kind == "word" and tokens[at + 2] == _IS
        if declared and _NUMBERED.fullmatch(_numbered(tokens[at + 3 : at + 15])) and shape.fixed(tokens[at + 1].text):
            found.add(tokens[at + 1].text)
    return found


_IS: Final = Token("sign", "=")


def _numbered(tokens: Sequence[Token]) -> str:
    """Tokens as a text, with a mark for a number."""
    digits = (token.kind == "number" or (token.kind == "text" and token.text.isdecimal()) for token in tokens)
    return " ".join(
        "#" if number and token.text != "10" else token.text if token.kind in ("word", "sign", "number") else "?"
        for token, number in zip(tokens, digits, strict=True)
    )


def is_at_port(walk: Walk) -> bool:
    given = arguments(walk)
    if not given or not given[0]:
        return False
    only = given[0][-1]
    named = len(given[0]) == 1 and only.kind == "word" and only.text in walk.ports
    return named or _NUMBERED.fullmatch(_numbered(given[0])) is not None
