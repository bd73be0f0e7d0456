"""Fields being put together from the parts of a word.

Not concerned with what a part stands for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from guardrail.effects.domain._paths import escape
from guardrail.effects.domain._values import MAX_TEXT, TOP, Field, merge
from guardrail.model import Resource
from guardrail.parse.ir import Word
from guardrail.patterns import lazy

_TOPS = re.compile(f"{TOP}{{2,}}")
_GLOB = re.compile(r"[*?]|\[.+\]", re.DOTALL)
_BRACKET = lazy(r"\[[!^]?[A-Za-z0-9_.\-]+\]")


def joined(texts: Sequence[str]) -> str:
    """One text of several; what is unknown side by side is unknown once."""
    return _TOPS.sub(TOP, "".join(texts))


def plain_fields(words: Sequence[Word]) -> tuple[Field, ...] | None:
    """The fields of words in which nothing is expanded; None if there is one in which something is."""
    found: list[Field] = []
    for word in words:
        text = word.plain
        if text is None:
            return None
        found.append(Field(text=text, span=(word.start, word.end)))
    return tuple(found)


class Piece:
    """A field being put together."""

    __slots__ = ("active", "counted", "glob", "many", "named", "outer", "present", "room", "sources", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.glob: list[str] = []
        self.active = False  # has glob characters that count
        self.many = False
        self.named = False
        self.counted = False
        self.outer = False
        self.present = False  # stands even when empty
        self.sources: tuple[Resource, ...] = ()
        self.room = MAX_TEXT

    def literal(self, text: str) -> None:
        """Add what stands for itself."""
        self.room -= len(text)
        if self.room < 0:
            return
        self.text.append(text)
        self.glob.append(escape(text))
        self.present = True

    def pattern(self, text: str) -> None:
        """Add what may match names of files."""
        self.room -= len(text)
        if self.room < 0:
            return
        self.text.append(text)
        self.glob.append(text.replace("\\", "?"))
        self.active = self.active or any(c in text for c in "*?[")

    def field(self, span: tuple[int, int]) -> Field:
        """The field, all parts together."""
        if self.room < 0:
            return Field(text=TOP, many=True, sources=self.sources, span=span)
        text = joined(self.text)
        whole = "".join(self.glob) if self.active else ""
        glob = _tidy(whole) if _GLOB.search(whole) else None
        return Field(
            text=text,
            glob=glob,
            many=self.many,
            outer=self.outer,
            named=self.named,
            counted=self.counted,
            sources=self.sources,
            span=span,
        )


def unsplit(pieces: Sequence[Piece]) -> list[Piece]:
    """Beside a dollar that begins nothing bash may leave an expansion unsplit, and it may be mended one day."""
    whole = Piece()
    whole.many = True
    whole.literal(TOP)
    for piece in pieces:
        whole.sources = merge(whole.sources, piece.sources)
    return [whole]


def _tidy(glob: str) -> str:
    """Bracket expressions that Python and bash read differently become `?`."""
    if "[" not in glob:
        return glob
    out: list[str] = []
    i = 0
    while i < len(glob):
        if glob[i] != "[":
            out.append(glob[i])
            i += 1
        elif glob.startswith(("[*]", "[?]", "[[]"), i):
            out.append(glob[i : i + 3])
            i += 3
        elif match := _BRACKET.match(glob, i):
            out.append(match[0].replace("[^", "[!"))
            i = match.end()
        else:
            return "".join(out) + TOP  # anything may follow
    return "".join(out)
