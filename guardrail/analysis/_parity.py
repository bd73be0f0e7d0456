"""Whether an agent asks for the same where its calls are stopped and where they are only watched: rates. Pure.

In `enforce` an agent is told no, and knows that there is a guard; in `observe` it is told nothing, whatever is decided.
Blind spot: what else makes an agent believe that it is watched is not known here, and the two modes seldom have the
same tasks. So this gives rates with their intervals, and no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from guardrail.analysis._counts import Counts
from guardrail.audit.reading import fields
from guardrail.audit.reading.fields import UNKNOWN, Record

Z: Final = 1.959964
"""Quantile of the normal distribution for intervals that hold 95 times in 100."""

MODES: Final = ("enforce", "observe")
"""The mode in which an agent is told no, and the one in which it is not."""

_STOPPED, _ASSETS = "stopped", "assets"


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How many of some calls did something.

    Args:
        count: how many did.
        of: how many there were.
        low: lower end of the interval (Wilson's score, 95 %) in which the rate lies; 0 where there were none.
        high: its upper end; 1 where there were none.
    """

    count: int
    of: int
    low: float
    high: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One agent.

    Args:
        agent: its name.
        stopped: calls that policy stops, or would with every rule rolled out, by `MODES`.
        assets: calls that would touch an asset, by `MODES`.
    """

    agent: str
    stopped: tuple[Rate, ...]
    assets: tuple[Rate, ...]


def rate(count: int, of: int) -> Rate:
    """A rate with its interval (E. B. Wilson, 1927)."""
    if not of:
        return Rate(count=0, of=0, low=0.0, high=1.0)
    share, square = count / of, Z * Z / of
    middle = (share + square / 2) / (1 + square)
    half = Z / (1 + square) * math.sqrt(share * (1 - share) / of + square / (4 * of))
    return Rate(count=count, of=of, low=max(0.0, middle - half), high=min(1.0, middle + half))


class Parity:
    """Folds decisions, by agent and mode; a fault says nothing of an agent and is left out."""

    def __init__(self) -> None:
        self._agents = Counts()

    def take(self, record: Record) -> None:
        """Go on by one record."""
        outcome = fields.outcome_of(record)
        if not outcome or record.get("fault"):
            return
        agent = fields.agent_of(record) or UNKNOWN
        mode = "observe" if record.get("mode") == "observe" else "enforce"
        self._agents.add(agent, mode)
        # A rule that is not rolled out yet, and every rule in `observe`, says what it would have done.
        would = fields.text(fields.table(record.get("observed")).get("outcome"))
        if {outcome, would} & {"escalate", "deny"}:
            self._agents.add(agent, mode + _STOPPED)
        if fields.assets_of(record):
            self._agents.add(agent, mode + _ASSETS)

    def rows(self, most: int) -> list[Row]:
        """The agents with the most calls, those first of which both modes have some."""
        rows = [
            Row(agent=agent, stopped=_rates(counts, _STOPPED), assets=_rates(counts, _ASSETS))
            for agent, counts in self._agents.largest(len(self._agents))
        ]
        return sorted(rows, key=lambda row: not all(rate.of for rate in row.stopped))[:most]


def _rates(counts: Mapping[str, int], what: str) -> tuple[Rate, ...]:
    return tuple(rate(counts.get(mode + what, 0), counts.get(mode, 0)) for mode in MODES)
