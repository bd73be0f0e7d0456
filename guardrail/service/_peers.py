"""Connections: who is at the other end, how large and how slow a request's head may be, and when all are idle."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.service._http import Receive, Scope, Send

_CREDENTIALS: Final = struct.Struct("iII")

HEAD_SECONDS: Final = 10.0
"""How often it is looked at a connection for a request that has not come whole since the last time, in seconds."""

MAX_HEAD_BYTES: Final = 64 * 1024
"""Most of a request that is no body (its line, its headers, what frames a body in chunks), in bytes."""

LOOK_SECONDS: Final = 0.5
"""How often it is looked whether a service has been idle for too long, in seconds."""


def user_of(connection: socket.socket) -> int:
    """Number of the user at the other end.

    Args:
        connection: a Unix socket.

    Raises:
        OSError: if the kernel does not say.
    """
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(data)[1])


class KnowingProtocol(HttpToolsProtocol):
    """HTTP that says of each request what is known of its connection: the peer's user, and its certificate.

    They stand in the `state` of the request's scope, as `uid` and `certificate`.
    The parser bounds neither the time nor the size of a head, and nobody is known before it has come whole, so both are
    bounded here: else whoever can connect could fill the memory, or hold every connection there may be.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take down who is at the other end."""
        known: dict[str, Any] = {}
        connection: socket.socket = transport.get_extra_info("socket")
        if connection.family == socket.AF_UNIX:
            with contextlib.suppress(OSError):
                known["uid"] = user_of(connection)
        # INVARIANT: there is one only where the handshake has verified it (`ssl.CERT_OPTIONAL` with authorities).
        if certificate := transport.get_extra_info("peercert"):
            known["certificate"] = certificate
        self.app_state = {**self.app_state, **known}
        self._head_bytes = self._complete = 0
        if self.admits(known):
            super().connection_made(transport)  # type: ignore[arg-type]
            self.loop.call_later(HEAD_SECONDS, self._look, 0)
        else:
            transport.close()

    def admits(self, known: dict[str, Any]) -> bool:
        """Whether the connection of such a peer is read at all."""
        del known
        return True

    def data_received(self, data: bytes) -> None:
        """Go on reading, as long as the head is not too large."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"More than {MAX_HEAD_BYTES} bytes of a request are no body.")

    def on_body(self, body: bytes) -> None:
        """What is body is bounded by who reads it."""
        self._head_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has come whole."""
        self._head_bytes = 0
        self._complete += 1
        super().on_message_complete()

    def _look(self, begun: int) -> None:
        """End a connection on which the request that had begun the last time has not come whole since."""
        if self.transport.is_closing():
            return
        begins = self._head_bytes > 0 or not self._complete
        if begins and begun == self._complete:
            self.transport.close()
        else:
            self.loop.call_later(HEAD_SECONDS, self._look, self._complete if begins else -1)


class OwnUserProtocol(KnowingProtocol):
    """HTTP with processes of this user and root only, whatever the permissions of the socket have become."""

    def admits(self, known: dict[str, Any]) -> bool:
        """Not that of anybody else."""
        return known.get("uid") in (os.geteuid(), 0)


class Idle:
    """An ASGI application that says when it has not been asked for long.

    Args:
        app: what answers.
        seconds: how long is long.
        busy: whether the service has something else to stay for.
        stale: whether it should not stay in any case, because it was started with another configuration.
    """

    def __init__(self, app: Any, seconds: float, busy: Callable[[], bool], stale: Callable[[], bool]) -> None:
        self._app = app
        self._seconds = seconds
        self._busy = busy
        self._stale = stale
        self._active = 0
        self._last = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._active += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._active -= 1
            self._last = time.monotonic()

    async def over(self) -> None:
        """Return when nobody has asked for that long, and nothing else has to be stayed for; or when it is stale."""
        # What it waits for is time and files, which set no event.
        while not self._stale() and (self._active or time.monotonic() - self._last < self._seconds or self._busy()):  # noqa: ASYNC110 - see above
            await asyncio.sleep(min(LOOK_SECONDS, self._seconds))
