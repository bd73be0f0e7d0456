"""What tells a page that something is new: the number of records and of changes at the desk, and nothing of either."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from guardrail.service._respond import Request

if TYPE_CHECKING:
    from guardrail.service.console._pages import Pages

LOOK_SECONDS: Final = 1.0
"""How often is looked for something new, in seconds."""

BEAT_SECONDS: Final = 15.0
"""How often something is sent while nothing happens, so that a connection that is gone is noticed, in seconds."""


async def stream(pages: Pages, request: Request) -> None:
    """Server-sent events until the reader goes away.

    Args:
        pages: know whether something is new.
        request: whoever reads.
    """
    send = request.send
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    gone = asyncio.create_task(request.gone())
    told, quiet = "", 0.0
    try:
        while not gone.done():
            state = pages.state
            if state != told or quiet >= BEAT_SECONDS:
                await send({"type": "http.response.body", "body": b"data: %s\n\n" % state.encode(), "more_body": True})
                told, quiet = state, 0.0
            await asyncio.wait((gone,), timeout=LOOK_SECONDS)
            quiet += LOOK_SECONDS
        with suppress(OSError):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        gone.cancel()
