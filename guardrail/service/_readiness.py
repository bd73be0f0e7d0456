"""Whether calls would be judged, or denied because something is missing: the engine, its bundle, the trail."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from guardrail.errors import GuardrailError
from guardrail.model import ToolCall
from guardrail.policy import conclude, document

if TYPE_CHECKING:
    from guardrail.guard import Guard

READY_SECONDS: Final = 1.0
"""How long an answer of `/readyz` is good for, in seconds: asking costs a signature, and anybody may ask."""

_PROBE: Final = ToolCall(tool="guardrail.readiness")
"""A call that touches nothing; policy is asked about it, and nothing is decided."""


class Readiness:
    """What `/readyz` says, each part by its name.

    Args:
        guard: whose.
    """

    def __init__(self, guard: Guard) -> None:
        self.started = False
        self._guard = guard
        self._asked_at = float("-inf")
        self._last: dict[str, bool] = {}
        self._one = asyncio.Lock()

    async def checks(self) -> dict[str, bool]:
        """Names of what has to be there, and whether it is."""
        async with self._one:
            if time.monotonic() - self._asked_at >= READY_SECONDS:
                bundle = bool(self._guard.engine.revision)
                self._last = {"bundle": bundle, "engine": await self._engine(), "trail": await self._trail()}
                self._asked_at = time.monotonic()
        return {"started": self.started, **self._last}

    def notes(self) -> dict[str, str]:
        """What is worth knowing of a service that is ready all the same; anybody may ask, so no reasons."""
        central = self._guard.central
        return {} if central is None else {"central": central.status.state}

    async def _engine(self) -> bool:
        asked = document(_PROBE, (), facts=_nothing, mandates=(), history={}, grant=None, now_us=time.time_ns() // 1000)
        deadline = time.monotonic() + self._guard.config.limits.decision_ms / 1000
        try:
            ruling = await self._guard.engine.adecide(asked, deadline=deadline)
            conclude(ruling.answer, rules=ruling.rules, effects=())
        except GuardrailError:
            return False
        return True

    async def _trail(self) -> bool:
        trail = self._guard.trail
        if trail is None:
            # Judging without a record is for trying things out; a service that does it must not look ready.
            return False
        try:
            # The only honest question: it passes through the writer, the disk and the key.
            await asyncio.to_thread(trail.checkpoint)
        except GuardrailError:
            return False
        return True


def _nothing(asset: str) -> dict[str, object]:
    raise KeyError(asset)  # there is no effect, hence no asset to tell of
