"""Calls of a framework that pauses a run by itself, and makes the call again once a person has answered.

    asks ── the framework pauses ── carry_out     with a grant for exactly what was shown
      └──── nobody is needed ────── carry_out     judged again as it runs

Not concerned with how a framework is told to pause, nor with what it calls a refusal. LangGraph matches answers by
their position, so there a whole turn is asked about at once (`_ask`, `_enforce`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any, Final, Literal

from guardrail import Blocked, ConfigError, Decision, Denied, Grant, Outcome, ToolCall
from guardrail.model import NEUTRAL
from guardrail.review import Answer, CallKey, Review, ReviewError, TurnKey
from guardrail_adapters._guard import GuardLike, require
from guardrail_adapters._ran import Ran, is_fault, reported

_log: Final = logging.getLogger("guardrail.adapters")

MAX_TIMES: Final = 64
"""How often one call id of a session may be put to people; its calls after that are denied."""

MAX_DENIED: Final = 10_000
"""Most denials that wait for their call to be refused; of more, the oldest is judged, and recorded, again."""

UNVERIFIED: Final = "unverified:run"
"""The approver's name when nothing is known but that somebody could resume the run."""

_RUNNING: Final[ContextVar[tuple[tuple[str, str, str], ...]]] = ContextVar("guardrail_running", default=())
"""Calls on their way to the tool: a second door of ours inside the first does not judge exactly the same again."""

Ending = Literal["done", "failed", "refused"]
"""How the review of a call ends."""

_OVER: Final = frozenset({"rejected", "responded", "refused", "expired", "superseded", "done"})
"""States of a review under which nothing is released any more."""


