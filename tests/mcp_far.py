"""An MCP server over streamable HTTP without an SDK, in a thread of the test: sessions, a token, answers of both forms.

With `legacy` it speaks HTTP with SSE (2024-11-05) instead.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.mcp_support import tool

TOKEN = "far-secret"
SESSION = "far-session"


class FarToy(ThreadingHTTPServer):
    """Remembers what reached it: method, headers in small letters, message."""

    daemon_threads = True

    def __init__(self, *, legacy: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.legacy = legacy
        self.seen: list[tuple[str, dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.server_address[1]}/mcp"

    def calls(self) -> list[Any]:
        """The tool calls that reached it."""
        return [message["params"] for _, _, message in self.seen if message and message["method"] == "tools/call"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FarToy

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._see(message)
        if self.server.legacy:
            self._say(405, b"")
        elif self.headers.get("authorization") != f"Bearer {TOKEN}":
            self._say(401, b"")
        elif message["method"] == "initialize":
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
            self._answer(message, result, **{"mcp-session-id": SESSION})
        elif self.headers.get("mcp-session-id") != SESSION or self.headers["mcp-protocol-version"] != "2025-06-18":
            self._say(404, b"")
        elif "id" not in message:
            self._say(202, b"")
        elif message["method"] == "tools/list":
            self._answer(message, {"tools": [tool(name) for name in ("inspect", "stream", "break", "moved", "resume")]})
        else:
            self._called(message)

    def do_GET(self) -> None:
        self._see(None)
        if self.headers.get("last-event-id") == "e-1":
            (last,) = (message for _, _, message in self.server.seen if message and message["method"] == "tools/call")
            result = {"content": [{"type": "text", "text": "far ran resume"}]}
            self._say(200, _event({"id": last["id"], "result": result}), "text/event-stream")
            return
        told = _event({"method": "notifications/tools/list_changed"})
        self._say(200, b"event: endpoint\ndata: /messages\n\n" if self.server.legacy else told, "text/event-stream")

    def do_DELETE(self) -> None:
        self._see(None)
        self._say(200, b"")

    def _called(self, message: dict[str, Any]) -> None:
        name = message["params"]["name"]
        result = {"content": [{"type": "text", "text": f"far ran {name}"}]}
        if name == "moved":
            self._say(307, b"", location="http://127.0.0.1:1/mcp")
        elif name == "inspect":
            self._answer(message, result)
        else:
            answer = {"id": message["id"], "result": result}
            events = [{"method": "notifications/progress", "params": {}}, *([answer] if name == "stream" else [])]
            named = b"id: e-1\nretry: 50\ndata:\n\n" if name == "resume" else b""
            self._say(200, named or b"".join(map(_event, events)), "text/event-stream")

    def _answer(self, message: dict[str, Any], result: dict[str, Any], **headers: str) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        self._say(200, body, "application/json", **headers)

    def _say(self, status: int, body: bytes, kind: str = "text/plain", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _see(self, message: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.command, headers, message))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Nothing."""


def _event(message: dict[str, Any]) -> bytes:
    return f"data: {json.dumps({'jsonrpc': '2.0', **message})}\n\n".encode()


@contextmanager
def far_toy(*, legacy: bool = False) -> Iterator[FarToy]:
    """The server, as long as the block lasts."""
    server = FarToy(legacy=legacy)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
