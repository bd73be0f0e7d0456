"""The Merkle tree on disk as C2SP tiles: what a proof needs, without reading the records again.

A tile holds 256 hashes of one level of the tree, eight levels above the tile below it; it is written once, when it is
full, and never changes. Tiles are a cache of the segments: none is synced, and one that a crash left missing, short or
empty is worked out again from what lies below it. Only `prune` makes them the last copy, and syncs them first.

Source: c2sp.org/tlog-tiles.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from guardrail.audit._files import FULL
from guardrail.audit._tree import HASH_BYTES, node_hash

TILE_LEVELS: Final = 8
"""Levels of the tree that one tile spans."""

TILE_WIDTH: Final = 1 << TILE_LEVELS
"""Hashes in a full tile."""

TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES
"""Length of a full tile, in bytes."""

TILE_FOLDER: Final = "tile"
"""Where tiles lie, below the trail."""

_NEVER: Final = bytes(HASH_BYTES)
"""Left by a file system that lost the data of a file and kept its length; no hash is all zeros."""


def tile_name(level: int, index: int) -> str:
    """Path of a full tile below the trail, such as `tile/0/x001/x234/067`."""
    parts = [f"{index % 1000:03d}"]
    while index := index // 1000:
        parts.insert(0, f"x{index % 1000:03d}")
    return "/".join((TILE_FOLDER, str(level), *parts))


def read_tile(directory: Path, level: int, index: int) -> tuple[bytes, ...] | None:
    """The 256 hashes of a full tile, or None if it is not there as a whole.

    Raises:
        OSError: if it is there and cannot be read.
    """
    try:
        data = (directory / tile_name(level, index)).read_bytes()
    except FileNotFoundError:
        return None
    hashes = split_hashes(data)
    return hashes if len(data) == TILE_BYTES and _NEVER not in hashes else None


def split_hashes(data: bytes) -> tuple[bytes, ...]:
    """Hashes that stand one after the other."""
    return tuple(data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES))


def fold_level(hashes: Sequence[bytes]) -> bytes:
    """Root of a perfect subtree from one of its levels; their number is a power of two."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


class Tiles:
    """The right edge of the tree; `flush` writes the tiles that have become full.

    Args:
        directory: the trail.
        size: number of leaves so far.
        edge: for each level of tiles, the hashes of the tile that is not full yet, the lowest level first.

    Raises:
        ValueError: if `edge` is not that of a tree of this size.
    """

    __slots__ = ("_directory", "_edge", "_full", "_size")

    def __init__(self, directory: Path, size: int = 0, edge: Iterable[Sequence[bytes]] = ()) -> None:
        self._directory = directory
        self._size = size
        self._full: list[tuple[int, int, bytes]] = []
        self._edge = [list(row) for row in edge] or [[]]
        if [len(row) for row in self._edge] != edge_widths(size):
            raise ValueError(f"this is not the edge of a tree of {size} leaves")

    @property
    def edge(self) -> tuple[tuple[bytes, ...], ...]:
        """The hashes of each tile that is not full yet, the lowest level first."""
        return tuple(map(tuple, self._edge))

    def add(self, digest: bytes) -> None:
        """Append one leaf, given as its leaf hash."""
        self._size += 1
        row = self._edge[0]
        row.append(digest)
        if len(row) == TILE_WIDTH:
            self._close_tile(0)

    def _close_tile(self, level: int) -> None:
        while len(row := self._edge[level]) == TILE_WIDTH:
            self._full.append((level, (self._size >> TILE_LEVELS * (level + 1)) - 1, b"".join(row)))
            self._edge[level] = []
            level += 1
            if level == len(self._edge):
                self._edge.append([])
            self._edge[level].append(fold_level(row))

    def flush(self) -> None:
        """Write the tiles that have become full; one for which there is no room is left out.

        Raises:
            OSError: if a tile cannot be written for another reason than room.
        """
        for level, index, data in self._full:
            _write_tile(self._directory, level, index, data)
        self._full.clear()

    def drop(self) -> None:
        """Forget the tiles that have become full."""
        self._full.clear()


def edge_widths(size: int) -> list[int]:
    """How many hashes each tile on the right edge holds, the lowest level first."""
    widths = [size % TILE_WIDTH]
    while size := size >> TILE_LEVELS:
        widths.append(size % TILE_WIDTH)
    return widths


def edge_roots(edge: Sequence[Sequence[bytes]]) -> list[bytes]:
    """Roots of the perfect subtrees on the right edge, largest first, as `Frontier` keeps them."""
    roots: list[bytes] = []
    for row in reversed(edge):
        at = 0
        for height in reversed(range(TILE_LEVELS)):
            if len(row) >> height & 1:
                roots.append(fold_level(row[at : at + (1 << height)]))
                at += 1 << height
    return roots


def _write_tile(directory: Path, level: int, index: int, data: bytes) -> None:
    """Put a full tile in its place, unless it is there already. Without room for it, it is left out.

    Raises:
        OSError: if it cannot be written for another reason.
    """
    path = directory / tile_name(level, index)
    try:
        if _holds(path, data):
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, data)  # a short tile is no tile, and is worked out from the records
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno not in FULL:
            raise


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False
