"""The verifier of a shared ledger: the same checks as of segment files, over one snapshot of the tables.

1. The key and the checkpoints, as everywhere; each note lies under its own size, with the right edge of its tree.
2. Every row: dense numbers, the hash that of its leaf, the kind that of its record.
3. Every leaf (deep), the tree, the end and the pairs: see `guardrail.audit._verify`.
4. The frontier: exactly the tree over the rows.

INVARIANT: nothing is imported from the writer, as in `_verify`; that the database computes hashes is not relied on.
Blind spot: a database that was put back together with its checkpoints is found only by somebody who kept a later one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from guardrail.audit._report import Report
from guardrail.audit._verify import PROGRESS_EVERY, _Walk
from guardrail.audit._verify_format import read_leaf
from guardrail.errors import TrailError

BATCH: Final = 1_000
"""Rows that are fetched at once: one by one, as COPY hands them over, costs six times as much."""

_ROWS: Final = "select seq, kind, leaf, hash from guardrail.ledger where seq > %b order by seq limit %b"

_Row = tuple[int, str, bytes, bytes]
_BEFORE_ALL: Final = -(2**63)


def verify_rows(
    store: str,
    *,
    deep: bool = True,
    vkey: str | None = None,
    checkpoint: str | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    limit: int,
) -> Report:
    """Check a shared ledger from its rows alone; arguments and result as `guardrail.audit.verify`.

    Raises:
        TrailError: if the tables cannot be read.
    """
    started = time.monotonic()
    with _snapshot(store) as connection:
        walk = _Rows(connection, where(store), deep=deep, limit=limit, progress=progress)
        walk.take_key(vkey)
        walk.take_checkpoints(checkpoint)
        walk.take_rows()
        walk.take_frontier()
        walk.finish()
        return walk.report(time.monotonic() - started)


def read_rows(store: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The readable records of a shared ledger in order, each with its number; for showing, not for proving.

    Raises:
        TrailError: if the tables cannot be read.
    """
    with _snapshot(store) as connection, connection.cursor("records") as cursor:
        cursor.itersize = BATCH
        cursor.execute("select seq, leaf from guardrail.ledger order by seq", binary=True)
        for seq, leaf in cursor:
            try:
                yield int(seq), read_leaf(bytes(leaf))
            except ValueError:
                continue


def where(store: str) -> str:
    """A store without user and password, for reports."""
    given = conninfo_to_dict(store)
    if given.get("service") and not given.get("host"):
        return f"service={given['service']}"
    port = f":{given['port']}" if given.get("port") else ""
    return f"postgresql://{given.get('host') or given.get('hostaddr') or ''}{port}/{given.get('dbname') or ''}"


@contextmanager
def _snapshot(store: str) -> Generator[psycopg.Connection[Any]]:
    """A connection in which the tables stand still, and nothing can be written.

    Raises:
        TrailError: if there is none, or no ledger behind it.
    """
    try:
        with psycopg.connect(store, autocommit=True, application_name="guardrail-verify") as connection:
            connection.execute("begin isolation level repeatable read, read only", prepare=False)
            connection.execute(
                "select set_config('search_path', 'pg_catalog', true), set_config('statement_timeout', '0', true)"
            )
            row = connection.execute("select to_regclass('guardrail.ledger') is not null").fetchone()
            if not (row and row[0]):
                raise TrailError(f"there is no trail in `{where(store)}`: name the database that holds one")
            yield connection
    except psycopg.ProgrammingError as error:
        if error.diag.message_primary is None:
            raise TrailError("that is no connection: write `postgresql://user@host/database`") from None
        raise TrailError(f"cannot read the trail in `{where(store)}`: {error.diag.message_primary}") from None
    except psycopg.Error as error:
        text = (error.diag.message_primary or str(error)).strip().splitlines()[-1]
        raise TrailError(f"cannot read the trail in `{where(store)}`: {text[:1].lower()}{text[1:]}") from None


