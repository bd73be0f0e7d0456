"""The ledger that several replicas write together; to the guard it is a trail like any other.

One key for all of them, and not one each: the signature speaks for the ledger, as in other logs with several front
ends, so an auditor needs one verifier key, whatever comes and goes behind it. Which process wrote a record is in the
record. What a key of each replica would add is that a stolen one could be taken out alone; the key is therefore a
secret that is mounted, read by nobody else, and replaced while replicas write (`guardrail audit rotate-key`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from guardrail.audit._note import KEY_FILE
from guardrail.audit._opened import MAX_WAITING, Opened, check_origin
from guardrail.audit._place import cannot, take_lock
from guardrail.audit._publish import Publisher, SecondFile, Sink
from guardrail.audit._record import Later, Stamp
from guardrail.audit._unfinished import Answers
from guardrail.audit.clock import set_back
from guardrail.audit.postgres._lease import Lease
from guardrail.audit.postgres._ledger import PostgresLedger
from guardrail.audit.postgres._numbered import Encoded, Numbered
from guardrail.audit.postgres._opening import catch_up
from guardrail.audit.postgres._runs import LEASE_SECONDS
from guardrail.audit.postgres._server import Limits, Unreachable
from guardrail.audit.postgres._server import place as named
from guardrail.audit.postgres._writer import PostgresWriter
from guardrail.errors import TrailError


class PostgresTrail(Opened):
    """An append-only, signed ledger of records in a database. Made by `PostgresTrail.open`.

    Safe to use from any number of threads, event loops, processes and hosts. Not usable in a forked child.

    Args:
        place: connection string.
        where: the ledger, as messages name it.
        lock: descriptor that keeps other replicas out of this one's directory.
        writer: the thread that writes; started here.
        stamp: what every record gets.
        timeout_seconds: longest wait for the server, in seconds.
        publisher: where checkpoints go from here.
        lease: begins the thread that keeps its lease.
        last_us: time of the last record, in microseconds since 1970.
    """

    _in_child = "a forked child must open it itself"

    def __init__(
        self,
        place: str,
        where: str,
        lock: int,
        writer: PostgresWriter,
        stamp: Stamp,
        timeout_seconds: float,
        publisher: Publisher,
        lease: Callable[[PostgresTrail], Lease],
        last_us: int = 0,
    ) -> None:
        super().__init__(where, lock, publisher, last_us)
        self.place = place
        """Where it is read again: the connection string."""
        self._writer = writer
        self._stamp = stamp
        self._timeout = timeout_seconds
        self._ledgers: list[PostgresLedger] = []
        writer.start()
        self._lease = lease(self)

    @classmethod
    def open(
        cls,
        store: str,
        *,
        directory: Path | str,
        key: Path | str | None = None,
        origin: str = "guardrail.local/trail",
        checkpoint_seconds: float = 1.0,
        timeout_seconds: float = 2.0,
        checkpoint_file: Path | None = None,
        lease_seconds: float = LEASE_SECONDS,
        witnesses: Sequence[tuple[str, str]] = (),
    ) -> PostgresTrail:
        """Open the shared ledger for writing, or begin it.

        Args:
            store: connection string, `postgresql://…` or `service=…`.
            directory: what this replica keeps for itself; not shared with any other.
            key: private key of the ledger, the same for all replicas; `trail.key` in `directory` by default.
            origin: name of the ledger, without blanks and `+`.
            checkpoint_seconds: longest time between two signed checkpoints while records arrive, in seconds.
            timeout_seconds: longest wait for a durable append, in seconds.
            checkpoint_file: a second file for the checkpoints of this replica; what it holds already must fit.
            lease_seconds: how long others wait, after this replica stops, before they answer its intents, in seconds.
            witnesses: address and verifier key of each witness that is to cosign checkpoints.

        Raises:
            TrailError: if the server cannot be reached or would lose records, the tables are of a later release, the
                key is not the ledger's, or the ledger is not the one that this replica has seen.
        """
        check_origin(origin)
        limits, path = Limits.within(timeout_seconds), Path(directory).absolute()
        lock = -1
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = take_lock(path, ours=False)
            file = Path(key) if key is not None else path / KEY_FILE
            second = SecondFile(checkpoint_file) if checkpoint_file is not None else None
            publisher = Publisher([*([second] if second is not None else ()), *_clients(store, limits, witnesses)])
            known = catch_up(store, path, file, origin, second.last() if second is not None else "", lease_seconds)
            stamp = Stamp(origin, known.last_us)
            writer = PostgresWriter(store, limits, known, stamp, publisher, checkpoint_seconds, lease_seconds)

            def lease(trail: PostgresTrail) -> Lease:
                return Lease(store, limits, writer, lease_seconds, trail.checkpoint)

            trail = cls(store, writer.where, lock, writer, stamp, timeout_seconds, publisher, lease, known.last_us)
        except BaseException as error:
            if lock >= 0:
                os.close(lock)
            if isinstance(error, OSError):
                raise TrailError(cannot("open", path, error)) from None
            if isinstance(error, Unreachable):
                raise TrailError(f"the server of the trail `{named(store)}` cannot be used: {error}") from None
            raise
        if (behind := set_back(trail.last_us)) is not None:
            trail._submit(behind, Numbered())
        return trail

    @property
    def replica(self) -> str:
        """What this replica is called."""
        return self._writer.replica

    @property
    def size(self) -> int:
        """Number of durable records after the last one that this process wrote."""
        return self._writer.tree.size

    @property
    def root(self) -> bytes:
        """Root of the Merkle tree over them, 32 bytes."""
        return self._writer.tree.root()

    def append(self, record: Mapping[str, Any] | Later, *, durable: bool = True) -> int:  # noqa: ARG002 - as `Trail.append`
        """Write one record.

        Args:
            record: `kind` and whatever belongs to it, plain JSON values; `v`, `seq`, `log`, `boot`, `t_us`, `mono_us`
                and, unless given, `id` are added.
            durable: every record is: its number is known only when it is committed.

        Returns:
            Its sequence number in the shared ledger.

        Raises:
            TrailError: if it was not written in time, or at all; then nothing may be released on its account.
                It may still be found in the trail later. A server that comes back is used again.
        """
        entry, waiter = Numbered.waited_for()
        self._submit(record, entry)
        if not waiter.acquire(timeout=self._timeout):
            raise TrailError(self._give_up(entry))
        return self._number(entry)

    async def aappend(self, record: Mapping[str, Any] | Later, *, durable: bool = True) -> int:  # noqa: ARG002 - as `append`
        """Write one record without blocking the event loop; otherwise as `append`."""
        import asyncio  # a guard in a harness hook never needs it, and starts twenty milliseconds sooner

        entry = Numbered()
        entry.loop = asyncio.get_running_loop()
        future = entry.future = entry.loop.create_future()
        self._submit(record, entry)
        try:
            done, _ = await asyncio.wait((future,), timeout=self._timeout)
            if not done:
                raise TrailError(self._give_up(entry))
            future.result()
        except asyncio.CancelledError:
            entry.given_up = True
            raise
        finally:
            future.cancel()  # nobody looks at it any more; does nothing once it is done
        return self._number(entry)

    def checkpoint(self) -> None:
        """Sign everything that was appended before this call, and make sure that the ledger can be reached.

        Raises:
            TrailError: if that fails or takes longer than `timeout_seconds`.
        """
        self._check_process()
        entry, waiter = Numbered.waited_for()
        with self._writer.order:
            self._check_usable()
            self._writer.put(entry)
        if not waiter.acquire(timeout=self._timeout):
            raise TrailError(self._give_up(entry))
        if self._writer.failure is not None:
            raise TrailError(self._writer.failure)

    def close(self) -> None:
        """Write what is waiting, sign it, and let go. Closing twice does nothing.

        Raises:
            TrailError: if the server does not answer within `timeout_seconds`, or records could not be written.
        """
        if not self._is_ours:
            return
        with self._writer.order:
            if self._closed:
                return
            self._closed = True
            self._writer.put(Numbered(last=True))
        self._ends()
        for ledger in self._ledgers:
            ledger.close()
        if not self._writer.ended(self._timeout):
            self._writer.stop()
            self._writer.ended(self._timeout)
        self._writer.let_go()
        self._lease.close()
        self.publisher.close()
        self._let_go()
        if self._writer.failure is not None:
            raise TrailError(self._writer.failure)

    def settle(self, answers: Answers) -> int:
        """Answer the open intents of replicas that stopped: now, and whenever the lease of another one has ended.

        Args:
            answers: from open intents, and what is known of them, to the records that answer them.

        Returns:
            How many there were now.

        Raises:
            TrailError: if they cannot be read or written.
        """
        self._check_process()
        return self._lease.settle(answers)

    def _offer_last(self) -> None:
        self._writer.offer_last()

    def ledger(self, kinds: Collection[str]) -> PostgresLedger:
        """The same ledger, one exclusive turn at a time, for what has to be decided and written in one.

        Args:
            kinds: which records a turn tells of.

        Returns:
            The ledger; it is closed with the trail.
        """
        self._check_process()
        ledger = self._writer.ledger(kinds)
        self._ledgers.append(ledger)
        return ledger

    def _submit(self, record: Mapping[str, Any] | Later, entry: Numbered) -> None:
        self._check_process()
        if isinstance(record, Later):
            record = record.make()
        entry.take(Encoded(self._stamp, record))
        entry.record = record
        with self._writer.order:
            self._check_usable()
            self._writer.put(entry)

    def _check_usable(self) -> None:
        writer = self._writer
        if writer.failure is not None:
            raise TrailError(writer.failure)
        if self._closed:
            raise TrailError(f"the trail `{self.where}` is closed")
        # While the server is away for longer than anybody waits, nobody waits at all.
        since = writer.down_since or writer.busy_since
        if (since and time.monotonic() - since > self._timeout) or writer.waiting > MAX_WAITING:
            writer.missed += 1
            writer.cut()
            raise TrailError(self._late())

    def _give_up(self, entry: Numbered) -> str:
        entry.given_up = True
        self._writer.cut()
        return self._late()

    def _number(self, entry: Numbered) -> int:
        if entry.seq is None:
            raise TrailError(self._writer.failure or self._late())
        return entry.seq

    def _late(self) -> str:
        why = f": {self._writer.down_because}" if self._writer.down_since else ""
        return f"the server of the trail `{self.where}` did not answer within {self._timeout:g} seconds{why}"


def _clients(store: str, limits: Limits, witnesses: Sequence[tuple[str, str]]) -> list[Sink]:
    if not witnesses:
        return []
    from guardrail.audit._cosign import WitnessClient  # loads an HTTP client, which few need
    from guardrail.audit.postgres._beside import keep_cosigned

    return [WitnessClient(store, url, vkey, partial(keep_cosigned, store, limits)) for url, vkey in witnesses]
