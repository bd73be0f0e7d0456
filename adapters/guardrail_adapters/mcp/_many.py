"""Several servers behind one connection: their tools and prompts have the server's name before their own.

Not concerned with judging: each server has a `Connection` and a `Gate` of its own, and its calls pass them as if it
were alone. Handshake era only: a client that asks `server/discover` is told that there is none, and shakes hands.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from itertools import repeat
from typing import Any, Final, cast

from guardrail import ConfigError
from guardrail.printing import printable
from guardrail_adapters.mcp import _answers
from guardrail_adapters.mcp._connection import MAX_OPEN
from guardrail_adapters.mcp._frames import Id, Message, RefusedFrame, dump, params_of, parse_one, request_id, table
from guardrail_adapters.mcp._gate import Gate
from guardrail_adapters.mcp._held import WITHDRAWN
from guardrail_adapters.mcp._link import Link, Upstream
from guardrail_adapters.mcp._reach import ServerGone
from guardrail_adapters.mcp._servers import Reached, Started
from guardrail_adapters.mcp._stdio import Server, lines, standard_streams, told_to_stop
from guardrail_adapters.mcp._tools import MAX_PAGES

_log: Final = logging.getLogger("guardrail.mcp")

MARK: Final = "__"
"""Stands between the name of a server and that of its tool; no server's name has it."""

