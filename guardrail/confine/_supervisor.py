"""The process between the guard and a tool: starts it, watches its time, and ends everything that came of it.

Run as a program of its own (`execd/_boot.py watch`), with the standard library alone, because being the one to whom
orphans fall is a property of a process: in the guard itself, the orphans of two tools that run at once could not be
told apart.

It is given two descriptors. The first is read: one line of JSON says what to start, and its end, or any byte more, that
nobody wants it any longer. The second is written: one line with the number of the process, one with what came of it.

Blind spots: what a tool has another service start (systemd, at, Docker) is not a process below it; and a tool of the
same user may end this process, after which the guard ends its process group and records that it knows no more.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from typing import Any, Final, NoReturn

from guardrail.confine.execd import _processes as processes

_CHUNK: Final = 64 * 1024


def main(orders: int, report: int) -> int:
    """Carry out one job; the exit code says nothing, the report does.

    Args:
        orders: descriptor that the job is read from.
        report: descriptor that reports are written to.
    """
    for fd in (orders, report):
        os.set_inheritable(fd, False)
    processes.take_orphans()
    # Who ends this process by a key or a polite signal means the tool: the guard says so by its orders.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wake, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, _noticed)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    job = _job(orders)
    if job is None:
        return 0
    try:
        pid = _start(job, report)
    except OSError as error:
        _tell(report, {"errno": error.errno, "strerror": error.strerror})
        return 0
    _let_go_of_output()
    status, why = _watch(pid, job, wake, orders)
    strays, survivors = processes.end_all()
    _tell(report, {"status": status, "why": why, "strays": strays, "survivors": survivors})
    return 0


def _noticed(_number: int, _frame: object) -> None:
    """A handler is needed for the wake-up descriptor to be written to."""


def _job(orders: int) -> dict[str, Any] | None:
    data = b""
    while not data.endswith(b"\n"):
        chunk = os.read(orders, _CHUNK)
        if not chunk:
            return None
        data += chunk
    job: dict[str, Any] = json.loads(data)
    return job


def _start(job: dict[str, Any], report: int) -> int:
    """Start the tool; its number is reported before it can do anything, ending this process included."""
    argv: list[str] = job["argv"]
    environment: dict[str, str] = job["environment"]
    os.chdir(job["cwd"])
    file = _found(argv[0], environment.get("PATH", os.defpath))
    gate, opened = os.pipe2(os.O_CLOEXEC)
    failed, failing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        os.close(opened)
        _become(file, argv, environment, gate, failing, job["processes"])
    os.close(gate)
    os.close(failing)
    _tell(report, {"pid": pid})
    os.write(opened, b"x")
    os.close(opened)
    # What it is now has closed the other end by becoming it.
    number = os.read(failed, 16)
    os.close(failed)
    if number:
        os.waitpid(pid, 0)
        raise OSError(int(number), os.strerror(int(number)))
    return pid


def _become(file: str, argv: list[str], environment: dict[str, str], gate: int, failing: int, most: int) -> NoReturn:
    """Be the tool, in a session of its own: no terminal, and one process group to begin with."""
    try:
        os.setsid()
        if os.read(gate, 1):
            signal.set_wakeup_fd(-1)
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            if most:
                processes.keep_to(most)
            os.execve(file, argv, environment)  # noqa: S606 - no shell is the point
    except OSError as error:
        os.write(failing, str(error.errno).encode())
    finally:
        os._exit(127)


def _found(program: str, path: str) -> str:
    """The file of a program, as execvp(3) finds it."""
    if "/" in program:
        return program
    denied = False
    for directory in path.split(":"):
        file = os.path.join(directory or ".", program)
        if os.path.isfile(file):
            if os.access(file, os.X_OK):
                return file
            denied = True
    raise (PermissionError(13, "permission denied") if denied else FileNotFoundError(2, "no such program"))


def _let_go_of_output() -> None:
    """The reader of the outputs sees their end when the tool's processes are gone, not when this one is."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def _watch(pid: int, job: dict[str, Any], wake: int, orders: int) -> tuple[int, str]:
    """Wait for the tool to end, by itself or because its time is over, or it is not wanted."""
    deadline, why = time.monotonic() + job["seconds"], "exited"
    census = processes.Census(job["processes"])
    while True:
        ended = processes.reap()
        if pid in ended:
            return ended[pid], why
        if census.crowded():
            why = "processes"
            processes.hold_all()
            processes.send(pid, signal.SIGKILL)
        left = max(0.0, deadline - time.monotonic())
        count = census.left()
        ready, _, _ = select.select([wake, orders], [], [], left if count is None else min(left, count))
        if orders in ready:
            return _ended(pid, job["grace_seconds"], wake), "stopped"
        if not ready and time.monotonic() >= deadline:
            return _ended(pid, job["grace_seconds"], wake), "timeout"
        processes.drain(wake)


def _ended(pid: int, grace: float, wake: int) -> int:
    """Status of a tool that is asked to end, and made to if it does not."""
    deadline = time.monotonic() + grace
    processes.send_group(pid, signal.SIGTERM)
    while pid not in (ended := processes.reap()):
        left = deadline - time.monotonic()
        if left <= 0:
            processes.send(pid, signal.SIGKILL)
            return os.waitpid(pid, 0)[1]
        processes.wait(wake, left)
    return ended[pid]


def _tell(report: int, facts: dict[str, Any]) -> None:
    # Nobody may be there any more to read it; what was left is ended all the same.
    with contextlib.suppress(BrokenPipeError):
        os.write(report, json.dumps(facts).encode() + b"\n")
