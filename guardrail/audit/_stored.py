"""The Merkle tree of a trail as its tiles and segments hold it.

Not concerned with whether what lies on disk is what was signed: whoever compares a root with a checkpoint finds out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from guardrail.audit._segment import FRAME_BYTES, HEAD, MAGIC, read_frame
from guardrail.audit._tiles import TILE_LEVELS, TILE_WIDTH, fold_level, read_tile
from guardrail.audit._tree import EMPTY_ROOT, leaf_hash, node_hash
from guardrail.errors import TrailError

MAX_KEPT_TILES: Final = 4096
"""Most tiles that one reader keeps in memory; each has 8 KiB."""


class StoredTree:
    """The tree as tiles and segments hold it; what it has read is kept for as long as it lives.

    Args:
        directory: the trail.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._where = str(directory)
        self._rows: dict[tuple[int, int], tuple[bytes, ...]] = {}
        self._leaves: dict[int, bytes] = {}
        self._segments: list[tuple[int, Path]] | None = None

    def root(self, low: int, high: int) -> bytes:
        """Root over the leaves `low` to `high - 1`, where `low` is a multiple of the power of two it begins with.

        Raises:
            TrailError: if records are missing.
            OSError: if a file cannot be read.
        """
        count = high - low
        if not count:
            return EMPTY_ROOT
        if not count & (count - 1) and not low % count:
            return self._perfect(low, count)
        half = split(count)
        return node_hash(self.root(low, low + half), self.root(low + half, high))

    def row(self, level: int, low: int, high: int) -> list[bytes]:
        """Hashes `low` to `high - 1` of a level of tiles: leaf hashes on level 0, roots over 256**level above it.

        Raises:
            TrailError: if records are missing.
            OSError: if a file cannot be read.
        """
        hashes: list[bytes] = []
        while low < high:
            end = min(high, (low // TILE_WIDTH + 1) * TILE_WIDTH)
            tile = self._tile(level, low // TILE_WIDTH)
            if tile is not None:
                first = low // TILE_WIDTH * TILE_WIDTH
                hashes += tile[low - first : end - first]
            elif level:
                hashes += [self._folded(level, at) for at in range(low, end)]
            else:
                hashes += self._leaf_hashes(low, end)
            low = end
        return hashes

    def _perfect(self, low: int, count: int) -> bytes:
        height = count.bit_length() - 1
        level, width = height // TILE_LEVELS, 1 << height % TILE_LEVELS
        first = low >> level * TILE_LEVELS
        return fold_level(self.row(level, first, first + width))

    def _folded(self, level: int, at: int) -> bytes:
        """One hash above level 0, from the 256 below it."""
        return fold_level(self.row(level - 1, at * TILE_WIDTH, (at + 1) * TILE_WIDTH))

    def _tile(self, level: int, index: int) -> tuple[bytes, ...] | None:
        row = self._rows.get((level, index)) or self._read_tile(level, index)
        if row is not None and len(self._rows) < MAX_KEPT_TILES:
            self._rows[level, index] = row
        return row

    def _read_tile(self, level: int, index: int) -> tuple[bytes, ...] | None:
        return read_tile(self._directory, level, index)

    def _leaf_hashes(self, low: int, high: int) -> list[bytes]:
        if any(seq not in self._leaves for seq in range(low, high)):
            first = low // TILE_WIDTH * TILE_WIDTH  # the rest of the tile is asked for next
            self._read_leaves(first, first + TILE_WIDTH)
        missing = next((seq for seq in range(low, high) if seq not in self._leaves), None)
        if missing is not None:
            raise TrailError(
                f"record {missing} of the trail `{self._where}` cannot be read: run `guardrail audit verify` on it"
            )
        return [self._leaves[seq] for seq in range(low, high)]

    def _read_leaves(self, low: int, high: int) -> None:
        if self._segments is None:
            files = sorted(self._directory.glob("*.seg"))
            self._segments = [(int(path.stem), path) for path in files if path.stem.isdecimal()]
        for number, (first, path) in enumerate(self._segments):
            end = self._segments[number + 1][0] if number + 1 < len(self._segments) else high
            if first < high and low < end:
                self._read_segment(path, first, max(low, first), min(high, end))

    def _read_segment(self, path: Path, first: int, low: int, high: int) -> None:
        """Take the leaf hashes of `low` to `high - 1` from the segment that begins with `first`, as far as it goes."""
        data, at = path.read_bytes(), 0
        for _ in range(first, low):
            # Frames before the wanted ones are stepped over: their checksums are the verifier's business.
            if at + FRAME_BYTES > len(data) or not data.startswith(MAGIC, at):
                return
            at += FRAME_BYTES + HEAD.unpack_from(data, at)[1]
        for seq in range(low, high):
            frame = read_frame(data, at)
            if frame is None or frame.seq != seq:
                return
            self._leaves[seq] = leaf_hash(frame.leaf)
            at = frame.end


def split(count: int) -> int:
    """The largest power of two below `count`: where RFC 6962 divides a tree of `count` leaves in two."""
    return 1 << ((count - 1).bit_length() - 1)
