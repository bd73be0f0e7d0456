"""The verifier of a shared ledger: the same checks as of segment files, over one snapshot of the tables.

1. The key and the checkpoints, as everywhere; each note lies under its own size, with the right edge of its tree.
2. Every row: dense numbers, the hash that of its leaf, the kind that of its record.
3. Every leaf (deep), the tree, the end and the pairs: see `guardrail.audit._verify_walk`.
4. The frontier: exactly the tree over the rows.

INVARIANT: nothing is imported from the writer, as in `_verify`; that the database computes hashes is not relied on.
Blind spot: a database that was put back together with its checkpoints is found only by somebody who kept a later one.
"""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from operator import itemgetter
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from guardrail.audit._report import Problem, Report
from guardrail.audit._verify_format import read_leaf
from guardrail.audit._verify_kept import Disclosing, Kept
from guardrail.audit._verify_pool import spread
from guardrail.audit._verify_said import People
from guardrail.audit._verify_scan import Reading, Scan, Task, without_collecting
from guardrail.audit._verify_trust import Expected, Witnesses
from guardrail.audit._verify_walk import Progress, Walk
from guardrail.errors import TrailError

BATCH: Final = 1_024
"""Rows that are fetched at once, four tiles: one by one, as COPY hands them over, costs six times as much."""

WORTH_ROWS: Final = 200_000
"""From how many rows on a ledger is worth further processes: each takes a fraction of a second to start."""

PART_ROWS: Final = 65_536
"""Rows that one process reads at a time."""

BESIDE_STEP: Final = 2
"""The migration with what lies beside the ledger: tiles, cosigned checkpoints, later keys, disclosures."""

KEYS_STEP: Final = 3
"""The migration from which on records about keys outlive their rows."""

_ROWS: Final = "select seq, kind, leaf, hash from guardrail.ledger where seq > %b and seq < %b order by seq limit %b"

_Row = tuple[int, str, bytes, bytes]
_LEDGER: Final = "ledger"
_BEFORE_ALL: Final = -(2**63)
_BEHIND_ALL: Final = 2**63 - 1


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
    jobs: int,
    progress: Progress | None,
    limit: int,
) -> Report:
    """Check a shared ledger from its rows alone; arguments and result as `guardrail.audit.verify`.

    Raises:
        TrailError: if the tables cannot be read.
    """
    started = time.monotonic()
    with _snapshot(store) as connection:
        walk = _Rows(connection, store, deep=deep, limit=limit, progress=progress, jobs=jobs)
        walk.witnesses = Witnesses(witnesses, quorum, walk.problem)
        walk.kept = _KeptRows(connection, people, walk.problem)
        walk.people = People((*(people or {}).items(), *former), walk.problem)
        walk.take_key(vkey)
        walk.take_checkpoints(checkpoint, seen)
        walk.take_segments()
        walk.take_frontier()
        walk.finish()
        return walk.report(where(store), time.monotonic() - started)


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
    """A connection in which the tables stand still, and nothing can be written; raises as `readable`."""
    with readable(store) as connection:
        connection.execute("begin isolation level repeatable read, read only", prepare=False)
        yield connection


