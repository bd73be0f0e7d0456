"""Calls of one-liners that read or write a file whose name is a literal: Node, Ruby and R.

Not an analyser of those languages: the calls are taken out, and what is left has to be a filter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

_NAME: Final = r"""(?P<q>["'])(?P<path>[\w./~@+-]+)(?P=q)"""
_FS: Final = r"(?:\bfs|require\(['\"](?:node:)?fs['\"]\))"
_LOADED: Final = re.compile(r"(?:const|let|var)\s+fs\s*=\s*require\(['\"](?:node:)?fs['\"]\)\s*;?")
_ENCODING: Final = r"(?:\s*,\s*['\"]utf-?8['\"])?"


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """What a piece of code does to files that it names.

    Args:
        rest: the code, with a plain value in place of each call.
        reads: names of files that are read.
        writes: names of files that are written.
        appends: names of files that are added to.
    """

    rest: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    appends: tuple[str, ...] = ()


_PATTERNS: Final[Mapping[str, tuple[tuple[str, re.Pattern[str], str], ...]]] = {
    "node": (
        ("read", re.compile(r"\brequire\(\s*(?P<q>[\"'])(?P<path>\.{0,2}/[\w./@+-]+\.json)(?P=q)\s*\)"), "Object"),
        ("read", re.compile(rf"{_FS}\.(?:read(?:File|dir)|stat|exists)Sync\(\s*{_NAME}{_ENCODING}\s*\)"), "Object"),
        ("write", re.compile(rf"{_FS}\.writeFileSync\(\s*{_NAME}\s*,"), "String("),
        ("append", re.compile(rf"{_FS}\.appendFileSync\(\s*{_NAME}\s*,"), "String("),
    ),
    "ruby": (
        ("read", re.compile(rf"\bFile\.(?:read|readlines|size|exist\?|foreach)\(\s*{_NAME}\s*\)"), "gets"),
        ("write", re.compile(rf"\bFile\.write\(\s*{_NAME}\s*,"), "puts("),
    ),
    "R": (
        (
            "read",
            re.compile(rf"\b(?:read\.(?:csv2?|table|delim)|readLines|scan|file\.(?:exists|size))\(\s*{_NAME}"),
            "c(1",
        ),
        ("write", re.compile(rf"\bwrite\.csv\(\s*(?P<what>\w+)\s*,\s*{_NAME}"), "c(1"),
    ),
}  # fmt: skip


def literal_calls(code: str, language: str) -> Calls:
    """Take the calls out of a piece of code.

    Args:
        code: the one-liner.
        language: `node`, `ruby`, `R`; of others there are none.
    """
    found: dict[str, list[str]] = {"read": [], "write": [], "append": []}
    if language == "node":
        code = _LOADED.sub("", code) if len(_LOADED.findall(code)) == 1 else code
    for kind, pattern, value in _PATTERNS.get(language, ()):
        code = pattern.sub(_noting(found[kind], value), code)
    return Calls(rest=code, reads=tuple(found["read"]), writes=tuple(found["write"]), appends=tuple(found["append"]))


def _noting(names: list[str], value: str) -> Callable[[re.Match[str]], str]:
    def note(match: re.Match[str]) -> str:
        names.append(match["path"])
        return value

    return note
