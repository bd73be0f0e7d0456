"""The ledger behind review: one exclusive turn at a time, in which what others wrote is seen before anything is added.

Not concerned with what the records mean (`_machine`), nor with who folds them (`_desk`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

KINDS: Final = frozenset({"escalation", "vote", "grant", "redemption"})
"""Kinds of records that review writes and folds; a ledger holds others too, and passes over them in `news`."""


class Turn(Protocol):
    """What may be done while nobody else may write a record of review."""

    def news(self, after: int) -> Iterable[tuple[int, Mapping[str, Any]]]:
        """The records of review behind a place, those of this process included, in the order of the ledger.

        Args:
            after: sequence number of the last record that is known; -1 for all of them.

        Returns:
            Sequence number and record, as it is in the ledger, of every durable record whose `kind` is in `KINDS`.

        Raises:
            TrailError: if they cannot be read; then nothing may be decided.
        """
        ...

    def append(self, records: Sequence[Mapping[str, Any]]) -> Sequence[int]:
        """Write records; called at most once in a turn, after `news` was read to its end.

        They are durable when this returns or, where the turn is a transaction, when the turn has ended without an
        error; nothing may be released on their account before that. After a crash, a first part of them may be there.

        Args:
            records: `kind` and whatever belongs to it; the ledger stamps them.

        Returns:
            Their sequence numbers, rising.

        Raises:
            TrailError: if they were not written, or nobody knows; the next turn's `news` has whatever was.
        """
        ...


class Ledger(Protocol):
    """Where records of review are kept.

    INVARIANT: between the start of a turn and its end nobody else, in whatever process, adds a record of `KINDS`. That
    is what makes a decision that rests on `news` a compare-and-set.
    """

    def turn(self) -> AbstractContextManager[Turn]:
        """One turn; a thread that asks for one while another has it waits.

        Raises:
            TrailError: if there can be none, for instance because the ledger failed or is closed.
        """
        ...