class _Rows(_Walk):
    """One pass over the tables."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        place: str,
        *,
        deep: bool,
        limit: int,
        progress: Callable[[int, int, int], None] | None,
    ) -> None:
        super().__init__(Path(place), deep=deep, limit=limit, progress=progress)
        self.named = place
        self.connection = connection
        self.edges: dict[int, bytes] = {}
        self.notes: list[bytes] = []
        self._read_checkpoints()

    def _read_checkpoints(self) -> None:
        rows = self.connection.execute("select size, note, roots from guardrail.checkpoints order by size").fetchall()
        for number, (size, note, roots) in enumerate(rows):
            text = str(note)
            self.notes.append(text.encode())
            self.edges[int(size)] = bytes(roots)
            if text.split("\n")[1:2] != [str(size)]:
                self.problem(f"the checkpoint lies under the size {size}", file="checkpoints", offset=number)

    def _own_key(self) -> str:
        row = self.connection.execute("select vkey from guardrail.log").fetchone()
        if row is None:
            self.problem("the trail has no verifier key", file="log")
            return ""
        return str(row[0])

    def _notes(self) -> Iterator[tuple[int, bytes]]:
        return iter(enumerate(self.notes))

    def take_rows(self) -> None:
        """Rows, leaves and tree."""
        self.total = self._bytes() if self.progress is not None else 0
        after: int = _BEFORE_ALL
        while True:
            rows: list[_Row] = self.connection.execute(_ROWS, (after, BATCH), binary=True).fetchall()
            if not rows:
                break
            for seq, kind, leaf, stored in rows:
                self._row(seq, kind, leaf, stored)
            after = self.seq - 1
            if self.progress is not None and self.records % PROGRESS_EVERY < BATCH:
                self.progress(self.records, self.done, self.total)
        self.total = self.done
        if self.progress is not None:
            self.progress(self.records, self.done, self.total)

    def _bytes(self) -> int:
        row = self.connection.execute("select coalesce(sum(octet_length(leaf)), 0) from guardrail.ledger").fetchone()
        return int(row[0]) if row else 0

    def _row(self, seq: int, kind: str, leaf: bytes, stored: bytes) -> None:
        if seq != self.seq:
            self._hole(seq)
        self.seq = seq + 1
        self.records += 1
        self.done += len(leaf)
        digest = hashlib.sha256(b"\0" + leaf).digest()
        if digest != stored:
            self.problem("its hash is not that of its leaf", file="ledger", seq=seq)
        if self.deep:
            record = self._leaf(leaf, seq, "ledger", None)
            if record is not None and record.get("kind") != kind:
                self.problem(f"lies under the kind `{kind}`, which its leaf is not", file="ledger", seq=seq)
        if self.whole:
            self.tree.push(digest)
            if seq + 1 == self.next_size:
                self._compare_root()

    def _hole(self, seq: int) -> None:
        what = f"record {self.seq} is" if seq == self.seq + 1 else f"records {self.seq} to {seq - 1} are"
        self.problem(f"{what} missing before this one", file="ledger", seq=seq)
        self.whole = False

    def _compare_root(self) -> None:
        edge = self.edges.get(self.tree.size)
        if edge is not None and edge != b"".join(self.tree.stack) and not self.suspect:
            # A replica without a checkpoint of its own begins with this one.
            self.problem(
                f"the right edge kept with the checkpoint over {self.tree.size} records is not that of its tree",
                file="checkpoints",
                seq=self.tree.size - 1 if self.tree.size else None,
            )
        super()._compare_root()

    def take_frontier(self) -> None:
        """The frontier: whoever writes next would build on it."""
        row = self.connection.execute("select size, roots from guardrail.frontier").fetchone()
        if row is None:
            self.problem("is missing", file="frontier")
        elif int(row[0]) != self.seq:
            self.problem(f"says that the ledger ends after {row[0]} records, not {self.seq}", file="frontier")
        elif self.whole and bytes(row[1]) != b"".join(self.tree.stack):
            self.problem("is not the right edge of the tree over the records", file="frontier")

    def report(self, seconds: float) -> Report:
        """What was found, under the name of the database."""
        return dataclasses.replace(super().report(seconds), directory=self.named)
