"""A system call that waits for a person: judged, held and released as the command that does the same would be.

It is carried out by the supervisor that holds it.
INVARIANT: only a grant that a person gave releases it: what policy allows by itself is a call of its own, which the
agent can make, and not something that another call does besides.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from guardrail.confine import JobError
from guardrail.errors import GuardrailError
from guardrail.model import Decision, Outcome, ToolCall
from guardrail.review import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.confine.kernel import Asked, Word
    from guardrail.guard import Guard

LOOK_SECONDS: Final = 0.25
"""How often it is looked for what people said in other processes, in seconds."""


class NotGranted(GuardrailError):
    """No person gave leave, though policy would let it happen as a call of its own."""


def word_of(guard: Guard, call: ToolCall) -> Word:
    """Who decides about what a call's tool does besides what it was judged to do.

    Args:
        guard: judges, keeps the escalations, and records.
        call: as it was released; its agent is who would do it.
    """

    def decide(asked: Asked, go: Callable[[], None], gone: Callable[[], bool]) -> None:
        deed = ToolCall(
            tool=call.tool,
            args={"command": list(asked.words)},
            cwd="/",
            session=call.session,
            subject=call.subject,
        )
        try:
            decision = guard.check(deed)
            if decision.outcome is Outcome.ESCALATE and _approved(
                guard, decision, time.monotonic() + asked.seconds, gone
            ):
                decision = guard.check(deed)
            if decision:
                guard.finished(deed, decision, error=_carried_out(decision, go))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody gave leave
            guard.note_fault(error)

    return decide


def _carried_out(decision: Decision, go: Callable[[], None]) -> Exception | None:
    """What a call that is released failed with, if it did; it is not even tried without a person's leave."""
    if decision.grant is None:
        return NotGranted("no person gave leave for this: make it a call of its own")
    try:
        go()
    except (JobError, OSError) as error:
        return error
    return None


def _approved(guard: Guard, decision: Decision, deadline: float, gone: Callable[[], bool]) -> bool:
    """Wait for people, at most until then, or until nobody waits for the answer any more."""
    if decision.escalation is None:
        return False
    while not gone() and (left := deadline - time.monotonic()) > 0:
        guard.desk.look()
        case = guard.desk.find(decision.escalation)
        if case is None or case.state_at(guard.desk.clock()) != "pending":
            return case is not None and case.state == "approved"
        guard.desk.wait(decision.escalation, case.version, min(left, LOOK_SECONDS))
    _cancel(guard, decision.escalation)
    return False


def _cancel(guard: Guard, escalation: str) -> None:
    """Nobody has to decide it any more: a leave that comes too late would be for a call that was refused."""
    try:
        guard.desk.close(escalation, "cancelled", by="guardrail")
    except Refused:
        pass  # it was decided this moment, and its leave serves the next call that is the same
