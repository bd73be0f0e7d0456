"""How a duty stands, for people and programs; and what has happened to one, on its way into the trail."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from guardrail.obligations._codec import to_plain
from guardrail.obligations._duty import Duty, Stage, State, Violation
from guardrail.obligations._events import Event, Reminded
from guardrail.printing import printable, shortened

MAX_LINES: Final = 8
"""Most sentences of evidence in a record."""

MAX_CHARS: Final = 320
"""Longest sentence of evidence in a record, in characters; of a longer one the middle is left out."""


class ObligationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One duty and how it stands.

    Args:
        id: `mandate/obligation`.
        mandate: id of the mandate that opened it.
        subject: pattern of agents that owe it.
        effect: what is owed, such as `delete`.
        asset: on which asset.
        state: `open`, `met`, `unmet`, or `withdrawn` with its mandate.
        stage: how far it is: `open`, `attempted`, `effect_seen`, `absent_1`, `absent_2`, `discharged`, `withdrawn`.
        due_us: until when, in microseconds since 1970.
        attempts: calls judged so far that would have done it, by outcome.
        evidence: what was looked at and what it showed.
        violations: what was ever wrong, in order.
        waits_for_person: nobody but a person can get it on.
        held: who has put it on hold, with commas between them; empty if nobody has.
        certificate: digest of the certificate, if there is one.
    """

    id: str
    mandate: str
    subject: str
    effect: str
    asset: str
    state: State
    stage: Stage = "open"
    due_us: int = 0
    attempts: dict[str, int] = {}
    evidence: tuple[str, ...] = ()
    violations: tuple[Violation, ...] = ()
    waits_for_person: bool = False
    held: str = ""
    certificate: str = ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of what was ever wrong, each once."""
        return tuple(dict.fromkeys(one.kind for one in self.violations))


def status_of(duty: Duty) -> ObligationStatus:
    """How a duty stands."""
    terms = duty.terms
    return ObligationStatus(
        id=terms.id,
        mandate=terms.mandate,
        subject=terms.subject,
        effect=terms.effect,
        asset=terms.asset,
        state=duty.state,
        stage=duty.stage,
        due_us=terms.due_us,
        attempts=dict(duty.attempts),
        evidence=duty.evidence,
        violations=duty.violations,
        waits_for_person=duty.waits_for_person,
        held=duty.held,
        certificate=duty.certificate,
    )


def facts_of(duty: Duty) -> dict[str, Any]:
    """Everything that is known of a duty, as plain values."""
    facts: dict[str, Any] = msgspec.to_builtins(duty)
    return {**facts, "state": duty.state, "stage": duty.stage, "waits_for_person": duty.waits_for_person}


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Something that people have to hear of.

    Args:
        kind: a violation, or `overdue`.
        says: the same in a sentence.
    """

    kind: str
    says: str


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way into the trail.

    Args:
        duty: the duty after it.
        event: what happened.
        alarms: what people have to hear of because of it.
    """

    duty: Duty
    event: Event
    alarms: tuple[Alarm, ...] = ()

    @property
    def record(self) -> dict[str, Any]:
        """The record: the event, and how the duty stands after it."""
        duty = self.duty
        terms = duty.terms
        record: dict[str, Any] = {
            "kind": "obligation",
            "obligation": terms.id,
            "n": duty.n,
            "mandate": terms.mandate,
            "subject": printable(terms.subject)[:MAX_CHARS],
            "effect": terms.effect,
            "asset": terms.asset,
            "state": duty.state,
            "stage": duty.stage,
            "attempts": dict(duty.attempts),
            "evidence": [shortened(printable(line), MAX_CHARS) for line in duty.evidence[:MAX_LINES]],
            "what": to_plain(self.event),
        }
        if self.alarms:
            record["alarms"] = [alarm.kind for alarm in self.alarms]
        return record


def alarms(before: Duty | None, event: Event, after: Duty) -> tuple[Alarm, ...]:
    """What people have to hear of because of an event: every new violation, and that something is overdue."""
    known = {(one.kind, one.path, one.session) for one in (() if before is None else before.violations)}
    found = [
        Alarm(kind=one.kind, says=one.says)
        for one in after.violations
        if (one.kind, one.path, one.session) not in known
    ]
    if isinstance(event, Reminded) and event.percent == 100 and not after.has_ended:
        found.append(Alarm(kind="overdue", says=f"`{after.terms.effect}` of `{after.terms.asset}` is overdue"))
    return tuple(found)
