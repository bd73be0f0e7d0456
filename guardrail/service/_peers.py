"""Who is at the other end of a Unix socket, as the kernel says it; and when nobody has been there for long."""

from __future__ import annotations

import asyncio
import contextlib
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


class KnowingProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """HTTP that says of each request what is known of its connection: the peer's user, and its certificate.

    They stand in the `state` of the request's scope, as `uid` and `certificate`.
    """

    app_state: dict[str, Any]

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
        if self.admits(known):
            super().connection_made(transport)
        else:
            transport.close()

    def admits(self, known: dict[str, Any]) -> bool:
        """Whether the connection of such a peer is read at all."""
        del known
        return True


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
