"""Carrying out over HTTP, under load and for clients that misbehave: each has its share, and nothing is left."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail import Guard, ToolCall
from guardrail.audit._verify import read_records
from guardrail.config import parse as parse_config
from guardrail.execution import aexecute
from guardrail.service import _execute, create_app
from tests.console_support import served
from tests.ports import free_port
from tests.test_service_routes import ask, children, opened, until

TOKEN = "a-token-that-agents-hold"
WAIT_SECONDS = 60

CONFIG = f"""
[[asset]]
id = "model:beta"
class = "weights"
paths = ["models/beta"]
[trail]
directory = "trail"
timeout_seconds = 60
[limits]
decision_ms = 60000
[service]
token = "{TOKEN}"
[execute]
over_http = true
concurrency = 2
queue = 1
queue_ms = 60000
each_concurrency = 1
"""


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    """A guard that carries two calls out at one time, one of each agent."""
    with Guard.open(parse_config(CONFIG, base=str(tmp_path))) as guard:
        yield guard


def wanted(tmp_path: Path, agent: str, *words: str, stream: bool = False) -> dict[str, Any]:
    """A request to carry out a command."""
    call = {"tool": "bash", "args": {"command": list(words)}, "cwd": str(tmp_path), "subject": {"id": agent}}
    return {"call": call, "stream": stream}


def released(guard: Guard, tmp_path: Path) -> int:
    """How many calls were released, by the trail."""
    assert guard.trail is not None
    guard.trail.checkpoint()
    return sum(record["kind"] == "intent" for _, record in read_records(tmp_path / "trail", 0))


async def test_one_agent_has_its_share_of_the_tools_and_what_is_shed_is_denied(guard: Guard, tmp_path: Path) -> None:
    """Its second call is refused, others' run or wait in a line with an end; what got no turn was never judged."""
    app, holding = create_app(guard), tmp_path / "hold"
    os.mkfifo(holding)

    def run(agent: str) -> Any:
        return asyncio.create_task(ask(app, "POST", "/v1/execute", TOKEN, wanted(tmp_path, agent, "cat", "hold")))

    async def metric(name: str) -> float:
        text = (await ask(app, "GET", "/metrics", TOKEN)).text
        return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(name)))

    running = [run("a"), run("b")]
    await until(lambda: len(list(children("hold"))) == 2)
    again = await run("a")
    assert (again.status_code, again.json()["outcome"]) == (429, "deny")
    running.append(run("c"))
    while not await metric("guardrail_executions_waiting"):
        pass
    last = await run("d")
    assert (last.status_code, last.json()["outcome"]) == (503, "deny")
    assert [await metric(f'guardrail_executions_shed_total{{why="{why}"}}') for why in ("share", "queue")] == [1, 1]
    # A reader that reads nothing but the end lets every one of them go.
    await until(lambda: opened(holding) and all(task.done() for task in running))
    assert [(await task).json()["ran"] for task in running] == [True] * 3
    assert released(guard, tmp_path) == 3


def connect(url: str, body: dict[str, Any], *, room: int = 0) -> socket.socket:
    """Ask over a connection of its own, which takes in only so many bytes before it is read."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.socket()
    if room:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    connection.settimeout(WAIT_SECONDS)
    connection.connect((host, int(port)))
    data = json.dumps(body).encode()
    head = (
        f"POST /v1/execute HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n"
    )
    connection.sendall(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
    return connection


def read_until(connection: socket.socket, word: bytes) -> bytes:
    """What is answered, up to a word."""
    found = b""
    while word not in found:
        piece = connection.recv(65536)
        assert piece, found
        found += piece
    return found


def ended(pid: int) -> bool:
    """Whether a process is no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_client_that_goes_away_takes_every_process_of_its_tool_along(guard: Guard, tmp_path: Path) -> None:
    """Also those that the tool has started beside itself; and whoever left while they waited is not judged at all."""
    with served(create_app(guard), free_port()) as url:
        words = ("sh", "-c", "sleep 1000 & echo pid $! $$ end; wait")
        first = connect(url, wanted(tmp_path, "a", *words, stream=True))
        pids = [int(word) for word in read_until(first, b" end").partition(b"pid ")[2].split()[:2]]
        second = connect(url, wanted(tmp_path, "b", "sleep", "1000.75"))
        _wait(lambda: released(guard, tmp_path) == 2)
        waiting = connect(url, wanted(tmp_path, "c", "touch", "never"))
        waiting.close()
        assert not any(map(ended, pids))
        first.close()
        _wait(lambda: all(map(ended, pids)))
        second.close()
        _wait(lambda: not list(children("1000.75")))
    assert released(guard, tmp_path) == 2
    assert not (tmp_path / "never").exists()


async def test_a_tool_ends_with_its_task_also_where_every_task_of_the_loop_is_cancelled(
    guard: Guard, tmp_path: Path
) -> None:
    """As often as anybody likes: it is waited for until nothing of it runs, and its end is on record."""
    command = ["sh", "-c", "echo $$ > pid; exec sleep 600"]
    call = ToolCall(tool="bash", args={"command": command}, cwd=str(tmp_path))
    work = asyncio.create_task(aexecute(guard, call, lambda _stream, _chunk: None))
    pid = tmp_path / "pid"
    await until(lambda: pid.exists() and pid.read_text().endswith("\n"))
    for _ in range(3):
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await work
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert guard.trail is not None
    guard.trail.checkpoint()
    assert [record["kind"] for _, record in read_records(tmp_path / "trail", 0)][-1] == "result"


def test_a_client_that_reads_nothing_keeps_nobody_from_their_turn(
    guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its tool has ended, what it leaves unread is dropped after a while, and its share is free again."""
    monkeypatch.setattr(_execute, "READING_SECONDS", 0.2)
    with served(create_app(guard), free_port()) as url:
        stalled = connect(url, wanted(tmp_path, "a", "head", "-c", "1000000", "/dev/zero"), room=4096)
        _wait(lambda: released(guard, tmp_path) == 1)

        def answered() -> bool:
            with connect(url, wanted(tmp_path, "a", "true")) as again:
                return b'"ran":true' in again.recv(65536)

        _wait(answered)
        stalled.close()


def _wait(holds: Callable[[], bool]) -> None:
    end, turn = time.monotonic() + WAIT_SECONDS, threading.Event()
    while not holds():
        assert time.monotonic() < end
        turn.wait(0.02)
