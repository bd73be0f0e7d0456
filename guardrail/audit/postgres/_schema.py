"""The tables: numbered migrations, each applied once, by one process at a time; and whose ledger they hold."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any, Final, NamedTuple

from psycopg import Connection, errors

from guardrail.errors import TrailError

TURN: Final = 0x6775_6172_6472
"""Number of the advisory lock under which tables are made and a ledger is begun."""

_FILE: Final = re.compile(r"(\d{4})_[a-z_]+\.sql")


class Migration(NamedTuple):
    """One step, in a transaction of its own kind: all of it or nothing."""

    number: int
    name: str
    text: str


class Identity(NamedTuple):
    """Whose ledger it is: its name, and the keys that its checkpoints were signed with, the first one first."""

    origin: str
    vkeys: tuple[str, ...]
    retired: frozenset[str] = frozenset()

    @property
    def in_force(self) -> tuple[str, ...]:
        """The keys that sign now: one, or two while one is being replaced."""
        return tuple(vkey for vkey in self.vkeys if vkey not in self.retired)


def migrations() -> list[Migration]:
    """All steps that this release knows, in order."""
    found: list[Migration] = []
    for entry in resources.files("guardrail.audit.postgres").joinpath("migrations").iterdir():
        match = _FILE.fullmatch(entry.name)
        if match:
            found.append(Migration(int(match[1]), entry.name, entry.read_text(encoding="utf-8")))
    return sorted(found)


def version(connection: Connection[Any]) -> int:
    """Number of the last step that was applied; 0 if there are no tables."""
    # Not `to_regclass`: in a transaction it goes by what it knew before it waited for the lock.
    row = connection.execute(
        "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = 'guardrail' and c.relname = 'migrations'"
    ).fetchone()
    if not (row and row[0]):
        return 0
    row = connection.execute("select coalesce(max(number), 0) from guardrail.migrations").fetchone()
    return int(row[0]) if row else 0


def pending(connection: Connection[Any], where: str) -> int:
    """How many steps are still to be applied.

    Raises:
        TrailError: if the tables are of a later release.
    """
    steps, have = migrations(), version(connection)
    _refuse_newer(have, steps, where)
    return sum(step.number > have for step in steps)


def migrate(connection: Connection[Any], where: str) -> list[str]:
    """Bring the tables up to this release; others wait meanwhile.

    Args:
        connection: of a role that may create a schema, if anything is left to do.
        where: the trail, for messages.

    Returns:
        Names of the steps that were applied now.

    Raises:
        TrailError: if the tables are of a later release, or this role may not make them.
        psycopg.Error: if the server refuses for another reason.
    """
    steps = migrations()
    _refuse_newer(version(connection), steps, where)
    if version(connection) == steps[-1].number:
        return []
    try:
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", (TURN,))
            have = version(connection)
            _refuse_newer(have, steps, where)
            if have == 0:
                connection.execute("create schema if not exists guardrail")
                connection.execute(
                    "create table guardrail.migrations"
                    " (number integer primary key, name text not null, applied timestamptz not null default now())"
                )
            missing = [step for step in steps if step.number > have]
            for step in missing:
                connection.execute(step.text.encode(), prepare=False)
                connection.execute(
                    "insert into guardrail.migrations (number, name) values (%s, %s)", (step.number, step.name)
                )
            return [step.name for step in missing]
    except errors.InsufficientPrivilege:
        raise TrailError(
            f"the tables of the trail `{where}` are not those of this release, and this role may not change them:"
            " run `guardrail audit migrate` as their owner"
        ) from None


def _refuse_newer(have: int, steps: list[Migration], where: str) -> None:
    newest = steps[-1].number
    if have > newest:
        raise TrailError(
            f"the tables of the trail `{where}` are at step {have}, and this release knows {newest}:"
            " use the release that made them, or a later one"
        )


def identity(connection: Connection[Any]) -> Identity | None:
    """Whose ledger it is; None if nobody has begun it."""
    row = connection.execute("select origin, vkey from guardrail.log").fetchone()
    if row is None:
        return None
    rows = connection.execute("select event, key, next from guardrail.keys order by seq").fetchall()
    vkeys = dict.fromkeys([str(row[1]), *(str(after) for _, _, after in rows)])
    return Identity(str(row[0]), tuple(vkeys), frozenset(str(key) for event, key, _ in rows if event == "retired"))


def begin(connection: Connection[Any], whose: Identity) -> None:
    """Write down, once, whose ledger it is."""
    connection.execute("insert into guardrail.log (origin, vkey) values (%s, %s)", (whose.origin, whose.vkeys[0]))
