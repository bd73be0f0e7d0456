"""A remembered review as the ledger has it: what was said, what was given, and what came of it. Pure."""

from __future__ import annotations

import msgspec

from guardrail.review._case import Case, Issued, Vote
from guardrail.review._records import Answer, AnswerKind, Review, State


def as_known(review: Review, case: Case | None, now_us: int) -> Review:
    """A held call as it stands.

    INVARIANT: state, answer and releases come from the ledger alone; the memory adds the words and arguments that
    belong to them, and those only if they fit.

    Args:
        review: what the adapter remembers.
        case: what the ledger has about it; None if nothing.
        now_us: the time, in microseconds since the epoch.
    """
    if case is None:
        # Nobody can have approved it. It is as good as over, whatever the memory says.
        return msgspec.structs.replace(
            review, state="pending" if not review.asked else "expired", answer=None, releases=0
        )
    return msgspec.structs.replace(
        review,
        state=_state(case, now_us),
        answer=_answer(review, case),
        releases=len(case.grants),
        expires_us=case.held.expires_us,
    )


def _state(case: Case, now_us: int) -> State:
    match case.state_at(now_us):
        case "pending":
            return "pending"
        case "superseded":
            return "superseded"
        case "expired" | "cancelled":
            return "expired"
        case "denied":
            said = case.deciding
            return "responded" if said is not None and said.verdict == "respond" else "rejected"
        case "approved":
            return _state_of(case.grants[-1], now_us) if case.grants else "approved"


def _state_of(issued: Issued, now_us: int) -> State:
    match issued.withdrawn:
        case "refused":
            return "refused"
        case "unneeded":
            return "done"
        case "revoked" | "voided":
            return "expired"
        case None:
            pass
    if not issued.uses:
        return "approved" if issued.usable(now_us) else "expired"
    match issued.uses[-1].ending:
        case "completed":
            return "done"
        case "failed":
            return "failed"
        case "paused":
            return "paused"
        case "unknown" | None:
            return "released"


def _answer(review: Review, case: Case) -> Answer | None:
    vote = case.deciding
    if vote is None:
        return None
    kind, digest = _kind(vote), ""
    if vote.verdict == "approve":
        digest = vote.edit or case.held.digest
    kept = review.answer
    fits = kept is not None and (kept.kind, kept.digest) == (kind, digest)
    return Answer(
        kind=kind,
        approver=vote.voter,
        t_us=vote.at_us,
        digest=digest,
        args=kept.args if fits and kept is not None else None,
        message=kept.message if fits and kept is not None else vote.reason or None,
    )


def _kind(vote: Vote) -> AnswerKind:
    match vote.verdict:
        case "approve":
            return "edit" if vote.edit else "approve"
        case "deny":
            return "reject"
        case "respond":
            return "respond"
