"""Waiting for people, without a thread for each call that waits.

Not concerned with what is said meanwhile: that is the gate's.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from guardrail import TrailError
from guardrail.review import Refused, ReviewDesk

LOOK_SECONDS: Final = 0.5
"""How often votes that others left are looked for while a call waits, in seconds."""

BEAT_SECONDS: Final = 5.0
"""How often a client that wants progress hears that its call still waits, in seconds."""

MAX_HELD: Final = 256
"""Most calls that wait at one time; further ones are told at once that they are pending."""


WITHDRAWN: Final = "withdrawn by the client"
"""Message of a cancellation that the client asked for; any other leaves the question with people."""


class Waiting:
    """Calls that wait for the same desk.

    Args:
        desk: where people answer.
    """

    def __init__(self, desk: ReviewDesk) -> None:
        self._desk = desk
        self._waiters: Counter[str] = Counter()

    async def decided(self, escalation: str, seconds: float, beat: Callable[[], Awaitable[None]] | None = None) -> str:
        """Wait for an answer.

        Args:
            escalation: its id.
            seconds: longest wait, in seconds.
            beat: called now and then meanwhile.

        Returns:
            The state of the case: `pending` if nobody answered in time.

        Raises:
            TrailError: if the ledger cannot be read.
        """
        if self._waiters.total() >= MAX_HELD:
            return "pending"
        self._waiters[escalation] += 1
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        end = self._desk.subscribe(lambda: loop.call_soon_threadsafe(news.set))
        withdrawn = False
        try:
            return await self._wait(escalation, time.monotonic() + seconds, beat, news)
        except asyncio.CancelledError as stop:
            withdrawn = WITHDRAWN in stop.args
            raise
        finally:
            end()
            self._waiters[escalation] -= 1
            self._waiters += Counter()
            if withdrawn:
                self.withdraw(escalation)

    async def _wait(
        self, escalation: str, end: float, beat: Callable[[], Awaitable[None]] | None, news: asyncio.Event
    ) -> str:
        next_beat = time.monotonic() + BEAT_SECONDS
        while True:
            news.clear()
            await asyncio.to_thread(self._desk.look)
            case: Any = self._desk.find(escalation)
            state = "superseded" if case is None else str(case.state_at(self._desk.clock()))
            now = time.monotonic()
            if state != "pending" or now >= end:
                return state
            if beat is not None and now >= next_beat:
                await beat()
                next_beat = now + BEAT_SECONDS
            try:
                async with asyncio.timeout(min(LOOK_SECONDS, end - now)):
                    await news.wait()
            except TimeoutError:
                pass

    def withdraw(self, escalation: str) -> None:
        """Whoever asked wants it no more: an approval that came later would lie about, for anybody to use.

        Another call that waits for the same answer goes on waiting for it.
        """
        if self._waiters[escalation]:
            return
        try:
            self._desk.close(escalation, "superseded")
        except (Refused, TrailError):
            pass  # it is decided, or stays and expires by itself
