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
from array import array
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from guardrail.audit._report import Problem, Report
from guardrail.audit._verify import _Walk
from guardrail.audit._verify_format import read_leaf
from guardrail.audit._verify_kept import Kept
from guardrail.audit._verify_said import People
from guardrail.audit._verify_scan import Scan, Task, _Reading
from guardrail.audit._verify_trust import Expected, Witnesses
from guardrail.errors import TrailError

BATCH: Final = 1_000
"""Rows that are fetched at once: one by one, as COPY hands them over, costs six times as much."""

_ROWS: Final = "select seq, kind, leaf, hash from guardrail.ledger where seq > %b order by seq limit %b"

_Row = tuple[int, str, bytes, bytes]
_LEDGER: Final = "ledger"
_BEFORE_ALL: Final = -(2**63)
_NOWHERE: Final = Path("/nonexistent")
"""Where a trail in a directory would have tiles and disclosures; a database has none."""

Progress = Callable[[int, int, int], None]


def verify_rows(
    store: str,
    *,
    deep: bool,
    vkey: str | None,
    checkpoint: str | None,
    witnesses: Sequence[str],
    quorum: int,
    seen: Sequence[tuple[int, str]],
    people: Mapping[str, bytes] | None,
    former: Sequence[tuple[str, bytes]],
    progress: Progress | None,
    limit: int,
) -> Report:
    """Check a shared ledger from its rows alone; arguments and result as `guardrail.audit.verify`.

    Raises:
        TrailError: if the tables cannot be read.
    """
    started = time.monotonic()
    with _snapshot(store) as connection:
        walk = _Rows(connection, where(store), deep=deep, limit=limit, progress=progress)
        walk.witnesses = Witnesses(witnesses, quorum, walk.problem)
        walk.kept = Kept(_NOWHERE, people, walk.problem)
        walk.people = People((*(people or {}).items(), *former), walk.problem)
        walk.take_key(vkey)
        walk.take_checkpoints(checkpoint, seen)
        walk.take_segments()
        walk.take_frontier()
        walk.finish()
        return walk.report(time.monotonic() - started)


