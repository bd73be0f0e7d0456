"""Manifests and patches of Kubernetes objects: which objects a text names, and which of their keys it sets.

Not concerned with what the cluster holds: there is no value before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import yaml

from guardrail.effects.keys._formats import (
    MAX_CONFIG_NESTING,
    is_list,
    is_table,
    load_json,
    load_yaml,
    with_data,
)
from guardrail.effects.keys._regex import Unclear

MAX_OBJECTS: Final = 500
"""Most objects of one manifest."""

MAX_OBJECT_KEYS: Final = 5_000
"""Most keys of one object or patch."""

_FAILURES: Final = (Unclear, ValueError, RecursionError, OverflowError, yaml.YAMLError)
_REFERENCES: Final = {
    "claimName": "PersistentVolumeClaim",
    "persistentVolumeClaimName": "PersistentVolumeClaim",
    "volumeSnapshotName": "VolumeSnapshot",
    "volumeSnapshotContentName": "VolumeSnapshotContent",
    "snapshotHandle": "VolumeSnapshotContent",
    "secretName": "Secret",
    "volumeName": "PersistentVolume",
}


class ManifestObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a manifest.

    Args:
        kind: as written, such as `ConfigMap`.
        name: its name; empty if it is generated.
        namespace: as written; empty if it is not given.
        keys: dotted key and value of all that it sets, lists as one value.
        references: kind and name of other objects whose content it takes: volumes, snapshots, claims.
    """

    kind: str
    name: str
    namespace: str
    keys: tuple[tuple[str, Any], ...]
    references: tuple[tuple[str, str], ...]


def manifest_objects(text: str) -> tuple[ManifestObject, ...] | None:
    """The objects of a manifest, YAML or JSON, lists entered.

    Returns:
        The objects in order; None if the text has no single meaning or holds anything else.
    """
    try:
        documents = [load_json(text)] if text.lstrip()[:1] == "{" else load_yaml(text)
        found: list[ManifestObject] = []
        for document in documents:
            if document is not None:
                found.extend(_objects(document))
        return tuple(found) if len(found) <= MAX_OBJECTS else None
    except _FAILURES:
        return None


def _objects(document: Any) -> Iterator[ManifestObject]:
    if not is_table(document) or not isinstance(document.get("kind"), str):
        raise Unclear("a document that is no object")
    items = document.get("items")
    if document["kind"].endswith("List") and is_list(items):
        for item in items:
            yield from _objects(item)
        return
    metadata = document.get("metadata")
    facts = metadata if is_table(metadata) else {}
    name, namespace = facts.get("name", ""), facts.get("namespace", "")
    if not isinstance(name, str) or not isinstance(namespace, str):
        raise Unclear("a name that is no text")
    body = {key: value for key, value in with_data(document).items() if key not in ("kind", "apiVersion")}
    keys = tuple(_leaves(body, ""))
    if len(keys) > MAX_OBJECT_KEYS:
        raise Unclear("too many keys")
    references = tuple(dict.fromkeys(_references(body, 0)))
    yield ManifestObject(kind=document["kind"], name=name, namespace=namespace, keys=keys, references=references)


def patch_keys(text: str) -> tuple[tuple[str, Any], ...] | None:
    """The keys that a patch sets: a JSON merge patch, a strategic merge patch, or a list of JSON patch operations.

    Returns:
        Dotted key and value; the value of what is removed is None. None if the text is not understood.
    """
    try:
        value = load_json(text) if text.lstrip()[:1] in ("{", "[") else _only(load_yaml(text))
        keys = tuple(_operations(value) if is_list(value) else _leaves(_table(value), ""))
        return keys if keys and len(keys) <= MAX_OBJECT_KEYS else None
    except _FAILURES:
        return None


def _only(documents: list[Any]) -> Any:
    if len(documents) != 1:
        raise Unclear("several documents")
    return documents[0]


def _table(value: Any) -> dict[Any, Any]:
    if not is_table(value):
        raise Unclear("a patch that is no table")
    return value


def _operations(operations: list[Any]) -> Iterator[tuple[str, Any]]:
    for operation in operations:
        verb, path = _table(operation).get("op"), operation.get("path")
        if verb == "test":
            continue
        if verb not in ("add", "remove", "replace", "move", "copy") or not isinstance(path, str):
            raise Unclear("an operation that is not known")
        key = _pointer(path)
        if verb in ("add", "replace"):
            value = operation.get("value")
            yield from _leaves(value, key) if is_table(value) and value else [(key, value)]
            continue
        if verb in ("move", "copy"):
            source = operation.get("from")
            if not isinstance(source, str):
                raise Unclear("an operation without a source")
            if verb == "move":
                yield _pointer(source), None
        yield key, None


def _pointer(path: str) -> str:
    """A JSON pointer as a dotted key; a name with a dot stands in quotes."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
    return ".".join(f'"{part}"' if "." in part else part for part in parts)


def _leaves(value: Any, key: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if depth > MAX_CONFIG_NESTING:
        raise Unclear("nested too deep")
    if not is_table(value) or not value:
        yield key, value
        return
    for name, item in value.items():
        if not isinstance(name, str) or not name:
            raise Unclear("a key is no plain name")
        shown = f'"{name}"' if "." in name else name
        yield from _leaves(item, f"{key}.{shown}" if key else shown, depth + 1)


def _references(value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if depth > MAX_CONFIG_NESTING:
        raise Unclear("nested too deep")
    if is_list(value):
        for item in value:
            yield from _references(item, depth + 1)
        return
    if not is_table(value):
        return
    for name, item in value.items():
        if name in ("dataSource", "dataSourceRef") and is_table(item):
            kind, other = item.get("kind"), item.get("name")
            if isinstance(kind, str) and isinstance(other, str):
                yield kind, other
        elif name in _REFERENCES and isinstance(item, str):
            yield _REFERENCES[name], item
        yield from _references(item, depth + 1)
