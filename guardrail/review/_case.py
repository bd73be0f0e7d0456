"""What is on record about one call that was held: escalation, votes, grants, redemptions; and the events of it.

Not concerned with what may follow on what (`_machine`). Every event is one record of the ledger:

    escalation  opened, closed (expired | cancelled | superseded), overdue and reviewed (after break-glass), notified
    vote        voted
    grant       issued, withdrawn (revoked | voided | refused | unneeded)
    redemption  reserved, returned, finished (completed | failed | paused | unknown)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from guardrail.review._records import Grant, ReviewError, Scope

CaseState = Literal["pending", "approved", "denied", "expired", "cancelled", "superseded"]
"""Where an escalation stands; all but `pending` are final."""

Closing = Literal["expired", "cancelled", "superseded"]
"""How an escalation ends without having been decided; nothing is released by it."""

Verdict = Literal["approve", "deny", "respond"]
"""What a vote says; `respond` answers in the tool's place, so the call does not run."""

Withdrawal = Literal["revoked", "voided", "refused", "unneeded"]
"""Why a grant ends early: a person took it back, what it was given for changed, policy denies the call after all, or it
ran without it."""

Ending = Literal["completed", "failed", "paused", "unknown"]
"""What came of one use; `unknown` is never used again, since the call may have run."""


REVIEW_SECONDS: Final = 24 * 3600
"""Within what time somebody else has to look at a break-glass, in seconds."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """People of whom some have to say yes.

    Args:
        name: of the group.
        members: names of people.
        n: how many of them.
    """

    name: str
    members: tuple[str, ...]
    n: int = 1


class Quorum(msgspec.Struct, frozen=True, kw_only=True):
    """Who has to say yes; it is recorded when the question is opened, so that later settings do not change it.

    Args:
        groups: every one of them has to; without any, `n` people, whoever they are.
        n: how many people, where there are no groups.
        distinct: one person counts for one group only.
        signed: an approval counts only if it is signed.
    """

    groups: tuple[Group, ...] = ()
    n: int = 1
    distinct: bool = True
    signed: bool = False


class Escalation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call waiting for people, as it was when it was held.

    Args:
        id: of the escalation; the id of the decision that held the call.
        digest: `ToolCall.digest`.
        binding: digest over the call and the files that it resolved to; empty if nothing was resolved.
        agent: id of the subject.
        session: of the call.
        shown: rule and asset of each reason that held it.
        created_us: when it was opened, in microseconds since the epoch.
        expires_us: from when on it counts as denied, in microseconds since the epoch.
        leave_seconds: how long an approval is good for, in seconds.
        quorum: who has to say yes.
        barred: who may not say yes, in lower case: the agent, its operators, whom it acts for.
        deeds: what is done and to what, whatever the call looks like, a digest each; a rejection holds for every call
            that does all of it.
        ops: ops of the effects that were held.
        assets: their assets.
        targets: their targets, as addresses.
        critical: it is about weights leaving or going: never a scoped grant, and people's word only if signed.
        bound: the approval is for the turn that asked; it is not found by another call that looks the same.
        glass: it was opened by people to act at once, and owes a review afterwards.
        view: what people are shown: tool, arguments, effects, reasons.
        claim: what the agent says about it; not to be trusted.
    """

    id: str
    digest: str
    agent: str
    created_us: int
    expires_us: int
    leave_seconds: int
    binding: str = ""
    session: str = ""
    shown: tuple[tuple[str, str | None], ...] = ()
    quorum: Quorum = Quorum()
    barred: tuple[str, ...] = ()
    deeds: tuple[str, ...] = ()
    ops: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    critical: bool = False
    bound: bool = False
    glass: bool = False
    view: dict[str, Any] = {}
    claim: str = ""


class Vote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one person said.

    Args:
        voter: who.
        verdict: approve, deny, or respond.
        at_us: when it was taken in, in microseconds since the epoch.
        proof: how it is known that it was them: `ed25519:` and the key's id, or `oidc:` and the issuer; empty if it is
            not.
        counts: whether it is one of those that decide; an unsigned approval may not be.
        edit: for an approval of other arguments: digest of that call.
        scope: leave for more than this one call, within it.
        reason: their words.
        envelope: the signed bytes, so that anybody can verify them again.
    """

    voter: str
    verdict: Verdict
    at_us: int
    proof: str = ""
    counts: bool = True
    edit: str = ""
    scope: Scope | None = None
    reason: str = ""
    envelope: str = ""


class Use(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One redemption of a grant.

    Args:
        number: from 1; the number of one that was given back is given again.
        holder: the process that reserved it.
        at_us: when, in microseconds since the epoch.
        ending: what came of it; None while nobody has said.
    """

    number: int
    holder: str
    at_us: int
    ending: Ending | None = None


