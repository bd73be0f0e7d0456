"""`${…}` with a subscript, a prefix or an operator, where what it means can be told from its text alone.

Not concerned with values. What is odd here is left to the caller, which knows a wider and vaguer reading.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

import msgspec

from guardrail.parse.ir import Expansion, Part, Text, Word
from guardrail.patterns import lazy

_NAME: Final = "[A-Za-z_][A-Za-z0-9_]*"
_HEAD: Final = lazy(rf"\$\{{([#!]?)({_NAME}|[0-9]+|[@*])(?:\[([^\]\[{{}}`\\<>|;&\n]*)\])?")
_OPERATOR: Final = lazy(r":?[-=+?]|##?|%%?|//|/[#%]?|\^\^?|,,?|@[A-Za-z]|:")
_NUMBER: Final = rf"((?:[^:}}'\"`\\$\[]|\${_NAME}+|\$\{{{_NAME}\}})*+)"
_RANGE: Final = lazy(rf"{_NUMBER}(?::{_NUMBER})?\}}")
SUBSCRIPT: Final = lazy(
    rf"[0-9]+|[@*]|{_NAME}|\$(?:{_NAME}|\{{{_NAME}\}})|[A-Za-z0-9_+*/%., $-]+|'[^'\"$]*'|\"[^'\"$]*\""
)
"""A subscript that runs nothing and is not quoted in part."""

_RUN: Final = {False: lazy(r"[^\\'\"$`{}<>]+"), True: lazy(r"[^\\'\"$`{}<>/]+")}
_ESCAPED: Final = frozenset("/.*?[]#%:^,()|@!~+= -_&\"'$`\\{}<>;")


class Subscript(NamedTuple):
    """A subscript with expansions in it, which `text` calls `__part0__` and so on, and the names that it evaluates."""

    text: str
    parts: tuple[Part, ...]
    names: tuple[str, ...]


class Reader(Protocol):
    """What is needed of the lexer."""

    source: str
    literal_quotes: bool

    def double(self, i: int, end: int, parts: list[Part]) -> int:
        """Double-quoted text, from after the quote."""
        ...

    def subscript(self, i: int, end: int) -> tuple[Subscript, int] | None:
        """A subscript that holds expansions."""
        ...

    def dollar(self, i: int, end: int, parts: list[Part], quoted: bool) -> int:
        """An expansion or substitution."""
        ...


Arithmetic = Callable[[str], tuple[tuple[str, ...], tuple[str, ...]]]
"""Text of an expression -> names that it evaluates, and names that it sets; raises for what is not modelled."""


def braced(reader: Reader, i: int, end: int, quoted: bool, arithmetic: Arithmetic) -> tuple[Expansion, int] | None:
    """The expansion at offset `i` and the offset after it; None if it is of a kind not told apart here."""
    head = _HEAD.match(reader.source, i, end)
    if head is None:
        return None
    prefix, name, index = head[1], head[2], head[3]
    if index is None or not SUBSCRIPT.fullmatch(index):
        if reader.source.startswith("[", head.end(2)):
            return _nested(reader, head, end, quoted, arithmetic)
    elif name in "@*":
        return None
    stop = head.end()
    names = () if index is None or index in "@*" or index[:1] in "'\"" else arithmetic(index)[0]
    return _operated(reader, stop, end, (prefix, name, index, names, quoted), arithmetic)


def _nested(
    reader: Reader, head: re.Match[str], end: int, quoted: bool, arithmetic: Arithmetic
) -> tuple[Expansion, int] | None:
    """`${a[${i}]}`."""
    found = reader.subscript(head.end(2) + 1, end) if head[2] not in "@*" else None
    if found is None:
        return None
    index, stop = found
    what = (head[1], head[2], index.text, index.names, quoted)
    whole = _operated(reader, stop + 1, end, what, arithmetic)
    return None if whole is None else (msgspec.structs.replace(whole[0], parts=index.parts), whole[1])


def _operated(
    reader: Reader,
    stop: int,
    end: int,
    what: tuple[str, str, str | None, tuple[str, ...], bool],
    arithmetic: Arithmetic,
) -> tuple[Expansion, int] | None:
    """The rest of an expansion, from behind its name and subscript."""
    prefix, name, index, names, quoted = what
    if reader.source.startswith("}", stop):
        return _without_operator(prefix, name, index, names, quoted), stop + 1
    if prefix == "!" and index is None and reader.source.startswith(("@}", "*}"), stop):
        return Expansion(name=name, prefix="!", op="names", quoted=quoted), stop + 2
    operator = _OPERATOR.match(reader.source, stop, end)
    if prefix or operator is None:
        return None
    stop, op = operator.end(), operator[0]
    if op == ":":
        return _part(reader, stop, end, (name, index, names, quoted), arithmetic)
    if op[0] == "@":
        plain = reader.source.startswith("}", stop)
        return (Expansion(name=name, index=index, op=op, names=names, quoted=quoted), stop + 1) if plain else None
    found = _argument(reader, stop, end, quoted=quoted, pattern=op[-1] not in "-=+?", slash=op[0] == "/")
    if found is None:
        return None
    arg, stop = found
    other: Word | None = None
    if reader.source.startswith("/", stop):
        second = _argument(reader, stop + 1, end, quoted=quoted, pattern=True, slash=False)
        if second is None:
            return None
        other, stop = second
    if not reader.source.startswith("}", stop) or stop >= end:
        return None
    return Expansion(name=name, index=index, op=op, arg=arg, other=other, names=names, quoted=quoted), stop + 1


def _without_operator(prefix: str, name: str, index: str | None, names: tuple[str, ...], quoted: bool) -> Expansion:
    if prefix == "#":
        return Expansion(name=name, prefix="#", index=index, names=names, quoted=quoted)
    return Expansion(name=name, prefix="!" if prefix else "", index=index, names=names, quoted=quoted)


def _part(
    reader: Reader,
    i: int,
    end: int,
    what: tuple[str, str | None, tuple[str, ...], bool],
    arithmetic: Arithmetic,
) -> tuple[Expansion, int] | None:
    """`${x:offset:length}`."""
    match = _RANGE.match(reader.source, i, end)
    if match is None or not match[1].strip():
        return None
    name, index, names, quoted = what
    numbers = (match[1],) if match[2] is None else (match[1], match[2])
    for number in numbers:
        evaluated, assigned = arithmetic(number)
        if assigned:
            return None
        names = (*names, *evaluated)
    return Expansion(name=name, index=index, op=":", numbers=numbers, names=names, quoted=quoted), match.end()


def _argument(reader: Reader, i: int, end: int, *, quoted: bool, pattern: bool, slash: bool) -> tuple[Word, int] | None:
    """The word up to `}`, or up to a `/` when `slash`; None if its quoting is not the same to every bash."""
    parts: list[Part] = []
    source, start = reader.source, i
    inside = quoted and not pattern
    while i < end:
        char = source[i]
        if slash and char == "/" and i == start:
            return None  # an empty pattern, or a slash: versions differ
        if char == "}" or (slash and char == "/"):
            return Word(parts=tuple(parts), start=start, end=i, plain=_plain(parts)), i
        if match := _RUN[slash].match(source, i, end):
            parts.append(Text(text=_text(match[0]), quoted=inside))
            i = match.end()
        elif char == '"' and not reader.literal_quotes:
            i = reader.double(i + 1, end, parts)
        elif char == "'" and not quoted:
            close = source.find("'", i + 1, end)
            if close < 0:
                return None
            parts.append(Text(text=_text(source[i + 1 : close]), quoted=True))
            i = close + 1
        elif char == "\\" and not inside and source[i + 1 : i + 2] in _ESCAPED and i + 1 < end:
            parts.append(Text(text=source[i + 1], quoted=True))
            i += 2
        elif char in "$`":
            i = reader.dollar(i, end, parts, inside)
        else:
            return None
    return None


def _text(latin: str) -> str:
    return latin if latin.isascii() else latin.encode("latin-1").decode("utf-8", "surrogateescape")


def _plain(parts: list[Part]) -> str | None:
    texts = [part.text for part in parts if isinstance(part, Text)]
    return "".join(texts) if len(texts) == len(parts) else None
