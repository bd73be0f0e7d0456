"""Texts that are hard on a regular expression, made from its own structure.

Not concerned with what an expression is for. Every part that may be repeated without end is repeated very often, with
as little as possible before it, and then something follows that does not fit: an expression that can split such a text
in many ways tries all of them.
"""

from __future__ import annotations

import importlib
import re
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

_parser: Any = importlib.import_module("re._parser")
_names: Any = importlib.import_module("re._constants")

_REPEATS: Final = (_names.MAX_REPEAT, _names.MIN_REPEAT, _names.POSSESSIVE_REPEAT)
_LOOKS: Final = (_names.ASSERT, _names.ASSERT_NOT)
_CATEGORIES: Final = {
    _names.CATEGORY_DIGIT: "7", _names.CATEGORY_SPACE: " ", _names.CATEGORY_WORD: "a",
    _names.CATEGORY_NOT_DIGIT: "a", _names.CATEGORY_NOT_SPACE: "!", _names.CATEGORY_NOT_WORD: "!",
}  # fmt: skip
_OTHERS: Final = "a /'\"x1-.\n(~"
_MANY: Final = 50
"""A part that may stand more often than that is repeated."""

VARIANTS: Final = 2
"""How many characters of a class, and how many alternatives, are tried."""

ODD: Final = "\x01"
"""What hardly any expression has a place for."""


def hostile(pattern: str | bytes, flags: int, length: int) -> Iterator[str]:
    """Texts of about a length that an expression may be slow to refuse.

    Args:
        pattern: the expression.
        flags: as for `re.compile`.
        length: in characters.
    """
    tree = _parser.parse(pattern, flags)
    for part in _repeated(tree):
        for variant in range(VARIANTS):
            text = _sample(tree, part, length, variant)
            if len(text) < length // 2:
                continue
            yield text
            yield text[:-1] + ODD
            yield text[:length] + ODD
            head = text[: max(len(text) - length, 0) + 3]
            yield (head * (length // len(head) + 1))[:length]


def _inner(name: Any, value: Any) -> list[Any]:
    """The parts of one node."""
    if name in _REPEATS:
        return [value[2]]
    if name is _names.SUBPATTERN:
        return [value[3]]
    if name is _names.BRANCH:
        return list(value[1])
    if name in _LOOKS:
        return [value[1]]
    return [value] if name is _names.ATOMIC_GROUP else []


def _repeated(tree: Any) -> Iterator[Any]:
    for name, value in tree:
        if name in _REPEATS and value[1] > _MANY:
            yield value[2]
        for part in _inner(name, value):
            yield from _repeated(part)


def _holds(tree: Any, part: Any) -> bool:
    return any(inner is part or _holds(inner, part) for name, value in tree for inner in _inner(name, value))


def _of_class(members: Any, variant: int) -> str:
    names = [name for name, _ in members]
    if _names.NEGATE in names:
        plain = [char for char in _OTHERS if not any(_is(member, char) for member in members)]
        return plain[variant % len(plain)] if plain else "\x02"
    chars: list[str] = []
    for name, value in members:
        if name is _names.CATEGORY:
            chars.append(_CATEGORIES[value])
        else:
            chars.append(chr(value if name is _names.LITERAL else value[0]))
    return chars[variant % len(chars)]


def _is(member: Any, char: str) -> bool:
    name, value = member
    if name is _names.LITERAL:
        return bool(ord(char) == value)
    if name is _names.RANGE:
        return bool(value[0] <= ord(char) <= value[1])
    if name is _names.CATEGORY:
        return {"7": char.isdigit(), " ": char.isspace(), "a": char.isalnum()}.get(_CATEGORIES[value], False)
    return False


def _sample(tree: Any, part: Any, length: int, variant: int) -> str:
    """A text that fits, with one part of it repeated."""
    out: list[str] = []
    for name, value in tree:
        if name is _names.LITERAL:
            out.append(chr(value))
        elif name is _names.NOT_LITERAL:
            out.append("b" if value == ord("a") else "a")
        elif name is _names.ANY:
            out.append("a")
        elif name is _names.IN:
            out.append(_of_class(value, variant))
        elif name in _REPEATS:
            out.append(_of_repeat(value, part, length, variant))
        elif name is _names.BRANCH:
            fits = [one for one in value[1] if one is part or _holds(one, part)]
            chosen = fits[0] if fits else value[1][variant % len(value[1])]
            out.append(_sample(chosen, part, length, variant))
        elif name not in _LOOKS or _holds([(name, value)], part):
            out.extend(_sample(inner, part, length, variant) for inner in _inner(name, value))
    return "".join(out)


def _of_repeat(value: Any, part: Any, length: int, variant: int) -> str:
    least, _, inner = value
    text = _sample(inner, part, length, variant)
    if inner is part:
        return text * (length // max(len(text), 1))
    return text if _holds(inner, part) else text * min(least, _MANY)


class TooSlow(BaseException):
    """An expression is at it for too long."""


def bounded(ask: Callable[[str], object], text: str, seconds: float) -> bool:
    """Whether a question is answered within some time of this process's own, however busy the machine is.

    Args:
        ask: the question.
        text: what is asked about.
        seconds: how much of the processor it may take.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        ask(text)
    except TooSlow:
        return False
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return True


def all_of(pattern: re.Pattern[str]) -> Callable[[str], object]:
    """Looks for every place where an expression fits."""

    def ask(text: str) -> object:
        return sum(1 for _ in pattern.finditer(text))

    return ask
