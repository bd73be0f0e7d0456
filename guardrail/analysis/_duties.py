"""What was owed and how it ended, and what people ordered. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from guardrail.analysis._counts import Counts
from guardrail.audit.reading import fields
from guardrail.audit.reading.fields import UNKNOWN, Record, table, text, texts

MAX_DUTIES: Final = 5_000
"""Most duties that are followed one by one; of more, the oldest are only counted."""

MAX_STATES: Final = 8
"""Most states that are told of one duty; of more, the last ones."""

MAX_VIOLATIONS: Final = 16
"""Most kinds of violations that are told of one duty."""

DONE: Final = frozenset({"met", "discharged"})
"""States in which nothing is owed any more, because it was done."""


class Duty(msgspec.Struct, kw_only=True):
    """One duty as it stood last.

    Args:
        name: its id.
        what: effect and asset.
        agent: who owes it.
        state: the last state that was recorded.
        states: every state that it was seen in, in their order; at most `MAX_STATES`.
        seq: number of the record that says so.
        t_us: when, in microseconds since the epoch.
        tries: calls that would have done it, by outcome.
        violations: what was wrong with it.
        evidence: what the last look saw.
        word: who said that the guard shall do it itself.
        certificate: digest of the certificate that it was done.
    """

    name: str
    what: str = UNKNOWN
    agent: str = UNKNOWN
    state: str = UNKNOWN
    states: tuple[str, ...] = ()
    seq: int = 0
    t_us: int | None = None
    tries: tuple[str, ...] = ()
    violations: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    word: str = ""
    certificate: str = ""


class Duties:
    """Folds records of obligations and orders."""

    def __init__(self) -> None:
        self.duties: OrderedDict[str, Duty] = OrderedDict()
        self.forgotten = 0
        self.orders = Counts()
        self.mandates = Counts()

    @property
    def states(self) -> Counts:
        """How many stand how."""
        found = Counts()
        for duty in self.duties.values():
            found.add("all", duty.state)
        return found

    def used(self, record: Record) -> None:
        """A decision that rests on orders."""
        for use in fields.items(record.get("mandates")):
            self.mandates.add(text(table(use).get("mandate")) or UNKNOWN, "calls")

    def take(self, seq: int, record: Record, t_us: int | None) -> None:
        """Go on by one record."""
        if fields.kind_of(record) == "order":
            self.orders.add("all", fields.status_of(record) or UNKNOWN)
            return
        own = fields.body(record)
        name = text(record.get("obligation")) or text(own.get("id")) or UNKNOWN
        duty = self.duties.pop(name, None) or Duty(name=name)
        self.duties[name] = duty
        duty.seq, duty.t_us = seq, t_us
        duty.agent = fields.agent_of(record) or duty.agent
        if asset := text(own.get("asset")):
            duty.what = f"{text(own.get('effect')) or 'act on'} {asset}"
        duty.state = _state(record, duty.state)
        if duty.states[-1:] != (duty.state,):
            duty.states = (*duty.states, duty.state)[-MAX_STATES:]
        _note(duty, record)
        if len(self.duties) > MAX_DUTIES:
            self.duties.popitem(last=False)
            self.forgotten += 1


def _state(record: Record, before: str) -> str:
    """How it stands: `met` from the moment that it was seen to be done, `discharged` when nothing is owed any more."""
    own = fields.body(record)
    stage = text(own.get("stage")) or text(record.get("stage"))
    if stage == "discharged":
        return stage
    return text(own.get("state")) or text(record.get("state")) or before


def _note(duty: Duty, record: Record) -> None:
    if attempts := table(record.get("attempts")):
        duty.tries = tuple(f"{fields.number(count) or 0} {outcome}" for outcome, count in sorted(attempts.items()))
    duty.violations = tuple(dict.fromkeys((*duty.violations, *fields.violations_of(record))))[:MAX_VIOLATIONS]
    what = table(record.get("what"))
    if text(what.get("event")) == "worded":
        duty.word = text(what.get("by")) or UNKNOWN
    duty.certificate = text(what.get("certificate")) or duty.certificate
    if seen := texts(record.get("evidence")):
        duty.evidence = tuple(seen[:4])
