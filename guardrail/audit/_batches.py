"""What every store's writer thread does alike: batches, and telling those who wait.

Batches form without a timer: whatever was asked for while the previous commit ran is written and committed together.
A thread of its own, and not the caller, waits for the store, so that one that hangs costs a caller its timeout.

Not concerned with where the records go, nor with what a failure means for it.
"""

from __future__ import annotations

import collections
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from guardrail.errors import TrailError

if TYPE_CHECKING:
    import asyncio

MAX_BATCH: Final = 512
"""Most records in one batch."""

MAX_BATCH_BYTES: Final = 512 * 1024
"""Largest batch, in bytes of leaves; one leaf more may stand in it."""

WRITTEN_OUT_AT_ONCE: Final = 4
"""Records that are written out before other threads get a turn: no call that is being judged waits for more."""

WRITE_OUT_SECONDS: Final = 0.001
"""How often records that were put off are written out, in seconds."""

LAZY_SECONDS: Final = 0.05
"""Longest time that records nobody waits for are held back to share a commit, in seconds."""


class Entry:
    """One thing the writer is asked for.

    Args:
        leaf: what to write; None asks only for room to be looked for and everything before to be signed.
        last: nothing comes after this; the writer ends.
    """

    __slots__ = ("future", "last", "later", "leaf", "loop", "record", "waiter")

    def __init__(self, leaf: bytes | None = None, *, last: bool = False) -> None:
        self.leaf = leaf
        self.last = last
        self.later: Callable[[], tuple[Mapping[str, Any], bytes]] | None = None
        """Gives record and leaf, where they are not there yet."""
        self.record: Mapping[str, Any] = {}
        self.waiter: threading.Lock | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[None] | None = None

    @classmethod
    def waited_for(cls) -> tuple[Self, threading.Lock]:
        """An entry, and the lock that a thread acquires again when it is done."""
        entry, waiter = cls(), threading.Lock()
        waiter.acquire()
        entry.waiter = waiter
        return entry, waiter

    def write_out(self) -> None:
        """Make the leaf, where that was put off."""
        if self.later is not None:
            self.record, self.leaf = self.later()
            self.later = None

    @property
    def is_record(self) -> bool:
        """Whether it is one to write, now or later."""
        return self.leaf is not None or self.later is not None

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for it."""
        return self.waiter is not None or self.future is not None


class Batches(ABC):
    """A queue of entries and the thread that works it off, batch by batch. Call `start` when the store is ready."""

    def __init__(self) -> None:
        self.order = threading.Lock()
        """Held by whoever numbers and queues: the queue is in the order of the log."""
        self.failure: str | None = None
        self.busy_since = 0.0
        self._entries: collections.deque[Entry] = collections.deque()
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._armed = False
        self._thread = threading.Thread(target=self._run, name="guardrail-trail", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    # ── what a store does ─────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def _write(self, batch: list[Entry]) -> None:
        """Make the records of a batch durable, or raise; the batch may have none."""

    @abstractmethod
    def _sign(self, *, asked: bool) -> None:
        """Sign what was written, if it is time or somebody asked."""

    @abstractmethod
    def _until_checkpoint(self) -> float | None:
        """Seconds until it is time to sign, or None if all is signed."""

    @abstractmethod
    def _final(self, error: Exception) -> str:
        """One sentence on an error that ends the writer."""

    def put(self, entry: Entry) -> None:
        """Ask for something; the caller holds `order`.

        Waking a thread costs more than an entry does: one that nobody waits for wakes the writer only if none has.
        """
        # INVARIANT: the entry is queued before `_armed` is read, and the writer disarms before it drains: either it
        # finds the entry, or it is woken for it.
        self._entries.append(entry)
        urgent = entry.awaited or entry.last or not entry.is_record or len(self._entries) >= MAX_BATCH
        if urgent or not self._armed:
            self._armed = True
            self._wake.put(urgent)

    def ended(self, timeout: float) -> bool:
        """Whether the thread has ended, after waiting for it at most `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

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
            self._linger()
        self._armed = False
        batch: list[Entry] = []
        size = 0
        while self._entries and len(batch) < MAX_BATCH and size < MAX_BATCH_BYTES:
            batch.append(self._entries.popleft())
            batch[-1].write_out()
            size += len(batch[-1].leaf or b"")
        if self._entries:
            self._wake.put(True)
        return batch

    def _linger(self) -> None:
        """Wait for company, and write out meanwhile what was put off: whoever comes and has to wait finds it done."""
        until = time.monotonic() + LAZY_SECONDS
        while (left := until - time.monotonic()) > 0:
            if self._woken(min(left, WRITE_OUT_SECONDS)) is not None:
                return
            put_off = [entry for entry in self._entries.copy() if entry.later is not None]
            for number, entry in enumerate(put_off, 1):
                entry.write_out()
                if number % WRITTEN_OUT_AT_ONCE == 0:
                    time.sleep(0)

    def _woken(self, wait: float | None) -> bool | None:
        """Whether somebody waits, or None if nobody woke the writer in `wait` seconds."""
        try:
            return self._wake.get(timeout=wait)
        except queue.Empty:
            return None

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
        with self.order:
            # INVARIANT: from here on nothing is queued any more, so that nobody waits for a thread that has ended.
            self.failure = self._final(error)
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
