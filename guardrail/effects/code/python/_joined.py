"""What two values are together, where a point is reached by two ways; and what becomes of one that grows."""

from __future__ import annotations

from typing import Any

from guardrail.effects.code.python._carried import can_act, carried
from guardrail.effects.code.python._values import MAX_OPTIONS, Const, Either, Ref, Text, Unknown, Value, options
from guardrail.effects.domain._values import NUM, TOP, merge


def join(left: Value | None, right: Value | None) -> Value:
    """One value or the other; None is a name that is not set, which nothing can be done with."""
    if left is right or right is None:
        return left if left is not None else Unknown()
    if left is None:
        return right
    if isinstance(left, Text) and isinstance(right, Text) and left.path == right.path:
        return Text((*left.alternatives, *right.alternatives), merge(left.sources, right.sources), path=left.path)
    if isinstance(left, Const) and isinstance(right, Const) and same_const(left.value, right.value):
        return Const(left.value, merge(left.sources, right.sources))
    if isinstance(left, Unknown) and isinstance(right, Unknown):
        return Unknown(
            merge(left.sources, right.sources),
            hidden=left.hidden or right.hidden,
            numeric=left.numeric and right.numeric,
        )
    found: list[Value] = []
    for option in (*options(left), *options(right)):
        if not any(option is other or equal(option, other) for other in found):
            found.append(option)
    if len(found) > MAX_OPTIONS:
        return Unknown(carried(Either(tuple(found))), hidden=any(can_act(option) for option in found))
    return found[0] if len(found) == 1 else Either(tuple(found))


def same_const(left: Any, right: Any) -> bool:
    """The same value of the same type."""
    return type(left) is type(right) and bool(left == right)


def equal(left: Value, right: Value) -> bool:
    """Two values that need not be told apart."""
    if left is right:
        return True
    if type(left) is not type(right) or left.sources != right.sources:
        return False
    if isinstance(left, Text) and isinstance(right, Text):
        return left.alternatives == right.alternatives and left.path == right.path
    if isinstance(left, Const) and isinstance(right, Const):
        return same_const(left.value, right.value)
    if isinstance(left, Ref) and isinstance(right, Ref):
        return left.name == right.name
    if isinstance(left, Unknown) and isinstance(right, Unknown):
        return left.hidden == right.hidden and left.numeric == right.numeric
    if isinstance(left, Either) and isinstance(right, Either) and len(left.options) == len(right.options):
        return all(equal(a, b) for a, b in zip(left.options, right.options, strict=True))
    return False


def widened(value: Value) -> Value:
    """What a value may be that changes in every round of a loop."""
    if isinstance(value, Text):
        same = all(set(text) <= set("0123456789-" + NUM) for text in value.alternatives)
        return Text((NUM if same else TOP,), value.sources, path=value.path)
    if isinstance(value, Const) and isinstance(value.value, int | float):
        return Unknown(value.sources, numeric=True)
    if isinstance(value, Unknown):
        return value
    return Unknown(carried(value), hidden=can_act(value))
