"""Telling the outside of escalations: signed messages, retried for a while, each at most once on record.

The queue is a fold of the ledger: what is due is what no record says was told. A crash loses nothing, and a message
that was sent and not recorded is sent again under the same id.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from guardrail.errors import GuardrailError
from guardrail.review import ReviewDesk
from guardrail.review._notices import Endpoint, Notice, due
from guardrail.service._post import Post, send

RETRY_SECONDS: Final = (5, 30, 300, 1_800, 7_200, 18_000)
"""How long to wait after each attempt that failed, in seconds; after the last one it is given up."""

MAX_AT_ONCE: Final = 32
"""Most messages that are sent to one endpoint before the others have their turn."""


class Webhooks:
    """The endpoints of a service.

    Args:
        desk: whose escalations.
        endpoints: who is told.
        post: how a message is sent.
        clock: the time by which retries wait, in seconds.
    """

    def __init__(
        self,
        desk: ReviewDesk,
        endpoints: Sequence[Endpoint],
        *,
        post: Post | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desk = desk
        self._endpoints = endpoints
        self._post = post
        self._clock = clock
        self._failed: dict[str, dict[str, tuple[int, float]]] = {}

    async def run(self, every: float) -> None:
        """Send what is due, now and then, until cancelled; one that is slow keeps no other from being told."""
        await asyncio.gather(*(self._serve(endpoint, every) for endpoint in self._endpoints))

    async def _serve(self, endpoint: Endpoint, every: float) -> None:
        while True:
            await asyncio.to_thread(self.tell, endpoint)
            await asyncio.sleep(every)

    def tell(self, endpoint: Endpoint) -> int:
        """Send an endpoint what is due.

        Returns:
            How many messages were delivered.
        """
        now_us = self._desk.clock()
        waiting = tuple(due(self._desk.cases(), endpoint.name, now_us))
        failed, names = self._failed.get(endpoint.name, {}), {notice.id for notice in waiting}
        self._failed[endpoint.name] = {name: known for name, known in failed.items() if name in names}
        notices = [notice for notice in waiting if self._may_try(endpoint, notice)]
        return sum(self._tell(endpoint, notice) for notice in notices[:MAX_AT_ONCE])

    def _may_try(self, endpoint: Endpoint, notice: Notice) -> bool:
        return self._clock() >= self._failed[endpoint.name].get(notice.id, (0, 0.0))[1]

    def _tell(self, endpoint: Endpoint, notice: Notice) -> bool:
        case = self._desk.find(notice.escalation)
        if case is None:
            return False
        failed = self._failed[endpoint.name]
        attempts = failed.get(notice.id, (0, 0.0))[0] + 1
        headers, body = endpoint.message(notice, case, self._desk.clock() // 1_000_000)
        post = self._post or functools.partial(send, most=0, private=endpoint.private)
        status, _ = post(endpoint.url, headers, body)
        delivered = 200 <= status < 300
        if not delivered and attempts <= len(RETRY_SECONDS):
            failed[notice.id] = (attempts, self._clock() + RETRY_SECONDS[attempts - 1])
            return False
        failed.pop(notice.id, None)
        if not delivered:
            logging.getLogger("guardrail.service").warning("guardrail.webhook.given_up %s %s", endpoint.name, notice.id)
        with suppress(GuardrailError):  # not recorded: it is told again, under the same id
            self._desk.notified(notice.escalation, endpoint.name, notice.what, attempts=attempts, delivered=delivered)
        return delivered
