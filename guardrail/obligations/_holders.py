"""Who still reaches a file that has no name any more: open descriptors, mappings and mounts.

Blind spots: processes that this one may not look into are counted and not seen; mounts of other namespaces are not
looked at; what a process has read is in its memory, which no look at descriptors tells.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from guardrail.obligations._events import Finding

MAX_MAPS_BYTES: Final = 16 * 1024 * 1024
"""How much of the mappings of one process is read, in bytes."""

_PROC: Final = Path("/proc")
_MAPPED: Final = re.compile(rb"^\S+ \S+ \S+ ([0-9a-f]+):([0-9a-f]+) ([0-9]+) ", re.MULTILINE)
_DELETED: Final = "//deleted"
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


class Holders:
    """Looks at all processes once.

    Args:
        inodes: `dev:ino` of each file -> the path it had.
        ours: descriptors of this process that do not count, because they are pins.
    """

    def __init__(self, inodes: Mapping[str, str], ours: Collection[int]) -> None:
        self._inodes = inodes
        self._ours = frozenset(map(str, ours))
        self.processes = 0
        self.unreadable = 0

    def findings(self) -> Iterator[Finding]:
        """Everything that still reaches one of the files."""
        if not self._inodes:
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
            for inode in held:
                says = f"`{self._inodes[inode]}` is still open in process {name} ({_program(name)})"
                yield Finding(kind="held", says=says, path=f"/proc/{name}")
        yield from self._mounted()

    def _opened(self, process: str) -> Iterator[str]:
        folder = f"/proc/{process}/fd"
        own = process == str(os.getpid())
        for number in os.listdir(folder):
            if own and number in self._ours:
                continue
            try:
                status = os.stat(f"{folder}/{number}")
            except OSError:
                continue  # it was closed
            inode = f"{status.st_dev}:{status.st_ino}"
            if inode in self._inodes:
                yield inode

    def _mapped(self, process: str) -> Iterator[str]:
        with open(f"/proc/{process}/maps", "rb") as stream:
            maps = stream.read(MAX_MAPS_BYTES)
        for major, minor, number in _MAPPED.findall(maps):
            inode = f"{os.makedev(int(major, 16), int(minor, 16))}:{int(number)}"
            if inode in self._inodes:
                yield inode

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
            inode = f"{status.st_dev}:{status.st_ino}"
            if inode in self._inodes:
                says = f"`{self._inodes[inode]}` is still mounted at `{point}`"
                yield Finding(kind="mounted", says=says, path=point)


def _program(process: str) -> str:
    try:
        return (_PROC / process / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return "which has ended"
