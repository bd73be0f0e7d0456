"""The official Python SDK as a server over HTTP and as a client; run by the interpreter of `.venv-mcp`.

python mcp_sdk.py serve PORT
python mcp_sdk.py call MODE URL          MODE is `auto` (2026-07-28) or `legacy`; prints JSON
python mcp_sdk.py call MODE -- CMD ARG …
"""

# No postponed annotations here: the SDK evaluates a tool's annotations and has to find Context.
import asyncio
import json
import os
import sys
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventMessage, EventStore


class Kept(EventStore):
    """Everything that was said on streams, for clients that go on with one."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        """Its number is its name."""
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
        """What came later on the same stream."""
        last = int(last_event_id)
        stream = self._events[last - 1][0]
        for number, (name, message) in enumerate(self._events[last:], last + 1):
            if name == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def serve(port: int) -> None:
    """A server with a few tools."""
    server = MCPServer("toy")

    @server.tool()
    def read_file(path: str) -> str:
        """Read a file."""
        return f"contents of {path}"

    @server.tool()
    def write_file(path: str, content: str) -> str:
        """Write a file."""
        return f"wrote {len(content)} to {path}"

    @server.tool()
    def inspect(thing: str) -> str:
        """Look at a thing."""
        return f"looked at {thing}"

    @server.tool()
    async def slow(steps: int, context: Context) -> str:
        """Report progress."""
        for step in range(steps):
            await context.report_progress(step, steps)
        return "done"

    ran: list[str] = []

    @server.tool()
    async def polled(name: str, context: Context) -> str:
        """End the stream in the middle, so that the rest has to be asked for."""
        ran.append(name)
        await context.report_progress(1, 2)
        await context.close_sse_stream()
        await context.report_progress(2, 2)
        return f"{name} ran {ran.count(name)} times"

    server.run(transport="streamable-http", host="127.0.0.1", port=port, event_store=Kept(), retry_interval=60)


async def call(mode: str, target: Any) -> dict[str, Any]:
    """What a real client sees."""
    seen: list[float] = []

    async def progress(done: float, _total: float | None, _text: str | None) -> None:
        seen.append(done)

    if isinstance(target, list):
        target = StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ))
    async with Client(target, mode=mode) as client:
        tools = sorted(tool.name for tool in (await client.list_tools()).tools)
        said = {}
        for name, arguments in json.loads(os.environ["CALLS"]):
            callback = {"progress_callback": progress} if name in ("slow", "polled") else {}
            result = await client.call_tool(name, arguments, **callback)
            said[name] = [bool(result.is_error), result.content[0].text]
        return {"version": client.protocol_version, "tools": tools, "said": said, "progress": seen}


def main() -> None:
    """One of the two."""
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
        return
    print(json.dumps([asyncio.run(call(mode, target)) for mode, target in json.loads(sys.argv[2])]))


main()
