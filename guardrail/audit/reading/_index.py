"""A disposable index of a trail, so that one record among millions is found without reading all of them.

It is never evidence: what it finds is read from the trail and compared with the hash that the index has of it, and
anything that does not fit makes it useless, not the trail. Delete it at any time.
Blind spot: whoever can write the index can hide records from a search; `--no-index` reads the trail itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from guardrail.audit._place import is_store, state_directory
from guardrail.audit._segment import segment_name
from guardrail.audit._tree import leaf_hash
from guardrail.audit.reading import fields
from guardrail.audit.reading._leaves import Found, Place, read_leaf_at, read_leaves
from guardrail.audit.reading._selection import Selection

if TYPE_CHECKING:
    from guardrail.audit.postgres import Reader

VERSION: Final = 1
"""Version of the tables below; an index of another one is made anew."""

BATCH: Final = 20_000
"""How many records are taken up in one transaction."""

BUSY_SECONDS: Final = 10.0
"""Longest wait for another process that is bringing the same index up to date, in seconds."""

_SCHEMA: Final = """
CREATE TABLE record(seq INTEGER PRIMARY KEY, t_us INTEGER, kind TEXT NOT NULL,
                    segment INTEGER NOT NULL, place INTEGER NOT NULL, hash BLOB NOT NULL);
CREATE TABLE named(field TEXT NOT NULL, value TEXT NOT NULL, seq INTEGER NOT NULL,
                   PRIMARY KEY(field, value, seq)) WITHOUT ROWID;
CREATE INDEX named_of ON named(seq);
"""

Progress = Callable[[int], None]
"""Called now and then with the number of records taken up."""


class IndexUnusable(Exception):
    """The index is missing, of another version, damaged, locked, or not of this trail."""


def index_path(directory: Path | str) -> Path:
    """Where the index of a trail lies: beside it, under its name with `.index.db`; of a shared one with this user."""
    if is_store(directory):
        from guardrail.audit.postgres._verify import where

        name = hashlib.sha256(where(str(directory)).encode()).hexdigest()[:16]
        return state_directory() / f"trail-{name}.index.db"
    path = Path(directory).absolute()
    return path.with_name(f"{path.name}.index.db")


def build_index(directory: Path | str, *, progress: Progress | None = None) -> int:
    """Bring the index of a trail up to date, or make it anew where it cannot be.

    Returns:
        How many records it has.

    Raises:
        IndexUnusable: if it cannot be written.
        OSError: if the trail cannot be read.
    """
    try:
        with Index.open(directory) as index:
            index.update(progress)
            return index.size
    except IndexUnusable:
        pass
    try:
        for ending in ("", "-journal"):
            path = index_path(directory)
            path.with_name(path.name + ending).unlink(missing_ok=True)
        with Index.open(directory, create=True) as index:
            index.update(progress)
            return index.size
    except OSError as error:
        raise IndexUnusable(f"`{index_path(directory)}` cannot be replaced: {error.strerror}") from None


class Index:
    """An open index.

    Args:
        directory: the trail.
        source: reads single records of it.
        db: the connection.
    """

    def __init__(self, directory: Path | str, source: _Files | _Rows, db: sqlite3.Connection) -> None:
        self._directory = directory
        self._source = source
        self._db = db

    @classmethod
    def open(cls, directory: Path | str, *, create: bool = False) -> Self:
        """Open the index of a trail.

        Raises:
            IndexUnusable: if there is none, or it cannot be used.
        """
        path = index_path(directory)
        if not create and not path.is_file():
            raise IndexUnusable("there is no index")
        if is_store(directory):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _usable():
            # A rollback journal: the trail has one writer, and WAL would leave files behind that others cannot read.
            db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                _prepare(db, create=create)
            except BaseException:
                db.close()
                raise
        path.chmod(0o600)
        return cls(directory, _Rows(str(directory)) if is_store(directory) else _Files(Path(directory)), db)

    @property
    def size(self) -> int:
        """How many records it has."""
        with _usable():
            return int(self._db.execute("SELECT count(*) FROM record").fetchone()[0])

    def update(self, progress: Progress | None = None) -> None:
        """Take up what the trail has had since.

        Raises:
            IndexUnusable: if the last record that it knows is not the one in the trail, or it cannot be written.
            OSError: if the trail cannot be read.
        """
        with _usable():
            self._forget_pruned()
            last = self._last()
        done = 0
        batch: list[Found] = []
        for found in read_leaves(self._directory, last):
            batch.append(found)
            if len(batch) >= BATCH:
                self._take(batch)
                done += len(batch)
                batch = []
                if progress is not None:
                    progress(done)
        if batch:
            self._take(batch)

    def _forget_pruned(self) -> None:
        """Segments that left the trail leave the index too."""
        left = self._source.first()
        low = self._db.execute("SELECT min(seq) FROM record").fetchone()[0]
        if low is not None and low < left:
            self._db.execute("DELETE FROM named WHERE seq < ?", (left,))
            self._db.execute("DELETE FROM record WHERE seq < ?", (left,))

    def _last(self) -> Place | None:
        row = self._db.execute("SELECT seq, segment, place, hash FROM record ORDER BY seq DESC LIMIT 1").fetchone()
        if row is None:
            return None
        found = self._read(*row)
        if found is None:
            raise IndexUnusable("the index is not of this trail as it is")
        return found.after

    def _take(self, batch: Iterable[Found]) -> None:
        with _usable():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for found in batch:
                    self._add(found)
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def _add(self, found: Found) -> None:
        first = int(found.file[:20]) if found.file else 0
        if found.file and found.file != segment_name(first):
            raise IndexUnusable(f"`{found.file}` is not named like a segment")
        record = found.record() or {}
        kind = fields.kind_of(record)
        row = (found.seq, fields.time_of(record), kind, first, found.offset, leaf_hash(found.leaf))
        self._db.execute("INSERT OR REPLACE INTO record VALUES(?,?,?,?,?,?)", row)
        self._db.executemany(
            "INSERT OR IGNORE INTO named VALUES(?,?,?)", [(*name, found.seq) for name in _names(record)]
        )
        if kind == "result":
            # A result is found by everything that its intent is found by.
            self._db.executemany(
                "INSERT OR IGNORE INTO named SELECT field, value, ? FROM named WHERE seq = ? AND EXISTS"
                " (SELECT 1 FROM record WHERE seq = ? AND kind = 'intent')",
                [(found.seq, intent, intent) for intent in fields.intents_of(record)],
            )

    def find(self, selection: Selection) -> Iterator[Found]:
        """The records that are asked for, in order, each read from the trail and compared with its hash.

        Raises:
            IndexUnusable: if a record in the trail is not the one that was indexed.
            OSError: if the trail cannot be read.
        """
        where, values = _conditions(selection)
        query = f"SELECT seq, segment, place, hash FROM record WHERE {where} ORDER BY seq"  # noqa: S608 - no text of others in it
        with _usable():
            rows = self._db.execute(query, values)
        while True:
            with _usable():
                row = rows.fetchone()
            if row is None:
                return
            found = self._read(*row)
            if found is None:
                raise IndexUnusable("a record is not the one that was indexed")
            yield found

    def begin_of(self, since_us: int) -> Place | None:
        """Where the first record of that time or later begins; None if there is none.

        Raises:
            IndexUnusable: if a record in the trail is not the one that was indexed.
        """
        with _usable():
            row = self._db.execute(
                "SELECT seq, segment, place, hash FROM record WHERE t_us >= ? ORDER BY seq LIMIT 1", (since_us,)
            ).fetchone()
        if row is None:
            return None
        found = self._read(*row)
        if found is None:
            raise IndexUnusable("a record is not the one that was indexed")
        return Place(found.file, found.offset, found.seq)

    def _read(self, seq: int, segment: int, offset: int, digest: bytes) -> Found | None:
        found = self._source.at(seq, segment, offset)
        # INVARIANT: nothing is shown on the index's word: the leaf must be the one whose hash was taken.
        return found if found is not None and leaf_hash(found.leaf) == digest else None

    def close(self) -> None:
        """Let go of the file, and of the trail."""
        self._db.close()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Files:
    """Single records of a trail in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def first(self) -> int:
        """Number of the first record that is left; 0 if nothing is known to be gone."""
        left = min((path.name for path in self._directory.glob("*.seg")), default="")
        return int(left[:20]) if left[:20].isdigit() else 0

    def at(self, seq: int, segment: int, offset: int) -> Found | None:
        """The record at a place."""
        try:
            return read_leaf_at(self._directory, Place(segment_name(segment), offset, seq))
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Nothing is held."""


class _Rows:
    """Single records of a shared trail; connected when the first is asked for."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._held = contextlib.ExitStack()
        self._reader: Reader | None = None

    def _open(self) -> Reader:
        if self._reader is None:
            from guardrail.audit.postgres import Reader

            self._reader = self._held.enter_context(Reader.open(self._store))
        return self._reader

    def first(self) -> int:
        """Number of the first record that is left."""
        return self._open().first()

    def at(self, seq: int, _segment: int, _offset: int) -> Found | None:
        """The record of a number."""
        leaf = self._open().leaf(seq)
        return None if leaf is None else Found(seq, leaf, "", 0)

    def close(self) -> None:
        """Let go of the connection."""
        self._held.close()