def read_rows(
    store: str, kinds: Collection[str] = (), *, first: int = 0, strict: bool = False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The readable records of a shared ledger in order, each with its number; for showing, not for proving.

    Args:
        store: connection string.
        kinds: only records of these kinds; empty means all of them.
        first: number of the first record that is wanted.
        strict: refuse to pass over what cannot be read.

    Raises:
        TrailError: if the tables cannot be read, or, if `strict`, one of the records.
    """
    # Named in the text, so that the index that is made for some of them is found.
    named = sql.SQL(", ").join(sql.Literal(kind) for kind in sorted(kinds))
    some = sql.SQL("and kind in ({})").format(named) if kinds else sql.SQL("")
    with _snapshot(store) as connection, connection.cursor("records") as cursor:
        cursor.itersize = BATCH
        asked = sql.SQL("select seq, leaf from guardrail.ledger where seq >= %s {} order by seq").format(some)
        cursor.execute(asked, (first,), binary=True)
        for seq, leaf in cursor:
            try:
                record = read_leaf(bytes(leaf))
            except ValueError as error:
                if strict:
                    what = f"the trail in `{where(store)}` is damaged: record {seq} {error}"
                    raise TrailError(f"{what}: run `guardrail audit verify` on it") from None
                continue
            yield int(seq), record


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


class _Chunk(_Reading):
    """Some rows, read as a segment would be."""

    def __init__(self, first: int, *, deep: bool, origin: str) -> None:
        super().__init__(Task(_LEDGER, first, deep, origin), None)

    def problem(self, what: str, offset: int, seq: int) -> None:  # noqa: ARG002 - a row has no offset
        self.out.problems.append((self.out.records, Problem(what=what, file=self.name, seq=seq)))

    def read(self, rows: Sequence[_Row]) -> Scan:
        """What the rows hold; a chunk without an unreadable row is joined to the one before by its numbers alone."""
        out = self.out
        for seq, kind, leaf, stored in rows:
            if seq != self.seq:
                what = f"record {self.seq} is" if seq == self.seq + 1 else f"records {self.seq} to {seq - 1} are"
                self.problem(f"{what} missing before this one", 0, seq)
                out.whole = False
            digest = hashlib.sha256(b"\0" + leaf).digest()
            if digest != stored:
                self.problem("its hash is not that of its leaf", 0, seq)
            self.seq = seq + 1
            out.records += 1
            out.size += len(leaf)
            if self.task.deep:
                self._leaf(leaf, seq, 0)
                self._kind(kind, leaf, seq)
            else:
                self._light_leaf(leaf, seq, 0)
            if out.whole:
                out.digests += digest
        out.next_seq = self.seq
        out.unanswered = [seq for seq, unanswered in self.open.items() if unanswered]
        out.intents = array("Q", sorted(self.open))
        return out

    def _kind(self, kind: str, leaf: bytes, seq: int) -> None:
        """Records are found by their kind: one under another kind would be overlooked."""
        said: object = kind
        if leaf.count(b'"kind":') != 1:
            try:
                said = read_leaf(leaf).get("kind")
            except ValueError:
                return  # told already
        elif b'"kind":"%b"' % kind.encode() not in leaf:
            said = None
        if said != kind:
            self.problem(f"lies under the kind `{kind}`, which its leaf is not", 0, seq)


class _Rows(_Walk):
    """One pass over the tables."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        named: str,
        *,
        deep: bool,
        limit: int,
        progress: Progress | None,
    ) -> None:
        super().__init__(_NOWHERE, deep=deep, limit=limit, progress=progress, jobs=1)
        self.named = named
        self.connection = connection
        self.edges: dict[int, bytes] = {}

    def problem(self, what: str, *, file: str = "", offset: int | None = None, seq: int | None = None) -> None:
        """As of a file, but a row lies nowhere."""
        super().problem(what, file=file, offset=None if file == _LEDGER else offset, seq=seq)

    # ── 1. the key and the checkpoints ────────────────────────────────────────────────────────────────────────────────

    def _own_keys(self) -> list[str]:
        row = self.connection.execute("select vkey from guardrail.log").fetchone()
        if row is None:
            self.problem("the trail has no verifier key", file="log")
            return []
        return [str(row[0])]

    def _own_keys_followed(self) -> None:
        """The table has the first key only; those that follow are in the records."""

    def _notes(self, name: str, *, cosigned: bool) -> Iterator[Expected]:
        if name != "checkpoints":
            return
        rows = self.connection.execute("select size, note, roots from guardrail.checkpoints order by size").fetchall()
        for number, (size, note, roots) in enumerate(rows):
            self.edges[int(size)] = bytes(roots)
            item = self._note(str(note).encode(), name, number, cosigned=cosigned)
            if item is None:
                continue
            if item.note.size != size:
                what = f"the checkpoint over {item.note.size} records lies under the size {size}"
                self.problem(what, file=name, offset=number)
            yield item

    def _compare_root(self) -> None:
        edge = self.edges.get(self.tree.size)
        if edge is not None and edge != b"".join(self.tree.stack) and not self.suspect:
            # A replica without a checkpoint of its own begins with this one.
            what = f"the right edge kept with the checkpoint over {self.tree.size} records is not that of its tree"
            self.problem(what, file="checkpoints", seq=max(0, self.tree.size - 1))
        super()._compare_root()

    # ── 2. the rows, 3. what they hold ────────────────────────────────────────────────────────────────────────────────

    def take_segments(self) -> None:
        """Every row, some at a time."""
        self.total = self._bytes() if self.progress is not None else 0
        after: int = _BEFORE_ALL
        while True:
            rows: list[_Row] = self.connection.execute(_ROWS, (after, BATCH), binary=True).fetchall()
            if not rows:
                break
            found = _Chunk(self.seq, deep=self.deep, origin=self.trust.origin).read(rows)
            self._segment(_LEDGER, found)
            after = self.seq - 1
            self._told(0, 0)
        self.total = self.done
        self._told(0, 0)

    def _bytes(self) -> int:
        row = self.connection.execute("select coalesce(sum(octet_length(leaf)), 0) from guardrail.ledger").fetchone()
        return int(row[0]) if row else 0

    def _tile(self, level: int, index: int, hashes: bytes) -> None:
        """A database keeps no tiles."""

    # ── 4. the frontier ───────────────────────────────────────────────────────────────────────────────────────────────

    def take_frontier(self) -> None:
        """Whoever writes next would build on it."""
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
