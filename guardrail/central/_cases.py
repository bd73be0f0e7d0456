"""The tables of cases and statements, as they are read and written.

Not concerned with whose signature counts (`_signed`), nor with what comes of a statement (`_exchange`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from psycopg import sql

from guardrail.central._database import Database

MAX_FOUND: Final = 1_000
"""Most cases that are read at one time, the newest first."""

TAKEN: Final = 64
"""Most statements that are taken in at one look; the rest waits for the next."""

KEPT_SECONDS: Final = 24 * 3600
"""How long an answer stays at the centre, in seconds."""


class Line(NamedTuple):
    """One case as it is written there.

    Args:
        note: the signed case.
        waits: whether people are still asked; a hint for whoever looks, and signed in the note.
        grants: ids of its grants, for the same reason.
    """

    note: bytes
    waits: bool
    grants: tuple[str, ...]

    @property
    def digest(self) -> str:
        """As the database works it out."""
        return hashlib.sha256(self.note).hexdigest()


class Found(NamedTuple):
    """One case as it is read there: nothing of it is verified yet."""

    origin: str
    escalation: str
    note: bytes
    vkey: str


def channel_of(origin: str) -> str:
    """Where a guard hears that something was said to it."""
    return f"guardrail_{hashlib.sha256(origin.encode()).hexdigest()[:32]}"


# ── by the guard that asks ────────────────────────────────────────────────────────────────────────────────────────────


def listen(database: Database, origin: str) -> None:
    """Hear of what is said to a guard from now on."""
    with database.asking() as connection:
        connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel_of(origin))))


def digests(database: Database, origin: str) -> dict[str, str]:
    """What is there of a trail: escalation -> digest of its note."""
    with database.asking() as connection:
        rows = connection.execute(
            "select escalation, digest from guardrail.cases where origin = %s", (origin,)
        ).fetchall()
    return {str(escalation): str(digest) for escalation, digest in rows}


def put(database: Database, origin: str, escalation: str, line: Line) -> None:
    """Say how a case stands."""
    with database.asking() as connection:
        connection.execute(
            "insert into guardrail.cases (origin, escalation, waits, grants, note) values (%s, %s, %s, %s, %s)"
            " on conflict (origin, escalation) do update"
            " set waits = excluded.waits, grants = excluded.grants, note = excluded.note, noted = now()",
            (origin, escalation, line.waits, list(line.grants), line.note),
        )


def take_away(database: Database, origin: str, escalations: Collection[str]) -> None:
    """Take away cases that nobody has to see any more."""
    with database.asking() as connection:
        connection.execute(
            "delete from guardrail.cases where origin = %s and escalation = any(%s)", (origin, sorted(escalations))
        )


def statements(database: Database, origin: str) -> list[bytes]:
    """What was said to a guard and is not answered yet, in the order of arrival."""
    with database.asking() as connection:
        rows = connection.execute(
            "select envelope from guardrail.statements where origin = %s and answer is null"
            " order by noted, digest limit %s",
            (origin, TAKEN),
        ).fetchall()
    return [bytes(row[0]) for row in rows]


def answer(database: Database, digest: str, said: bytes) -> None:
    """Say what came of a statement, once; the statement itself is taken out."""
    with database.asking() as connection:
        connection.execute(
            "update guardrail.statements set envelope = null, answer = %s where digest = %s and answer is null",
            (said, digest),
        )


def sweep(database: Database, origin: str) -> None:
    """Take away answers that whoever asked has had time to read."""
    with database.asking() as connection:
        connection.execute(
            "delete from guardrail.statements where origin = %s and answer is not null"
            " and noted < now() - make_interval(secs => %s)",
            (origin, KEPT_SECONDS),
        )


# ── by whoever looks from elsewhere ───────────────────────────────────────────────────────────────────────────────────

_FOUND: Final = (
    "select c.origin, c.escalation, c.note, coalesce(o.vkey, '')"
    " from guardrail.cases c left join guardrail.origins o on o.origin = c.origin"
)


def waiting(database: Database, *, but: str) -> list[Found]:
    """Cases on which people are asked, the oldest first, but for those of one trail."""
    return _found(database, "c.waits and c.origin <> %s order by c.noted, c.escalation limit %s", (but, MAX_FOUND))


def latest(database: Database, *, but: str) -> list[Found]:
    """The cases that changed last, the newest first, but for those of one trail."""
    return _found(database, "c.origin <> %s order by c.noted desc, c.escalation limit %s", (but, MAX_FOUND))


def named(database: Database, beginning: str) -> list[Found]:
    """Cases whose id begins so; two at most, since two are one too many."""
    pattern = beginning.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    return _found(database, "c.escalation like %s order by c.escalation = %s desc limit 2", (pattern, beginning))


def of_grant(database: Database, grant: str) -> list[Found]:
    """The cases that a grant is said to be of."""
    return _found(database, "%s = any(c.grants) limit 2", (grant,))


def leave(database: Database, origin: str, envelope: bytes) -> str:
    """Leave a statement for a guard; twice is once. Its digest."""
    digest = hashlib.sha256(envelope).hexdigest()
    with database.asking() as connection:
        connection.execute(
            "insert into guardrail.statements (digest, origin, envelope) values (%s, %s, %s) on conflict do nothing",
            (digest, origin, envelope),
        )
    return digest


def answered(database: Database, origin: str, digest: str) -> tuple[bytes, str] | None:
    """What is there as the answer to a statement, and the key of the trail; None while there is none."""
    with database.asking() as connection:
        row = connection.execute(
            "select s.answer, coalesce(o.vkey, '') from guardrail.statements s"
            " left join guardrail.origins o on o.origin = s.origin"
            " where s.digest = %s and s.origin = %s and s.answer is not null",
            (digest, origin),
        ).fetchone()
    return None if row is None else (bytes(row[0]), str(row[1]))


def counts(database: Database) -> Mapping[str, int]:
    """How many cases wait there, by trail."""
    with database.asking() as connection:
        rows = connection.execute("select origin, count(*) from guardrail.cases where waits group by origin").fetchall()
    return {str(origin): int(number) for origin, number in rows}


def _found(database: Database, where: str, values: tuple[Any, ...]) -> list[Found]:
    with database.asking() as connection:
        rows = connection.execute(f"{_FOUND} where {where}".encode(), values).fetchall()
    return [Found(str(row[0]), str(row[1]), bytes(row[2]), str(row[3])) for row in rows]
