"""From a trapped call to a plan: arguments copied once, objects pinned, and what is to be done with the pins.

INVARIANT: an act is a closure over pins and copied values; nothing of the tool is looked at again, so what was
judged is what happens. Not concerned with whether it may happen: `_judge` is.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from guardrail.confine.execd import _syscalls as calls
from guardrail.confine.execd._judge import Found
from guardrail.confine.execd._kernel import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_REMOVEDIR,
    AT_SYMLINK_FOLLOW,
    AT_SYMLINK_NOFOLLOW,
    Memory,
    call,
    held,
    signed,
)
from guardrail.confine.execd._pins import again, entry, is_link, pin, seen
from guardrail.confine.execd._seccomp import FSSETXATTR, WRITE_INTENT

MODE_BITS: Final = 0o7777
LOOK_AND_GO: Final = 0o555
UTIME_NOW: Final = 0x3FFFFFFF
UTIME_OMIT: Final = 0x3FFFFFFE

RENAME_NOREPLACE: Final = 1
"""Of renameat2(2): nothing is at the new name."""

MAX_MASKS: Final = 256
"""Most threads whose umask is remembered; it is forgotten whenever one of them sets another."""

MAX_XATTR_NAME_BYTES: Final = 256
"""Longest name of an extended attribute, in bytes, with its NUL."""

_O_TMPFILE: Final = os.O_TMPFILE & ~os.O_DIRECTORY


class Again(Exception):
    """The kernel may carry the call out itself: a register alone decides what it can do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trapped:
    """One trapped call.

    Args:
        ident: its number, for the answer.
        pid: the thread that made it.
        name: its name.
        args: its registers.
    """

    ident: int
    pid: int
    name: str
    args: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class Plan:
    """What a call would do, ready to be done.

    Args:
        op: as the effect vocabulary has it.
        path: as the tool wrote it.
        objects: what it is done to.
        act: does it and gives the value to answer, or nothing if the answer is a descriptor and has gone out.
        fds: pins to close afterwards.
        entry: whether names are moved or removed, or come to lead elsewhere, or a directory is closed.
        blocks: whether it may wait for somebody, so that it needs a thread of its own.
        times: for an explicit time: what is set, and what was.
        words: a command that does the same, for a person to judge; None where none does.
        same: whether the names still lead to what they led to; what is pinned by itself cannot be anything else.
    """

    op: str
    path: bytes
    objects: tuple[Found, ...]
    act: Callable[[], int | None]
    fds: list[int] = field(default_factory=list[int])
    entry: bool = False
    blocks: bool = False
    times: dict[str, Any] | None = None
    words: tuple[str, ...] | None = None
    same: Callable[[], bool] = lambda: True


