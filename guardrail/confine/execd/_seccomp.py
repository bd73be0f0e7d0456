"""The filter that a tool runs under, and the kernel's interface to it.

Not concerned with what a trapped call means: `_plans` and `_judge` are.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from guardrail.confine.execd import _syscalls as calls
from guardrail.confine.execd._bpf import ALLOW, NOTIFY, Look, Rule, assemble, errno_of
from guardrail.confine.execd._kernel import LIBC, check, no_new_privileges

SETFLAGS: Final = 0x40086602
FSSETXATTR: Final = 0x401C5820
SETVERSION: Final = 0x40087602
"""ioctls that chattr and project quotas use; a file's flags are part of its security."""

TERMINAL_INPUT: Final = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: they type into a terminal on a person's behalf."""

OWNERS_OF_DESCRIPTORS: Final = (0x8901, 0x8902)
"""FIOSETOWN and SIOCSPGRP: whom the kernel sends a signal of one's choice when there is something to read."""

SET_OWNER: Final = (8, 15)
"""The same by fcntl(2): F_SETOWN and F_SETOWN_EX."""

LEASES_AND_HINTS: Final = (1024, 1026, 1036, 1038)
"""fcntl's F_SETLEASE, F_NOTIFY, F_SET_RW_HINT and F_SET_FILE_RW_HINT, which a descriptor that may only read is enough
for: who holds a lease has everybody else wait who opens the file, and who is notified knows of them."""

ABOVE_TCP: Final = (6, 31)
"""SOL_TCP and TCP_ULP: a protocol put above TCP can make a socket one that Landlock does not ask about."""

FILE_STATE: Final = (0x40086604, 0x6609, 0x40806685, 0x800C6613, 0xC0406618, 0xC0406619)
"""ioctls that change a file through a descriptor that may only read it: generation and layout (ext4), verity,
encryption, and keys being taken away."""

CLONES: Final = (0x40049409, 0x4020940D, 0xC0189436)
"""FICLONE, FICLONERANGE and FIDEDUPERANGE: a copy between two descriptors, as `cp` makes it."""

BTRFS: Final = 0x9400
"""Type of the ioctls of btrfs, which those share; a snapshot is another name of everything that lies in it."""

WRITE_INTENT: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
"""Flags of an open that can change something."""

FAST_OPEN: Final = 0x20000000
"""MSG_FASTOPEN: a send that connects."""

NAMESPACES: Final = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET."""

NEW_TIME: Final = 0x80
"""CLONE_NEWTIME; for clone(2) that bit is part of a signal's number."""

MFD_NOEXEC_SEAL: Final = 8
"""A memory file that can never be executed."""

OWN_UMASK: Final = 0x40000000
"""Marks the umask that a tool is started with, by a bit that the kernel does not look at: between vfork and exec there
is nobody to answer. A tool that uses it too is mistaken about the modes of its own new files alone."""

SET_MODE_FILTER: Final = 1
NEW_LISTENER: Final = 1 << 3
WAIT_KILLABLE_RECV: Final = 1 << 5
"""Flags of seccomp(2); the one between, 1 << 4, is TSYNC_ESRCH."""

RECV: Final = 0xC0502100
SEND: Final = 0xC0182101
ID_VALID: Final = 0x40082102
ADDFD: Final = 0x40182103
SET_FLAGS: Final = 0x40082104
"""ioctls of a listener, from linux/seccomp.h."""

NOTIFICATION: Final = struct.Struct("=QIIiIQ6Q")
RESPONSE: Final = struct.Struct("=QqiI")
ADDITION: Final = struct.Struct("=QIIII")
ID: Final = struct.Struct("=Q")
FLAG_CONTINUE: Final = 1
ADDFD_SEND: Final = 2
SYNC_WAKE_UP: Final = 1

_CWD: Final = -100 & 0xFFFFFFFF
"""AT_FDCWD: where a name starts from for who gives no directory."""

_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_STREAM, _SEQPACKET, _TYPE = 1, 5, 0xF
_TCP: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterPlan:
    """What a filter has to do.

    Args:
        notify: whether there is a supervisor at all.
        every_open: whether it sees reads too.
        named_reads: whether it sees those of a path that starts from the root or from the working directory.
        new_names: whether it sees directories, links and nodes being made.
        unix: whether sockets of this host may be made.
        listen: whether anything may be listened on, where there is no supervisor to look at what.
        shield: processes and threads that nobody may signal, limit or schedule.
        groups: process groups of which the same holds.
    """

    notify: bool
    every_open: bool = False
    named_reads: bool = False
    new_names: bool = False
    unix: bool = False
    listen: bool = False
    shield: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()


