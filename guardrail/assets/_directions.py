"""Which way a change of a key goes: whether a control gets weaker, stronger, or nobody can tell.

Not concerned with which change is permitted: that is policy's to say. Values are compared as people mean them (numbers
with units of time or size, lists of names, booleans of formats without types); two values that cannot be compared are
`unknown`, never equal.
"""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

from guardrail.config import Weakens

Direction = Literal["weakens", "strengthens", "unknown", "same"]
"""What a change does to a control; `unknown` is a question for a person."""

_Way = Literal["weakens", "strengthens"]

MAX_LIST_ITEMS: Final = 10_000
"""Most items of a list that are compared, one by one; a longer one is `unknown`."""

MAX_CHECKED_PATTERNS: Final = 64
"""Most patterns in a list that may cover what another list names; further ones cover nothing."""

MAX_TEXT_CHARS: Final = 64 * 1024
"""Longest text that is compared as a number or a list, in characters."""

_ABSENT: Final = object()


def direction(weakens: Weakens, before: Any, after: Any, *, had: bool, has: bool, typed: bool = True) -> Direction:
    """Say which way a change of a control key goes.

    Args:
        weakens: the change that makes this control weaker.
        before: its value now.
        after: its value after the change.
        had: it has a value now.
        has: it will have a value.
        typed: values have types; without, each is a text that its reader interprets.

    Returns:
        `unknown` wherever two readers of the file could take the change for different things.
    """
    old = before if had and before is not None else _ABSENT
    new = after if has and after is not None else _ABSENT
    if old is _ABSENT and new is _ABSENT:
        return "same"
    if weakens == "any":
        return "weakens"
    if weakens == "ask":
        return "unknown"
    if weakens == "removed":
        return "weakens" if new is _ABSENT or _is_empty(new) else "strengthens"
    if weakens == "people":
        found = direction("narrower", before, after, had=had, has=has, typed=typed)
        # One more person to ask may be the one who says yes; a higher number of them is more to convince.
        return "unknown" if found == "strengthens" and _amount(new, typed=typed) is None else found
    if new is _ABSENT:
        # What is left is a default that is not known here: only of a switch that does harm can it be the better one.
        return "unknown" if weakens == "true" else "weakens"
    if weakens in ("true", "false"):
        return _of_switch(new, bad=weakens == "true", typed=typed)
    more: Literal["weakens", "strengthens"] = "weakens" if weakens in ("up", "wider") else "strengthens"
    less: Literal["weakens", "strengthens"] = "strengthens" if more == "weakens" else "weakens"
    if weakens in ("wider", "narrower"):
        return _of_members(old, new, more, less, typed=typed)
    return _of_amount(old, new, more, less, typed=typed)


# -- switches

_ON: Final = frozenset("true on yes enabled enable".split())
_OFF: Final = frozenset("false off no disabled disable 0".split())


def _of_switch(value: Any, *, bad: bool, typed: bool) -> Direction:
    on = _switch(value, typed=typed)
    if on is None:
        return "unknown"
    return "weakens" if on is bad else "strengthens"


def _switch(value: Any, *, typed: bool) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _OFF:
            return False
        # The text "yes" in a file with types is true to some readers only, and `1` to none of some others.
        return True if word in _ON and not typed else None
    if isinstance(value, int | float) and value == 0:
        return False
    return None


def _is_empty(value: Any) -> bool:
    return value is False or value in ("", 0) or (isinstance(value, list | dict) and not value)


# -- amounts

_AMOUNT: Final = re.compile(r"([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-zµ%]*)")
_SECONDS: Final[Mapping[str, float]] = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60, "h": 3600, "hr": 3600, "hrs": 3600, "hour": 3600,
    "hours": 3600, "d": 86400, "day": 86400, "days": 86400, "w": 604800, "week": 604800, "weeks": 604800,
}  # fmt: skip
_BYTES: Final[Mapping[str, float]] = {
    "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "k": 1e3, "g": 1e9, "t": 1e12,
    "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip


def _of_amount(old: Any, new: Any, more: _Way, less: _Way, *, typed: bool) -> Direction:
    left, right = _amount(old, typed=typed), _amount(new, typed=typed)
    if left is None or right is None or left[1] != right[1]:
        return "unknown"
    if left[0] == right[0]:
        return "same"
    if more == "weakens" and right[0] <= 0 < left[0]:
        # An interval or a delay of nothing is often the spelling of "never".
        return "unknown"
    return more if right[0] > left[0] else less


def _amount(value: Any, *, typed: bool) -> tuple[float, str] | None:
    """A number, and what it counts: seconds, bytes, parts of a hundred, or just things."""
    if isinstance(value, bool) or value is _ABSENT:
        return None
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return None
        return (number, "") if math.isfinite(number) else None
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
        return None
    match = _AMOUNT.fullmatch(value.strip())
    if match is None:
        return None
    number, unit = float(match[1]), match[2].lower()
    if not math.isfinite(number):
        return None
    if unit == "":
        # In a file with types a number in quotes is no number to every reader.
        return None if typed else (number, "")
    if unit == "%":
        return number, "%"
    if unit in _SECONDS:
        return number * _SECONDS[unit], "s"
    return (number * _BYTES[unit], "B") if unit in _BYTES else None


# -- members


def _of_members(old: Any, new: Any, more: _Way, less: _Way, *, typed: bool) -> Direction:
    if isinstance(new, bool) or (isinstance(old, bool) and not isinstance(new, list)):
        # `allow_all: true` is the widest of all lists, and `approvals: false` the shortest.
        on = _switch(new, typed=typed)
        return "unknown" if on is None else more if on else less
    if _amount(old, typed=typed) is not None and _amount(new, typed=typed) is not None:
        return _of_amount(old, new, more, less, typed=typed)
    right = _members(new, typed=typed)
    if right is None:
        return "unknown"
    if old is _ABSENT:
        # A list of those who must be asked is better than none; a list of what is allowed may be wider than none.
        return "strengthens" if more == "strengthens" and right else "unknown"
    left = _members(old, typed=typed)
    if left is None:
        return "unknown"
    gained = not all(_is_covered(item, left) for item in right)
    lost = not all(_is_covered(item, right) for item in left)
    if not right and left:
        # Nothing on a list of what is allowed is, to some readers, no list at all.
        return "unknown" if more == "weakens" else "weakens"
    if not gained and not lost:
        return "same"
    if gained and lost:
        return "weakens"
    return more if gained else less


def _members(value: Any, *, typed: bool) -> tuple[str, ...] | None:
    if isinstance(value, dict):
        items: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, list):
        items = value  # pyright: ignore[reportUnknownVariableType]
    elif isinstance(value, str) and len(value) <= MAX_TEXT_CHARS:
        # One name in a file with types is a list of one to those who read a list there.
        items = [value] if typed and "," not in value else [part for part in re.split(r"[,\s]+", value) if part]
    else:
        return None
    if len(items) > MAX_LIST_ITEMS:
        return None
    return tuple(item if isinstance(item, str) else repr(item) for item in items)


