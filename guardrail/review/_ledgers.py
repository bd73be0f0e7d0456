"""The ledgers that come with the guard: the trail, which one process writes, and memory, for judging alone."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from guardrail.audit import Trail
from guardrail.audit._recover import segments_of
from guardrail.audit._segment import MAGIC, read_frame, segment_name
from guardrail.errors import TrailError
from guardrail.review._ledger import KINDS

_MARKS: tuple[bytes, ...] = tuple(f'"kind":"{kind}"'.encode() for kind in sorted(KINDS))
"""One of these is in every leaf that is looked for; leaves are canonical, so there is one way to write it."""


class TrailLedger:
    """The trail as the ledger of review.

    One process writes a trail, so there is no news after what was there when it was opened, unless an append failed
    and nobody knows what became of it.

    Args:
        trail: open for writing; closing it stays with the caller.
    """

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._lock = threading.Lock()
        self._unread = True
        self._known = -1

    @contextmanager
    def turn(self) -> Generator[TrailLedger]:
        """One turn; see `Ledger`."""
        with self._lock:
            yield self

    def news(self, after: int) -> Iterable[tuple[int, Mapping[str, Any]]]:
        """What is on disk behind `after`, the first time and after a failure; nothing otherwise."""
        if not self._unread and after >= self._known:
            return ()
        # Whatever was queued when an append failed is on disk after this, or the trail has failed for good.
        self._trail.checkpoint()
        found = tuple(read_trail(self._trail.directory, after, size=self._trail.size))
        self._unread, self._known = False, max([self._known, *(seq for seq, _ in found)])
        return found

    def append(self, records: Sequence[Mapping[str, Any]]) -> Sequence[int]:
        """Write records, durably; only the last is waited for, since the log has one order."""
        self._unread = True
        last = len(records) - 1
        numbers = [self._trail.append(record, durable=at == last) for at, record in enumerate(records)]
        # INVARIANT: from here on whoever called knows these; had it raised, the next turn would read them again.
        self._unread, self._known = False, numbers[-1]
        return numbers


class MemoryLedger:
    """A ledger that ends with the process: what it holds is evidence of nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[tuple[int, Mapping[str, Any]]] = []

    @contextmanager
    def turn(self) -> Generator[MemoryLedger]:
        """One turn; see `Ledger`."""
        with self._lock:
            yield self

    def news(self, after: int) -> Iterable[tuple[int, Mapping[str, Any]]]:
        """Everything behind `after`."""
        return tuple(self._records[after + 1 :])

    def append(self, records: Sequence[Mapping[str, Any]]) -> Sequence[int]:
        """Keep records."""
        first = len(self._records)
        self._records += [(first + at, orjson.loads(orjson.dumps(record))) for at, record in enumerate(records)]
        return range(first, len(self._records))


def read_trail(directory: Path, after: int = -1, *, size: int | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of review in a trail, from its files, without opening it for writing.

    Args:
        directory: the trail.
        after: sequence number of the last record that is known; -1 for all.
        size: how many records there must be; None takes what is there, since another process may be writing.

    Raises:
        TrailError: if a record is missing or cannot be read: a grant could have been used up, or taken back, by it.
    """
    files = segments_of(directory)
    first = segment_name(after + 1)
    # The segment that holds the wanted record is the last that begins at it or before it.
    start = max((at for at, path in enumerate(files) if path.name <= first), default=0)
    seq = int(files[start].stem) if files else 0
    for path in files[start:]:
        if path.name != segment_name(seq):
            raise _damaged(directory, seq)
        data, at = path.read_bytes(), 0
        while frame := read_frame(data, at):
            if frame.seq != seq:
                raise _damaged(directory, seq)
            if seq > after and any(mark in frame.leaf for mark in _MARKS):
                record = orjson.loads(frame.leaf)
                if record.get("kind") in KINDS:
                    yield seq, record
            seq, at = seq + 1, frame.end
        if path is not files[-1] and data.startswith(MAGIC, at):
            raise _damaged(directory, seq)
    if size is not None and seq < size:
        raise _damaged(directory, seq)


def _damaged(directory: Path, seq: int) -> TrailError:
    return TrailError(
        f"the trail `{directory}` is damaged: record {seq} cannot be read, so nobody knows what people allowed: "
        "run `guardrail audit verify`"
    )
