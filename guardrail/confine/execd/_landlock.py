"""Landlock: an allow-list of files, ports and signals that the kernel keeps without races.

What it does not hold, at any version: times, modes, owners and attributes of files, and other names of a file that lie
beneath a root. That is what the supervisor is for.
"""

from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import dataclass
from typing import Final

from guardrail.confine.execd._kernel import LIBC, call, no_new_privileges
from guardrail.confine.execd._syscalls import machine

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE, MAKE_CHAR, MAKE_DIR = (1 << i for i in range(8))
MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM, REFER, TRUNCATE, IOCTL_DEV = (1 << i for i in range(8, 16))
BIND_TCP, CONNECT_TCP = 1, 2
ABSTRACT_SOCKETS, SIGNALS = 1, 2

ALL_FILES: Final = (1 << 16) - 1
READ: Final = EXECUTE | READ_FILE | READ_DIR
WRITE: Final = ALL_FILES & ~(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV)
SOCKETS: Final = MAKE_SOCK | REMOVE_FILE | READ_DIR
"""For a directory in which a server makes the socket that it is reached by, and nothing that holds bytes."""

ON_A_FILE: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""The rights that a rule on something other than a directory can carry."""

FILE_RIGHTS: Final = {0: 0, 1: 13, 2: 14, 3: 15, 4: 15}
"""How many of the sixteen rights on files a version knows; from 5 on all."""

NET_SINCE: Final = 4
SCOPES_SINCE: Final = 6
_VERSION: Final = 1


def version() -> int:
    """The ABI that the kernel has, 0 if it has no Landlock or it is switched off."""
    found: int = LIBC.syscall(machine().numbers["landlock_create_ruleset"], None, ctypes.c_size_t(0), _VERSION)
    return max(0, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """What a ruleset forbids unless a rule allows it.

    Args:
        files: rights on files.
        net: rights on TCP ports.
        scopes: what may not reach out of the domain.
    """

    files: int = ALL_FILES
    net: int = BIND_TCP | CONNECT_TCP
    scopes: int = ABSTRACT_SOCKETS | SIGNALS

    def known_to(self, abi: int) -> Handled:
        """The part that a version can hold."""
        return Handled(
            files=self.files & ((1 << FILE_RIGHTS.get(abi, 16)) - 1),
            net=self.net if abi >= NET_SINCE else 0,
            scopes=self.scopes if abi >= SCOPES_SINCE else 0,
        )

    def packed(self, abi: int) -> bytes:
        """Struct landlock_ruleset_attr, as long as a version knows it: a longer one is E2BIG."""
        size = 24 if abi >= SCOPES_SINCE else 16 if abi >= NET_SINCE else 8
        return struct.pack("=QQQ", self.files, self.net, self.scopes)[:size]


def lacking(abi: int) -> tuple[str, ...]:
    """What a version cannot hold, in words for a report."""
    if abi <= 0:
        return ("landlock",)
    found = {
        "landlock:refer": abi < 2,
        "landlock:truncate": abi < 3,
        "landlock:net": abi < NET_SINCE,
        "landlock:device-ioctl": abi < 5,
        "landlock:scope": abi < SCOPES_SINCE,
    }
    return tuple(name for name, missing in found.items() if missing)


class Ruleset:
    """Rules being gathered, until a thread takes them on.

    Args:
        handled: what is forbidden unless allowed.
        abi: the version to use, this kernel's by default.

    Raises:
        OSError: if the kernel takes no ruleset.
    """

    def __init__(self, handled: Handled | None = None, abi: int | None = None) -> None:
        self._abi = version() if abi is None else abi
        self._handled = (handled or Handled()).known_to(self._abi)
        attr = self._handled.packed(self._abi)
        self._fd = call("landlock_create_ruleset", attr, ctypes.c_size_t(len(attr)), 0)

    def allow(self, fd: int, rights: int) -> None:
        """Allow so much beneath what a descriptor holds. Rules follow the path that is walked, so another name is not
        covered.

        Raises:
            OSError: if the kernel does not take the rule.
        """
        if rights & self._handled.files:
            call("landlock_add_rule", self._fd, 1, struct.pack("=Qi", rights & self._handled.files, fd), 0)

    def allow_port(self, port: int, rights: int) -> None:
        """Allow a TCP port; nothing to do where ports are not held."""
        if rights & self._handled.net:
            call("landlock_add_rule", self._fd, 2, struct.pack("=QQ", rights & self._handled.net, port), 0)

    def enter(self) -> None:
        """Hold the calling thread, for good, and all that it starts."""
        no_new_privileges()
        call("landlock_restrict_self", self._fd, 0)

    def close(self) -> None:
        """Let go of the rules; who entered them stays held."""
        os.close(self._fd)
