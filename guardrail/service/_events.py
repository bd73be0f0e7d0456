"""Server-sent events: each change of an escalation, numbered like its record, so that a reader goes on where it was."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import orjson

from guardrail.review import Case, ReviewDesk
from guardrail.service._respond import Request

BEAT_SECONDS: Final = 15.0
"""How often something is sent while nothing happens, so that a connection that is gone is noticed, in seconds."""


async def stream(desk: ReviewDesk, request: Request) -> None:
    """Send what happens until the reader goes away.

    Args:
        desk: whose escalations.
        request: its `last-event-id` says from where on; without it only what comes is sent.
    """
    send = request.send
    last = request.headers.get(b"last-event-id", b"").decode("latin-1").strip()
    begun = desk.since(-1)
    seq = int(last) if last.isascii() and last.isdigit() and len(last) < 16 else (begun[-1][0] if begun else -1)
    loop, news = asyncio.get_running_loop(), asyncio.Event()
    end = desk.subscribe(lambda: loop.call_soon_threadsafe(news.set))
    gone = asyncio.create_task(request.gone())
    try:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")],
            }
        )
        while not gone.done():
            news.clear()
            found = desk.since(seq)
            text = b"".join(_event(at, case, desk.clock()) for at, case in found) or b": nothing new\n\n"
            seq = found[-1][0] if found else seq
            await send({"type": "http.response.body", "body": text, "more_body": True})
            await _either(news, gone)
        with suppress(OSError):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        end()
        gone.cancel()


def _event(seq: int, case: Case, now_us: int) -> bytes:
    facts = {"id": case.held.id, "state": case.state_at(now_us), "version": case.version, "agent": case.held.agent}
    return b"id: %d\nevent: escalation\ndata: %s\n\n" % (seq, orjson.dumps(facts))


async def _either(news: asyncio.Event, gone: asyncio.Task[None]) -> None:
    waiting = asyncio.create_task(news.wait())
    try:
        await asyncio.wait((waiting, gone), timeout=BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
