"""A small MCP server over standard input and output: it reads and deletes files, whatever it is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
TOOLS = [
    {"name": name, "description": f"{name} a file", "inputSchema": SCHEMA} for name in ("read_file", "delete_file")
]


def run(name: str, path: Path) -> str:
    """Carry a call out."""
    if name == "delete_file":
        path.unlink()
        return f"deleted {path.name}"
    return path.read_text()


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The result of one request."""
    if method == "initialize":
        version = params["protocolVersion"]
        return {
            "protocolVersion": version,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "files", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": run(params["name"], Path(params["arguments"]["path"]))}]}
    return {}


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            result = answer(message["method"], message.get("params", {}))
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main()
