"""What the grammar stumbles over, hidden from it: here strings behind redirections, several here documents, `time (…)`,
and `10#$x`.

What is hidden keeps its length, so that every offset stays; what stands there is read from the text itself, and it is
checked that each operator that was hidden is met as one. Not concerned with what any of it means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from guardrail.parse._heredoc import DELIMITER, Span, body_of
from guardrail.parse._misparse import Misparse
from guardrail.patterns import lazy

MAX_DOCUMENTS: Final = 64
"""Most here documents of one text that are looked for."""

_STRING: Final = lazy(r"(?<=[ \t])<<<(?!<)")
_DOCUMENT: Final = lazy(r"(?<![<\w&>])<<(-?)[ \t]*(?!<)")
_TIMED: Final = lazy(r"\btime(?:[ \t]+-p)?(?=[ \t]+(?:\(|\{[ \t\n]))")
_BASED: Final = lazy(r"(?<![\w$#{])[0-9]{1,2}(#)(?=\$)")


class Masked(msgspec.Struct, frozen=True, kw_only=True):
    """A text as the grammar gets it.

    Args:
        grammar: the text, parts of it replaced.
        spaces: the text, with blanks in place of words that change nothing.
        documents: where the `<` of an operator stands -> the here document; None for a here string.
    """

    grammar: str
    spaces: str
    documents: dict[int, Span | None]

    def inside(self, start: int, end: int) -> bool:
        """Whether a line is one of a here document, which the grammar takes for a comment."""
        spans = self.documents.values()
        return any(span is not None and span.body_start <= start and end <= span.end for span in spans)


def mask(source: str) -> Masked | None:
    """Hide what the grammar does not know; None if there is nothing of that, or it is not clear where it ends."""
    spaces = grammar = _blank(source, list(_timed(source)))
    for match in _BASED.finditer(source):
        grammar = _put(grammar, match.start(1), "+")  # a word either way, and in arithmetic a number
    documents: dict[int, Span | None] = {}
    try:
        bodies = list(_documents(source))
    except Misparse:
        return None
    inside = [(span.body_start, span.end) for _, _, span in bodies]
    for match in _STRING.finditer(source):
        if not any(start <= match.start() < end for start, end in inside):
            documents[match.end() - 1] = None
            spaces = _put(spaces, match.start(), "  ")
            grammar = _put(grammar, match.start(), "  <")
    for start, end, span in bodies:
        documents[end - 1] = span
        spaces = _put(spaces, start, " " * (end - start - 1))
        grammar = _put(grammar, start, " " * (end - start - 1) + "<")
        grammar = _put(grammar, span.body_start, re.sub(r"[^\n]", "#", source[span.body_start : span.end]))
    if grammar == source:
        return None
    return Masked(grammar=grammar, spaces=spaces, documents=documents)


def is_settled(source: str, at: int) -> bool:
    """Whether no here document is open where a line ends: each one that was begun before has ended."""
    try:
        bodies = [(start, end, span) for start, end, span in _documents(source) if start < at]
    except Misparse:
        return False
    known = {start for start, _, _ in bodies}
    for match in re.finditer(r"<<+", source[:at]):
        inside = any(span.body_start <= match.start() < span.end for _, _, span in bodies)
        if not inside and match.start() not in known and match[0] != "<<<":
            return False
    return all(span.end <= at for _, _, span in bodies)


def _timed(source: str) -> Iterator[tuple[int, int]]:
    """Where `time` stands as a word of syntax before a compound command."""
    for match in _TIMED.finditer(source):
        start = match.start()
        stop = start
        while stop and source[stop - 1] in " \t\n":
            stop -= 1
        blanks = source[stop:start]
        before = source[max(stop - 4, 0) : stop]
        word = next((word for word in ("do", "then", "else") if before.endswith(word)), "")
        whole = word != "" and blanks != "" and not re.match(r"\w", source[stop - len(word) - 1 : stop - len(word)])
        if stop == 0 or "\n" in blanks or before[-1:] in ";&|(" or whole or (before[-1:] == "{" and blanks):
            yield match.span()


def _put(text: str, start: int, new: str) -> str:
    return text[:start] + new + text[start + len(new) :]


def _blank(text: str, spans: list[tuple[int, int]]) -> str:
    for start, end in spans:
        text = _put(text, start, " " * (end - start))
    return text


def _documents(source: str) -> list[tuple[int, int, Span]]:
    """Operators of here documents, from and to, with their bodies: those of one line follow it one after the other."""
    found: list[tuple[int, int, Span]] = []
    position = 0
    while position < len(source):
        stop = source.find("\n", position)
        stop = len(source) if stop < 0 else stop
        operators = list(_DOCUMENT.finditer(source, position, stop))
        if operators and source.endswith("\\", position, stop):
            raise Misparse("here document with a line continuation")
        after = stop + 1
        for operator in operators:
            delimiter = DELIMITER.match(source, operator.end(), stop)
            if delimiter is None or len(found) >= MAX_DOCUMENTS:
                raise Misparse("here document with an odd delimiter")
            if delimiter.end() < stop and source[delimiter.end()] not in " \t;&|<>()":
                raise Misparse("here document with an odd delimiter")
            span = body_of(source, after, delimiter, strip=operator[1] == "-")
            found.append((operator.start(), operator.start() + 2 + len(operator[1]), span))
            after = span.end + 1
        position = after
    return found
