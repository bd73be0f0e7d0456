"""Small durable file operations that every part of the trail needs."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers that mean there is no room: disk, quota, or the process's own file size limit."""

ZEROS: Final = bytes(1 << 18)
"""Written in one go when a file is filled ahead, in bytes."""


def sync_directory(directory: Path) -> None:
    """Make created, renamed and removed names of a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes, at: int) -> None:
    """Write every byte, or raise: a short write is followed by the error that explains it."""
    done = os.pwrite(fd, data, at)
    while done < len(data):
        wrote = os.pwrite(fd, data[done:], at + done)
        if wrote == 0:
            raise OSError(errno.EIO, "the write made no progress")
        done += wrote


def fill(fd: int, start: int, end: int) -> None:
    """Put durable zeros from `start` to `end`, so that later writes there need no journal commit.

    Real zeros and not only allocation: an unwritten extent is converted, with a journal commit, at the first sync.

    Raises:
        OSError: if there is no room; the file then ends at `start` again.
    """
    try:
        os.posix_fallocate(fd, start, end - start)
        for at in range(start, end, len(ZEROS)):
            write_all(fd, ZEROS[: min(len(ZEROS), end - at)], at)
        os.fsync(fd)
    except OSError as error:
        if error.errno in FULL:
            os.ftruncate(fd, start)
        raise


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put a small file in place, durably and as a whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        write_all(fd, data, 0)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(fresh, path)
    sync_directory(path.parent)
