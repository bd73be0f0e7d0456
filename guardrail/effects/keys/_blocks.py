"""Edits written as blocks `<<<<<<< SEARCH … ======= … >>>>>>> REPLACE`, as editors in an IDE take them.

Not concerned with paths. Tools of this kind differ in how they search: by text or by lines, with or without the blanks,
from the line that is given or from the start. A result is given only where all of them come to the same one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from guardrail.patterns import lazy

MAX_BLOCK_LINES: Final = 20_000
"""Most lines of blocks, and of a file that they are applied to."""

MAX_COMPARED: Final = 200_000
"""Most lines of a file times blocks that are compared."""

_SEARCH: Final = lazy(r"(?:<{7}|-{7}) SEARCH>?")
_MIDDLE: Final = "======="
_REPLACE: Final = lazy(r"(?:>{7}|\+{7}) REPLACE>?")
_LINE: Final = lazy(r":(start|end)_line: *(\d*)")
_AFTER_LINES: Final = "-------"
_NEARLY: Final = lazy(r"\\?(?:[<-]{3,} ?SEARCH>?|={3,}|[>+]{3,} ?REPLACE>?|-{7}|:(?:start|end)_line:.*)\s*")
"""What some tool takes for a mark, and another for text."""

_NUMBERED: Final = lazy(r"\s*\d+\s*\|")
_ENTITY: Final = lazy(r"&(?:lt|gt|amp|quot|apos|#)", re.IGNORECASE)
_FOLDED: Final = {
    ord(char): plain for chars, plain in (("“”„‟", '"'), ("‘’‚‛", "'"), ("–—", "-"), ("…", "...")) for char in chars
}
"""Signs that some tools take for plain ones."""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Lines that are searched for, and those that come in their place.

    Args:
        before: the lines searched for, without their newlines.
        after: the lines that replace them.
        line: the line that they are said to begin at, from 1; None if none is told.
        plain: nothing in it is read differently by different tools.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    line: int | None = None
    plain: bool = True


# -- reading


def parse_blocks(text: str) -> tuple[Block, ...] | None:
    """Read blocks; None if there are none, or not every line belongs to one.

    Args:
        text: the edit, as a tool is given it.
    """
    lines = text.strip("\n").replace("\r\n", "\n").split("\n")
    if len(lines) > MAX_BLOCK_LINES:
        return None
    found: list[Block] = []
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        middle = _find(lines, at + 1, lambda line: line == _MIDDLE)
        end = _find(lines, middle + 1, _REPLACE.fullmatch)
        if not _SEARCH.fullmatch(lines[at].rstrip()) or end == len(lines):
            return None
        found.append(_block(lines[at + 1 : middle], lines[middle + 1 : end], plain="\r" not in text))
        at = end + 1
    return tuple(found) or None


def _find(lines: Sequence[str], start: int, wanted: Callable[[str], object]) -> int:
    return next((i for i in range(start, len(lines)) if wanted(lines[i].rstrip())), len(lines))


def _block(head: list[str], after: list[str], *, plain: bool) -> Block:
    line = None
    while head and (match := _LINE.fullmatch(head[0].rstrip())):
        if match[1] == "start" and match[2]:
            line = int(match[2]) or None
        head = head[1:]
    if head and head[0].rstrip() == _AFTER_LINES:
        head = head[1:]
    plain = plain and not any(_NEARLY.fullmatch(text) for text in (*head, *after)) and _same_everywhere(head, after)
    return Block(before=tuple(head), after=tuple(after), line=line, plain=plain)


def _same_everywhere(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether tools that tidy what they are given leave these lines as they are.

    Some cut blanks at the end of a line, indent with what the file has, take line numbers off, read `&lt;` as `<`, or
    take one empty line for none.
    """
    if not any(line.strip() for line in before) or list(after) == [""]:
        return False
    if any(all(_NUMBERED.match(line) for line in lines) for lines in (before, after) if lines):
        return False
    every = (*before, *after)
    indents = {char for line in every for char in line[: len(line) - len(line.lstrip())]}
    return len(indents) < 2 and not any(
        line != line.rstrip() or line.lstrip() != line.lstrip(" \t") or _ENTITY.search(line) for line in every
    )


# -- applying


def apply_blocks(blocks: Sequence[Block], data: bytes | None) -> bytes | None:
    """The content of a file after an edit; None if tools may come to different ones, or none fits.

    Args:
        blocks: the edit.
        data: the content now; None if there is no file, or it is not known.
    """
    if data is None or not all(block.plain for block in blocks):
        return None
    text = data.decode("utf-8", "surrogateescape")
    lines = text.split("\n")[:-1]
    # The last line must end in a newline: a search by text has one at its end.
    if "\r" in text or not text.endswith("\n") or len(lines) * len(blocks) > MAX_COMPARED:
        return None
    given = _Lines(lines)
    out = _Lines(())
    position = 0
    for block in blocks:
        want = _Lines(block.before)
        place = given.only_place(want)
        if place is None or place < position or block.line not in (None, place + 1):
            return None
        # INVARIANT: a tool that applies one block after the other finds the next one at the same place.
        if out.then(given.part(position)).only_place(want) is None:
            return None
        out = out.then(given.part(position, place)).then(_Lines(block.after))
        position = place + len(block.before)
    return out.then(given.part(position)).text().encode("utf-8", "surrogateescape")


class _Lines:
    """Lines, and the same without what tools may overlook in them."""

    __slots__ = ("folded", "plain")

    def __init__(self, plain: Sequence[str], folded: Sequence[str] | None = None) -> None:
        self.plain = list(plain)
        self.folded = [_fold(line) for line in plain] if folded is None else list(folded)

    def part(self, start: int, end: int | None = None) -> _Lines:
        return _Lines(self.plain[start:end], self.folded[start:end])

    def then(self, other: _Lines) -> _Lines:
        return _Lines(self.plain + other.plain, self.folded + other.folded)

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.plain)

    def only_place(self, want: _Lines) -> int | None:
        """The one place where these lines stand, also for a search that overlooks blanks, or ends within a line."""
        text, wanted = self.text(), want.text()
        first = text.find(wanted)
        if first < 0 or text.find(wanted, first + 1) >= 0:
            return None
        head, size = want.folded[0], len(want.folded)
        places = [i for i, line in enumerate(self.folded) if line == head and self.folded[i : i + size] == want.folded]
        at = text.count("\n", 0, first)
        return at if places == [at] and self.plain[at : at + size] == want.plain else None


def _fold(line: str) -> str:
    return "".join(line.translate(_FOLDED).split())
