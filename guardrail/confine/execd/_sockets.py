"""Connecting and listening in a tool's place, on a copy of its socket: what was judged is what it is reached by."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Final

from guardrail.confine.execd._kernel import AT_FDCWD, Memory, call, held, signed
from guardrail.confine.execd._orders import Profile
from guardrail.confine.execd._pins import pin, seen
from guardrail.confine.execd._plans import Again, Plan, Trapped

MAX_ADDRESS_BYTES: Final = 128
"""Size of struct sockaddr_storage."""


class Refused(Exception):
    """The address is not one of those that the profile has.

    Args:
        where: the address, for people.
        op: what it is wanted for.
        why: what is not allowed.
    """

    def __init__(self, where: str, *, op: str = "net_send", why: str = "address") -> None:
        super().__init__(where)
        self.where = where
        self.op = op
        self.why = why


def plan_listen(trapped: Trapped, profile: Profile) -> Plan:
    """The plan of a listen(2): the kernel gives a socket that was bound to nothing a port of its own choice.

    Raises:
        Refused: unless it was bound to a port that the profile has, or to a path, which Landlock has looked at.
        OSError: as the call fails.
    """
    if not profile.bind and not profile.has_unix:
        raise Refused("listen", op="net_recv")
    end = copied(trapped)
    try:
        where = _bound_to(end, profile)
    except BaseException:
        os.close(end)
        raise
    backlog = signed(trapped.args[1])
    return Plan(op="net_recv", path=where.encode(), objects=(), act=lambda: call("listen", end, backlog), fds=[end])


def _bound_to(end: int, profile: Profile) -> str:
    with socket.socket(fileno=os.dup(end)) as bound:
        family, name = bound.family, bound.getsockname()
    if family == socket.AF_UNIX:
        # An abstract name has no directory; it is bytes, and begins with NUL.
        where, known = f"unix:{name!r}", isinstance(name, str) and bool(name)
    else:
        where, known = f"tcp://{name[0]}:{name[1]}", name[1] in profile.bind
    if not known:
        raise Refused(where, op="net_recv")
    return where


def copies_sockets() -> bool:
    """Whether this host lets a supervisor copy a descriptor of its tool, which some pods refuse."""
    process = os.pidfd_open(os.getpid())
    try:
        os.close(call("pidfd_getfd", process, process, 0))
    except OSError:
        return False
    finally:
        os.close(process)
    return True


def plan_connect(trapped: Trapped, memory: Memory, profile: Profile, *, ports_held: bool) -> Plan:
    """The plan of a connect(2).

    Args:
        trapped: the call.
        memory: reads the tool.
        profile: which addresses there are.
        ports_held: whether Landlock keeps the ports, whatever the kernel reads the second time.

    Returns:
        The plan; its act says `Again` where the kernel may carry it out itself.

    Raises:
        Refused: for any other address.
        OSError: as the call fails.
    """
    raw = memory.read(trapped.pid, trapped.args[1], min(trapped.args[2], MAX_ADDRESS_BYTES))
    if len(raw) < 2:
        raise OSError(errno.EINVAL, "no address")
    (family,) = struct.unpack_from("=H", raw)
    if family in {socket.AF_INET, socket.AF_INET6}:
        return _internet(trapped, raw, family, profile, ports_held=ports_held)
    if family != socket.AF_UNIX:
        raise Refused(f"address family {family}")
    return _local(trapped, raw, profile)


def _internet(trapped: Trapped, raw: bytes, family: int, profile: Profile, *, ports_held: bool) -> Plan:
    if len(raw) < (16 if family == socket.AF_INET else 24):
        raise OSError(errno.EINVAL, "a short address")
    host = socket.inet_ntop(family, raw[4:8] if family == socket.AF_INET else raw[8:24])
    (port,) = struct.unpack_from("!H", raw, 2)
    where = f"tcp://{host}:{port}" if family == socket.AF_INET else f"tcp://[{host}]:{port}"
    if port not in profile.connect:
        raise Refused(where)
    if ports_held and not profile.has_unix:
        # No socket of this host exists, and Landlock holds the port: the register is all that matters.
        return Plan(op="net_send", path=where.encode(), objects=(), act=_again)
    return _on_behalf(trapped, where.encode(), raw, [])


def _local(trapped: Trapped, raw: bytes, profile: Profile) -> Plan:
    name = raw[2:].split(b"\0")[0]
    where = os.fsdecode(name) if name else "@" + os.fsdecode(raw[3:].rstrip(b"\0"))
    if not name:
        raise Refused(where)
    try:
        fd, real = pin(trapped.pid, AT_FDCWD, name)
    except OSError:
        raise Refused(where) from None
    found = seen(fd, real)[0]
    if found.real not in profile.unix:
        os.close(fd)
        raise Refused(where)
    address = struct.pack("=H", socket.AF_UNIX) + held(fd) + b"\0"
    plan = _on_behalf(trapped, name, address, [fd])
    plan.objects = (found,)
    return plan


def _on_behalf(trapped: Trapped, where: bytes, address: bytes, fds: list[int]) -> Plan:
    try:
        fds.append(copied(trapped))
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    end = fds[-1]
    return Plan(
        op="net_send",
        path=where,
        objects=(),
        act=lambda: call("connect", end, address, len(address)),
        fds=fds,
        blocks=True,
    )


def copied(trapped: Trapped) -> int:
    """A copy of the descriptor that is a call's first argument.

    Raises:
        OSError: if there is none, or this host does not let a supervisor copy it.
    """
    with open(f"/proc/{trapped.pid}/status", "rb") as file:
        leader = next(int(line.split()[1]) for line in file if line.startswith(b"Tgid:"))
    process = os.pidfd_open(leader)
    try:
        return call("pidfd_getfd", process, signed(trapped.args[0]), 0)
    finally:
        os.close(process)


def _again() -> int:
    raise Again
