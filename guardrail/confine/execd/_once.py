"""One tool, confined, in place of itself: `_boot.py once ORDER ACCOUNT PROGRAM ARG…`.

For whoever starts tools in its own way: this process stands where the tool would, with its three descriptors, and ends
as the tool does. If it is killed the tool falls to whoever watches it, and what the tool tries is denied.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import stat
import sys
import time
from dataclasses import replace
from typing import Any, Final, cast

from guardrail.confine.execd import _processes as processes
from guardrail.confine.execd._asks import Asks
from guardrail.confine.execd._changes import changes
from guardrail.confine.execd._host import holdable, host, refusal
from guardrail.confine.execd._orders import Mode, Profile, ProtectedSet
from guardrail.confine.execd._overlay import NoTrial, lay
from guardrail.confine.execd._wire import unpack
from guardrail.confine.execd._worker import Events, session_of

CANNOT: Final = 126
"""Exit code for a tool that cannot be confined or started, as a shell has it."""

ABSENT: Final = 127
"""Exit code for a program that is not there."""


def main(order: str, account: str, *argv: str) -> int:
    """Run the tool, write what is to be told of it, and end as it did.

    Args:
        order: file with the profile, the protected set, the tool's variables, what has to be in force, where people are
            asked, and what is only tried.
        account: file that is made for the account.
        argv: program and arguments.
    """
    began = time.time()
    fd = os.open(order, os.O_RDONLY | os.O_CLOEXEC)
    given = unpack(fd)
    os.close(fd)
    # INVARIANT: opened before anything is mounted over it, so that a trial does not keep its own account.
    place = os.open(os.path.dirname(account), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    trial, why = None, None
    try:
        # A namespace of users can only be entered with one thread, and looking at the host takes another.
        trial = None if given["trial"] is None else _Trial(given["trial"], began)
    except (NoTrial, OSError) as error:
        why = str(error)
    told: dict[str, Any] = {"host": host(), "began": began, "events": [], "ended": None}
    try:
        code = _run(given, list(argv), told, trial) if why is None else _cannot(told, why)
    finally:
        _write(place, os.path.basename(account), told)
    if code < 0:
        with contextlib.suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)  # not for those that nobody can change
        os.kill(os.getpid(), -code)
    # The supervisor's threads are in the middle of their work, and the interpreter must not wait for them.
    sys.stdout.flush()
    os._exit(code if code >= 0 else 128 - code)


def _run(given: dict[str, Any], argv: list[str], told: dict[str, Any], trial: _Trial | None) -> int:
    profile = Profile.from_plain(given["profile"])
    if (why := refusal(told["host"], profile.mode, required=given["required"])) is not None:
        return _cannot(told, why)
    profile = replace(profile, mode=cast("Mode", holdable(told["host"], profile.mode)[0]))
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
    ending = _Ending(tool.pid, given["grace_seconds"], processes.Census(profile.processes))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ending)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)  # their other ends see the tool's end, not ours
    status = ending.wait(wake, asks)
    tool.returncode = status
    strays, survivors = processes.end_all()
    if asks is not None:
        asks.close()
    told["events"] = events.take()
    if trial is not None:
        told["trial"] = trial.account(survivors)
    told["ended"] = {
        "status": status,
        "why": ending.why,
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


class _Trial:
    """The directories on trial.

    Args:
        given: which they are, and directories for what is written and for what is kept of it.
        began: when, in seconds since 1970.

    Raises:
        NoTrial: if this host does not let it, or what the tool is given leads around it.
        OSError: if one of them cannot be opened.
    """

    def __init__(self, given: dict[str, Any], began: float) -> None:
        if stat.S_ISREG(os.fstat(0).st_mode) and fcntl.fcntl(0, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
            raise NoTrial("its standard input is a file that it could write to, and no copy of it")
        self._stage = os.open(given["stage"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._began = began
        self._layers = lay(given["roots"], given["upper"])

    def account(self, survivors: int) -> dict[str, Any]:
        """What was changed, once the tool is gone; or why nobody knows."""
        if survivors:
            return {"failed": "something of the tool runs still"}
        try:
            found, more = changes(self._layers, self._stage, self._began)
        except OSError as error:
            return {"failed": str(error)}
        return {"changes": found, "more": more}


class _Ending:
    """Passes signals on to the tool, and ends it itself where it does not heed SIGTERM, so that its end is told.

    Args:
        pid: the tool.
        grace: how long it may take, in seconds.
        census: counts what it has running.
    """

    def __init__(self, pid: int, grace: float, census: processes.Census) -> None:
        self.why = "exited"
        self._pid = pid
        self._grace = grace
        self._census = census
        self._deadline: float | None = None

    def __call__(self, number: int, _frame: object) -> None:
        """A signal that was meant for the tool."""
        processes.send_group(self._pid, number)
        if number == signal.SIGTERM and self._deadline is None:
            self._deadline = time.monotonic() + self._grace

    def wait(self, wake: int, asks: Asks | None) -> int:
        """Status of the tool, once it has ended; until then what people say about its calls is carried out."""
        while self._pid not in (ended := processes.reap()):
            left = None if self._deadline is None else self._deadline - time.monotonic()
            if left is not None and left <= 0:
                processes.send(self._pid, signal.SIGKILL)
                self._deadline = left = None
            if self._census.crowded():
                self.why = "processes"
                processes.hold_all()
                processes.send(self._pid, signal.SIGKILL)
            _heard(wake, asks, min((one for one in (left, self._census.left()) if one is not None), default=None))
        return ended[self._pid]


def _heard(wake: int, asks: Asks | None, seconds: float | None) -> None:
    """Wait for a signal or for a word of the guard, at most so long, and until the next question is over."""
    if asks is None or asks.fileno() < 0:
        processes.wait(wake, seconds)
        return
    fd, times = asks.fileno(), [one for one in (seconds, asks.left()) if one is not None]
    ready, _, _ = select.select([wake, fd], [], [], min(times, default=None))
    if wake in ready:
        processes.drain(wake)
    if fd in ready:
        asks.hear()
    asks.expire()


def _cannot(told: dict[str, Any], why: str) -> int:
    told["refused"] = why
    os.write(2, f"guardrail: the tool cannot be confined: {why}\n".encode())
    return CANNOT


def _write(place: int, name: str, told: dict[str, Any]) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=place)
    with open(fd, "w", encoding="utf-8") as file:
        json.dump(told, file)


def _noticed(_number: int, _frame: object) -> None:
    """A handler is needed for the wake-up descriptor to be written to."""
