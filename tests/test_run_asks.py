"""A system call that waits for a person: the real process stands still, others go on, and only leave releases it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import pytest
from cryptography.hazmat.primitives import serialization

from guardrail.audit._verify import read_records
from guardrail.confine.execd._asks import MAX_ASKED, Asks, Question
from guardrail.confine.execd._wire import receive, send
from tests.mandate_support import AGENT, Place

MOVER = """import os, subprocess, sys
there, to = sys.stdin.readline().split()
beside = subprocess.Popen(["/bin/sh", "-c", "echo beside > beside"])
beside.wait()
for _ in range(1 + len(sys.argv[1:])):
    try:
        os.rename(there, to)
        print("moved", flush=True)
    except OSError as error:
        print("refused", error.errno, flush=True)
open("after", "w").write("x")
"""
"""A program that was there before the session: what it renames is in nobody's text."""


def records(place: Place) -> list[dict[str, Any]]:
    """The trail, as far as it is written; nothing before its first record."""
    return [record for _, record in read_records(place.root / "trail")] if (place.root / "trail").exists() else []


class Running:
    """A tool that `guardrail run` has started, and the people who may answer."""

    def __init__(self, place: Place, *, again: bool = False) -> None:
        self.place = place
        self.model = place.root / "models/beta.safetensors"
        self.moved = place.root / "models/moved.safetensors"
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "guardrail", "run", "--config", str(place.toml), "--session", "s",
                "--subject", AGENT.id, "--model", AGENT.model or "", "--confine", "default", "--",
                "/usr/bin/python3", "mover.py",
                *(["again"] if again else []),
            ],
            cwd=place.root / "work", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(f"{self.model} {self.moved}\n")
        self.process.stdin.close()
        self.process.stdin = None

    def escalation(self) -> str:
        """Id of the one that waits, once it does; bounded."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for record in records(self.place):
                if record["kind"] == "escalation":
                    return str(record["escalation"])
            with contextlib.suppress(subprocess.TimeoutExpired):
                assert self.process.wait(0.05) is None, self.process.communicate()
        raise AssertionError("nobody is asked")

    def say(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`guardrail escalations`, in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "guardrail", "escalations", *words], cwd=self.place.root, timeout=60,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def end(self) -> tuple[str, int]:
        """What it printed, once it is over, and its exit code."""
        said, _ = self.process.communicate(timeout=60)
        return said, self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A model that may be renamed if a person approves, and a program that renames it unasked."""
    more = "[execute]\nconfine_escalate = 60.0\n"
    place = Place(tmp_path, people=("dana", "eve"), more=more)
    pem = place.keys["dana"].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "dana.pem").touch(0o600)
    (tmp_path / "dana.pem").write_bytes(pem)
    (tmp_path / "work").mkdir()
    (tmp_path / "work/mover.py").write_text(MOVER)
    grant = {"effects": ["rename"], "assets": ["model:beta"], "targets": [f"{tmp_path}/models/*"], "approval": True}
    place.order(by="eve", grants=[grant])
    return place


def test_a_call_that_waits_goes_on_when_a_person_approves(place: Place) -> None:
    """It stands still at its rename while its child works on; the trail has the question, the leave and the deed."""
    with Running(place) as tool:
        waiting = tool.escalation()
        assert (place.root / "work/beside").exists()
        assert not (place.root / "work/after").exists()
        assert tool.model.exists()
        assert tool.say("approve", waiting, "--key", "dana.pem").returncode == 0
        assert tool.end() == ("moved\n", 0)
    assert (tool.model.exists(), tool.moved.exists()) == (False, True)
    told = records(place)
    used = {one["escalation"]: one["ending"] for one in told if one.get("event") == "finished"}
    assert used == {waiting: "completed"}
    results = {one["decision_id"]: one["result"] for one in told if one["kind"] == "result"}
    released = [
        one["decision"]["rules"] for one in told if one["kind"] != "result" and one.get("decision_id") in results
    ]
    assert released == [[], ["review.granted"]]
    assert set(results.values()) == {"completed"}


def test_a_call_that_a_person_rejects_is_refused(place: Place) -> None:
    """As if nobody had been asked; and nobody is asked again about the same."""
    with Running(place, again=True) as tool:
        assert tool.say("reject", tool.escalation(), "--key", "dana.pem").returncode == 0
        assert tool.end() == ("refused 13\nrefused 13\n", 0)
    assert tool.model.exists()
    assert sum(one["kind"] == "escalation" for one in records(place)) == 1


def test_a_call_that_waits_too_long_is_refused_and_its_question_withdrawn(place: Place) -> None:
    """Who says yes afterwards says it to nothing."""
    place.toml.write_text(place.toml.read_text().replace("confine_escalate = 60.0", "confine_escalate = 0.6"))
    with Running(place) as tool:
        assert tool.end() == ("refused 13\n", 0)
    assert tool.model.exists()
    assert [one["state"] for one in records(place) if one.get("event") == "closed"] == ["cancelled"]


def test_a_call_whose_supervisor_is_killed_while_it_waits_is_denied(place: Place) -> None:
    """A yes that comes then finds nobody to carry it out."""
    with Running(place) as tool:
        waiting = tool.escalation()
        supervisors = [pid for pid in below(tool.process.pid) if b"_boot.py" in command_of(pid)]
        assert len(supervisors) == 1
        os.kill(supervisors[0], signal.SIGKILL)
        tool.say("approve", waiting, "--key", "dana.pem", "--wait", "0")
        assert tool.end()[1] != 0
    assert (tool.model.exists(), tool.moved.exists()) == (True, False)


def below(pid: int) -> list[int]:
    """Numbers of all processes below one."""
    parents = {int(name): parent_of(int(name)) for name in os.listdir("/proc") if name.isdecimal()}
    found, level = list[int](), [pid]
    while level := [child for child, parent in parents.items() if parent in level]:
        found += level
    return found


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class Questions:
    """Questions over a real channel, and what became of them."""

    def __init__(self, seconds: float) -> None:
        self.guard, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.asks = Asks(channel, seconds)
        self.ended: list[str] = []

    def ask(self, *words: str) -> bool:
        """Ask about a command."""
        return self.asks.ask(
            Question(words=words, act=lambda: self.ended.append("done") or 0, refuse=self.ended.append)
        )


def test_an_answer_that_is_no_yes_in_time_is_a_no() -> None:
    """Time over, too many, asked before, an answer to nothing, and a guard that is gone."""
    asked = Questions(0.001)
    assert asked.ask("rm", "a")
    while not asked.ended:
        asked.asks.expire()
    assert (asked.ended, asked.asks.left()) == (["expired"], None)
    assert receive(asked.guard)[0]["words"] == ["rm", "a"]
    send(asked.guard, {"go": 1})
    asked.asks.hear()
    assert receive(asked.guard)[0] == {"did": 1, "errno": errno.ETIMEDOUT}
    assert not asked.ask("rm", "a"), "it was refused before"
    assert asked.ended == ["expired"]
    many = Questions(60)
    assert [many.ask("rm", str(number)) for number in range(MAX_ASKED + 1)] == [True] * MAX_ASKED + [False]
    send(many.guard, {"no": 1})
    send(many.guard, {"go": 2})
    many.asks.hear()
    many.asks.hear()
    assert many.ended == ["refused", "done"]
    many.guard.close()
    many.asks.hear()
    assert many.ended == ["refused", "done", *["refused"] * (MAX_ASKED - 2)]
    assert not many.ask("rm", "more")
    asked.asks.close()
    asked.guard.close()
