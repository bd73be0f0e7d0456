"""Other paths of one place: what is mounted a second time elsewhere, and names that a filesystem takes for the same.

Not concerned with links, which the kernel resolves. Blind spots: what an overlay is made of, and mounts of another
namespace than the guard's.
"""

from __future__ import annotations

import os
import re
import threading
import time
import unicodedata
from collections.abc import Iterator
from typing import Final

MAX_AGE_SECONDS: Final = 1.0
"""Longest that the table of mounts is taken to hold, in seconds; mounting an asset is an effect of its own."""

MAX_MOUNTS: Final = 4096
"""Most mounts that are looked at."""

_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


def folded(name: str) -> str:
    """A name as filesystems that ignore case, or how a letter is composed, compare it."""
    return (name if name.isascii() else unicodedata.normalize("NFC", name)).casefold()


class Mounts:
    """The mounts of this process, read again now and then.

    Args:
        source: the kernel's table.
    """

    def __init__(self, source: str = "/proc/self/mountinfo") -> None:
        self._source = source
        self._read_at = float("-inf")
        self._points: dict[str, tuple[str, str]] = {}
        self._shared: dict[str, list[tuple[str, str]]] = {}
        self._lock = threading.Lock()

    def others(self, real: str) -> Iterator[str]:
        """Further absolute paths of what is at a path without links, from other mounts of the same filesystem."""
        self._refresh()
        if not self._shared:
            return
        point, rest = real, ""
        while point not in self._points:
            if point in ("", "/"):
                return
            point, _, name = point.rpartition("/")
            rest = f"/{name}{rest}"
            point = point or "/"
        device, root = self._points[point]
        inside = f"{root.rstrip('/')}{rest}" or "/"
        for other, other_root in self._shared.get(device, ()):
            base = other_root.rstrip("/")
            if other != point and (inside == other_root or inside.startswith(f"{base}/")):
                found = f"{other.rstrip('/')}{inside[len(base) :].rstrip('/')}" or "/"
                # Something else may be mounted over it there.
                yield found

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._read_at < MAX_AGE_SECONDS:
            return
        with self._lock:
            self._read_at = now
            points: dict[str, tuple[str, str]] = {}
            shared: dict[str, list[tuple[str, str]]] = {}
            for device, root, point in self._lines():
                points[point] = (device, root)
                shared.setdefault(device, []).append((point, root))
            self._points = points
            self._shared = {device: mounts for device, mounts in shared.items() if len(mounts) > 1}

    def _lines(self) -> Iterator[tuple[str, str, str]]:
        try:
            with open(self._source, "rb") as table:
                for number, line in enumerate(table):
                    fields = line.split(b" ")
                    if number >= MAX_MOUNTS or len(fields) < 5:
                        return
                    yield fields[2].decode("ascii", "replace"), _path(fields[3]), _path(fields[4])
        except OSError:
            return  # without the table there are only links and inodes to go by


def _path(raw: bytes) -> str:
    return os.fsdecode(_OCTAL.sub(lambda match: bytes((int(match[1], 8) & 255,)), raw))
