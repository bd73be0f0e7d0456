"""What changes in a config file, key by key: by its effective content, never by its text.

Not concerned with which key matters, nor with formats (`_formats`). Whatever two readers of the file could understand
differently (duplicate keys, anchors, merge keys, tags) has no answer here: None, which callers MUST treat as an unknown
change.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import yaml

from guardrail.effects.keys._formats import (
    MAX_CONFIG_NESTING,
    Document,
    is_list,
    is_table,
    object_name,
    read_document,
)
from guardrail.effects.keys._regex import Unclear

MAX_KEYS: Final = 10_000
"""Most keys of one config file that are compared."""

_ABSENT: Final = object()


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """One key whose value differs.

    Args:
        key: dotted path of the key; empty for a document that is no table. In a file of Kubernetes objects it begins
            with `kind/name`, and a name with a dot in it stands in quotes.
        before: its value before, None if it had none.
        after: its value after, None if it has none.
        had: it was there before.
        has: it is there after.
        retyped: it is there on both sides with another type, such as `true` and `"true"`.
        typed: the format has types; if not, all values are texts.
    """

    key: str
    before: Any = None
    after: Any = None
    had: bool = True
    has: bool = True
    retyped: bool = False
    typed: bool = True


def key_changes(path: str, before: bytes | None, after: bytes) -> tuple[KeyChange, ...] | None:
    """Compare the effective content of a config file before and after.

    Args:
        path: name of the file; its extension says the format.
        before: its content now, None if there is no file.
        after: its content after the change.

    Returns:
        The keys that differ, sorted; None if that cannot be worked out.
    """
    try:
        new_document = read_document(path, after)
        old_document = read_document(path, before) if before else Document(tables={}, typed=new_document.typed)
        old = dict(_keys(old_document))
        new = dict(_keys(new_document))
    except (Unclear, ValueError, RecursionError, yaml.YAMLError, OverflowError):
        return None
    if len(old) > MAX_KEYS or len(new) > MAX_KEYS or old_document.typed != new_document.typed:
        return None
    changed = (key for key in sorted({*old, *new}) if not _equal(old.get(key, _ABSENT), new.get(key, _ABSENT)))
    typed = new_document.typed
    return tuple(_change(key, old.get(key, _ABSENT), new.get(key, _ABSENT), typed=typed) for key in changed)


def _keys(document: Document) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for name, table in document.tables.items():
        for key, value in _flatten(table, name, 0, objects=bool(name), typed=document.typed):
            if key in seen:
                raise Unclear("two keys that look the same")
            seen.add(key)
            yield key, value


def _change(key: str, before: Any, after: Any, *, typed: bool) -> KeyChange:
    had, has = before is not _ABSENT, after is not _ABSENT
    return KeyChange(
        key=key,
        before=before if had else None,
        after=after if has else None,
        had=had,
        has=has,
        retyped=had and has and type(before) is not type(after),
        typed=typed,
    )


def _equal(left: Any, right: Any) -> bool:
    """Same type and value all the way down: True, 1 and "true" are three things."""
    if type(left) is not type(right):
        return False
    if is_list(left) and is_list(right):
        return len(left) == len(right) and all(_equal(a, b) for a, b in zip(left, right, strict=True))
    if is_table(left) and is_table(right):
        return left.keys() == right.keys() and all(_equal(left[k], right[k]) for k in left)
    return bool(left == right) and repr(left) == repr(right)


def _flatten(value: Any, key: str, depth: int, *, objects: bool, typed: bool) -> Iterator[tuple[str, Any]]:
    """Leaves by dotted key; an empty table is a leaf, a list is one value."""
    if depth > MAX_CONFIG_NESTING:
        raise Unclear("nested too deep")
    if not is_table(value) or not value:
        _check_plain(value, depth)
        if key or value not in ({}, None):
            yield key, _plain(value)
        return
    for name, item in value.items():
        if not isinstance(name, str) or name == "":
            raise Unclear("a key is no plain name")
        if "." in name and typed:
            # A dotted name would look like a nested key; the objects of Kubernetes are full of them.
            if not objects:
                raise Unclear("a key is no plain name")
            name = json.dumps(name, ensure_ascii=False)
        yield from _flatten(item, f"{key}.{name}" if key else name, depth + 1, objects=objects, typed=typed)


def _check_plain(value: Any, depth: int) -> None:
    if depth > MAX_CONFIG_NESTING:
        raise Unclear("nested too deep")
    if is_list(value):
        for item in value:
            _check_plain(item, depth + 1)
    elif is_table(value):
        for name, item in value.items():
            if not isinstance(name, str):
                raise Unclear("a key is no plain name")
            _check_plain(item, depth + 1)


def _plain(value: Any) -> Any:
    """As JSON can carry it: dates become text."""
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        raise Unclear("binary value")
    if is_list(value):
        return [_plain(item) for item in value]
    if is_table(value):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, float) and value != value:
        raise Unclear("not a number")
    return value


__all__ = ["KeyChange", "Unclear", "key_changes", "object_name"]
