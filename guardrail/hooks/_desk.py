"""One guard and the harnesses that ask it: each event gets an answer, and what was released gets its end on record."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from guardrail.errors import GuardrailError
from guardrail.hooks._answers import PROCEED, Answer, ask, block, no_decision, told
from guardrail.hooks._events import HARNESSES, After, Agent, Before, Malformed, Session, read_event
from guardrail.model import Decision, Outcome, ToolCall

if TYPE_CHECKING:
    from guardrail.guard import Guard

MAX_OPEN: Final = 10_000
"""Most calls of which the end is waited for; of more, the oldest are left as they are, and a later start says so."""


class ToolFailed(Exception):
    """What a harness says of a tool that failed; its text is the harness's."""


class HookDesk:
    """Answers the events of harnesses; may be used from several threads.

    Args:
        guard: judges, and records.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, str], tuple[ToolCall, Decision]] = OrderedDict()

    def answer(self, harness: str, body: bytes, agent: Agent) -> Answer:
        """Answer one event.

        Args:
            harness: who sends it.
            body: the event.
            agent: whom the hook stands for.

        Returns:
            The answer. What is malformed, and whatever fails, stops the call: this never raises.
        """
        try:
            event = read_event(harness, body, agent)
        except Malformed as error:
            return no_decision(str(error))
        try:
            match event:
                case Before():
                    return self._judge(harness, event)
                case After():
                    self._ended(event)
                case Session():
                    self._session(event)
        except Exception as error:  # noqa: BLE001 - INVARIANT: whatever goes wrong, nothing runs for want of an answer
            known = str(error) if isinstance(error, GuardrailError) else f"{type(error).__name__}: {error}"
            if isinstance(event, Before):
                return no_decision(known)
            # It has run, or there is nothing to run: a harness that is stopped here would only go on for ever.
            self._guard.note_fault(error)
        return PROCEED

    def _judge(self, harness: str, event: Before) -> Answer:
        call = event.call
        decision = self._guard.check(call)
        if decision:
            self._remember(call, decision)
            return PROCEED
        if decision.outcome is Outcome.ESCALATE and event.attended and self._may_ask(harness, decision):
            self._remember(call, decision)
            return ask(harness, told(decision))
        return block(told(decision))

    def _may_ask(self, harness: str, decision: Decision) -> bool:
        """Whether the person at the harness may decide: the operator says so, and one unsigned word is enough."""
        if harness not in self._guard.config.hooks.ask or not HARNESSES[harness].asks or decision.escalation is None:
            return False
        case = self._guard.desk.find(decision.escalation)
        return case is not None and not case.held.quorum.signed and not case.held.quorum.groups

    def _remember(self, call: ToolCall, decision: Decision) -> None:
        with self._lock:
            self._open[_key(call)] = call, decision
            while len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)

    def _ended(self, event: After) -> None:
        with self._lock:
            found = self._open.pop(_key(event.call), None)
        if found is None:
            return  # it was released by another process, whose own start says that its end is unknown
        call, decision = found
        facts: dict[str, str | int] = {}
        if not decision:
            try:
                decision = self._guard.let_through(call, decision, by="the person at the harness")
            except GuardrailError as error:
                # Somebody else has answered otherwise meanwhile, or too much time is over: it has run all the same.
                self._guard.note_fault(error)
                facts["unapproved"] = 1
        if event.call.args != call.args:
            # Another hook of the harness has put other arguments in the place of those that were judged.
            facts["changed"] = 1
        failed = ToolFailed("the harness says that the tool failed") if event.failed else None
        self._guard.finished(call, decision, error=failed, facts=facts)

    def _session(self, event: Session) -> None:
        if event.state == "begin":
            self._guard.begin(event.subject, session=event.session)
        elif event.state == "over":
            self._guard.end(event.subject, session=event.session)
        else:
            self._guard.settle()


def _key(call: ToolCall) -> tuple[str, str]:
    # Gemini's events have no id of their own: the same call twice in a row is the same call.
    return call.session, call.id or call.digest
