"""What is refused, omitted or evaded is put before people, beside the calls that wait for them.

Their answer there says that they have seen it; leave to delete is given with a signature, by `guardrail obligations
discharge`.
"""

from __future__ import annotations

from typing import Final

from guardrail.model import Decision, Outcome, Reason, Subject, ToolCall, new_id
from guardrail.obligations._status import Note
from guardrail.review import Holder, ReviewDesk

TOOL: Final = "guardrail.obligation"
"""Under this name it stands among the calls that wait for people; it is no tool, and nothing runs."""


def escalate(desk: ReviewDesk, holder: Holder, note: Note) -> str:
    """Put what has happened to a duty before people.

    Args:
        desk: where what waits for people is kept.
        holder: knows who may answer.
        note: with its alarms.

    Returns:
        Id of the escalation.

    Raises:
        ReviewError: if it cannot be kept.
        TrailError: if it cannot be recorded.
    """
    terms = note.duty.terms
    call = ToolCall(
        id=f"{terms.id}#{note.duty.n}",
        tool=TOOL,
        args={"obligation": terms.id, "effect": terms.effect, "asset": terms.asset, "due_us": terms.due_us},
        session=terms.id,
        subject=Subject(id=terms.subject),
    )
    reasons = tuple(
        Reason(rule=f"obligation.{alarm.kind}", outcome=Outcome.ESCALATE, message=alarm.says, asset=terms.asset)
        for alarm in note.alarms
    )
    decision = Decision(decision_id=new_id(), outcome=Outcome.ESCALATE, reasons=reasons, id=call.id, digest=call.digest)
    # INVARIANT: no call that an agent makes finds an answer to this: it is bound to a turn that there is not.
    held = holder.escalation(
        call,
        decision,
        binding="",
        bound=True,
        now_us=desk.clock(),
        class_of=lambda _: None,
        severe=lambda _: False,
    )
    return desk.open(held).held.id
