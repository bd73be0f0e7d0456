"""A system call that waits for a person: the real process stands still, others go on, and only leave releases it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from guardrail import Guard, ToolCall
from guardrail.audit._verify import read_records
from guardrail.confine import JobError
from guardrail.confine.execd._asks import MAX_ASKED, Asks, Question
from guardrail.confine.execd._wire import receive, send
from guardrail.execution import execute
from guardrail.review import Case, Refused
from tests.mandate_support import AGENT, Place
from tests.review_support import vote

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


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A model that may be renamed if a person approves, and a program that renames it unasked."""
    place = Place(tmp_path, more='[execute]\nconfine = "default"\nconfine_escalate = 60.0\n')
    (tmp_path / "work").mkdir()
    (tmp_path / "work/mover.py").write_text(MOVER)
    grant = {"effects": ["rename"], "assets": ["model:beta"], "targets": [f"{tmp_path}/models/*"], "approval": True}
    place.order(by="eve", grants=[grant])
    return place


class Running:
    """The program, started by a guard that judged it and confines it."""

    def __init__(self, place: Place, guard: Guard, *words: str) -> None:
        self.guard = guard
        self.work = place.root / "work"
        self.model = place.root / "models/beta.safetensors"
        self.moved = place.root / "models/moved.safetensors"
        self.failed: JobError | None = None
        self._said = bytearray()
        self._call = ToolCall(
            tool="bash", args={"command": ["/usr/bin/python3", "mover.py", *words]}, cwd=str(self.work), subject=AGENT
        )
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        read, write = os.pipe()
        os.write(write, f"{self.model} {self.moved}\n".encode())
        os.close(write)
        try:
            execute(self.guard, self._call, lambda _, chunk: self._said.extend(chunk), stdin=read)
        except JobError as error:
            self.failed = error
        finally:
            os.close(read)

    def waiting(self) -> Case:
        """The question that people are asked, once they are; bounded."""
        for _ in range(3000):
            if found := self.guard.desk.book.pending():
                return found[0]
            self._thread.join(0.02)
            assert self._thread.is_alive(), bytes(self._said)
        raise AssertionError("nobody is asked")

    def end(self) -> str:
        """What it printed, once it is over."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self._said.decode()


def records(place: Place) -> list[dict[str, Any]]:
    return [record for _, record in read_records(place.root / "trail")]


def test_a_call_that_waits_goes_on_when_a_person_approves(place: Place) -> None:
    """It stands still at its rename while its child works on; another process gives leave, and the trail has it all."""
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (place.root / "dana.pem").touch(0o600)
    (place.root / "dana.pem").write_bytes(place.keys["dana"].private_bytes(*pem))
    with place.guard() as guard:
        tool = Running(place, guard)
        waiting = tool.waiting().held.id
        assert (tool.work / "beside").exists()
        assert not (tool.work / "after").exists()
        assert tool.model.exists()
        command = [sys.executable, "-m", "guardrail", "escalations", "approve", waiting, "--key", "dana.pem"]
        subprocess.run(command, cwd=place.root, timeout=60, capture_output=True, check=True)
        assert tool.end() == "moved\n"
    assert (tool.model.exists(), tool.moved.exists()) == (False, True)
    told = records(place)
    assert {one["escalation"]: one["ending"] for one in told if one.get("event") == "finished"} == {
        waiting: "completed"
    }
    results = {one["decision_id"]: one["result"] for one in told if one["kind"] == "result"}
    decided = (one for one in told if "decision" in one and one["decision_id"] in results)
    assert [one["decision"]["rules"] for one in decided] == [[], ["review.granted"]]
    assert set(results.values()) == {"completed"}


def test_a_call_that_a_person_rejects_is_refused(place: Place) -> None:
    """As if nobody had been asked; and nobody is asked again about the same."""
    with place.guard() as guard:
        tool = Running(place, guard, "again")
        guard.clerk.take(vote(tool.waiting(), "dana", place.keys["dana"], "deny"))
        assert tool.end() == "refused 13\nrefused 13\n"
    assert tool.model.exists()
    assert sum(one["kind"] == "escalation" for one in records(place)) == 1


def test_a_call_that_waits_too_long_is_refused_and_its_question_withdrawn(place: Place) -> None:
    """Who says yes afterwards says it to nothing."""
    place.toml.write_text(place.toml.read_text().replace("confine_escalate = 60.0", "confine_escalate = 0.6"))
    with place.guard() as guard:
        tool = Running(place, guard)
        assert tool.end() == "refused 13\n"
    assert tool.model.exists()
    assert [one["state"] for one in records(place) if one.get("event") == "closed"] == ["cancelled"]


def test_a_call_whose_supervisor_is_killed_while_it_waits_is_denied(place: Place) -> None:
    """A yes that comes then finds nobody to carry it out."""
    with place.guard() as guard:
        tool = Running(place, guard)
        waiting = tool.waiting()
        supervisors = [pid for pid in below(os.getpid()) if b"\0once\0" in command_of(pid)]
        assert len(supervisors) == 1
        os.kill(supervisors[0], signal.SIGKILL)
        with contextlib.suppress(Refused):  # the question may be withdrawn already
            guard.clerk.take(vote(waiting, "dana", place.keys["dana"]))
        tool.end()
    assert tool.failed is not None
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
