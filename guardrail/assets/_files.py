"""What analysis may ask of the live filesystem: which names there are, of what kind, and small contents.

Not concerned with where a path leads, which `_places` knows, nor with assets.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import struct
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal

from guardrail.assets._listings import Listings
from guardrail.assets._mounts import Mounts
from guardrail.assets._places import locate
from guardrail.assets._trees import Trees, Unseen
from guardrail.effects.domain._view import Listing

MAX_GLOB_SECONDS: Final = 0.3
"""Most work that one glob may be, in seconds of this thread's own time: one that is more is answered with None, which
analysis treats as unknown.

Some hundred thousand names, however busy the host is: what is held must not depend on that.
"""


@lru_cache(maxsize=1024)
def matcher(pattern: str) -> Callable[[str], object]:
    """What tells whether a name fits a pattern, as `fnmatch.fnmatchcase` does; for many names at once."""
    return re.compile(fnmatch.translate(pattern)).match


class _TooMuch(Exception):
    """A glob is over one of its bounds."""


def _expand(pattern: str, most: int) -> list[str]:
    """Component by component: the clock is looked at while directories are read, not only when something matches."""
    deadline = time.thread_time() + MAX_GLOB_SECONDS
    found = ["/"]
    parts = pattern.split("/")[1:]
    for index, part in enumerate(parts):
        if part == "":
            if index == len(parts) - 1:
                found = [f"{path.rstrip('/')}/" for path in found if os.path.isdir(path)]
            continue
        found = _matching(found, part, most, deadline)
    return found


def _matching(folders: list[str], part: str, most: int, deadline: float) -> list[str]:
    magic = any(char in part for char in "*?[")
    fits = matcher(part)
    found: list[str] = []
    for count, folder in enumerate(folders):
        base = folder.rstrip("/")
        if not magic:
            if os.path.lexists(f"{base}/{part}"):
                found.append(f"{base}/{part}")
        else:
            try:
                with os.scandir(folder) as entries:
                    for number, entry in enumerate(entries):
                        if number % 1024 == 1023 and time.thread_time() > deadline:
                            raise _TooMuch
                        name = entry.name
                        # As in the shell, a leading dot has to be named.
                        if fits(name) and (name[0] != "." or part[0] == "."):
                            found.append(f"{base}/{name}")
            except OSError:
                continue  # not a directory, or not for us to read
        if len(found) > most or (count % 64 == 0 and time.thread_time() > deadline):
            raise _TooMuch
    return found


def _is_stale(compiled: str, source: os.stat_result) -> bool:
    """Compiled code fits a source by its size and time, as Python asks, and the source was changed since.

    The time at which an inode was changed cannot be set: a source that was put back has a later one.
    """
    with open(compiled, "rb") as file:
        _, flags, seconds, size = struct.unpack("<4sIII", file.read(16))
        made = os.fstat(file.fileno())
    if flags & 1:
        return not flags & 2  # known by a hash of the source, which Python looks at or does not
    fits = (int(source.st_mtime) & 0xFFFFFFFF, source.st_size & 0xFFFFFFFF) == (seconds, size)
    return fits and source.st_ctime_ns >= made.st_mtime_ns


class LiveFiles:
    """What analysis may ask of the filesystem: names, kinds and small contents.

    Args:
        expansions: most names one glob may give.
    """

    def __init__(self, expansions: int = 4096) -> None:
        self._expansions = expansions
        mounts = Mounts()
        self.trees = Trees(mounts)
        self._listings = Listings(mounts)

    def glob(self, pattern: str) -> tuple[str, ...] | None:
        """Existing paths that an absolute shell pattern names.

        Returns:
            Sorted paths, `()` if there are none, None if there are too many or it took too long.
        """
        try:
            return tuple(sorted(_expand(pattern.replace("[^", "[!"), self._expansions)))
        except (OSError, ValueError, _TooMuch):
            return None

    def listing(self, folder: str) -> Listing | None:
        """Files and directories in a directory, but for those that a dot begins; None if there are too many."""
        return self._listings.of(folder)

    def kind(self, path: str) -> Literal["file", "dir", "other"] | None:
        """What is at a path, links followed; None if nothing is, or it cannot be looked at."""
        try:
            if not os.access(path, os.F_OK):
                return None  # what most words name is not there, and this costs less than to raise that
            mode = os.stat(path).st_mode
        except (OSError, ValueError):
            return None
        if stat.S_ISREG(mode):
            return "file"
        return "dir" if stat.S_ISDIR(mode) else "other"

    def missing(self, path: str) -> bool:
        """Whether nothing has that name, not even a link that leads nowhere, and that is certain."""
        try:
            os.lstat(path)
        except FileNotFoundError:
            return True
        except (OSError, ValueError):
            return False
        return False

    def identity(self, path: str) -> str:
        """One text for all names of the same file; of a missing one, where it would be."""
        place = locate(path)
        # The names of a file that has several share no path.
        return f"{place.dev}:{place.ino}" if place.links > 1 and not place.directory else place.real

    def real(self, path: str) -> str:
        """The path without links; of a missing file, where it would be."""
        return locate(path).real

    def single(self, path: str) -> bool:
        """Whether a regular file is there, by no link at the end of the path, which has no other name."""
        try:
            status = os.lstat(path)
        except (OSError, ValueError):
            return False
        return stat.S_ISREG(status.st_mode) and status.st_nlink == 1

    def enterable(self, path: str) -> bool:
        """Whether a path is a directory that every user may go to: the guard's own rights are not the agent's."""
        try:
            here = os.path.realpath(path, strict=True)
            while stat.S_ISDIR(mode := os.stat(here).st_mode) and mode & stat.S_IXOTH:
                if here == "/":
                    return True
                here = here.rpartition("/")[0] or "/"
        except (OSError, ValueError):
            pass
        return False

    def stale(self, path: str) -> bool:
        """Whether Python would take for a source what it was compiled to, which may be of another text."""
        folder, _, name = path.rpartition("/")
        start = f"{name.removesuffix('.py')}."
        try:
            source = os.stat(path)
            with os.scandir(f"{folder}/__pycache__") as entries:
                names = [entry.path for entry in entries if entry.name.startswith(start)]
            return any(_is_stale(compiled, source) for compiled in names)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, ValueError, struct.error):
            return True

    def plain(self, path: str) -> bool:
        """Whether the names below a directory are words as they are, and there are not too many to look at."""
        try:
            return not self.trees.odd(path)
        except Unseen:
            return False

    def inert(self, path: str) -> bool:
        """Whether the names below a directory are words also in the text of a shell, and not too many to look at."""
        try:
            return not self.trees.coded(path)
        except Unseen:
            return False

    def writable(self, path: str) -> bool:
        """Whether `> path` opens a regular file that is there, for a shell that has the guard's own rights.

        A file of another user is not: an agent of other rights than the guard's may be refused, and in a shared
        directory like /tmp the kernel refuses even root (`fs.protected_regular`).
        """
        try:
            status = os.stat(path)
            allowed = os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
        except (OSError, ValueError):
            return False
        own = status.st_uid == os.geteuid() and bool(status.st_mode & stat.S_IWUSR)
        return allowed and own and stat.S_ISREG(status.st_mode)

    def read(self, path: str, limit: int) -> bytes | None:
        """Content of a regular file of at most `limit` bytes, else None."""
        try:
            # O_NONBLOCK: a FIFO put there by an agent must not hang the guard.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except (OSError, ValueError):
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
                return None
            # One byte more than it has: room for the limit would be asked of the system each time, and given back.
            # Files of the kernel say that they have none.
            room = status.st_size or limit
            data = os.read(descriptor, room + 1)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        # What grows while it is looked at holds nothing that can be relied on.
        return data if len(data) <= room else None
