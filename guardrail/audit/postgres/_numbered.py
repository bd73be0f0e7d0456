"""Records that get their number late: everything but the number is encoded before anybody waits for the ledger."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from guardrail.audit._batches import Entry
from guardrail.audit._record import Stamp, releases
from guardrail.audit.postgres._tables import Row

_LOWEST: Final = 2**52
"""Stand-ins for a number are this large or larger, below 2**53: longer than any number that a ledger reaches."""


class Encoded:
    """A leaf without its number.

    Args:
        stamp: what every record of the ledger gets.
        record: `kind` and whatever belongs to it.

    Raises:
        TrailError: if it cannot be a record.
    """

    __slots__ = ("_head", "_tail", "kind", "releases")

    def __init__(self, stamp: Stamp, record: Mapping[str, Any]) -> None:
        parts: list[bytes] = []
        # A record may hold the same text somewhere else, by chance or on purpose: then another stand-in is drawn.
        while len(parts) != 2:
            stand_in = _LOWEST + secrets.randbelow(_LOWEST)
            parts = stamp.leaf(record, stand_in).split(b'"seq":%d' % stand_in)
        self._head, self._tail = parts
        self.kind = str(record["kind"])
        self.releases = releases(record)

    def row(self, seq: int) -> Row:
        """The record with its number."""
        return Row(self.kind, b'%b"seq":%d%b' % (self._head, seq, self._tail))


class Numbered(Entry):
    """One record that waits to be written, or a wish to have everything signed."""

    __slots__ = ("encoded", "given_up", "seq")

    def __init__(self, leaf: bytes | None = None, *, last: bool = False) -> None:
        super().__init__(leaf, last=last)
        self.encoded: Encoded | None = None
        self.given_up = False
        """Nobody waits for it any more: whoever did was told that it is not written."""
        self.seq: int | None = None

    def take(self, encoded: Encoded) -> None:
        """Make this the entry of a record; a batch is measured by its leaves without their numbers."""
        self.encoded = encoded
        self.leaf = encoded.row(0).leaf
