"""Calls of one-liners that read or write a file, or run a command, that a literal names: Node, Ruby and R.

What Node lists or reads may have a name that is worked out: it is then any file. Not an analyser of those languages:
the calls are taken out of the tokens, and what is left has to be plain.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from guardrail.effects.code._node_values import Shape, closing, settled
from guardrail.effects.code._tokens import Token
from guardrail.effects.code._words import DECLARED, INNER, NODE, NODE_GLOBALS, NODE_NAMES

_PATH: Final = re.compile(r"(?!-)[\w./~@+ -]+", re.ASCII)
_URL: Final = re.compile(r"https?://[\w./:?=&%+,~-]+", re.ASCII)
_ENCODINGS: Final = frozenset("utf8 utf-8 UTF-8 ascii latin1 base64 hex".split())
_VALUE: Final = (Token("number", "0"),)


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """What a piece of code does to files that it names.

    Args:
        rest: the tokens, with a plain value in place of each call.
        asks: addresses that are asked for what is there.
        reads: names of files that are read.
        writes: names of files that are written.
        appends: names of files that are added to.
        makes: directories that are made, with all above them.
        serves: what it computes is given to whoever asks.
        loads: names of files that may say what runs.
        imports: modules of the project that are loaded.
        runs: commands that are run, each as its words.
        lists: a file is looked at whose name is not known.
        reads_any: a file is read whose name is not known.
        environment: variables of the environment are looked at, or set.
    """

    rest: tuple[Token, ...]
    asks: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    appends: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    serves: bool = False
    loads: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    runs: tuple[tuple[str, ...], ...] = ()
    lists: bool = False
    reads_any: bool = False
    environment: bool = False


class _Walk:
    """Goes through the tokens and keeps what is left."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.rest: list[Token] = []
        self.found: dict[str, list[str]] = {
            "asks": [], "reads": [], "writes": [], "appends": [], "makes": [], "loads": [], "imports": []
        }  # fmt: skip
        self.runs: list[tuple[str, ...]] = []
        self.bound: set[str] = set()  # names that an `import` gave a meaning to, anywhere in the code
        self.ports: set[str] = set()  # names of numbers, or of what the environment says is one
        self.lists = self.reads_any = self.environment = self.serves = False

    def texts(self, *want: str | None) -> list[str] | None:
        """The literal texts among the next tokens, if these are as wanted; None stands for a text."""
        found: list[str] = []
        if len(self.tokens) < self.at + len(want):
            return None
        for token, text in zip(self.tokens[self.at :], want, strict=False):
            if text is None and token.kind == "text":
                found.append(token.text)
            elif text is None or token.kind == "text" or token.text != text:
                return None
        return found

    def take(self, count: int, instead: Sequence[Token] = ()) -> None:
        """Go on behind so many tokens, and leave others in their place."""
        self.at += count
        self.rest += instead

    def behind(self, *links: str) -> bool:
        """What comes is a member of something."""
        return bool(self.rest) and self.rest[-1].kind == "sign" and self.rest[-1].text in links


def literal_calls(
    tokens: Sequence[Token], language: str, argv: Sequence[str | None] | None = None, folder: str | None = None
) -> Calls:
    """Take the calls out of a piece of code.

    Args:
        tokens: the one-liner.
        language: `node`, `ruby`, `R`; of others there are none.
        argv: the arguments of a script of Node; None if nothing is known of them.
        folder: the directory that it is in.
    """
    if language == "node":
        tokens = settled(_renamed(tokens), argv, folder)
    walk = _Walk(tokens)
    walk.bound = _declared(tokens) if language == "node" else set()
    walk.ports = _ports(tokens) if language == "node" else set()
    step = _STEPS.get(language)
    serving = any(token.text == "createServer" for token in tokens)
    while walk.at < len(tokens):
        token = tokens[walk.at]
        if token.text == "listen" and serving and not (walk.behind(".", "?.") and _is_at_port(walk)):
            token = Token("word", "constructor")  # a server may also listen at the path of a file
        if step is None or token.kind != "word" or walk.behind(".", "?.", "&.", "$", "::") or not step(walk, token):
            walk.take(1, (token,))
    return Calls(
        rest=tuple(_unbound(walk)),
        runs=tuple(walk.runs),
        lists=walk.lists,
        reads_any=walk.reads_any,
        environment=walk.environment,
        serves=walk.serves,
        **{kind: tuple(names) for kind, names in walk.found.items()},
    )


