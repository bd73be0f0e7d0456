"""A client of the MCP relay that can send any bytes, servers to put behind it, and people who answer."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from guardrail.audit import beside_trail, trail_directory
from guardrail.audit._verify import read_records
from guardrail.cli._review import read_book
from guardrail.config import load
from guardrail.review import Case, Inbox
from tests.mandate_support import Place
from tests.review_support import vote

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv-mcp"
"""The SDK and the reference servers, in an environment of their own."""

T = TypeVar("T")

TOY = [sys.executable, str(ROOT / "tests/mcp_toy.py")]
WAIT_SECONDS = 60
"""Longest wait for anything, in seconds: a machine may be busy."""

TASKS = "io.modelcontextprotocol/tasks"
STATELESS = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}


def needs(path: Path) -> None:
    """Skip where the other environment is not installed; in CI that is a failure."""
    if not path.exists():
        text = f"`{path.relative_to(ROOT)}` is not installed: `make .venv-mcp/.ready` gets it"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)


def reference_server(name: str) -> list[str]:
    """The command of a reference server from npm."""
    program = HOME / f"node_modules/@modelcontextprotocol/{name}/dist/index.js"
    needs(program)
    return ["node", str(program)]


def tool(name: str, description: str = "Does it.") -> dict[str, Any]:
    """A tool's definition."""
    return {"name": name, "description": description, "inputSchema": {"type": "object"}}


TOOLS = [tool(name) for name in ("read_file", "write_file", "inspect", "fail", "progress", "ask", "never", "junk")]


def environment() -> dict[str, str]:
    """Where the relay's code is."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "adapters")))}


def relay_command(place: Place, *options: str, command: list[str] | None = None) -> list[str]:
    """The command line of the relay."""
    start = [sys.executable, "-m", "guardrail", "proxy", "mcp", "--config", str(place.toml), *options]
    return [*start, "--", *command] if command else start


class Wire:
    """A client on standard input and output.

    Args:
        command: what to start.
        cwd: where.
    """

    def __init__(self, command: list[str], cwd: Path) -> None:
        self.process = subprocess.Popen(
            command, cwd=cwd, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.lines: queue.Queue[bytes] = queue.Queue()
        self.errors = b""
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._complain)]
        for thread in self._threads:
            thread.start()
        self._last = 0

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(b"")

    def _complain(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors += line

    def send(self, frame: bytes | dict[str, Any]) -> None:
        """Any bytes, or a message."""
        assert self.process.stdin is not None
        data = frame if isinstance(frame, bytes) else json.dumps({"jsonrpc": "2.0", **frame}).encode()
        self.process.stdin.write(data + b"\n")
        self.process.stdin.flush()

    def next(self) -> dict[str, Any]:
        """The next frame."""
        line = self.lines.get(timeout=WAIT_SECONDS)
        assert line, f"the relay ended: {self.errors.decode()}"
        message: dict[str, Any] = json.loads(line)
        return message

    def start(self, method: str, **params: Any) -> int:
        """Send a request; its id."""
        self._last += 1
        self.send({"id": self._last, "method": method, "params": params})
        return self._last

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """A request and the next frame, which has to be its response."""
        identity = self.start(method, **params)
        answer = self.next()
        assert answer.get("id") == identity, answer
        return answer

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """A tool's result."""
        found: dict[str, Any] = self.ask("tools/call", name=name, arguments=arguments)["result"]
        return found

    def hello(self, version: str = "2025-11-25", **capabilities: Any) -> dict[str, Any]:
        """The handshake, and the tools."""
        self.ask(
            "initialize", protocolVersion=version, capabilities=capabilities, clientInfo={"name": "t", "version": "1"}
        )
        self.send({"method": "notifications/initialized"})
        return self.ask("tools/list")

    def end(self) -> int:
        """Close the input; the exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        code = self.process.wait(timeout=WAIT_SECONDS)
        for thread in self._threads:
            thread.join(timeout=WAIT_SECONDS)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@contextlib.contextmanager
def wired(place: Place, *options: str, command: list[str] | None = None) -> Iterator[Wire]:
    """A client with a relay in front of a server; the toy by default."""
    wire = Wire(relay_command(place, *options, command=command or toy(place.root)), place.root)
    try:
        yield wire
    finally:
        wire.end()


def toy(folder: Path, pages: list[list[Any]] | None = None) -> list[str]:
    """The command of the toy server, with these tools."""
    if pages is not None or not (folder / "tools.json").exists():
        (folder / "tools.json").write_text(json.dumps(pages or [TOOLS]))
    return [*TOY, str(folder)]


def reached(folder: Path) -> list[dict[str, Any]]:
    """The messages that reached the toy."""
    log = folder / "frames.log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def calls(folder: Path) -> list[dict[str, Any]]:
    """The tool calls that did."""
    return [message["params"] for message in reached(folder) if message.get("method") == "tools/call"]


def waiting(place: Place) -> list[Case]:
    """What waits for people, read from the trail."""
    return [case for case in read_book(load(place.toml)).cases() if case.state == "pending"]


def answer(place: Place, case: Case, verdict: str = "approve", by: str = "eve") -> None:
    """Leave a signed vote for whoever holds the trail, as `guardrail escalations approve` does."""
    Inbox(beside_trail(load(place.toml), "inbox")).put(vote(case, by, place.keys[by], verdict))


def records(place: Place) -> list[tuple[int, dict[str, Any]]]:
    """What is on the trail, in order."""
    return list(read_records(trail_directory(load(place.toml))))


def words(result: dict[str, Any]) -> str:
    """The text of a tool's result."""
    return str(result["content"][0]["text"])


def eventually(look: Callable[[], T]) -> T:
    """What is found, as soon as it is: another process is at work."""
    end = time.monotonic() + WAIT_SECONDS
    while not (found := look()):
        assert time.monotonic() < end, "it did not happen in time"
        threading.Event().wait(0.02)
    return found
