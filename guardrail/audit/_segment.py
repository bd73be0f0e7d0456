"""Segment files: how leaves lie on disk, and the one path by which they get there.

A frame is 32 bytes big-endian before each leaf: magic, u32 length, u64 sequence number, u32 place in its batch,
first 8 bytes of the previous leaf's hash, CRC-32 of all that and the leaf.

- The previous hash chains frames, so that frames behind a hole never come back to life when the hole is refilled.
- The place tells a torn last batch from damage: a batch is written only after the one before it was synced, so a
  whole frame whose batch began behind an unreadable record proves that synced data is damaged.

Not concerned with who may write, when to sign, or what a leaf says.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from guardrail.audit._files import FULL, fill, sync_directory, write_all
from guardrail.audit._record import MAX_LEAF_BYTES
from guardrail.audit._tiles import Tiles
from guardrail.audit._tree import Frontier, leaf_hash

MAGIC: Final = b"\xf5GR1"
"""First bytes of a frame; 0xF5 never occurs in UTF-8, so no leaf can contain it."""

HEAD: Final = struct.Struct(">4sIQI8s")
CRC: Final = struct.Struct(">I")
FRAME_BYTES: Final = HEAD.size + CRC.size
"""Length of what stands before a leaf, in bytes."""

CHAIN_BYTES: Final = 8
"""How much of the previous leaf's hash a frame repeats, in bytes."""

NO_PREVIOUS: Final = bytes(CHAIN_BYTES)
"""The previous hash of record 0."""

SLICE_BYTES: Final = 1024 * 1024
"""How far a segment grows at a time, in bytes: a small trail costs no more disk than this."""

RESERVE_SHARE: Final = 4
"""A segment grows when less than this part of a slice is left; what is left is the reserve for denials."""


class Frame(NamedTuple):
    """One record as found on disk."""

    leaf: bytes
    seq: int
    place: int
    previous: bytes
    end: int


def segment_name(first: int) -> str:
    """File name of the segment that begins with record `first`."""
    return f"{first:020d}.seg"


def read_frame(data: bytes, at: int) -> Frame | None:
    """The whole frame that begins at `at`, or None."""
    if at + FRAME_BYTES > len(data):
        return None
    magic, length, seq, place, previous = HEAD.unpack_from(data, at)
    end = at + FRAME_BYTES + length
    if magic != MAGIC or not 0 < length <= MAX_LEAF_BYTES or end > len(data):
        return None
    leaf = data[at + FRAME_BYTES : end]
    (crc,) = CRC.unpack_from(data, at + HEAD.size)
    if zlib.crc32(leaf, zlib.crc32(data[at : at + HEAD.size])) != crc:
        return None
    return Frame(leaf, seq, place, previous, end)


class Segments:
    """The open end of the ledger. Used by one thread at a time.

    Args:
        directory: where the segments lie.
        segment_bytes: a new segment begins before one would grow beyond this, in bytes.
        tree: what has been written so far.
        tiles: the same tree, as tiles.
        previous: first bytes of the last leaf's hash.
        tail: the segment to go on with; None begins one.
        at: where in it the next frame goes, in bytes.
        on_seal: called when a new segment begins, before its first frame is written.

    Raises:
        OSError: if the tail cannot be opened, cut and filled.
    """

    def __init__(
        self,
        directory: Path,
        segment_bytes: int,
        *,
        tree: Frontier,
        tiles: Tiles,
        previous: bytes = NO_PREVIOUS,
        tail: Path | None = None,
        at: int = 0,
        on_seal: Callable[[], None] = lambda: None,
    ) -> None:
        self.tree = tree
        self.tiles = tiles
        self.previous = previous
        self.low = False
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._slice = min(SLICE_BYTES, segment_bytes)
        self._reserve = self._slice // RESERVE_SHARE
        self._on_seal = on_seal
        self._at = at
        self._fd = -1
        if tail is None:
            self._fd, self._filled = self._create(tree.size)
        else:
            self._reopen(tail)

    def _reopen(self, tail: Path) -> None:
        self._fd = os.open(tail, os.O_RDWR | os.O_CLOEXEC)
        # INVARIANT: nothing is ever written into a region that holds anything but zeros; a torn batch goes first.
        size = os.fstat(self._fd).st_size
        if size < self._at or os.pread(self._fd, max(0, size - self._at), self._at).strip(b"\0"):
            os.ftruncate(self._fd, self._at)
            os.fsync(self._fd)
            size = self._at
        self._filled = size
        self.grow(0)

    def _create(self, first: int) -> tuple[int, int]:
        path = self._directory / segment_name(first)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fill(fd, 0, self._slice)
            sync_directory(self._directory)
        except BaseException:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        return fd, self._slice

    def write(self, leaves: Sequence[bytes]) -> None:
        """Append a batch; it is durable when this returns.

        Raises:
            OSError: if it is not; the caller must not write again, for the kernel may have dropped the pages
                (Linux reports a failed sync once and then marks them clean).
        """
        need = sum(map(len, leaves)) + FRAME_BYTES * len(leaves)
        if self._at and self._at + need > self._segment_bytes:
            self._rotate()
        self.grow(need)
        frames: list[bytes] = []
        digests: list[bytes] = []
        previous, first = self.previous, self.tree.size
        for place, leaf in enumerate(leaves):
            head = HEAD.pack(MAGIC, len(leaf), first + place, place, previous)
            frames += (head, CRC.pack(zlib.crc32(leaf, zlib.crc32(head))), leaf)
            digest = leaf_hash(leaf)
            digests.append(digest)
            previous = digest[:CHAIN_BYTES]
        write_all(self._fd, b"".join(frames), self._at)
        os.fdatasync(self._fd)
        self._at += need
        self.previous = previous
        for digest in digests:
            self.tree.add(digest)
            self.tiles.add(digest)
        self.tiles.flush()

    def grow(self, need: int) -> None:
        """Keep `need` bytes and the reserve filled with zeros ahead; without room for it, `low` is set.

        Raises:
            OSError: if there is not even room for `need`.
        """
        wanted = self._at + need + self._reserve
        if wanted <= self._filled:
            self.low = False
            return
        end = -(-wanted // self._slice) * self._slice
        try:
            fill(self._fd, self._filled, end)
        except OSError as error:
            if error.errno not in FULL or self._at + need > self._filled:
                raise
            self.low = True
        else:
            self._filled = end
            self.low = False

    def _rotate(self) -> None:
        try:
            fd, filled = self._create(self.tree.size)
        except OSError as error:
            if error.errno not in FULL:
                raise
            return  # `grow` decides whether the old segment still has room for this batch
        self._on_seal()
        os.ftruncate(self._fd, self._at)
        os.fsync(self._fd)
        os.close(self._fd)
        self._fd, self._filled, self._at = fd, filled, 0

    def close(self) -> None:
        """Let go of the file; what was written is durable already."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