_NUMBERED: Final = re.compile(
    r"(?:(?:Number|parseInt) \( (?:process \. env \. PORT (?:\|\||\?\?) )?#(?: , 10)? \)"
    r"|(?:process \. env \. PORT (?:\|\||\?\?) )?#)(?: ;.*| [a-z].*|)"
)
"""A number, or what the environment says in its place; `#` stands for the number."""


def _ports(tokens: Sequence[Token]) -> set[str]:
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


def _is_at_port(walk: _Walk) -> bool:
    given = _arguments(walk)
    if not given or not given[0]:
        return False
    only = given[0][-1]
    named = len(given[0]) == 1 and only.kind == "word" and only.text in walk.ports
    return named or _NUMBERED.fullmatch(_numbered(given[0])) is not None


def _unbound(walk: _Walk) -> Iterator[Token]:
    """What is left, with a plain name in place of each that was imported: a module cannot mean another thing by it."""
    behind = False
    for token in walk.rest:
        bound = token.kind == "word" and token.text in walk.bound and not behind
        yield Token("word", DECLARED) if bound else token
        behind = token.kind == "sign" and token.text in (".", "?.")


# -- Node

_OWN: Final = re.compile(r"[a-z][A-Za-z0-9]*")
_MEANING: Final = NODE_GLOBALS | NODE | INNER
_ALIASED: Final[Mapping[str, str]] = {
    "fs": "fs",
    "fs/promises": "fs",
    "path": "path",
    "os": "os",
    "child_process": "child_process",
    "http": "http",
    "readline": "readline",
}
"""Modules, and the names by which their members are known here."""


def _is_own(token: Token) -> bool:
    """A name that means nothing unless the program declares it."""
    return token.kind == "word" and _OWN.fullmatch(token.text) is not None and token.text not in _MEANING


def _declared(tokens: Sequence[Token]) -> set[str]:
    """Names that the program gives a meaning to and that have none of their own, besides those that are known.

    It does not matter where: what one of them means is either what plain code gave it, or nothing.
    """
    found: set[str] = set()
    for at, token in enumerate(tokens[:-1]):
        following = tokens[at + 1]
        if token.kind == "word" and token.text in ("const", "let", "var", "function"):
            found |= {following.text} if _is_own(following) else _listed(tokens, at + 1)
        elif token == Token("sign", "=>") and at:
            found |= {tokens[at - 1].text} if _is_own(tokens[at - 1]) else _parameters(tokens, at)
        if token.text == "function" and at + 2 < len(tokens) and tokens[at + 2].text == "(":
            found |= _listed(tokens, at + 2)
    # INVARIANT: what a call here is known by is no name of the program's, since a module may have given it.
    return found - NODE_NAMES - _FS_READS - frozenset(_FS_WRITES) - _OTHER_CALLS - _RUN_SHELL - _RUN_PROGRAM


def _parameters(tokens: Sequence[Token], arrow: int) -> set[str]:
    begin = next((at for at in range(arrow - 1, max(arrow - 20, -1), -1) if tokens[at].text == "("), None)
    return _listed(tokens, begin) if begin is not None and tokens[arrow - 1].text == ")" else set()


def _listed(tokens: Sequence[Token], begin: int) -> set[str]:
    """Names between brackets, one after the other."""
    found: set[str] = set()
    at = begin + 1
    while tokens[begin].text in ("(", "[", "{") and at + 1 < min(begin + 40, len(tokens)):
        at += tokens[at].text == "..."
        if at + 1 >= len(tokens) or not _is_own(tokens[at]):
            break
        found.add(tokens[at].text)
        if tokens[at + 1].text != ",":
            break
        at += 2
    return found


def _renamed(tokens: Sequence[Token]) -> Sequence[Token]:
    """The tokens with the names of modules that are called otherwise: `p = require("path")` is `path`."""
    names: dict[str, str] = {}
    for at, token in enumerate(tokens):
        module = token.text.removeprefix("node:") if token.kind == "text" else ""
        if module not in _ALIASED or at < 2:
            continue
        before = [one.text for one in tokens[max(at - 4, 0) : at]]
        name = tokens[at - 4] if at > 4 and before[1:] == ["=", "require", "("] else tokens[at - 2]
        imported = before[-1:] == ["from"] and before[-3:-2] in (["import"], ["as"])
        if (name is not tokens[at - 2] or imported) and _is_own(name):
            names[name.text] = _ALIASED[module]
    if not names:
        return tokens
    found: list[Token] = []
    for token in tokens:
        member = bool(found) and found[-1].kind == "sign" and found[-1].text in (".", "?.")
        named = token.kind == "word" and not member and token.text in names
        found.append(Token("word", names[token.text]) if named else token)
    return found


