"""A shared ledger as those see it who show, prove or index it: over a connection that cannot write.

Not concerned with whether what is read is what was written: whoever compares a root with a checkpoint finds out.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg

from guardrail.audit._stored import StoredTree
from guardrail.audit._tree import HASH_BYTES
from guardrail.audit.postgres._verify import readable, where

CHUNK: Final = 1_000
"""Rows that are fetched at once."""


class Reader:
    """An open ledger that is only read.

    Args:
        connection: one that cannot write.
        named: the ledger, as messages name it.
    """

    def __init__(self, connection: psycopg.Connection[Any], named: str) -> None:
        self._connection = connection
        self.where = named

    @classmethod
    @contextmanager
    def open(cls, store: str) -> Generator[Reader]:
        """Open a ledger for reading.

        Raises:
            TrailError: if there is none, or it cannot be read.
        """
        with readable(store) as connection:
            yield cls(connection, where(store))

    def leaves(self, first: int) -> Iterator[tuple[int, bytes]]:
        """Number and leaf of each record from `first` on, as far as there are any now."""
        query = "select seq, leaf from guardrail.ledger where seq >= %b order by seq limit %b"
        while rows := self._connection.execute(query, (first, CHUNK), binary=True).fetchall():
            for seq, leaf in rows:
                yield int(seq), bytes(leaf)
            first = int(rows[-1][0]) + 1

    def leaf(self, seq: int) -> bytes | None:
        """The leaf of one record, or None."""
        query = "select leaf from guardrail.ledger where seq = %b"
        row = self._connection.execute(query, (seq,), binary=True).fetchone()
        return None if row is None else bytes(row[0])

    def some(self, seqs: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Number and leaf of these records, as far as they are there."""
        query = "select seq, leaf from guardrail.ledger where seq = any(%b::bigint[]) order by seq"
        for at in range(0, len(seqs), CHUNK):
            for seq, leaf in self._connection.execute(query, (list(seqs[at : at + CHUNK]),), binary=True).fetchall():
                yield int(seq), bytes(leaf)

    def first(self) -> int:
        """Number of the first record that is there."""
        row = self._connection.execute("select coalesce(min(seq), 0) from guardrail.ledger").fetchone()
        return int(row[0]) if row else 0

    def origin(self) -> str:
        """Name of the ledger; empty if nobody has begun it."""
        row = self._connection.execute("select origin from guardrail.log").fetchone()
        return str(row[0]) if row else ""

    def note(self, table: str) -> tuple[str, int]:
        """The largest checkpoint in `checkpoints` or `cosigned`, with its size; -1 if there is none."""
        query = f"select note, size from guardrail.{table} order by size desc limit 1"  # noqa: S608 - one of the two
        row = self._connection.execute(query.encode()).fetchone()
        return ("", -1) if row is None else (str(row[0]), int(row[1]))

    def cosigned(self) -> bytes:
        """The last checkpoints with their cosignatures, as the file of that name would hold them."""
        rows = self._connection.execute(
            "select note from (select number, note from guardrail.cosigned order by number desc limit 100) last"
            " order by number"
        ).fetchall()
        return "".join(str(row[0]) for row in rows).encode()

    def disclosed(self, record_id: str) -> Mapping[str, str]:
        """What is left of what a record disclosed, by pointer."""
        query = "select pointer, text from guardrail.disclosures where record = %b"
        return {str(row[0]): str(row[1]) for row in self._connection.execute(query, (record_id,)).fetchall()}

    def tree(self) -> SharedTree:
        """The Merkle tree."""
        return SharedTree(self._connection, self.where)


class SharedTree(StoredTree):
    """The tree as the tables hold it.

    Args:
        connection: one that can read.
        named: the ledger, as messages name it.
    """

    def __init__(self, connection: psycopg.Connection[Any], named: str) -> None:
        super().__init__(Path(named))
        self._where = named
        self._connection = connection

    def _read_tile(self, level: int, index: int) -> tuple[bytes, ...] | None:
        query = "select hashes from guardrail.tiles where level = %b and tile = %b"
        row = self._connection.execute(query, (level, index), binary=True).fetchone()
        return None if row is None else cut(bytes(row[0]))

    def _read_leaves(self, low: int, high: int) -> None:
        query = "select seq, hash from guardrail.ledger where seq >= %b and seq < %b"
        for seq, digest in self._connection.execute(query, (low, high), binary=True).fetchall():
            self._leaves[int(seq)] = bytes(digest)


def cut(hashes: bytes) -> tuple[bytes, ...]:
    """Hashes that stand one after the other, one by one."""
    return tuple(hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))
