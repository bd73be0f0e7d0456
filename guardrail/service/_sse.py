"""Server-sent events: texts as they come, until there are no more or nobody reads them any longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Final

from guardrail.service._respond import Request

BEAT_SECONDS: Final = 15.0
"""How often something is sent while nothing happens, so that a connection that is gone is noticed, in seconds."""


async def send_events(request: Request, texts: AsyncGenerator[bytes]) -> None:
    """Answer a request with events.

    Args:
        request: whoever reads.
        texts: events, or comments to show that somebody is there; closed when nobody reads any more.
    """
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await request.send({"type": "http.response.start", "status": 200, "headers": headers})
    gone = asyncio.create_task(request.gone())
    try:
        async with aclosing(texts):
            while (text := await _next(texts, gone)) is not None:
                await request.send({"type": "http.response.body", "body": text, "more_body": True})
        with suppress(OSError):
            await request.send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        gone.cancel()


async def _next(texts: AsyncGenerator[bytes], gone: asyncio.Task[None]) -> bytes | None:
    """The next text; None if there is none, or nobody who reads it."""
    coming = asyncio.ensure_future(anext(texts, None))
    try:
        await asyncio.wait((coming, gone), return_when=asyncio.FIRST_COMPLETED)
        return None if gone.done() else coming.result()
    finally:
        if not coming.done():
            coming.cancel()
            await asyncio.wait((coming,))