_MODULES: Final = frozenset("fs os path".split())
_FS_CONTENTS: Final = frozenset("readFileSync readFile createReadStream".split())
_FS_READS: Final = _FS_CONTENTS | frozenset(
    "readdirSync statSync lstatSync existsSync readdir stat lstat access".split()
)
_FS_WRITES: Final = {
    "writeFileSync": "writes",
    "appendFileSync": "appends",
    "writeFile": "writes",
    "appendFile": "appends",
    "mkdirSync": "makes",
    "mkdir": "makes",
}
_FS: Final = _FS_READS | frozenset(_FS_WRITES)
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

_TESTING: Final = frozenset("test describe it suite before after beforeEach afterEach assert expect strict".split())
_OTHER_CALLS: Final = frozenset("createServer createInterface fileURLToPath".split())
_PATHS: Final = frozenset("join basename dirname extname relative".split())
_RUN_SHELL: Final = frozenset(("execSync",))
_RUN_PROGRAM: Final = frozenset(("execFileSync", "spawnSync"))
_GIVING: Final[Mapping[str, frozenset[str]]] = {
    "fs": _FS,
    "fs/promises": _FS,
    "path": _PATHS,
    "url": frozenset(("fileURLToPath",)),
    "http": frozenset(("createServer",)),
    "readline": frozenset(("createInterface",)),
    "child_process": _RUN_SHELL | _RUN_PROGRAM,
    "crypto": frozenset(("createHash", "randomUUID")),
    "test": _TESTING,
    "assert": _TESTING,
    "assert/strict": _TESTING,
    "vitest": _TESTING,
    "@jest/globals": _TESTING,
}
"""Modules, and what may be taken out of each by its name."""

_KNOWN: Final = _FS | _OTHER_CALLS | _RUN_SHELL | _RUN_PROGRAM | frozenset(_ALIASED.values())
"""Names by which a call is known, which a module of the project must not give to another function."""

_LOCAL: Final = re.compile(r"\.{1,2}/[\w./-]+", re.ASCII)
_RUN_OPTIONS: Final = frozenset("encoding stdio maxBuffer timeout".split())


def _node(walk: _Walk, token: Token) -> bool:
    if token.text == "import":
        return _imported(walk)
    if (token.text in ("const", "let", "var") and _taken_out(walk)) or _given_out(walk):
        return True
    if token.text == "fetch" and _asked(walk):
        return True
    if _on_process(walk) or _timed(walk, token) or _served(walk, token) or _whole_module(walk):
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


def _asked(walk: _Walk) -> bool:
    """`fetch("https://…", {headers: {…}})`: a page is asked for, and told nothing but what stands there."""
    given = _arguments(walk)
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
    walk.take(2 + sum(map(len, given)) + len(given), _VALUE)
    return True


def _on_process(walk: _Walk) -> bool:
    """Variables of the environment, and where a module is."""
    if walk.texts("process", ".", "env", ".") is not None:
        name = walk.tokens[walk.at + 4].text if walk.at + 4 < len(walk.tokens) else ""
        walk.environment = walk.environment or name not in _PUBLIC
        walk.take(3, _VALUE)
        return True
    if walk.texts("require", ".", "resolve", "(", None, ")"):
        walk.take(6, _VALUE)
        return True
    return False


_TIMERS: Final = frozenset("setTimeout setInterval setImmediate".split())


def _timed(walk: _Walk, token: Token) -> bool:
    """`setTimeout(() => …)` and `new Promise(done => setTimeout(done, …))`: of a function, as of a text it is code."""
    tokens = walk.tokens
    if token.text == "new" and walk.texts("new", "Promise", "(") is not None:
        begin = walk.at + 3
        bare = begin + 1 < len(tokens) and tokens[begin + 1].text == "=>"
        name = tokens[begin].text if bare else tokens[begin + 1].text if begin + 1 < len(tokens) else ""
        want = [name, "=>"] if bare else ["(", name, ")", "=>"]
        want += ["setTimeout", "(", name, ","]
        if _OWN.fullmatch(name) and [one.text for one in tokens[begin : begin + len(want)]] == want:
            opened = (Token("word", "String"), Token("sign", "("))
            walk.take(3 + len(want), (*opened, *opened, *_VALUE, Token("sign", ",")))
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


