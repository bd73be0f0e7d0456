"""Race a supervisor: `python confine_racer.py HOW HARMLESS PROTECTED TRIES`, names of equal length.

One process flips the bytes behind a pointer between a harmless and the protected name; another makes the call. Whoever
looks at the bytes and then lets the kernel look again loses. Prints `hits=H ok=K refused=R`; a hit reached PROTECTED.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
HOW, GOOD, BAD = sys.argv[1], sys.argv[2].encode() + b"\0", sys.argv[3].encode() + b"\0"
TRIES = int(sys.argv[4])
PAGE = mmap.mmap(-1, 4096)
AT = ctypes.addressof(ctypes.c_char.from_buffer(PAGE))
RUNS = 4095  # the byte of the page that says that the other process has begun
OPEN_HOW = struct.pack("=QQQ", os.O_WRONLY, 0, 0)


def call(number: int, *args: object) -> int:
    return int(LIBC.syscall(number, *args))


def flip() -> None:
    size = len(GOOD)
    PAGE[RUNS] = 1
    while True:
        PAGE[:size] = BAD
        for _ in range(9):
            pass
        PAGE[:size] = GOOD
        for _ in range(9):
            pass


def is_protected(fd: int, protected: tuple[int, int]) -> bool:
    seen = os.fstat(fd)
    os.close(fd)
    return (seen.st_dev, seen.st_ino) == protected


def once(protected: tuple[int, int], number: int) -> tuple[bool, bool]:
    """Whether a try was let through, and whether it reached what is protected."""
    path = ctypes.c_void_p(AT)
    if HOW in {"open", "openat2"}:
        fd = call(257, -100, path, os.O_WRONLY) if HOW == "open" else call(437, -100, path, OPEN_HOW, 24)
        return fd >= 0, fd >= 0 and is_protected(fd, protected)
    if HOW == "times":
        when = 978_307_200 + number  # another second each time, so that no hit is counted twice
        done = call(280, -100, path, struct.pack("=4q", when, 0, when, 0), 0) == 0
        return done, done and int(os.stat(BAD[:-1]).st_mtime) == when
    value = struct.pack("=q", number)
    done = call(188, path, b"user.race", value, len(value), 0) == 0
    return done, done and "user.race" in os.listxattr(BAD[:-1]) and os.getxattr(BAD[:-1], b"user.race") == value


def main() -> None:
    seen = os.stat(BAD[:-1])
    PAGE[: len(GOOD)] = GOOD
    flipper = os.fork()
    if not flipper:
        flip()
    while not PAGE[RUNS]:  # on a busy machine all tries were over before the bytes had changed once
        os.sched_yield()
    hits = passed = 0
    for number in range(TRIES):
        through, hit = once((seen.st_dev, seen.st_ino), number)
        passed += through
        hits += hit
    os.kill(flipper, signal.SIGKILL)
    print(f"hits={hits} ok={passed} refused={TRIES - passed}")


if __name__ == "__main__":
    main()
