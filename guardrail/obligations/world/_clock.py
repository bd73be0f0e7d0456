"""The time by which duties are due, and by which a quiet period is over: no clock that can be set decides alone.

Setting the clock back would put off what is due, and setting it forward would cut the quiet period between two looks
short; the time since the machine was started can be set by nobody.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Clock:
    """The wall clock, except that it never goes slower than the machine: set back, it goes on from where it was."""

    def __init__(self) -> None:
        self._wall_us = time.time_ns() // 1000
        self._boot_us = uptime()[1]

    def __call__(self) -> int:
        """The time, in microseconds since 1970."""
        return max(time.time_ns() // 1000, self._wall_us + uptime()[1] - self._boot_us)


def uptime() -> tuple[str, int]:
    """Id of the boot, and the time since then, suspension counted, in microseconds."""
    return _boot(), time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


@functools.cache
def _boot() -> str:
    try:
        return _BOOT_ID.read_text("ascii").strip().replace("-", "")
    except OSError:
        return ""
