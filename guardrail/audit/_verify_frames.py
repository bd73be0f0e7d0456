"""Frames that stand as they should, one after the other: a run of them is read at once, and hashed.

Not concerned with what is wrong: a run ends before the first frame that is not as it should be, and what is to be said
of that one `_verify_scan` finds out.
INVARIANT: nothing here is imported from the writer.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

LARGEST_LEAF: Final = 61440
"""Most bytes of a leaf."""

MAGIC: Final = b"\xf5GR1"
"""What every frame begins with."""

HEAD: Final = struct.Struct(">IIQI8sI")
"""What stands before a leaf: magic, its length, its number, its place in its batch, the link, and a checksum."""

_BLOCK_BYTES: Final = 256 * 1024
"""How much is read at a time: it stays in the processor's cache, and holds the largest frame several times."""

_QUICK_HEAD: Final = struct.Struct(">QQI8sI")
_MAGIC_AND_LENGTH: Final = int.from_bytes(MAGIC, "big") << 32


class Place(NamedTuple):
    """Where in a trail the next frame stands.

    Args:
        seq: number of the record that belongs there.
        previous: first bytes of the leaf hash before it.
        after: its place in its batch, if it begins none.
    """

    seq: int
    previous: bytes
    after: int


class Run(NamedTuple):
    """Frames that stand as they should.

    Args:
        block: the bytes that they are part of.
        leaves: what they hold, in order.
        digests: their leaf hashes.
        offsets: where each begins in its segment, in bytes.
        next: where the frame after them stands.
        end: where that one begins in its segment, in bytes.
    """

    block: bytes
    leaves: list[bytes]
    digests: list[bytes]
    offsets: list[int]
    next: Place
    end: int


def link_at(data: bytes) -> tuple[bytes, int]:
    """What the frame that some bytes begin with is chained to, and its place in its batch; not yet checked."""
    _, _, position, previous, _ = _QUICK_HEAD.unpack_from(data)
    return previous, position


def runs(path: Path, seq: int) -> Iterator[Run]:
    """The frames of a segment from its start on, up to the first that is not as it should be.

    The first one's link and place are what they are: whoever knows the segment before compares them.

    Args:
        path: the segment.
        seq: number of the record that its first frame has to hold.

    Raises:
        OSError: if it cannot be read.
    """
    rest, begin, place = b"", 0, None
    with path.open("rb", buffering=0) as file:
        while more := file.read(_BLOCK_BYTES):
            data = rest + more
            if place is None:
                if len(data) < HEAD.size:
                    return
                place = Place(seq, *link_at(data))
            run = _run(data, begin, place)
            if not run.leaves:
                return
            yield run
            rest, begin, place = data[run.end - begin :], run.end, run.next


def _run(data: bytes, begin: int, place: Place) -> Run:
    """The frames that some bytes of a segment begin with; they begin at `begin` in it."""
    expected, last, after = place
    leaves: list[bytes] = []
    digests: list[bytes] = []
    offsets: list[int] = []
    unpack, crc32, begun = _QUICK_HEAD.unpack_from, zlib.crc32, hashlib.sha256(b"\0").copy
    at, room = 0, len(data) - 32
    # This loop is what a verification costs.
    while at <= room:
        magic_and_length, seq, position, previous, crc = unpack(data, at)
        length = magic_and_length - _MAGIC_AND_LENGTH
        if not 0 < length <= LARGEST_LEAF or at + length > room:
            break
        end = at + 32 + length
        leaf = data[at + 32 : end]
        if (
            crc32(leaf, crc32(data[at : at + 28])) != crc
            or seq != expected
            or previous != last
            or (position and position != after)
        ):
            break
        hashed = begun()
        hashed.update(leaf)
        digest = hashed.digest()
        leaves.append(leaf)
        digests.append(digest)
        offsets.append(begin + at)
        expected, last, after, at = seq + 1, digest[:8], position + 1, end
    return Run(data, leaves, digests, offsets, Place(expected, last, after), begin + at)