class NotCarriedOut(Exception):
    """A call that did not run; the text says that, and neither why nor who.

    Args:
        outcome: ESCALATE if a person could still let it run.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(NEUTRAL[outcome])
        self.outcome: Final = outcome


class Pausing:
    """Asks and enforces around a framework's own pause.

    Args:
        guard: what judges and runs.
        approver: names who is answering, when an answer is taken; without it only the right to resume is known.

    Raises:
        ConfigError: if `guard` is no guard.
    """

    def __init__(self, guard: GuardLike, approver: Callable[[], str] | None = None) -> None:
        require(guard, "check", "acheck", "run", "arun", "reviews")
        if approver is not None and not callable(approver):
            raise ConfigError("`approver` must be a function that names who is answering, or left out")
        self._guard = guard
        self._approver = approver
        # A preview leaves no intent in the trail and no history, because nothing is released by it.
        self._preview: Callable[[ToolCall], Awaitable[Decision]] = getattr(guard, "apreview", guard.acheck)
        self._denied: OrderedDict[tuple[str, str, str], bool] = OrderedDict()

    async def asks(self, call: ToolCall, *, approved: bool = False) -> str:
        """Judge a call before it runs, and write down that a person is about to be asked, if one is needed.

        Args:
            call: the call, with an id that is its own within the session.
            approved: whether the framework says that people have approved it.

        Returns:
            Id of the escalation that it waits for; empty if the framework may go on to `carry_out`, which enforces
            whatever was found, and meets whatever failed here.
        """
        try:
            times, last = await asyncio.to_thread(self._last, call)
            if last is not None and last.state != "done" and (approved or self._stands(last, call)):
                return last.decision_id if last.state == "pending" and not approved else ""
            decision = await self._preview(call)
            if decision.outcome is Outcome.ESCALATE:
                await asyncio.to_thread(self._ask, call, times, decision)
                return decision.decision_id
            if decision.outcome is Outcome.DENY and not is_fault(decision):
                self._note_denied(call)
        except Exception as error:  # noqa: BLE001 - `carry_out` fails the same way, and that is a refusal
            _log.warning("no person was asked: %s: %s", type(error).__name__, error)
        return ""

    async def carry_out(
        self,
        call: ToolCall,
        execute: Callable[[ToolCall], Awaitable[Any]],
        *,
        approved: bool,
        edited: bool = False,
    ) -> Any:
        """Run a call if it may be.

        Args:
            call: the call as it is to run.
            execute: carries it out.
            approved: whether the framework says that people have approved it.
            edited: whether these are arguments that a person gave in place of those that were shown.

        Raises:
            NotCarriedOut: if it may not, or judging it failed.
            BaseException: what `execute` raised.
        """
        if self._denied.pop(_name(call), False):
            raise NotCarriedOut(Outcome.DENY)
        if _name(call) in _RUNNING.get():
            return await execute(call)
        held, grant = await asyncio.to_thread(self._leave, call, approved, edited)
        ran = Ran()

        async def tool(own: ToolCall) -> Any:
            token = _RUNNING.set((*_RUNNING.get(), _name(call)))
            try:
                with ran.watch():
                    ran.value = await execute(own)
            finally:
                _RUNNING.reset(token)
            return ran.value

        try:
            await self._guard.arun(call, tool, grant=grant)
        except BaseException as error:  # noqa: BLE001 - the tool's own errors are raised again
            raised, ending = _came_of(ran, error)
            await self._finish(held, ending)
            if raised is not None:
                raise raised from raised.__cause__
        else:
            await self._finish(held, "done")
        return ran.value

    async def rejected(self, session: str, said: Callable[[Review], bool]) -> None:
        """Record which of a session's open questions people have said no to, by what the framework knows of it."""
        try:
            await asyncio.to_thread(self._reject, session, said)
        except Exception as error:  # noqa: BLE001 - the framework does not run what was rejected, recorded or not
            _log.warning("a rejection was not recorded: %s: %s", type(error).__name__, error)

    # ── in worker threads, because the store is on disk ──────────────────────────────────────────────────────────────

    def _last(self, call: ToolCall) -> tuple[int, Review | None]:
        """How often this call id was put to people in this session, and the last time."""
        last: Review | None = None
        for times in range(MAX_TIMES):
            shown: Sequence[Review] = self._guard.reviews.shown(_turn(call, times), call.id)
            if not shown:
                return times, last
            last = shown[0]
        raise ReviewError(f"one call id was put to people {MAX_TIMES} times in this session")

    def _stands(self, review: Review, call: ToolCall) -> bool:
        """Whether the question, or its answer, is about exactly this call and not one of a later turn with its id."""
        return review.state not in _OVER and review.key.digest == call.digest

    def _ask(self, call: ToolCall, times: int, decision: Decision) -> None:
        key = CallKey(turn=_turn(call, times), call=call.id, digest=call.digest)
        self._guard.reviews.supersede(key.turn)
        self._guard.reviews.remember(key, call, decision)
        self._guard.reviews.ask([key], asked=call.digest, asker="call")

    def _note_denied(self, call: ToolCall) -> None:
        self._denied[_name(call)] = True
        while len(self._denied) > MAX_DENIED:
            self._denied.popitem(last=False)

    def _leave(self, call: ToolCall, approved: bool, edited: bool) -> tuple[CallKey | None, Grant | None]:
        try:
            return self._found_leave(call, approved, edited)
        except NotCarriedOut:
            raise
        except Exception as error:  # noqa: BLE001 - judging must not raise into a framework
            _warn(error)
            raise NotCarriedOut(Outcome.DENY) from None

    def _found_leave(self, call: ToolCall, approved: bool, edited: bool) -> tuple[CallKey | None, Grant | None]:
        _, last = self._last(call)
        # 1. Nobody was asked, or what they were asked about is over: the guard alone decides.
        if last is None or last.state == "done":
            return None, None
        if last.state in _OVER:
            if approved:
                raise NotCarriedOut(Outcome.DENY)
            return None, None
        # 2. An answer counts for what was shown, or for what the person put in its place.
        waits = last.state == "pending" and not approved
        if waits or not (edited or last.key.digest == call.digest):
            raise NotCarriedOut(Outcome.ESCALATE)
        if last.state == "pending":
            self._guard.reviews.answer(last.key, self._answer(last, call))
        # 3. None of it counts without a grant, which is for one execution of one digest.
        grant = self._guard.reviews.issue(last.key, call.digest)
        if grant is None:
            raise NotCarriedOut(Outcome.ESCALATE)
        return last.key, grant

    def _answer(self, review: Review, call: ToolCall) -> Answer:
        if review.key.digest == call.digest:
            return Answer(kind="approve", approver=self._who(), digest=call.digest)
        return Answer(kind="edit", approver=self._who(), digest=call.digest, args=call.args)

    def _who(self) -> str:
        name = self._approver() if self._approver is not None else ""
        return f"config:{name}" if name else UNVERIFIED

    def _reject(self, session: str, said: Callable[[Review], bool]) -> None:
        for review in self._guard.reviews.pending():
            if review.key.turn.thread == session and review.asker == "call" and said(review):
                self._guard.reviews.answer(review.key, Answer(kind="reject", approver=self._who()))

    async def _finish(self, held: CallKey | None, ending: Ending | None) -> None:
        if held is not None and ending is not None:
            with reported("the end of a review"):
                await asyncio.to_thread(self._guard.reviews.finish, held, ending)


def _came_of(ran: Ran, error: BaseException) -> tuple[BaseException | None, Ending | None]:
    """What is raised when `Guard.arun` has raised, and how the review of the call ends; None if it does not."""
    # 1. The tool raised: that is its own affair. What was cut short may have done anything, and stays released.
    if ran.error is not None:
        return ran.error, "failed" if isinstance(ran.error, Exception) else None
    # 2. The tool has run and recording that failed: its answer is not withheld, and the guard has warned.
    if ran.done:
        return None, "done"
    # 3. It did not run. A failure in judging may pass, so the approval stays.
    if not isinstance(error, Exception):
        return error, None
    if not isinstance(error, Blocked):
        _warn(error)
        return NotCarriedOut(Outcome.DENY), None
    refused = isinstance(error, Denied) and not is_fault(error.decision)
    return NotCarriedOut(error.decision.outcome), "refused" if refused else None


def _turn(call: ToolCall, times: int) -> TurnKey:
    """A turn of its own for each time that a call id is put to people: model servers use ids again."""
    return TurnKey(thread=call.session, scope=f"call:{call.id}", message=str(times))


def _name(call: ToolCall) -> tuple[str, str, str]:
    return call.session, call.id, call.digest


def _warn(error: Exception) -> None:
    _log.warning("a tool call was blocked because judging it failed: %s: %s", type(error).__name__, error)
