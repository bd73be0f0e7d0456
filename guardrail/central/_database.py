"""One connection to the database of the centre, and everything that is asked of it.

Not concerned with when it is asked (`_follower`, `_counts`, `_people`).
"""

from __future__ import annotations

import select
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, Self

import orjson
import psycopg
from psycopg import sql

from guardrail.audit.postgres import Limits, Server, place
from guardrail.central._bell import Bell
from guardrail.errors import TrailError
from guardrail.mandates import Use
from guardrail.mandates._directory import MAX_FILES, MAX_REVOCATIONS

CHANNEL: Final = "guardrail"
"""Where the database says that there is something new."""

MOST: Final[Mapping[str, int]] = {"mandates": MAX_FILES, "revocations": MAX_REVOCATIONS}
"""Tables of envelopes, and how many of them a guard reads: with one more it heeds none, and its book says so."""

FETCHED: Final = 64
"""Most envelopes that are fetched at one time."""

MAX_ANNOUNCED: Final = 8
"""Most announcements of a kind that are looked at, the newest: people leave one."""

MAX_USED: Final = 10_000
"""Most counts of uses that are looked at in passing; the count itself is asked about each."""


class RefusedTrail(TrailError):
    """The centre has seen another trail of this name, or more of it than there is."""


class Checkpoint(NamedTuple):
    """What the centre is told of a trail.

    Args:
        origin: its name.
        vkey: the key that signs it.
        note: the signed checkpoint.
        proof: the hashes that lead from the checkpoint which the centre has to this one.
        facts: what the guard says of itself.
    """

    origin: str
    vkey: str
    note: str
    proof: Sequence[bytes]
    facts: Mapping[str, str | int]


class Row(NamedTuple):
    """What the centre has of one trail."""

    origin: str
    vkey: str
    size: int
    root: bytes
    note: str
    facts: Mapping[str, Any]
    seconds: float


