"""What may follow on what: `decide` says which events a command leads to; `evolve` says what a case is after them.

Both are pure: no clock, no file, no randomness.

    escalation  pending ─▶ approved | denied | expired | cancelled | superseded
    grant       active ─▶ reserved ─▶ completed | failed | paused | unknown
                active ─▶ revoked | voided | refused | expired
                reserved ─▶ active   only if the guard itself knows that nothing was released

INVARIANT: every state but `pending` is final, so one that was denied can never be approved later.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from guardrail.names import alike
from guardrail.review._case import (
    AnyEvent,
    Case,
    CaseState,
    Closed,
    Closing,
    Ending,
    Escalation,
    Finished,
    GrantIssued,
    Issued,
    Notified,
    Opened,
    Overdue,
    Reserved,
    Returned,
    Reviewed,
    Voted,
    Withdrawn,
)
from guardrail.review._commands import (
    GLASS_SECONDS,
    MAX_GRANT_SECONDS,
    MAX_IDLE_VOTES,
    MAX_RELEASES,
    MAX_USES,
    MAX_VOTES,
    Cast,
    Close,
    Command,
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
from guardrail.review._evolve import evolve
from guardrail.review._quorum import is_barred, may_vote
from guardrail.review._records import Grant, Scope


def decide(case: Case | None, command: Command) -> tuple[AnyEvent, ...]:
    """What a command leads to.

    Args:
        case: the case it is about; None if there is none.
        command: what is asked for.

    Returns:
        Events, in their order; none if it is so already.

    Raises:
        Refused: if it may not be.
    """
    if isinstance(command, Open):
        return _open(case, command)
    if case is None:
        raise Refused("unknown", "there is no such escalation or grant here: it may have been forgotten")
    match command:
        case Cast():
            return _cast(case, command)
        case Close():
            return _close(case, command)
        case Issue():
            return _issue(case, command)
        case Reserve():
            return _reserve(case, command)
        case Finish():
            return _finish(case, command)
        case Withdraw():
            return _withdraw(case, command)
        case Look():
            return _look(case, command)
        case Remind():
            return _remind(case, command)
        case Notify():
            return _notify(case, command)
        case _:
            assert_never(command)


def _open(case: Case | None, command: Open) -> tuple[AnyEvent, ...]:
    if case is not None:
        raise Refused("already_decided", f"the escalation `{command.held.id}` was opened before")
    held = command.held
    return (Opened(escalation=held.id, at_us=held.created_us, held=held),)


def _cast(case: Case, command: Cast) -> tuple[AnyEvent, ...]:
    held, vote = case.held, command.vote
    # 1. It is still open. 2. They saw what it is, and as it is.
    _require_pending(case, vote.at_us)
    if command.version is not None and command.version != case.version:
        raise Refused("stale", "the escalation has changed since it was read: read it again")
    if command.subject and command.subject != subject_of(held):
        raise Refused("stale", "the vote is about another call, or about files as they were before")
    # 3. They may say this, once.
    if not may_vote(held.quorum, vote.voter, proven=bool(vote.proof)):
        raise Refused("not_entitled", f"`{vote.voter}` is in none of the groups that decide this")
    if vote.verdict == "approve" and is_barred(held, vote.voter):
        raise Refused("separation_of_duties", f"`{vote.voter}` is, operates or directs the agent, and approves nothing")
    # 4. Whether it counts. A denial always does: it releases nothing.
    counts = vote.verdict != "approve" or not held.quorum.signed or bool(vote.proof)
    before = [old for old in case.votes if old.counts is counts]
    if len(before) >= (MAX_VOTES if counts else MAX_IDLE_VOTES):
        raise Refused("too_many", "an escalation takes no more votes: cancel it, and make the call again")
    # One that did not count does not stand in the way of one that does.
    if any(alike(old.voter) == alike(vote.voter) and old.counts for old in case.votes):
        raise Refused("already_voted", f"`{vote.voter}` has voted already, and a vote is final")
    if vote.scope is not None:
        _require_narrow(held, vote.scope)
    voted = Voted(escalation=held.id, at_us=vote.at_us, vote=msgspec.structs.replace(vote, counts=counts))
    after = evolve(case, voted)
    if after.state != "approved":
        return (voted,)
    return voted, GrantIssued(escalation=held.id, at_us=vote.at_us, grant=_grant(after, command.grant, vote.at_us))


def subject_of(held: Escalation) -> str:
    """What a vote is about: the digest over call and files, or over the call where there are no files."""
    return held.binding or held.digest


def _require_pending(case: Case, now_us: int) -> None:
    state = case.state_at(now_us)
    if state == "expired":
        raise Refused("expired", f"the escalation `{case.held.id}` has expired, which counts as denied")
    if state != "pending":
        raise Refused("already_decided", f"the escalation `{case.held.id}` was {_ended(state)} already")


def _ended(state: CaseState) -> str:
    return "decided" if state in ("approved", "denied") else state


def _require_narrow(held: Escalation, scope: Scope) -> None:
    # INVARIANT: nobody is given what the request did not hold; and weights are never given away by the dozen.
    # One use of a scope may go to another file of the same weights, since a scope is bound to no file.
    if held.critical:
        raise Refused("too_wide", "this is about weights that would leave or be lost: approve each call by itself")
    for name, asked, given in (
        ("ops", held.ops, scope.ops),
        ("assets", held.assets, scope.assets),
        ("targets", held.targets, scope.targets),
    ):
        wider = [item for item in given or () if item not in asked]
        if wider:
            raise Refused("too_wide", f"`{wider[0]}` is none of the {name} of this escalation: a scope only narrows")
        if given == () and asked:
            raise Refused("too_wide", f"a scope with no {name} covers nothing: leave it out, or name some")
    if not 1 <= scope.uses <= MAX_USES:
        raise Refused("too_wide", f"a scope may have 1 to {MAX_USES} uses")
    if scope.seconds is not None and not 1 <= scope.seconds <= MAX_GRANT_SECONDS:
        raise Refused("too_wide", f"a scope may last 1 to {MAX_GRANT_SECONDS} seconds")


def _grant(case: Case, grant: str, now_us: int) -> Grant:
    # INVARIANT: those who said yes to one call are not counted for another that somebody made of it.
    held, edit = case.held, case.deciding.edit if case.deciding is not None else ""
    approvals = case.approvals(edit)
    scope = _narrowest(held, [vote.scope for vote in approvals])
    if held.glass:
        scope = Scope(ops=held.ops, assets=held.assets, uses=MAX_USES)
    seconds = scope.seconds if scope is not None and scope.seconds is not None else held.leave_seconds
    if held.glass:
        seconds = min(seconds, GLASS_SECONDS)
    return Grant(
        id=grant,
        digest=edit or held.digest,
        approver=approvals[0].voter,
        approvers=tuple(vote.voter for vote in approvals),
        created_us=now_us,
        expires_us=now_us + seconds * 1_000_000,
        escalation=held.id,
        shown=held.shown,
        # Other arguments reach other files: those of the call that was held say nothing about them.
        binding="" if edit else held.binding,
        scope=None if edit else scope,
        glass=held.glass,
    )


def _narrowest(held: Escalation, scopes: list[Scope | None]) -> Scope | None:
    """What every approver allows: one who named no scope has allowed this call alone."""
    named = [scope for scope in scopes if scope is not None]
    if not named or len(named) < len(scopes):
        return None
    times = [scope.seconds for scope in named if scope.seconds is not None]
    return Scope(
        ops=_common(held.ops, [scope.ops for scope in named]),
        assets=_common(held.assets, [scope.assets for scope in named]),
        targets=_common(held.targets, [scope.targets for scope in named]),
        uses=min(scope.uses for scope in named),
        seconds=min(times) if times else None,
    )


def _common(asked: tuple[str, ...], given: list[tuple[str, ...] | None]) -> tuple[str, ...]:
    return tuple(item for item in asked if all(items is None or item in items for items in given))


def _close(case: Case, command: Close) -> tuple[AnyEvent, ...]:
    held = case.held
    if case.state != "pending":
        if command.state == "cancelled":
            raise Refused("already_decided", f"the escalation `{held.id}` was {_ended(case.state)} already")
        return ()
    state: Closing = "expired" if command.now_us >= held.expires_us else command.state
    if command.state == "expired" and command.now_us < held.expires_us:
        return ()
    # Whose word it was counts only if it was their word that ended it.
    envelope = command.envelope if state == command.state else ""
    return (Closed(escalation=held.id, at_us=command.now_us, state=state, by=command.by, envelope=envelope),)


def _issue(case: Case, command: Issue) -> tuple[AnyEvent, ...]:
    deciding, last = case.deciding, case.grants[-1] if case.grants else None
    # 1. Somebody said yes, and said it to exactly this.
    if case.state != "approved" or deciding is None or not command.digest:
        raise Refused("not_redeemable", "nobody has approved this")
    if command.digest != (deciding.edit or case.held.digest):
        raise Refused("not_redeemable", "the approval is for another call")
    # 2. A grant that was never redeemed is the one to use, also if it is asked for twice.
    if last is not None and last.usable(command.now_us):
        return ()
    # 3. What may have run is not run again: only an attempt that failed, or paused to ask, is followed by another.
    if last is None and command.now_us >= case.decided_us + case.held.leave_seconds * 1_000_000:
        raise Refused("expired", "the approval was not used in time")
    if last is not None:
        if last.withdrawn is not None:
            raise Refused("not_redeemable", "the grant was taken back")
        if not last.uses:
            raise Refused("expired", "the approval was not used in time")
        if last.grant.scope is not None or last.uses[-1].ending not in ("failed", "paused"):
            raise Refused("not_redeemable", "the approval was used")
        if len(case.grants) >= MAX_RELEASES:
            raise Refused("not_redeemable", f"an approval is good for at most {MAX_RELEASES} attempts")
    grant = _grant(case, command.grant, command.now_us)
    return (GrantIssued(escalation=case.held.id, at_us=command.now_us, grant=grant),)


def _reserve(case: Case, command: Reserve) -> tuple[AnyEvent, ...]:
    issued = _issued(case, command.grant)
    grant = issued.grant
    if issued.withdrawn is not None:
        raise Refused("not_redeemable", f"the grant `{grant.id}` was {issued.withdrawn}")
    if command.now_us >= grant.expires_us:
        raise Refused("expired", f"the grant `{grant.id}` has expired")
    if len(issued.uses) >= issued.most:
        raise Refused("not_redeemable", f"the grant `{grant.id}` was already used")
    if grant.scope is None:
        if command.digest != grant.digest:
            raise Refused("not_redeemable", f"the grant `{grant.id}` is for another call")
        if grant.binding and command.binding != grant.binding:
            # What was shown is no longer there: the leave is gone for good, and people are asked anew.
            return (
                Withdrawn(escalation=case.held.id, at_us=command.now_us, grant=grant.id, why="voided", by="guardrail"),
            )
    use = len(issued.uses) + 1
    return (Reserved(escalation=case.held.id, at_us=command.now_us, grant=grant.id, use=use, holder=command.holder),)


def _finish(case: Case, command: Finish) -> tuple[AnyEvent, ...]:
    issued = _issued(case, command.grant)
    use = next((use for use in issued.uses if use.number == command.use), None)
    if use is None:
        raise Refused("not_redeemable", f"use {command.use} of the grant `{command.grant}` was never reserved")
    if use.ending is not None:
        return ()  # the first word on it stands
    if command.ending is None:
        if use is not issued.uses[-1]:
            # Numbers are dense: a use in the middle cannot be given again, so it counts as used.
            return (_finished(case, command, "unknown"),)
        return (Returned(escalation=case.held.id, at_us=command.now_us, grant=command.grant, use=command.use),)
    return (_finished(case, command, command.ending),)


def _finished(case: Case, command: Finish, ending: Ending) -> Finished:
    return Finished(escalation=case.held.id, at_us=command.now_us, grant=command.grant, use=command.use, ending=ending)


def _withdraw(case: Case, command: Withdraw) -> tuple[AnyEvent, ...]:
    issued = _issued(case, command.grant)
    if issued.withdrawn is not None:
        return ()
    return (
        Withdrawn(
            escalation=case.held.id,
            at_us=command.now_us,
            grant=command.grant,
            why=command.why,
            by=command.by,
            envelope=command.envelope,
        ),
    )


def _look(case: Case, command: Look) -> tuple[AnyEvent, ...]:
    if not case.held.glass or not case.grants:
        raise Refused("not_redeemable", "only a break-glass that was used owes a review")
    if case.reviewed_by:
        raise Refused("already_decided", f"it was reviewed by `{case.reviewed_by}` already")
    if is_barred(case.held, command.by):
        raise Refused("separation_of_duties", f"`{command.by}` is, operates or directs the agent, and reviews nothing")
    if alike(command.by) in {alike(name) for name in case.approvers}:
        raise Refused("separation_of_duties", f"`{command.by}` broke the glass, and somebody else has to review that")
    return (
        Reviewed(
            escalation=case.held.id,
            at_us=command.now_us,
            by=command.by,
            reason=command.reason,
            envelope=command.envelope,
        ),
    )


def _remind(case: Case, command: Remind) -> tuple[AnyEvent, ...]:
    if case.overdue_us or not case.is_late(command.now_us):
        return ()
    return (Overdue(escalation=case.held.id, at_us=command.now_us),)


def _notify(case: Case, command: Notify) -> tuple[AnyEvent, ...]:
    if f"{command.endpoint}:{command.what}" in case.notices:
        return ()
    return (
        Notified(
            escalation=case.held.id,
            at_us=command.now_us,
            endpoint=command.endpoint,
            what=command.what,
            attempts=command.attempts,
            delivered=command.delivered,
        ),
    )


def _issued(case: Case, grant: str) -> Issued:
    issued = next((issued for issued in case.grants if issued.grant.id == grant), None)
    if issued is None:
        raise Refused("unknown", f"there is no grant `{grant}`")
    return issued
