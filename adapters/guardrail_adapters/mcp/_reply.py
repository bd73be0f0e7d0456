"""The answer to one HTTP request: plain JSON, or a stream once there is something to say before it.

Not concerned with what is said.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from typing import Final

from aiohttp import ClientResponse, web

from guardrail_adapters.mcp import _headers
from guardrail_adapters.mcp._frames import MAX_FRAME_BYTES, Message, RefusedFrame, dump, parse_one
from guardrail_adapters.mcp._reach import ServerGone
from guardrail_adapters.mcp._sse import Event, Events, event

_log: Final = logging.getLogger("guardrail.mcp")

_STREAM: Final = "text/event-stream"


class Reply:
    """What a client gets for one request.

    Args:
        request: whose; None for one of our own, of which nobody sees what is said.
    """

    def __init__(self, request: web.Request | None) -> None:
        self._request = request
        self._stream: web.StreamResponse | None = None
        self.headers: Mapping[str, str] = {}
        self.forwarded = False
        self.last: tuple[Event, Message] | None = None
        self.other: web.Response | None = None

    async def tell(self, message: Message) -> None:
        """A notification, if the client takes a stream."""
        if self._request is not None and _STREAM in self._request.headers.get("accept", ""):
            await self.raw(event(message))

    async def raw(self, data: bytes) -> None:
        """An event, as it is."""
        if self._request is not None:
            try:
                await (await self.open()).write(data)
            except ConnectionError:
                self.leave()  # its end is no affair of the call's

    def leave(self) -> None:
        """The client has gone: nothing more is said to it."""
        self._request = None

    async def open(self) -> web.StreamResponse:
        """The stream, begun if it was not."""
        if self._stream is None:
            if self._request is None:
                raise RuntimeError("nobody listens")
            headers = {"cache-control": "no-store", "x-accel-buffering": "no", **kept(self.headers)}
            self._stream = web.StreamResponse(headers={**headers, "content-type": _STREAM})
            await self._stream.prepare(self._request)
        return self._stream

    async def finish(self, message: Message) -> web.StreamResponse:
        """The last word: as an event where a stream is open, with its id where it is the server's own."""
        # INVARIANT: a call that goes on as a task says nothing more here: the connection is another request's by then.
        self._request = None
        if self._stream is None:
            # A refusal of the server itself, such as a 401 with where to get a token, is passed as it is.
            if self.other is not None and "error" in message:
                return self.other
            headers = {**kept(self.headers), "content-type": "application/json"}
            return web.Response(body=dump(message), headers=headers)
        last = self.last
        await self._stream.write(last[0].raw if last is not None and last[1] is message else event(message))
        return await self.end()

    async def end(self) -> web.StreamResponse:
        """The end of a stream."""
        stream = await self.open()
        await stream.write_eof()
        return stream


def is_stream(response: ClientResponse) -> bool:
    """Whether a response is a stream of events."""
    return response.content_type == _STREAM


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """What of a server's headers goes to the client, but for the type of its body."""
    small = {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in small.items() if name in _headers.RETURNED and name != "content-type"}


def message_of(data: bytes) -> Message:
    """The message that a response has.

    Raises:
        ServerGone: if it has none.
    """
    try:
        return parse_one(data)
    except RefusedFrame as error:
        raise ServerGone(f"the server's answer is no message: {error}") from None


async def events(response: ClientResponse) -> AsyncGenerator[Event]:
    """The events of a stream, as they come.

    Raises:
        RefusedFrame: if one is too large.
        ClientError: if the stream breaks off.
    """
    found = Events()
    async for chunk in response.content.iter_any():
        for one in found.feed(chunk):
            yield one


def carried(found: Event) -> Message | None:
    """The message of an event; None if it has none that can be read."""
    if not found.data.strip():
        return None
    try:
        return parse_one(found.data)
    except RefusedFrame as error:
        _log.warning("an event of the server is no message, and was left out: %s", error)
        return None


async def returned(response: ClientResponse) -> web.Response:
    """A response without a message in it, as it is."""
    headers = kept(response.headers)
    if "content-type" in response.headers:
        headers["content-type"] = response.headers["content-type"]
    return web.Response(status=response.status, body=await read(response), headers=headers)


async def read(response: ClientResponse) -> bytes:
    """The whole body of a response.

    Raises:
        ServerGone: if it is too large.
    """
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > MAX_FRAME_BYTES:
            raise ServerGone(f"the server's answer has more than {MAX_FRAME_BYTES} bytes")
    return bytes(data)
