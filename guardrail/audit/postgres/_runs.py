"""Who answers for which intents: one row for each time that a replica was opened, with a lease that it renews.

A run is left when its lease has ended, or its replica has been opened again. Whoever finds it answers its open intents
and ends it, in one turn: under the frontier nobody else can do the same, and the run that was left can write nothing.

INVARIANT: a replica looks, in every turn, whether its run was ended; if so it begins another one before it writes, and
what it has to say of intents that were answered for it is no second result.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from guardrail.audit._files import replace
from guardrail.audit._unfinished import Unfinished
from guardrail.audit.postgres._tables import Tables
from guardrail.errors import TrailError
from guardrail.model import new_id

REPLICA_FILE: Final = "replica"
"""What a replica is called, in its own directory: it is the same replica when it comes back."""

LEASE_SECONDS: Final = 30.0
"""How long a replica that says nothing any more keeps its intents, in seconds; it renews three times as often."""

SAVE_EVERY: Final = 5000
"""After how many records of its own a replica writes down which intents are open; bounds what is read for them."""

MAX_RUNS: Final = 16
"""Most runs that are answered for at one time; the rest wait for the next time."""

_LEFT: Final = "not ended and lease <= clock_timestamp()"

_REUSE: Final = """
update guardrail.runs set ended = false, keys = %b, lease = clock_timestamp() + %b * interval '1 second',
  mark = (select size from guardrail.frontier), open = '{}'
where run = (select max(run) from guardrail.runs where replica = %b and ended) returning run
"""

_BEGIN: Final = """
insert into guardrail.runs (replica, keys, lease)
values (%b, %b, clock_timestamp() + %b * interval '1 second') returning run
"""


class Saved(NamedTuple):
    """Which intents of a run are open, by its records below `mark`."""

    mark: int
    open: list[int]


def replica_name(directory: Path) -> str:
    """What the replica of a directory is called; given once.

    Raises:
        TrailError: if somebody has put something else there.
        OSError: if it cannot be read or written.
    """
    path = directory / REPLICA_FILE
    try:
        name = path.read_text("ascii").strip()
    except FileNotFoundError:
        name = new_id()
        replace(path, f"{name}\n".encode(), 0o644)
    except UnicodeDecodeError:
        name = ""
    if not name or len(name) > 64 or not name.isprintable():
        raise TrailError(f"`{path}` is not the name of a replica: remove it, and another one is given")
    return name


class Runs:
    """The table of runs, over one connection.

    Args:
        tables: the ledger.
    """

    def __init__(self, tables: Tables) -> None:
        self._server = tables.server

    def begin(self, replica: str, keys: Sequence[str], seconds: float) -> int:
        """Begin a run, in a row that this replica has ended or in a new one; its number."""
        with self._server.call() as connection:
            row = connection.execute(_REUSE, (list(keys), seconds, replica)).fetchone()
            row = row or connection.execute(_BEGIN, (replica, list(keys), seconds)).fetchone()
        return int(row[0]) if row else 0

    def leave(self, replica: str) -> None:
        """What this replica ran before it was opened has come to its end."""
        with self._server.call() as connection:
            connection.execute(
                "update guardrail.runs set lease = clock_timestamp() where replica = %b and not ended", (replica,)
            )

    def renew(self, run: int, seconds: float, saved: Saved | None) -> None:
        """Keep a run for so many seconds from now on; one that was ended stays ended."""
        self._update(run, saved, "lease = clock_timestamp() + %b * interval '1 second'", seconds)

    def close(self, run: int, saved: Saved) -> None:
        """The run is over; somebody has to answer what is open."""
        self._update(run, saved, "lease = clock_timestamp(), ended = %b", not saved.open)

    def _update(self, run: int, saved: Saved | None, what: str, value: object) -> None:
        more = "" if saved is None else ", mark = %b, open = %b"
        with self._server.call() as connection:
            connection.execute(
                f"update guardrail.runs set {what}{more} where run = %b and not ended".encode(),  # noqa: S608 - our own texts
                (value, *(saved or ()), run),
            )

    def left(self) -> list[int]:
        """The runs that nobody answers for any more, the oldest first."""
        with self._server.call() as connection:
            rows = connection.execute(
                f"select run from guardrail.runs where {_LEFT} order by run limit {MAX_RUNS}".encode()  # noqa: S608
            ).fetchall()
        return [int(row[0]) for row in rows]

    def take(self, run: int) -> str | None:
        """End a run that was left; in a turn. What its replica is called, or None if it was not left after all."""
        with self._server.call() as connection:
            row = connection.execute(
                f"update guardrail.runs set ended = true where run = %b and {_LEFT} returning replica".encode(),  # noqa: S608
                (run,),
            ).fetchone()
        return str(row[0]) if row else None

    def live(self) -> list[tuple[str, list[str]]]:
        """Replicas that may be writing now, with the keys that they sign with."""
        with self._server.call() as connection:
            rows = connection.execute(
                "select replica, keys from guardrail.runs where not ended and lease > clock_timestamp() order by run"
            ).fetchall()
        return [(str(row[0]), list(row[1])) for row in rows]


class Open:
    """The open intents of a run, as far as the ledger was read.

    Args:
        tables: the ledger.
        run: number of the run.
    """

    def __init__(self, tables: Tables, run: int) -> None:
        self._run = run
        with tables.server.call() as connection:
            row = connection.execute("select mark, open from guardrail.runs where run = %b", (run,)).fetchone()
        self._mark, seqs = (int(row[0]), list(row[1])) if row else (0, list[int]())
        self._unfinished = Unfinished(seqs)
        self.follow(tables)

    @property
    def seqs(self) -> list[int]:
        """Their numbers, in order."""
        return self._unfinished.seqs

    def follow(self, tables: Tables) -> None:
        """Go on with what the run has written since."""
        while rows := tables.of_run(self._run, self._mark):
            for seq, leaf in rows:
                self._unfinished.take_leaf(leaf, seq)
            self._mark = rows[-1][0] + 1

    def records(self, tables: Tables, most: int) -> dict[int, dict[str, Any]]:
        """The newest of them, by number."""
        return {seq: orjson.loads(leaf) for seq, leaf in tables.some(self.seqs[-most:])}