def _is_covered(item: str, others: Sequence[str]) -> bool:
    if item in _set(tuple(others)):
        return True
    return any(_pattern(other).fullmatch(item) is not None for other in _patterns(tuple(others)))


@lru_cache(maxsize=8)
def _set(items: tuple[str, ...]) -> frozenset[str]:
    return frozenset(items)


@lru_cache(maxsize=8)
def _patterns(items: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(item for item in items if "*" in item)[:MAX_CHECKED_PATTERNS]


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """What a pattern is sure to cover: `*` alone is everything; elsewhere a star stays within one part of a name."""
    if text.strip("*") == "":
        return re.compile(r".*", re.DOTALL)
    return re.compile("".join(r"[^/.:*@]+" if part == "*" else re.escape(part) for part in re.split(r"(\*)", text)))


# -- names of keys

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_OVERSEERS: Final = frozenset(
    "shutdown shutoff killswitch oversight monitor monitoring audit auditing auditor guardrail guardrails approval "
    "approvals reviewer review human safety sandbox alert alerts alerting alarm enforcement reaper deadman watchdog "
    "termination decommission decommissioning retirement supervision supervisor verification logging telemetry".split()
)
"""Words for what oversees others, in the names of keys and tables."""

_SWITCHES: Final = frozenset("enabled enable required require active enforced enforce mandatory on".split())
_HARMS: Final = frozenset("disabled disable skip bypass exempt suppress suppressed ignore mute muted paused".split())
_PACES: Final = frozenset("interval period cadence".split())
_DELAYS: Final = frozenset("timeout grace delay cooldown".split())
_CHECKS: Final = frozenset("check poll heartbeat evaluation eval scan health watch".split()) | _OVERSEERS
_LIMITS: Final = frozenset("threshold thresholds cutoff".split())
_LIMITS_ABOVE: Final = frozenset("alert alarm anomaly suspicion error risk violation detection max maximum".split())
_LIMITS_BELOW: Final = frozenset("shutdown min minimum score pass passing accept acceptance quality retirement".split())
_COUNTS: Final = frozenset("approvals quorum signatures".split())
_PEOPLE: Final = frozenset("approvers reviewers signers auditors overseers".split())
_WIDE: Final = frozenset(
    "allowlist whitelist allowed permitted trusted exempt exemptions exceptions exclusions".split()
)
_STRICT: Final = frozenset("denylist blocklist blacklist denied blocked forbidden".split())


def by_name(key: str) -> Weakens | None:
    """What weakens a key that nobody declared, by what it is called; None if its name says nothing.

    Args:
        key: dotted path of the key.
    """
    parts = [_words(part) for part in key.replace("/", ".").split(".")]
    leaf, above = parts[-1], frozenset(word for part in parts[:-1] for word in part)
    return _by_words(leaf, above)


def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORD.findall(name))


def _by_words(leaf: Sequence[str], above: frozenset[str]) -> Weakens | None:
    words = frozenset(leaf)
    around = words | above
    oversees = bool(around & _OVERSEERS)
    # What takes an order back goes before what carries it out: `disable_monitoring`.
    if _is_protection(words):
        return "false"
    if oversees and (words & _HARMS or tuple(leaf) == ("dry", "run")):
        return "true"
    if words & _PEOPLE:
        return "people"
    if words & _STRICT or words & _COUNTS:
        return "narrower"
    if words & _WIDE:
        return "wider"
    if around & _LIMITS:
        return "up" if around & _LIMITS_ABOVE else "down" if around & _LIMITS_BELOW else "ask"
    if words & {"min", "minimum"} and words & {"score", "accuracy"}:
        return "down"
    if around & _CHECKS and "frequency" in words:
        return "ask"  # checks in an hour, or hours between checks
    if (around & _CHECKS and words & _PACES) or (oversees and words & _DELAYS):
        return "up"
    return "false" if oversees and words & _SWITCHES else None


def _is_protection(words: frozenset[str]) -> bool:
    if "protection" in words:
        return bool(words & {"deletion", "delete", "termination"})
    return {"prevent", "destroy"} <= words


def matching(key: str, patterns: Mapping[str, Weakens]) -> Iterator[tuple[str, Weakens]]:
    """The declared patterns that a key fits, in their order; `*` alone is left out."""
    for pattern, weakens in patterns.items():
        if pattern != "*" and fnmatch.fnmatchcase(key, pattern):
            yield pattern, weakens
