"""One client and one server with a connection each (standard input and output): which message is an answer to which.

Not concerned with bytes (`_stdio`), nor with judging (`_gate`).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, cast

from guardrail_adapters.mcp import _answers
from guardrail_adapters.mcp._client import Client
from guardrail_adapters.mcp._frames import Id, Message, RefusedFrame, params_of, request_id, table
from guardrail_adapters.mcp._gate import Gate
from guardrail_adapters.mcp._held import WITHDRAWN
from guardrail_adapters.mcp._reach import ServerGone

_log: Final = logging.getLogger("guardrail.mcp")

MAX_OPEN: Final = 4096
"""Most requests of a client that wait for an answer at one time."""

BATCHES: Final = "2025-03-26"
"""The one version of the protocol that has batches."""

Send = Callable[[Message], Awaitable[None]]


class Connection:
    """What is under way between a client and a server.

    Args:
        gate: what judges.
        to_server: sends a message to the server.
        to_client: sends a message to the client.
    """

    def __init__(self, gate: Gate, *, to_server: Send, to_client: Send) -> None:
        self._gate = gate
        self._to_server = to_server
        self._to_client = to_client
        self._client = Client()
        self._version = ""
        self._open: dict[tuple[type, Id], asyncio.Future[Message] | str] = {}
        self._calls: dict[tuple[type, Id], asyncio.Task[None]] = {}
        self._own = (f"guardrail-{secrets.token_hex(8)}-{number}" for number in itertools.count(1))

    # ── from the client ──────────────────────────────────────────────────────────────────────────────────────────────

    async def from_client(self, frame: Message | list[Message]) -> None:
        """Take in a frame of the client.

        Raises:
            RefusedFrame: if it goes no further; what its sender is told is in it.
        """
        if isinstance(frame, list):
            if self._version != BATCHES:
                raise RefusedFrame(f"batches are part of protocol {BATCHES} only: send each message by itself")
            for message in frame:
                # Item by item: what is wrong with one is told about that one, and the others are judged all the same.
                try:
                    await self._from_client(message)
                except RefusedFrame as error:
                    _log.warning("a message of a batch was refused: %s", error)
                    await self._to_client(error.answer())
            return
        await self._from_client(frame)

    async def _from_client(self, message: Message) -> None:
        identity, method = request_id(message), message.get("method")
        if method is None or identity is None:
            await self._notified(message, method)
            return
        key = type(identity), identity
        if key in self._open or key in self._calls:
            raise RefusedFrame(f"`id` {identity} is in use by another request")
        if len(self._open) + len(self._calls) >= MAX_OPEN:
            raise RefusedFrame(f"more than {MAX_OPEN} requests are open", id=identity)
        if method == "tools/call":
            self._calls[key] = asyncio.create_task(self._call(key, message))
        elif self._gate.tasks.owns(message):
            await self._to_client(await self._gate.task(message, self._client, self._late, self._list))
        else:
            if method == "initialize":
                self._client = Client(capabilities=table(params_of(message).get("capabilities")))
            self._open[key] = method
            await self._to_server(message)

    async def _notified(self, message: Message, method: object) -> None:
        """A notification, or the client's response to a request of the server."""
        if method == "tools/call":
            _log.warning("a tool call without `id` was dropped: nobody could be answered about it")
            return
        if method == "notifications/cancelled" and self._is_withdrawn(params_of(message).get("requestId")):
            return
        await self._to_server(message)

    def _is_withdrawn(self, identity: object) -> bool:
        """Stop a call that the client wants no more; whether the server never heard of it."""
        if not isinstance(identity, str | int):
            return False
        key = type(identity), identity
        task = self._calls.get(key)
        if task is None:
            return False
        forwarded = key in self._open
        task.cancel(WITHDRAWN)
        return not forwarded

    async def _call(self, key: tuple[type, Id], message: Message) -> None:
        try:
            client = Client.of(message, self._client)
            answer = await self._gate.call(message, client, self._forward, self._to_client, self._list)
            await self._to_client(answer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # whoever asked is gone, or wants no answer
        finally:
            self._calls.pop(key, None)

    async def _forward(self, message: Message) -> Message:
        identity = cast("Id", request_id(message))
        call = self._calls.get((type(identity), identity))
        if call is not None and call.cancelling():
            # Its client has withdrawn it a moment ago, and the server, which has not heard of it, was not told.
            raise asyncio.CancelledError
        return await self._ask(message, identity)

    async def _late(self, message: Message) -> Message:
        """Carry the call of a task of an earlier relay, whose id may be another request's by now."""
        identity = next(self._own)
        return await self._ask({**message, "id": identity}, identity)

    async def _list(self, params: Message) -> Message:
        identity = next(self._own)
        request = {"jsonrpc": "2.0", "id": identity, "method": "tools/list", "params": params}
        return await self._ask(request, identity)

    async def _ask(self, message: Message, identity: Id) -> Message:
        key = type(identity), identity
        if key in self._open:
            # A call that ran as a task left its id free, and its client has given it to another request meanwhile.
            raise RefusedFrame(f"`id` {identity} is in use by another request", id=identity)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._open[key] = answer
        try:
            await self._to_server(message)
            return await answer
        except ConnectionError:
            raise ServerGone("the server has ended") from None
        finally:
            self._open.pop(key, None)

    # ── from the server ──────────────────────────────────────────────────────────────────────────────────────────────

    async def from_server(self, frame: Message | list[Message]) -> Message | Literal[True] | None:
        """Take in a frame of the server.

        Returns:
            True if it is to be passed on as it is, another message to pass on instead, or None for nothing.
        """
        if isinstance(frame, list):
            for message in frame:
                passed = self._from_server(message)
                if passed is not None:
                    await self._to_client(message if passed is True else passed)
            return None
        return self._from_server(frame)

    def _from_server(self, message: Message) -> Message | Literal[True] | None:
        identity = request_id(message) if "method" in message or message.get("id") is not None else None
        if "method" in message or identity is None:
            return True
        waits = self._open.get((type(identity), identity))
        if waits is None:
            _log.warning("an answer of the server to no open request was left out: `id` %s", identity)
            return None
        if not isinstance(waits, str):
            if not waits.done():
                waits.set_result(message)
            return None
        del self._open[type(identity), identity]
        if waits == "initialize":
            version: Any = table(message.get("result")).get("protocolVersion")
            self._version = version if isinstance(version, str) else ""
        if waits == "server/discover":
            return _answers.with_tasks(message)
        return self._gate.tools.listed(message) or True

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def drain(self, seconds: float) -> None:
        """Let calls that are under way be answered; those that wait for people are not waited for much longer."""
        if self._calls:
            await asyncio.wait(self._calls.values(), timeout=seconds)

    async def close(self) -> None:
        """Nothing will be answered any more: whoever waits hears so."""
        self._gate.tasks.close()
        for waits in list(self._open.values()):
            if not isinstance(waits, str) and not waits.done():
                waits.set_exception(ServerGone("the server has ended"))
        if self._calls:
            _, late = await asyncio.wait(list(self._calls.values()), timeout=1.0)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
