"""Proofs from a trail as it is stored: that a record is in it, and that a later trail still holds an earlier one.

    inclusion_proof(directory, seq, size) -> tuple[bytes, ...]     RFC 6962 section 2.1.1, RFC 9162 section 2.1.3
    consistency_proof(directory, old, new) -> tuple[bytes, ...]    RFC 6962 section 2.1.2, RFC 9162 section 2.1.4
    tree_root(directory, size) -> bytes                            the root that a checkpoint of that size has to show

Read from tiles, about three of them a proof; a tile that is not there is worked out from the records below it.
A proof is as good as what lies on disk: compare `tree_root`, or what `root_of_inclusion` gives, with a signed
checkpoint before handing one out. The two functions at the end are what whoever gets a proof does with it.

Not concerned with notes, signatures or formats.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from guardrail.audit._place import is_store
from guardrail.audit._stored import StoredTree, split
from guardrail.audit._tree import EMPTY_ROOT, node_hash
from guardrail.errors import TrailError

RootOf = Callable[[int, int], bytes]
"""Root over the leaves `low` to `high - 1` of some tree; asked only for ranges that RFC 6962 divides trees into."""


def inclusion_proof(directory: Path | str, seq: int, size: int) -> tuple[bytes, ...]:
    """The hashes that lead from record `seq` to the root of the tree over the first `size` records.

    Args:
        directory: the trail: a directory, or the address of a shared one.
        seq: number of the record.
        size: number of records that the tree is over; a signed checkpoint names it.

    Returns:
        Hashes from the leaf's sibling up to the root; none for a tree of one leaf.

    Raises:
        TrailError: if there is no such record in a tree of that size, or records that it takes are missing.
        OSError: if a file cannot be read.
    """
    if not 0 <= seq < size:
        raise TrailError(f"record {seq} is not among the first {size}: name a checkpoint that covers it")
    with _stored(directory) as tree:
        return inclusion_path(tree.root, seq, size)


def consistency_proof(directory: Path | str, old: int, new: int) -> tuple[bytes, ...]:
    """The hashes that show that the first `new` records begin with exactly the first `old` ones.

    Args:
        directory: the trail: a directory, or the address of a shared one.
        old: size of the earlier tree.
        new: size of the later one.

    Returns:
        Hashes in the order of RFC 6962; none if `old` is 0 or `new`, where there is nothing to show.

    Raises:
        TrailError: if `old` is larger than `new`, or records that it takes are missing.
        OSError: if a file cannot be read.
    """
    if not 0 <= old <= new:
        raise TrailError(f"a tree of {new} records cannot hold an earlier one of {old}: name the smaller one first")
    with _stored(directory) as tree:
        return consistency_path(tree.root, old, new)


def tree_root(directory: Path | str, size: int) -> bytes:
    """Root of the tree over the first `size` records.

    Raises:
        TrailError: if records are missing.
        OSError: if a file cannot be read.
    """
    with _stored(directory) as tree:
        return tree.root(0, size)


@contextmanager
def _stored(place: Path | str) -> Generator[StoredTree]:
    if is_store(place):
        from guardrail.audit.postgres._reading import Reader

        with Reader.open(str(place)) as reader:
            yield reader.tree()
    else:
        yield StoredTree(Path(place))


def inclusion_path(root_of: RootOf, seq: int, size: int) -> tuple[bytes, ...]:
    """`inclusion_proof` over any tree; `seq` is below `size`."""
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + split(high - low)
        if seq < middle:
            path.append(root_of(middle, high))
            high = middle
        else:
            path.append(root_of(low, middle))
            low = middle
    return tuple(reversed(path))


def consistency_path(root_of: RootOf, old: int, new: int) -> tuple[bytes, ...]:
    """`consistency_proof` over any tree; `old` is not above `new`."""
    if old in (0, new):
        return ()
    path: list[bytes] = []
    # SUBPROOF of RFC 6962, its recursion written as a loop: `told` is false while the root of `old` need not be told.
    low, high, told = 0, new, False
    while old != high - low:
        half = split(high - low)
        if old <= half:
            path.append(root_of(low + half, high))
            high = low + half
        else:
            path.append(root_of(low, low + half))
            low, old, told = low + half, old - half, True
    if told:
        path.append(root_of(low, high))
    return tuple(reversed(path))


# ── what whoever gets a proof does with it ────────────────────────────────────────────────────────────────────────────


def root_of_inclusion(digest: bytes, seq: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to (RFC 9162 section 2.1.3.2); it has to be compared with a signed one.

    Args:
        digest: leaf hash of the record.
        seq: its number.
        size: size of the tree.
        proof: the hashes.

    Returns:
        The root, or None if the proof has not the length that these numbers ask for.
    """
    if not 0 <= seq < size:
        return None
    here, last, root = seq, size - 1, digest
    for sibling in proof:
        if not last:
            return None
        if here & 1 or here == last:
            root = node_hash(sibling, root)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        here, last = here >> 1, last >> 1
    return None if last else root


def is_consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a proof shows that the tree of `old` leaves is the beginning of that of `new` (RFC 9162 section 2.1.4.2).

    Args:
        old: size of the earlier tree.
        new: size of the later one.
        old_root: root of the earlier tree.
        new_root: root of the later one.
        proof: the hashes.
    """
    if old in (0, new):
        return not proof and old <= new and (old_root == (new_root if old == new else EMPTY_ROOT))
    if not 0 < old < new or not proof:
        return False
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    here, last = old - 1, new - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if not last:
            return False
        if here & 1 or here == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        here, last = here >> 1, last >> 1
    return not last and first == old_root and second == new_root