def _served(walk: _Walk, token: Token) -> bool:
    """`http.createServer(…)`."""
    if token.text == "createServer" and walk.texts("createServer", "(") is not None:
        walk.serves = True
    if walk.texts("http", ".", "createServer", "(") is None:
        return False
    walk.serves = True
    walk.take(3, (Token("word", "createServer"),))
    return True


def _whole_module(walk: _Walk) -> bool:
    """`fs = require("fs")`, also with `.promises` behind it: a module under the name by which it is known here."""
    for module in (*_MODULES, *_WHOLE):
        if given := walk.texts(module, "=", "require", "(", None, ")"):
            named = given[0].removeprefix("node:")
            if named != _WHOLE.get(module, module) and (module, named) != ("fs", "fs/promises"):
                return False
            ahead = _Walk(walk.tokens)
            ahead.at = walk.at + 6
            promised = module == "fs" and ahead.texts(".", "promises") is not None
            walk.take(8 if promised else 6, (Token("word", "x"), Token("sign", "="), *_VALUE))
            return True
    return False


_WHOLE: Final[Mapping[str, str]] = {
    "child_process": "child_process",
    "crypto": "crypto",
    "http": "http",
    "readline": "readline",
    "test": "test",
    "assert": "assert",
}
"""Names that modules are given, besides those of the same name."""


def _required(walk: _Walk, name: str) -> bool:
    module = name.removeprefix("node:")
    if name.endswith(".json") and name.startswith(("./", "../", "/")) and _PATH.fullmatch(name):
        walk.found["reads"].append(name)
        walk.take(4, _VALUE)
        return True
    if _LOCAL.fullmatch(name):
        walk.found["imports"].append(name)
        walk.take(4, _VALUE)
        return True
    if module in ("fs", "child_process"):
        ahead = _Walk(walk.tokens)
        ahead.at = walk.at + 4
        if ahead.texts(".") is None:
            return False
        return _on_file(walk, 5) if module == "fs" else _run(walk, 5)
    if module not in _MODULES:
        return False
    walk.take(4, (Token("word", module),))
    return True


def _taken_out(walk: _Walk) -> bool:
    """`const {readFileSync, …} = require("fs")`: names stay what they are."""
    tokens = walk.tokens
    end = next((i for i in range(walk.at, min(walk.at + 40, len(tokens))) if tokens[i] == Token("sign", "}")), None)
    if end is None or tokens[walk.at + 1] != Token("sign", "{"):
        return False
    ahead = _Walk(tokens)
    ahead.at = end + 1
    given = ahead.texts("=", "require", "(", None, ")")
    if given in (["fs"], ["node:fs"]) and walk.texts(tokens[walk.at].text, "{", "promises", ":", "fs", "}") is not None:
        walk.take(end + 6 - walk.at, (Token("word", "const"), Token("word", "x"), Token("sign", "="), *_VALUE))
        return True
    names = _names(tokens[walk.at + 2 : end])
    if not given or names is None:
        return False
    if _LOCAL.fullmatch(given[0]) and not given[0].endswith(".json"):
        if names & _KNOWN:
            return False
        walk.found["imports"].append(given[0])
        walk.bound |= names
    elif not names <= _GIVING.get(given[0].removeprefix("node:"), frozenset()):
        return False
    walk.take(end + 6 - walk.at, (Token("word", "const"), Token("word", "x"), Token("sign", "="), *_VALUE))
    return True


def _given_out(walk: _Walk) -> bool:
    """`module.exports = …` and `exports.name = …`: a name for those that load the module."""
    ahead = _Walk(walk.tokens)
    ahead.at = walk.at + 2 * (walk.texts("module", ".") is not None)
    count = ahead.at - walk.at + 1
    if ahead.texts("exports", "=") is None:
        name = walk.tokens[walk.at + count + 1] if walk.at + count + 1 < len(walk.tokens) else Token("sign", ";")
        if name.kind != "word" or name.text in INNER or ahead.texts("exports", ".", name.text, "=") is None:
            return False
        count += 2
    walk.take(count, (Token("word", "x"),))
    return True


