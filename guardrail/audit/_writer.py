"""The writer thread: batches, syncs, checkpoints, and telling those who wait.

Batches form without a timer: whatever was asked for while the previous sync ran is written and synced together.
A thread of its own, and not the caller, waits for the disk, so that a disk that hangs costs a caller its timeout.
"""

from __future__ import annotations

import collections
import queue
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail.audit._note import CheckpointFile
from guardrail.audit._place import cannot
from guardrail.audit._publish import Publisher
from guardrail.audit._segment import Segments
from guardrail.audit._unfinished import Unfinished
from guardrail.errors import TrailError

if TYPE_CHECKING:
    import asyncio

MAX_BATCH: Final = 512
"""Most records in one batch."""

MAX_BATCH_BYTES: Final = 512 * 1024
"""Largest batch, in bytes of leaves; one leaf more may stand in it."""

LAZY_SECONDS: Final = 0.05
"""Longest time that records nobody waits for are held back to share a sync, in seconds."""


class Entry:
    """One thing the writer is asked for.

    Args:
        leaf: what to write; None asks only for room to be looked for and everything before to be signed.
        last: nothing comes after this; the writer ends.
    """

    __slots__ = ("future", "last", "leaf", "loop", "record", "waiter")

    def __init__(self, leaf: bytes | None = None, *, last: bool = False) -> None:
        self.leaf = leaf
        self.last = last
        self.record: Mapping[str, Any] = {}
        self.waiter: threading.Lock | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[None] | None = None

    @classmethod
    def waited_for(cls) -> tuple[Entry, threading.Lock]:
        """An entry, and the lock that a thread acquires again when it is done."""
        entry, waiter = cls(), threading.Lock()
        waiter.acquire()
        entry.waiter = waiter
        return entry, waiter

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for it."""
        return self.waiter is not None or self.future is not None


class Writer:
    """The only one who touches the files of an open trail.

    Args:
        directory: the trail, for messages.
        segments: its open end.
        checkpoints: its checkpoints.
        unfinished: its open intents.
        publisher: where checkpoints go from here.
        checkpoint_seconds: longest time between two checkpoints while records arrive, in seconds.
    """

    def __init__(
        self,
        directory: Path,
        segments: Segments,
        checkpoints: CheckpointFile,
        unfinished: Unfinished,
        publisher: Publisher,
        checkpoint_seconds: float,
    ) -> None:
        self.order = threading.Lock()
        """Held by whoever numbers and queues: the queue is in the order of the log."""
        self.size = segments.tree.size
        self.roots = segments.tree.roots
        self.failure: str | None = None
        self.busy_since = 0.0
        self._directory = directory
        self._segments = segments
        self._checkpoints = checkpoints
        self._unfinished = unfinished
        self._publisher = publisher
        self._checkpoint_seconds = checkpoint_seconds
        self._signed_at = time.monotonic()
        self._entries: collections.deque[Entry] = collections.deque()
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._armed = False
        self._thread = threading.Thread(target=self._run, name="guardrail-trail", daemon=True)
        self._thread.start()

    @property
    def low(self) -> bool:
        """Whether only the reserve is left on the disk."""
        return self._segments.low

    def put(self, entry: Entry) -> None:
        """Ask for something; the caller holds `order`.

        Waking a thread costs more than an entry does: one that nobody waits for wakes the writer only if none has.
        """
        # INVARIANT: the entry is queued before `_armed` is read, and the writer disarms before it drains: either it
        # finds the entry, or it is woken for it.
        self._entries.append(entry)
        urgent = entry.awaited or entry.last or entry.leaf is None or len(self._entries) >= MAX_BATCH
        if urgent or not self._armed:
            self._armed = True
            self._wake.put(urgent)

    @property
    def signed(self) -> int:
        """Number of records under the last checkpoint."""
        last = self._checkpoints.last
        return 0 if last is None else last.size

    def offer_last(self) -> None:
        """Publish the last checkpoint again, for a place that was added."""
        if self._checkpoints.last is not None:
            self._publisher.offer(self._checkpoints.last, self._checkpoints.last_note)

    def ended(self, timeout: float) -> bool:
        """Whether the thread has ended, after waiting for it at most `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def let_go(self) -> None:
        """Close the files."""
        self._segments.close()
        self._checkpoints.close()

    # ── the thread ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        batch: list[Entry] = []
        try:
            while not any(entry.last for entry in batch):
                batch = self._collect()
                self.busy_since = time.monotonic()
                self._write(batch)
                self._settle(entry for entry in batch if entry.leaf is not None)
                batch = [entry for entry in batch if entry.leaf is None]
                self._sign(asked=bool(batch))
                self.busy_since = 0.0
                self._settle(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, the log no longer follows those who were given numbers
            self._fail(error, batch)

    def _collect(self) -> list[Entry]:
        """Whatever is queued, or nothing when it is time to sign."""
        urgent = self._woken(self._until_checkpoint())
        if urgent is False:
            self._woken(LAZY_SECONDS)
        self._armed = False
        batch: list[Entry] = []
        size = 0
        while self._entries and len(batch) < MAX_BATCH and size < MAX_BATCH_BYTES:
            batch.append(self._entries.popleft())
            size += len(batch[-1].leaf or b"")
        if self._entries:
            self._wake.put(True)
        return batch

    def _woken(self, wait: float | None) -> bool | None:
        """Whether somebody waits, or None if nobody woke the writer in `wait` seconds."""
        try:
            return self._wake.get(timeout=wait)
        except queue.Empty:
            return None

    def _unsigned(self) -> bool:
        last = self._checkpoints.last
        return last is None or last.size != self._segments.tree.size

    def _until_checkpoint(self) -> float | None:
        if not self._unsigned():
            return None
        return max(0.001, self._signed_at + self._checkpoint_seconds - time.monotonic())

    def _write(self, batch: Sequence[Entry]) -> None:
        leaves = [entry.leaf for entry in batch if entry.leaf is not None]
        if leaves:
            first = self.size
            self._segments.write(leaves)
            for place, entry in enumerate(entry for entry in batch if entry.leaf is not None):
                self._unfinished.take(entry.record, first + place)
            self.size, self.roots = self._segments.tree.size, self._segments.tree.roots
        elif self.low:
            self._segments.grow(0)

    def _sign(self, *, asked: bool) -> None:
        now = time.monotonic()
        if self._unsigned() and (asked or now - self._signed_at >= self._checkpoint_seconds):
            self._signed_at = now
            if not self._checkpoints.append(self._segments.tree):
                self._segments.low = True
            elif self._checkpoints.last is not None:
                self._publisher.offer(self._checkpoints.last, self._checkpoints.last_note)

    def _settle(self, batch: Iterable[Entry]) -> None:
        loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for entry in batch:
            if entry.waiter is not None:
                entry.waiter.release()
            elif entry.future is not None and entry.loop is not None:
                loops.setdefault(entry.loop, []).append(entry.future)
        for loop, futures in loops.items():
            try:
                loop.call_soon_threadsafe(_resolve, futures, self.failure)
            except RuntimeError:
                pass  # that loop was closed meanwhile, so nobody waits there any more

    def _fail(self, error: Exception, batch: list[Entry]) -> None:
        """FAILED is final: a sync that failed must not be tried again, and numbers were given that were not written."""
        cause = cannot("write", self._directory, error) if isinstance(error, OSError) else f"the trail failed: {error}"
        with self.order:
            # INVARIANT: from here on nothing is queued any more, so that nobody waits for a thread that has ended.
            self.failure = f"{cause}; the trail takes no more records: restart when that is mended"
        left = list(batch)
        while self._entries:
            left.append(self._entries.popleft())
        self.busy_since = 0.0
        self._settle(left)


def _resolve(futures: Iterable[asyncio.Future[None]], failure: str | None) -> None:
    for future in futures:
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(TrailError(failure))