class Database:
    """An open connection.

    Args:
        store: connection string.
        timeout_seconds: longest wait for one answer, in seconds.

    Raises:
        TrailError: if it cannot be used.
    """

    def __init__(self, store: str, timeout_seconds: float) -> None:
        self.where = place(store)
        self._timeout = timeout_seconds
        self._server = Server(store, Limits.within(timeout_seconds))
        try:
            with self._server.deadline(timeout_seconds):
                self._server.prepare()
            self._check()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go."""
        self._server.close()

    def cut(self) -> None:
        """End whatever is under way, from any thread."""
        self._server.cut(now=True)

    @contextmanager
    def asking(self) -> Generator[psycopg.Connection[Any]]:
        """The connection for one exchange, which ends when the time is up.

        Raises:
            TrailError: if it came to nothing.
        """
        with self._server.deadline(self._timeout), self._server.call() as connection:
            yield connection

    def _check(self) -> None:
        with self.asking() as connection:
            row = connection.execute("select to_regclass('guardrail.statements') is not null").fetchone()
        if not (row and row[0]):
            raise TrailError(
                f"`{self.where}` has no tables of the centre, or older ones: run `guardrail audit migrate` on it"
            )

    def ping(self) -> None:
        """Make sure that somebody is there.

        Raises:
            TrailError: if nobody is.
        """
        with self.asking() as connection:
            connection.execute("select 1")

    # ── news ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def listen(self) -> None:
        """Hear of news from now on."""
        with self.asking() as connection:
            connection.execute(f"listen {CHANNEL}")

    def wait(self, seconds: float, bell: Bell) -> None:
        """Wait for news, or until somebody here rings; `cut` ends it early, with an error.

        Raises:
            TrailError: if the connection is lost.
        """
        with self._server.call() as connection:
            # What came while something else was asked is there already, and the socket would not tell.
            if not list(connection.notifies(timeout=0)):
                either = select.poll()
                for one in (connection, bell):
                    either.register(one, select.POLLIN)
                either.poll(seconds * 1000)
                # A connection that was lost says so here.
                list(connection.notifies(timeout=0))
        bell.hush()

    def names(self, table: str) -> frozenset[str]:
        """Digests of the envelopes in a table, one more than a guard reads at most."""
        with self.asking() as connection:
            rows = connection.execute(
                sql.SQL("select digest from {} order by digest limit %s").format(_named(table)), (MOST[table] + 1,)
            ).fetchall()
        return frozenset(str(row[0]) for row in rows)

    def envelopes(self, table: str, names: Collection[str]) -> dict[str, bytes]:
        """Envelopes of a table by digest."""
        wanted, found = sorted(names), dict[str, bytes]()
        for at in range(0, len(wanted), FETCHED):
            with self.asking() as connection:
                rows = connection.execute(
                    sql.SQL("select digest, envelope from {} where digest = any(%s)").format(_named(table)),
                    (wanted[at : at + FETCHED],),
                ).fetchall()
            found |= {str(digest): bytes(envelope) for digest, envelope in rows}
        return found

    def announced(self, kind: str) -> frozenset[str]:
        """Digests of what is announced of a kind, the newest."""
        with self.asking() as connection:
            rows = connection.execute(
                "select digest from guardrail.announced where kind = %s order by noted desc, digest limit %s",
                (kind, MAX_ANNOUNCED),
            ).fetchall()
        return frozenset(str(row[0]) for row in rows)

    def announcements(self, kind: str, names: Collection[str]) -> dict[str, bytes]:
        """What is announced of a kind, by digest."""
        found: dict[str, bytes] = {}
        for name in sorted(names):
            with self.asking() as connection:
                row = connection.execute(
                    "select envelope from guardrail.announced where kind = %s and digest = %s", (kind, name)
                ).fetchone()
            found |= {} if row is None else {name: bytes(row[0])}
        return found

    # ── uses ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def used(self) -> dict[tuple[str, str], int]:
        """How often grants were used: mandate and `MandateGrant.key` -> number."""
        with self.asking() as connection:
            rows = connection.execute(
                "select mandate, reach, used from guardrail.uses order by mandate, reach limit %s", (MAX_USED,)
            ).fetchall()
        return {(str(mandate), str(reach)): int(used) for mandate, reach, used in rows}

    def take(self, uses: Sequence[Use]) -> tuple[int, ...] | None:
        """Use grants up by one call: all of them, or none; None if one was used up before.

        Raises:
            TrailError: if it is not known to be counted; it may be, and then that use is lost.
        """
        numbers: dict[Use, int] = {}
        with self.asking() as connection, connection.transaction() as transaction:
            # In one order, so that two calls which use the same grants do not wait for each other.
            for use in sorted(uses):
                row = connection.execute(
                    "insert into guardrail.uses as counted (mandate, reach, used) values (%s, %s, 1)"
                    " on conflict (mandate, reach) do update set used = counted.used + 1 where counted.used < %s"
                    " returning used",
                    use,
                ).fetchone()
                if row is None:
                    raise psycopg.Rollback(transaction)
                numbers[use] = int(row[0])
        return tuple(numbers[use] for use in uses) if len(numbers) == len(uses) else None

    # ── trails ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def recorded(self, origin: str) -> int | None:
        """How many records of a trail were seen; None if nothing was."""
        with self.asking() as connection:
            row = connection.execute("select size from guardrail.origins where origin = %s", (origin,)).fetchone()
        return None if row is None else int(row[0])

    def record(self, checkpoint: Checkpoint) -> None:
        """Have a checkpoint recorded, if it extends what was seen.

        Raises:
            RefusedTrail: if it does not.
            TrailError: if it is not known to be recorded.
        """
        with self.asking() as connection:
            try:
                connection.execute(
                    "insert into guardrail.origins as seen (origin, vkey, note, proof, facts)"
                    " values (%s, %s, %s, %s, %s) on conflict (origin) do update"
                    " set note = excluded.note, proof = excluded.proof, facts = excluded.facts",
                    (
                        checkpoint.origin,
                        checkpoint.vkey,
                        checkpoint.note,
                        b"".join(checkpoint.proof),
                        orjson.dumps(checkpoint.facts).decode(),
                    ),
                )
            except psycopg.IntegrityError as error:
                why = error.diag.message_primary or str(error)
                raise RefusedTrail(f"the centre refuses the trail `{checkpoint.origin}`: {why}") from None

    # ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, table: str, envelope: bytes) -> bool:
        """Put an envelope into a table; whether it was not there before.

        Raises:
            TrailError: if it is full, or that cannot be done.
        """
        with self.asking() as connection, connection.transaction():
            # Two people who publish at the same time do not both see one place left.
            connection.execute("select pg_advisory_xact_lock(%s)", (_PUBLISHING,))
            row = connection.execute(sql.SQL("select count(*) from {}").format(_named(table))).fetchone()
            if row is not None and row[0] >= MOST[table]:
                raise TrailError(f"the centre has {row[0]} {table}, and guards read no more: withdraw some")
            cursor = connection.execute(
                sql.SQL("insert into {} (envelope) values (%s) on conflict do nothing").format(_named(table)),
                (envelope,),
            )
        return cursor.rowcount == 1

    def announce(self, kind: str, envelope: bytes) -> None:
        """Announce something, instead of what was announced of its kind before."""
        with self.asking() as connection, connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", (_PUBLISHING,))
            connection.execute("delete from guardrail.announced where kind = %s", (kind,))
            connection.execute("insert into guardrail.announced (kind, envelope) values (%s, %s)", (kind, envelope))

    def withdraw(self, names: Collection[str]) -> int:
        """Take mandates away by digest; how many were there."""
        with self.asking() as connection:
            return connection.execute(
                "delete from guardrail.mandates where digest = any(%s)", (sorted(names),)
            ).rowcount

    def forget(self, origin: str) -> bool:
        """Forget what was seen of a trail, and its cases; whether there was anything."""
        with self.asking() as connection, connection.transaction():
            connection.execute("delete from guardrail.cases where origin = %s", (origin,))
            gone = connection.execute("delete from guardrail.origins where origin = %s", (origin,))
        return gone.rowcount == 1

    def origins(self) -> list[Row]:
        """What was seen of each trail, by name."""
        with self.asking() as connection:
            rows = connection.execute(
                "select origin, vkey, size, root, note, facts, extract(epoch from now() - noted)::float8"
                " from guardrail.origins order by origin"
            ).fetchall()
        return [Row(row[0], row[1], int(row[2]), bytes(row[3]), *row[4:]) for row in rows]


def _named(table: str) -> sql.Identifier:
    return sql.Identifier("guardrail", table)


_PUBLISHING: Final = 0x6775_6172_6475
"""Number of the advisory lock under which envelopes are published."""
