"""What must outlive files and processes: how often grants were used, what was revoked, and what is owed.

A use is never given back, a revocation never forgotten, and a duty ends only by being met or withdrawn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

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
create table if not exists duties (id text, effect text, asset text, mandate text not null, subject text not null,
    state text not null, primary key (id, effect, asset)) without rowid;
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


class Duty(NamedTuple):
    """What somebody owes under a mandate.

    Args:
        id: `mandate/obligation`.
        effect: what is owed.
        asset: on which asset.
        mandate: id of the mandate.
        subject: pattern of agents that owe it.
        state: `open`, `met` or `withdrawn`.
    """

    id: str
    effect: str
    asset: str
    mandate: str
    subject: str
    state: str = "open"


class MandateLedger:
    """Counts and revocations; thread-safe, shared by processes, and a fork opens its own connection.

    Args:
        path: the file, created with mode 0600; None keeps everything in memory.
        readonly: what is there counts, and nothing is written: uses are counted in memory on top of it.

    Raises:
        ConfigError: if it cannot be used.
    """

    def __init__(self, path: Path | None = None, *, readonly: bool = False) -> None:
        import sqlite3

        self._failures = sqlite3.Error
        self._lock = threading.Lock()
        self._here: dict[tuple[str, str], int] = {}
        self._kept: dict[tuple[str, str], bytes] = {}
        self._file: StateFile | None = None
        self._writes = path is not None and not readonly
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
                + remedy(error, "which uses were counted, what was revoked, and what is owed")
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
        with self._file.lock:
            try:
                row = (
                    self._file.connection()
                    .execute("select used from uses where mandate = ? and reach = ?", (mandate, reach))
                    .fetchone()
                )
            except self._failures as error:
                raise Fault(f"how often a mandate was used cannot be read: {error}") from None
        return here + (row[0] if row is not None else 0)

    def take(self, uses: Sequence[Use]) -> tuple[int, ...] | None:
        """Use grants up by one call: all of them, or none.

        Args:
            uses: each grant once.

        Returns:
            The number of each use, from 1; None if one of them was used up before, by whomever.

        Raises:
            Fault: if that cannot be written.
        """
        if not self._writes or self._file is None:
            return self._take_here(uses)
        with self._file.lock:
            try:
                with transaction(self._file.connection()) as db:
                    taken = tuple(_count(db, use) for use in uses)
            except _UsedUp:
                return None
            except self._failures as error:
                raise Fault(f"the use of a mandate cannot be counted: {error}") from None
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
            with self._file.lock:
                try:
                    with transaction(self._file.connection()) as db:
                        db.execute("insert or ignore into revocations values (:m, :d, :t, :e)", values)
                except self._failures as error:
                    raise Fault(f"the revocation of a mandate cannot be kept: {error}") from None
        self._kept[mandate, digest] = envelope

    def revocations(self) -> tuple[bytes, ...]:
        """Every revocation that was kept.

        Raises:
            Fault: if the file cannot be read.
        """
        if self._file is not None:
            with self._file.lock:
                try:
                    rows = (
                        self._file.connection().execute("select mandate, digest, envelope from revocations").fetchall()
                    )
                except self._failures as error:
                    raise Fault(f"the revocations of mandates cannot be read: {error}") from None
            self._kept.update({(mandate, digest): bytes(envelope) for mandate, digest, envelope in rows})
        return tuple(self._kept.values())

    def owe(self, duty: Duty) -> str:
        """Keep a duty, unless it is kept.

        Returns:
            How it stands: `open`, `met` or `withdrawn`.

        Raises:
            Fault: if the file cannot be read or written.
        """
        kept = self._duty(duty)
        if kept is not None:
            return kept
        self._write_duty(duty)
        return duty.state

    def settle(self, duty: Duty) -> None:
        """Note that a duty stands differently now.

        Raises:
            Fault: if the file cannot be written.
        """
        self._write_duty(duty)

    def owed(self) -> tuple[Duty, ...]:
        """Every duty that is open.

        Raises:
            Fault: if the file cannot be read.
        """
        rows = self._rows("select id, effect, asset, mandate, subject, state from duties where state = 'open'", ())
        return tuple(Duty(*row) for row in rows)

    def _duty(self, duty: Duty) -> str | None:
        sql = "select state from duties where id = ? and effect = ? and asset = ?"
        rows = self._rows(sql, (duty.id, duty.effect, duty.asset))
        return rows[0][0] if rows else None

    def _rows(self, sql: str, values: tuple[str, ...]) -> list[tuple[str, ...]]:
        if self._file is None:
            return []
        with self._file.lock:
            try:
                return self._file.connection().execute(sql, values).fetchall()
            except self._failures as error:
                raise Fault(f"what is owed under mandates cannot be read: {error}") from None

    def _write_duty(self, duty: Duty) -> None:
        if not self._writes or self._file is None:
            return
        with self._file.lock:
            try:
                with transaction(self._file.connection()) as db:
                    db.execute("insert or replace into duties values (?, ?, ?, ?, ?, ?)", duty)
            except self._failures as error:
                raise Fault(f"what is owed under a mandate cannot be kept: {error}") from None


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