class Issued(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A grant and what became of it.

    Args:
        grant: as it was given.
        uses: its redemptions.
        withdrawn: why it ended early, if it did.
    """

    grant: Grant
    uses: tuple[Use, ...] = ()
    withdrawn: Withdrawal | None = None

    @property
    def most(self) -> int:
        """How often it may be redeemed."""
        return 1 if self.grant.scope is None else self.grant.scope.uses

    def usable(self, now_us: int) -> bool:
        """Whether it could be redeemed now."""
        return self.withdrawn is None and len(self.uses) < self.most and now_us < self.grant.expires_us


class Case(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One escalation with all that came of it: what decisions are made from, and what events make.

    Args:
        held: the escalation as it was opened.
        state: where it stands.
        version: how many events it has had; its entity tag.
        votes: what people said, in their order.
        grants: what was issued.
        decided_us: when it was decided or closed, in microseconds since the epoch.
        reviewed_by: who looked at a break-glass afterwards.
        overdue_us: when it was put on record that nobody had in time, in microseconds since the epoch; 0 if it was not.
        notices: who was told of what, `endpoint:what`.
    """

    held: Escalation
    state: CaseState = "pending"
    version: int = 1
    votes: tuple[Vote, ...] = ()
    grants: tuple[Issued, ...] = ()
    decided_us: int = 0
    reviewed_by: str = ""
    overdue_us: int = 0
    notices: tuple[str, ...] = ()

    def state_at(self, now_us: int) -> CaseState:
        """Where it stands at a time: what nobody answered has expired, also before that is on record."""
        return "expired" if self.state == "pending" and now_us >= self.held.expires_us else self.state

    @property
    def review_due_us(self) -> int | None:
        """Until when somebody else has to look at a break-glass; None if nobody has to, or somebody did."""
        if not self.held.glass or not self.grants or self.reviewed_by:
            return None
        return self.decided_us + REVIEW_SECONDS * 1_000_000

    def is_late(self, now_us: int) -> bool:
        """Whether a review of broken glass is owed and overdue at a time."""
        due_us = self.review_due_us
        return due_us is not None and now_us > due_us

    @property
    def deciding(self) -> Vote | None:
        """The vote that decided it, if one did."""
        if self.state == "approved":
            return next((vote for vote in reversed(self.votes) if vote.counts and vote.verdict == "approve"), None)
        if self.state == "denied":
            return next((vote for vote in self.votes if vote.verdict != "approve"), None)
        return None

    def approvals(self, edit: str) -> tuple[Vote, ...]:
        """The votes for one call that count, in their order: those for the call as it was, or for one edit of it."""
        return tuple(vote for vote in self.votes if vote.counts and vote.verdict == "approve" and vote.edit == edit)

    @property
    def approvers(self) -> tuple[str, ...]:
        """Who said yes to what was decided."""
        deciding = self.deciding
        if deciding is None or deciding.verdict != "approve":
            return ()
        return tuple(vote.voter for vote in self.approvals(deciding.edit))


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    """Something that happened to one escalation.

    Args:
        escalation: its id.
        at_us: when, in microseconds since the epoch.
        request: digests of the idempotency key that it was asked for with, and of the body; empty if there was none.
    """

    escalation: str
    at_us: int
    request: str = ""


class Opened(Event, frozen=True, kw_only=True, tag="opened"):
    """A call is held for people."""

    held: Escalation


class Closed(Event, frozen=True, kw_only=True, tag="closed"):
    """It ended without a decision."""

    state: Closing
    by: str = ""
    envelope: str = ""


class Reviewed(Event, frozen=True, kw_only=True, tag="reviewed"):
    """Somebody looked at a break-glass afterwards."""

    by: str
    reason: str = ""
    envelope: str = ""


class Overdue(Event, frozen=True, kw_only=True, tag="overdue"):
    """Nobody has looked at a break-glass in time: people owe it from here on, until one of them does."""


class Notified(Event, frozen=True, kw_only=True, tag="notified"):
    """An endpoint was told of something, or was given up on."""

    endpoint: str
    what: str
    attempts: int
    delivered: bool


class Voted(Event, frozen=True, kw_only=True, tag="voted"):
    """A person said something."""

    vote: Vote


class GrantIssued(Event, frozen=True, kw_only=True, tag="issued"):
    """Leave was given."""

    grant: Grant


class Withdrawn(Event, frozen=True, kw_only=True, tag="withdrawn"):
    """Leave ended early."""

    grant: str
    why: Withdrawal
    by: str = ""
    envelope: str = ""


class Reserved(Event, frozen=True, kw_only=True, tag="reserved"):
    """A use is taken, by one caller alone; the call is not released before this is durable."""

    grant: str
    use: int
    holder: str


class Returned(Event, frozen=True, kw_only=True, tag="returned"):
    """A use is given back, because the guard itself knows that nothing was released."""

    grant: str
    use: int


class Finished(Event, frozen=True, kw_only=True, tag="finished"):
    """What came of a use."""

    grant: str
    use: int
    ending: Ending


AnyEvent = (
    Opened | Closed | Overdue | Reviewed | Notified | Voted | GrantIssued | Withdrawn | Reserved | Returned | Finished
)
"""Every event there is."""

_KIND: Final[Mapping[type[Event], str]] = {
    Opened: "escalation",
    Closed: "escalation",
    Overdue: "escalation",
    Reviewed: "escalation",
    Notified: "escalation",
    Voted: "vote",
    GrantIssued: "grant",
    Withdrawn: "grant",
    Reserved: "redemption",
    Returned: "redemption",
    Finished: "redemption",
}


def to_record(event: AnyEvent) -> dict[str, Any]:
    """The record of an event, as the ledger takes it."""
    return {"kind": _KIND[type(event)], **msgspec.to_builtins(event)}


def from_record(record: Mapping[str, Any]) -> AnyEvent:
    """The event of a record; what the ledger stamped is passed over.

    Raises:
        ReviewError: if it is none that this code could have written.
    """
    try:
        event: AnyEvent = msgspec.convert(dict(record), AnyEvent)
    except msgspec.ValidationError as error:
        raise ReviewError(
            f"record {record.get('seq')} of the ledger is no event of review: {error}: run `guardrail audit verify`"
        ) from None
    if _KIND[type(event)] != record.get("kind"):
        raise ReviewError(f"record {record.get('seq')} of the ledger is no event of its kind")
    return event
