"""What the MCP relay adds to a call: beside a direct connection, and beside fastmcp's proxy, in one run.

    python -m benchmarks.mcp [CALLS]

Over standard input and output with the reference filesystem server, over HTTP with a server of the SDK; the client is
the same few lines for all. Rounds are interleaved, so that a busy machine is busy for all.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.ports import free_port

ROOT: Final = Path(__file__).resolve().parent.parent
HOME: Final = ROOT / ".venv-mcp"
FILES: Final = ["node", str(HOME / "node_modules/@modelcontextprotocol/server-filesystem/dist/index.js")]
CALLS: Final = 300
"""Calls of each way."""

ROUNDS: Final = 10
"""In how many turns they are made."""

_FASTMCP: Final = """
import sys
from fastmcp.client.transports import StdioTransport
from fastmcp.server import create_proxy
if sys.argv[1] == "stdio":
    create_proxy(StdioTransport(sys.argv[2], sys.argv[3:])).run(show_banner=False)
else:
    at = {"host": "127.0.0.1", "port": int(sys.argv[2]), "path": "/mcp"}
    create_proxy(sys.argv[3]).run(transport="http", show_banner=False, **at)
"""

_HELLO: Final = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
Call = Callable[[], float]


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mcp", description="What the relay of MCP adds to a call."
    )
    parser.add_argument("calls", type=int, nargs="?", default=CALLS, help="how many of each way; default %(default)s")
    count: int = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        root = Path(name)
        (root / "note.txt").write_text("hello")
        print("standard input and output: read_text_file of server-filesystem, ms")
        table(stack, count, {way: lambda w=way: over_pipes(w, root) for way in ("direct", "guardrail", "fastmcp")})
        print("HTTP: read_file of a server of the SDK, 2025-11-25, ms")
        upstream = f"http://127.0.0.1:{served(stack, root)}/mcp"
        ways = ("direct", "guardrail", "fastmcp")
        table(stack, count, {way: lambda w=way: over_http(w, upstream, root) for way in ways})
    return 0


def table(stack: contextlib.ExitStack, count: int, ways: dict[str, Callable[[], Any]]) -> None:
    """Start all, measure in turns, and print."""
    calls: dict[str, Call] = {}
    starts = {}
    for way, start in ways.items():
        begin = time.perf_counter()
        calls[way] = stack.enter_context(start())
        starts[way] = time.perf_counter() - begin
    spent: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, call in calls.items():
            call()
            spent[way] += [call() * 1e3 for _ in range(max(1, count // ROUNDS))]
    base = statistics.median(spent["direct"])
    for way, times in spent.items():
        p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
        print(
            f"  {way:<10} min {min(times):7.2f}  p50 {p50:7.2f}  p99 {p99:7.2f}"
            f"  added p50 {p50 - base:+7.2f}  start {starts[way]:5.1f} s"
        )


# ── standard input and output ─────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def over_pipes(way: str, root: Path) -> Iterator[Call]:
    """A connection over pipes."""
    server = [*FILES, str(root)]
    command = {
        "direct": server,
        "guardrail": [*relay(root, "pipes"), "--", *server],
        "fastmcp": [str(HOME / "bin/python"), "-c", _FASTMCP, "stdio", *server],
    }[way]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, cwd=root, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=quiet
    )
    number = 0

    def ask(method: str, params: Any) -> Any:
        nonlocal number
        number += 1
        assert process.stdin is not None
        assert process.stdout is not None
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        while (answer := json.loads(process.stdout.readline())).get("id") != number:
            pass
        return answer["result"]

    def call() -> float:
        begin = time.perf_counter()
        result = ask("tools/call", {"name": "read_text_file", "arguments": {"path": str(root / "note.txt")}})
        spent = time.perf_counter() - begin
        assert result["content"][0]["text"] == "hello", result
        return spent

    try:
        ask("initialize", _HELLO)
        assert process.stdin is not None
        process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        ask("tools/list", {})
        yield call
    finally:
        process.terminate()
        process.communicate(timeout=30)


# ── HTTP ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def over_http(way: str, upstream: str, root: Path) -> Iterator[Call]:
    """A connection over HTTP."""
    port = free_port()
    command = {
        "guardrail": [*relay(root, "http"), "--http", upstream, "--listen", f"127.0.0.1:{port}"],
        "fastmcp": [str(HOME / "bin/python"), "-c", _FASTMCP, "http", str(port), upstream],
    }.get(way)
    with contextlib.ExitStack() as stack:
        if command is None:
            port = int(upstream.rpartition(":")[2].partition("/")[0])
        else:
            run(stack, command, root)
        wait_for(port)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        stack.callback(connection.close)
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}

        def ask(method: str, params: Any, number: int | None = 1) -> Any:
            message = {"jsonrpc": "2.0", "method": method, "params": params, **({"id": number} if number else {})}
            try:
                connection.request("POST", "/mcp", json.dumps(message), headers)
                answer = connection.getresponse()
            except (ConnectionError, http.client.HTTPException):
                connection.close()  # servers end connections that were idle while the others had their turn
                connection.request("POST", "/mcp", json.dumps(message), headers)
                answer = connection.getresponse()
            body = answer.read().decode()
            headers.setdefault("mcp-session-id", answer.headers.get("mcp-session-id", ""))
            text = next((line[5:] for line in body.splitlines() if line.startswith("data:") and line[5:].strip()), body)
            return json.loads(text or "{}").get("result")

        def call() -> float:
            begin = time.perf_counter()
            result = ask("tools/call", {"name": "read_file", "arguments": {"path": str(root / "note.txt")}})
            spent = time.perf_counter() - begin
            assert "contents of" in result["content"][0]["text"], result
            return spent

        ask("initialize", _HELLO)
        headers["mcp-protocol-version"] = "2025-11-25"
        ask("notifications/initialized", {}, None)
        ask("tools/list", {})
        yield call


def served(stack: contextlib.ExitStack, root: Path) -> int:
    """The SDK's own server; its port."""
    port = free_port()
    run(stack, [str(HOME / "bin/python"), str(ROOT / "tests/mcp_sdk.py"), "serve", str(port)], root)
    wait_for(port)
    return port


def run(stack: contextlib.ExitStack, command: list[str], root: Path) -> None:
    """A process that ends with the run."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=root, env=environment(), stdin=quiet, stdout=quiet, stderr=quiet)
    stack.callback(process.wait, 30)
    stack.callback(process.terminate)


def relay(root: Path, name: str) -> list[str]:
    """The command line of the relay, with a trail of its own."""
    config = root / f"{name}.toml"
    config.write_text(
        f'[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["models"]\n[trail]\ndirectory = "trail-{name}"\n'
    )
    return [sys.executable, "-m", "guardrail", "proxy", "mcp", "--config", str(config), "--name", "filesystem"]


def environment() -> dict[str, str]:
    """Where the code is."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "adapters")))}


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    for _ in range(600):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.1)
    raise TimeoutError(f"nobody listens on port {port}")


if __name__ == "__main__":
    sys.exit(main())
