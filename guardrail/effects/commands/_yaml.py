"""YAML as plain values for looking things up: several documents, no tags, no way to be surprised.

Not concerned with what a change of a config file means (`guardrail.effects.keys`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeGuard

import yaml

MAX_DOCUMENTS: Final = 256
"""Most documents of one file that are looked at."""

MAX_ALIASES: Final = 64
"""Most aliases of one file: with more, expanding them may cost more than is worth it."""


def documents(text: str) -> list[Any] | None:
    """All documents of a YAML or JSON text; None if it is not understood."""
    if text.count("*") > MAX_ALIASES and text.count("&") > 1:
        return None
    try:
        found = list(yaml.safe_load_all(text))
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError, TypeError):
        return None
    return [one for one in found if one is not None] if len(found) <= MAX_DOCUMENTS else None


def table(value: Any) -> Mapping[str, Any]:
    """The value as a table with text keys; empty for anything else."""
    return {_key(key): item for key, item in value.items()} if _is_table(value) else {}


def items(value: Any) -> Sequence[Any]:
    """The value as a list; empty for anything else."""
    return value if _is_list(value) else ()


def text_of(value: Any) -> str | None:
    """The value as a text; None for anything else."""
    return value if isinstance(value, str) else None


def _key(key: Any) -> str:
    # `on: x` has a boolean for a key, which JSON writes in small letters.
    return str(key).lower() if isinstance(key, bool) else str(key)


def _is_table(value: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
