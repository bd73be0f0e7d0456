"""The HTTP server around the application: when it is ready, how it ends, and how it begins anew with other settings.

It stops taking requests first, lets those that are being judged finish for `service.shutdown_seconds`, and cuts off
the rest; a request that is cut off has no answer, hence no allow.
The listening socket stays open while another server takes its place: whoever connects meanwhile waits, and is answered.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import uvicorn

from guardrail.config import ServiceConfig
from guardrail.service._listen import BACKLOG
from guardrail.service._peers import KnowingProtocol, OwnUserProtocol

if TYPE_CHECKING:
    from guardrail.service._peers import Idle

MAX_CONNECTIONS: Final = 1024
"""Most connections at one time; the server itself refuses further ones with 503, before anything is read."""

KEEP_ALIVE_SECONDS: Final = 60
"""How long an idle connection is kept, in seconds."""


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """An application, and where it listens.

    Args:
        app: the ASGI application.
        listener: the listening socket; it stays open when the server ends.
        settings: `[service]`, as it holds for this door.
        tls: TLS as the server's own options.
    """

    app: Any
    listener: socket.socket
    settings: ServiceConfig
    tls: dict[str, Any]

    def server(self, *, lifespan: Literal["on", "off"], http: type[KnowingProtocol]) -> uvicorn.Config:
        """The server's settings."""
        return uvicorn.Config(
            self.app,
            http=http,
            log_config=None,
            log_level="warning",  # our own line says that it is ready, and where
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            ws="none",
            lifespan=lifespan,
            backlog=BACKLOG,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(self.settings.shutdown_seconds)),
            **self.tls,
        )


class Server(uvicorn.Server):
    """Says when it is ready; those who review are answered by a second one beside it, with room of their own.

    Args:
        own: where agents are answered.
        people: where those who review are, if that is elsewhere.
        ready: called when the first question can be asked.
        idle: knows when nobody needs it any more; None for a server that stays.
        own_user: answer this user and root only.
    """

    def __init__(
        self, own: Door, people: Door | None, ready: Callable[[], None], idle: Idle | None, *, own_user: bool
    ) -> None:
        super().__init__(own.server(lifespan="on", http=OwnUserProtocol if own_user else KnowingProtocol))
        self._own = own
        self._people = people
        self._ready = ready
        self._idle = idle
        self.signalled = False
        self._beside: uvicorn.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def serve_until_told(self) -> None:
        """Serve until it is told to end; `started` says whether it had begun, `signalled` whether a signal ended it."""
        try:
            # The server closes what it is given.
            self.run(sockets=[self._own.listener.dup()])
        except SystemExit:
            self.signalled = self.started

    def end(self) -> None:
        """Take no further request, and let those that are there finish."""
        self.should_exit = True

    def attend_to(self, work: Callable[[], None]) -> None:
        """Do something in a thread while serving goes on; may be called from a signal handler."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin, asyncio.to_thread, work)

    def _begin(self, call: Callable[..., Any], *arguments: Any) -> None:
        task = asyncio.ensure_future(call(*arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started and self._people is not None:
            self._beside = uvicorn.Server(self._people.server(lifespan="off", http=KnowingProtocol))
            self._beside.config.load()
            self._beside.lifespan = self._beside.config.lifespan_class(self._beside.config)
            await self._beside.startup([self._people.listener.dup()])
        if self.started:
            self._ready()
            if self._idle is not None:
                self._begin(self._end_when_idle, self._idle)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what is being judged finish, for as long as it may take."""
        own = super().shutdown(sockets)
        if self._beside is None:
            await own
        else:
            await asyncio.gather(self._beside.shutdown(), own)

    async def _end_when_idle(self, idle: Idle) -> None:
        await idle.over()
        self.end()
