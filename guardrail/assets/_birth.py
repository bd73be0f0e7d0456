"""When a file was made: the one time of a file that no call can set, and that a copy does not take along.

Source: statx(2), Linux 4.11; `os.stat` of Python 3.11 has no birth time on Linux.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Callable
from typing import Any, Final

_AT_FDCWD: Final = -100
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_STATX_BTIME: Final = 0x800
_BTIME_OFFSET: Final = 0x50
"""Where `stx_btime` lies in `struct statx`: seconds as i64, nanoseconds as u32."""


def birth_ns(path: str) -> int | None:
    """When the file at a path was made, in nanoseconds since 1970; a link at its end is not followed.

    Returns:
        None if the filesystem, or the system, does not say, or nothing is there.
    """
    ask = _statx()
    if ask is None:
        return None
    if "\0" in path:
        return None
    buffer = bytearray(256)
    failed = ask(_AT_FDCWD, os.fsencode(path), _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, _pointer(buffer))
    if failed or not struct.unpack_from("<I", buffer)[0] & _STATX_BTIME:
        return None
    seconds, nanoseconds = struct.unpack_from("<qI", buffer, _BTIME_OFFSET)
    # Some filesystems say that everything was made when time began.
    return (int(seconds) * 1_000_000_000 + int(nanoseconds)) or None


def _pointer(buffer: bytearray) -> Any:
    import ctypes

    return (ctypes.c_char * len(buffer)).from_buffer(buffer)


@functools.cache
def _statx() -> Callable[..., Any] | None:
    import ctypes  # not before it is needed: a hook is one process a call

    try:
        found = ctypes.CDLL(None, use_errno=True).statx
    except (OSError, AttributeError):
        return None
    found.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
    found.restype = ctypes.c_int
    return found
