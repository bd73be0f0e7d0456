"""Whose content a value holds, whether calling what is in it may act, and what it is a part of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from guardrail.effects.code.python._defined import Function, Instance, Klass
from guardrail.effects.code.python._values import (
    Args,
    Bound,
    Const,
    Dict,
    Either,
    Handle,
    Native,
    Partial,
    Ref,
    Seq,
    Sources,
    Text,
    Thing,
    Unknown,
    Value,
)
from guardrail.effects.domain._values import merge


def base_of(value: Value) -> Value:
    """What an attribute of an attribute of something belongs to."""
    while isinstance(value, Bound):
        value = value.owner
    return value


def is_model(value: Value) -> bool:
    """A model, or a part of one."""
    base = base_of(value)
    return isinstance(base, Thing) and base.kind == "model"


def part_of(owner: Value, sources: Sources) -> Unknown:
    """Something that is taken out of an object of which nothing is known."""
    made = Unknown(sources)
    made.parent = owner if isinstance(owner, Unknown | Thing) else None
    return made


MAX_PARENTS: Final = 16
"""How far up it is told that a part got some content."""


def hold(value: Value, sources: Sources) -> None:
    """Something, and what it is a part of, holds content from now on."""
    part: Value | None = base_of(value)
    for _ in range(MAX_PARENTS if sources else 0):
        if isinstance(part, Thing):
            part.held = merge(part.held, sources)
        elif isinstance(part, Unknown | Function):
            part.sources = merge(part.sources, sources)
        part = part.parent if isinstance(part, Unknown) else None
        if part is None:
            return


def store_of(value: Value) -> Thing | None:
    """A file that a library holds open as arrays, if a value is one or a part of one."""
    while isinstance(value, Bound):
        value = value.owner
    return value if isinstance(value, Thing) and value.kind == "<map>" else None


def can_act(value: Value) -> bool:
    """Calling it, or something taken from it, may do something."""
    return any(map(_acts, _within(value, lambda part: isinstance(part, Either | Seq | Dict))))


def _acts(value: Value) -> bool:
    return (isinstance(value, Unknown) and value.hidden) or isinstance(
        value, Ref | Function | Klass | Bound | Partial | Native | Instance | Handle
    )


def carried(value: Value | None) -> Sources:
    """Whose content is in a value, in its items, or held inside it."""
    if value is None:
        return ()
    if isinstance(value, Text | Const | Unknown):
        return value.sources
    found: Sources = ()
    for part in _within(value, lambda part: not isinstance(part, Handle)):
        if part.sources:
            found = merge(found, part.sources)
        if isinstance(part, Thing):
            found = merge(found, part.held)
        elif isinstance(part, Handle):
            places = part.places if "r" in part.mode or "+" in part.mode else ()
            found = merge(merge(found, part.inside), places)
    return found


def _within(value: Value, opens: Callable[[Value], bool]) -> Iterator[Value]:
    """A value and all that is inside of it, each once: lists of lists of the same list would not end.

    Args:
        value: where to begin.
        opens: whether what is inside of a value counts.
    """
    seen: set[int] = set()
    queue: list[Value | None] = [value]
    while queue:
        part = queue.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if opens(part):
            queue.extend(reversed(tuple(_parts(part))))


def content(args: Args) -> Sources:
    """Whose content is in any argument.

    Args:
        args: what a function is given.
    """
    found: Sources = ()
    for value in args.all():
        found = merge(found, carried(value))
    return found


def _parts(value: Value) -> Iterable[Value | None]:
    """The values inside a value."""
    if isinstance(value, Either):
        return value.options
    if isinstance(value, Seq):
        return (*value.items, value.rest)
    if isinstance(value, Dict):
        return (*value.items.values(), value.rest)
    if isinstance(value, Thing):
        return value.facts.values()
    if isinstance(value, Instance):
        return value.names.values()
    if isinstance(value, Partial):
        return value.args.all()
    return (value.owner,) if isinstance(value, Bound) else ()
