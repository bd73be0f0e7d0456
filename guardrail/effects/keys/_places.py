"""Places in a document that a path of jq or yq means, and what is set, copied or deleted there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final, Literal

from guardrail.effects.keys._formats import is_list, is_table
from guardrail.effects.keys._regex import Unclear

MAX_INTEGER: Final = 2**53
"""Largest number that every version of jq prints as it was read."""

MAX_PATHS: Final = 300
"""Most places that one assignment may change."""


Dialect = Literal["jq", "yq"]
Step = str | int | None
"""One step of a path: a name, an index, or None for every element."""


Path = tuple[Step, ...]
Update = Callable[[Any], Any]


def arithmetic(operator: str, old: Any, value: Any) -> Any:
    """What `old OPERATOR value` is."""
    if operator == "+" and old is None:
        return value
    if operator == "+" and type(old) is type(value) and isinstance(old, str):
        return old + value
    if operator == "+" and is_list(old) and is_list(value):
        return old + value
    if is_table(old) and is_table(value) and operator in "+*":
        return merging(value, deep=operator == "*")(old)
    if type(old) is not int or type(value) is not int:
        raise Unclear("arithmetic on more than whole numbers")
    out = {"+": old + value, "-": old - value, "*": old * value}[operator]
    if abs(out) > MAX_INTEGER:
        raise Unclear("a large number")
    return out


def merging(value: Any, *, deep: bool) -> Update:
    """`. * value`, or `. + value` where it is not `deep`."""

    def merge(left: Any, right: Any) -> Any:
        if not is_table(left) or not is_table(right):
            return right
        out = dict(left)
        for name, item in right.items():
            out[name] = merge(out[name], item) if deep and name in out else item
        return out

    def update(document: Any) -> Any:
        if not is_table(document) or not is_table(value):
            raise Unclear("what is merged is no table")
        return merge(document, value)

    return update


def copying(paths: list[Path], source: Path) -> Update:
    """What is at `source` goes to all places of `paths`."""

    def update(document: Any) -> Any:
        value = document
        for step in source:
            value = child(value, step)
        return updating(paths, lambda _old: copy.deepcopy(value))(document)

    return update


def child(value: Any, step: Step) -> Any:
    """What a step leads to."""
    if value is None:
        return None
    if isinstance(step, str) and is_table(value):
        return value.get(step)
    if isinstance(step, int) and is_list(value) and -len(value) <= step < len(value):
        return value[step]
    raise Unclear("the filter does not fit the document")


def updating(paths: list[Path], update: Update) -> Update:
    """All places of `paths` are changed."""

    def apply(document: Any) -> Any:
        # All places are those of the document as it was, so that none may be made or taken away by another.
        places = [exact for path in paths for exact in spread(document, path)]
        for index, exact in enumerate(places):
            if any(other[: len(exact)] == exact for other in (*places[:index], *places[index + 1 :])):
                raise Unclear("a place within another")
        for exact in places:
            document = set_at(document, exact, update)
        return document

    return apply


def spread(document: Any, path: Path) -> list[tuple[str | int, ...]]:
    """The places that a path means in a document."""
    found: list[tuple[str | int, ...]] = [()]
    for step in path:
        if step is not None:
            found = [(*exact, step) for exact in found]
            continue
        wider: list[tuple[str | int, ...]] = []
        for exact in found:
            value = document
            for part in exact:
                value = child(value, part)
            if is_table(value):
                wider += [(*exact, name) for name in value]
            elif is_list(value):
                wider += [(*exact, index) for index in range(len(value))]
            else:
                raise Unclear("the filter does not fit the document")
        found = wider
    if len(found) > MAX_PATHS:
        raise Unclear("too many places")
    return found


def set_at(value: Any, path: tuple[str | int, ...], update: Update) -> Any:
    """The value with one place in it changed."""
    if not path:
        # One value may be put in several places, which go on as values of their own.
        return copy.deepcopy(update(value))
    step, rest = path[0], path[1:]
    if isinstance(step, str):
        table: Any = {} if value is None else value
        if not is_table(table):
            raise Unclear("the filter does not fit the document")
        table[step] = set_at(table.get(step), rest, update)
        return table
    if not is_list(value) or not -len(value) <= step < len(value):
        raise Unclear("the filter does not fit the document")
    value[step] = set_at(value[step], rest, update)
    return value


def deleted(document: Any, paths: list[Path]) -> Any:
    """The document without what its `paths` mean."""
    places = [exact for path in paths for exact in spread(document, path)]
    # From the last element on, so that indexes stay what they are.
    for exact in sorted(places, key=lambda one: [(isinstance(step, int), step) for step in one], reverse=True):
        if not exact:
            raise Unclear("the whole document is deleted")
        parent = document
        for step in exact[:-1]:
            parent = child(parent, step)
        last = exact[-1]
        if parent is None:
            continue
        if isinstance(last, str) and is_table(parent):
            parent.pop(last, None)
        elif isinstance(last, int) and is_list(parent) and last >= 0:
            del parent[last : last + 1]
        else:
            raise Unclear("the filter does not fit the document")
    return document
