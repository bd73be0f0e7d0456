"""What a tool reads: a descriptor by which it can do nothing else.

Whoever started the guard may have given it one that can be written to as well, such as a file opened for both, or a
socket. What a reader of weights writes there would go past everything that holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import stat
import threading
from collections.abc import Generator
from typing import Final

from guardrail.confine._job import CANNOT, JobError

_CHUNK: Final = 64 * 1024


@contextlib.contextmanager
def only_read(fd: int | None) -> Generator[int | None]:
    """A descriptor for the same input that can only be read, until the tool is over.

    Args:
        fd: the input; None for none.

    Yields:
        That one if it can only be read, another for the same file, or the end of a pipe that a socket is read into.

    Raises:
        JobError: if it can be written to, and nothing else can be had of it.
    """
    if fd is None or (access := fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE) == os.O_RDONLY:
        yield fd
    elif stat.S_ISSOCK(os.fstat(fd).st_mode):
        with _piped(fd) as end:
            yield end
    else:
        again = _reopened(fd) if access == os.O_RDWR else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield again
        finally:
            os.close(again)


def _reopened(fd: int) -> int:
    try:
        again = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise JobError(
            f"its standard input could be written to, and cannot be opened for reading alone: {why}", code=CANNOT
        ) from None
    with contextlib.suppress(OSError):  # what has no place to go on from, such as a FIFO
        os.lseek(again, os.lseek(fd, 0, os.SEEK_CUR), os.SEEK_SET)
    return again


@contextlib.contextmanager
def _piped(fd: int) -> Generator[int]:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    over, end = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(writer, False)
    thread = threading.Thread(target=_pour, args=(fd, writer, over), daemon=True)
    thread.start()
    try:
        yield reader
    finally:
        os.close(reader)
        os.close(end)
        thread.join()
        os.close(over)


def _pour(source: int, writer: int, over: int) -> None:
    """Pass on what comes, until there is no more, nobody reads it, or the tool is over."""
    with contextlib.suppress(OSError):
        while _ready(source, select.POLLIN, over) and (left := os.read(source, _CHUNK)):
            while left and _ready(writer, select.POLLOUT, over):
                left = left[os.write(writer, left) :]
    os.close(writer)


def _ready(fd: int, event: int, over: int) -> bool:
    """Wait until a descriptor is ready; False if the tool is over."""
    poll = select.poll()
    poll.register(fd, event)
    poll.register(over, select.POLLIN)
    return all(ready != over for ready, _ in poll.poll())
