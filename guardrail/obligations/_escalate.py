"""What is refused, omitted or evaded is put before people, beside the calls that wait for them.

Their answer there says that they have seen it; leave to delete is given with a signature, by `guardrail obligations
discharge`.
"""

from __future__ import annotations

import hashlib
from typing import Final

from guardrail.model import Decision, Outcome, Reason, Subject, ToolCall, new_id
from guardrail.obligations._status import Note
from guardrail.review import CallKey, ReviewStore, TurnKey

ASKER: Final = "guardrail.obligations"
"""Under this name the question stands in the review store."""


def escalate(reviews: ReviewStore, note: Note) -> str:
    """Put what has happened to a duty before people.

    Args:
        reviews: where what waits for people is kept.
        note: with its alarms.

    Returns:
        Id of the escalation.

    Raises:
        ReviewError: if it cannot be kept.
    """
    terms = note.duty.terms
    call = ToolCall(
        id=f"{terms.id}#{note.duty.n}",
        tool="guardrail.obligation",
        args={"obligation": terms.id, "effect": terms.effect, "asset": terms.asset, "due_us": terms.due_us},
        session=terms.id,
        subject=Subject(id=terms.subject),
    )
    reasons = tuple(
        Reason(rule=f"obligation.{alarm.kind}", outcome=Outcome.ESCALATE, message=alarm.says, asset=terms.asset)
        for alarm in note.alarms
    )
    decision = Decision(decision_id=new_id(), outcome=Outcome.ESCALATE, reasons=reasons, id=call.id, digest=call.digest)
    key = CallKey(turn=TurnKey(thread=terms.id, message=call.id), call=call.id, digest=call.digest)
    reviews.remember(key, call, decision)
    reviews.ask((key,), asked=hashlib.sha256(call.id.encode()).hexdigest(), asker=ASKER)
    return decision.decision_id
