"""One of several servers behind a relay: its side of the conversation, whether it is a process or reached over HTTP.

Not concerned with the client (`_many`), nor with judging: its `Connection` and its `Gate` do that as if it were alone.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol, cast

from guardrail_adapters.mcp._connection import Connection
from guardrail_adapters.mcp._frames import Message, RefusedFrame
from guardrail_adapters.mcp._gate import Gate
from guardrail_adapters.mcp._held import WITHDRAWN
from guardrail_adapters.mcp._reach import ServerGone

_log: Final = logging.getLogger("guardrail.mcp")


class Upstream(Protocol):
    """A server, as a link needs it."""

    async def send(self, message: Message) -> None:
        """Forward a message.

        Raises:
            ConnectionError: if nothing goes to it any more.
        """
        ...

    def frames(self) -> AsyncIterator[Message | list[Message]]:
        """What it says, until it ends."""
        ...

    def close_input(self) -> None:
        """Nothing more goes to it."""
        ...

    async def end(self) -> object:
        """Let it go."""
        ...


class Link:
    """One of the servers.

    Args:
        name: what its tools have before their names.
        gate: judges its calls.
        server: started, or at the other end.
        notify: takes what the server sends by itself.
    """

    def __init__(
        self, name: str, gate: Gate, server: Upstream, notify: Callable[[Link, Message], Awaitable[None]]
    ) -> None:
        self.name: Final = name
        self.gate: Final = gate
        self.server: Final = server
        self.connection: Final = Connection(gate, to_server=server.send, to_client=self._take)
        self.up = True
        """Whether it is there: not, once it gave no answer to the handshake."""
        self._notify = notify
        self._asked: dict[int, asyncio.Future[Message]] = {}
        self._ids = itertools.count(1)

    async def ask(self, message: Message) -> Message:
        """Put a request to the server, as its only client would.

        Raises:
            ServerGone: if it has ended.
            RefusedFrame: if the request goes no further.
        """
        identity = next(self._ids)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked[identity] = answer
        try:
            await self.connection.from_client({**message, "id": identity})
            return await answer
        except asyncio.CancelledError as stop:
            if WITHDRAWN not in stop.args:
                raise
            cancelled = {"method": "notifications/cancelled", "params": {"requestId": identity}}
            await self.connection.from_client({"jsonrpc": "2.0", **cancelled})
            raise
        except ConnectionError:
            raise ServerGone(f"the server `{self.name}` has ended") from None
        finally:
            self._asked.pop(identity, None)

    async def pump(self) -> None:
        """Take in what the server says, until it ends."""
        try:
            async for frame in self.server.frames():
                try:
                    passed = await self.connection.from_server(frame)
                    if passed is not None:
                        await self._take(cast("Message", frame) if passed is True else passed)
                except RefusedFrame as error:
                    _log.warning("a message of `%s` was left out: %s", self.name, error)
        finally:
            self.server.close_input()
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(ServerGone(f"the server `{self.name}` has ended"))

    async def _take(self, message: Message) -> None:
        if "method" in message:
            await self._notify(self, message)
            return
        answer = self._asked.get(cast("int", message.get("id")))
        if answer is not None and not answer.done():
            answer.set_result(message)
