"""The writer of a shared ledger: a batch is one turn, and a lost connection is not the end.

What is different from a disk: a server comes back. The writer asks again, at most `RETRY_SECONDS` apart, until it can
write what still waits. Only a ledger that is not what this replica has seen ends it.

INVARIANT: a batch whose commit was not answered is looked for, under the lock, before anything else is written; either
all of it is there, or none of it ever will be, because whoever holds the lock knows that the earlier turn has ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple, TypeVar

from guardrail.audit._batches import Batches, Entry
from guardrail.audit._publish import Publisher
from guardrail.audit._record import Stamp
from guardrail.audit._tree import Frontier, leaf_hash
from guardrail.audit._unfinished import Unfinished, answered
from guardrail.audit.postgres._known import Known
from guardrail.audit.postgres._ledger import PostgresLedger
from guardrail.audit.postgres._numbered import Encoded, Numbered
from guardrail.audit.postgres._runs import LEASE_SECONDS, Runs, Saved
from guardrail.audit.postgres._server import Limits, Server, Unreachable
from guardrail.audit.postgres._tables import Row, Tables
from guardrail.errors import TrailError

FIRST_RETRY_SECONDS: Final = 0.02
"""Wait before the first further attempt, in seconds; each one after it waits twice as long."""

RETRY_SECONDS: Final = 0.5
"""Longest wait between two attempts, in seconds."""

T = TypeVar("T")


class Flight(NamedTuple):
    """A batch that was sent, and not yet answered."""

    first: int
    digests: Sequence[bytes]
    entries: Sequence[Numbered]
    missed: int


class PostgresWriter(Batches):
    """The only one in this process who writes to the shared ledger on the guard's behalf.

    Args:
        store: connection string.
        limits: how long anything may take.
        known: what this replica has seen of the ledger; already begun.
        stamp: what every record gets.
        publisher: where checkpoints go from here.
        checkpoint_seconds: longest time between two checkpoints while records arrive, in seconds.
        lease_seconds: length of the lease of another run, if this one is ended, in seconds.
    """

    def __init__(
        self,
        store: str,
        limits: Limits,
        known: Known,
        stamp: Stamp,
        publisher: Publisher,
        checkpoint_seconds: float,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        super().__init__()
        self.tree = known.tree
        """The ledger after the last turn of this process."""
        self.down_since = 0.0
        self.down_because = ""
        self.missed = 0
        """Records that were refused or withdrawn while the server was away; written down when it is back."""
        self.where = known.where
        self.run = known.run
        """The run that this process writes in."""
        self._lease_seconds = lease_seconds
        self._unfinished = Unfinished()
        self._written = known.tree.size
        self._taken: set[int] = set()
        self._store = store
        self._limits = limits
        self._known = known
        self._stamp = stamp
        self._publisher = publisher
        self._checkpoint_seconds = checkpoint_seconds
        self._signed_at = time.monotonic()
        self._tables: Tables | None = None
        self._flight: Flight | None = None
        self._down_us = 0
        self._stop = threading.Event()

    @property
    def waiting(self) -> int:
        """Number of entries that nobody has taken up yet."""
        return len(self._entries)

    @property
    def replica(self) -> str:
        """What this replica is called."""
        return self._known.replica

    def ledger(self, kinds: Collection[str]) -> PostgresLedger:
        """Turns on the same ledger, over a connection of their own."""
        return PostgresLedger(self._store, self._limits, self._known.copy(), self._stamp, kinds)

    def open_now(self) -> Saved:
        """The intents of this run without a result, by what was written so far."""
        with self.order:
            return Saved(self._written, self._unfinished.seqs)

    def offer_last(self) -> None:
        """Publish the last checkpoint of this replica, if it has one."""
        if self._known.note:
            self._publisher.offer(*self._known.note)

    def cut(self) -> None:
        """End a call to the server that takes too long; from any thread."""
        tables = self._tables
        if tables is not None:
            tables.server.cut()

    def stop(self) -> None:
        """Ask no more: the thread ends soon, with an error if anything is left."""
        self._stop.set()
        self.cut()

    def let_go(self) -> None:
        """Close the connection; called when the thread has ended."""
        self._drop()

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _write(self, batch: list[Entry]) -> None:
        records = [entry for entry in batch if isinstance(entry, Numbered) and entry.encoded is not None]
        if records:
            self._until_done(lambda tables: self._turn(tables, self._wanted(records)))

    def _wanted(self, records: list[Numbered]) -> list[Numbered]:
        """What is to be written still: leave that nobody waits for any more is withdrawn, anything else is evidence."""
        wanted: list[Numbered] = []
        for entry in records:
            if entry.seq is not None:
                continue
            if entry.given_up and entry.encoded is not None and entry.encoded.releases:
                with self.order:
                    self.missed += 1
            else:
                wanted.append(entry)
        records[:] = wanted
        return wanted

    def _turn(self, tables: Tables, wanted: list[Numbered]) -> None:
        before = tables.lock()
        self._known.check(before)
        self._land(tables)
        if tables.over:
            self._begin_again(tables)
        entries = [entry for entry in wanted if entry.seq is None]
        missed = self.missed
        if missed:
            entries.insert(0, self._gap(missed))
        if not entries:
            tables.commit()
            return
        if self._taken:
            self._mark_late(entries)
        after = Frontier(before.size, before.roots)
        rows: list[Row] = []
        digests: list[bytes] = []
        for entry in entries:
            if entry.encoded is not None:
                rows.append(entry.encoded.row(after.size))
                digests.append(leaf_hash(rows[-1].leaf))
                after.add(digests[-1])
        self._flight = Flight(before.size, digests, entries, missed)
        tables.write(before.size, rows, after)
        self._landed(self._flight)
        self._known.saw(after)
        self._known.advance(before, after)
        self.tree = after

    def _land(self, tables: Tables) -> None:
        """Find out what became of a batch whose commit was not answered; under the lock."""
        flight = self._flight
        if flight is not None:
            if tables.holds(flight.first, flight.digests):
                self._landed(flight)
            self._flight = None

    def _landed(self, flight: Flight) -> None:
        for seq, entry in enumerate(flight.entries, flight.first):
            entry.seq = seq
        with self.order:
            for seq, entry in enumerate(flight.entries, flight.first):
                self._unfinished.take(entry.record, seq)
                self._written = seq + 1
            self.missed -= flight.missed
        self._flight = None

    def _gap(self, missed: int) -> Numbered:
        entry = Numbered()
        record = {"kind": "gap", "records": missed, "since_us": self._down_us, "why": self.down_because}
        entry.take(Encoded(self._stamp, record))
        return entry

    def _begin_again(self, tables: Tables) -> None:
        """Another replica has ended this run and answered its open intents; in a turn."""
        tables.run = self.run = Runs(tables).begin(self._known.replica, self._known.vkeys, self._lease_seconds)
        with self.order:
            self._taken.update(self._unfinished.seqs)
            self._unfinished = Unfinished()

    def _mark_late(self, entries: Sequence[Numbered]) -> None:
        """What comes of an intent that was answered meanwhile stays on record, and answers nothing a second time."""
        for entry in entries:
            late = [intent for intent in answered(entry.record) if intent in self._taken]
            if late:
                record = {name: value for name, value in entry.record.items() if name not in ("intent", "intents")}
                rest = [intent for intent in answered(entry.record) if intent not in self._taken]
                entry.record = {**record, "intents": rest, "late": late}
                entry.take(Encoded(self._stamp, entry.record))

    # ── signing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _unsigned(self) -> bool:
        return self.tree.size > self._known.signed

    def _until_checkpoint(self) -> float | None:
        if not self._unsigned():
            return None
        return max(0.001, self._signed_at + self._checkpoint_seconds - time.monotonic())

    def _sign(self, *, asked: bool) -> None:
        now = time.monotonic()
        if asked:
            # Whoever asks wants to know whether the ledger can be reached and is the one that was seen.
            self._until_done(lambda tables: self._known.follow(tables, tables.frontier()))
        if asked and self._known.tree.size > self._known.signed:
            self._sign_now(self._known.tree)
        elif self._unsigned() and now - self._signed_at >= self._checkpoint_seconds:
            self._sign_now(self.tree)

    def _sign_now(self, tree: Frontier) -> None:
        self._signed_at = time.monotonic()
        self._until_done(lambda tables: self._known.sign(tables, tree))
        self.offer_last()

    # ── the connection ────────────────────────────────────────────────────────────────────────────────────────────────

    def _until_done(self, step: Callable[[Tables], T]) -> T:
        """Do something with the tables; if the server is away, when it is back.

        Raises:
            TrailError: if asking again would not help, or nobody wants it any more.
        """
        wait = FIRST_RETRY_SECONDS
        while True:
            try:
                done = step(self._connected())
                self.down_since = 0.0
                return done
            except Unreachable as error:
                self._lost(error)
            if self._stop.wait(wait):
                raise TrailError(f"closed while its server did not answer: {self.down_because}")
            wait = min(2 * wait, RETRY_SECONDS)

    def _connected(self) -> Tables:
        if self._tables is None:
            tables = Tables(Server(self._store, self._limits))
            tables.run = self.run
            self._tables = tables
            tables.server.prepare()
            # The server may have been replaced or put back while nobody looked.
            self._known.follow(tables, tables.frontier())
        return self._tables

    def _lost(self, error: Unreachable) -> None:
        if not self.down_since:
            self.down_since = self.busy_since or time.monotonic()
            self._down_us = time.time_ns() // 1000
        self.down_because = str(error)
        self._drop()

    def _drop(self) -> None:
        tables, self._tables = self._tables, None
        if tables is not None:
            tables.server.close()

    def _final(self, error: Exception) -> str:
        return f"{error}; this replica takes no more records: restart it when that is mended"
