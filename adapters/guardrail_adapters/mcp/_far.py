"""A server that is reached over streamable HTTP, for a relay whose client speaks over standard input and output.

    send ──▶ one POST a message; a notification is through before what comes after it
    frames ◀── answers as JSON or as streams, and the stream of a GET once hands are shaken

Not concerned with judging. The protocol with a handshake only (2025-03-26 to 2025-11-25).
INVARIANT: what is sent goes to the address that the operator gave and nowhere else: no redirect is followed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Any, Final

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar

from guardrail_adapters.mcp import _answers
from guardrail_adapters.mcp._frames import Message, RefusedFrame, dump, request_id, table
from guardrail_adapters.mcp._reach import ServerGone
from guardrail_adapters.mcp._reply import carried, events, is_stream, message_of, read
from guardrail_adapters.mcp._resume import Place, unbroken
from guardrail_adapters.mcp._servers import Reached

_log: Final = logging.getLogger("guardrail.mcp")

CONNECT_SECONDS: Final = 10.0
"""Longest wait for a connection to a server, and for it to take a notification, in seconds."""

AGAIN_SECONDS: Final = 5.0
"""How long it is waited before a stream of a GET that has ended is asked for again, in seconds."""

_LEGACY: Final = (
    "it speaks HTTP with SSE, the transport of 2024-11-05, which the relay does not: ask for its streamable endpoint"
)


class FarServer:
    """One server at the other end of HTTP.

    Args:
        name: what it is called here.
        where: its endpoint, and what is sent with every request.
    """

    def __init__(self, name: str, where: Reached) -> None:
        self._name = name
        self._url = where.url
        self._fixed = {header.lower(): value for header, value in where.headers.items()}
        self._held: dict[str, str] = {}
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        self._http = ClientSession(timeout=timeout, cookie_jar=DummyCookieJar())
        self._going: asyncio.Queue[Message] = asyncio.Queue()
        self._come: asyncio.Queue[Message | None] = asyncio.Queue()
        self._work: set[asyncio.Task[None]] = set()
        self._closed = False
        self._start(self._sender())

    async def send(self, message: Message) -> None:
        """Forward a message; what goes wrong with a request is its answer.

        Raises:
            ConnectionError: if nothing goes to it any more.
        """
        if self._closed:
            raise ConnectionResetError("the server was let go of")
        self._going.put_nowait(message)

    async def frames(self) -> AsyncGenerator[Message]:
        """What it says, until it is let go of."""
        while (message := await self._come.get()) is not None:
            yield message

    def close_input(self) -> None:
        """Nothing more goes to it."""
        if not self._closed:
            self._closed = True
            self._come.put_nowait(None)

    async def end(self) -> None:
        """Let it go, and end its session."""
        self.close_input()
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        if "mcp-session-id" in self._held:
            with contextlib.suppress(ClientError, TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS), self._ask("DELETE", None):
                    pass
        await self._http.close()

    # ── to the server ────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _sender(self) -> None:
        while True:
            message = await self._going.get()
            if "method" in message and "id" in message:
                self._start(self._requested(message))
                continue
            try:
                async with asyncio.timeout(CONNECT_SECONDS), self._ask("POST", message) as response:
                    if response.status >= 300:
                        _log.warning("the server `%s` answered %s to a notification", self._name, response.status)
            except (ClientError, TimeoutError) as error:
                _log.warning("the server `%s` took no notification: %s", self._name, str(error) or "no answer in time")
            if message.get("method") == "notifications/initialized":
                self._start(self._listen())

    async def _requested(self, message: Message) -> None:
        """One request, which is answered whatever happens: nobody may wait for ever for it."""
        identity = request_id(message)
        try:
            answered = await self._answered(message)
            why = "" if answered else "it ended its answer before there was one"
        except (ClientError, TimeoutError, RefusedFrame, ServerGone) as error:
            why = str(error) or "no answer in time"
        if why and identity is not None:
            _log.warning("the server `%s` gave no answer: %s", self._name, why)
            self._come.put_nowait(_answers.failed(identity, f"the server `{self._name}` gave no answer: {why}"))

    async def _answered(self, message: Message) -> bool:
        """Take in what comes for a request; whether its answer was among it."""
        hello = message.get("method") == "initialize"
        async with self._ask("POST", message) as response:
            if response.status >= 300:
                raise ServerGone(await self._refusal(response.status, hello=hello))
            if hello and "mcp-session-id" in response.headers:
                self._held["mcp-session-id"] = response.headers["mcp-session-id"]
            async with contextlib.aclosing(self._messages(response)) as messages:
                async for found in messages:
                    self._come.put_nowait(found)
                    if "method" not in found and found.get("id") == message["id"]:
                        if hello and isinstance(version := table(found.get("result")).get("protocolVersion"), str):
                            self._held["mcp-protocol-version"] = version
                        return True
        return False

    async def _messages(self, response: ClientResponse) -> AsyncGenerator[Message]:
        if not is_stream(response):
            if data := await read(response):
                yield message_of(data)
            return
        # INVARIANT: what ends before its answer has come is taken up again where the server can, and no call twice.
        async with contextlib.aclosing(unbroken(response, self._further)) as stream:
            async for event in stream:
                if (message := carried(event)) is not None:
                    yield message

    def _further(self, last: str) -> Any:
        return self._ask("GET", None, last)

    async def _refusal(self, status: int, *, hello: bool) -> str:
        if status in (401, 403):
            return f"it answered {status}: give it a token in `headers`"
        if status == 404 and "mcp-session-id" in self._held:
            return "it has ended the session: start the relay anew"
        # What servers of the old transport answer to a handshake (2025-11-25, `basic/transports`).
        if hello and status in (400, 404, 405) and await self._is_legacy():
            return _LEGACY
        return f"it answered {status}"

    async def _is_legacy(self) -> bool:
        with contextlib.suppress(ClientError, TimeoutError, RefusedFrame):
            async with asyncio.timeout(CONNECT_SECONDS), self._ask("GET", None) as response:
                if is_stream(response):
                    async for event in events(response):
                        return b"event: endpoint" in event.raw
        return False

    def _ask(self, method: str, message: Message | None, last: str = "") -> Any:
        accept = "text/event-stream" if message is None else "application/json, text/event-stream"
        body = {"last-event-id": last} if last else {}
        if message is not None:
            body["content-type"] = "application/json"
        return self._http.request(
            method,
            self._url,
            headers={**self._fixed, **self._held, **body, "accept": accept, "accept-encoding": "identity"},
            data=None if message is None else dump(message),
            allow_redirects=False,
        )

    # ── from the server ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _listen(self) -> None:
        """What it says by itself; a server that has no such stream says so once."""
        place = Place()
        place.seconds = AGAIN_SECONDS
        while True:
            try:
                async with self._ask("GET", None, place.id) as response:
                    if response.status >= 300 or not is_stream(response):
                        return
                    async for event in place.read(response):
                        if (found := carried(event)) is not None:
                            self._come.put_nowait(found)
            except (ClientError, TimeoutError, RefusedFrame, ServerGone) as error:
                _log.warning("the stream of the server `%s` broke off: %s", self._name, error)
            await asyncio.sleep(place.seconds)
