"""Ending everything that a tool left running, without anybody's help.

Who is below this process cannot leave: it is the one to whom orphans fall (`take_orphans`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from typing import Final

CLEAN_SECONDS: Final = 5.0
"""Longest time for ending what a tool left behind, in seconds; shorter than anybody waits for the account of it."""

ROUND_SECONDS: Final = 0.005
"""Wait between two rounds of it, in seconds."""

STOP_ROUNDS: Final = 50
"""Most rounds of stopping before killing: a process that is stopped cannot fork faster than it is found."""


PR_SET_CHILD_SUBREAPER: Final = 36
"""From linux/prctl.h."""


def take_orphans() -> None:
    """Be the one to whom the orphans of everything below fall.

    Raises:
        OSError: if the kernel refuses, and whatever a tool leaves behind would get away.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "orphans would fall to somebody else")


def reap() -> dict[int, int]:
    """Take in every child that has ended.

    Returns:
        Status of each, by its number.
    """
    found: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            found[pid] = status
    return found


def has_children(but: frozenset[int] = frozenset()) -> bool:
    """Whether anything is below this process, besides children that are meant to be."""
    try:
        pid = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return pid is not None or not but or bool(below(but))


def end_all(but: frozenset[int] = frozenset()) -> tuple[int, int]:
    """End whatever is below this process.

    Args:
        but: children that are meant to be there, with all below them.

    Returns:
        How many processes were ended, and how many could not be.
    """
    if not has_children(but):
        return 0, 0
    deadline = time.monotonic() + CLEAN_SECONDS
    _stop(but)
    ended = 0
    while True:
        left = below(but)
        for pid in left:
            send(pid, signal.SIGKILL)
        ended += len(reap_but(but))
        if not left or time.monotonic() > deadline:
            return ended, len(left)
        time.sleep(ROUND_SECONDS)
        ended += len(reap_but(but))


def reap_but(but: frozenset[int]) -> list[int]:
    """Take in ended children, except those that somebody else waits for."""
    if not but:
        return list(reap())
    found: list[int] = []
    for pid in below(but, dead=True):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0]:
                found.append(pid)
    return found


def below(but: frozenset[int] = frozenset(), *, dead: bool = False) -> list[int]:
    """Numbers of all processes below this one, or of its dead children."""
    parents: dict[int, int] = {}
    states: dict[int, bytes] = {}
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                text = file.read()
        except OSError:
            continue
        # The name, in brackets, may hold anything; state and parent stand after its last bracket.
        state, parent, _ = text[text.rfind(b")") + 2 :].split(None, 2)
        parents[int(name)], states[int(name)] = int(parent), state
    me = os.getpid()
    if dead:
        return [pid for pid, parent in parents.items() if parent == me and pid not in but and states[pid] in b"ZX"]
    found: list[int] = []
    level = [pid for pid, parent in parents.items() if parent == me and pid not in but]
    while level:
        found += [pid for pid in level if states[pid] not in b"ZX"]
        level = [pid for pid, parent in parents.items() if parent in level]
    return found


def send_group(pid: int, number: int) -> None:
    """Pass a signal on to a tool, which leads a group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def wait(wake: int, seconds: float | None = None) -> None:
    """Wait for a signal, by the descriptor that it writes to, at most so long."""
    if select.select([wake], [], [], seconds)[0]:
        drain(wake)


def drain(wake: int) -> None:
    """Empty the descriptor that signals write to."""
    with contextlib.suppress(BlockingIOError):
        os.read(wake, 4096)


def _stop(but: frozenset[int]) -> None:
    """Hold every process below this one still, so that none can outrun the killing by forking."""
    held: set[int] = set()
    for _ in range(STOP_ROUNDS):
        new = set(below(but)) - held
        if not new:
            return
        for pid in new:
            send(pid, signal.SIGSTOP)
        held |= new


def send(pid: int, number: int) -> None:
    """Send a signal to a process, if it is still there."""
    # Another user's process, which a tool that nothing confines may start by setuid, stays, and counts as a survivor.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
