"""One thing that `guardrail doctor` looked at."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["ok", "note", "problem"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at.

    Args:
        name: what was looked at.
        state: `ok`, `note` (works, with a limit worth knowing) or `problem` (calls will be denied, or not be guarded).
        detail: what was found, and how to mend it.
    """

    name: str
    state: State
    detail: str


def cause(error: OSError) -> str:
    """Why something could not be opened, in the words of the system."""
    return (error.strerror or str(error)).lower()