def _prepare(db: sqlite3.Connection, *, create: bool) -> None:
    db.execute("PRAGMA synchronous=OFF")  # it is made anew if a crash leaves it damaged
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if create and version == 0:
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
    elif version != VERSION:
        raise IndexUnusable("the index is of another version")


def _names(record: fields.Record) -> Iterator[tuple[str, str]]:
    """Everything that a record can be found by."""
    for field, values in (
        ("id", fields.ids_of(record)), ("asset", fields.assets_of(record)), ("rule", fields.rules_of(record)),
        ("call", (fields.call_of(record),)), ("agent", (fields.agent_of(record),)),
        ("session", (fields.session_of(record),)),
    ):  # fmt: skip
        yield from ((field, value) for value in values if value)


def _conditions(selection: Selection) -> tuple[str, list[Any]]:
    parts: list[str] = ["1"]
    values: list[Any] = []
    for condition, value in (
        ("seq >= ?", selection.first), ("seq <= ?", selection.last),
        ("t_us >= ?", selection.since_us), ("t_us < ?", selection.until_us),
    ):  # fmt: skip
        if value is not None:
            parts.append(condition)
            values.append(value)
    if selection.kinds:
        parts.append(f"kind IN ({_marks(selection.kinds)})")
        values += selection.kinds
    for field, given in (
        ("id", selection.ids), ("call", selection.calls), ("agent", selection.agents),
        ("session", selection.sessions), ("asset", selection.assets), ("rule", selection.rules),
    ):  # fmt: skip
        if given:
            parts.append(f"seq IN (SELECT seq FROM named WHERE field = ? AND value IN ({_marks(given)}))")  # noqa: S608 - question marks only
            values += (field, *given)
    return " AND ".join(parts), values


def _marks(values: tuple[str, ...]) -> str:
    return ",".join("?" * len(values))


@contextlib.contextmanager
def _usable() -> Generator[None]:
    """Whatever SQLite says, the index is what is wrong, and it can be made anew."""
    try:
        yield
    except sqlite3.Error as error:
        raise IndexUnusable(f"the index cannot be used: {error}") from None
