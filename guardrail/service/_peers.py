"""Who is at the other end of a Unix socket, as the kernel says it; and when nobody has been there for long."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.auto import AutoHTTPProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardrail.service._http import Receive, Scope, Send

_CREDENTIALS: Final = struct.Struct("iII")

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


class OwnUserProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """HTTP with processes of this user and root only, whatever the permissions of the socket have become."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close the connection of anybody else unread."""
        try:
            allowed = user_of(transport.get_extra_info("socket")) in (os.geteuid(), 0)
        except OSError:
            allowed = False
        if not allowed:
            transport.close()
            return
        super().connection_made(transport)


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
