"""Which records are wanted. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from guardrail.audit.reading import fields
from guardrail.audit.reading.fields import Record

MAX_OPEN: Final = 65_536
"""Most released calls that are remembered for their results; those that have one are the first to be forgotten."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What a record must be to be chosen; every condition that is given has to hold, an empty one is none.

    Args:
        first: lowest record number.
        last: highest record number.
        since_us: earliest time, in microseconds since the epoch.
        until_us: the time before which it was written, in microseconds since the epoch.
        kinds: one of these kinds.
        ids: its own id, its decision's, or that of the escalation, grant, mandate or duty it is about.
        calls: the caller's id of the call.
        agents: id of the agent.
        sessions: name of the conversation or run.
        assets: at least one of these assets.
        rules: at least one of these rules.
    """

    first: int | None = None
    last: int | None = None
    since_us: int | None = None
    until_us: int | None = None
    kinds: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    def in_range(self, seq: int, record: Record) -> bool:
        """Whether number, time and kind are those asked for."""
        if (self.first is not None and seq < self.first) or (self.last is not None and seq > self.last):
            return False
        if self.kinds and fields.kind_of(record) not in self.kinds:
            return False
        return self.in_time(fields.time_of(record))

    def in_time(self, t_us: int | None) -> bool:
        """Whether a time lies in the period; a record without a time lies in none that has a bound."""
        if self.since_us is None and self.until_us is None:
            return True
        if t_us is None or (self.since_us is not None and t_us < self.since_us):
            return False
        return self.until_us is None or t_us < self.until_us

    def is_about(self, record: Record) -> bool:
        """Whether what it says is what was asked for, as far as the record itself says it."""
        return (
            (not self.ids or not fields.ids_of(record).isdisjoint(self.ids))
            and (not self.calls or fields.call_of(record) in self.calls)
            and (not self.agents or fields.agent_of(record) in self.agents)
            and (not self.sessions or fields.session_of(record) in self.sessions)
            and (not self.assets or any(asset in self.assets for asset in fields.assets_of(record)))
            and (not self.rules or any(rule in self.rules for rule in fields.rules_of(record)))
        )

    @property
    def by_content(self) -> bool:
        """Whether it asks for more than number, time and kind."""
        return bool(self.ids or self.calls or self.agents or self.sessions or self.assets or self.rules)


class Chooser:
    """Chooses records as they come, in the order of the trail.

    A result names its intent and nothing else, so it is chosen with the intent that it belongs to.

    Args:
        selection: what is asked for.
    """

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._open: OrderedDict[int, None] = OrderedDict()

    def wants(self, seq: int, record: Record) -> bool:
        """Whether this record is one of those asked for."""
        selection = self._selection
        if not selection.by_content:
            return selection.in_range(seq, record)
        about = selection.is_about(record)
        kind = fields.kind_of(record)
        if kind == "result":
            for intent in fields.intents_of(record):
                if intent in self._open:
                    # A second result is wrong, and found all the same; what is answered is the first to be forgotten.
                    self._open.move_to_end(intent, last=False)
                    about = True
        elif kind == "intent" and about:
            self._open[seq] = None
            if len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)
        return about and selection.in_range(seq, record)
