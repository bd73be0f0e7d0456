"""A stream of a server that ends before its answer has come, and is taken up where it broke off.

    events ─▶ it ends ─▶ wait as long as the server says ─▶ GET with `Last-Event-ID` ─▶ events …

In the eras with a handshake a server may end a stream at any time and go on in another one (2025-11-25,
`basic/transports`, resumability). One that gives its events no ids cannot be asked to.
Not concerned with what is said in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from aiohttp import ClientError, ClientResponse

from guardrail_adapters.mcp._reply import events, is_stream
from guardrail_adapters.mcp._sse import Event

WAIT_SECONDS: Final = 1.0
"""How long it is waited before a stream is taken up again where the server does not say, in seconds."""

LEAST_SECONDS: Final = 0.05
"""Shortest such wait, in seconds: a server that wants none would be asked without end."""

LONGEST_SECONDS: Final = 60.0
"""Longest such wait, in seconds, whatever the server says."""

TRIES: Final = 4
"""How often in a row a stream is asked for that brings nothing."""

Ask = Callable[[str], Any]
"""Asks for what comes after an event, which its id names: a request of aiohttp."""


class Place:
    """How far a stream was read."""

    def __init__(self) -> None:
        self.id = ""
        """Of the last event that has one; empty if there was none, and then nobody can go on."""
        self.seconds = WAIT_SECONDS
        self.in_vain = 0

    async def read(self, response: ClientResponse) -> AsyncGenerator[Event]:
        """The events of a stream, as they come.

        Raises:
            RefusedFrame: if one is too large.
            ClientError: if the stream breaks off.
        """
        async for event in events(response):
            if event.id is not None:
                self.id = event.id
            if event.retry is not None:
                self.seconds = min(max(event.retry / 1000, LEAST_SECONDS), LONGEST_SECONDS)
            self.in_vain = 0
            yield event


async def unbroken(response: ClientResponse, again: Ask) -> AsyncGenerator[Event]:
    """The events of a stream, and of those that go on with it; leave it with `contextlib.aclosing`.

    Args:
        response: the stream.
        again: asks for what comes after an event.

    Raises:
        RefusedFrame: if an event is too large.
        ClientError: if the stream breaks off and cannot be taken up again.
    """
    place = Place()
    try:
        async for event in place.read(response):
            yield event
    except ClientError:
        if not place.id:
            raise
    while place.id and place.in_vain < TRIES:
        place.in_vain += 1
        await asyncio.sleep(place.seconds)
        try:
            async with again(place.id) as further:
                if 300 <= further.status < 500:
                    return  # it keeps nothing to go on from
                if is_stream(further):
                    async for event in place.read(further):
                        yield event
        except (ClientError, TimeoutError):
            continue  # it may be on its way up again
