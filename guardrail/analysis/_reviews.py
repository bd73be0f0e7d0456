"""What people were asked, who answered, how long it took, and what leave came of it. Pure.

Escalations that the guard records as such are followed from their opening to their end. A trail of an older version has
only the decision that held a call and the call that a grant let through; those are matched by the digest of the call,
and who answered is unknown.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

import msgspec

from guardrail.analysis._counts import Counts, Durations
from guardrail.analysis._decisions import KEPT
from guardrail.audit.reading import fields
from guardrail.audit.reading.fields import UNKNOWN, Record, table, text

MAX_OPEN: Final = 20_000
"""Most unanswered escalations that are followed at once; of more, the oldest count as unanswered."""


BREAK_GLASS: Final = "break-glass"
"""Stands where no rule asked: people took leave to act at once, and owe a review of it."""


class Asked(msgspec.Struct, kw_only=True):
    """One escalation.

    Args:
        seq: number of the record that opened it.
        opened_us: when, in microseconds since the epoch.
        agent: who wanted what.
        rule: why it was held.
        digest: of the call.
        ending: approved, denied, expired, cancelled, superseded; empty while it is open.
        who: the people who voted.
        took_us: from opening to answer, in microseconds.
    """

    seq: int
    opened_us: int | None
    agent: str = UNKNOWN
    rule: str = UNKNOWN
    digest: str = ""
    ending: str = ""
    who: tuple[str, ...] = ()
    took_us: int | None = None


class Reviews:
    """Folds decisions that held a call, and records of escalations, votes, grants and redemptions."""

    def __init__(self) -> None:
        self.opened = 0
        self.endings = Counts()
        self.voters = Counts()
        self.proofs = Counts()
        self.grants = Counts()
        self.took = Durations()
        self.newest: deque[Asked] = deque(maxlen=KEPT)
        self.overdue: dict[str, int] = {}
        """Broken glass that nobody had looked at in time by the end, with the record that says so."""
        self._open: OrderedDict[str, Asked] = OrderedDict()
        self._by_digest: dict[str, str] = {}

    @property
    def unanswered(self) -> int:
        """How many were still open at the end."""
        return self.opened - self.endings.total("all")

    def held(self, seq: int, record: Record, t_us: int | None) -> None:
        """A decision that held a call."""
        rules = fields.rules_of(record)
        self._begin(
            fields.decision_id_of(record) or f"record {seq}",
            Asked(
                seq=seq,
                opened_us=t_us,
                agent=fields.agent_of(record) or UNKNOWN,
                rule=rules[0] if rules else UNKNOWN,
                digest=text(table(record.get("call")).get("digest")),
            ),
        )

    def granted(self, record: Record, t_us: int | None) -> None:
        """A call that a grant let through: without records of review it is all that shows the answer."""
        name = self._by_digest.get(text(table(record.get("call")).get("digest")))
        if name is not None:
            self._end(name, "approved", t_us)

    def take(self, seq: int, record: Record, t_us: int | None) -> None:
        """Go on by one record of review."""
        kind, event, own = fields.kind_of(record), text(record.get("event")), fields.body(record)
        name = text(record.get("escalation")) or text(own.get("escalation")) or text(own.get("id"))
        status = fields.status_of(record)
        if kind == "escalation":
            self._escalation(seq, record, t_us, name, event, status)
        elif kind == "vote":
            self._vote(own, t_us, name, status)
        elif kind == "grant":
            withdrawn = event == "withdrawn" or status in ("revoked", "expired")
            self.grants.add("grants", (text(record.get("why")) or status or "withdrawn") if withdrawn else "issued")
            if not withdrawn:
                self._end(name, "approved", t_us)
        elif kind == "redemption":
            self.grants.add("uses", {"reserved": "taken", "returned": "given back"}.get(status, status or UNKNOWN))

    def _escalation(self, seq: int, record: Record, t_us: int | None, name: str, event: str, status: str) -> None:
        if event == "reviewed":
            self.grants.add(BREAK_GLASS, "reviewed")
            self.overdue.pop(name, None)
        elif event == "overdue":
            self.grants.add(BREAK_GLASS, "not reviewed in time")
            self.overdue[name] = seq
        elif event == "closed" or status in ("approved", "denied", "expired", "cancelled", "superseded"):
            self._end(name, status if status != "closed" else UNKNOWN, t_us, *fields.people_of(record))
        elif event == "notified":
            pass  # that somebody was told of it changes nothing about it
        elif name in self._open:
            self._open[name].agent = fields.agent_of(record) or self._open[name].agent
        else:
            glass = fields.body(record).get("glass") is True
            rules = [BREAK_GLASS] if glass else fields.rules_of(record)
            if glass:
                self.grants.add(BREAK_GLASS, "opened")
            agent = fields.agent_of(record) or UNKNOWN
            self._begin(name, Asked(seq=seq, opened_us=t_us, agent=agent, rule=rules[0] if rules else UNKNOWN))

    def _vote(self, own: Record, t_us: int | None, name: str, status: str) -> None:
        voter = text(own.get("voter")) or UNKNOWN
        self.voters.add(voter, {"approve": "approved", "deny": "denied"}.get(status, status or UNKNOWN))
        proof = text(own.get("proof")).partition(":")[0]
        self.proofs.add("all", f"signed ({proof})" if proof else "unsigned")
        if (asked := self._open.get(name)) is not None:
            asked.who = tuple(dict.fromkeys((*asked.who, voter)))[:KEPT]
            if status in ("deny", "respond") and own.get("counts") is not False:
                self._end(name, "denied", t_us)

    def _begin(self, name: str, asked: Asked) -> None:
        if name in self._open:
            return
        self.opened += 1
        self._open[name] = asked
        self.newest.append(asked)
        if asked.digest:
            self._by_digest[asked.digest] = name
        if len(self._open) > MAX_OPEN:
            _, oldest = self._open.popitem(last=False)
            self._by_digest.pop(oldest.digest, None)

    def _end(self, name: str, ending: str, t_us: int | None, *who: str) -> None:
        asked = self._open.pop(name, None)
        if asked is None:
            return
        self._by_digest.pop(asked.digest, None)
        asked.ending = ending
        asked.who = tuple(dict.fromkeys((*asked.who, *who)))
        self.endings.add("all", "all")
        self.endings.add("how", ending)
        if t_us is not None and asked.opened_us is not None:
            asked.took_us = t_us - asked.opened_us
            if ending in ("approved", "denied"):
                self.took.add(asked.took_us)
