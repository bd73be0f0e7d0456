"""What happens to escalations, as events numbered like their records, so that a reader goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import orjson

from guardrail.review import Case, ReviewDesk
from guardrail.service._sse import BEAT_SECONDS


async def changes(desk: ReviewDesk, last_event_id: bytes) -> AsyncGenerator[bytes]:
    """Each change of an escalation.

    Args:
        desk: whose escalations.
        last_event_id: number of the last one that the reader has; without one only what comes is told.
    """
    last = last_event_id.decode("latin-1").strip()
    begun = desk.since(-1)
    seq = int(last) if last.isascii() and last.isdigit() and len(last) < 16 else (begun[-1][0] if begun else -1)
    loop, news = asyncio.get_running_loop(), asyncio.Event()
    end = desk.subscribe(lambda: loop.call_soon_threadsafe(news.set))
    try:
        while True:
            news.clear()
            found = desk.since(seq)
            seq = found[-1][0] if found else seq
            yield b"".join(_event(at, case, desk.clock()) for at, case in found) or b": nothing new\n\n"
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await news.wait()
    finally:
        end()


def _event(seq: int, case: Case, now_us: int) -> bytes:
    facts = {"id": case.held.id, "state": case.state_at(now_us), "version": case.version, "agent": case.held.agent}
    return b"id: %d\nevent: escalation\ndata: %s\n\n" % (seq, orjson.dumps(facts))
