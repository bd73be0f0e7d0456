"""What sessions did, on disk: a restart forgets nothing, and processes that share a configuration share it.

Not evidence, which the trail is; and not concerned with what facts mean. Facts are only ever added.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from guardrail.errors import ConfigError
from guardrail.storage import StateFile, remedy, transaction

if TYPE_CHECKING:
    import sqlite3

KEPT_SECONDS: Final = 30 * 24 * 3600
"""How long a session or an agent is remembered after its last call, in seconds."""

BUSY_SECONDS: Final = 2.0
"""Longest wait for another process that is writing, in seconds; then the call is denied."""

LOST: Final = "what sessions and agents did"
"""What is in the file, for whoever has to give it up."""

MAX_FORGOTTEN: Final = 1_000
"""Most sessions, and most agents, that are forgotten at one start."""

_NOT_READ: Final = "the history cannot be read"
_NOT_WRITTEN: Final = "the history cannot be written"

_SCHEMA: Final = """
create table if not exists sessions (name text primary key, used integer not null, calls integer not null,
    denied integer not null) without rowid;
create index if not exists sessions_used on sessions (used);
create table if not exists facts (session text, kind text, value text, more text,
    primary key (session, kind, value, more)) without rowid;
create table if not exists agents (name text primary key, used integer not null, calls integer not null,
    denied integer not null, sessions integer not null, authored integer not null) without rowid;
create index if not exists agents_used on agents (used);
create table if not exists deeds (agent text, kind text, value text, more text,
    primary key (agent, kind, value, more)) without rowid;
"""


class Fact(NamedTuple):
    """One thing that a session did.

    Args:
        kind: what sort of thing.
        value: what it was done to.
        more: what else is known of it.
    """

    kind: str
    value: str
    more: str = ""


class Stored(NamedTuple):
    """All that is known of a session."""

    calls: int
    denied: int
    facts: list[Fact]


class StoredAgent(NamedTuple):
    """All that is known of an agent."""

    calls: int
    denied: int
    sessions: int
    authored: int
    facts: list[Fact]


class AgentNews(NamedTuple):
    """What is new of an agent: facts, and how much its counts have grown."""

    facts: list[Fact]
    calls: int
    denied: int
    sessions: int
    authored: int


class HistoryStore:
    """The file behind a history; thread-safe, and a fork opens its own connection.

    Args:
        path: the file, created with mode 0600.
        sole: nobody else writes there as long as this is open, so that it need not be asked whether anybody did.

    Raises:
        ConfigError: if it cannot be used.
    """

    def __init__(self, path: Path, *, sole: bool = False) -> None:
        import sqlite3

        self.sole: Final = sole
        self._file = StateFile(path, busy=BUSY_SECONDS)
        try:
            self._file.create()
            db = self._file.connection()
            db.executescript(_SCHEMA)
            self._forget_old(db)
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise ConfigError(f"the history `{path}` cannot be opened: {remedy(error, LOST)}") from None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @property
    def version(self) -> int:
        """Changes whenever another process has written.

        Raises:
            Fault: if the file cannot be read.
        """
        with self._file.use(_NOT_READ) as db:
            (version,) = db.execute("pragma data_version").fetchone()
            return int(version)

    def load(self, session: str) -> Stored | None:
        """What is known of a session; None if it is new.

        Raises:
            Fault: if the file cannot be read.
        """
        with self._file.use(_NOT_READ) as db:
            row = db.execute("select calls, denied from sessions where name = ?", (session,)).fetchone()
            if row is None:
                return None
            facts = db.execute("select kind, value, more from facts where session = ?", (session,)).fetchall()
        return Stored(calls=row[0], denied=row[1], facts=[_told(fact) for fact in facts])

    def load_agent(self, agent: str) -> StoredAgent | None:
        """What is known of an agent; None if it is new.

        Raises:
            Fault: if the file cannot be read.
        """
        with self._file.use(_NOT_READ) as db:
            sql = "select calls, denied, sessions, authored from agents where name = ?"
            row = db.execute(sql, (agent,)).fetchone()
            if row is None:
                return None
            facts = db.execute("select kind, value, more from deeds where agent = ?", (agent,)).fetchall()
        calls, denied, sessions, authored = row
        return StoredAgent(calls, denied, sessions, authored, [_told(fact) for fact in facts])

    def add_agent(self, agent: str, news: AgentNews) -> None:
        """Note more of an agent.

        Raises:
            Fault: if the file cannot be written.
        """
        with self._file.use(_NOT_WRITTEN) as db, transaction(db):
            _add_agent(db, agent, news)

    def add(
        self,
        session: str,
        facts: Iterable[Fact],
        *,
        calls: int = 0,
        denied: int = 0,
        agent: str = "",
        of_agent: AgentNews | None = None,
    ) -> None:
        """Note more of a session and, in the same moment, of its agent.

        Raises:
            Fault: if the file cannot be written.
        """
        with self._file.use(_NOT_WRITTEN) as db, transaction(db):
            db.execute(
                "insert into sessions values (:name, :used, :calls, :denied) on conflict (name) do update set "
                "used = :used, calls = calls + :calls, denied = denied + :denied",
                {"name": session, "used": time.time_ns() // 1000, "calls": calls, "denied": denied},
            )
            db.executemany(
                "insert or ignore into facts values (?, ?, ?, ?)", ((session, *_kept(fact)) for fact in facts)
            )
            if of_agent is not None:
                _add_agent(db, agent, of_agent)

    def _forget_old(self, db: sqlite3.Connection) -> None:
        before = time.time_ns() // 1000 - KEPT_SECONDS * 1_000_000
        rows = db.execute("select name from sessions where used < ? limit ?", (before, MAX_FORGOTTEN)).fetchall()
        if rows:
            with transaction(db):
                db.executemany("delete from facts where session = ?", rows)
                db.executemany("delete from sessions where name = ?", rows)
        rows = db.execute("select name from agents where used < ? limit ?", (before, MAX_FORGOTTEN)).fetchall()
        if rows:
            with transaction(db):
                db.executemany("delete from deeds where agent = ?", rows)
                db.executemany("delete from agents where name = ?", rows)


def _kept(fact: Fact) -> tuple[str | bytes, ...]:
    """A fact as it is stored: the name of a file that is no text is kept as its bytes."""
    return tuple(part if part.isascii() else _as_stored(part) for part in fact)


def _as_stored(text: str) -> str | bytes:
    data = text.encode("utf-8", "surrogatepass")
    return text if data.decode("utf-8", "replace") == text else data


def _told(row: Sequence[str | bytes]) -> Fact:
    return Fact(*(part if isinstance(part, str) else part.decode("utf-8", "surrogatepass") for part in row))


def _add_agent(db: sqlite3.Connection, agent: str, news: AgentNews) -> None:
    values = {
        "name": agent,
        "used": time.time_ns() // 1000,
        "calls": news.calls,
        "denied": news.denied,
        "sessions": news.sessions,
        "authored": news.authored,
    }
    db.execute(
        "insert into agents values (:name, :used, :calls, :denied, :sessions, :authored) on conflict (name) do update "
        "set used = :used, calls = calls + :calls, denied = denied + :denied, sessions = sessions + :sessions, "
        "authored = authored + :authored",
        values,
    )
    db.executemany("insert or ignore into deeds values (?, ?, ?, ?)", ((agent, *_kept(fact)) for fact in news.facts))