def _names(tokens: Sequence[Token]) -> set[str] | None:
    """Names between braces, none of them with another name; None for anything else."""
    if any(token.text != "," if i % 2 else token.kind != "word" for i, token in enumerate(tokens)):
        return None
    return {token.text for token in tokens[::2]}


def _imported(walk: _Walk) -> bool:
    """`import {readFileSync, …} from "fs"`, and `import fs from "fs"`: names stay what they are."""
    end = next((i for i in range(walk.at, len(walk.tokens)) if walk.tokens[i] == Token("word", "from")), None)
    if end is None or end + 1 >= len(walk.tokens) or walk.tokens[end + 1].kind != "text":
        return False
    given = walk.tokens[end + 1].text
    module = given.removeprefix("node:")
    names = list(walk.tokens[walk.at + 1 : end])
    if module == "fs" and [token.text for token in names] == ["{", "promises", "as", "fs", "}"]:
        names = [Token("word", "fs")]
    if [token.text for token in names[:2]] == ["*", "as"]:
        names = names[2:]
    default = names.pop(0) if names and names[0].kind == "word" else None
    if default is not None and names and names.pop(0).text != ",":
        return False
    inner: set[str] | None = set()
    if names:
        braced = len(names) > 2 and names[0].text == "{" and names[-1].text == "}"
        inner = _names(names[1:-1]) if braced else None
    if inner is None:
        return False
    if _LOCAL.fullmatch(given):
        if (inner | ({default.text} if default is not None else set())) & _KNOWN:
            return False
        walk.found["imports"].append(given)
        walk.bound |= inner | ({default.text} if default is not None else set())
    elif not inner <= _GIVING.get(module, frozenset()) or not (default is None or _is_default(default.text, module)):
        return False
    walk.take(end + 2 - walk.at, ())
    return True


def _is_default(name: str, module: str) -> bool:
    """A module as a whole, under the name by which its members are known here."""
    whole = name in _MODULES and name == module
    whole = whole or (name, module) == ("fs", "fs/promises")
    return whole or _WHOLE.get(name) == module or (name == "assert" and module == "assert/strict")


def _on_file(walk: _Walk, skip: int) -> bool:
    """A call of `fs` whose name stands so many tokens further on."""
    start, walk.at = walk.at, walk.at + skip
    name = walk.tokens[walk.at].text if walk.at < len(walk.tokens) else ""
    done = (name in _FS_READS and (_read(walk, name) or _looked(walk, name))) or (
        name in _FS_WRITES and _written(walk, name)
    )
    if not done:
        walk.at = start
    return done


def _arguments(walk: _Walk) -> list[Sequence[Token]] | None:
    """What a call that begins here is given, at its commas; None if that is not clear."""
    tokens = walk.tokens
    if walk.at + 1 >= len(tokens) or tokens[walk.at + 1] != Token("sign", "("):
        return None
    depth, begin = 0, walk.at + 2
    found: list[Sequence[Token]] = []
    for at in range(begin, len(tokens)):
        token = tokens[at]
        if token.kind != "sign":
            continue
        if depth == 0 and token.text in (",", ")"):
            found.append(tokens[begin:at])
            begin = at + 1
            if token.text == ")":
                return found
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
    return None


def _looked(walk: _Walk, name: str) -> bool:
    """A file is looked at whose name is worked out: the name has to be plain as well, and stays among the rest."""
    given = _arguments(walk)
    # INVARIANT: the options are known to be none that empty a file.
    if not given or len(given) > 2 or not given[0] or given[0][0].text == "..." or not _harmless(given[1:]):
        return False
    if name in _FS_CONTENTS:
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


def _run(walk: _Walk, skip: int) -> bool:
    """`execSync("git log")` and `execFileSync("git", ["log"])`: a command that stands there as it is run."""
    start, walk.at = walk.at, walk.at + skip
    name = walk.tokens[walk.at].text if walk.at < len(walk.tokens) else ""
    given = _arguments(walk) if name in _RUN_SHELL | _RUN_PROGRAM else None
    words = _command(name, given) if given else None
    if given is None or words is None:
        walk.at = start
        return False
    walk.runs.append(words)
    # The name, two parentheses, and what is between them with its commas.
    walk.take(2 + sum(map(len, given)) + len(given), _VALUE)
    return True


