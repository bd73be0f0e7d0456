"""The official Python SDK of the 1.x line, as a server over HTTP and as a client; run by the interpreter of
`.venv-mcp-lowest`. It takes the same words as `mcp_sdk.py`, and prints the same JSON; MODE is `legacy` alone.
"""

# No postponed annotations here: the SDK evaluates a tool's annotations and has to find Context.
import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.server.fastmcp import Context, FastMCP


def serve(port: int) -> None:
    """A server with a few tools."""
    server = FastMCP("toy", host="127.0.0.1", port=port)

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
        """Report progress, on the stream of the call that it is about.

        `report_progress` of this line names no request, so it goes out on the session's other stream, beside which the
        answer may be first: the client then has forgotten whom to tell, without a relay too.
        """
        meta = context.request_context.meta
        for step in range(steps):
            if meta is not None and meta.progressToken is not None:
                await context.session.send_progress_notification(
                    meta.progressToken, step, steps, related_request_id=context.request_id
                )
        return "done"

    server.run(transport="streamable-http")


@asynccontextmanager
async def streams(target: Any) -> Any:
    """What a session reads and writes."""
    if isinstance(target, list):
        parameters = StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ))
        async with stdio_client(parameters) as (read, write):
            yield read, write
    else:
        async with streamablehttp_client(target) as (read, write, _):
            yield read, write


async def call(target: Any) -> dict[str, Any]:
    """What a real client sees."""
    seen: list[float] = []

    async def progress(done: float, _total: float | None, _text: str | None = None) -> None:
        seen.append(done)

    async with streams(target) as (read, write), ClientSession(read, write) as session:
        hello = await session.initialize()
        tools = sorted(tool.name for tool in (await session.list_tools()).tools)
        said = {}
        for name, arguments in json.loads(os.environ["CALLS"]):
            callback = {"progress_callback": progress} if name == "slow" else {}
            result = await session.call_tool(name, arguments, **callback)
            said[name] = [bool(result.isError), result.content[0].text]
        return {"version": str(hello.protocolVersion), "tools": tools, "said": said, "progress": seen}


def main() -> None:
    """One of the two."""
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
        return
    print(json.dumps([asyncio.run(call(target)) for _, target in json.loads(sys.argv[2])]))


main()
