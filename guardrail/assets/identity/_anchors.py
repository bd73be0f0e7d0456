"""Content anchors: points in a file that its own bytes choose, so that any piece of it shows the same ones.

Not concerned with what the bytes are part of: no header, no boundary and no alignment is needed, so a fragment inside
a tar, a concatenation or an unknown container is recognised. Blind to changed values, compression and encryption.
Of an asset the anchors at every fourth offset are kept, which costs a quarter; what is asked about is looked at at all
offsets, so that it does not matter by how much its bytes were moved.
The idea is content-defined sampling ("winnowing", Schleimer, Wilkerson and Aiken 2003, SIGMOD).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ANCHOR_BYTES: Final = 32
"""Bytes that the id of an anchor is made of."""

WAYS: Final = 4
"""Offsets of which one is looked at in an asset, and all in what may be a piece of it."""

ONE_IN: Final = 1 << 18
"""One of the offsets that are looked at is an anchor in so many, on the average: of an asset one in each MiB."""

_GOLDEN: Final = np.uint32(2654435761)
_BELOW: Final = np.uint32((1 << 32) // ONE_IN)
_MIX: Final = tuple(
    np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5)
)
_ONE: Final = np.uint32(1)
_BLOCK: Final = 1 << 16
"""Words that are looked at at once: they and what is worked out of them stay in the cache of a core."""

Ids = NDArray[np.uint64]


def anchors(data: Any, *, ways: int = WAYS) -> Ids:
    """The ids of the anchors in a piece of content, each once, in order.

    Args:
        data: anything with the buffer protocol; anchors in its last `ANCHOR_BYTES - 1` bytes are not seen.
        ways: `WAYS` for all of them, 1 for those at every fourth offset from its beginning.
    """
    view = np.frombuffer(data, np.uint8)
    last = len(view) - ANCHOR_BYTES
    if last < 0:
        return np.empty(0, np.uint64)
    scratch = np.empty(_BLOCK, np.uint32)
    hits: list[NDArray[np.int64]] = []
    for start in range(0, len(view), _BLOCK * WAYS):
        for shift in range(ways):
            count = min(_BLOCK, (len(view) - start - shift) // WAYS)
            if count <= 0:
                continue
            mixed = np.multiply(np.frombuffer(data, "<u4", count, start + shift), _GOLDEN, out=scratch[:count])
            # A word of zeros mixes to zero, and constant runs would be nothing but anchors: one less is the largest.
            np.subtract(mixed, _ONE, out=mixed)
            # Most blocks have none, and that the least is none is found out twice as fast as which ones are.
            if mixed.min() < _BELOW - _ONE:
                hits.append(np.flatnonzero(mixed < _BELOW - _ONE) * WAYS + (start + shift))
    if not hits:
        return np.empty(0, np.uint64)
    at = np.concatenate(hits)
    at = at[at <= last]
    return np.unique(_ids(view, at))


def _ids(view: NDArray[np.uint8], at: NDArray[np.int64]) -> Ids:
    ids = np.zeros(len(at), np.uint64)
    if len(at):
        following = np.ascontiguousarray(view[at[:, None] + np.arange(ANCHOR_BYTES)]).view("<u8")
        for column, factor in enumerate(_MIX):
            ids ^= following[:, column] * factor
            ids = (ids << np.uint64(31)) | (ids >> np.uint64(33))
    return ids
