"""The few calls of the C library that Python has no name for."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Any, Final

from guardrail.confine.execd import _syscalls

LIBC: Final = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long

PR_SET_DUMPABLE: Final = 4
PR_SET_NO_NEW_PRIVS: Final = 38
"""From linux/prctl.h."""

AT_FDCWD: Final = -100
AT_SYMLINK_NOFOLLOW: Final = 0x100
AT_REMOVEDIR: Final = 0x200
AT_SYMLINK_FOLLOW: Final = 0x400
AT_EMPTY_PATH: Final = 0x1000

MAX_PATH_BYTES: Final = 4096
"""Longest path that is read from a tool, in bytes, as the kernel has it."""

MAX_READ_BYTES: Final = 64 * 1024
"""Most that is read from a tool at once, in bytes: the longest extended attribute."""

_PAGE: Final = 4096
_FIRST_READ: Final = 256
_CAPABILITY_VERSION: Final = 0x20080522


def check(value: int, what: str) -> int:
    """The value, or the error that it stands for.

    Raises:
        OSError: if it is negative.
    """
    if value < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return value


def call(name: str, *args: Any) -> int:
    """One system call by its name.

    Raises:
        OSError: as the call fails.
    """
    return check(LIBC.syscall(_syscalls.machine().numbers[name], *args), name)


def prctl(option: int, value: int) -> None:
    """Set a property of this thread or process.

    Raises:
        OSError: if the kernel refuses.
    """
    check(LIBC.prctl(option, value, 0, 0, 0), "prctl")


def no_new_privileges() -> None:
    """Nothing that this thread starts gains anything by being started."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """Take every capability from the calling thread, for good where it has no_new_privs too.

    A tool with CAP_SYS_PTRACE, CAP_PERFMON or CAP_SYS_ADMIN sees processes in spite of Landlock.
    """
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    call("capset", header, bytes(24))


class _Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


_READ: Final = LIBC.process_vm_readv
_READ.restype = ctypes.c_ssize_t
_READ.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]


class Memory:
    """Reads the memory of a tool; for one thread alone.

    INVARIANT: each argument is read once, and what was read is what is judged and acted on.
    """

    def __init__(self) -> None:
        self._local = _Part(0, 0)
        self._remote = _Part(0, 0)
        self._enlarge(_PAGE)

    def read(self, pid: int, at: int, size: int) -> bytes:
        """So many bytes.

        Raises:
            OSError: EFAULT if not all of them are there, E2BIG if they are too many, EPERM if it may not be read.
        """
        if size > MAX_READ_BYTES:
            raise OSError(errno.E2BIG, "too much to read")
        if size > len(self._view):
            self._enlarge(MAX_READ_BYTES)
        self._remote.base, self._remote.len, self._local.len = at, size, size
        local, remote = ctypes.addressof(self._local), ctypes.addressof(self._remote)
        got = _READ(pid, local, 1, remote, 1, 0)
        if got < size:
            raise OSError(ctypes.get_errno() if got < 0 else errno.EFAULT, "cannot read the memory of the tool")
        return bytes(self._view[:got])

    def _enlarge(self, size: int) -> None:
        """Room for so much; most that is read are names, and few sessions ever read anything longer than a page."""
        self._buffer = ctypes.create_string_buffer(size)
        self._view = memoryview(self._buffer).cast("B")
        self._local.base = ctypes.addressof(self._buffer)

    def text(self, pid: int, at: int, limit: int = MAX_PATH_BYTES) -> bytes:
        """A text up to its NUL.

        Raises:
            OSError: as `read`; ENAMETOOLONG if there is no NUL in so many bytes.
        """
        out = b""
        while len(out) < limit:
            # Never across the end of a page, after which there may be nothing.
            size = min(_PAGE if out else _FIRST_READ, _PAGE - (at & (_PAGE - 1)))
            part = self.read(pid, at, size)
            if (end := part.find(0)) >= 0:
                return out + part[:end]
            out += part
            at += size
        raise OSError(errno.ENAMETOOLONG, "too long")


def held(fd: int) -> bytes:
    """The name of what a descriptor of this process holds."""
    return b"/proc/self/fd/%d" % fd


def signed(value: int) -> int:
    """A register as the `int` that the kernel takes it for."""
    value &= 0xFFFFFFFF
    return value - 0x100000000 if value & 0x80000000 else value