@contextmanager
def readable(store: str) -> Generator[psycopg.Connection[Any]]:
    """A connection through which nothing can be written.

    Raises:
        TrailError: if there is none, or no ledger behind it.
    """
    try:
        with psycopg.connect(store, autocommit=True, application_name="guardrail-verify") as connection:
            connection.execute(
                "select set_config('search_path', 'pg_catalog', false), set_config('statement_timeout', '0', false),"
                " set_config('default_transaction_read_only', 'on', false)"
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


class _Chunk(Reading):
    """Some rows, read as a segment would be."""

    def __init__(self, first: int, *, deep: bool, origin: str) -> None:
        super().__init__(Task(_LEDGER, first, deep, origin), None)

    def problem(self, what: str, offset: int, seq: int) -> None:  # noqa: ARG002 - a row has no offset
        self.out.problems.append((self.out.records, Problem(what=what, file=self.name, seq=seq)))

    def read(self, rows: Sequence[_Row]) -> Scan:
        """What the rows hold; a chunk without an unreadable row is joined to the one before by its numbers alone."""
        out, before, prefix = self.out, self.out.records, hashlib.sha256(b"\0")
        leaves, nowhere = [row[2] for row in rows], [0] * len(rows)
        kinds = self.take(leaves, [row[0] for row in rows], nowhere)
        out.records = before
        for number, (seq, kind, leaf, stored) in enumerate(rows):
            if seq != self.seq:
                what = f"record {self.seq} is" if seq == self.seq + 1 else f"records {self.seq} to {seq - 1} are"
                self.problem(f"{what} missing before this one", 0, seq)
                out.whole = False
            hashed = prefix.copy()
            hashed.update(leaf)
            digest = hashed.digest()
            if digest != stored:
                self.problem("its hash is not that of its leaf", 0, seq)
            self.seq = seq + 1
            out.records += 1
            out.size += len(leaf)
            # Records are found by their kind: one under another kind would be overlooked.
            if kinds and kinds[number] not in (kind, None):
                self.problem(f"lies under the kind `{kind}`, which its leaf is not", 0, seq)
            if out.whole:
                out.digests += digest
        out.problems.sort(key=itemgetter(0))
        out.next_seq = self.seq
        out.unanswered = [seq for seq, unanswered in self.open.items() if unanswered]
        out.intents = array("Q", sorted(self.open))
        return out


class Part(NamedTuple):
    """Some rows, for another process: those of a snapshot from `first` up to and without `end`."""

    store: str
    snapshot: str
    first: int
    end: int
    deep: bool
    origin: str


def read_part(part: Part) -> Scan:
    """What some rows hold.

    Raises:
        TrailError: if they cannot be read.
    """
    chunk = _Chunk(part.first, deep=part.deep, origin=part.origin)
    with readable(part.store) as connection, without_collecting():
        connection.execute("begin isolation level repeatable read, read only", prepare=False)
        connection.execute(sql.SQL("set transaction snapshot {}").format(part.snapshot), prepare=False)
        for rows in batches(connection, part.first - 1, part.end):
            chunk.read(rows)
    return chunk.out


def batches(connection: psycopg.Connection[Any], after: int, end: int = _BEHIND_ALL) -> Iterator[list[_Row]]:
    """Rows behind a place and before another; the server reads some while those before are looked at."""

    def some(after: int) -> list[_Row]:
        return connection.execute(_ROWS, (after, end, BATCH), binary=True).fetchall()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(some, after)
        while rows := waiting.result():
            # Whoever else uses the connection meanwhile waits: psycopg lets one statement at a time through.
            waiting = pool.submit(some, rows[-1][0])
            yield rows


class _KeptRows(Kept):
    """What the records say of themselves, and what the tables have beside them."""

    def __init__(
        self, connection: psycopg.Connection[Any], people: Mapping[str, bytes] | None, tell: Callable[..., None]
    ) -> None:
        self._connection = connection
        super().__init__(people, tell)

    def _read_minimum(self) -> int:
        """What the last order to prune says; that it is there, is signed and fits the tree is seen on the way."""
        query = "select leaf from guardrail.ledger where kind = 'retention' order by seq desc"
        for (leaf,) in self._connection.execute(query, binary=True):
            with suppress(ValueError):
                record = read_leaf(bytes(leaf))
                if record.get("event") == "prune" and type(minimum := record.get("minimum")) is int:
                    return minimum
        return 0

    def _held(self, wanted: Sequence[Disclosing]) -> Iterator[tuple[Disclosing, str, dict[str, object]]]:
        query = "select record, pointer, text from guardrail.disclosures where record = any(%b)"
        for at in range(0, len(wanted), BATCH):
            some = wanted[at : at + BATCH]
            held: dict[str, dict[str, object]] = {}
            for record, pointer, text in self._connection.execute(query, ([one[1] for one in some],)).fetchall():
                held.setdefault(record, {})[pointer] = text
            for one in some:
                yield one, "disclosures", held.get(one[1], {})


def _step(connection: psycopg.Connection[Any]) -> int:
    """How far the tables are: those of an earlier release have fewer of them."""
    row = connection.execute("select max(number) from guardrail.migrations").fetchone()
    return int(row[0]) if row and row[0] else 0


class _Rows(Walk):
    """One pass over the tables."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        store: str,
        *,
        deep: bool,
        limit: int,
        progress: Progress | None,
        jobs: int,
    ) -> None:
        super().__init__(deep=deep, limit=limit, progress=progress, jobs=jobs)
        self.store = store
        self.connection = connection
        self.edges: dict[int, bytes] = {}
        self.step = _step(connection)

    def problem(self, what: str, *, file: str = "", offset: int | None = None, seq: int | None = None) -> None:
        """As of a file, but a row lies nowhere."""
        super().problem(what, file=file, offset=None if file == _LEDGER else offset, seq=seq)

    # ── 1. the key and the checkpoints ────────────────────────────────────────────────────────────────────────────────

    def _own_keys(self) -> list[str]:
        listed = self._listed()
        if not listed:
            self.problem("the trail has no verifier key", file="log")
        return listed

    def _listed(self) -> list[str]:
        first = self.connection.execute("select vkey from guardrail.log").fetchall()
        later = "select next from guardrail.keys order by seq"
        after = self.connection.execute(later).fetchall() if self.step >= BESIDE_STEP else []
        return list(dict.fromkeys(str(row[0]) for row in (*first, *after)))

    def _notes(self, name: str, *, cosigned: bool) -> Iterator[Expected]:
        if name != "checkpoints":
            yield from self._cosigned()
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

    def _cosigned(self) -> Iterator[Expected]:
        if self.step < BESIDE_STEP:
            return
        rows = self.connection.execute("select note from guardrail.cosigned order by size, number").fetchall()
        for number, (note,) in enumerate(rows):
            item = self._note(str(note).encode(), "cosigned", number, cosigned=True)
            if item is not None:
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
        if self.kept.minimum:
            self._below(self.kept.minimum)
            self._pruned(self.kept.minimum)
            after = self.kept.minimum - 1
        parts = self._parts()
        with without_collecting():
            for part, found in spread(parts, self.jobs, read_part) if parts else ():
                self._missing(part)
                self._segment(_LEDGER, found)
                self._told(0, 0)
            # Nothing is left here after all parts.
            for rows in batches(self.connection, self.seq - 1 if parts else after):
                found = _Chunk(self.seq, deep=self.deep, origin=self.trust.origin).read(rows)
                self._segment(_LEDGER, found)
                self._told(0, 0)
        self.total = self.done
        self._told(0, 0)

    def _parts(self) -> list[Part]:
        """The rows in parts for other processes, which see exactly what this one sees; none if they are few."""
        row = self.connection.execute(
            "select min(seq), max(seq) + 1 from guardrail.ledger where seq >= %b", (self.kept.minimum,)
        ).fetchone()
        if self.jobs < 2 or row is None or row[0] != self.seq or row[1] - row[0] < WORTH_ROWS:
            return []
        shared = self.connection.execute("select pg_export_snapshot()").fetchone()
        return [
            Part(self.store, str((shared or ("",))[0]), at, min(at + PART_ROWS, row[1]), self.deep, self.trust.origin)
            for at in range(self.seq, row[1], PART_ROWS)
        ]

    def _missing(self, part: Part) -> None:
        if part.first != self.seq:
            several = part.first > self.seq + 1
            what = f"records {self.seq} to {part.first - 1} are" if several else f"record {self.seq} is"
            self.problem(f"{what} missing before this one", file=_LEDGER, seq=part.first)
            self._lost(part.first)

    def _bytes(self) -> int:
        row = self.connection.execute("select coalesce(sum(octet_length(leaf)), 0) from guardrail.ledger").fetchone()
        return int(row[0]) if row else 0

    def _below(self, minimum: int) -> None:
        row = self.connection.execute("select count(*) from guardrail.ledger where seq < %b", (minimum,)).fetchone()
        if row and row[0]:
            self.problem(f"{row[0]} records were pruned and are still there: prune again", file=_LEDGER, seq=0)

    def _kept_keys(self) -> Iterator[tuple[int, bytes]]:
        if self.step < KEYS_STEP:
            return
        query = "select leaf from guardrail.keys where leaf is not null order by seq"
        for number, (leaf,) in enumerate(self.connection.execute(query, binary=True).fetchall()):
            yield number, bytes(leaf)

    def _stored_tile(self, level: int, index: int) -> bytes | None:
        if self.step < BESIDE_STEP:
            return None
        query = "select hashes from guardrail.tiles where level = %b and tile = %b"
        row = self.connection.execute(query, (level, index), binary=True).fetchone()
        return None if row is None else bytes(row[0])

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
