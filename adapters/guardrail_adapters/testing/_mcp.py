"""Our MCP relay in the suite: over standard input, where a held call is sent again, and over HTTP, where it is a task.

Client and server are a few lines of the protocol each, so that every message is one that the relay really reads: the
first way leaves out nothing but the pipes, the second listens on a port of this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib.util
import itertools
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import msgspec

from guardrail_adapters.mcp import Gate, HttpSettings, PinStore, RelaySettings
from guardrail_adapters.mcp._connection import Connection
from guardrail_adapters.mcp._frames import Message, RefusedFrame, dump, parse
from guardrail_adapters.testing._again import CALLED_AGAIN, Program
from guardrail_adapters.testing._protocol import Call, Reply, Seen, Turn
from guardrail_adapters.testing._setting import Setting

if TYPE_CHECKING:
    from guardrail_adapters.testing._protocol import Conversation

Way = Literal["standard input", "HTTP"]

T = TypeVar("T")

SERVER: Final = "shell"
"""Name of the server: its tool `bash` is known by it to run shell commands."""

POLL_SECONDS: Final = 0.01
"""How long the client waits between two looks at a task, in seconds."""

_TOOL: Final = {"name": "bash", "description": "Runs a command.", "inputSchema": {"type": "object"}}

_CANNOT: Final[Mapping[Way, Mapping[str, str]]] = {
    "standard input": CALLED_AGAIN,
    "HTTP": {
        **dict.fromkeys(("edit", "edit-denied"), "the protocol has no way to word a task's call anew"),
        "changed": "a task carries out the very call that was shown: nothing around it can put another in its place",
        "retried": CALLED_AGAIN["retried"],
    },
}


class McpAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """One transport of the relay.

    Args:
        way: which.
    """

    way: Way

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"MCP: {self.way}"

    @property
    def cannot(self) -> Mapping[str, str]:
        """What the protocol has no place for."""
        return _CANNOT[self.way]

    def missing(self) -> str:
        """HTTP needs the extra."""
        return "guardrail-runtime[mcp]" if self.way == "HTTP" and not importlib.util.find_spec("aiohttp") else ""

    def open(self, setting: Setting) -> Conversation:
        """A client that calls the setting's tool through the relay."""
        if self.way == "HTTP":
            return _Tasks(setting)
        loop = _Loop()
        ask = loop.enter(_piped(setting))
        return Program(setting, lambda _, command: _seen(loop.run(ask(_call(command)))), loop.close)


def adapters() -> tuple[McpAdapter, ...]:
    """Every transport."""
    return tuple(McpAdapter(way=way) for way in _CANNOT)


Ask = Callable[[Message], Awaitable[Message]]
"""Sends a request of the client, and brings its response."""


class _Loop:
    """An event loop of the relay's own, where nothing is known of the agent but what it sends."""

    def __init__(self) -> None:
        self._stack = contextlib.AsyncExitStack()
        self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, T] | Awaitable[T]) -> T:
        """Do something there."""

        async def done() -> T:
            return await work

        return self._runner.run(done(), context=contextvars.Context())

    def enter(self, block: contextlib.AbstractAsyncContextManager[T]) -> T:
        """Begin something that ends with the loop."""
        return self.run(self._stack.enter_async_context(block))

    def close(self) -> None:
        """End everything."""
        self.run(self._stack.aclose())
        self._runner.close()


def _gate(setting: Setting, stack: contextlib.ExitStack) -> Gate:
    pins = stack.enter_context(contextlib.closing(PinStore.of(setting.config)))
    settings = RelaySettings(
        server=SERVER, subject=setting.subject, session=setting.session, cwd=str(setting.cwd), hold_seconds=0.0
    )
    return Gate(setting.guard, pins, settings)


def _served(setting: Setting, message: Message) -> Message:
    """What the server says to a request."""
    result: Message = {"tools": [_TOOL]}
    if message["method"] == "tools/call":
        try:
            said, failed = setting.tool(message["params"]["arguments"]["command"]), False
        except OSError as error:
            said, failed = str(error), True
        result = {"content": [{"type": "text", "text": said}], "isError": failed}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def _call(command: str) -> Message:
    """A call in the trace that this process is in now, which the protocol carries among its parameters (SEP-414)."""
    params = {"name": "bash", "arguments": {"command": command}, "_meta": _trace()}
    return {"jsonrpc": "2.0", "method": "tools/call", "params": params}


def _trace() -> dict[str, str]:
    try:
        from opentelemetry.propagate import inject
    except ImportError:
        return {}
    found: dict[str, str] = {}
    inject(found)
    return found