def _command(name: str, given: Sequence[Sequence[Token]]) -> tuple[str, ...] | None:
    """The words of a command, if all of them are literal and its options are known."""
    shell = name in _RUN_SHELL
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


def _read(walk: _Walk, name: str) -> bool:
    # INVARIANT: the whole call is matched, since a `flag` among its options can empty the file.
    own = walk.texts(name, "(", "0") is not None and name == "readFileSync"
    given = walk.texts(name, "(", None)
    if not own and (not given or not _PATH.fullmatch(given[0])):
        return False
    size = _rest_of_read(walk)
    if not size:
        return False
    if not own and given:
        walk.found["reads"].append(given[0])
    walk.take(3 + size, _VALUE)
    return True


def _rest_of_read(walk: _Walk) -> int:
    """How many tokens the rest of a call takes, behind the name of the file; 0 if it is not known."""
    ahead = _Walk(walk.tokens)
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


def _written(walk: _Walk, name: str) -> bool:
    kind = _FS_WRITES[name]
    if kind == "makes":
        given = walk.texts(name, "(", None)
        end = next((end for end in _MADE if given and _Walk(walk.tokens[walk.at + 3 :]).texts(*end) is not None), None)
        if not given or end is None or not _PATH.fullmatch(given[0]):
            return False
        walk.found[kind].append(given[0])
        walk.take(3 + len(end), _VALUE)
        return True
    given = walk.texts(name, "(", None, ",")
    if not given or not _PATH.fullmatch(given[0]):
        return False
    walk.found[kind].append(given[0])
    walk.take(4, (Token("word", "String"), Token("sign", "(")))
    return True


# -- Ruby

_RUBY_READS: Final = ("read", "readlines", "size", "exist?", "foreach")


def _ruby(walk: _Walk, token: Token) -> bool:
    from guardrail.effects.code._words import RUBY_LIBRARIES

    if token.text == "require" and (given := walk.texts("require", None)):
        if given[0] not in RUBY_LIBRARIES:
            return False
        walk.take(2, _VALUE)
        return True
    for owner, names in (("File", _RUBY_READS), ("CSV", ("read", "foreach", "table")), ("YAML", ("load_file",))):
        for name in names if token.text == owner else ():
            given = walk.texts(owner, ".", name, "(", None)
            after = walk.tokens[walk.at + 5].text if given and len(walk.tokens) > walk.at + 5 else ""
            if given and after in (")", ",") and _PATH.fullmatch(given[0]):
                if owner == "File" and after == "," and name != "readlines":
                    return False
                # What is loaded may make objects of any kind.
                walk.found["loads" if owner == "YAML" else "reads"].append(given[0])
                walk.take(5, (Token("word", "format"), Token("sign", "("), *_VALUE))
                return True
    given = walk.texts("File", ".", "write", "(", None, ",")
    if given and _PATH.fullmatch(given[0]):
        walk.found["writes"].append(given[0])
        walk.take(6, (Token("word", "format"), Token("sign", "(")))
        return True
    return False


# -- R

_R_READS: Final = frozenset("read.csv read.csv2 read.table read.delim readLines scan file.exists file.size".split())
_R_DEVICES: Final = frozenset("png pdf jpeg svg".split())


def _r(walk: _Walk, token: Token) -> bool:
    if token.text in _R_READS or token.text in _R_DEVICES:
        given = walk.texts(token.text, "(", None)
        after = walk.tokens[walk.at + 3].text if given and len(walk.tokens) > walk.at + 3 else ""
        if not given or after not in (")", ",") or not _PATH.fullmatch(given[0]) or given[0][0] == "~":
            return False
        walk.found["reads" if token.text in _R_READS else "writes"].append(given[0])
        walk.take(3, (Token("word", "c"), Token("sign", "("), *_VALUE))
        return True
    if token.text == "write.csv" and len(walk.tokens) > walk.at + 5:
        what = walk.tokens[walk.at + 2]
        given = walk.texts("write.csv", "(", what.text, ",", None) if what.kind == "word" else None
        ends = walk.tokens[walk.at + 5].text in (")", ",")
        if given and ends and _PATH.fullmatch(given[0]) and given[0][0] != "~":
            walk.found["writes"].append(given[0])
            walk.take(5, (Token("word", "c"), Token("sign", "("), what))
            return True
    return False


_STEPS: Final[Mapping[str, Callable[[_Walk, Token], bool]]] = {"node": _node, "ruby": _ruby, "R": _r}
