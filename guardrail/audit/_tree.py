"""The RFC 6962 Merkle tree, as the writer needs it: appending, and the root at any moment.

Not concerned with proofs; the verifier has its own tree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""Root of the tree without leaves."""

HASH_BYTES: Final = 32
"""Length of a leaf hash, a node hash and a root, in bytes."""


def leaf_hash(leaf: bytes) -> bytes:
    """Hash of one leaf (RFC 6962 section 2.1: SHA-256 of 0x00 and the leaf)."""
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node (RFC 6962 section 2.1: SHA-256 of 0x01 and both children)."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Frontier:
    """The roots of the perfect subtrees on the right edge, largest first: all that appending needs.

    Args:
        size: number of leaves.
        roots: one hash for each bit that is set in `size`.
    """

    __slots__ = ("_roots", "_size")

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        self._size = size
        self._roots = list(roots)
        if len(self._roots) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} subtrees, not {len(self._roots)}")

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    @property
    def roots(self) -> tuple[bytes, ...]:
        """Roots of the perfect subtrees, largest first."""
        return tuple(self._roots)

    def add(self, digest: bytes) -> None:
        """Append one leaf, given as its leaf hash."""
        size = self._size
        while size & 1:
            digest = node_hash(self._roots.pop(), digest)
            size >>= 1
        self._roots.append(digest)
        self._size += 1

    def root(self) -> bytes:
        """Root of the whole tree."""
        return fold(self._roots)


def fold(roots: Sequence[bytes]) -> bytes:
    """Root of the whole tree, from the roots of its perfect subtrees, largest first."""
    if not roots:
        return EMPTY_ROOT
    digest = roots[-1]
    for left in reversed(roots[:-1]):
        digest = node_hash(left, digest)
    return digest