_LISTS: Final = {
    "tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}  # fmt: skip
"""Requests that every server is asked, and what of their answers is put together."""

_NO_METHOD: Final = {"code": -32601, "message": "several servers are behind this relay, and none of them is meant"}

Send = Callable[[Message], Awaitable[None]]


class Many:
    """A client, and several servers.

    Args:
        servers: gate and server of each, by name.
        to_client: sends a message to the client.
    """

    def __init__(self, servers: Mapping[str, tuple[Gate, Upstream]], to_client: Send) -> None:
        self.links: Final = {name: Link(name, gate, server, self._notify) for name, (gate, server) in servers.items()}
        self._tasks = next(iter(self.links.values())).gate.tasks
        self._to_client = to_client
        self._requests: dict[tuple[type, Id], asyncio.Task[None]] = {}
        self._theirs: dict[str, tuple[Link, Id]] = {}
        self._places: dict[str, Link] = {}
        self._numbers = itertools.count(1)

    async def from_client(self, message: Message) -> None:
        """Take in a message of the client.

        Raises:
            RefusedFrame: if it goes no further.
        """
        identity, method = request_id(message), message.get("method")
        if method is None:
            found = self._theirs.pop(str(identity), None)
            if found is not None:
                await found[0].connection.from_client({**message, "id": found[1]})
        elif identity is None:
            await self._notified(message)
        else:
            key = type(identity), identity
            if key in self._requests:
                raise RefusedFrame(f"`id` {identity} is in use by another request")
            self._requests[key] = asyncio.create_task(self._request(key, message))

    async def _notified(self, message: Message) -> None:
        if message.get("method") == "notifications/cancelled":
            asked = params_of(message).get("requestId")
            task = self._requests.get((type(asked), asked)) if isinstance(asked, str | int) else None
            if task is not None:
                task.cancel(WITHDRAWN)
            return
        for link in self._up():
            try:
                await link.connection.from_client(message)
            except ConnectionError:
                pass  # it has ended; whoever asks it something hears so

    async def _request(self, key: tuple[type, Id], message: Message) -> None:
        identity = key[1]
        try:
            answer = await self._answer(message)
            await self._to_client({**answer, "id": identity})
        except RefusedFrame as error:
            await self._to_client({**error.answer(), "id": identity})
        except ServerGone as error:
            await self._to_client(_answers.failed(identity, str(error)))
        except (ConnectionError, asyncio.CancelledError):
            pass  # nobody waits for it any more
        finally:
            del self._requests[key]

    async def _answer(self, message: Message) -> Message:
        method = str(message["method"])
        if method == "initialize":
            return await self._hello(message)
        if method in _LISTS:
            return await self._listed(message, _LISTS[method])
        if method == "ping":
            return _answers.result(0, {})
        if method == "logging/setLevel":
            await asyncio.gather(*(link.ask(message) for link in self._up()))
            return _answers.result(0, {})
        link, inner = self._meant(message)
        return {"jsonrpc": "2.0", "error": _NO_METHOD} if link is None else await link.ask(inner)

    def _up(self) -> list[Link]:
        """The servers that have shaken hands, or that nobody has asked to yet."""
        return [link for link in self.links.values() if link.up]

    def _meant(self, message: Message) -> tuple[Link | None, Message]:
        """The server that a request is for, and the request as that server knows it."""
        params = params_of(message)
        if self._tasks.owns(message):
            return self._named_so(self._tasks.server_of(message)) or next(iter(self._up()), None), message
        if message["method"] in ("tools/call", "prompts/get"):
            server, _, name = str(params.get("name")).partition(MARK)
            return self._named_so(server), {**message, "params": {**params, "name": name}}
        reference = table(params.get("ref"))
        if reference.get("type") == "ref/prompt":
            server, _, name = str(reference.get("name")).partition(MARK)
            return self._named_so(server), {**message, "params": {**params, "ref": {**reference, "name": name}}}
        return self._places.get(str(params.get("uri", reference.get("uri")))), message

    def _named_so(self, server: str) -> Link | None:
        link = self.links.get(server)
        return link if link is not None and link.up else None

    async def _hello(self, message: Message) -> Message:
        results = [
            found for found in await asyncio.gather(*map(self._met, self.links.values(), repeat(message))) if found
        ]
        if not results:
            raise ServerGone("none of the servers shakes hands")
        capabilities: Message = {}
        for found in results:
            for name, value in table(found.get("capabilities")).items():
                capabilities[name] = {**table(capabilities.get(name)), **table(value)}
        capabilities.pop("tasks", None)
        result: Message = {
            "protocolVersion": min(str(found.get("protocolVersion")) for found in results),
            "capabilities": capabilities,
            "serverInfo": {"name": "guardrail", "version": "1"},
        }
        if said := [str(found["instructions"]) for found in results if "instructions" in found]:
            result["instructions"] = "\n\n".join(said)
        return _answers.result(0, result)

    async def _met(self, link: Link, message: Message) -> Message:
        """What a server answers to the handshake; one that gives no answer is left out, and the others are there."""
        try:
            answer = await link.ask(message)
        except ServerGone as error:
            answer = _answers.failed(0, str(error))
        found = table(answer.get("result"))
        if not found:
            why = table(answer.get("error")).get("message", "it does not shake hands")
            _log.warning("the server `%s` is left out: %s", link.name, printable(str(why)))
            link.gate.tools.note("server_left_out", why=printable(str(why)))
        link.up = bool(found)
        return found

    async def _listed(self, message: Message, kind: str) -> Message:
        pages = await asyncio.gather(*(self._all(link, message, kind) for link in self._up()))
        return _answers.result(0, {kind: [item for found in pages for item in found]})

    async def _all(self, link: Link, message: Message, kind: str) -> list[Any]:
        """Every page of one server's list; none where the server has no such list."""
        found: list[Any] = []
        params = {key: value for key, value in params_of(message).items() if key != "cursor"}
        for _ in range(MAX_PAGES):
            answer = table((await link.ask({**message, "params": params})).get("result"))
            listed: Any = answer.get(kind)
            items = cast("list[object]", listed) if isinstance(listed, list) else []
            found += [self._named(link, kind, table(item)) for item in items]
            if not isinstance(answer.get("nextCursor"), str):
                break
            params["cursor"] = answer["nextCursor"]
        return found

    def _named(self, link: Link, kind: str, item: Message) -> Message:
        if kind in ("tools", "prompts"):
            return {**item, "name": f"{link.name}{MARK}{item.get('name')}"}
        if isinstance(uri := item.get("uri"), str):
            # The first server that has a resource keeps it.
            self._places.setdefault(uri, link)
        return item

    async def _notify(self, link: Link, message: Message) -> None:
        """What a server says by itself; a request of its own gets an id that no other server's has."""
        identity = request_id(message)
        if identity is not None:
            if len(self._theirs) >= MAX_OPEN:
                raise RefusedFrame(f"more than {MAX_OPEN} requests of the servers are open", id=identity)
            name = f"{link.name}-{next(self._numbers)}"
            self._theirs[name] = link, identity
            message = {**message, "id": name}
        elif message["method"] == "notifications/cancelled":
            asked = (link, params_of(message).get("requestId"))
            known = next((name for name, theirs in self._theirs.items() if theirs == asked), None)
            if known is None:
                return
            message = {**message, "params": {**params_of(message), "requestId": known}}
        await self._to_client(message)

    async def close(self) -> None:
        """Nothing will be answered any more."""
        for task in self._requests.values():
            task.cancel()
        await asyncio.gather(*self._requests.values(), return_exceptions=True)
        for link in self.links.values():
            await link.connection.close()
        await asyncio.gather(*(link.server.end() for link in self.links.values()))


async def relay_many(gates: Mapping[str, Gate], servers: Mapping[str, Started | Reached]) -> int:
    """Start or reach several servers, and relay between all of them and the client on standard input and output.

    Args:
        gates: judges of each server's calls, by name.
        servers: how each is started, or where it is.

    Returns:
        The exit code.

    Raises:
        ConfigError: if one of them cannot be started.
    """
    reader, writer = await standard_streams()
    with contextlib.ExitStack() as held:
        running = await _begun(gates, servers, held)
        with told_to_stop():
            return await _relayed(running, reader, writer)


async def _begun(
    gates: Mapping[str, Gate], servers: Mapping[str, Started | Reached], held: contextlib.ExitStack
) -> dict[str, tuple[Gate, Upstream]]:
    """All of them, or none."""
    running: dict[str, tuple[Gate, Upstream]] = {}
    try:
        for name, how in servers.items():
            running[name] = gates[name], await _one(name, gates[name], how, held)
    except ConfigError:
        await asyncio.gather(*(server.end() for _, server in running.values()))
        raise
    return running


async def _one(name: str, gate: Gate, how: Started | Reached, held: contextlib.ExitStack) -> Upstream:
    if isinstance(how, Reached):
        from guardrail_adapters.mcp._far import FarServer

        return FarServer(name, how)
    cwd = how.cwd or gate.settings.cwd
    confinement = held.enter_context(gate.confining(cwd))
    return await Server.start([how.command, *how.args], confinement, env=how.env, cwd=cwd)


async def _relayed(
    running: Mapping[str, tuple[Gate, Upstream]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> int:
    async def to_client(message: Message) -> None:
        writer.write(dump(message))
        await writer.drain()

    many = Many(running, to_client)
    pumps = [asyncio.create_task(link.pump()) for link in many.links.values()]
    try:
        async for line in lines(reader):
            try:
                await many.from_client(parse_one(line))
            except RefusedFrame as error:
                _log.warning("a frame of the client was refused: %s", error)
                await to_client(error.answer())
        return 0
    except asyncio.CancelledError:
        return 0
    finally:
        await many.close()
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