SHIELD_PLACES: Final = tuple(range(0x7FFFFF00, 0x7FFFFF05))
"""Stand for the numbers that a session shields while its filter is not its own yet; no process has such numbers."""

GROUP_PLACE: Final = 0x7FFFFF10
"""The same for its process group."""


@functools.cache
def _template(plan: FilterPlan) -> bytes:
    return program(plan)


def own_program(plan: FilterPlan) -> bytes:
    """The filter as `program` makes it, from one made before: only the shielded numbers are a session's own.

    Args:
        plan: with as many numbers to shield as there are places, and one group.
    """
    code = _template(replace(plan, shield=SHIELD_PLACES, groups=(GROUP_PLACE,)))
    group = plan.groups[0]
    places = {**dict(zip(SHIELD_PLACES, plan.shield, strict=True)), GROUP_PLACE: group, -GROUP_PLACE: -group}
    for place, number in places.items():
        code = code.replace(_compared(place), _compared(number))
    return code


def warm() -> None:
    """Make the usual templates, so that who is forked from here has them."""
    for every_open, named_reads in ((False, False), (False, True), (True, False)):
        for new_names in (False, True):
            plan = FilterPlan(notify=True, every_open=every_open, named_reads=named_reads, new_names=new_names)
            own_program(replace(plan, shield=SHIELD_PLACES, groups=(GROUP_PLACE,)))


def _compared(number: int) -> bytes:
    """The end of an instruction that compares with a number in a rule of one action: jump nowhere, or over one."""
    return struct.pack("=BBI", 0, 1, number & 0xFFFFFFFF)


def program(plan: FilterPlan, machine: calls.Machine | None = None) -> bytes:
    """The filter as the kernel takes it."""
    machine = machine or calls.machine()
    rules = {machine.numbers[name]: found for name, found in _rules(plan).items() if name in machine.numbers}
    return assemble(machine.audit, rules, newest=calls.NEWEST, x32=calls.X32_BIT, missing=errno_of(errno.ENOSYS))


def _rules(plan: FilterPlan) -> dict[str, tuple[Rule, ...]]:
    eperm, eacces, enosys = (errno_of(number) for number in (errno.EPERM, errno.EACCES, errno.ENOSYS))
    found: dict[str, tuple[Rule, ...]] = {}
    if plan.notify:
        found |= _notified(plan)
    found |= _sockets(plan, Rule(eacces))
    if not plan.notify and not plan.listen:
        found["listen"] = (Rule(eacces),)
    for name, arg in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
        found[name] = (Rule(eacces, (Look(arg, "has", FAST_OPEN),)),)
    level, option = ABOVE_TCP
    found["setsockopt"] = (Rule(eperm, (Look(1, "is", level), Look(2, "is", option))),)
    found["clone"] = (Rule(eperm, (Look(0, "has", NAMESPACES),)),)
    found["unshare"] = (Rule(eperm, (Look(0, "has", NAMESPACES | NEW_TIME),)),)
    # Code that was never a file is nothing that anybody could have judged.
    found["memfd_create"] = (Rule(enosys, (Look(1, "lacks", MFD_NOEXEC_SEAL),)),)
    found |= _naming(plan, eperm)
    found["fcntl"] = tuple(Rule(eperm, (Look(1, "is", command),)) for command in (*SET_OWNER, *LEASES_AND_HINTS))
    found["ioctl"] = (
        *found.get("ioctl", ()),
        *(Rule(eperm, (Look(1, "is", one),)) for one in (*TERMINAL_INPUT, *OWNERS_OF_DESCRIPTORS, *FILE_STATE)),
        *(Rule(ALLOW, (Look(1, "is", one),)) for one in CLONES),
        Rule(eperm, (Look(1, "is", BTRFS, 0xFF00),)),
    )
    found |= dict.fromkeys(calls.REFUSED, (Rule(eperm),))
    found |= dict.fromkeys(calls.ABSENT, (Rule(enosys),))
    return found


def _naming(plan: FilterPlan, eperm: int) -> dict[str, tuple[Rule, ...]]:
    """Calls that name a process: nobody names the executor or who is above it, nor everybody at once."""
    everybody = (*plan.shield, *(-group for group in plan.groups), *((-1,) if plan.shield else ()))
    found = {name: _refused(0, everybody, eperm) for name in calls.NAME_A_PROCESS}
    for name, user in calls.RANK_PROCESSES.items():
        found[name] = (*_refused(0, (user,), eperm), *_refused(1, (*plan.shield, *plan.groups), eperm))
    if plan.notify:
        # Nobody's turn is put off but one's own and those of what one started, which the supervisor can tell.
        for name, arg in (*((name, 0) for name in calls.SCHEDULE), *((name, 1) for name in calls.RANK_PROCESSES)):
            found[name] += (Rule(ALLOW, (Look(arg, "is", 0),)), Rule(NOTIFY))
    # A limit ends a process as well as a signal does, and Landlock has no scope for it: none but one's own.
    found["prlimit64"] = (Rule(ALLOW, (Look(0, "is", 0),)), Rule(eperm))
    return found