class Planner:
    """Makes plans of calls; for one thread alone.

    Args:
        give: puts a descriptor into the tool as the answer to a call, and closes it here.
    """

    def __init__(self, give: Callable[[Trapped, int, int], None]) -> None:
        self._give = give
        self._masks: dict[int, int] = {}
        self.memory = Memory()

    def forget_masks(self) -> None:
        """Somebody sets another umask."""
        self._masks.clear()

    def _umask(self, pid: int) -> int:
        """The tool's, which takes long to ask for; ours is 0, so that it alone applies."""
        if (mask := self._masks.get(pid)) is None:
            if len(self._masks) >= MAX_MASKS:  # long before a number is used again
                self._masks.clear()
            mask = self._masks[pid] = _umask(pid)
        return mask

    def plan(self, trapped: Trapped) -> Plan:
        """The plan of a call.

        Raises:
            OSError: as the call fails.
            Again: if the kernel may carry it out.
        """
        name = trapped.name
        if name in calls.OPENS:
            return self._open(trapped)
        if name in calls.RENAMES or name in calls.LINKS:
            return self._two_names(trapped)
        if name in calls.REMOVES:
            return self._remove(trapped)
        if name in calls.MAKES:
            return self._make(trapped)
        return self._attributes(trapped)

    # ── opening ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self, trapped: Trapped) -> Plan:
        dirfd, at, flags, mode = self._open_args(trapped)
        if flags & os.O_PATH:
            # The flag is a register; such a descriptor gives no data, and what it is used for is judged by itself.
            raise Again
        path = self.memory.text(trapped.pid, at)
        if path == b"/dev/tty":
            raise OSError(errno.ENXIO, "no terminal")
        try:
            fd, real = pin(trapped.pid, dirfd, path, follow=not flags & os.O_NOFOLLOW)
        except FileNotFoundError:
            if not flags & os.O_CREAT or path.endswith(b"/"):
                raise
            return self._create(trapped, dirfd, path, flags, mode)
        try:
            return self._reopen(trapped, fd, real, path, flags, mode)
        except BaseException:
            os.close(fd)
            raise

    def _open_args(self, trapped: Trapped) -> tuple[int, int, int, int]:
        a = trapped.args
        if trapped.name == "open":
            return AT_FDCWD, a[0], a[1] & 0xFFFFFFFF, a[2]
        if trapped.name == "creat":
            return AT_FDCWD, a[0], os.O_CREAT | os.O_WRONLY | os.O_TRUNC, a[1]
        if trapped.name == "openat":
            return signed(a[0]), a[1], a[2] & 0xFFFFFFFF, a[3]
        size = struct.calcsize("=QQQ")
        if a[3] != size:
            raise OSError(errno.ENOSYS, "another struct open_how")
        flags, mode, resolve = struct.unpack("=QQQ", self.memory.read(trapped.pid, a[2], size))
        if resolve or flags & os.O_PATH or flags >> 32:
            raise OSError(errno.ENOSYS, "callers fall back to openat")
        return signed(a[0]), a[1], flags, mode

    def _create(self, trapped: Trapped, dirfd: int, path: bytes, flags: int, mode: int) -> Plan:
        parent, leaf, found = entry(trapped.pid, dirfd, path)
        granted = mode & MODE_BITS & ~self._umask(trapped.pid)

        def act() -> None:
            # Whoever put a link there in the meantime gets ELOOP.
            self._give(trapped, os.open(leaf, flags | os.O_NOFOLLOW | os.O_CLOEXEC, granted, dir_fd=parent), flags)

        return Plan(op="create", path=path, objects=(found,), act=act, fds=[parent])

    def _reopen(self, trapped: Trapped, fd: int, real: bytes, path: bytes, flags: int, mode: int) -> Plan:
        found, status = seen(fd, real)
        if flags & os.O_CREAT and flags & os.O_EXCL:
            raise OSError(errno.EEXIST, "it is there")
        if is_link(status):
            raise OSError(errno.ELOOP, "a link")
        nameless = flags & _O_TMPFILE
        granted = mode & MODE_BITS & ~self._umask(trapped.pid) if nameless else 0
        again = (flags if nameless else flags & ~(os.O_CREAT | os.O_EXCL)) & ~os.O_NOFOLLOW
        again |= os.O_CLOEXEC | os.O_NOCTTY

        def act() -> None:
            self._give(trapped, os.open(held(fd), again, granted), flags)

        op = "create" if nameless else "write" if flags & (WRITE_INTENT & ~os.O_CREAT) else "read"
        return Plan(op=op, path=path, objects=(found,), act=act, fds=[fd], blocks=stat.S_ISFIFO(status.st_mode))

    # ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _two_names(self, trapped: Trapped) -> Plan:
        a, pid = trapped.args, trapped.pid
        if trapped.name in {"rename", "link"}:
            old, new, flags = (AT_FDCWD, a[0]), (AT_FDCWD, a[1]), 0
        else:
            old, new = (signed(a[0]), a[1]), (signed(a[2]), a[3])
            flags = 0 if trapped.name == "renameat" else a[4] & 0xFFFFFFFF
        old_path, new_path = self.memory.text(pid, old[1]), self.memory.text(pid, new[1])
        moves = trapped.name in calls.RENAMES
        if not moves and flags & (AT_EMPTY_PATH | AT_SYMLINK_FOLLOW):
            one, real = pin(pid, old[0], old_path)
            first, source, flags = seen(one, real)[0], (AT_FDCWD, held(one)), AT_SYMLINK_FOLLOW
        else:
            one, leaf, first = entry(pid, old[0], old_path)
            source = one, leaf
        try:
            two, leaf, second = entry(pid, new[0], new_path)
        except BaseException:
            os.close(one)
            raise
        name, last = ("renameat2" if moves else "linkat"), leaf
        named = source[0] == one
        plain = named and not (flags & ~RENAME_NOREPLACE if moves else flags)
        return Plan(
            op="rename" if moves else "link",
            path=old_path + b" -> " + new_path,
            objects=(first, second),
            act=lambda: call(name, *source, two, last, flags),
            fds=[one, two],
            entry=True,
            words=("mv" if moves else "ln", "-T", "--", first.real, second.real) if plain else None,
            same=lambda: (not named or again(*source) == first) and again(two, last) == second,
        )

    def _remove(self, trapped: Trapped) -> Plan:
        a = trapped.args
        if trapped.name == "unlinkat":
            dirfd, at, flags = signed(a[0]), a[1], a[2] & 0xFFFFFFFF
        else:
            dirfd, at, flags = AT_FDCWD, a[0], AT_REMOVEDIR if trapped.name == "rmdir" else 0
        path = self.memory.text(trapped.pid, at)
        parent, leaf, found = entry(trapped.pid, dirfd, path)
        return Plan(
            op="delete",
            path=path,
            objects=(found,),
            act=lambda: call("unlinkat", parent, leaf, flags),
            fds=[parent],
            entry=True,
            words=("rmdir" if flags & AT_REMOVEDIR else "rm", "--", found.real),
            same=lambda: again(parent, leaf) == found,
        )

    def _make(self, trapped: Trapped) -> Plan:
        args, name = list(trapped.args), trapped.name
        target = self.memory.text(trapped.pid, args.pop(0)) if name.startswith("symlink") else b""
        dirfd = signed(args.pop(0)) if name.endswith("at") else AT_FDCWD
        path = self.memory.text(trapped.pid, args.pop(0))
        parent, leaf, found = entry(trapped.pid, dirfd, path)
        keep = ~self._umask(trapped.pid)
        act: Callable[[], int]
        if name.startswith("symlink"):
            act = lambda: call("symlinkat", target, parent, leaf)  # noqa: E731 - one of three
        elif name.startswith("mkdir"):
            act = lambda: call("mkdirat", parent, leaf, args[0] & MODE_BITS & keep)  # noqa: E731
        else:
            act = lambda: call("mknodat", parent, leaf, args[0] & (keep | 0o170000), args[1])  # noqa: E731
        # A link above a protected name that is not there yet decides where that will lie.
        above = name.startswith("symlink")
        return Plan(op="create", path=path, objects=(found,), act=act, fds=[parent], entry=above)

    # ── what is written about a file and not into it ──────────────────────────────────────────────────────────────────

    def _attributes(self, trapped: Trapped) -> Plan:
        name, a = trapped.name, trapped.args
        path, rest = b"", a[1:]
        if name in calls.ON_DESCRIPTORS or name == "ioctl":
            fd, real = pin(trapped.pid, signed(a[0]), b"")
        else:
            at = name.endswith("at") or name == "fchmodat2"
            dirfd, where, rest = (signed(a[0]), a[1], a[2:]) if at else (AT_FDCWD, a[0], a[1:])
            path = self.memory.text(trapped.pid, where) if where else b""
            flags = rest[{"fchownat": 2, "utimensat": 1, "fchmodat2": 1}[name]] if name in _FLAGGED else 0
            follow = not (flags & AT_SYMLINK_NOFOLLOW or name in {"lchown", "lsetxattr", "lremovexattr"})
            if not path and where and not flags & AT_EMPTY_PATH:
                raise OSError(errno.ENOENT, "empty path")
            fd, real = pin(trapped.pid, dirfd, path, follow=follow)
        try:
            found, status = seen(fd, real)
            op, times = "set_security", None
            if name == "truncate":
                op = "truncate"
            elif name in calls.TIMES:
                op, times = "set_times", self._times(trapped.pid, name, rest[0])
            act = self._attribute_act(trapped, fd, rest, status, times)
            said = _explicit(times, status)
            # Who closes a directory takes away what lies in it; who opens it wider does not.
            closes = op == "set_security" and stat.S_ISDIR(status.st_mode) and not _widens(name, rest, status)
        except BaseException:
            os.close(fd)
            raise
        words = _words(name, rest, said, found.real)
        return Plan(op=op, path=path, objects=(found,), act=act, fds=[fd], entry=closes, times=said, words=words)

    def _attribute_act(
        self, trapped: Trapped, fd: int, rest: tuple[int, ...], status: os.stat_result, times: tuple[int, ...] | None
    ) -> Callable[[], int]:
        name = trapped.name
        if name == "truncate":
            size = rest[0]
            return lambda: call("truncate", held(fd), ctypes.c_long(size))
        if name in calls.TIMES:
            packed = None if times is None else struct.pack("=4q", *times)
            return lambda: call("utimensat", fd, b"", packed, AT_EMPTY_PATH)
        if name in calls.MODES:
            if is_link(status):
                raise OSError(errno.EOPNOTSUPP, "a link has no mode")
            return lambda: call("fchmodat", AT_FDCWD, held(fd), rest[0] & MODE_BITS)
        if name in calls.OWNERS:
            owner, group = rest[0] & 0xFFFFFFFF, rest[1] & 0xFFFFFFFF
            return lambda: call("fchownat", fd, b"", owner, group, AT_EMPTY_PATH)
        if name in calls.XATTRS:
            return self._xattr_act(trapped, fd, rest)
        command = rest[0] & 0xFFFFFFFF
        data = self.memory.read(trapped.pid, rest[1], 28 if command == FSSETXATTR else 4)
        return lambda: _flags(fd, command, data)

    def _xattr_act(self, trapped: Trapped, fd: int, rest: tuple[int, ...]) -> Callable[[], int]:
        key = self.memory.text(trapped.pid, rest[0], MAX_XATTR_NAME_BYTES)
        if "remove" in trapped.name:
            return lambda: call("removexattr", held(fd), key)
        value = self.memory.read(trapped.pid, rest[1], rest[2]) if rest[2] else b""
        return lambda: call("setxattr", held(fd), key, value, len(value), rest[3])

    def _times(self, pid: int, name: str, at: int) -> tuple[int, ...] | None:
        """What is set, as utimensat has it; nothing where it is now."""
        if not at:
            return None
        if name == "utime":
            access, change = struct.unpack("=2q", self.memory.read(pid, at, 16))
            return access, 0, change, 0
        first, part, second, rest = struct.unpack("=4q", self.memory.read(pid, at, 32))
        if name == "utimensat":
            return first, part, second, rest
        return first, part * 1000, second, rest * 1000


