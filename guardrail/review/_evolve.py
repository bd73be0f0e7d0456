"""What a case is after each event: the other half of `_machine`, and all that a replay needs."""

from __future__ import annotations

from typing import assert_never

import msgspec

from guardrail.review._case import (
    AnyEvent,
    Case,
    CaseState,
    Closed,
    Finished,
    GrantIssued,
    Issued,
    Notified,
    Opened,
    Overdue,
    Reserved,
    Returned,
    Reviewed,
    Use,
    Voted,
    Withdrawn,
)
from guardrail.review._quorum import is_met


def begin(event: Opened) -> Case:
    """The case that an opening makes."""
    return Case(held=event.held)


def evolve(case: Case, event: AnyEvent) -> Case:
    """What a case is after an event that `decide` has led to.

    Args:
        case: what it was.
        event: what happened.
    """
    after = msgspec.structs.replace(case, version=case.version + 1)
    match event:
        case Opened():
            return case
        case Closed():
            return msgspec.structs.replace(after, state=event.state, decided_us=event.at_us)
        case Overdue():
            return msgspec.structs.replace(after, overdue_us=event.at_us)
        case Reviewed():
            return msgspec.structs.replace(after, reviewed_by=event.by)
        case Notified():
            # Its version stays: whoever has read the case need not read it again.
            return msgspec.structs.replace(case, notices=(*case.notices, f"{event.endpoint}:{event.what}"))
        case Voted():
            return _voted(after, event)
        case GrantIssued():
            return msgspec.structs.replace(after, grants=(*case.grants, Issued(grant=event.grant)))
        case Withdrawn() | Reserved() | Returned() | Finished():
            grants = tuple(
                _changed(issued, event) if issued.grant.id == event.grant else issued for issued in case.grants
            )
            return msgspec.structs.replace(after, grants=grants)
        case _:
            assert_never(event)


def _voted(case: Case, event: Voted) -> Case:
    voted = msgspec.structs.replace(case, votes=(*case.votes, event.vote))
    if not event.vote.counts:
        return voted
    state: CaseState = case.state
    if event.vote.verdict != "approve":
        state = "denied"  # one is enough
    elif is_met(case.held.quorum, [vote.voter for vote in voted.approvals(event.vote.edit)]):
        state = "approved"
    decided = event.at_us if state != "pending" else 0
    return msgspec.structs.replace(voted, state=state, decided_us=decided)


def _changed(issued: Issued, event: Withdrawn | Reserved | Returned | Finished) -> Issued:
    match event:
        case Withdrawn():
            return msgspec.structs.replace(issued, withdrawn=event.why)
        case Reserved():
            use = Use(number=event.use, holder=event.holder, at_us=event.at_us)
            return msgspec.structs.replace(issued, uses=(*issued.uses, use))
        case Returned():
            return msgspec.structs.replace(issued, uses=tuple(use for use in issued.uses if use.number != event.use))
        case Finished():
            uses = tuple(
                msgspec.structs.replace(use, ending=event.ending) if use.number == event.use else use
                for use in issued.uses
            )
            return msgspec.structs.replace(issued, uses=uses)
        case _:
            assert_never(event)
