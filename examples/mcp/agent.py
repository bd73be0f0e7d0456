"""An agent on MCP that reads a note and then deletes a model; run it with `python -m examples.mcp.agent`.

The relay lets the first through and answers the second by itself: the server never hears of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SERVER = Path(__file__).with_name("server.py")


class Client:
    """A client on pipes, as small as can be."""

    def __init__(self, command: list[str], cwd: Path) -> None:
        self.process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._number = 0

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One request."""
        self._number += 1
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        print(json.dumps(message), file=self.process.stdin, flush=True)
        found: dict[str, Any] = json.loads(self.process.stdout.readline())["result"]
        return found

    def call(self, name: str, path: Path) -> str:
        """One tool call."""
        text = str(self.ask("tools/call", name=name, arguments={"path": str(path)})["content"][0]["text"])
        print(f"{name} {path.name}: {text.strip()}")
        return text

    def close(self) -> int:
        """The end; the relay's exit code."""
        self.process.communicate(timeout=60)
        return self.process.returncode


def main() -> int:
    """Act, and check what came of it."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        weights, note = root / "models/beta.safetensors", root / "note.txt"
        weights.parent.mkdir()
        weights.write_bytes(b"weights")
        note.write_text("Beta is served until Friday.")
        (root / "guardrail.toml").write_text(
            '[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["models"]\n[trail]\ndirectory = "trail"\n'
            "timeout_seconds = 60\n[limits]\ndecision_ms = 60000\n"
        )
        relay = [sys.executable, "-m", "guardrail", "proxy", "mcp", "--name", "filesystem"]
        client = Client([*relay, "--", sys.executable, str(SERVER)], root)
        client.ask(
            "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "a", "version": "1"}
        )
        print("tools:", ", ".join(tool["name"] for tool in client.ask("tools/list")["tools"]))
        read, deleted = client.call("read_file", note), client.call("delete_file", weights)
        done = client.close()
        if done or "Friday" not in read or "not permitted" not in deleted or not weights.exists():
            print("the relay did not do what this example says")
            return 1
        print("the model is still there")
        return 0


if __name__ == "__main__":
    sys.exit(main())
