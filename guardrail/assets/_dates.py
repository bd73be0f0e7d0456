"""Whether the date of a file contradicts what no call can set: when it was made, and when it last changed.

Not concerned with why: a restored file has an old date too, which is why a date that was known before is no evidence.
"""

from __future__ import annotations

import datetime as dt
from typing import Final, Literal, Protocol

from guardrail.assets._birth import birth_ns

BEFORE_BIRTH_NS: Final = 3_600_000_000_000
"""How far a date may lie before the time a file was made, in nanoseconds: copying a large file takes a while."""

AFTER_CHANGE_NS: Final = 2_000_000_000
"""How far a date may lie after the last change of a file, in nanoseconds: clocks of filesystems are coarse."""

Contradiction = Literal["before_birth", "after_change"]


class Dated(Protocol):
    """The times of a file."""

    @property
    def mtime_ns(self) -> int: ...
    @property
    def ctime_ns(self) -> int: ...


def contradiction(path: str, times: Dated) -> Contradiction | None:
    """What is wrong with the date of a file; None if nothing is.

    Args:
        path: of the file, with all links resolved.
        times: of the file.
    """
    if times.mtime_ns > times.ctime_ns + AFTER_CHANGE_NS:
        return "after_change"
    if times.mtime_ns + BEFORE_BIRTH_NS >= times.ctime_ns:
        return None  # it was made before it changed for the last time, so the date is not from before that either
    birth = birth_ns(path)
    return "before_birth" if birth is not None and times.mtime_ns + BEFORE_BIRTH_NS < birth else None


def says(path: str, times: Dated) -> str | None:
    """The contradiction in a sentence; None if there is none."""
    found = contradiction(path, times)
    if found is None:
        return None
    date = _date(times.mtime_ns)
    if found == "after_change":
        return f"its date {date} lies after its last change on {_date(times.ctime_ns)}: it was set by hand"
    birth = birth_ns(path)
    made = f" on {_date(birth)}" if birth is not None else ""
    return f"its date {date} lies before it was made{made}: it was set by hand, or taken over from another file"


def _date(nanoseconds: int) -> str:
    try:
        return dt.datetime.fromtimestamp(nanoseconds / 1e9, dt.UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):
        return "of no calendar"
