"""Tasks as they outlive a relay: whose each is, the call that it stands for, and what came of it.

Kept beside the pins, among what the guard protects as its own. Not concerned with waiting (`_tasks`), nor with whether
the call may run: whoever takes a task up again has it judged anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

import msgspec

from guardrail import ConfigError, GuardrailError
from guardrail.storage import StateFile, remedy
from guardrail_adapters.mcp._frames import Id, Message

MAX_KEPT: Final = 4096
"""Most tasks that are kept; of more the oldest are forgotten."""

MAX_RESPONSE_BYTES: Final = 1024 * 1024
"""Largest response that is kept, in bytes; of a task with a larger one only that it ran is known after a restart."""

BUSY_SECONDS: Final = 2.0
"""Longest wait for another process that is writing, in seconds."""

_SCHEMA: Final = """
create table if not exists tasks (name text primary key, since_us integer not null, owner text not null,
    kept blob not null, response blob) without rowid;
"""


class TaskError(GuardrailError):
    """The tasks cannot be read or written."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One task.

    Args:
        name: its id.
        id: of the request that it answers.
        owner: who sent it, where a token says so; only they learn of it.
        server: which server the call is for.
        session: in which conversation it was made.
        escalation: what it waits on.
        message: the call, as it was judged.
        created: when, as the protocol writes it.
    """

    name: str
    id: Id
    owner: str
    server: str
    session: str
    escalation: str
    message: Message
    created: str


class TaskFile:
    """The tasks of every relay of one configuration.

    Args:
        path: the file.
        seconds: how long a task is kept, in seconds.

    Raises:
        ConfigError: if it cannot be used.
    """

    def __init__(self, path: Path, seconds: int) -> None:
        self._seconds = seconds
        self._file = StateFile(path, busy=BUSY_SECONDS)
        try:
            self._file.create()
            self._file.connection().executescript(_SCHEMA)
            self._file.connection().execute("select count(*) from tasks").fetchone()
        except (OSError, sqlite3.Error) as error:
            self._file.close()
            why = remedy(error, "which tasks wait for people")
            raise ConfigError(f"the tasks of MCP clients, `{path}`, cannot be opened: {why}") from None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def put(self, task: Kept) -> None:
        """Keep a task, and forget those whose time is over.

        Raises:
            TaskError: if that cannot be done.
        """
        now_us = _now_us()
        with self._db() as db:
            db.execute("delete from tasks where since_us < ?", (now_us - self._seconds * 1_000_000,))
            db.execute(
                "delete from tasks where name in (select name from tasks order by since_us desc limit -1 offset ?)",
                (MAX_KEPT - 1,),
            )
            row = (task.name, now_us, task.owner, msgspec.json.encode(task))
            db.execute("insert into tasks (name, since_us, owner, kept) values (?, ?, ?, ?)", row)

    def done(self, name: str, response: Message | None) -> None:
        """Keep what came of a task, or, with None, forget it: its client wants it no more.

        Raises:
            TaskError: if that cannot be done.
        """
        with self._db() as db:
            if response is None:
                db.execute("delete from tasks where name = ?", (name,))
                return
            data = msgspec.json.encode(response)
            db.execute("update tasks set response = ? where name = ?", (data[: MAX_RESPONSE_BYTES + 1], name))

    def get(self, name: str, owner: str) -> tuple[Kept, Message | None] | None:
        """A task of somebody's, with what came of it; None if they have none of that name.

        Raises:
            TaskError: if it cannot be read.
        """
        since_us = _now_us() - self._seconds * 1_000_000
        with self._db() as db:
            row = db.execute(
                "select kept, response from tasks where name = ? and owner = ? and since_us >= ?",
                (name, owner, since_us),
            ).fetchone()
        if row is None:
            return None
        kept, response = msgspec.json.decode(row[0], type=Kept), row[1]
        if response is not None and len(response) > MAX_RESPONSE_BYTES:
            return kept, {"error": {"code": -32603, "message": "the call was carried out; its result was not kept"}}
        return kept, None if response is None else msgspec.json.decode(response)

    @contextlib.contextmanager
    def _db(self) -> Generator[sqlite3.Connection]:
        try:
            with self._file.lock:
                yield self._file.connection()
        except (OSError, sqlite3.Error, msgspec.MsgspecError) as error:
            raise TaskError(f"the tasks of MCP clients cannot be used: {error}") from None


def _now_us() -> int:
    return time.time_ns() // 1000
