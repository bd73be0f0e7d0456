"""Proofs: from the tiles of a trail, by the published vectors, and worthless once anything about them is changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from guardrail.audit import verify
from guardrail.audit._proof import (
    consistency_path,
    consistency_proof,
    inclusion_path,
    inclusion_proof,
    is_consistent,
    root_of_inclusion,
    tree_root,
)
from guardrail.audit._stored import StoredTree, split
from guardrail.audit._tiles import TILE_WIDTH, Tiles, edge_roots, tile_name
from guardrail.audit._tree import EMPTY_ROOT, Frontier, leaf_hash, node_hash
from guardrail.errors import TrailError
from tests.audit_support import denial, flip, make_trail, open_trail

CT_LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip

CT_INCLUSION = {
    (0, 1): (),
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
    (1, 5): (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
"""Audit paths (record, size) from the reference tests of Certificate Transparency."""

CT_CONSISTENCY = {
    (1, 1): (),
    (1, 8): CT_INCLUSION[0, 8],
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
"""Consistency proofs (old, new) from the same tests."""


class InMemory:
    """A tree by its definition alone (RFC 6962 section 2.1)."""

    def __init__(self, digests: Sequence[bytes]) -> None:
        self.digests = digests

    def root(self, low: int, high: int) -> bytes:
        """Root over some of the leaves."""
        if high - low < 2:
            return self.digests[low] if high > low else EMPTY_ROOT
        half = split(high - low)
        return node_hash(self.root(low, low + half), self.root(low + half, high))


def filled(directory: Path, records: int) -> Path:
    """A closed trail whose records share a few syncs."""
    with open_trail(directory, segment_bytes=1 << 15) as trail:
        for number in range(records):
            trail.append(denial(number), durable=False)
    return directory


def hexed(proof: Sequence[bytes]) -> tuple[str, ...]:
    """A proof as the vectors write it."""
    return tuple(digest.hex() for digest in proof)


# ── the pure functions ────────────────────────────────────────────────────────────────────────────────────────────────


def test_proofs_are_those_of_certificate_transparency() -> None:
    """Every published path comes out, and every one of them leads to the root."""
    tree = InMemory([leaf_hash(leaf) for leaf in CT_LEAVES])
    for (seq, size), wanted in CT_INCLUSION.items():
        proof = inclusion_path(tree.root, seq, size)
        assert hexed(proof) == wanted
        assert root_of_inclusion(tree.digests[seq], seq, size, proof) == tree.root(0, size)
    for (old, new), wanted in CT_CONSISTENCY.items():
        proof = consistency_path(tree.root, old, new)
        assert hexed(proof) == wanted
        assert is_consistent(old, new, tree.root(0, old), tree.root(0, new), proof)


def test_every_proof_of_every_small_tree_holds_and_no_changed_one_does() -> None:
    """Trees of up to 40 leaves: another record, root, size or hash, or a hash more or less, proves nothing."""
    tree = InMemory([leaf_hash(b"%d" % number) for number in range(42)])
    roots = [tree.root(0, size) for size in range(43)]
    for size in range(1, 41):
        for seq in range(size):
            proof = inclusion_path(tree.root, seq, size)
            assert root_of_inclusion(tree.digests[seq], seq, size, proof) == roots[size]
            assert root_of_inclusion(tree.digests[seq + 1], seq, size, proof) != roots[size]
            for wrong in (proof[1:], proof[:-1], (*proof, EMPTY_ROOT), (*proof[:-1], EMPTY_ROOT)):
                assert wrong == proof or root_of_inclusion(tree.digests[seq], seq, size, wrong) != roots[size]
        for old in range(size + 1):
            proof = consistency_path(tree.root, old, size)
            assert is_consistent(old, size, roots[old], roots[size], proof)
            assert old == 0 or not is_consistent(old, size, roots[old], roots[size + 1], proof)
            assert not is_consistent(old, size, roots[old + 1], roots[size], proof)
            for wrong in (proof[1:], proof[:-1], (*proof, EMPTY_ROOT)):
                assert wrong == proof or not is_consistent(old, size, roots[old], roots[size], wrong)
    assert root_of_inclusion(tree.digests[0], 3, 3, ()) is None
    assert not is_consistent(5, 3, roots[5], roots[3], ())


# ── tiles ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tiles_are_named_as_c2sp_says() -> None:
    """The example of tlog-tiles, and the first tile of a level."""
    assert tile_name(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_name(2, 0) == "tile/2/000"


def test_a_tree_of_many_levels_comes_back_from_its_tiles_alone(tmp_path: Path) -> None:
    """Over 65,536 leaves, on three levels of tiles: roots and proofs, without any record."""
    size = TILE_WIDTH * (TILE_WIDTH + 3)
    digests = [leaf_hash(b"%d" % number) for number in range(size)]
    tiles, frontier = Tiles(tmp_path), Frontier()
    for digest in digests:
        tiles.add(digest)
        frontier.add(digest)
    tiles.flush()
    assert (tmp_path / "tile/1/000").stat().st_size == 8192
    assert list((tmp_path / "tile/2").glob("*") if (tmp_path / "tile/2").exists() else []) == []
    assert tuple(edge_roots(tiles.edge)) == frontier.roots
    assert tree_root(tmp_path, size) == frontier.root()
    for seq in (0, 1, 255, 256, 65_535, 65_536, size - 1):
        proof = inclusion_proof(tmp_path, seq, size)
        assert root_of_inclusion(digests[seq], seq, size, proof) == frontier.root()
    old = TILE_WIDTH * 100
    proof = consistency_proof(tmp_path, old, size)
    assert is_consistent(old, size, tree_root(tmp_path, old), frontier.root(), proof)


def test_a_proof_reads_tiles_and_not_the_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that lies in a full tile is proven in a tree of full tiles though no segment can be read."""
    with open_trail(tmp_path / "t") as trail:
        for number in range(2 * TILE_WIDTH):
            trail.append(denial(number), durable=False)
        trail.checkpoint()
        root = trail.root
    for segment in (tmp_path / "t").glob("*.seg"):
        segment.unlink()
    tree = StoredTree(tmp_path / "t")
    proof = inclusion_proof(tmp_path / "t", 300, 512)
    assert root_of_inclusion(tree.row(0, 300, 301)[0], 300, 512, proof) == root


