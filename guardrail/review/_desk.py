"""The desk: commands about escalations and grants, from any thread, each decided and durable before it is answered.

Not concerned with how a command meets the ledger (`_fold`), how a person is asked (adapters, command line, service),
nor with how it is known who they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import msgspec

from guardrail.model import new_id
from guardrail.review._case import (
    Case,
    Closing,
    Ending,
    Escalation,
    Issued,
    Reserved,
    Vote,
    Withdrawal,
)
from guardrail.review._commands import (
    Cast,
    Close,
    Finish,
    Issue,
    Look,
    Notify,
    Open,
    Refused,
    Remind,
    Reserve,
    Withdraw,
)
from guardrail.review._fold import Fold
from guardrail.review._ledger import Ledger
from guardrail.review._records import Grant
from guardrail.review._snapshot import Snapshot

MAX_PENDING: Final = 1_000
"""Most escalations that wait at one time; further calls that need a person are denied until some are answered."""

MAX_PENDING_OF_AGENT: Final = 100
"""Most of them of one agent, so that none can keep the others from being heard."""


class Redemption(msgspec.Struct, frozen=True, kw_only=True):
    """One use of a grant, taken by exactly one caller.

    Args:
        grant: as it was issued.
        use: number of the use.
    """

    grant: Grant
    use: int


class ReviewDesk(Fold):
    """Who may overrule, and who did: a fold of the ledger that takes commands.

    Args:
        ledger: where records go, and come from.
        snapshot: where the folded state is written down; None folds the whole ledger at each opening.
        sole: nobody else writes this ledger, so a use that somebody had reserved before it was opened has no known end.
        sticky_seconds: how long a rejection holds for the next call of the same deed, in seconds; 0 asks again at once.
        clock: the time, in microseconds since the epoch; by default one that cannot be set back.

    Raises:
        ReviewError: if the ledger holds what cannot be folded.
        TrailError: if it cannot be read.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        snapshot: Snapshot | None = None,
        sole: bool = True,
        sticky_seconds: int = 0,
        clock: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(ledger, snapshot=snapshot, clock=clock)
        self._sticky_us = sticky_seconds * 1_000_000
        self._holder = new_id()
        if sole:
            self._settle()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def cases(self) -> tuple[Case, ...]:
        """Every case at hand, oldest first."""
        with self._lock:
            return self._book.cases()

    def grant(self, grant: str) -> tuple[Case, Issued] | None:
        """The case of a grant, and what became of it."""
        return self._book.of_grant(grant)

    def valid(
        self, grant: Grant | str, digest: str, now_us: int | None = None, *, agent: str | None = None
    ) -> Grant | None:
        """The grant as it was issued, if it could be redeemed for a call now; nothing is used up.

        INVARIANT: only the id of what is given counts, the rest is read from the ledger. Anybody can make a `Grant`.

        Args:
            grant: the grant or its id.
            digest: digest of the call it is wanted for, worked out afresh.
            now_us: the time, in microseconds since the epoch; the desk's clock by default.
            agent: id of who makes that call: a scoped grant is for one agent's calls, and the digest does not say so.
        """
        found = self._book.of_grant(grant if isinstance(grant, str) else grant.id)
        if found is None or not found[1].usable(self.clock() if now_us is None else now_us):
            return None
        leave = found[1].grant
        if agent not in (None, found[0].held.agent):
            return None
        return leave if leave.scope is not None or leave.digest == digest else None

    def leaves(self, agent: str, digest: str, now_us: int) -> tuple[Grant, ...]:
        """Grants that a call may find for itself: for exactly this call, and scoped ones of its agent."""
        with self._lock:
            return tuple(issued.grant for _, issued in self._book.found(agent, digest) if issued.usable(now_us))

    def asked(self, digest: str, binding: str, now_us: int) -> Case | None:
        """The case on which people are asked about exactly this call already, with the files as they are."""
        case = self._book.asked(digest)
        waits = case is not None and case.state_at(now_us) == "pending" and case.held.binding == binding
        return case if waits else None

    def rejected(self, agent: str, deeds: Collection[str], now_us: int) -> bool:
        """Whether people said no to what is in these deeds of this agent so shortly ago that they are not asked."""
        said = self._book.rejected_us(agent, deeds)
        return said is not None and now_us < said + self._sticky_us

    def requested(self, key: str) -> tuple[str, str] | None:
        """What a request with an idempotency key was, if it was carried out: digest of its body, and the escalation.

        INVARIANT: it is read from the ledger, so that a request that comes again after a restart, or at another
        replica, is known as well.

        Args:
            key: digest of the key.
        """
        return self._book.requested(key)

    # ── escalations ──────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self, held: Escalation) -> Case:
        """Hold a call for people.

        Raises:
            Refused: if too many wait already, of all agents or of this one.
            TrailError: if it cannot be recorded; then nobody may be asked.
        """
        if self._is_full(held.agent):
            self.expire()
            if self._is_full(held.agent):
                raise Refused("too_many", "too many escalations wait for people already: answer or cancel some")
        self._do(held.id, Open(held=held))
        return self._known(held.id)

    def _is_full(self, agent: str) -> bool:
        if self._book.waiting < MAX_PENDING_OF_AGENT:
            return False
        own = sum(case.held.agent == agent for case in self._book.pending())
        return self._book.waiting >= MAX_PENDING or own >= MAX_PENDING_OF_AGENT

    def cast(
        self, escalation: str, vote: Vote, *, subject: str = "", version: int | None = None, request: str = ""
    ) -> Case:
        """Take in what a person said; of several the ledger's order decides which came first.

        Args:
            escalation: its id.
            vote: what was said, by whom, and how that is known.
            subject: digest of what they were shown.
            version: the entity tag of what they were shown.
            request: what the request is known by, if it may come again; see `requested`.

        Returns:
            The case with the vote in it.

        Raises:
            Refused: if it may not be: the code says why.
            TrailError: if it cannot be recorded.
        """
        said = msgspec.structs.replace(vote, at_us=self.clock())
        self._do(escalation, Cast(vote=said, grant=new_id(), subject=subject, version=version), request)
        return self._known(escalation)

    def close(self, escalation: str, state: Closing, *, by: str = "", envelope: str = "", request: str = "") -> Case:
        """End an escalation that nobody will decide.

        Args:
            escalation: its id.
            state: how it ends.
            by: who said so.
            envelope: what they signed, for the record.
            request: what the request is known by, if it may come again.

        Raises:
            Refused: if it is unknown, or decided and to be cancelled.
            TrailError: if it cannot be recorded.
        """
        self._do(escalation, Close(state=state, now_us=self.clock(), by=by, envelope=envelope), request)
        return self._known(escalation)

    def expire(self) -> int:
        """Put on record what nobody answered in time.

        Returns:
            How many.
        """
        now = self.clock()
        over = [case for case in self._book.pending() if case.state_at(now) == "expired"]
        return sum(bool(self._do(case.held.id, Close(state="expired", now_us=now))) for case in over)

    def remind(self) -> tuple[Case, ...]:
        """Put on record which reviews of broken glass are overdue.

        Returns:
            Those that were not on record as overdue before; of several processes one is told.

        Raises:
            TrailError: if it cannot be recorded.
        """
        now = self.clock()
        late = [case.held.id for case in self.cases() if not case.overdue_us and case.is_late(now)]
        return tuple(self._known(name) for name in late if self._do(name, Remind(now_us=now)))

    def reviewed(self, escalation: str, *, by: str, reason: str = "", envelope: str = "", request: str = "") -> Case:
        """Say that a break-glass was looked at afterwards.

        Raises:
            Refused: if it owes no review, or not to this person.
            TrailError: if it cannot be recorded.
        """
        self._do(escalation, Look(by=by, now_us=self.clock(), reason=reason, envelope=envelope), request)
        return self._known(escalation)

    def notified(self, escalation: str, endpoint: str, what: str, *, attempts: int, delivered: bool) -> None:
        """Say that an endpoint was told of something, or was given up on: neither is tried again.

        Raises:
            Refused: if the escalation is unknown.
            TrailError: if it cannot be recorded; then it is told again.
        """
        command = Notify(endpoint=endpoint, what=what, attempts=attempts, delivered=delivered, now_us=self.clock())
        self._do(escalation, command)

    # ── grants ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def issue(self, escalation: str, digest: str) -> Grant | None:
        """The grant for the next attempt at an approved call.

        One that was issued and never redeemed is given again, so two that resume the same conversation race for one.

        Args:
            escalation: its id.
            digest: digest of what is to run: the call's own, or that of the reviewer's edit.

        Returns:
            The grant, or None if the approval is for another call, used up, waited too long, or is none.

        Raises:
            TrailError: if it cannot be recorded.
        """
        try:
            self._do(escalation, Issue(grant=new_id(), digest=digest, now_us=self.clock()))
        except Refused:
            return None
        return self._known(escalation).grants[-1].grant

    def reserve(self, grant: Grant | str, digest: str, binding: str = "") -> Redemption | None:
        """Take one use of a grant, durably, before the call is released.

        INVARIANT: of all callers, exactly one gets each use.

        Args:
            grant: the grant or its id.
            digest: digest of the call that is about to run, worked out afresh.
            binding: digest over the call and the files it resolves to now.

        Returns:
            The redemption; None if what people were shown has changed, and the grant is void now.

        Raises:
            Refused: if it is unknown, used, withdrawn, expired, or for another call.
            TrailError: if it cannot be recorded; then it counts as taken, and nothing may be released.
        """
        name = grant if isinstance(grant, str) else grant.id
        found = self._book.of_grant(name)
        if found is None:
            raise Refused("unknown", f"there is no grant `{name}`")
        command = Reserve(grant=name, digest=digest, binding=binding, holder=self._holder, now_us=self.clock())
        events = self._do(found[0].held.id, command)
        taken = next((event for event in events if isinstance(event, Reserved)), None)
        return None if taken is None else Redemption(grant=found[1].grant, use=taken.use)

    def finish(self, redemption: Redemption, ending: Ending | None) -> None:
        """Say what came of a use; the first word on it stands.

        Args:
            redemption: the use.
            ending: what came of it; None gives it back, for whoever knows that nothing was released.

        Raises:
            Refused: if it was never reserved.
            TrailError: if it cannot be recorded; then it stays reserved, and is never used again.
        """
        found = self._book.of_grant(redemption.grant.id)
        if found is None:
            return
        command = Finish(grant=redemption.grant.id, use=redemption.use, ending=ending, now_us=self.clock())
        self._do(found[0].held.id, command)

    def withdraw(self, grant: str, why: Withdrawal, *, by: str = "", envelope: str = "", request: str = "") -> None:
        """End a grant early; what runs already is not stopped by it.

        Raises:
            Refused: if there is no such grant.
            TrailError: if it cannot be recorded.
        """
        found = self._book.of_grant(grant)
        if found is None:
            raise Refused("unknown", f"there is no grant `{grant}`")
        command = Withdraw(grant=grant, why=why, now_us=self.clock(), by=by, envelope=envelope)
        self._do(found[0].held.id, command, request)

    def _settle(self) -> None:
        """What was reserved before a crash may have run: it is on record as unknown, and never used again."""
        for case in self.cases():
            for issued in case.grants:
                for use in issued.uses:
                    if use.ending is None:
                        self.finish(Redemption(grant=issued.grant, use=use.number), "unknown")
