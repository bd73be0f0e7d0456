"""Mounts: two paths may lead to one place, without a link between them.

A bind mount, or a volume that is mounted twice, gives a directory a further name that no look at the path itself tells.
The kernel's table of mounts does: each path has coordinates, the filesystem it lies on and its path there.
Source: proc_pid_mountinfo(5), looked at in 2026-11; the table can be polled, so a look costs a system call.
"""

from __future__ import annotations

import os
import re
import select
import threading
from collections.abc import Iterator
from typing import Final

import msgspec

MAX_TABLE_BYTES: Final = 4 * 1024 * 1024
"""Largest table of mounts that is read, in bytes; of a larger one nothing is known."""

_TABLE: Final = "/proc/self/mountinfo"
_OCTAL: Final = re.compile(r"\\([0-7]{3})")

Coordinates = tuple[str, str]
"""A filesystem (`major:minor`) and a path on it."""


class Mount(msgspec.Struct, frozen=True, gc=False):
    """One line of the table.

    Args:
        device: `major:minor` of the filesystem.
        root: the directory of that filesystem that is mounted.
        point: where it is mounted.
        kind: type of the filesystem.
    """

    device: str
    root: str
    point: str
    kind: str = ""


_DATED: Final = frozenset(("ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "f2fs", "bcachefs"))
"""Filesystems of this machine that give a directory a date of its own, by the kernel's clock, when a name in it
changes; of what a server or a program answers that is not known."""


_NUMBERED: Final = _DATED - {"overlay"}
"""Of those, the ones whose directories tell the inode numbers of what they name. What is mounted over a name has one
of its own, and the table tells of it."""


class Mounts:
    """The table of mounts, read again when the kernel says that it changed."""

    __slots__ = ("_by_point", "_descriptor", "_kinds", "_lock", "_poll", "_several", "version")

    def __init__(self) -> None:
        self.version = 0
        self._lock = threading.Lock()
        self._by_point: dict[str, Mount] = {}
        self._several: frozenset[str] = frozenset()
        self._kinds: dict[str, str] = {}
        self._poll: select.poll | None = None
        try:
            self._descriptor = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return  # without /proc paths are all there is
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLPRI)
        self._read()

    def __del__(self) -> None:
        if self._poll is not None:
            self._poll = None
            os.close(self._descriptor)

    @property
    def several(self) -> bool:
        """Whether any filesystem is mounted at more than one place, as the table is now."""
        self.look()
        return bool(self._several)

    def look(self) -> int:
        """The version of the table as it is now; another one whenever it has changed."""
        poll = self._poll
        if poll is not None:
            # Two threads must not poll at once: Python refuses the second one.
            with self._lock:
                if poll.poll(0):
                    self._read()
        return self.version

    def is_dated(self, device: int) -> bool:
        """Whether a filesystem is known to date its directories by the kernel's clock.

        Args:
            device: its number, as `st_dev` has it.
        """
        return self._kind(device) in _DATED

    def is_numbered(self, device: int) -> bool:
        """Whether directories of a filesystem are known to tell the inode numbers of what they name."""
        return self._kind(device) in _NUMBERED

    def _kind(self, device: int) -> str:
        return self._kinds.get(f"{os.major(device)}:{os.minor(device)}", "")

    def coordinates(self, path: str) -> Coordinates | None:
        """Where a path without links lies: its filesystem, and its path there; None if that has but one name."""
        point = path
        while point not in self._by_point:
            if point == "/":
                return None
            point = point.rpartition("/")[0] or "/"
        mount = self._by_point[point]
        if mount.device not in self._several:
            return None
        rest = path[len(point.rstrip("/")) :].rstrip("/")
        return mount.device, f"{mount.root.rstrip('/')}{rest}" or "/"

    def below(self, path: str) -> Iterator[str]:
        """The places below a directory where something is mounted that is also to be found elsewhere."""
        head = path.rstrip("/") + "/"
        for point, mount in self._by_point.items():
            if point.startswith(head) and mount.device in self._several:
                yield point

    def _read(self) -> None:
        table = b""
        while chunk := os.pread(self._descriptor, 64 * 1024, len(table)):
            table += chunk
            if len(table) > MAX_TABLE_BYTES:
                table = b""
                break
        mounts = dict(_parsed(table.decode("utf-8", "surrogateescape")))
        devices = [mount.device for mount in mounts.values()]
        self._several = frozenset(device for device in devices if devices.count(device) > 1)
        self._kinds = {mount.device: mount.kind for mount in mounts.values()}
        self._by_point = mounts
        self.version += 1


def _parsed(table: str) -> Iterator[tuple[str, Mount]]:
    """Mount point -> mount; of several at one point the last lies on top."""
    for line in table.splitlines():
        fields = line.split(" ")
        if len(fields) > 5:
            root, point = _plain(fields[3]), _plain(fields[4])
            # Optional fields come before the dash, and there may be none of them.
            kind = fields[fields.index("-", 6) + 1] if "-" in fields[6:-1] else ""
            yield point, Mount(fields[2], root, point, kind)


def _plain(text: str) -> str:
    """Blanks and backslashes are written as three octal digits."""
    return _OCTAL.sub(_character, text)


def _character(match: re.Match[str]) -> str:
    return chr(int(match[1], 8))
