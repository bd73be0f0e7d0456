"""Calls that are about others: whose turn it is, and who is watched."""

from __future__ import annotations

import os
from typing import Final

from guardrail.confine.execd import _syscalls as calls
from guardrail.confine.execd._judge import Found
from guardrail.confine.execd._kernel import AT_FDCWD, Memory, call, held, signed
from guardrail.confine.execd._orders import Profile, ProtectedSet, beneath
from guardrail.confine.execd._pins import pin, seen
from guardrail.confine.execd._plans import Again, Plan, Trapped
from guardrail.confine.execd._sockets import Refused, copied

IN_DONT_FOLLOW: Final = 0x02000000
"""Of inotify_add_watch(2): a link at the end of a path is watched itself."""


def let_schedule(trapped: Trapped) -> Plan:
    """Have the kernel schedule what the tool started.

    Raises:
        Again: for a process inside; its number is a register.
        Refused: for any other.
    """
    pid = signed(trapped.args[1 if trapped.name in calls.RANK_PROCESSES else 0])
    try:
        # Where a process is can be read by who could trace it: from here, whatever is in the tool's domain.
        os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        raise Refused(f"process:{pid}", op="signal", why="outside") from None
    raise Again


def plan_watch(trapped: Trapped, memory: Memory, profile: Profile, protected: ProtectedSet) -> Plan:
    """The plan of an inotify_add_watch(2), on a copy of the tool's watch: who sees when weights are opened knows when
    somebody looks at them.

    Raises:
        Refused: for what the session may not read, and for a directory in which something of the kind lies.
        OSError: as the call fails.
    """
    path = memory.text(trapped.pid, trapped.args[1])
    mask = trapped.args[2] & 0xFFFFFFFF
    fd, real = pin(trapped.pid, AT_FDCWD, path, follow=not mask & IN_DONT_FOLLOW)
    found = seen(fd, real)[0]
    if not _may_watch(found, profile, protected):
        os.close(fd)
        raise Refused(found.real, op="read", why="outside")

    def act() -> int:
        watch = copied(trapped)
        try:
            return call("inotify_add_watch", watch, held(fd), mask & ~IN_DONT_FOLLOW)
        finally:
            os.close(watch)

    return Plan(op="read", path=path, objects=(found,), act=act, fds=[fd])


def _may_watch(found: Found, profile: Profile, protected: ProtectedSet) -> bool:
    """What is an asset is for the judge; what lies right above one tells of it too."""
    if protected.at(found.real, found.identity) is not None:
        return True
    above = any(
        os.path.dirname(root) == found.real and asset not in protected.readable and asset not in profile.reads
        for root, asset in protected.roots.items()
    )
    return not above and beneath(found.real, (*profile.read, *profile.write))