_FLAGGED: Final = frozenset({"fchownat", "utimensat", "fchmodat2"})


def _widens(name: str, rest: tuple[int, ...], status: os.stat_result) -> bool:
    """Whether a mode is set in which everybody may look and go where they might before."""
    return name in calls.MODES and not status.st_mode & ~rest[0] & LOOK_AND_GO


def _words(name: str, rest: tuple[int, ...], times: dict[str, Any] | None, real: str) -> tuple[str, ...] | None:
    """A command that does the same to a file that lies somewhere."""
    if not real.startswith("/"):
        return None
    if name == "truncate":
        return "truncate", "-s", str(rest[0]), "--", real
    if name in calls.MODES:
        return "chmod", f"{rest[0] & MODE_BITS:o}", "--", real
    if times is not None:
        return "touch", "-d", f"@{times['mtime']}", "--", real
    return None


def _explicit(times: tuple[int, ...] | None, status: os.stat_result) -> dict[str, Any] | None:
    if times is None or times[3] in {UTIME_NOW, UTIME_OMIT}:
        return None
    return {"mtime": times[2], "was": int(status.st_mtime), "backdated": times[2] < status.st_ctime - 1}


def _flags(pinned: int, command: int, data: bytes) -> int:
    fd = os.open(held(pinned), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, command, data)
    finally:
        os.close(fd)
    return 0


def _umask(pid: int) -> int:
    with open(f"/proc/{pid}/status", "rb") as file:
        return next((int(line.split()[1], 8) for line in file if line.startswith(b"Umask:")), 0o022)
