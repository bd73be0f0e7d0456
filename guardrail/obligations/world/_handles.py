"""Whether an inode is still alive, whoever keeps it and under whatever name: asked of the filesystem by its handle.

A handle (name_to_handle_at(2)) is the number of an inode and its generation, so it outlives this process and is never
given to another file. Asked for again (open_by_handle_at(2)), the filesystem answers `ESTALE` once nothing is left of
the inode: no name, no descriptor, not one in flight in a socket, no mapping, no mount in whichever namespace, no loop
device. No search tells as much.

Blind spots: it takes `CAP_DAC_READ_SEARCH`, and a filesystem that has handles; FUSE and overlayfs have none.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import struct
import time
from collections.abc import Callable
from typing import Any, Final

from guardrail.obligations._events import Pinned

MAX_HANDLE_BYTES: Final = 128
"""Longest handle, in bytes: `MAX_HANDLE_SZ` of the kernel."""

ASKED_TIMES: Final = 8
"""How often it is asked whether an inode is left: whoever looks at all processes holds each one for a moment."""

ASKED_SECONDS: Final = 0.025
"""Between two of these times, in seconds."""

_AT_FDCWD: Final = -100


_HEAD: Final = struct.Struct("=Ii")
"""`struct file_handle` before its bytes: how many they are, and of which kind."""

_OCTAL: Final = re.compile(r"\\([0-7]{3})")


class Unanswered(Exception):
    """The filesystem cannot be asked; the message says why."""


def handle_of(path: str) -> str:
    """The handle of the inode at a path, as text; empty where there is none. A link at its end is not followed."""
    call = _calls()
    if call is None or "\0" in path:
        return ""
    import ctypes  # not before it is needed: a hook is one process a call

    buffer = ctypes.create_string_buffer(_HEAD.pack(MAX_HANDLE_BYTES, 0), _HEAD.size + MAX_HANDLE_BYTES)
    if call[0](_AT_FDCWD, os.fsencode(path), buffer, ctypes.byref(ctypes.c_int()), 0):
        return ""
    size, kind = _HEAD.unpack_from(buffer.raw)
    return f"{kind}:{buffer.raw[_HEAD.size : _HEAD.size + size].hex()}"


def reopened(file: Pinned) -> int | None:
    """An `O_PATH` descriptor of a file by its handle, or None if nothing is left of its inode.

    Args:
        file: as it was.

    Raises:
        Unanswered: if that cannot be told.
    """
    call = _calls()
    kind, _, data = file.handle.partition(":")
    if call is None or not data:
        raise Unanswered("its filesystem has no handles")
    import ctypes

    raw = bytes.fromhex(data)
    mount = _mount_of(file)
    try:
        fd = call[1](mount, _HEAD.pack(len(raw), int(kind)) + raw, os.O_PATH | os.O_CLOEXEC)
        error = ctypes.get_errno()
    finally:
        os.close(mount)
    if fd >= 0:
        return int(fd)
    if error == errno.ESTALE:
        return None
    raise Unanswered(os.strerror(error).lower())


def is_alive(file: Pinned) -> bool:
    """Whether anything keeps the inode of a file, for longer than a look at it takes.

    Raises:
        Unanswered: if that cannot be told.
    """
    for count in range(ASKED_TIMES):
        if count:
            time.sleep(ASKED_SECONDS)
        fd = reopened(file)
        if fd is None:
            return False
        os.close(fd)
    return True


def _mount_of(file: Pinned) -> int:
    """A descriptor on the filesystem that a file lay on, wherever that is mounted now.

    INVARIANT: a handle means something on its own filesystem only; another one would answer `ESTALE` to it.
    """
    device = int(file.inode.partition(":")[0])
    for place in (*_above(file.path), *_mounts(device)):
        try:
            fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        if os.fstat(fd).st_dev == device:
            return fd
        os.close(fd)
    raise Unanswered("its filesystem is mounted nowhere")


def _above(path: str) -> list[str]:
    found: list[str] = []
    while path not in ("", "/"):
        path = os.path.dirname(path)
        found.append(path)
    return found


def _mounts(device: int) -> list[str]:
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
            table = [line.split(" ") for line in stream]
    except OSError:
        return []
    points = (fields[4] for fields in table if len(fields) > 4 and fields[2] == number)
    return [_OCTAL.sub(lambda match: chr(int(match[1], 8)), point) for point in points]


@functools.cache
def _calls() -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    import ctypes

    try:
        library = ctypes.CDLL(None, use_errno=True)
        return library.name_to_handle_at, library.open_by_handle_at
    except (OSError, AttributeError):
        return None
