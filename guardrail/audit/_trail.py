"""The ledger that the guard writes: records from any thread or event loop, durable before anybody acts on them.

What the signature is worth: the key lies beside the records, so whoever owns this directory can write another trail.
A checkpoint or verifier key that was copied elsewhere beforehand is what shows it; nothing after the last copied
checkpoint is proven.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from guardrail.audit._batches import Entry
from guardrail.audit._minimum import read_minimum, remove_below
from guardrail.audit._note import CHECKPOINT_FILE, CheckpointFile, Signer, open_signer
from guardrail.audit._opened import MAX_WAITING, Opened, check_origin, opened
from guardrail.audit._place import cannot, take_lock
from guardrail.audit._proof import inclusion_proof
from guardrail.audit._publish import Publisher, SecondFile, Sink
from guardrail.audit._record import Later, Moment, Stamp, releases
from guardrail.audit._recover import Recovered, compare_elsewhere, recover, save_frontier, segments_of
from guardrail.audit._segment import Segments
from guardrail.audit._tree import fold
from guardrail.audit._unfinished import Answers, read_again
from guardrail.audit._writer import Writer
from guardrail.audit.clock import set_back
from guardrail.errors import TrailError

PROBE_SECONDS: Final = 1.0
"""How often a full disk is asked again whether there is room, in seconds."""


class Trail(Opened):
    """An append-only, signed ledger of records in one directory. Made by `Trail.open`.

    Safe to use from any number of threads and event loops. Not usable in a forked child.

    Args:
        directory: where it lies.
        lock: descriptor that keeps other writers away.
        writer: the thread that writes.
        stamp: what every record gets.
        timeout_seconds: longest wait for the disk, in seconds.
        unfinished: numbers of the intents without a result that were found.
        publisher: where checkpoints go from here.
        last_us: time of the last record, in microseconds since 1970.
    """

    _in_child = "a forked child must not write to it"

    def __init__(
        self,
        directory: Path,
        lock: int,
        writer: Writer,
        stamp: Stamp,
        timeout_seconds: float,
        unfinished: Sequence[int] = (),
        publisher: Publisher | None = None,
        last_us: int = 0,
    ) -> None:
        super().__init__(str(directory), lock, publisher or Publisher(()), last_us)
        self.directory = self.place = directory
        self.unfinished = tuple(unfinished)
        """Intents without a result when the trail was opened, as numbers; `aftermath.settle` answers them."""
        self._writer = writer
        self._stamp = stamp
        self._timeout = timeout_seconds
        self._next = writer.size
        self._probed_at = 0.0

    @classmethod
    def open(
        cls,
        directory: Path | str,
        *,
        origin: str = "guardrail.local/trail",
        segment_bytes: int = 64 * 1024 * 1024,
        checkpoint_seconds: float = 1.0,
        timeout_seconds: float = 2.0,
        checkpoint_file: Path | None = None,
        witnesses: Sequence[tuple[str, str]] = (),
    ) -> Trail:
        """Open a trail for writing, or begin one.

        Args:
            directory: where it lies; created if it does not exist.
            origin: name of the ledger, without blanks and `+`.
            segment_bytes: size of one segment file, in bytes.
            checkpoint_seconds: longest time between two signed checkpoints while records arrive, in seconds.
            timeout_seconds: longest wait for a durable append, in seconds.
            checkpoint_file: a second file for checkpoints; what it holds already must fit the trail.
            witnesses: address and verifier key of each witness that is to cosign checkpoints.

        Returns:
            The trail, its torn end cut if there was one.

        Raises:
            TrailError: if the directory cannot be used, is in use by another process, or what it holds is damaged,
                rolled back, or of another ledger.
        """
        check_origin(origin)
        path = Path(directory).absolute()
        lock = -1
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = take_lock(path, ours=_is_open_here(path))
            second = SecondFile(checkpoint_file) if checkpoint_file is not None else None
            publisher = Publisher([*([second] if second is not None else ()), *_clients(path, witnesses)])
            writer, found = _open_writer(path, origin, segment_bytes, checkpoint_seconds, publisher, second)
            stamp, unfinished = Stamp(origin, found.last_us), found.unfinished.seqs
            trail = cls(path, lock, writer, stamp, timeout_seconds, unfinished, publisher, found.last_us)
        except BaseException as error:
            if lock >= 0:
                os.close(lock)
            if isinstance(error, OSError):
                raise TrailError(cannot("open", path, error)) from None
            raise
        if (behind := set_back(trail.last_us)) is not None:
            trail.append(behind, durable=False)
        return trail

    @property
    def size(self) -> int:
        """Number of durable records."""
        return self._writer.size

    @property
    def root(self) -> bytes:
        """Root of the Merkle tree over the durable records, 32 bytes."""
        return fold(self._writer.roots)

    def append(self, record: Mapping[str, Any] | Later, *, durable: bool = True) -> int:
        """Write one record.

        Args:
            record: `kind` and whatever belongs to it, plain JSON values; `v`, `seq`, `log`, `boot`, `t_us`, `mono_us`
                and, unless given, `id` are added. One that can be made later is, unless somebody waits for it.
            durable: wait until it is on disk; otherwise it follows shortly, or is lost in a crash.

        Returns:
            Its sequence number.

        Raises:
            TrailError: if it was not written in time, or at all; then nothing may be released on its account.
                It may still be found in the trail later. A write or sync that failed is final.
        """
        if not durable:
            return self._submit(record, Entry())
        entry, waiter = Entry.waited_for()
        seq = self._submit(record, entry)
        self._wait(waiter, seq)
        return seq

    async def aappend(self, record: Mapping[str, Any] | Later, *, durable: bool = True) -> int:
        """Write one record without blocking the event loop; otherwise as `append`."""
        import asyncio  # a guard in a harness hook never needs it, and starts twenty milliseconds sooner

        entry = Entry()
        if not durable:
            return self._submit(record, entry)
        entry.loop = asyncio.get_running_loop()
        future = entry.future = entry.loop.create_future()
        seq = self._submit(record, entry)
        try:
            done, _ = await asyncio.wait((future,), timeout=self._timeout)
            if not done:
                raise TrailError(self._late())
            future.result()
        finally:
            future.cancel()  # nobody looks at it any more; does nothing once it is done
        return seq

    def settle(self, answers: Answers) -> int:
        """Answer the intents that were open when the trail was opened.

        Args:
            answers: from open intents, and what is known of them, to the records that answer them.

        Returns:
            How many there were.

        Raises:
            TrailError: if the records cannot be written.
            OSError: if the trail cannot be read.
        """
        if not self.unfinished:
            return 0
        for record in answers(self.unfinished, read_again(self.directory, self.unfinished)):
            self.append(record, durable=False)
        # Nothing was released on the account of these records, but what is released from now on comes after them.
        self.checkpoint()
        return len(self.unfinished)

    def _offer_last(self) -> None:
        self._writer.offer_last()

    def checkpoint(self) -> None:
        """Sign everything that was appended before this call.

        Raises:
            TrailError: if that fails or takes longer than `timeout_seconds`.
        """
        self._check_process()
        entry, waiter = Entry.waited_for()
        with self._writer.order:
            self._check_usable()
            self._writer.put(entry)
        self._wait(waiter, None)

    def proof(self, seq: int) -> tuple[int, tuple[bytes, ...]]:
        """That a record is in the trail, under its last checkpoint.

        Args:
            seq: number of the record; one that no checkpoint covers yet is signed first.

        Returns:
            The size of the tree, and the hashes from the record up to its root (RFC 6962 section 2.1.1).

        Raises:
            TrailError: if there is no such record, or it cannot be signed or read.
        """
        if seq >= self._writer.signed:
            self.checkpoint()
        size = self._writer.signed
        try:
            return size, inclusion_proof(self.directory, seq, size)
        except OSError as error:
            raise TrailError(cannot("read", self.directory, error)) from None

    def close(self) -> None:
        """Write what is waiting, sign it, and let go of the directory. Closing twice does nothing.

        Raises:
            TrailError: if the disk does not answer within `timeout_seconds`, or records could not be written.
        """
        if not self._is_ours:
            return
        with self._writer.order:
            if self._closed:
                return
            self._closed = True
            self._writer.put(Entry(last=True))
        self._ends()
        if not self._writer.ended(self._timeout):
            # The files stay open and locked: the thread may still be writing to them.
            raise TrailError(f"the trail `{self.directory}` cannot be closed: {self._late()}")
        self.publisher.close()
        self._let_go()
        if self._writer.failure is not None:
            raise TrailError(self._writer.failure)

    def _submit(self, record: Mapping[str, Any] | Later, entry: Entry) -> int:
        self._check_process()
        if isinstance(record, Later) and entry.awaited:
            record = record.make()
        # INVARIANT: a number is given and queued under one lock, and only for a leaf that exists: they are dense.
        with self._writer.order:
            self._check_usable()
            if self._writer.low and releases(record):
                self._probe()
                raise TrailError(
                    f"the disk of the trail `{self.directory}` is full, only denials are recorded: free some space"
                )
            seq = self._next
            if isinstance(record, Later):
                entry.later = partial(self._made, record, seq, self._stamp.now())
            else:
                entry.leaf = self._stamp.leaf(record, seq)
                entry.record = record
            self._next = seq + 1
            self._writer.put(entry)
        return seq

    def _made(self, later: Later, seq: int, at: Moment) -> tuple[Mapping[str, Any], bytes]:
        record = later.make()
        return record, self._stamp.leaf(record, seq, at)

    def _check_usable(self) -> None:
        if self._writer.failure is not None:
            raise TrailError(self._writer.failure)
        if self._closed:
            raise TrailError(f"the trail `{self.directory}` is closed")
        busy = self._writer.busy_since
        stuck = busy and time.monotonic() - busy > self._timeout
        if stuck or self._next - self._writer.size > MAX_WAITING:
            raise TrailError(self._late())

    def _wait(self, waiter: threading.Lock, seq: int | None) -> None:
        if not waiter.acquire(timeout=self._timeout):
            raise TrailError(self._late())
        if self._writer.failure is not None and (seq is None or seq >= self._writer.size):
            raise TrailError(self._writer.failure)

    def _late(self) -> str:
        return f"the disk of the trail `{self.directory}` did not answer within {self._timeout:g} seconds"

    def _probe(self) -> None:
        now = time.monotonic()
        if now - self._probed_at > PROBE_SECONDS:
            self._probed_at = now
            self._writer.put(Entry())

    def _let_go(self) -> None:
        self._writer.let_go()
        super()._let_go()


def _is_open_here(path: Path) -> bool:
    trails = [trail for trail in list(opened) if isinstance(trail, Trail)]
    return any(trail.directory.resolve() == path.resolve() for trail in trails)


def _clients(path: Path, witnesses: Sequence[tuple[str, str]]) -> list[Sink]:
    if not witnesses:
        return []
    from guardrail.audit._cosign import WitnessClient  # loads an HTTP client, which few need

    return [WitnessClient(path, url, vkey) for url, vkey in witnesses]


def _open_writer(
    path: Path,
    origin: str,
    segment_bytes: int,
    checkpoint_seconds: float,
    publisher: Publisher,
    second: SecondFile | None,
) -> tuple[Writer, Recovered]:
    """Key, checkpoints, records, in this order; whatever does not fit the one before is refused."""
    fresh = not any(file.stat().st_size for file in segments_of(path)) and not (path / CHECKPOINT_FILE).exists()
    signer = open_signer(path, origin, fresh=fresh)
    checkpoints = CheckpointFile(path, signer)
    try:
        found = recover(path, signer, checkpoints.last)
        remove_below(path, read_minimum(path))
        if second is not None:
            compare_elsewhere(path, origin, second.last(), found.tree.size)
        segments = _open_segments(path, segment_bytes, found, signer, checkpoints)
        if checkpoints.last is None or checkpoints.last.size < found.tree.size:
            checkpoints.append(segments.tree)
    except BaseException:
        checkpoints.close()
        raise
    if checkpoints.last is not None:
        publisher.offer(checkpoints.last, checkpoints.last_note)
    writer = Writer(path, segments, checkpoints, found.unfinished, publisher, checkpoint_seconds)
    return writer, found


def _open_segments(
    path: Path, segment_bytes: int, found: Recovered, signer: Signer, checkpoints: CheckpointFile
) -> Segments:
    def seal() -> None:
        # The note comes first: a frontier is believed only as far as the signed checkpoints reach.
        if checkpoints.append(segments.tree):
            save_frontier(path, signer, found, segments.previous)

    segments = Segments(
        path,
        segment_bytes,
        tree=found.tree,
        tiles=found.tiles,
        previous=found.previous,
        tail=found.tail,
        at=found.at,
        on_seal=seal,
    )
    return segments
