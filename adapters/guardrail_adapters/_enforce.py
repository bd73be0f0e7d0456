"""Enforcing: carry a call out through the guard if it may be, and say neutrally that it was not if it may not.

Not concerned with asking (`_ask`): this runs innermost, on the final arguments, perhaps in a worker thread, and never
asks. What is let through goes to `Guard.run`, which judges again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, cast

from langchain_core.messages import ToolMessage
from langgraph.errors import GraphBubbleUp

from guardrail import Blocked, Denied, Grant, Outcome, ToolCall
from guardrail.model import new_id
from guardrail.review import CallKey, Review, ReviewError
from guardrail_adapters import _wire
from guardrail_adapters._calls import Asked, CallReader, Site
from guardrail_adapters._guard import GuardLike
from guardrail_adapters._ran import Ran, is_fault, reported
from guardrail_adapters._tripwire import PASS, Pass

_log: Final = logging.getLogger("guardrail.adapters")
# Not `warnings`: a program that turns warnings into errors must not get one out of its graph.

NOT_RESUMABLE: Final = (
    "the graph has no checkpointer, or the run no thread_id, so a pause could never be resumed:"
    " compile it with a checkpointer and invoke it with a thread_id"
)
"""Why a held call is blocked at once, for operators: in the artifact, which models do not see, and in the log."""

_RELEASED: Final[ContextVar[tuple[CallKey, ...]]] = ContextVar("guardrail_released", default=())
"""Calls that an outer hook of ours has released and that are on their way to the tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A call that goes to the guard, or, if an outer hook has released exactly this one, straight on."""

    asked: Asked
    held: CallKey | None = None
    grant: Grant | None = None
    edited: bool = False
    released: bool = False

    def request(self, request: Any, call: ToolCall) -> Any:
        return request.override(tool_call={**self.asked.raw, "args": call.args})

    @contextmanager
    def released_to(self, call: ToolCall) -> Generator[None]:
        """The tool runs within the block: a second door of ours, and the tripwire, let exactly this call by."""
        token = _RELEASED.set((*_RELEASED.get(), self.asked.key))
        leave = PASS.set(Pass(call.tool, call.args))
        try:
            yield
        except GraphBubbleUp as asks:
            # Tell the trail that a tool which asks a question of its own has not failed.
            with suppress(AttributeError):
                cast("Any", asks).guardrail_result = "paused"
            raise
        finally:
            PASS.reset(leave)
            _RELEASED.reset(token)


class Enforcing:
    """The second hook of the gate, for plain and for coroutine code.

    Args:
        guard: what judges and runs.
        reader: how tool calls become ToolCalls.
    """

    def __init__(self, guard: GuardLike, reader: CallReader) -> None:
        self._guard = guard
        self._reader = reader

    def enforce(self, request: Any, execute: Callable[[Any], Any], site: Site) -> Any:
        """Carry a call out if it may be, and say neutrally that it was not if it may not.

        Returns:
            What `execute` returned, or an error ToolMessage.

        Raises:
            BaseException: only what `execute` raised.
        """
        step = self._plan(request.tool_call, site)
        if isinstance(step, ToolMessage):
            return step
        if step.released:
            return execute(request)
        ran = Ran()

        def carry_out(call: ToolCall) -> Any:
            with step.released_to(call), ran.watch():
                ran.value = execute(step.request(request, call))
            return ran.value

        try:
            self._guard.run(step.asked.call, carry_out, grant=step.grant)
        except BaseException as error:  # noqa: BLE001 - the tool's own errors are raised again there
            return self._failed(step, ran, error, site)
        return self._done(step, ran)

    async def aenforce(self, request: Any, execute: Callable[[Any], Awaitable[Any]], site: Site) -> Any:
        """`enforce`, for coroutines."""
        if self._at_hand(request.tool_call, site):
            step = self._plan(request.tool_call, site)
        else:
            step = await asyncio.to_thread(self._plan, request.tool_call, site)
        if isinstance(step, ToolMessage):
            return step
        if step.released:
            return await execute(request)
        ran = Ran()

        async def carry_out(call: ToolCall) -> Any:
            with step.released_to(call), ran.watch():
                ran.value = await execute(step.request(request, call))
            return ran.value

        try:
            await self._guard.arun(step.asked.call, carry_out, grant=step.grant)
        except Exception as error:  # noqa: BLE001 - the tool's own errors are raised again there
            return await asyncio.to_thread(self._failed, step, ran, error, site)
        return self._done(step, ran) if step.held is None else await asyncio.to_thread(self._done, step, ran)

    def _at_hand(self, raw: Mapping[str, Any], site: Site) -> bool:
        """Whether `_plan` needs nothing that blocks: for most calls a thread would cost more than the plan itself."""
        if not isinstance(self._reader.cwd, str):
            return False  # finding it is a system call, or the operator's code
        try:
            review = self._guard.reviews.cached(self._reader.read(raw, site).key)
        except Exception:  # noqa: BLE001 - `_plan` meets the same failure and answers it
            return False
        return review is not None and review.outcome is not Outcome.ESCALATE

    def _plan(self, raw: Mapping[str, Any], site: Site) -> _Step | ToolMessage:
        try:
            asked = self._reader.read(raw, site)
            # 1. An outer hook of ours has judged exactly this, and only this.
            if asked.key in _RELEASED.get():
                return _Step(asked=asked, released=True)
            review = self._guard.reviews.recall(asked.key)
            # 2. Something between the question and here has changed what a person was shown.
            shown = () if review is not None else self._guard.reviews.shown(asked.key.turn, asked.key.call)
            if shown:
                return _wire.blocked(raw, Outcome.ESCALATE, shown[0].decision_id)
            # 3. What was decided first is what counts; only an ALLOW is judged again, by `Guard.run`.
            if review is None or review.outcome is Outcome.ALLOW:
                return _Step(asked=asked)
            if review.outcome is Outcome.DENY:
                return _wire.blocked(raw, Outcome.DENY, review.decision_id)
            return self._answered(asked, review, site)
        except Exception as error:  # noqa: BLE001 - judging must not raise out of a graph
            return _faulted(raw, error)

    def _answered(self, asked: Asked, review: Review, site: Site) -> _Step | ToolMessage:
        match review.state:
            case "rejected" | "responded":
                return _wire.answered(asked.raw, review)
            case "refused":
                return _wire.blocked(asked.raw, Outcome.DENY, review.decision_id)
            case "done":
                return _wire.unpack(asked.raw, review)
            case "approved" | "released" | "failed" | "paused":
                return self._granted(asked, review)
            case "decided" | "pending" | "expired" | "superseded":
                return _blocked(asked, Outcome.ESCALATE, review.decision_id, site)

    def _granted(self, asked: Asked, review: Review) -> _Step | ToolMessage:
        edited = review.answer.args if review.answer is not None else None
        final = asked if edited is None else asked.with_args(edited)
        grant = self._guard.reviews.issue(review.key, final.key.digest)
        if grant is None:
            return self._ungranted(asked, review.key) or _wire.blocked(asked.raw, Outcome.ESCALATE, review.decision_id)
        return _Step(asked=final, held=review.key, grant=grant, edited=edited is not None)

    def _ungranted(self, asked: Asked, held: CallKey) -> ToolMessage | None:
        """What there is to say about a call whose grant another execution of its turn has; None if none has it."""
        review = self._guard.reviews.recall(held)
        if review is not None and review.state == "done":
            return _wire.unpack(asked.raw, review)
        if review is not None and review.state == "released":
            return _wire.blocked(asked.raw, Outcome.ESCALATE, review.decision_id, _wire.STARTED)
        return None

    def _failed(self, step: _Step, ran: Ran, error: BaseException, site: Site) -> Any:
        # 1. The tool raised: that is its own affair, and ToolNode has to see it as it is.
        if ran.error is not None:
            self._close(step, ran)
            raise ran.error
        # 2. The tool has run and recording that failed: its answer is not withheld, and the guard has warned.
        if ran.done:
            return self._done(step, ran)
        if not isinstance(error, Exception):
            raise error
        # 3. The tool did not run.
        if not isinstance(error, Blocked):
            return _faulted(step.asked.raw, error)
        # A failure in judging may pass: the approval stays, and its grant is given again if it was not used up.
        if isinstance(error, Denied) and step.held is not None and not is_fault(error.decision):
            with reported("the end of a review"):
                self._guard.reviews.finish(step.held, "refused")
        if step.held is not None and error.decision.outcome is Outcome.ESCALATE:
            with suppress(ReviewError):  # then what the guard said is all that is known
                if told := self._ungranted(step.asked, step.held):
                    return told
        return _blocked(step.asked, error.decision.outcome, error.decision.decision_id, site)

    def _done(self, step: _Step, ran: Ran) -> Any:
        result = _wire.with_notice(ran.value, step.asked.raw) if step.edited else ran.value
        if step.held is not None:
            with reported("the end of a review"):
                self._guard.reviews.finish(step.held, "done", result=_wire.pack(result))
        return result

    def _close(self, step: _Step, ran: Ran) -> None:
        paused = isinstance(ran.error, GraphBubbleUp)
        with reported("the end of a review"):
            if paused:
                # The turn will run again, perhaps in another process: what was decided for it has to be there.
                self._guard.reviews.keep(step.asked.key.turn)
            # A cancelled call may have done anything: it stays released, and is not run again.
            if step.held is not None and isinstance(ran.error, Exception):
                self._guard.reviews.finish(step.held, "paused" if paused else "failed")


def _blocked(asked: Asked, outcome: Outcome, decision_id: str, site: Site) -> ToolMessage:
    """A call that does not run, and for operators why nobody was asked, if nobody could be."""
    if site.resumable or outcome is not Outcome.ESCALATE:
        return _wire.blocked(asked.raw, outcome, decision_id)
    _log.warning("the call `%s` was held and nobody was asked: %s", asked.call.id, NOT_RESUMABLE)
    return _wire.blocked(asked.raw, outcome, decision_id, reason=NOT_RESUMABLE)


def _faulted(raw: Mapping[str, Any], error: Exception) -> ToolMessage:
    _log.warning("a tool call was blocked because judging it failed: %s: %s", type(error).__name__, error)
    return _wire.blocked(raw, Outcome.DENY, new_id())
