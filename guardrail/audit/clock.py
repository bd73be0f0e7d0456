"""The time that decides what has expired and what is due: no clock that can be set decides alone.

- While the process runs, the wall clock is never behind what it showed plus the time since: that nobody can set.
- Before it ran, the trail tells: a guard does not live before the last record of its trail.

What has expired stays expired, and nothing that is due is put off. A trail that was opened with the wall clock behind
its last record says so, in a record of the kind `clock`.
Blind spot: a clock that was set *forward* is believed; where it wrote records, the guard stays there after it was set
right again, so that what was ordered until then is over. The records show it; begin a new trail.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any, Final

MAX_BEHIND_US: Final = 5_000_000
"""How far the wall clock may be behind the last record without a word, in microseconds: hosts of replicas differ."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Clock:
    """The wall clock, except that it never goes slower than the machine: set back, it goes on from where it was.

    Args:
        floor_us: a time that is over for certain, in microseconds since 1970.
    """

    def __init__(self, floor_us: int = 0) -> None:
        # INVARIANT: the steady clock is read before the wall clock, or the time between would be gone when it is set.
        self._boot_us = uptime()[1]
        self._wall_us = max(wall_us(), floor_us)

    def __call__(self) -> int:
        """The time, in microseconds since 1970."""
        return max(wall_us(), self._wall_us + uptime()[1] - self._boot_us)


def wall_us() -> int:
    """What the wall clock shows, in microseconds since 1970."""
    return time.time_ns() // 1000


def uptime() -> tuple[str, int]:
    """Id of the boot, and the time since then, suspension counted, in microseconds."""
    return boot_id(), time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


@functools.cache
def boot_id() -> str:
    """Id of the boot, which the kernel draws anew each time; empty where it does not tell."""
    try:
        return _BOOT_ID.read_text("ascii").strip().replace("-", "")
    except OSError:
        return ""


def set_back(last_us: int) -> dict[str, Any] | None:
    """The record of a clock that is behind the last record; None if it is not.

    Args:
        last_us: time of the last record, in microseconds since 1970.
    """
    now_us = wall_us()
    if now_us >= last_us - MAX_BEHIND_US:
        return None
    return {"kind": "clock", "event": "set_back", "last_us": last_us, "now_us": now_us}
