"""Where released calls have taken an asset, by the records of the trail: also to where no sweep can look.

Not concerned with copies on this host that nobody noted; `_sweep` finds those by what is in them.
Blind spots: a record lists sixteen effects of a call; what ran without being judged is in no trail.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from guardrail.obligations._events import Finding, Terms
from guardrail.obligations.world._stores import Store

LOOK_BACK_US: Final = 30 * 24 * 3600 * 1_000_000
"""How far before the order calls are looked at, in microseconds."""

_TAKING: Final = frozenset({"copy", "net_send", "api_copy", "rename"})
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SEGMENT: Final = re.compile(r"(\d{20})\.seg")

Records = Callable[[int], Iterable[tuple[int, Mapping[str, Any]]]]
"""The records of the trail from a number on."""


class Lookback:
    """Reads the trail once, and goes on from there when it is asked again.

    Args:
        trail: the directory of the trail.
        records: reads it.
    """

    def __init__(self, trail: Path, records: Records) -> None:
        self._trail = trail
        self._records = records
        self._next: dict[str, int] = {}
        self._found: dict[str, dict[tuple[str, bool], int]] = {}

    def findings(self, terms: Terms, stores: Iterable[Store], allowed: Callable[[str], bool]) -> Iterator[Finding]:
        """Addresses to which an asset went and from which it is not known to be gone.

        Args:
            terms: what is owed of it.
            stores: who can be asked whether it is still there.
            allowed: whether the order lets a copy be at an address.

        Raises:
            OSError: if the trail cannot be read.
        """
        known = self._found.setdefault(terms.id, {})
        first = self._next.get(terms.id)
        since_us = terms.opened_us - LOOK_BACK_US
        for seq, record in self._records(first_since(self._trail, since_us) if first is None else first):
            self._next[terms.id] = seq + 1
            if record.get("kind") == "intent" and int(record.get("t_us", 0)) >= since_us:
                before = int(record["t_us"]) < terms.opened_us
                for target in targets(record, terms.asset):
                    known.setdefault((target, before), seq)
        for (target, before), seq in known.items():
            store = next((store for store in stores if store.owns(target)), None)
            if allowed(target) or (store is not None and store.holds(target).result == "absent"):
                continue
            when = "before" if before else "after"
            says = f"a call took it to `{target}` {when} its deletion was ordered (record {seq})"
            yield Finding(kind="copied_before" if before else "copied_during", says=says, path=target)


def targets(record: Mapping[str, Any], asset: str) -> Iterator[str]:
    """Addresses elsewhere to which a released call took an asset."""
    for effect in cast("list[Mapping[str, Any]]", record.get("effects") or ()):
        target = str(effect.get("target") or "")
        if effect.get("asset") == asset and effect.get("op") in _TAKING and _ADDRESS.match(target):
            yield target


def first_since(trail: Path, since_us: int) -> int:
    """The first record of the oldest segment that was still written to at a time, or after it.

    Args:
        trail: the directory of the trail, which nobody but the guard writes to.
        since_us: the time, in microseconds since 1970.
    """
    for name in sorted(os.listdir(trail)):
        match = _SEGMENT.fullmatch(name)
        if match is not None and (trail / name).stat().st_mtime_ns // 1000 >= since_us:
            return int(match[1])
    return 0
