"""What every table has in common, and the words of its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, get_args

import msgspec

Weakens = Literal["false", "true", "up", "down", "wider", "narrower", "people", "removed", "any", "ask", "none"]
"""The change that makes a control weaker: switched off or on, a larger or smaller amount, more or fewer members, its
removal, any change. Of `ask` nobody can tell but a person, and `none` says that the key is no control."""

WEAKENS: Final[tuple[Weakens, ...]] = get_args(Weakens)
"""The words for it."""

Maturity = Literal["observe", "escalate", "deny"]
"""How far a rule is rolled out: the most that it may ask for, `observe` being nothing at all."""

PROTECTED: Final = ("guard.", "guardrail.", "review.")
"""Families of rules that always hold: the guard's own files, what is not understood, faults, and what people gave."""


def is_protected(rule: str) -> bool:
    """Whether this rule can be neither observed nor softened, in whatever mode.

    Args:
        rule: id of the rule.
    """
    return rule.startswith(PROTECTED)


def dotted(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys with dots, however they were written: TOML reads `a.b = true` as a table in a table.

    Args:
        table: keys and values, some of which may be tables again.
        prefix: what stands before each key.

    Returns:
        Dotted keys, with values that are no tables.
    """
    for key, value in table.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{key}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            yield f"{prefix}{key}", value


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table that refuses unknown keys."""
