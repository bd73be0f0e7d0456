"""The readable leaves of a trail, one after the other, in memory that does not grow with it.

Not concerned with what a leaf says, nor with whether it is what was written: a damaged frame is passed over here, and
named by `verify`.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from guardrail.audit._place import is_store
from guardrail.audit._record import MAX_LEAF_BYTES
from guardrail.audit._segment import CRC, FRAME_BYTES, HEAD, MAGIC

CHUNK_BYTES: Final = 1 << 20
"""How much of a segment is read at a time, in bytes."""

POLL_SECONDS: Final = 0.2
"""How often a trail that is followed is looked at, in seconds."""


PATIENCE: Final = 10
"""How many looks a missing record is waited for before those behind it are shown; what is damaged never comes."""


class Place(NamedTuple):
    """Where in a trail a frame begins, or the next one will."""

    file: str
    offset: int
    seq: int


class Found(NamedTuple):
    """One leaf as it lies in the trail."""

    seq: int
    leaf: bytes
    file: str
    offset: int

    def record(self) -> dict[str, Any] | None:
        """What the leaf says, or None if it is no JSON object."""
        try:
            value: object = orjson.loads(self.leaf)
        except orjson.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType]

    @property
    def after(self) -> Place:
        """Where the next frame of this file begins."""
        return Place(self.file, self.offset + FRAME_BYTES + len(self.leaf), self.seq + 1)


def read_leaves(directory: Path | str, start: Place | None = None) -> Iterator[Found]:
    """The readable leaves of a trail in the order of its files.

    Files are read and never mapped: the writer cuts the end off a segment that it seals, and a mapped page that is gone
    ends the reading process.

    Args:
        directory: the trail: a directory, or the address of a shared one.
        start: begin here instead of at the first record.

    Raises:
        OSError: if the directory or a file in it cannot be read.
        TrailError: if the database cannot be read.
    """
    if is_store(directory):
        yield from _read_rows(str(directory), 0 if start is None else start.seq)
        return
    # Listing raises where there is no directory: a trail that lies elsewhere must not read like an empty one.
    for path in sorted(Path(directory) / name for name in os.listdir(directory) if name.endswith(".seg")):
        if start is None or path.name > start.file:
            yield from _read_segment(path, 0)
        elif path.name == start.file:
            yield from _read_segment(path, start.offset)


def _read_rows(store: str, first: int) -> Iterator[Found]:
    from guardrail.audit.postgres._reading import Reader

    with Reader.open(store) as reader:
        for seq, leaf in reader.leaves(first):
            yield Found(seq, leaf, "", 0)


def read_leaf_at(directory: Path | str, place: Place) -> Found | None:
    """The leaf at one place, or None if none with this number lies there.

    Raises:
        OSError: if the file cannot be read.
    """
    fd = os.open(Path(directory) / place.file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        head = os.pread(fd, FRAME_BYTES, place.offset)
        length = int.from_bytes(head[4:8], "big")
        data = head + os.pread(fd, min(length, MAX_LEAF_BYTES), place.offset + FRAME_BYTES)
    finally:
        os.close(fd)
    frame = _frame(data, 0)
    if frame is None or frame[0] != place.seq:
        return None
    return Found(place.seq, frame[1], place.file, place.offset)


def follow(directory: Path | str, start: Place | None = None) -> Iterator[Found | None]:
    """The leaves from a place on, and those that are still to be written; it never ends.

    Yields:
        Each leaf, and None whenever there is nothing more for now; the next step then waits `POLL_SECONDS`.

    Raises:
        OSError: if the directory or a file in it cannot be read.
    """
    if is_store(directory):
        yield from _follow_rows(str(directory), 0 if start is None else start.seq)
        return
    place, patience = start, PATIENCE
    while True:
        for found in read_leaves(directory, place):
            following = place.seq if place is not None else 0
            if found.seq > following and patience and place is not None:
                patience -= 1
                break  # a batch that is being written may become visible in any order
            place, patience = found.after, PATIENCE
            yield found
        yield None
        time.sleep(POLL_SECONDS)


def _follow_rows(store: str, first: int) -> Iterator[Found | None]:
    # Whoever writes holds the frontier, so records become visible in their order.
    from guardrail.audit.postgres._reading import Reader

    with Reader.open(store) as reader:
        while True:
            for seq, leaf in reader.leaves(first):
                first = seq + 1
                yield Found(seq, leaf, "", 0)
            yield None
            time.sleep(POLL_SECONDS)


def _read_segment(path: Path, at: int) -> Iterator[Found]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        window = _Window(fd, at)
        while window.has_frame():
            frame = _frame(window.data, window.at)
            if frame is None:
                if not window.skip():
                    return
                continue
            seq, leaf = frame
            found = Found(seq, leaf, path.name, window.offset)
            window.at += FRAME_BYTES + len(leaf)
            yield found
    finally:
        os.close(fd)


class _Window:
    """The part of a segment that is in memory."""

    __slots__ = ("_base", "_fd", "at", "data")

    def __init__(self, fd: int, offset: int) -> None:
        self._fd = fd
        self._base = offset
        self.data = b""
        self.at = 0

    @property
    def offset(self) -> int:
        return self._base + self.at

    def has_frame(self) -> bool:
        """Whether a head is here, with as much of its leaf as the file has."""
        if not self._has(FRAME_BYTES):
            return False
        length = int.from_bytes(self.data[self.at + 4 : self.at + 8], "big")
        self._has(FRAME_BYTES + min(length, MAX_LEAF_BYTES))
        return True

    def _has(self, need: int) -> bool:
        if len(self.data) - self.at >= need:
            return True
        self.data = self.data[self.at :]
        self._base += self.at
        self.at = 0
        while len(self.data) < need:
            more = os.pread(self._fd, CHUNK_BYTES, self._base + len(self.data))
            if not more:
                return False
            self.data += more
        return True

    def skip(self) -> bool:
        """Go on to the next thing that begins like a frame."""
        self.at += 1
        while (found := self.data.find(MAGIC, self.at)) < 0:
            # The magic may lie across two chunks.
            self.at = max(self.at, len(self.data) - len(MAGIC) + 1)
            if not self._has(len(MAGIC)):
                return False
        self.at = found
        return True


def _frame(data: bytes, at: int) -> tuple[int, bytes] | None:
    """Number and leaf of the whole frame at `at`, or None."""
    if at + FRAME_BYTES > len(data):
        return None
    magic, length, seq, _, _ = HEAD.unpack_from(data, at)
    begin = at + FRAME_BYTES
    if magic != MAGIC or not 0 < length <= MAX_LEAF_BYTES or begin + length > len(data):
        return None
    leaf = data[begin : begin + length]
    (crc,) = CRC.unpack_from(data, at + HEAD.size)
    return (seq, leaf) if zlib.crc32(leaf, zlib.crc32(data[at : at + HEAD.size])) == crc else None
