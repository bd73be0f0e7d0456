"""All cases, folded from the ledger, with what is looked up of them: bounded, and the same for whoever replays.

Not concerned with who appends (`_desk`).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import msgspec

from guardrail.canonical import canonical
from guardrail.review._case import AnyEvent, Case, Issued, Opened, Voted, from_record, to_record
from guardrail.review._evolve import begin, evolve
from guardrail.review._records import ReviewError

MAX_CASES: Final = 10_000
"""Most cases in memory; of more, the oldest that has come to its end is dropped. The ledger keeps all of them."""

MAX_REJECTIONS: Final = 10_000
"""Most rejections that are remembered for the next call of their kind."""


MAX_REQUESTS: Final = 10_000
"""Most idempotency keys that are remembered."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A book as it can be written down.

    Args:
        seq: sequence number of the last record in it; -1 for none.
        last: SHA-256 of its event, in hexadecimal; empty for none.
        cases: every case, oldest first.
        rejections: agent, deeds and time of each rejection, oldest first.
        requests: digests of key and body, and escalation, of each request that had a key, oldest first.
    """

    seq: int
    last: str
    cases: tuple[Case, ...]
    rejections: tuple[tuple[str, tuple[str, ...], int], ...]
    requests: tuple[tuple[str, str, str], ...] = ()


class Book:
    """A fold over the records of review. Not thread-safe to write; single look-ups may run beside one writer.

    Args:
        kept: where to begin; from nothing by default.
    """

    def __init__(self, kept: Kept | None = None) -> None:
        self.seq = -1
        self._last: AnyEvent | None = None
        self._kept_seq = -1 if kept is None else kept.seq
        self._last_kept = "" if kept is None else kept.last
        self._pending: dict[str, None] = {}
        self._asked: dict[str, str] = {}
        self._last_of: dict[str, int] = {}
        self._cases: OrderedDict[str, Case] = OrderedDict()
        self._case_of: dict[str, str] = {}
        self._rejections: OrderedDict[tuple[str, tuple[str, ...]], int] = OrderedDict()
        self._requests: OrderedDict[str, tuple[str, str]] = OrderedDict()
        # Grants that any call may find for itself: by the digest they are for, and scoped ones by their agent.
        self._exact: dict[str, dict[str, None]] = {}
        self._scoped: dict[str, dict[str, None]] = {}
        if kept is not None:
            self.seq = kept.seq
            self._rejections.update({(agent, deeds): at_us for agent, deeds, at_us in kept.rejections})
            self._requests.update({key: (body, escalation) for key, body, escalation in kept.requests})
            for case in kept.cases:
                self._put(case)

    def keep(self) -> Kept:
        """The book as it can be written down."""
        return Kept(
            seq=self.seq,
            last=digest_of(self._last) if self._last is not None else self._last_kept,
            cases=tuple(self._cases.values()),
            rejections=tuple((agent, deeds, at_us) for (agent, deeds), at_us in self._rejections.items()),
            requests=tuple((key, *found) for key, found in self._requests.items()),
        )

    def take(self, seq: int, record: Mapping[str, Any]) -> AnyEvent:
        """Fold one record in.

        Returns:
            Its event.

        Raises:
            ReviewError: if it is out of order, or not one that this code could have written.
        """
        if seq <= self.seq:
            raise ReviewError(f"record {seq} of the ledger came after record {self.seq}")
        event = from_record(record)
        if isinstance(event, Opened):
            self._put(begin(event))
            self._drop(event.at_us)
        else:
            before = self._cases.get(event.escalation)
            # One that was dropped had come to its end: what is said of it since changes nothing that can be used.
            if before is not None:
                self._put(evolve(before, event))
                self._note(before, event)
        if event.request:
            key, _, body = event.request.partition(".")
            self._requests[key] = body, event.escalation
            if len(self._requests) > MAX_REQUESTS:
                self._requests.popitem(last=False)
        if event.escalation in self._cases:
            self._last_of[event.escalation] = seq
        self.seq, self._last = seq, event
        return event

    def get(self, escalation: str) -> Case | None:
        """The case of an escalation."""
        return self._cases.get(escalation)

    def requested(self, key: str) -> tuple[str, str] | None:
        """Digest of the body, and the escalation, of the request that came with a key."""
        return self._requests.get(key)

    def last_of(self, escalation: str) -> int:
        """Sequence number of the last record about a case, as far as it was folded here; else that of the snapshot."""
        return self._last_of.get(escalation, self._kept_seq)

    def of_grant(self, grant: str) -> tuple[Case, Issued] | None:
        """The case of a grant, and what became of the grant."""
        case = self._cases.get(self._case_of.get(grant, ""))
        issued = None if case is None else next((one for one in case.grants if one.grant.id == grant), None)
        return None if case is None or issued is None else (case, issued)

    def cases(self) -> tuple[Case, ...]:
        """Every case, oldest first."""
        return tuple(self._cases.values())

    def pending(self) -> tuple[Case, ...]:
        """The cases that nothing has ended yet, those whose time is up included, oldest first."""
        return tuple(self._cases[name] for name in tuple(self._pending) if name in self._cases)

    def asked(self, digest: str) -> Case | None:
        """The case that waits for people about exactly this call, if any call may wait on it."""
        return self._cases.get(self._asked.get(digest, ""))

    @property
    def waiting(self) -> int:
        """How many those are."""
        return len(self._pending)

    def rejected_us(self, agent: str, deeds: Collection[str]) -> int | None:
        """When people last said no to something that is all in these deeds of this agent, if they did."""
        done = frozenset(deeds)
        refusals = tuple(self._rejections.items())
        said = (at_us for (who, refused), at_us in refusals if who == agent and done.issuperset(refused))
        return max(said, default=None)

    def found(self, agent: str, digest: str) -> Iterator[tuple[Case, Issued]]:
        """Grants that a call may find for itself: those for exactly this call first, then scoped ones."""
        for grant in (*self._exact.get(digest, ()), *self._scoped.get(agent, ())):
            if (pair := self.of_grant(grant)) is not None:
                yield pair

    def _put(self, case: Case) -> None:
        self._cases[case.held.id] = case
        if case.state == "pending":
            self._pending[case.held.id] = None
            if not case.held.bound:
                self._asked[case.held.digest] = case.held.id
        else:
            self._no_longer_waits(case)
        for issued in case.grants:
            grant = issued.grant
            self._case_of[grant.id] = case.held.id
            if case.held.bound and grant.scope is None:
                continue
            table, name = (self._exact, grant.digest) if grant.scope is None else (self._scoped, case.held.agent)
            if issued.usable(0):
                table.setdefault(name, {})[grant.id] = None
            elif name in table:
                table[name].pop(grant.id, None)
                if not table[name]:
                    del table[name]

    def _no_longer_waits(self, case: Case) -> None:
        self._pending.pop(case.held.id, None)
        if self._asked.get(case.held.digest) == case.held.id:
            del self._asked[case.held.digest]

    def _note(self, before: Case, event: AnyEvent) -> None:
        # Only a person's no is remembered: what nobody answered, or answered in the tool's place, may be asked again.
        if isinstance(event, Voted) and event.vote.verdict == "deny" and before.held.deeds:
            name = (before.held.agent, before.held.deeds)
            self._rejections[name] = event.at_us
            self._rejections.move_to_end(name)
            if len(self._rejections) > MAX_REJECTIONS:
                self._rejections.popitem(last=False)

    def _drop(self, now_us: int) -> None:
        if len(self._cases) <= MAX_CASES:
            return
        for name, case in self._cases.items():
            owed = case.state_at(now_us) == "pending" or case.review_due_us is not None
            alive = owed or any(issued.usable(now_us) for issued in case.grants)
            if not alive:
                self._forget(name, case)
                return

    def _forget(self, name: str, case: Case) -> None:
        del self._cases[name]
        self._last_of.pop(name, None)
        self._no_longer_waits(case)
        for issued in case.grants:
            self._case_of.pop(issued.grant.id, None)
            for table, key in ((self._exact, issued.grant.digest), (self._scoped, case.held.agent)):
                if key in table:
                    table[key].pop(issued.grant.id, None)
                    if not table[key]:
                        del table[key]


def digest_of(event: AnyEvent) -> str:
    """SHA-256 of an event, in hexadecimal; it holds times and ids, so no two are alike."""
    return hashlib.sha256(canonical(to_record(event))).hexdigest()
