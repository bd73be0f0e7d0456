"""Asking: judge all calls of a turn in their order before any of them runs, and put one question to a person.

Not concerned with carrying an answer out (`_enforce`).

Langgraph matches resume values to `interrupt()` calls by position within a task, so a question from inside concurrently
running tools could hand one call's approval to another.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from langgraph.types import interrupt

from guardrail import Decision, Outcome, Reason, ToolCall
from guardrail.model import FAULT_RULE, new_id
from guardrail.review import Answer, AnswerKind, CallKey, Review, ReviewError
from guardrail_adapters import _wire
from guardrail_adapters._calls import Asked, CallReader, Site
from guardrail_adapters._guard import GuardLike

_log: Final = logging.getLogger("guardrail.adapters")

Asker = Literal["turn", "node", "call"]
"""Which hook asks: after the model, before a tool node, or around one call. One of them asks, the others know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is put to a person: the held calls in the order of the turn."""

    held: tuple[Review, ...]
    asked: tuple[Asked, ...]
    fingerprint: str
    value: dict[str, Any]
    schema: Any

    @classmethod
    def of(cls, pairs: Sequence[tuple[Asked, Review]], asker: Asker, allowed: Sequence[AnswerKind]) -> _Question:
        held = tuple(review for _, review in pairs)
        text = "\0".join([asker, *(f"{r.key.turn.message}\0{r.key.call}\0{r.key.digest}" for r in held)])
        single = asker == "call"
        return cls(
            held=held,
            asked=tuple(asked for asked, _ in pairs),
            fingerprint=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
            value=_wire.per_call(held[0]) if single else _wire.batched(held, allowed),
            schema=_wire.per_call_schema(held[0], allowed) if single else _wire.batched_schema(held, allowed),
        )

    def decisions(self, reply: Any) -> Sequence[Mapping[str, Any]]:
        return reply["decisions"] if "action_requests" in self.value else [reply]


class Asking:
    """The first hook of the gate, for plain and for coroutine code.

    Args:
        guard: what judges.
        reader: how tool calls become ToolCalls.
        allowed: what a reviewer may answer.
    """

    def __init__(self, guard: GuardLike, reader: CallReader, allowed: tuple[AnswerKind, ...]) -> None:
        self._guard = guard
        self._reader = reader
        self._allowed = allowed
        # A preview leaves no intent in the trail and no history, because nothing is released by it.
        self._preview: Callable[[ToolCall], Decision] = getattr(guard, "preview", guard.check)
        self._apreview: Callable[[ToolCall], Awaitable[Decision]] = getattr(guard, "apreview", guard.acheck)
        self._in_execution: dict[int, set[CallKey]] = {}

    def ask(self, raws: Sequence[Mapping[str, Any]], site: Site, asker: Asker) -> None:
        """Judge calls in their order, and pause for a person if one is needed.

        Raises:
            GraphInterrupt: to pause.
        """
        pairs: list[tuple[Asked, Review]] = []
        for raw in raws:
            asked, review = self._recall(raw, site)
            if asked is not None and review is None:
                review = self._guard.reviews.remember(asked.key, asked.call, self._judge(asked))
            if asked is not None and review is not None:
                pairs.append((asked, review))
        question = self._question(pairs, site, asker)
        if question is not None:
            before = self._announce(question, asker)
            if before is not None:
                self._take(question, before, interrupt(question.value, response_schema=question.schema), site)

    async def aask(self, raws: Sequence[Mapping[str, Any]], site: Site, asker: Asker) -> None:
        """`ask`, for coroutines: the store is used in a worker thread, so the event loop does not wait for the disk."""
        pairs: list[tuple[Asked, Review]] = []
        for raw in raws:
            asked, review = await asyncio.to_thread(self._recall, raw, site)
            if asked is not None and review is None:
                review = self._guard.reviews.remember(asked.key, asked.call, await self._ajudge(asked))
            if asked is not None and review is not None:
                pairs.append((asked, review))
        question = self._question(pairs, site, asker)
        if question is not None:
            before = await asyncio.to_thread(self._announce, question, asker)
            if before is not None:
                reply = interrupt(question.value, response_schema=question.schema)
                await asyncio.to_thread(self._take, question, before, reply, site)

    def _recall(self, raw: Mapping[str, Any], site: Site) -> tuple[Asked | None, Review | None]:
        try:
            asked = self._reader.read(raw, site)
            review = self._guard.reviews.recall(asked.key)
            if review is None and site.resumable:
                self._guard.reviews.supersede(asked.key.turn)  # what an earlier turn left unanswered
            return asked, review
        except Exception:  # noqa: BLE001 - judging must not raise out of a graph
            return None, None  # `enforce` meets the same failure, and that is where it is answered

    def _judge(self, asked: Asked) -> Decision:
        try:
            return self._preview(asked.call)
        except Exception as error:  # noqa: BLE001 - judging must not raise out of a graph
            return _fault(asked, error)

    async def _ajudge(self, asked: Asked) -> Decision:
        try:
            return await self._apreview(asked.call)
        except Exception as error:  # noqa: BLE001 - judging must not raise out of a graph
            return _fault(asked, error)

    def _question(self, pairs: Sequence[tuple[Asked, Review]], site: Site, asker: Asker) -> _Question | None:
        # INVARIANT: every held call is asked about on every re-run, answered or not. Resume values are matched by
        # position within the task, so leaving out an answered question would hand its answer to the next `interrupt()`,
        # such as one inside a tool. Only what another hook has asked in a task of its own is left out.
        held: dict[CallKey, tuple[Asked, Review]] = {}
        for asked, review in pairs:
            if review.outcome is Outcome.ESCALATE and review.asker in ("", asker):
                held.setdefault(review.key, (asked, review))
        if not held or not site.resumable:
            return None
        if asker == "call" and not self._first_in_execution(next(iter(held)), site.runtime):
            return None
        return _Question.of(tuple(held.values()), asker, self._allowed)

    def _first_in_execution(self, key: CallKey, runtime: Any) -> bool:
        """Whether a call has not been asked about yet in this execution of its task: a retry must not ask again."""
        if runtime is None:
            return True
        name = id(runtime)
        if name not in self._in_execution:
            self._in_execution[name] = set()
            weakref.finalize(runtime, self._in_execution.pop, name, None)
        seen = self._in_execution[name]
        first = key not in seen
        seen.add(key)
        return first

    def _announce(self, question: _Question, asker: Asker) -> tuple[Review, ...] | None:
        try:
            keys = [review.key for review in question.held]
            return self._guard.reviews.ask(keys, asked=question.fingerprint, asker=asker)
        except ReviewError as error:
            # Nobody may be asked what is not on file; `enforce` finds no answer and blocks.
            _log.warning("no person was asked: %s", error)
            return None

    def _take(self, question: _Question, before: Sequence[Review], reply: Any, site: Site) -> None:
        # INVARIANT: an answer counts only for the question that was shown. An `interrupt()` that returns although this
        # question was new, or was another one, returned the answer to something else.
        if any(review.asked != question.fingerprint for review in before):
            return
        try:
            for asked, raw in zip(question.asked, question.decisions(reply), strict=True):
                self._guard.reviews.answer(asked.key, _answer(asked, raw, site.approver))
        except (ReviewError, ValueError, TypeError, KeyError) as error:
            _log.warning("an answer was not recorded: %s", error)


def _answer(asked: Asked, raw: Mapping[str, Any], approver: str) -> Answer:
    kind: AnswerKind = raw["type"]
    if kind == "edit":
        edited = asked.with_args(raw["edited_action"]["args"])
        return Answer(kind=kind, approver=approver, digest=edited.key.digest, args=edited.call.args)
    if kind == "approve":
        return Answer(kind=kind, approver=approver, digest=asked.key.digest)
    message = raw.get("message")
    return Answer(kind=kind, approver=approver, message=message if isinstance(message, str) else None)


def _fault(asked: Asked, error: Exception) -> Decision:
    """A guard that raises where it should answer has failed in judging: the call is denied, and stays so."""
    return Decision(
        decision_id=new_id(),
        outcome=Outcome.DENY,
        reasons=(Reason(rule=FAULT_RULE, outcome=Outcome.DENY, message=f"{type(error).__name__}: {error}"),),
        id=asked.call.id,
        digest=asked.key.digest,
    )