def test_a_tile_that_is_lost_short_or_empty_is_worked_out_from_the_records(tmp_path: Path) -> None:
    """Tiles are not synced: what a power cut leaves of them must not make a proof wrong."""
    directory = filled(tmp_path / "t", 600)
    whole = inclusion_proof(directory, 10, 600), consistency_proof(directory, 300, 600), tree_root(directory, 600)
    first, second = directory / "tile/0/000", directory / "tile/0/001"
    for ruin in (first.unlink, lambda: first.write_bytes(b""), lambda: second.write_bytes(bytes(8192))):
        ruin()
        assert whole == (
            inclusion_proof(directory, 10, 600),
            consistency_proof(directory, 300, 600),
            tree_root(directory, 600),
        )


def test_tiles_go_on_after_a_restart_with_and_without_the_saved_frontier(tmp_path: Path) -> None:
    """Every full tile is there and right, however often the trail was opened in between."""
    directory = tmp_path / "t"
    for start in range(0, 1400, 100):
        with open_trail(directory, segment_bytes=1 << 15) as trail:
            for number in range(start, start + 100):
                trail.append(denial(number), durable=False)
            root = trail.root if trail.size == start + 100 else None
        if start % 300 == 0:
            (directory / "frontier").unlink(missing_ok=True)
        if start % 400 == 0:
            (directory / "tile/0/000").unlink(missing_ok=True)
    assert len(list((directory / "tile/0").iterdir())) >= 4
    assert root is None or tree_root(directory, 1400) == root
    for tile in (directory / "tile/0").iterdir():
        first = int(tile.name) * TILE_WIDTH
        data = tile.read_bytes()
        tile.rename(tile.with_suffix(".away"))
        assert b"".join(StoredTree(directory).row(0, first, first + TILE_WIDTH)) == data
        tile.with_suffix(".away").rename(tile)


def test_the_verifier_finds_a_changed_tile_and_passes_over_one_that_was_cut(tmp_path: Path) -> None:
    """A wrong tile would make wrong proofs; a short one is what a crash leaves, and nobody reads it."""
    directory = filled(tmp_path / "t", 600)
    assert verify(directory).ok
    tile = directory / "tile/0/001"
    good = tile.read_bytes()
    flip(tile, 5000)
    problems = verify(directory).problems
    assert [problem.file for problem in problems] == ["tile/0/001"]
    for left in (b"", good[:100], good[:-32] + bytes(32)):
        tile.write_bytes(left)
        assert verify(directory).ok


def test_an_open_trail_proves_its_records(tmp_path: Path) -> None:
    """Under its last checkpoint; a record that none covers yet is signed first."""
    with open_trail(tmp_path / "t") as trail:
        for number in range(300):
            trail.append(denial(number), durable=False)
        size, proof = trail.proof(299)
        leaf = StoredTree(tmp_path / "t").row(0, 299, 300)[0]
        assert size == 300
        assert root_of_inclusion(leaf, 299, size, proof) == trail.root
        trail.append(denial(300))
        assert trail.proof(5)[0] == 300
        with pytest.raises(TrailError, match="record 301 is not among the first 301"):
            trail.proof(301)


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_cannot_be_proven_is_refused_with_the_reason(tmp_path: Path) -> None:
    """A record beyond the tree, trees in the wrong order, records that are gone."""
    directory = make_trail(tmp_path / "t", 20)
    with pytest.raises(TrailError, match="record 20 is not among the first 20"):
        inclusion_proof(directory, 20, 20)
    with pytest.raises(TrailError, match="cannot hold an earlier one of 21"):
        consistency_proof(directory, 21, 20)
    with pytest.raises(TrailError, match=r"record 20 of the trail .* cannot be read"):
        tree_root(directory, 30)
    min(directory.glob("*.seg")).unlink()
    with pytest.raises(TrailError, match=r"record 0 of the trail .* cannot be read"):
        inclusion_proof(directory, 15, 20)
