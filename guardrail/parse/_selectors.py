"""Places in the arguments of a call, as a tool's description names them, and what stands there.

Not concerned with what is done with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeGuard, cast

from guardrail.parse._operations import Operation
from guardrail.toolspec import lists_of, pieces

MAX_ROWS: Final = 1024
"""Most operations that the lists in one call's arguments may stand for."""

MISSING: Final = object()
"""Nothing stands there."""


class Mismatch(Exception):
    """The arguments are not those of the entry.

    Args:
        reason: what is not understood.
        parts: what was understood of them all the same.
    """

    def __init__(self, reason: str, parts: tuple[Operation, ...] = ()) -> None:
        super().__init__(reason)
        self.parts = parts


class Pair:
    """One entry of an object that is gone through."""

    __slots__ = ("key", "value")

    def __init__(self, key: str, value: Any) -> None:
        self.key = key
        self.value = value


class Selector:
    """A compiled selector: which row's object it starts from, and the steps from there."""

    __slots__ = ("base", "name", "optional", "steps")

    def __init__(self, text: str) -> None:
        self.optional = text.endswith("?")
        text = text.rstrip("?")
        chain = tuple(lists_of(text))
        self.base = len(chain)
        rest = text[len(chain[-1]) + 1 :] if chain else text
        self.steps = tuple(rest.split(".")) if rest else ("#value",)
        self.name = text

    def value(self, row: Sequence[Any]) -> Any:
        """What it leads to; `MISSING` for nothing, null counts as nothing."""
        found = row[self.base] if self.base < len(row) else MISSING
        for step in self.steps:
            if step == "#value":
                found = found.value if isinstance(found, Pair) else found
            elif isinstance(found, Pair):
                found = found.key if step == "#key" else get(found.value, step)
            else:
                found = get(found, step)
        return MISSING if found is None else found


def get(value: Any, key: str) -> Any:
    """What an object has under a key; `MISSING` for nothing, and for what is no object."""
    return value.get(key, MISSING) if is_table(value) else MISSING


class Row:
    """What the roles of an entry lead to in one item of the lists, or in the whole arguments.

    Args:
        objects: the arguments, and the item of each list on the way.
        given: for each role the selectors that lead to something, with what they lead to.
    """

    __slots__ = ("given", "objects")

    def __init__(self, objects: tuple[Any, ...], given: dict[str, list[tuple[Selector, Any]]]) -> None:
        self.objects = objects
        self.given = given


class Place:
    """A place in a template: what may fill it, and the text for when nothing does."""

    __slots__ = ("default", "selectors")

    def __init__(self, choices: Sequence[str]) -> None:
        self.selectors = tuple(Selector(text) for text in choices if not text.startswith("="))
        self.default = next((text[1:] for text in choices if text.startswith("=")), None)


def compiled(template: str) -> tuple[str | Place, ...]:
    """The texts and the places of a template, in order."""
    return tuple(part if isinstance(part, str) else Place(part) for part in pieces(template))


def values_at(place: Place, row: Row, *, optional: bool) -> list[str]:
    """The texts that fill a place.

    Raises:
        Mismatch: if nothing does and something must, or if it is no text.
    """
    for selector in place.selectors:
        value = selector.value(row.objects)
        if value is MISSING or value == "":
            continue
        if isinstance(value, bool) or not isinstance(value, str | int | float | list):
            raise Mismatch(f"{selector.name} is not text")
        found = strings_only(cast("Any", value)) if isinstance(value, list) else [str(value)]
        if not found:
            raise Mismatch(f"{selector.name} is not a list of texts")
        return found
    if place.default is not None:
        return [place.default]
    if optional:
        return []
    raise Mismatch(f"{place.selectors[0].name} is needed")


def items_at(row: tuple[Any, ...], steps: Sequence[str]) -> list[Any]:
    """The items of the list at the end of the steps; without such a list one item in which nothing is."""
    found = row[-1].value if isinstance(row[-1], Pair) else row[-1]
    for step in steps[:-1]:
        found = get(found, step)
    name = steps[-1]
    if found is MISSING:
        return [MISSING]
    value = get(found, name[:-2])
    if value is MISSING or value is None:
        return [MISSING]
    items = each(value, name[-2:])
    if not items:
        raise Mismatch(f"{name[:-2]} is not a list with something in it")
    return items


def each(value: Any, suffix: str) -> list[Any]:
    """The items of a list, or for `{}` the entries of an object."""
    if suffix == "[]":
        return value if is_list(value) else []
    return [Pair(str(key), item) for key, item in value.items()] if is_table(value) else []


def strings_only(value: Any) -> list[str]:
    """A list of nothing but strings, else an empty one."""
    return value if is_list(value) and all(isinstance(item, str) for item in value) else []


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether it is a JSON array."""
    return isinstance(value, list)


def is_table(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    """Whether it is a JSON object."""
    return isinstance(value, dict)


def strings(value: Any, *, keys: bool = False) -> Iterator[str]:
    """Every string in a value, in order and at any depth.

    Args:
        value: anything JSON can hold.
        keys: the keys of objects too.
    """
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif is_table(item):
            for key, inner in reversed(list(item.items())):
                stack.append(inner)
                if keys:
                    stack.append(str(key))
        elif is_list(item):
            stack.extend(reversed(item))
