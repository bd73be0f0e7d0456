"""Whether an event is what OCSF says, by the facts of one release of its schema that lie beside this module.

The facts are numbers, names, types and requirements (`scripts/ocsf_facts.py` cuts them out of the published schema).
Blind spot: it does not know what a field means, only what may stand in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from guardrail.audit.reading.fields import items, number, table, texts

FACTS_FILE: Final = Path(__file__).with_name("ocsf-facts.json")
"""The facts, with their source, release and the digest of what they were cut from."""

_BASE: Final = {"boolean_t": bool, "integer_t": int, "long_t": int, "float_t": float, "string_t": str}


@cache
def facts() -> dict[str, Any]:
    """The facts of the schema."""
    value: dict[str, Any] = json.loads(FACTS_FILE.read_bytes())
    return value


def problems(event: object) -> list[str]:
    """What of an event is not as the schema says, each with its place; nothing for a good one."""
    found = table(event)
    uid = number(found.get("class_uid"))
    kind = None if uid is None else facts()["classes"].get(str(uid))
    if uid is None or kind is None:
        return [f"class_uid: `{found.get('class_uid')}` is no class that is known here"]
    profiles = texts(table(found.get("metadata")).get("profiles"))
    out = [
        f"metadata.profiles: `{name}` is no profile of the class" for name in profiles if name not in kind["profiles"]
    ]
    out += _members(found, kind, "", frozenset(profiles))
    if found.get("category_uid") != kind["category"]:
        out.append(f"category_uid: is not {kind['category']}, that of the class")
    if found.get("type_uid") != uid * 100 + (number(found.get("activity_id")) or 0):
        out.append("type_uid: is not class_uid * 100 + activity_id")
    if table(found.get("metadata")).get("version") != facts()["version"]:
        out.append("metadata.version: is not that of the schema")
    return out


def _members(value: dict[str, Any], members: dict[str, Any], at: str, profiles: frozenset[str]) -> Iterator[str]:
    attributes = members["attributes"]
    for name, item in value.items():
        known = attributes.get(name)
        if known is None or not _applies(known, profiles):
            yield f"{at}{name}: is no attribute here"
        else:
            yield from _attribute(item, known, f"{at}{name}", profiles)
    for name, known in attributes.items():
        if known["requirement"] == "required" and name not in value and _applies(known, profiles):
            yield f"{at}{name}: is required"
    constraints = members.get("constraints", {})
    for names, low, high in (
        (constraints.get("at_least_one"), 1, None),
        (constraints.get("just_one"), 1, 1),
    ):
        count = sum(name in value for name in names or ())
        if names and (count < low or (high is not None and count > high)):
            yield f"{at}: needs {'one' if high else 'at least one'} of {', '.join(names)}"


def _applies(known: dict[str, Any], profiles: frozenset[str]) -> bool:
    """Whether an attribute is there: one that a profile brings is not, without that profile."""
    return not known.get("profiles") or not profiles.isdisjoint(known["profiles"])


def _attribute(value: object, known: dict[str, Any], at: str, profiles: frozenset[str]) -> Iterator[str]:
    if known.get("array"):
        if not isinstance(value, list):
            yield f"{at}: is no array"
            return
        for place, item in enumerate(items(value)):  # pyright: ignore[reportUnknownArgumentType]
            yield from _value(item, known, f"{at}[{place}]", profiles)
    else:
        yield from _value(value, known, at, profiles)


def _value(value: object, known: dict[str, Any], at: str, profiles: frozenset[str]) -> Iterator[str]:
    name = known["type"]
    if known.get("object"):
        if not isinstance(value, dict):
            yield f"{at}: is no object"
        elif name in facts()["objects"]:
            yield from _members(table(cast("object", value)), facts()["objects"][name], f"{at}.", profiles)
        elif name != "object":
            yield f"{at}: nothing is known here of the object `{name}`"
        return
    if name != "json_t":
        yield from _scalar(value, name, at)
    if "enum" in known and str(value) not in known["enum"]:
        yield f"{at}: `{value}` is not one of its values"


def _scalar(value: object, name: str, at: str) -> Iterator[str]:
    kind = facts()["types"].get(name, {})
    base = _BASE.get(kind.get("type", name))
    if base is None or not isinstance(value, base) or (base is int and isinstance(value, bool)):
        yield f"{at}: is no {name}"
        return
    if "max_len" in kind and isinstance(value, str) and len(value) > kind["max_len"]:
        yield f"{at}: is longer than {kind['max_len']} characters"
    if "range" in kind and isinstance(value, int) and not kind["range"][0] <= value <= kind["range"][1]:
        yield f"{at}: is not from {kind['range'][0]} to {kind['range'][1]}"
