"""Counting what a tool has running, and ending everything that it left, without anybody's help.

Who is below this process cannot leave: it is the one to whom orphans fall (`take_orphans`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
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


CENSUS_SECONDS: Final = 0.1
"""Shortest wait between two counts of what a tool has running, in seconds."""

CENSUS_SHARE: Final = 50
"""Counting takes at most one part in so many of the time: a wait is at least so many times as long as a count."""

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


class Census:
    """Says when more runs below this process than may.

    Blind spot: what is started and ends, or grows, between two counts; for that there is `keep_to`.

    Args:
        most: processes and threads that may run at one time, or 0 for no bound.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._next = time.monotonic()

    def left(self) -> float | None:
        """Seconds until the next count; None if there is none."""
        return max(0.0, self._next - time.monotonic()) if self._most else None

    def crowded(self) -> bool:
        """Whether there is more, if it is time to count."""
        began = time.monotonic()
        if not self._most or began < self._next:
            return False
        found = sum(threads for threads, _ in _tree().values())
        now = time.monotonic()
        self._next = now + max(CENSUS_SECONDS, (now - began) * CENSUS_SHARE)
        return found > self._most


def keep_to(most: int) -> None:
    """Have the kernel refuse this process, and all that it starts, more than so many further processes and threads.

    The kernel counts all of the user's: whatever runs on this host now is allowed for, so that nobody else's work takes
    from it. It never refuses root.

    Args:
        most: how many.

    Raises:
        OSError: if the kernel does not say what runs.
    """
    with open("/proc/loadavg", encoding="ascii") as file:
        here = int(file.read().split()[3].partition("/")[2])
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    bound = here + most if hard == resource.RLIM_INFINITY else min(here + most, hard)
    resource.setrlimit(resource.RLIMIT_NPROC, (bound, bound))


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
    hold_all(but)
    ended = 0
    while True:
        left = _tree(but)
        _send_to(left, signal.SIGKILL)
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
    return list(_tree(but, dead=dead))


def _tree(but: frozenset[int] = frozenset(), *, dead: bool = False) -> dict[int, tuple[int, int]]:
    """What `below` gives, each with how many threads it has and the number of its group."""
    parents: dict[int, int] = {}
    states: dict[int, bytes] = {}
    facts: dict[int, tuple[int, int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                text = file.read()
        except OSError:
            continue
        # The name, in brackets, may hold anything; state and parent stand after its last bracket.
        fields = text[text.rfind(b")") + 2 :].split(None, 18)
        pid = int(name)
        parents[pid], states[pid], facts[pid] = int(fields[1]), fields[0], (int(fields[17]), int(fields[2]))
    me = os.getpid()
    if dead:
        over = [pid for pid, parent in parents.items() if parent == me and pid not in but and states[pid] in b"ZX"]
        return {pid: facts[pid] for pid in over}
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found: dict[int, tuple[int, int]] = {}
    level = [pid for pid in children.get(me, ()) if pid not in but]
    while level:
        found |= {pid: facts[pid] for pid in level if states[pid] not in b"ZX"}
        level = [pid for parent in level for pid in children.get(parent, ())]
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


def hold_all(but: frozenset[int] = frozenset()) -> None:
    """Hold every process below this one still, so that none can outrun the killing by forking."""
    held: set[int] = set()
    for _ in range(STOP_ROUNDS):
        new = {pid: facts for pid, facts in _tree(but).items() if pid not in held}
        if not new:
            return
        _send_to(new, signal.SIGSTOP)
        held |= new.keys()


def _send_to(found: dict[int, tuple[int, int]], number: int) -> None:
    """Send a signal to processes by their groups: no fork comes between the members of one, however fast they are.

    INVARIANT: a group that is not this process's own has nobody in it but who is below: a tool is started in a session
    of its own, and no group is joined from outside of its session.
    """
    own = os.getpgid(0)
    for group in {group for _, group in found.values()} - {own}:
        send_group(group, number)
    for pid, (_, group) in found.items():
        if group == own:
            send(pid, number)


def send(pid: int, number: int) -> None:
    """Send a signal to a process, if it is still there."""
    # Another user's process, which a tool that nothing confines may start by setuid, stays, and counts as a survivor.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
