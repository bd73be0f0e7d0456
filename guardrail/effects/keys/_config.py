"""What changes in a config file, key by key: YAML, JSON and TOML by their effective content, never by their text.

Not concerned with which key matters. Whatever two readers of the file could understand differently (duplicate keys,
anchors, merge keys, tags, several documents) has no answer here: None, which callers MUST treat as an unknown change.
"""

from __future__ import annotations

import datetime
import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final, TypeGuard

import msgspec
import yaml

MAX_KEYS: Final = 10_000
"""Most keys of one config file that are compared."""

MAX_CONFIG_NESTING: Final = 50
"""Deepest nesting of a config file that is compared, in levels."""

_ABSENT: Final = object()


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """One key whose value differs.

    Args:
        key: dotted path of the key; empty for a document that is no table.
        before: its value before, None if it had none.
        after: its value after, None if it has none.
        had: it was there before.
        has: it is there after.
        retyped: it is there on both sides with another type, such as `true` and `"true"`.
    """

    key: str
    before: Any = None
    after: Any = None
    had: bool = True
    has: bool = True
    retyped: bool = False


class _Unclear(Exception):
    """The text has no single meaning."""


def key_changes(path: str, before: bytes | None, after: bytes) -> tuple[KeyChange, ...] | None:
    """Compare the effective content of a config file before and after.

    Args:
        path: name of the file; its extension says the format.
        before: its content now, None if there is no file.
        after: its content after the change.

    Returns:
        The keys that differ, sorted; None if that cannot be worked out.
    """
    read = _READERS.get(path.rpartition("/")[2].rpartition(".")[2].lower())
    if read is None:
        return None
    try:
        old = dict(_flatten(read(before), "", 0)) if before is not None else {}
        new = dict(_flatten(read(after), "", 0))
    except (_Unclear, ValueError, RecursionError, yaml.YAMLError, OverflowError):
        return None
    if len(old) > MAX_KEYS or len(new) > MAX_KEYS:
        return None
    changed = (key for key in sorted({*old, *new}) if not _equal(old.get(key, _ABSENT), new.get(key, _ABSENT)))
    return tuple(_change(key, old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in changed)


def _change(key: str, before: Any, after: Any) -> KeyChange:
    had, has = before is not _ABSENT, after is not _ABSENT
    return KeyChange(
        key=key,
        before=before if had else None,
        after=after if has else None,
        had=had,
        has=has,
        retyped=had and has and type(before) is not type(after),
    )


def _equal(left: Any, right: Any) -> bool:
    """Same type and value all the way down: True, 1 and "true" are three things."""
    if type(left) is not type(right):
        return False
    if _is_list(left) and _is_list(right):
        return len(left) == len(right) and all(_equal(a, b) for a, b in zip(left, right, strict=True))
    if _is_table(left) and _is_table(right):
        return left.keys() == right.keys() and all(_equal(left[k], right[k]) for k in left)
    return bool(left == right) and repr(left) == repr(right)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_table(value: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def _flatten(value: Any, key: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Leaves by dotted key; an empty table is a leaf, a list is one value."""
    if depth > MAX_CONFIG_NESTING:
        raise _Unclear("nested too deep")
    if not _is_table(value) or not value:
        _check_plain(value, depth)
        if key or value not in ({}, None):
            yield key, _plain(value)
        return
    for name, item in value.items():
        if not isinstance(name, str) or name == "" or "." in name:
            # A dotted name would look like a nested key, a number or a boolean like its text.
            raise _Unclear("a key is no plain name")
        yield from _flatten(item, f"{key}.{name}" if key else name, depth + 1)


def _check_plain(value: Any, depth: int) -> None:
    if depth > MAX_CONFIG_NESTING:
        raise _Unclear("nested too deep")
    if _is_list(value):
        for item in value:
            _check_plain(item, depth + 1)
    elif _is_table(value):
        for name, item in value.items():
            if not isinstance(name, str):
                raise _Unclear("a key is no plain name")
            _check_plain(item, depth + 1)


def _plain(value: Any) -> Any:
    """As JSON can carry it: dates become text."""
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        raise _Unclear("binary value")
    if _is_list(value):
        return [_plain(item) for item in value]
    if _is_table(value):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, float) and value != value:
        raise _Unclear("not a number")
    return value


def _text(data: bytes) -> str:
    text = data.decode("utf-8")
    if text.startswith("\ufeff"):
        raise _Unclear("byte order mark")
    return text


def _read_json(data: bytes) -> Any:
    return json.loads(_text(data), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise _Unclear("duplicate key")
    return table


def _no_constant(name: str) -> Any:
    raise _Unclear(f"{name} is not JSON")


def _read_toml(data: bytes) -> Any:
    return tomllib.loads(_text(data))


def _read_yaml(data: bytes) -> Any:
    """One document of plain mappings, lists and scalars."""
    text = _text(data)
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken | yaml.DirectiveToken):
            raise _Unclear("anchor, alias, tag or directive")
    nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    if len(nodes) > 1:
        raise _Unclear("several documents")
    if not nodes:
        return {}
    _check_yaml(nodes[0], 0)
    return yaml.safe_load(text)


_YAML_BOOLEANS: Final = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
_YAML_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")


def _check_yaml(node: yaml.Node, depth: int) -> None:
    if depth > MAX_CONFIG_NESTING:
        raise _Unclear("nested too deep")
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode) or name.tag != "tag:yaml.org,2002:str" or name.value in names:
                raise _Unclear("a key that is no text, or stands twice")
            names.add(name.value)
            _check_yaml(value, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_yaml(item, depth + 1)
    elif node.tag == "tag:yaml.org,2002:bool" and node.value not in _YAML_BOOLEANS:
        # `yes` is true to readers of YAML 1.1 and a text to those of 1.2.
        raise _Unclear("a boolean of YAML 1.1 only")
    elif node.tag == "tag:yaml.org,2002:int" and not _YAML_INTEGER.fullmatch(node.value):
        raise _Unclear("a number of YAML 1.1 only")


_READERS: Final = {
    "json": _read_json,
    "toml": _read_toml,
    "yaml": _read_yaml,
    "yml": _read_yaml,
}
