"""Whose turn it is: how many calls are judged, or carried out, and wait at one time, and how many of one caller's.

What gets no turn is not judged, which is a denial: a 429 where its own caller asks for too much, a 503 where all do.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final, Self

import msgspec

from guardrail.config import ExecuteConfig, ServiceConfig
from guardrail.service._http import Problem

MAX_KNOWN: Final = 4096
"""Most callers whose rate is remembered; of too many the one that asked longest ago is forgotten, and begins anew."""

SHED: Final = ("rate", "share", "queue", "wait")
"""Why a call gets no turn: its caller asks too often, or has too many open; too many wait, or it waited too long."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many calls may have a turn, and wait for one.

    Args:
        concurrency: most calls that have a turn at one time.
        queue: most calls that wait for one.
        queue_ms: for how long each, in milliseconds.
        each_concurrency: most calls of one caller that have a turn or wait.
        each_rate: most calls of one caller per second, on average.
        each_burst: most calls of one caller at once after a pause.
        what: what is done with a call that has a turn, for sentences.
    """

    concurrency: int
    queue: int
    queue_ms: int
    each_concurrency: int
    each_rate: float
    each_burst: int
    what: str = "judged"

    @classmethod
    def of_judging(cls, service: ServiceConfig) -> Self:
        """Those of `[service]`."""
        return cls(
            concurrency=service.concurrency,
            queue=service.queue,
            queue_ms=service.queue_ms,
            each_concurrency=service.each_concurrency,
            each_rate=service.each_rate,
            each_burst=service.each_burst,
        )

    @classmethod
    def of_execution(cls, execute: ExecuteConfig, service: ServiceConfig) -> Self:
        """Those of `[execute]`; how often one caller may ask is the same for all that it asks."""
        return cls(
            concurrency=execute.concurrency,
            queue=execute.queue,
            queue_ms=execute.queue_ms,
            each_concurrency=execute.each_concurrency,
            each_rate=service.each_rate,
            each_burst=service.each_burst,
            what="carried out",
        )


class _Pace:
    """How much one caller may ask just now: a bucket that fills again by itself, and what is open of theirs."""

    __slots__ = ("at", "left", "open")

    def __init__(self, left: float, at: float) -> None:
        self.left = left
        self.at = at
        self.open = 0


class Turns:
    """The turns of all routes that judge, or of the one that carries out; for one event loop.

    Args:
        limits: how many there are.
        clock: seconds that only ever grow.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._paces: OrderedDict[str, _Pace] = OrderedDict()
        self._line: deque[asyncio.Future[None]] = deque()
        self.active = 0
        """Calls that have a turn now."""
        self.shed: Counter[str] = Counter()
        """Calls that got no turn, by `SHED`."""

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return len(self._line)

    @asynccontextmanager
    async def turn(self, who: str) -> AsyncGenerator[None]:
        """One call's turn.

        Args:
            who: the client, or else the agent, whose share it is of.

        Raises:
            Problem: if there is none for it.
        """
        pace = self._admitted(who)
        pace.open += 1
        try:
            await self._reach()
            try:
                yield
            finally:
                self._pass_on()
        finally:
            pace.open -= 1

    def _admitted(self, who: str) -> _Pace:
        limits, now = self._limits, self._clock()
        pace = self._paces.get(who)
        if pace is None:
            pace = self._paces[who] = _Pace(limits.each_burst, now)
            self._forget()
        self._paces.move_to_end(who)
        pace.left = min(float(limits.each_burst), pace.left + (now - pace.at) * limits.each_rate)
        pace.at = now
        if pace.left < 1.0:
            wait = max(1, round((1.0 - pace.left) / limits.each_rate))
            raise self._refused("rate", "too-often", f"more than {limits.each_rate:g} calls a second: ask again", wait)
        if pace.open >= limits.each_concurrency:
            text = f"{limits.each_concurrency} calls of this caller are being {limits.what} or wait already: ask again"
            raise self._refused("share", "too-often", text)
        pace.left -= 1.0
        return pace

    def _forget(self) -> None:
        # Whoever has something open is remembered, and there are never more of those than have a turn or wait for one.
        idle = (name for name, pace in self._paces.items() if not pace.open)
        if len(self._paces) > MAX_KNOWN and (name := next(idle, None)) is not None:
            del self._paces[name]

    async def _reach(self) -> None:
        """Wait until it is this call's turn."""
        limits = self._limits
        if self.active < limits.concurrency:
            self.active += 1
            return
        if len(self._line) >= limits.queue:
            raise self._refused(
                "queue", "overloaded", f"{limits.queue} calls wait to be {limits.what} already: ask again"
            )
        place = asyncio.get_running_loop().create_future()
        self._line.append(place)
        try:
            async with asyncio.timeout(limits.queue_ms / 1000):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                self._pass_on()  # it had come just then
            elif place in self._line:
                self._line.remove(place)
            if not isinstance(error, TimeoutError):
                raise
            busy = f"{limits.concurrency} calls are being {limits.what}"
            text = f"{busy}, and none ended within {limits.queue_ms} ms: ask again"
            raise self._refused("wait", "overloaded", text) from None

    def _pass_on(self) -> None:
        """The next in line has the turn that is over."""
        while self._line:
            place = self._line.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.active -= 1

    def _refused(self, why: str, kind: str, detail: str, seconds: int = 1) -> Problem:
        self.shed[why] += 1
        return Problem(kind, detail, ((b"retry-after", str(seconds).encode()),))
