"""What a service does while nobody asks: take in the inbox, note what has expired, and tell those who want to know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from guardrail.errors import GuardrailError
from guardrail.review import ReviewDesk

if TYPE_CHECKING:
    from guardrail.service._webhooks import Webhooks

LOOK_SECONDS: Final = 1.0
"""How often it looks, in seconds."""


class Background:
    """The work beside the requests.

    Args:
        desk: whose escalations.
        webhooks: who is told of them, if anybody.
    """

    def __init__(self, desk: ReviewDesk, webhooks: Webhooks | None = None) -> None:
        self._desk = desk
        self._webhooks = webhooks

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Do it, as long as the service runs."""
        tasks = [asyncio.create_task(self._watch())]
        if self._webhooks is not None:
            tasks.append(asyncio.create_task(self._webhooks.run(LOOK_SECONDS)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(GuardrailError):  # whoever asks is told
                await asyncio.to_thread(self._look)

    def _look(self) -> None:
        self._desk.look()
        self._desk.expire()
