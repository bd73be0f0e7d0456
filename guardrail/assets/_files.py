"""The live filesystem: what a path really is, asked once and by the kernel.

Not concerned with assets. Blind spot: every answer is true when given and may be stale a moment later, so a decision
names what was resolved, and confinement (where there is any) holds the call to it.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
import time
from collections.abc import Iterator
from itertools import islice
from typing import Final, Literal

import msgspec

MAX_GLOB_SECONDS: Final = 0.05
"""Longest one glob may take, in seconds; a slower one is answered with None, which analysis treats as unknown."""

_O_PATH: Final = os.O_PATH | os.O_CLOEXEC


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a path turned out to be.

    Args:
        real: absolute path without symbolic links; for a missing path its nearest existing parent,
            resolved, and the rest.
        exists: whether something is there.
        dev: device number, if it exists.
        ino: inode number, if it exists.
        links: number of names of the inode, if it exists.
        ctime_ns: when the inode last changed, if it exists; no call can set it.
        directory: whether it is a directory.
    """

    real: str
    exists: bool = False
    dev: int | None = None
    ino: int | None = None
    links: int = 0
    ctime_ns: int = 0
    directory: bool = False


def locate(path: str, *, nofollow: bool = False) -> Place:
    """Resolve a path on the live filesystem.

    Args:
        path: absolute path; `..` is resolved by the kernel, not as text.
        nofollow: the last component is meant itself, even if it is a symbolic link (unlink, rename).

    Returns:
        Where it is. A path that cannot be looked at is resolved as far as it goes.
    """
    # A trailing slash makes the kernel follow the link: `rm link/` is about the directory.
    follow = not nofollow or path.endswith("/")
    try:
        descriptor = os.open(path, _O_PATH if follow else _O_PATH | os.O_NOFOLLOW)
    except (OSError, ValueError) as error:
        return _missing(path, error)
    try:
        status = os.fstat(descriptor)
        real = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        # /proc is not mounted: slower, and correct.
        return _by_walk(path, nofollow=not follow)
    finally:
        os.close(descriptor)
    if not real.startswith("/"):
        real = os.path.realpath(path)
    return _found(real, status)


def _found(real: str, status: os.stat_result) -> Place:
    return Place(
        real=real,
        exists=True,
        dev=status.st_dev,
        ino=status.st_ino,
        links=status.st_nlink,
        ctime_ns=status.st_ctime_ns,
        directory=stat.S_ISDIR(status.st_mode),
    )


def _missing(path: str, error: OSError | ValueError) -> Place:
    if isinstance(error, OSError) and error.errno == errno.ENOENT:
        head, _, tail = path.rstrip("/").rpartition("/")
        if tail not in ("", ".", ".."):
            try:
                descriptor = os.open(head or "/", _O_PATH | os.O_DIRECTORY)
            except OSError:
                pass
            else:
                try:
                    parent = os.readlink(f"/proc/self/fd/{descriptor}")
                    # A dangling link is missing to open() and yet there: where it points is what would be made.
                    if parent.startswith("/") and not os.path.islink(path.rstrip("/")):
                        return Place(real=f"{parent.rstrip('/')}/{tail}")
                except OSError:
                    pass
                finally:
                    os.close(descriptor)
    try:
        return Place(real=os.path.realpath(path))
    except (OSError, ValueError):
        return Place(real=os.path.normpath(path.replace("\0", "")))


def _by_walk(path: str, *, nofollow: bool) -> Place:
    head, tail = os.path.split(path.rstrip("/"))
    real = os.path.join(os.path.realpath(head), tail) if nofollow else os.path.realpath(path)
    try:
        status = os.lstat(real) if nofollow else os.stat(real)
    except OSError:
        return Place(real=real)
    return _found(real, status)


def walk_files(root: str, limit: int) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files at or below `root`, links not followed, at most `limit` of them."""
    yield from islice(_walk(root), limit)


def _walk(root: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        status = os.stat(root)
    except OSError:
        return
    if stat.S_ISREG(status.st_mode):
        yield root, status
        return
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            try:
                status = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, status


def names_below(root: str, limit: int) -> Iterator[tuple[str, os.stat_result]]:
    """Files with several names below a directory: each may be another name of something that lies elsewhere.

    Args:
        root: a directory, without symbolic links; links in it are not followed.
        limit: most entries that are looked at; of what lies beyond nothing is claimed.
    """
    left = limit
    folders = [root]
    while folders and left > 0:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in islice(entries, left):
                    left -= 1
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        status = entry.stat(follow_symlinks=False)
                        if status.st_nlink > 1:
                            yield entry.path, status
        except OSError:
            continue  # what cannot be listed here cannot be copied from here by anybody with the same rights


class LiveFiles:
    """What analysis may ask of the filesystem: names, kinds and small contents.

    Args:
        expansions: most names one glob may give.
    """

    def __init__(self, expansions: int = 4096) -> None:
        self._expansions = expansions

    def glob(self, pattern: str) -> tuple[str, ...] | None:
        """Existing paths that an absolute shell pattern names.

        Returns:
            Sorted paths, `()` if there are none, None if there are too many or it took too long.
        """
        found: list[str] = []
        deadline = time.monotonic() + MAX_GLOB_SECONDS
        try:
            for path in glob.iglob(pattern.replace("[^", "[!")):
                found.append(path)
                if len(found) > self._expansions or time.monotonic() > deadline:
                    return None
        except (OSError, ValueError, RecursionError):
            return None
        return tuple(sorted(found))

    def kind(self, path: str) -> Literal["file", "dir", "other"] | None:
        """What is at a path, links followed; None if nothing is, or it cannot be looked at."""
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError):
            return None
        if stat.S_ISREG(mode):
            return "file"
        return "dir" if stat.S_ISDIR(mode) else "other"

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
            data = os.read(descriptor, limit + 1)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return data if len(data) <= limit else None
