"""Hunks of a patch, and where they belong in the lines of a file."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Final

import msgspec

MAX_COMPARED: Final = 1_000_000
"""Most lines that are compared in search of the places of one patch's hunks in one file."""


# patch takes a diff that is indented, or quoted as in a mail, and diffs of other kinds.
_INDENT: Final = r"(?:[ \tX]|- )*"


class Hunk(msgspec.Struct, frozen=True, kw_only=True):
    """Lines that are there, and what they become.

    Args:
        before: lines that must be there, without their newlines.
        after: the lines in their place.
        line: where the first of them stands, from 1; None if it has to be searched for.
        anchors: lines that stand somewhere before it, in order.
        cut_before: the last line of `before` has no newline.
        cut_after: the last line of `after` has no newline.
        at_end: the hunk ends with the file.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    line: int | None = None
    anchors: tuple[str, ...] = ()
    cut_before: bool = False
    cut_after: bool = False
    at_end: bool = False


def apply_hunks(hunks: tuple[Hunk, ...], text: str) -> str | None:
    """The text with all hunks applied; None if one does not fit exactly."""
    lines = text.split("\n")
    ended = lines[-1] == ""
    if ended:
        lines.pop()
    out: list[str] = []
    position = 0
    search = _Search(lines)
    for hunk in hunks:
        at = search.place(hunk, position)
        if at is None:
            return None
        end = at + len(hunk.before)
        if hunk.line is not None and hunk.cut_before != (not ended and end == len(lines) and bool(hunk.before)):
            return None
        out += lines[position:at]
        out += hunk.after
        position = end
        if end == len(lines) and hunk.line is not None:
            ended = not hunk.cut_after if hunk.after else True
        elif hunk.cut_after:
            return None
    if hunks and hunks[-1].line is None:
        ended = True  # the envelope has no way to say that the last newline is missing
    out += lines[position:]
    return "".join(line + "\n" for line in out) if ended or not out else "\n".join(out)


class _Search:
    """Finds where hunks belong in the lines of one file.

    Args:
        lines: the file.
    """

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.compared = 0
        self._numbers: dict[str, list[int]] | None = None

    def place(self, hunk: Hunk, position: int) -> int | None:
        """Where a hunk belongs; None if it does not fit, or in more than one place."""
        lines = self.lines
        if hunk.line is not None:
            at = hunk.line - 1
            fits = position <= at <= len(lines) and tuple(lines[at : at + len(hunk.before)]) == hunk.before
            return at if fits and at + len(hunk.before) <= len(lines) else None
        for anchor in hunk.anchors:
            numbers, first = self._where(anchor, position)
            if len(numbers) - first != 1:
                return None
            position = numbers[first] + 1
        if not hunk.before:
            # What only adds goes to the end of the file.
            return len(lines) if not hunk.anchors else None
        places = self._places(hunk, position)
        return places[0] if len(places) == 1 else None

    def _places(self, hunk: Hunk, position: int) -> list[int]:
        """Where all lines of a hunk stand, from there on; none if looking would take too long."""
        size = len(hunk.before)
        if hunk.at_end:
            starts = [len(self.lines) - size] if len(self.lines) - size >= position else []
        else:
            starts = self._starts(hunk.before, position)
        self.compared += size * len(starts)
        if self.compared > MAX_COMPARED:
            return []
        return [i for i in starts if tuple(self.lines[i : i + size]) == hunk.before]

    def _starts(self, before: Sequence[str], position: int) -> list[int]:
        """Where these lines may begin, by the line of which there are fewest."""
        best: list[int] = []
        fewest = len(self.lines) + 1
        begin = offset = 0
        for index, line in enumerate(before):
            numbers, first = self._where(line, position + index)
            if len(numbers) - first < fewest:
                best, begin, offset, fewest = numbers, first, index, len(numbers) - first
        self.compared += fewest
        return [number - offset for number in best[begin:]] if self.compared <= MAX_COMPARED else []

    def _where(self, line: str, position: int) -> tuple[list[int], int]:
        """Numbers of all lines with that text, and which of them is the first from there on."""
        if self._numbers is None:
            self._numbers = {}
            for number, text in enumerate(self.lines):
                self._numbers.setdefault(text, []).append(number)
        numbers = self._numbers.get(line, [])
        return numbers, bisect.bisect_left(numbers, position)
