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


def concrete(value: Value, depth: int = 0) -> Plain | None:
    """The Python value of text, numbers, lists and dictionaries; None if any part is unknown."""
    if depth > 32:
        return None
    if isinstance(value, Text):
        exact = value.exact
        return Plain(exact) if exact is not None and not value.path else None
    if isinstance(value, Const):
        return Plain(value.value)
    if isinstance(value, Seq) and value.known:
        items = [concrete(item, depth + 1) for item in value.items]
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
            inner = concrete(item, depth + 1)
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


def printed(value: Value) -> tuple[str, ...]:
    """What `str()` of a value may be."""
    if isinstance(value, Text):
        return value.alternatives
    if isinstance(value, Const):
        kept = isinstance(value.value, bool | int | float | bytes | type(None))
        return (str(value.value),) if kept and len(str(value.value)) < MAX_TEXT else (TOP,)
    if isinstance(value, Unknown) and value.numeric:
        return (NUM,)
    if isinstance(value, Either):
        found = tuple(dict.fromkeys(text for option in value.options for text in printed(option)))
        return found if len(found) <= MAX_OPTIONS else (TOP,)
    if isinstance(value, Seq | Dict):
        plain = concrete(value)
        return (str(plain.value),) if plain is not None else (TOP,)
    return (TOP,)
