"""Names in code of Node: of modules, of what is taken out of them, and those that the program gives itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.effects.code._tokens import Token
from guardrail.effects.code._words import INNER, NODE, NODE_GLOBALS, NODE_NAMES
from guardrail.patterns import lazy

MODULES: Final = frozenset("fs os path".split())
"""Modules whose members are known by the name of the module before them."""

FS_CONTENTS: Final = frozenset("readFileSync readFile createReadStream".split())
FS_READS: Final = FS_CONTENTS | frozenset("readdirSync statSync lstatSync existsSync readdir stat lstat access".split())
FS_WRITES: Final = {
    "writeFileSync": "writes",
    "appendFileSync": "appends",
    "writeFile": "writes",
    "appendFile": "appends",
    "mkdirSync": "makes",
    "mkdir": "makes",
}
_FS: Final = FS_READS | frozenset(FS_WRITES)
_TESTING: Final = frozenset("test describe it suite before after beforeEach afterEach assert expect strict".split())
OTHER_CALLS: Final = frozenset("createServer createInterface fileURLToPath".split())
_PATHS: Final = frozenset("join basename dirname extname relative".split())
RUN_SHELL: Final = frozenset(("execSync",))
RUN_PROGRAM: Final = frozenset(("execFileSync", "spawnSync"))
GIVING: Final[Mapping[str, frozenset[str]]] = {
    "fs": _FS,
    "fs/promises": _FS,
    "path": _PATHS,
    "url": frozenset(("fileURLToPath",)),
    "http": frozenset(("createServer",)),
    "readline": frozenset(("createInterface",)),
    "child_process": RUN_SHELL | RUN_PROGRAM,
    "crypto": frozenset(("createHash", "randomUUID")),
    "test": _TESTING,
    "assert": _TESTING,
    "assert/strict": _TESTING,
    "vitest": _TESTING,
    "@jest/globals": _TESTING,
}
"""Modules, and what may be taken out of each by its name."""

OWN: Final = lazy(r"_?[a-z][A-Za-z0-9]*|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_MEANING: Final = NODE_GLOBALS | NODE | INNER | frozenset(("JSON", "URL", "CSS"))
ALIASED: Final[Mapping[str, str]] = {
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
    return token.kind == "word" and OWN.fullmatch(token.text) is not None and token.text not in _MEANING


KNOWN: Final = _FS | OTHER_CALLS | RUN_SHELL | RUN_PROGRAM | frozenset(ALIASED.values())
"""Names by which a call is known, which a module of the project must not give to another function."""


def declared(tokens: Sequence[Token]) -> set[str]:
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
    return found - NODE_NAMES - FS_READS - frozenset(FS_WRITES) - OTHER_CALLS - RUN_SHELL - RUN_PROGRAM


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


def renamed(tokens: Sequence[Token]) -> Sequence[Token]:
    """The tokens with the names of modules that are called otherwise: `p = require("path")` is `path`."""
    names: dict[str, str] = {}
    for at, token in enumerate(tokens):
        module = token.text.removeprefix("node:") if token.kind == "text" else ""
        if module not in ALIASED or at < 2:
            continue
        before = [one.text for one in tokens[max(at - 4, 0) : at]]
        name = tokens[at - 4] if at > 4 and before[1:] == ["=", "require", "("] else tokens[at - 2]
        imported = before[-1:] == ["from"] and before[-3:-2] in (["import"], ["as"])
        if (name is not tokens[at - 2] or imported) and _is_own(name):
            names[name.text] = ALIASED[module]
    if not names:
        return tokens
    found: list[Token] = []
    for token in tokens:
        member = bool(found) and found[-1].kind == "sign" and found[-1].text in (".", "?.")
        named = token.kind == "word" and not member and token.text in names
        found.append(Token("word", names[token.text]) if named else token)
    return found
