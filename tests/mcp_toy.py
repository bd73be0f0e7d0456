"""An MCP server without an SDK, for tests: it says what the files beside it say, and writes down every frame it gets.

    python mcp_toy.py DIRECTORY     DIRECTORY/tools.json: pages of tools; DIRECTORY/frames.log: what reached it

Tools: anything answers `ran NAME`, and with `{"take": "back"}` asks and takes it back; `fail` fails; `progress`
reports some; `ask` asks its client first; `never` says nothing; `junk` prints what is no message, and answers of
requests that nobody sent; `take` reads a model beside it that no argument names, and `retire` renames it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(sys.argv[1])


def say(message: dict[str, Any]) -> None:
    """One frame."""
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def text(said: str, *, error: bool = False) -> dict[str, Any]:
    """A tool's result."""
    return {"content": [{"type": "text", "text": said}], "isError": error}


def listing(params: dict[str, Any]) -> dict[str, Any]:
    """A page of tools."""
    pages = json.loads((HERE / "tools.json").read_text())
    at = int(params.get("cursor", 0))
    return {"tools": pages[at], **({"nextCursor": str(at + 1)} if at + 1 < len(pages) else {})}


def call(identity: Any, params: dict[str, Any]) -> dict[str, Any] | None:
    """Run a tool; None if it says nothing."""
    name = params.get("name")
    if name == "progress":
        say({"method": "notifications/progress", "params": {"progressToken": "p", "progress": 1}})
    if name == "junk":
        print("starting up…\n{}\n", flush=True)
        say({"id": 4711, "result": text("nobody asked")})
    if name == "ask":
        say({"id": "s1", "method": "sampling/createMessage", "params": {"for": identity}})
        return None
    if name == "never":
        return None
    if params.get("arguments") == {"take": "back"}:
        say({"id": "s2", "method": "sampling/createMessage", "params": {}})
        say({"method": "notifications/cancelled", "params": {"requestId": "s2"}})
    if name == "take":
        try:
            name = f"take: {len((HERE / 'models/beta.safetensors').read_bytes())} bytes"
        except PermissionError:
            name = "take: nothing"
    if name == "retire":
        try:
            (HERE / "models/beta.safetensors").rename(HERE / "models/retired.safetensors")
        except PermissionError:
            name = "retire: nothing"
    return {"id": identity, "result": text(f"ran {name}", error=name == "fail")}


def main() -> None:
    """Serve until the input ends."""
    asked: Any = None
    for line in sys.stdin:
        with (HERE / "frames.log").open("a") as log:
            log.write(line)
        message = json.loads(line)
        method, identity, params = message.get("method"), message.get("id"), message.get("params", {})
        if method == "initialize":
            say(
                {
                    "id": identity,
                    "result": {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}},
                }
            )
        elif method == "server/discover":
            say({"id": identity, "result": {"capabilities": {"tools": {}}, "resultType": "complete"}})
        elif method == "tools/list":
            say({"id": identity, "result": listing(params)})
        elif method == "tools/call":
            asked = identity
            answer = call(identity, params)
            if answer is not None:
                say(answer)
        elif method is None and identity == "s1":
            say({"id": asked, "result": text(f"client said {message['result']['said']}")})
        elif identity is not None:
            say({"id": identity, "result": {"method": method, "params": params}})


main()
