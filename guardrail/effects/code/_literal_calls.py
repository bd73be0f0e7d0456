"""Calls of one-liners that read or write a file whose name is a literal: Node, Ruby and R.

Not an analyser of those languages: the calls are taken out of the tokens, and what is left has to be plain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from guardrail.effects.code._tokens import Token

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
        loads: names of files that may say what runs.
    """

    rest: tuple[Token, ...]
    asks: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    appends: tuple[str, ...] = ()
    loads: tuple[str, ...] = ()


class _Walk:
    """Goes through the tokens and keeps what is left."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.rest: list[Token] = []
        self.found: dict[str, list[str]] = {"asks": [], "reads": [], "writes": [], "appends": [], "loads": []}

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


def literal_calls(tokens: Sequence[Token], language: str) -> Calls:
    """Take the calls out of a piece of code.

    Args:
        tokens: the one-liner.
        language: `node`, `ruby`, `R`; of others there are none.
    """
    walk = _Walk(tokens)
    step = _STEPS.get(language)
    while walk.at < len(tokens):
        token = tokens[walk.at]
        if step is None or token.kind != "word" or walk.behind(".", "?.", "&.", "$", "::") or not step(walk, token):
            walk.take(1, (token,))
    return Calls(rest=tuple(walk.rest), **{kind: tuple(names) for kind, names in walk.found.items()})


# -- Node

_MODULES: Final = frozenset("fs os path".split())
_FS_READS: Final = frozenset("readFileSync readdirSync statSync lstatSync existsSync".split())
_FS_WRITES: Final = {"writeFileSync": "writes", "appendFileSync": "appends"}
_FS_OPTIONS: Final = (
    ("{", "encoding", ":", None, "}"),
    ("{", "withFileTypes", ":", "true", "}"),
    ("{", "recursive", ":", "true", "}"),
    ("{", "withFileTypes", ":", "true", ",", "recursive", ":", "true", "}"),
    ("{", "recursive", ":", "true", ",", "withFileTypes", ":", "true", "}"),
)


def _node(walk: _Walk, token: Token) -> bool:
    if token.text == "import":
        return _imported(walk)
    if token.text == "fetch" and (given := walk.texts("fetch", "(", None, ")")) and _URL.fullmatch(given[0]):
        walk.found["asks"].append(given[0])
        walk.take(4, _VALUE)
        return True
    if given := walk.texts("require", "(", None, ")"):
        return _required(walk, given[0])
    for module in _MODULES:
        if given := walk.texts(module, "=", "require", "(", None, ")"):
            if given[0].removeprefix("node:") != module:
                return False
            walk.take(6, (Token("word", "x"), Token("sign", "="), *_VALUE))
            return True
    if walk.texts("fs", ".") is not None:
        return _on_file(walk, 2)
    return _on_file(walk, 0)


def _required(walk: _Walk, name: str) -> bool:
    module = name.removeprefix("node:")
    if name.endswith(".json") and name.startswith(("./", "../", "/")) and _PATH.fullmatch(name):
        walk.found["reads"].append(name)
        walk.take(4, _VALUE)
        return True
    if module not in _MODULES:
        return False
    if module == "fs":
        ahead = _Walk(walk.tokens)
        ahead.at = walk.at + 4
        if ahead.texts(".") is None:
            return False
        return _on_file(walk, 5)
    walk.take(4, (Token("word", module),))
    return True


def _imported(walk: _Walk) -> bool:
    """`import {readFileSync, …} from "fs"`, and `import fs from "fs"`: names stay what they are."""
    end = next((i for i in range(walk.at, len(walk.tokens)) if walk.tokens[i] == Token("word", "from")), None)
    if end is None or end + 1 >= len(walk.tokens) or walk.tokens[end + 1].kind != "text":
        return False
    module = walk.tokens[end + 1].text.removeprefix("node:")
    names = walk.tokens[walk.at + 1 : end]
    whole = len(names) == 1 and names[0] == Token("word", module) and module in _MODULES
    braced = len(names) > 2 and names[0].text == "{" and names[-1].text == "}" and module == "fs"
    inner = names[1:-1]
    known = all(
        token.text == "," if i % 2 else token.text in _FS_READS | set(_FS_WRITES) for i, token in enumerate(inner)
    )
    if not whole and not (braced and known):
        return False
    walk.take(end + 2 - walk.at, ())
    return True


def _on_file(walk: _Walk, skip: int) -> bool:
    """A call of `fs` whose name stands so many tokens further on."""
    start, walk.at = walk.at, walk.at + skip
    name = walk.tokens[walk.at].text if walk.at < len(walk.tokens) else ""
    done = (name in _FS_READS and _read(walk, name)) or (name in _FS_WRITES and _written(walk, name))
    if not done:
        walk.at = start
    return done


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
    given = walk.texts(name, "(", None, ",")
    if not given or not _PATH.fullmatch(given[0]):
        return False
    walk.found[_FS_WRITES[name]].append(given[0])
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
