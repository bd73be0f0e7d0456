"""What was decided: by outcome, agent, asset, rule and time, with faults and what was only observed. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

from guardrail.analysis._counts import Counts, Timeline
from guardrail.audit.reading import fields
from guardrail.audit.reading.fields import UNKNOWN, Record

OUTCOMES: Final = ("allow", "escalate", "deny")
"""What can be decided, mildest first."""

KEPT: Final = 50
"""How many of the newest faults, escalations and changes are listed one by one."""


class Decisions:
    """Folds `intent` and `decision` records, and the results that follow them."""

    def __init__(self) -> None:
        self.outcomes = Counts()
        self.agents = Counts()
        self.assets = Counts()
        self.rules = Counts()
        self.ops = Counts()
        self.results = Counts()
        self.over_time = Timeline()
        self.total = self.on_assets = self.observed = self.granted = self.faults = 0
        self.newest_faults: deque[tuple[int, int | None, str, str]] = deque(maxlen=KEPT)

    def take(self, seq: int, record: Record, t_us: int | None) -> None:
        """Go on by one decision."""
        outcome = fields.outcome_of(record)
        outcome = outcome if outcome in OUTCOMES else UNKNOWN
        self.total += 1
        self.outcomes.add("all", outcome)
        self.agents.add(fields.agent_of(record) or UNKNOWN, outcome)
        if t_us is not None:
            self.over_time.add(t_us, outcome)
        assets = fields.assets_of(record)
        self.on_assets += bool(assets)
        for asset in assets:
            self.assets.add(asset, outcome)
        for rule in fields.rules_of(record):
            self.rules.add(rule, outcome)
        for op in dict.fromkeys(fields.text(effect.get("op")) for effect in fields.effects_of(record)):
            self.ops.add(op or UNKNOWN, outcome)
        self.observed += bool(record.get("observed"))
        self.granted += bool(record.get("grant"))
        if record.get("fault"):
            self.faults += 1
            self.newest_faults.append((seq, t_us, outcome, fields.text(record.get("fault")) or UNKNOWN))

    def take_result(self, record: Record) -> None:
        """Go on by one result; one record may answer several intents."""
        result = fields.text(record.get("result")) or UNKNOWN
        for _ in fields.intents_of(record) or (0,):
            self.results.add("all", result if result in ("completed", "failed", "paused") else UNKNOWN)
