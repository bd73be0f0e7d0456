"""Where the body of a here document begins and ends, by bash's own rule: whole lines, up to the delimiter."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from guardrail.parse._misparse import Misparse
from guardrail.parse.ir import Part, Text, Word
from guardrail.patterns import lazy

DELIMITER: Final = lazy(
    r"""([A-Za-z0-9_.!%+\-]+)|'([A-Za-z0-9_.!%+ \-]+)'|"([A-Za-z0-9_.!%+ \-]+)"|\\([A-Za-z0-9_]+)"""
)
"""The word that ends a here document, bare or quoted."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Offsets of a here document.

    Args:
        body_start: first byte of the body.
        body_end: one past its last byte; the delimiter's line starts here.
        end: one past the delimiter.
        literal: the delimiter was quoted, so nothing is expanded.
        strip_tabs: leading tabs are removed (`<<-`).
    """

    body_start: int
    body_end: int
    end: int
    literal: bool
    strip_tabs: bool


def heredoc_span(source: str, start: int, stop: int, line_end: int, *, strip: bool) -> Span:
    """Find the body.

    Args:
        source: the whole text.
        start: offset of the delimiter word.
        stop: offset after it.
        line_end: offset after the last thing known on the same line.
        strip: the operator is `<<-`.

    Raises:
        Misparse: if the delimiter is odd, anything else stands on the line, or there is no end.
    """
    match = DELIMITER.fullmatch(source, start, stop)
    if match is None:
        raise Misparse("here document with an odd delimiter")
    newline = re.compile(r"[ \t]*\n").match(source, line_end)
    if newline is None:
        raise Misparse("here document with more on its line")
    return body_of(source, newline.end(), match, strip=strip)


def body_of(source: str, start: int, delimiter: re.Match[str], *, strip: bool) -> Span:
    """The body that begins at an offset.

    Args:
        source: the whole text.
        start: offset of its first line.
        delimiter: a match of `DELIMITER`.
        strip: the operator is `<<-`.

    Raises:
        Misparse: if there is no end, or it is not certain.
    """
    bare = delimiter[1] is not None
    want = next(group for group in delimiter.groups() if group is not None)
    position = start
    while position <= len(source):
        stop = source.find("\n", position)
        stop = len(source) if stop < 0 else stop
        line = source[position:stop]
        if (line.lstrip("\t") if strip else line) == want:
            return Span(body_start=start, body_end=position, end=stop, literal=not bare, strip_tabs=strip)
        if bare and line.endswith("\\"):
            raise Misparse("here document with a line continuation")
        position = stop + 1
    raise Misparse("here document without an end")


def without_tabs(body: Word) -> Word:
    """The body of `<<-`: tabs at the start of its lines are no part of it, those from expansions stay."""
    out: list[Part] = []
    line_start = True
    for part in body.parts:
        if not isinstance(part, Text):
            out.append(part)
            line_start = False
            continue
        lines = part.text.split("\n")
        kept = [line.lstrip("\t") if index or line_start else line for index, line in enumerate(lines)]
        line_start = lines[-1].lstrip("\t") == "" and (len(lines) > 1 or line_start)
        out.append(Text(text="\n".join(kept), quoted=True))
    texts = [part.text for part in out if isinstance(part, Text)]
    plain = "".join(texts) if len(texts) == len(out) else None
    return Word(parts=tuple(out), start=body.start, end=body.end, plain=plain)
