"""From the paths that a tool wrote to descriptors that hold what they mean, as the tool would see it.

INVARIANT: a path is resolved once, and everything after works on the descriptor. A supervisor that resolves as itself
is a confused deputy, so names of "oneself" are rewritten to the tool's, links of /proc are followed nowhere else, and
nothing of the supervisor is ever what a path leads to.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
from typing import Final

from guardrail.confine.execd._judge import Found
from guardrail.confine.execd._kernel import AT_FDCWD, call, held

RESOLVE_NO_MAGICLINKS: Final = 2
"""Of openat2(2): links such as /proc/PID/fd/3 are not followed."""

_MAGIC: Final = re.compile(rb"(/proc/\d+/(?:task/\d+/)?(?:fd/\d+|cwd|root|exe))(?:/(.*))?", re.DOTALL)
_PROCESS: Final = re.compile(rb"/proc/(\d+)(?:/|$)")
_STREAMS: Final = (b"/dev/stdin", b"/dev/stdout", b"/dev/stderr")


class Ours(PermissionError):
    """A path led to what belongs to the supervisor.

    Args:
        real: where it led.
    """

    def __init__(self, real: bytes) -> None:
        super().__init__(errno.EACCES, "of the supervisor")
        self.real = real


Pin = tuple[int, bytes]
"""A descriptor, and the path of what it holds."""


def pin(pid: int, dirfd: int, path: bytes, *, follow: bool = True) -> Pin:
    """What a path means to a tool.

    Args:
        pid: the tool's thread.
        dirfd: what a relative path starts from, in the tool.
        path: as the tool wrote it; empty means `dirfd` itself.
        follow: whether a symbolic link at its end is followed.

    Raises:
        OSError: as opening it fails.
        Ours: for what belongs to the supervisor.
    """
    if not path:
        start = base(pid, dirfd)
        return start, _real(start)
    if not path.startswith(b"/"):
        start = base(pid, dirfd)
        try:
            return _not_ours(_open(start, path, follow=follow))
        finally:
            os.close(start)
    path = _own_names(pid, path)
    magic = _MAGIC.fullmatch(path)
    if magic is None or not (follow or magic[2]):
        return _not_ours(_open(AT_FDCWD, path, follow=follow))
    if _is_ours(magic[1]):
        raise Ours(magic[1])
    start = os.open(magic[1], os.O_PATH | os.O_CLOEXEC)
    if not magic[2]:
        return _not_ours(start)
    try:
        return _not_ours(_open(start, magic[2], follow=follow))
    finally:
        os.close(start)


def base(pid: int, dirfd: int) -> int:
    """What a descriptor of a tool holds, or its working directory."""
    name = f"/proc/{pid}/cwd" if dirfd == AT_FDCWD else f"/proc/{pid}/fd/{dirfd}"
    try:
        return os.open(name, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        raise OSError(errno.EBADF, "no such descriptor") from None


def entry(pid: int, dirfd: int, path: bytes) -> tuple[int, bytes, Found]:
    """The directory of a path, pinned, with the name in it and what is there now; that name is not followed.

    Raises:
        OSError: as opening the directory fails; EINVAL or ENOTEMPTY for `.` and `..`, as the kernel has it.
    """
    whole = path.rstrip(b"/") or b"/"
    head, _, leaf = whole.rpartition(b"/")
    if leaf in {b"", b".", b".."}:
        raise OSError(errno.EINVAL if leaf == b"." else errno.ENOTEMPTY if leaf else errno.ENOENT, "no name")
    parent, above = pin(pid, dirfd, (head or b"/") if whole.startswith(b"/") else (head or b"."))
    try:
        return parent, leaf, _named(parent, above, leaf)
    except BaseException:
        os.close(parent)
        raise


def again(parent: int, leaf: bytes) -> Found:
    """What a name in a pinned directory leads to now."""
    return _named(parent, os.readlink(held(parent)), leaf)


def seen(fd: int, real: bytes) -> tuple[Found, os.stat_result]:
    """What a pin holds."""
    found = os.fstat(fd)
    return Found(os.fsdecode(real), (found.st_dev, found.st_ino)), found


def is_link(found: os.stat_result) -> bool:
    """Whether a pin holds a symbolic link itself."""
    return stat.S_ISLNK(found.st_mode)


def _named(parent: int, above: bytes, leaf: bytes) -> Found:
    return Found(os.fsdecode(above).rstrip("/") + "/" + os.fsdecode(leaf), _identity(leaf, parent))


def _identity(leaf: bytes, parent: int) -> tuple[int, int] | None:
    try:
        found = os.stat(leaf, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _open(dirfd: int, path: bytes, *, follow: bool) -> int:
    flags = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    how = struct.pack("=QQQ", flags, 0, RESOLVE_NO_MAGICLINKS)
    return call("openat2", dirfd, path, how, len(how))


def _own_names(pid: int, path: bytes) -> bytes:
    """The names by which a process means itself, as names of the tool."""
    me = b"/proc/%d" % pid
    for prefix in (b"/proc/self", b"/proc/thread-self"):
        if path == prefix or path.startswith(prefix + b"/"):
            return me + path[len(prefix) :]
    if path.startswith(b"/dev/fd/"):
        return me + b"/fd/" + path[len(b"/dev/fd/") :]
    if path in _STREAMS:
        return me + b"/fd/%d" % _STREAMS.index(path)
    return path


def _not_ours(fd: int) -> Pin:
    real = _real(fd)
    if _is_ours(real):
        os.close(fd)
        raise Ours(real)
    return fd, real


def _real(fd: int) -> bytes:
    """The path of what a pin holds, which is let go of where that is longer than the kernel tells."""
    try:
        return os.readlink(held(fd))
    except BaseException:
        os.close(fd)
        raise


def _is_ours(real: bytes) -> bool:
    """INVARIANT: a thread of the supervisor counts too: /proc has a directory by its number, and never lists it."""
    found = _PROCESS.match(real)
    return found is not None and os.path.exists(b"/proc/self/task/" + found[1])
