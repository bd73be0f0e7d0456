"""What must outlive files and processes: how often grants were used, what was revoked, and what is owed.

A use is never given back and a revocation never forgotten. All of it is an index of the trail: when the file is lost,
whoever owns the trail makes it again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from guardrail.errors import ConfigError, Fault
from guardrail.storage import StateFile, remedy, transaction

if TYPE_CHECKING:
    import sqlite3

BUSY_SECONDS: Final = 2.0
"""Longest wait for another process that is writing, in seconds; then the call is denied."""

_SCHEMA: Final = """
create table if not exists uses (mandate text, reach text, used integer not null, primary key (mandate, reach))
    without rowid;
create table if not exists revocations (mandate text, digest text, noted integer not null, envelope blob not null,
    primary key (mandate, digest)) without rowid;
create table if not exists obligations (id text primary key, opened integer not null, ended integer not null,
    data blob not null) without rowid;
create table if not exists orders (mandate text, digest text, primary key (mandate, digest)) without rowid;
create table if not exists marks (name text primary key, value integer not null) without rowid;
"""


class Use(NamedTuple):
    """One use of a grant that counts its uses.

    Args:
        mandate: id of the mandate.
        reach: `MandateGrant.key`.
        most: how often it may be used.
    """

    mandate: str
    reach: str
    most: int


class Counts(Protocol):
    """Who counts uses for several guards together."""

    def take(self, uses: Sequence[Use]) -> tuple[int, ...] | None:
        """Use grants up by one call, all or none; as `MandateLedger.take`."""
        ...


class KeptDuty(NamedTuple):
    """A duty as it stands, for whoever reads the trail from the place where this stopped.

    Args:
        id: `mandate/obligation`.
        opened: number of the record that opened it.
        ended: whether nothing is owed any more.
        data: what is known of it.
    """

    id: str
    opened: int
    ended: bool
    data: bytes


class MandateLedger:
    """Counts and revocations; thread-safe, shared by processes, and a fork opens its own connection.

    Args:
        path: the file, created with mode 0600; None keeps everything in memory.
        readonly: what is there counts, and nothing is written: uses are counted in memory on top of it.
        counts: counts for several guards together; what is counted here is then what was last known of it.

    Raises:
        ConfigError: if it cannot be used.
    """

    def __init__(self, path: Path | None = None, *, readonly: bool = False, counts: Counts | None = None) -> None:
        import sqlite3

        self._lock = threading.Lock()
        self._here: dict[tuple[str, str], int] = {}
        self._kept: dict[tuple[str, str], bytes] = {}
        self._file: StateFile | None = None
        self._writes = path is not None and not readonly
        self._counts = counts
        if path is None:
            return
        try:
            if readonly and not path.exists():
                return
            self._file = StateFile(path, busy=BUSY_SECONDS, readonly=readonly, durable=True)
            if not readonly:
                self._file.create()
                self._file.connection().executescript(_SCHEMA)
            else:
                self._file.connection().execute("select count(*) from sqlite_master").fetchone()
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise ConfigError(
                f"what was used and revoked of mandates, `{path}`, cannot be opened: "
                + remedy(error, "what the trail does not have of uses, revocations and duties")
            ) from None

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def used(self, mandate: str, reach: str) -> int:
        """How often a grant was used.

        Raises:
            Fault: if the file cannot be read.
        """
        here = self._here.get((mandate, reach), 0)
        if self._file is None:
            return here
        sql = "select used from uses where mandate = ? and reach = ?"
        with self._file.use("how often a mandate was used cannot be read") as db:
            row = db.execute(sql, (mandate, reach)).fetchone()
        return here + (row[0] if row is not None else 0)

    def take(self, uses: Sequence[Use]) -> tuple[int, ...] | None:
        """Use grants up by one call: all of them, or none.

        Args:
            uses: each grant once.

        Returns:
            The number of each use, from 1; None if one of them was used up before, by whomever.

        Raises:
            Fault: if that cannot be written, or others count as well and cannot be asked.
        """
        if self._counts is not None:
            return self._take_there(self._counts, uses)
        if not self._writes or self._file is None:
            return self._take_here(uses)
        try:
            with self._file.use("the use of a mandate cannot be counted") as db, transaction(db):
                return tuple(_count(db, use) for use in uses)
        except _UsedUp:
            return None

    def _take_there(self, counts: Counts, uses: Sequence[Use]) -> tuple[int, ...] | None:
        known = [self.used(use.mandate, use.reach) for use in uses]
        taken = counts.take(uses)
        if taken is None:
            return None
        for use, number, before in zip(uses, taken, known, strict=True):
            # INVARIANT: whoever puts the common count back gives no use back that was seen to be taken.
            if number <= before:
                raise Fault(
                    f"fewer uses of the mandate `{use.mandate}` are counted than were taken: the common count was put "
                    "back: ask for a new order"
                )
        self.restore({(use.mandate, use.reach): number for use, number in zip(uses, taken, strict=True)})
        return taken

    def _take_here(self, uses: Sequence[Use]) -> tuple[int, ...] | None:
        with self._lock:
            taken = [self.used(use.mandate, use.reach) + 1 for use in uses]
            if any(number > use.most for number, use in zip(taken, uses, strict=True)):
                return None
            for use in uses:
                self._here[use.mandate, use.reach] = self._here.get((use.mandate, use.reach), 0) + 1
            return tuple(taken)

    def keep(self, mandate: str, digest: str, envelope: bytes) -> None:
        """Keep a revocation that holds, so that it does so when its file is gone.

        Args:
            mandate: id of the mandate.
            digest: of the envelope, in hexadecimal.
            envelope: what was signed.

        Raises:
            Fault: if that cannot be written.
        """
        if (mandate, digest) in self._kept:
            return
        if self._writes and self._file is not None:
            values = {"m": mandate, "d": digest, "t": time.time_ns() // 1000, "e": envelope}
            with self._file.use("the revocation of a mandate cannot be kept") as db, transaction(db):
                db.execute("insert or ignore into revocations values (:m, :d, :t, :e)", values)
        self._kept[mandate, digest] = envelope

    def revocations(self) -> tuple[bytes, ...]:
        """Every revocation that was kept.

        Raises:
            Fault: if the file cannot be read.
        """
        if self._file is not None:
            with self._file.use("the revocations of mandates cannot be read") as db:
                rows = db.execute("select mandate, digest, envelope from revocations").fetchall()
            self._kept.update({(mandate, digest): bytes(envelope) for mandate, digest, envelope in rows})
        return tuple(self._kept.values())

    def restore(self, used: Mapping[tuple[str, str], int]) -> None:
        """Count what is known elsewhere of uses, such as from the trail, where less is counted here.

        Args:
            used: mandate and `MandateGrant.key` -> how often it was used.

        Raises:
            Fault: if that cannot be written.
        """
        sql = (
            "insert into uses values (?, ?, ?) "
            "on conflict (mandate, reach) do update set used = max(used, excluded.used)"
        )
        self._write(sql, [(*grant, number) for grant, number in used.items()])

    # -- what is owed: an index of the trail, which can be made again from it

    def keep_duty(self, duty: KeptDuty) -> None:
        """Note how a duty stands.

        Raises:
            Fault: if the file cannot be written.
        """
        self._write("insert or replace into obligations values (?, ?, ?, ?)", [duty])

    def duties(self) -> tuple[KeptDuty, ...]:
        """Every duty, as it was noted.

        Raises:
            Fault: if the file cannot be read.
        """
        rows = self._rows("select id, opened, ended, data from obligations")
        return tuple(KeptDuty(name, opened, bool(ended), bytes(data)) for name, opened, ended, data in rows)

    def keep_order(self, mandate: str, digest: str) -> None:
        """Note that an order is in the trail.

        Raises:
            Fault: if the file cannot be written.
        """
        self._write("insert or ignore into orders values (?, ?)", [(mandate, digest)])

    def orders(self) -> frozenset[tuple[str, str]]:
        """Mandate and digest of each order that is in the trail.

        Raises:
            Fault: if the file cannot be read.
        """
        return frozenset((mandate, digest) for mandate, digest in self._rows("select mandate, digest from orders"))

    def mark(self, name: str) -> int | None:
        """A number that was noted under a name.

        Raises:
            Fault: if the file cannot be read.
        """
        return dict(self._rows("select name, value from marks")).get(name)

    def set_mark(self, name: str, value: int) -> None:
        """Note a number under a name.

        Raises:
            Fault: if the file cannot be written.
        """
        self._write("insert or replace into marks values (?, ?)", [(name, value)])

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        if self._file is None:
            return []
        try:
            with self._file.use("what is owed under mandates cannot be read") as db:
                return db.execute(sql).fetchall()
        except Fault as error:
            if "no such table" in str(error):
                return []  # written by a guard of an earlier version, and only read here
            raise

    def _write(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if not self._writes or self._file is None or not rows:
            return
        with self._file.use("what is owed under a mandate cannot be kept") as db, transaction(db):
            db.executemany(sql, rows)


def _count(db: sqlite3.Connection, use: Use) -> int:
    # INVARIANT: it is counted before it is looked at, inside the one write lock of all processes.
    key = {"mandate": use.mandate, "reach": use.reach}
    db.execute(
        "insert into uses values (:mandate, :reach, 1) on conflict (mandate, reach) do update set used = used + 1", key
    )
    (number,) = db.execute("select used from uses where mandate = :mandate and reach = :reach", key).fetchone()
    if number > use.most:
        raise _UsedUp
    return int(number)


class _UsedUp(Exception):
    """One of the grants has no use left: what was counted is rolled back."""
