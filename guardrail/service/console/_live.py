"""What tells a page that something is new: the number of records and of changes at the desk, and nothing of either."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Final

from guardrail.service._sse import BEAT_SECONDS

if TYPE_CHECKING:
    from guardrail.service.console._pages import Pages

LOOK_SECONDS: Final = 1.0
"""How often is looked for something new, in seconds."""


async def news(pages: Pages, is_signed_in: Callable[[], bool]) -> AsyncGenerator[bytes]:
    """The state, whenever it is another one, and now and then all the same.

    Args:
        pages: know whether something is new.
        is_signed_in: whether whoever reads still is; when they are no more it ends.
    """
    told, quiet = "", 0.0
    while is_signed_in():
        state = pages.state
        if state != told or quiet >= BEAT_SECONDS:
            yield b"data: %s\n\n" % state.encode()
            told, quiet = state, 0.0
        await asyncio.sleep(LOOK_SECONDS)
        quiet += LOOK_SECONDS
