"""Brace expansion, which comes before everything else and sees only unquoted text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from guardrail.effects.domain._emit import Bound
from guardrail.parse.ir import Param, Part, Text
from guardrail.patterns import lazy

_SEQUENCE = lazy(r"(-?\d{1,9})\.\.(-?\d{1,9})(?:\.\.(-?\d{1,9}))?|([A-Za-z])\.\.([A-Za-z])(?:\.\.(-?\d{1,9}))?")
_NAME_CHARS = lazy(r"[A-Za-z0-9_]+")
MAX_BRACES: Final = 100
"""Most opening braces in one word that are expanded."""

_FIRST: Final = 0xF0000
"""Private character that stands for the first part which is not plain text."""


def braces(parts: Sequence[Part], count: Callable[[int], None]) -> Iterator[Sequence[Part]]:
    """The words that one word becomes.

    Args:
        parts: the word.
        count: told how many words come of it, before they are made; raises at its bound.
    """
    if not any(isinstance(part, Text) and not part.quoted and "{" in part.text for part in parts):
        yield parts
        return
    if sum(part.text.count("{") for part in parts if isinstance(part, Text) and not part.quoted) > MAX_BRACES:
        raise Bound("too many braces")
    held: list[Part] = []
    text: list[str] = []
    for part in parts:
        if isinstance(part, Text) and not part.quoted and not any(ord(c) >= _FIRST for c in part.text):
            text.append(part.text)
        else:
            text.append(chr(_FIRST + len(held)))
            held.append(part)
    for word in _expand("".join(text), count):
        yield _restore(word, held)


def _restore(word: str, held: Sequence[Part]) -> list[Part]:
    out: list[Part] = []
    plain = ""
    for char in word:
        if ord(char) >= _FIRST:
            if plain:
                out.append(Text(text=plain))
            plain = ""
            out.append(held[ord(char) - _FIRST])
        else:
            plain += char
    if plain or not out:
        out.append(Text(text=plain))
    return _glued(out)


def _glued(parts: list[Part]) -> list[Part]:
    """`{a,$X}b` is `ab $Xb`: the expansion comes before names are read."""
    for index in range(len(parts) - 1):
        left, right = parts[index], parts[index + 1]
        if isinstance(left, Param) and left.bare and isinstance(right, Text) and not right.quoted:
            match = _NAME_CHARS.match(right.text)
            if match is not None:
                parts[index] = Param(name=left.name + match[0], bare=True)
                parts[index + 1] = Text(text=right.text[match.end() :])
    return parts


def _expand(text: str, count: Callable[[int], None]) -> list[str]:
    start = text.find("{")
    while start >= 0:
        close, commas = _matching(text, start)
        if close is None:
            start = text.find("{", start + 1)
            continue
        inner = text[start + 1 : close]
        if commas:
            cuts = [start, *commas, close]
            choices = [word for a, b in itertools.pairwise(cuts) for word in _expand(text[a + 1 : b], count)]
        elif match := _SEQUENCE.fullmatch(inner):
            choices = _sequence(match, count)
        else:
            start = text.find("{", start + 1)
            continue
        tails = _expand(text[close + 1 :], count)
        count(len(choices) * len(tails))
        return [text[:start] + choice + tail for choice in choices for tail in tails]
    return [text]


def _matching(text: str, start: int) -> tuple[int | None, list[int]]:
    """The brace that closes the one at `start`, and the commas directly inside."""
    depth = 0
    commas: list[int] = []
    for i in range(start, len(text)):
        char = text[i]
        if char == "{":
            depth += 1
        elif char == "," and depth == 1:
            commas.append(i)
        elif char == "}":
            depth -= 1
            if depth == 0:
                return i, commas
    return None, []


def _sequence(match: re.Match[str], count: Callable[[int], None]) -> list[str]:
    if match[1] is not None:
        first, last, step = int(match[1]), int(match[2]), abs(int(match[3] or 1)) or 1
        count(abs(last - first) // step + 1)
        padded = any(re.match(r"-?0\d", text) for text in (match[1], match[2]))
        width = max(len(match[1]), len(match[2])) if padded else 0
        return [f"{n:0{width}d}" for n in _steps(first, last, step)]
    first, last, step = ord(match[4]), ord(match[5]), abs(int(match[6] or 1)) or 1
    return [chr(n) for n in _steps(first, last, step)]


def _steps(first: int, last: int, step: int) -> range:
    return range(first, last + 1, step) if first <= last else range(first, last - 1, -step)
