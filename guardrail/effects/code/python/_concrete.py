"""From abstract values to those of Python, and back.

Not concerned with values that are known only in part.
"""

from __future__ import annotations

from typing import Any, Final

from guardrail.effects.code.python._values import (
    MAX_ITEMS,
    MAX_OPTIONS,
    Const,
    Dict,
    Either,
    Seq,
    Sources,
    Text,
    Unknown,
    Value,
)
from guardrail.effects.domain._values import MAX_TEXT, NUM, TOP

MAX_DIGITS: Final = 10**4000
"""Numbers from here on are not printed: Python itself refuses a little later."""


class Plain:
    """A Python value that an abstract one exactly stands for."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def is_key(value: Any) -> bool:
    """It can be a key of a dictionary that is followed."""
    return isinstance(value, str | int | bool | float | bytes | type(None)) or type(value) is tuple


def concrete_items(value: Any) -> list[Any]:
    """The items of a tuple, or the one value that is none."""
    return [*value] if type(value) is tuple else [value]


MAX_PLAIN: Final = 64 * 1024
"""Most items and characters of a value that is worked out."""


class _Size:
    """How much of a value was taken so far: lists of lists of the same list would not end."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_PLAIN


def concrete(value: Value, depth: int = 0, size: _Size | None = None) -> Plain | None:
    """The Python value of text, numbers, lists and dictionaries; None if any part is unknown, or it is too large."""
    if isinstance(value, Seq | Dict):
        size = size if size is not None else _Size()
        size.left -= len(value.items) + 1
        if depth > 32 or size.left < 0:
            return None
    elif depth and size is not None and isinstance(value, Text):
        size.left -= len(value.alternatives[0])
    if isinstance(value, Text):
        exact = value.exact
        return Plain(exact) if exact is not None and not value.path else None
    if isinstance(value, Const):
        return Plain(value.value)
    if isinstance(value, Seq) and value.known and value.later is None:
        items = [concrete(item, depth + 1, size) for item in value.items]
        plain = [item.value for item in items if item is not None]
        if len(plain) != len(items):
            return None
        try:
            return Plain(plain if value.kind == "list" else tuple(plain) if value.kind == "tuple" else set(plain))
        except TypeError:
            return None
    if isinstance(value, Dict) and value.rest is None:
        out: dict[Any, Any] = {}
        for key, item in value.items.items():
            inner = concrete(item, depth + 1, size)
            if inner is None:
                return None
            out[key] = inner.value
        return Plain(out)
    return None


_KINDS: Final[dict[Any, str]] = {list: "list", tuple: "tuple", set: "set", frozenset: "set", dict: "dict"}


def abstract(value: Any, sources: Sources = (), born: int = 0, depth: int = 0) -> Value:
    """The abstract value of a Python one."""
    if isinstance(value, str):
        return Text((value,), sources)
    if isinstance(value, bool | int | float | complex | bytes | type(None)):
        return Const(value, sources)
    if depth > 32:
        return Unknown(sources)
    kind = _KINDS.get(value.__class__)
    if kind is None:
        return Unknown(sources)
    if kind == "dict":
        return Dict({key: abstract(item, sources, born, depth + 1) for key, item in value.items()}, born=born)
    if len(value) > MAX_ITEMS:
        return Seq([], kind, rest=Unknown(sources), born=born)
    return Seq([abstract(item, sources, born, depth + 1) for item in value], kind, born=born)


def _unordered(value: Value, depth: int = 0) -> bool:
    """A set of several is in it: in which order they are printed is not known."""
    if isinstance(value, Seq):
        several = value.kind == "set" and len(value.items) > 1
        return several or depth > 4 or any(_unordered(item, depth + 1) for item in value.items[:64])
    if isinstance(value, Dict):
        return depth > 4 or any(_unordered(item, depth + 1) for item in list(value.items.values())[:64])
    return False


def printed(value: Value) -> tuple[str, ...]:
    """What `str()` of a value may be."""
    if isinstance(value, Text):
        return value.alternatives
    if isinstance(value, Const):
        kept = isinstance(value.value, bool | int | float | bytes | type(None))
        if not kept or (isinstance(value.value, int) and abs(value.value) >= MAX_DIGITS):
            return (TOP,)
        return (str(value.value),) if len(str(value.value)) < MAX_TEXT else (TOP,)
    if isinstance(value, Unknown) and value.numeric:
        return (NUM,)
    if isinstance(value, Either):
        found = tuple(dict.fromkeys(text for option in value.options for text in printed(option)))
        return found if len(found) <= MAX_OPTIONS else (TOP,)
    if isinstance(value, Seq | Dict):
        plain = concrete(value) if not _unordered(value) else None
        return (str(plain.value),) if plain is not None else (TOP,)
    return (TOP,)