def _seen(answer: Message) -> Seen | None:
    """What the model reads; None if the call waits.."""
    if "error" in answer:
        return Seen(text=str(answer["error"]["message"]), ok=False)
    result = answer["result"]
    text = str(result["content"][0]["text"])
    return None if "is pending" in text else Seen(text=text, ok=not result.get("isError"))


@contextlib.asynccontextmanager
async def _piped(setting: Setting) -> AsyncGenerator[Ask]:
    """The relay as it is between two pipes: each message is a line, written and read."""
    ids, answers = itertools.count(1), dict[object, asyncio.Future[Message]]()

    async def to_server(message: Message) -> None:
        line = dump(_served(setting, json.loads(dump(message))))
        passed = await connection.from_server(parse(line))
        if passed is not None:
            await to_client(json.loads(line) if passed is True else passed)

    async def to_client(message: Message) -> None:
        answers.pop(message["id"]).set_result(json.loads(dump(message)))

    async def ask(message: Message) -> Message:
        identity = next(ids)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        answers[identity] = answer
        try:
            await connection.from_client(parse(dump({**message, "id": identity})))
        except RefusedFrame as error:
            return error.answer()
        return await answer

    with contextlib.ExitStack() as stack:
        connection = Connection(_gate(setting, stack), to_server=to_server, to_client=to_client)
        try:
            yield ask
        finally:
            await connection.close()


@contextlib.asynccontextmanager
async def _posted(setting: Setting) -> AsyncGenerator[Ask]:
    """The relay on a port, before a server on another."""
    from aiohttp import ClientSession, web

    from guardrail_adapters.mcp._http import listening

    ids = itertools.count(1)

    async def served(request: web.Request) -> web.Response:
        return web.json_response(_served(setting, await request.json()))

    with contextlib.ExitStack() as stack:
        app = web.Application(client_max_size=0)
        app.router.add_post("/mcp", served)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            to = HttpSettings(upstream=f"http://127.0.0.1:{runner.addresses[0][1]}/mcp", host="127.0.0.1", port=0)
            async with listening(_gate(setting, stack), to) as address, ClientSession() as session:

                async def ask(message: Message) -> Message:
                    async with session.post(address, json={**message, "id": next(ids)}) as response:
                        found: Message = await response.json()
                        return found

                yield ask
        finally:
            await runner.cleanup()


_STATELESS: Final[Message] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
}
"""What a client says with each request that has made no handshake and takes tasks."""


class _Tasks:
    """A client of 2026-07-28: a held call is a task, which it polls; one that is lost with the relay is sent again."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._file = setting.own / "tasks.json"
        self._loop = _Loop()
        self._ask = self._loop.enter(_posted(setting))
        self._seen: dict[str, Seen] = {}

    def start(self, calls: Sequence[Call]) -> Turn:
        """Make the calls one after the other."""
        return self._go({}, {call.id: call.command for call in calls})

    def resume(self, replies: Mapping[str, Reply]) -> Turn:
        """Record what people said, and look at the tasks until they are over."""
        waiting: dict[str, tuple[str, str]] = json.loads(self._file.read_text(encoding="utf-8"))
        lost: dict[str, str] = {}
        for call, reply in replies.items():
            command, task = waiting.pop(call)
            self._setting.decide(command, reply)
            answer = self._loop.run(self._ended(task))
            if "error" in answer:
                lost[call] = command
            else:
                self._read(call, {"result": answer["result"]["result"]})
        return self._go(waiting, lost)

    def close(self) -> None:
        """End the relay."""
        self._loop.close()

    def _go(self, waiting: dict[str, tuple[str, str]], calls: Mapping[str, str]) -> Turn:
        for call, command in calls.items():
            sent = _call(self._setting.layer.rewritten(command))
            meta = {**_STATELESS, **sent["params"]["_meta"]}
            answer = self._loop.run(self._ask({**sent, "params": {**sent["params"], "_meta": meta}}))
            if answer.get("result", {}).get("resultType") == "task":
                waiting[call] = command, answer["result"]["taskId"]
            else:
                self._read(call, answer)
        self._file.write_text(json.dumps(waiting), encoding="utf-8")
        return Turn(seen=dict(self._seen), waiting=tuple(waiting))

    def _read(self, call: str, answer: Message) -> None:
        seen = _seen(answer)
        if seen is not None:
            self._seen[call] = seen

    async def _ended(self, task: str) -> Message:
        look = {"jsonrpc": "2.0", "method": "tasks/get", "params": {"taskId": task, "_meta": _STATELESS}}
        while (answer := await self._ask(look)).get("result", {}).get("status") == "working":  # noqa: ASYNC110 - it polls
            await asyncio.sleep(POLL_SECONDS)
        return answer
