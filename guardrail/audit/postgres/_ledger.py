"""The shared ledger, one exclusive turn at a time: what is decided in a turn rests on all that was written before it.

A turn is a transaction that holds the frontier, so nobody else writes between its news and its records, in whatever
process or on whatever host: compare and set, with the ledger itself as the thing compared.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import orjson

from guardrail.audit._record import Stamp
from guardrail.audit._tree import Frontier, leaf_hash
from guardrail.audit.postgres._known import Known
from guardrail.audit.postgres._runs import Runs
from guardrail.audit.postgres._server import Limits, Server, Unreachable
from guardrail.audit.postgres._tables import CHUNK, Row, Tables
from guardrail.errors import TrailError

RETRY_SECONDS: Final = 0.05
"""Wait between two attempts to begin a turn, in seconds."""


class PostgresTurn:
    """What may be done while nobody else may write.

    Args:
        tables: the ledger, with the frontier held.
        stamp: what every record gets.
        before: the tree as it is.
        kinds: which records are told of.
    """

    def __init__(self, tables: Tables, stamp: Stamp, before: Frontier, kinds: Collection[str]) -> None:
        self.first = before.size
        self.after = Frontier(before.size, before.roots)
        self.rows: list[Row] = []
        self.tables = tables
        self._stamp = stamp
        self._kinds = sorted(kinds)

    def news(self, after: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The records of these kinds behind a place, in the order of the ledger.

        Args:
            after: number of the last record that is known; -1 for all of them.

        Raises:
            TrailError: if they cannot be read; then nothing may be decided.
        """
        while True:
            found = self.tables.leaves(after, self.first, self._kinds)
            for seq, leaf in found:
                yield seq, orjson.loads(leaf)
            if len(found) < CHUNK:
                return
            after = found[-1][0]

    def take(self, run: int) -> str | None:
        """End a run that was left, together with this turn; as `Runs.take`."""
        return Runs(self.tables).take(run)

    def append(self, records: Sequence[Mapping[str, Any]]) -> Sequence[int]:
        """Write records; they are durable when the turn has ended without an error.

        Returns:
            Their numbers, rising.

        Raises:
            TrailError: if one cannot be a record; then none is written.
        """
        first, rows = self.after.size, list[Row]()
        for seq, record in enumerate(records, first):
            rows.append(Row(str(record.get("kind")), self._stamp.leaf(record, seq)))
        for row in rows:
            self.after.add(leaf_hash(row.leaf))
        self.rows += rows
        return range(first, self.after.size)


class PostgresLedger:
    """Turns on the shared ledger; one at a time in this process too.

    Args:
        store: connection string.
        limits: how long anything may take.
        known: what this replica has seen of the ledger; used by nobody else.
        stamp: what every record gets.
        kinds: which records a turn tells of.
    """

    def __init__(self, store: str, limits: Limits, known: Known, stamp: Stamp, kinds: Collection[str]) -> None:
        self._store = store
        self._limits = limits
        self._known = known
        self._stamp = stamp
        self._kinds = frozenset(kinds)
        self._mutex = threading.Lock()
        self._tables: Tables | None = None
        self._closed = False

    @contextmanager
    def turn(self) -> Generator[PostgresTurn]:
        """One turn; whoever asks for one while another has it waits.

        Raises:
            TrailError: if there can be none within the timeout, or what was appended is not known to be written.
        """
        end = time.monotonic() + self._limits.timeout
        if not self._mutex.acquire(timeout=self._limits.timeout):
            raise TrailError(self._late("another turn of this process takes too long"))
        try:
            with self._begun(end) as turn:
                yield turn
                self._finish(turn, end)
            if self._closed:
                self._drop()
        except Unreachable as error:
            raise TrailError(self._late(str(error))) from None
        finally:
            self._mutex.release()

    def close(self) -> None:
        """Let go; there are no turns any more. One that is under way may end."""
        self._closed = True
        if self._mutex.acquire(timeout=self._limits.timeout):
            self._drop()
            self._mutex.release()

    @contextmanager
    def _begun(self, end: float) -> Generator[PostgresTurn]:
        before = self._lock(end)
        tables = self._open()
        try:
            turn = PostgresTurn(tables, self._stamp, before, self._kinds)
            with tables.server.deadline(end - time.monotonic()):
                yield turn
        except Unreachable:
            self._drop()
            raise
        except BaseException:
            # Most often a command that was refused: nothing was written, and the connection is as good as before.
            self._give_back(tables)
            raise

    def _give_back(self, tables: Tables) -> None:
        try:
            tables.release()
        except TrailError:
            self._drop()

    def _lock(self, end: float) -> Frontier:
        while True:
            try:
                tables = self._open()
                with tables.server.deadline(end - time.monotonic()):
                    before = tables.lock()
                self._known.check(before)
                return before
            except Unreachable:
                self._drop()
                if time.monotonic() + RETRY_SECONDS >= end:
                    raise
            time.sleep(RETRY_SECONDS)

    def _finish(self, turn: PostgresTurn, end: float) -> None:
        tables = self._open()
        if not turn.rows:
            tables.commit()
            return
        try:
            tables.write(turn.first, turn.rows, turn.after)
        except Unreachable:
            self._drop()
            self._look_for(turn, end)
        self._known.saw(turn.after)

    def _look_for(self, turn: PostgresTurn, end: float) -> None:
        """Find out, under the lock, whether a commit that was not answered has happened.

        Raises:
            TrailError: if it has not, or that cannot be found out in time.
        """
        self._lock(end)
        tables = self._open()
        with tables.server.deadline(end - time.monotonic()):
            found = tables.holds(turn.first, [leaf_hash(row.leaf) for row in turn.rows])
            tables.release()
        if not found:
            raise Unreachable("the connection was lost before the records were written")

    def _open(self) -> Tables:
        if self._closed:
            raise TrailError(f"the ledger `{self._known.where}` is closed")
        if self._tables is None:
            tables = Tables(Server(self._store, self._limits))
            self._tables = tables
            with tables.server.deadline(self._limits.timeout):
                tables.server.prepare()
                self._known.follow(tables, tables.frontier())
        return self._tables

    def _drop(self) -> None:
        tables, self._tables = self._tables, None
        if tables is not None:
            tables.server.close()

    def _late(self, why: str) -> str:
        seconds = f"{self._limits.timeout:g} seconds"
        return f"the server of the trail `{self._known.where}` did not answer within {seconds}: {why}"
