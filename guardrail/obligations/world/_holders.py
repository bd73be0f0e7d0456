"""Who still reaches a file that has no name any more: open descriptors, mappings and mounts.

Every thread is looked at, because one can have descriptors of its own, and outlives the first of its process. Files
that never had a name, such as those of memfd_create(2), are handed to whoever compares contents.

Blind spots: processes that this one may not look into are counted and not seen; what a process has read is in its
memory, which no look at descriptors tells. A descriptor in flight, a loop device or a mount of another namespace shows
in no process: `_handles` asks the filesystem.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from guardrail.obligations._events import Finding, Pinned
from guardrail.obligations.world._evidence import Pins, inode_of

MAX_MAPS_BYTES: Final = 16 * 1024 * 1024
"""How much of the mappings of one process is read, in bytes."""

_PROC: Final = Path("/proc")
_MAPPED: Final = re.compile(rb"^(\S+) \S+ \S+ ([0-9a-f]+):([0-9a-f]+) ([0-9]+) .*\(deleted\)$", re.MULTILINE)
_DELETED: Final = "//deleted"
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


class Holders:
    """Looks at all processes once.

    INVARIANT: only what has no name left counts. The number of an inode is given away again once nobody holds it, so
    of a file that is not pinned the size has to be the same as well.

    Args:
        files: those that have no name any more.
        pins: which of them are held; these descriptors do not count.
    """

    def __init__(self, files: Sequence[Pinned], pins: Pins) -> None:
        self._files = {file.inode: file for file in files}
        self._pinned = frozenset(file.inode for file in files if pins.of(file) is not None)
        self._ours = frozenset(map(str, pins.descriptors))
        self.processes = 0
        self.unreadable = 0
        self.found: set[str] = set()
        """Inodes that something was found to reach."""
        self.unnamed: dict[str, str] = {}
        """Inode -> where to open it, of each other file without a name that a process has."""

    def findings(self) -> Iterator[Finding]:
        """Everything that still reaches one of the files."""
        if not self._files:
            return
        for name in os.listdir(_PROC):
            if not name.isdecimal():
                continue
            self.processes += 1
            try:
                held = dict.fromkeys((*self._opened(name), *self._mapped(name)))
            except PermissionError:
                self.unreadable += 1
                continue
            except OSError:
                continue  # it ended
            self.found.update(held)
            for inode in held:
                says = f"`{self._files[inode].path}` is still open in process {name} ({_program(name)})"
                yield Finding(kind="held", says=says, path=f"/proc/{name}")
        yield from self._mounted()

    def _opened(self, process: str) -> Iterator[str]:
        own = process == str(os.getpid())
        for thread in os.listdir(f"/proc/{process}/task"):
            folder = f"/proc/{process}/task/{thread}/fd"
            try:
                numbers = os.listdir(folder)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended, or it is the first thread, which may end before the others
            for number in numbers:
                if own and number in self._ours:
                    continue
                try:
                    status = os.stat(f"{folder}/{number}")
                except OSError:
                    continue  # it was closed
                if self._is_ours(status):
                    yield inode_of(status)
                elif stat.S_ISREG(status.st_mode) and not status.st_nlink:
                    self.unnamed.setdefault(inode_of(status), f"{folder}/{number}")

    def _is_ours(self, status: os.stat_result) -> bool:
        file = self._files.get(inode_of(status))
        if file is None or status.st_nlink:
            return False
        return file.inode in self._pinned or status.st_size == file.size

    def _mapped(self, process: str) -> Iterator[str]:
        with open(f"/proc/{process}/maps", "rb") as stream:
            maps = stream.read(MAX_MAPS_BYTES)
        if len(maps) == MAX_MAPS_BYTES:
            raise PermissionError  # whoever has more than can be read is not seen as a whole
        for where, major, minor, number in _MAPPED.findall(maps):
            inode = f"{os.makedev(int(major, 16), int(minor, 16))}:{int(number)}"
            if inode in self._files:
                yield inode
            else:
                self.unnamed.setdefault(inode, f"/proc/{process}/map_files/{where.decode()}")

    def _mounted(self) -> Iterator[Finding]:
        """A file that is mounted somewhere is still to be read there when its last name is gone."""
        try:
            table = (_PROC / "self/mountinfo").read_text("utf-8", "surrogateescape")
        except OSError:
            return
        for line in table.splitlines():
            fields = line.split(" ")
            if len(fields) < 5 or not fields[3].endswith(_DELETED):
                continue
            point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
            try:
                status = os.stat(point)
            except OSError:
                continue
            if self._is_ours(status):
                self.found.add(inode_of(status))
                says = f"`{self._files[inode_of(status)].path}` is still mounted at `{point}`"
                yield Finding(kind="mounted", says=says, path=point)


def _program(process: str) -> str:
    try:
        return (_PROC / process / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return "which has ended"