def _refused(arg: int, numbers: Iterable[int], action: int) -> tuple[Rule, ...]:
    return tuple(Rule(action, (Look(arg, "is", number & 0xFFFFFFFF),)) for number in numbers)


def _notified(plan: FilterPlan) -> dict[str, tuple[Rule, ...]]:
    always = (Rule(NOTIFY),)
    found: dict[str, tuple[Rule, ...]] = dict.fromkeys(
        (*calls.MUTATIONS, "connect", "listen", "openat2", "creat", "inotify_add_watch"), always
    )
    # The supervisor acts inside the tool's rules and not inside those that the tool gives itself: it is told that there
    # are none to be had, rather than that it is confined when it is not.
    found |= dict.fromkeys(("landlock_create_ruleset", "landlock_restrict_self"), (Rule(errno_of(errno.ENOSYS)),))
    found["umask"] = (Rule(ALLOW, (Look(0, "has", OWN_UMASK),)), Rule(NOTIFY))
    for name, arg, named in (("openat", 2, (Look(0, "is", _CWD),)), ("open", 1, ())):
        found[name] = always if plan.every_open else (Rule(NOTIFY, (Look(arg, "has", WRITE_INTENT),)),)
        if plan.named_reads and not plan.every_open:
            # Without O_PATH, whose descriptors give no data.
            found[name] += (Rule(NOTIFY, (*named, Look(arg, "lacks", os.O_PATH))),)
    if plan.new_names:
        found |= dict.fromkeys(calls.MAKES, always)
    found["ioctl"] = tuple(Rule(NOTIFY, (Look(1, "is", one),)) for one in (SETFLAGS, FSSETXATTR, SETVERSION))
    return found


def _sockets(plan: FilterPlan, refuse: Rule) -> dict[str, tuple[Rule, ...]]:
    """Streams of this host, TCP, and the questions that libc asks of routing; everything else goes where no rule looks.

    UDP, raw, MPTCP, SCTP and vsock are not held by Landlock, and a datagram socket of this host sends to any path
    without a connect.
    """
    stream = [Look(1, "is", kind, _TYPE) for kind in (_STREAM, _SEQPACKET)]
    # Where none is allowed the attempt itself is evidence, so the supervisor hears of it.
    unix = ALLOW if plan.unix else NOTIFY if plan.notify else refuse.action
    return {
        "socket": (
            *(Rule(unix, (Look(0, "is", _UNIX), kind)) for kind in stream),
            *(
                Rule(ALLOW, (Look(0, "is", family), stream[0], Look(2, "is", protocol)))
                for family in (_INET, _INET6)
                for protocol in (0, _TCP)
            ),
            Rule(ALLOW, (Look(0, "is", _NETLINK), Look(2, "is", 0))),
            refuse,
        ),
        "socketpair": (*(Rule(ALLOW, (Look(0, "is", _UNIX), kind)) for kind in stream), refuse),
    }


class _Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def install(code: bytes, *, listener: bool) -> int:
    """Put the calling thread, for good, and all that it starts under a filter.

    Returns:
        The listener, or 0 without one.

    Raises:
        OSError: EBUSY if an ancestor has a listener already; EINVAL or ENOSYS where the kernel has none.
    """
    buffer = ctypes.create_string_buffer(code, len(code))
    taken = _Program(len(code) // 8, ctypes.addressof(buffer))
    no_new_privileges()
    number = calls.machine().numbers["seccomp"]
    if not listener:
        return check(LIBC.syscall(number, SET_MODE_FILTER, 0, ctypes.byref(taken)), "seccomp")
    fd = -1
    for flags in (NEW_LISTENER | WAIT_KILLABLE_RECV, NEW_LISTENER):
        fd = LIBC.syscall(number, SET_MODE_FILTER, flags, ctypes.byref(taken))
        # WAIT_KILLABLE_RECV is younger than listeners are.
        if fd >= 0 or ctypes.get_errno() != errno.EINVAL:
            break
    return check(fd, "seccomp")


def listener_problem() -> str | None:
    """Why this process can have no listener, tried on a thread that is thrown away; nothing if it can."""
    found: list[str | None] = []

    def attempt() -> None:
        try:
            os.close(install(program(FilterPlan(notify=True)), listener=True))
            found.append(None)
        except (OSError, NotImplementedError) as error:
            found.append(getattr(error, "strerror", None) or str(error))

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return found[0]
