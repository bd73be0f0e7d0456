"""How a guard stands with the database that it has in common with others."""

from __future__ import annotations

import datetime as dt
from typing import Final

import msgspec

NOT_YET: Final = "it was not asked yet"
"""Why it counts as cut off until it was asked for the first time."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands.

    Args:
        contact_us: when the database answered last, in microseconds since 1970; 0 if it never did.
        cut: why it does not answer now; empty if it does.
        recorded: how many records of this guard's trail are under the newest checkpoint there.
        refused: why it does not take the checkpoints of this trail; empty if it does.
        kept: why what it has cannot be kept here; empty if it can.
        unheard: why what people said there cannot be recorded here; empty if it can.
        not_taken: why what is announced there is not taken up; empty if it is.
        behind: what was taken up and is not in force yet; empty for nothing.
    """

    contact_us: int = 0
    cut: str = ""
    recorded: int = 0
    refused: str = ""
    kept: str = ""
    unheard: str = ""
    not_taken: str = ""
    behind: str = ""

    @property
    def state(self) -> str:
        """How it stands in a few words, which tell nothing of the network."""
        if self.cut:
            return f"cut since {moment(self.contact_us)}" if self.contact_us else "never reached"
        if self.kept or self.unheard or self.not_taken or self.behind:
            return "not up to date"
        return "trail refused" if self.refused else "in contact"

    def __str__(self) -> str:
        why = self.cut or self.kept or self.unheard or self.not_taken or self.behind or self.refused
        return f"{self.state}: {why}" if why else self.state


def moment(us: int) -> str:
    """A time as people read it, in UTC to the second."""
    return dt.datetime.fromtimestamp(us // 1_000_000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
