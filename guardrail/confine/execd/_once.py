"""One tool, confined, in place of itself: `_boot.py once ORDER ACCOUNT PROGRAM ARG…`.

For whoever starts tools in its own way: this process stands where the tool would, with its three descriptors, and ends
as the tool does. If it is killed the tool falls to whoever watches it, and what the tool tries is denied.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any, Final

from guardrail.confine.execd import _processes as processes
from guardrail.confine.execd._asks import Asks
from guardrail.confine.execd._orders import Profile, ProtectedSet
from guardrail.confine.execd._wire import unpack
from guardrail.confine.execd._worker import Events, session_of
from guardrail.confine.execd._zygote import host

CANNOT: Final = 126
"""Exit code for a tool that cannot be confined or started, as a shell has it."""

ABSENT: Final = 127
"""Exit code for a program that is not there."""


def main(order: str, account: str, *argv: str) -> int:
    """Run the tool, write what is to be told of it, and end as it did.

    Args:
        order: file with the profile, the protected set, the tool's variables, what has to be in force, and where people
            are asked.
        account: file that is made for the account.
        argv: program and arguments.
    """
    began = time.time()
    fd = os.open(order, os.O_RDONLY | os.O_CLOEXEC)
    given = unpack(fd)
    os.close(fd)
    told: dict[str, Any] = {"host": host(), "began": began, "events": [], "ended": None}
    try:
        code = _run(given, list(argv), told)
    finally:
        _write(account, told)
    if code < 0:
        with contextlib.suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)  # not for those that nobody can change
        os.kill(os.getpid(), -code)
    # The supervisor's threads are in the middle of their work, and the interpreter must not wait for them.
    sys.stdout.flush()
    os._exit(code if code >= 0 else 128 - code)


def _run(given: dict[str, Any], argv: list[str], told: dict[str, Any]) -> int:
    profile = Profile.from_plain(given["profile"])
    if given["required"] and told["host"]["lacking"]:
        return _cannot(told, f"this kernel cannot hold it: it lacks {', '.join(told['host']['lacking'])}")
    umask = os.umask(0)
    wake, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, _noticed)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    events = Events()
    try:
        asks = _asks(given["asks"])
        session = session_of(profile, ProtectedSet.from_plain(given["protected"]), events, asks)
        tool = session.start(argv, umask=umask, env=given["environment"])
    except FileNotFoundError:
        _cannot(told, f"cannot start `{argv[0]}`: no such program")
        return ABSENT
    except (OSError, ValueError, NotImplementedError) as error:
        return _cannot(told, str(error))
    told["mode"] = session.mode
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: processes.send_group(tool.pid, number))
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)  # their other ends see the tool's end, not ours
    status = _waited(tool.pid, wake, asks)
    tool.returncode = status
    strays, survivors = processes.end_all()
    if asks is not None:
        asks.close()
    told["events"] = events.take()
    told["ended"] = {
        "status": status,
        "why": "exited",
        "strays": strays,
        "survivors": survivors,
        "traps": session.traps,
        "events": events.total,
        "untold": events.total - events.told,
    }
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _asks(where: dict[str, Any] | None) -> Asks | None:
    if where is None:
        return None
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.connect(where["socket"])
    return Asks(channel, where["seconds"])


def _waited(pid: int, wake: int, asks: Asks | None) -> int:
    """Status of the tool; until it ends, what people say about its calls is carried out."""
    while True:
        ended = processes.reap()
        if pid in ended:
            return ended[pid]
        heard = -1 if asks is None else asks.fileno()
        waiting = [wake] if heard < 0 else [wake, heard]
        ready, _, _ = select.select(waiting, [], [], None if asks is None else asks.left())
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 4096)
        if asks is not None:
            if heard in ready:
                asks.hear()
            asks.expire()


def _cannot(told: dict[str, Any], why: str) -> int:
    told["refused"] = why
    os.write(2, f"guardrail: the tool cannot be confined: {why}\n".encode())
    return CANNOT


def _write(account: str, told: dict[str, Any]) -> None:
    with open(account, "w", encoding="utf-8") as file:
        json.dump(told, file)


def _noticed(_number: int, _frame: object) -> None:
    """A handler is needed for the wake-up descriptor to be written to."""
