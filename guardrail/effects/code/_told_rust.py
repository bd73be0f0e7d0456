"""Sources of Rust that read files whose names are their arguments: what a program is handed is named where it runs.

Not concerned with names that are put together: an opened name has to be an argument as it came in, by the one place
where it gets its name. Rust gives a name another value only in a pattern, so that those places can be looked for.
"""

from __future__ import annotations

import re
from typing import Final

from guardrail.patterns import lazy

MAX_NAMES: Final = 16
"""Most names of arguments that are followed in one source."""

_EXIT: Final = r"(?:std::)?process::exit\([^(){}]*\);?"
_LEAVING: Final = rf"\{{[^{{}}]*(?:{_EXIT}|\breturn\b[^;{{}}]*;)\s*\}}"
_ONE: Final = r"(?:std::)?env::args\(\)\.nth\(\d+\)"
_OR_LEAVE: Final = rf"(?:\.unwrap\(\)|\.expect\([^(){{}};]*\)|\.unwrap_or_else\(\|\|\s*\{{[^{{}}]*{_EXIT}\s*\}}\s*\))"

_USED: Final = lazy(r"\buse\s+std::([^;]{0,2000}+);")
_LISTED: Final = lazy(
    r"\bfs::\{\s*(?:(?:self|File)\s*,?\s*)+\}|\bfs::File\b(?=\s*(?:[,}]|\Z))|\b(?:env|fs|process)\b(?=\s*(?:[,}]|\Z))"
)
"""What a `use` may bring in: modules under their own names, and `File`."""

_ALL: Final = lazy(r"\blet\s+(?P<name>[a-z]\w*)\s*:\s*Vec<String>\s*=\s*(?:std::)?env::args\(\)\.collect\(\)\s*;")
_GIVEN: Final = lazy(
    rf"\blet\s+(?P<let>[a-z]\w*)(?:\s*:\s*String)?\s*=\s*{_ONE}{_OR_LEAVE}\s*;"
    rf"|\blet\s+(?P<match>[a-z]\w*)\s*=\s*match\s+{_ONE}\s*\{{\s*Some\((?P<some>[a-z]\w*)\)\s*=>\s*(?P=some)\s*,"
    rf"\s*None\s*=>\s*{_LEAVING}\s*,?\s*\}}\s*;"
    rf"|\blet\s+Some\((?P<else>[a-z]\w*)\)\s*=\s*{_ONE}\s*else\s*{_LEAVING}\s*;"
    r"|\bfor\s+(?P<for>[a-z]\w*)\s+in\s+(?:std::)?env::args\(\)\.skip\(\d+\)(?=\s*\{)"
)
"""One argument gets a name, or the program ends."""

_OPENED: Final = r"\b(?:std::)?(?:(?:fs::)?File::open|fs::(?:read_to_string|read|metadata))\(\s*&?(?:{})\s*\)"
_INNER: Final = lazy(r"\bmod\s+tests?\s*(?=\{)|\buse\s+super::\*\s*;")
"""Tests whose text stands in the source itself."""

_MEANT: Final = lazy(
    r"\b(?:macro_rules|matches)\b|\b(?:struct|enum|union|type|trait|mod|as|const|static|fn)\s+(?:std|Vec|String|Some|None|nth)\b|\bstd\b(?!\s*::)"
)
"""Another meaning for what is relied on: a trait's `nth` may come before that of the arguments."""

_STATEMENT: Final = lazy(r"[^;{}]+")
_IS: Final = lazy(r"(?<![=!<>])=(?![=>])")
_IN: Final = lazy(r"\bin\b")
_CLOSURE: Final = lazy(r"\|[^|]*\|")


def without_told(code: str) -> str:
    """A source without its reads of what its arguments name; as it is, if another name may be opened.

    Args:
        code: the source, its texts and comments left out.
    """
    if _MEANT.search(code) is not None:
        return code
    rest = _USED.sub(_without_listed, code)
    rest = re.sub(_EXIT, " ", _INNER.sub(" ", rest)) if not re.search(r"\benv::args\b", rest) else rest
    if re.search(r"\benv::args\b", rest) is None:
        return rest
    every = [match["name"] for match in _ALL.finditer(rest)]
    names = [next(one for one in match.group("let", "match", "else", "for") if one) for match in _GIVEN.finditer(rest)]
    parts = [rf"{name}\[\d+\]" for name in every]
    for name in every:
        taken = re.compile(rf"\blet\s+([a-z]\w*)\s*=\s*&{name}\[\d+\]\s*;")
        names += taken.findall(rest)
        rest = taken.sub(";", rest)
    if len(names) + len(every) > MAX_NAMES or len({*names, *every}) != len(names) + len(every):
        return code
    rest = _INNER.sub(" ", re.sub(_EXIT, " ", _ALL.sub(";", _GIVEN.sub(";", rest))))
    if any(_is_given_again(rest, name) for name in (*names, *every)):
        return code
    opened = "|".join((*names, *parts))
    return re.sub(_OPENED.format(opened), "0", rest) if opened else rest


def _is_given_again(code: str, name: str) -> bool:
    """A name may get another value: in a pattern, as a parameter, or as what may be changed."""
    said = re.compile(rf"\b{name}\b")
    if re.search(rf"\b{name}\s*(?:@|:(?!:))|\b(?:mut|ref|static|const)\s+{name}\b", code) is not None:
        return True
    if any(said.search(match[0]) is not None for match in _CLOSURE.finditer(code)):
        return True
    for match in _STATEMENT.finditer(code):
        part = match[0]
        if said.search(part) is None:
            continue
        arms = part.rpartition("=>")[0]
        bound = _IS.split(part.partition("let")[2], maxsplit=1)[0] if re.search(r"\blet\b", part) is not None else ""
        rounds = _IN.split(part, maxsplit=1)[0] if re.search(r"\bfor\b", part) is not None else ""
        taken = part.partition("fn")[2] if re.search(r"\bfn\b", part) is not None else ""
        if any(said.search(pattern) is not None for pattern in (arms, bound, rounds, taken)):
            return True
    # A pattern may have braces of its own, behind which it goes on.
    return re.search(rf"\{{[^{{}}();]*\b{name}\b[^{{}}();]*\}}\s*(?:=|\bin\b|\|)", code) is not None


def _without_listed(match: re.Match[str]) -> str:
    """A `use` of the standard library, without what may be brought in."""
    if "*" in match[1] or re.search(r"\bas\b", match[1]) is not None:
        return match[0]
    return f"use std::{_LISTED.sub(' ', match[1])};"
