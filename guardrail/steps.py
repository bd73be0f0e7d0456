"""The questions that the flow puts while it waits for nothing itself, and the two ways of putting them.

The flow is a generator: where an engine or the trail has to answer it yields a step, and is sent the reply. So the
synchronous and the asynchronous path are one. Not concerned with the order of the questions: `guard` is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import msgspec

from guardrail.audit import AnyTrail, Later
from guardrail.policy import PolicyEngine

T = TypeVar("T")


class Ask(msgspec.Struct, frozen=True, gc=False):
    """A question to the policy engine: the answer is sent back into the flow."""

    document: bytes


class Do(msgspec.Struct, frozen=True):
    """Something that waits for the disk: what it gives back is sent into the flow."""

    work: Callable[[], Any]


class Keep(msgspec.Struct, frozen=True, gc=False):
    """A record for the trail: its sequence number is sent back into the flow; None where no trail is kept."""

    record: dict[str, Any] | Later
    durable: bool


Step = Ask | Keep | Do
Flow = Generator[Step, Any, T]


class Steps:
    """Puts the questions of a flow to those who can answer them.

    Args:
        engine: what decides.
        trail: where records go; None keeps none.
        decision_ms: longest wait for the engine, in milliseconds.
    """

    def __init__(self, engine: PolicyEngine, trail: AnyTrail | None, decision_ms: int) -> None:
        self.engine = engine
        self._trail = trail
        self._seconds = decision_ms / 1000

    def drive(self, flow: Flow[T]) -> T:
        """Lead a flow to its end.

        Args:
            flow: a generator; what fails is raised inside of it, so that it alone decides what a failure means.

        Returns:
            What it came to.
        """
        try:
            step = next(flow)
            while True:
                try:
                    reply = self._answer(step)
                except Exception as error:  # noqa: BLE001 - the flow decides what a failure means
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            value: T = stop.value
            return value

    async def adrive(self, flow: Flow[T]) -> T:
        """`drive`, without blocking the event loop."""
        try:
            step = next(flow)
            while True:
                try:
                    reply = await self._aanswer(step)
                except Exception as error:  # noqa: BLE001 - the flow decides what a failure means
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            value: T = stop.value
            return value

    def _answer(self, step: Step) -> Any:
        if isinstance(step, Ask):
            return self.engine.decide(step.document, deadline=time.monotonic() + self._seconds)
        if isinstance(step, Do):
            return step.work()
        return None if self._trail is None else self._trail.append(step.record, durable=step.durable)

    async def _aanswer(self, step: Step) -> Any:
        if isinstance(step, Ask):
            return await self.engine.adecide(step.document, deadline=time.monotonic() + self._seconds)
        if isinstance(step, Do):
            import asyncio  # a guard in a harness hook never needs it

            return await asyncio.to_thread(step.work)
        return None if self._trail is None else await self._trail.aappend(step.record, durable=step.durable)
