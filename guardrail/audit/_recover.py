"""What a trail holds when it is opened: the readable prefix, or the reason why it must not be used.

A torn last batch was never acknowledged and is cut. Anything else that cannot be read had been synced, and a trail
that ends below its own last checkpoint, or has another root there, was rolled back: both are refused, because going
on would silently drop records that somebody was told of.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from guardrail.audit._files import FULL, replace
from guardrail.audit._minimum import read_minimum
from guardrail.audit._note import CHECKPOINT_FILE, Checkpoint, Signer
from guardrail.audit._proof import tree_root
from guardrail.audit._segment import CHAIN_BYTES, MAGIC, NO_PREVIOUS, read_frame, segment_name
from guardrail.audit._stored import StoredTree
from guardrail.audit._tiles import TILE_LEVELS, Tiles, edge_roots, edge_widths, split_hashes
from guardrail.audit._tree import Frontier, leaf_hash
from guardrail.audit._unfinished import Unfinished
from guardrail.audit._verify_note import read_note
from guardrail.errors import TrailError

FRONTIER_FILE: Final = "frontier"
"""The tree as it was when the last segment began, with its signed note: it saves reading the older segments."""

MENDING: Final = "run `guardrail audit verify` on it, keep a copy, and begin a new trail or restore this one"


class Recovered(NamedTuple):
    """Where writing goes on."""

    tree: Frontier
    tiles: Tiles
    unfinished: Unfinished
    previous: bytes
    tail: Path | None
    at: int
    last_us: int = 0


def segments_of(directory: Path) -> list[Path]:
    """The segment files in order."""
    return sorted(directory.glob("*.seg"))


def recover(directory: Path, signer: Signer, last: Checkpoint | None) -> Recovered:
    """Read a trail to its end.

    Args:
        directory: the trail.
        signer: its key.
        last: its last checkpoint.

    Raises:
        TrailError: if synced data is damaged or missing, or the trail was rolled back.
        OSError: if a file cannot be read.
    """
    minimum = read_minimum(directory)
    files = [path for path in segments_of(directory) if path.name >= segment_name(minimum)]
    known = _load_frontier(directory, signer)
    if known is not None and files and files[-1].name == segment_name(known.tree.size):
        quick = _Replay(directory, known, last)
        # Without a record in it, the time of the last one is to be read before it.
        if quick.read(files[-1:]) and quick.leaf and (last is None or last.size >= known.tree.size):
            return quick.finish()
    full = _Replay(directory, _start(directory, minimum), last)
    full.read(files)
    return full.finish()


def _start(directory: Path, minimum: int) -> Recovered:
    """Where reading begins: at the first record, or at the first that was not pruned, with tiles for what was."""
    if not minimum:
        return Recovered(Frontier(), Tiles(directory), Unfinished(), NO_PREVIOUS, None, 0)
    stored, edge = StoredTree(directory), list[list[bytes]]()
    for level, width in enumerate(edge_widths(minimum)):
        at = minimum >> TILE_LEVELS * level
        edge.append(stored.row(level, at - width, at))
    previous = stored.row(0, minimum - 1, minimum)[0][:CHAIN_BYTES]
    tiles = Tiles(directory, minimum, edge)
    return Recovered(Frontier(minimum, edge_roots(tiles.edge)), tiles, Unfinished(), previous, None, 0)


class _Replay:
    """One reading of some segments, in order."""

    def __init__(self, directory: Path, start: Recovered, last: Checkpoint | None) -> None:
        self._directory = directory
        self._last = last
        self._tree = Frontier(start.tree.size, start.tree.roots)
        self._tiles = Tiles(directory, start.tree.size, start.tiles.edge)
        self._unfinished = Unfinished(start.unfinished.seqs)
        self._previous: bytes = start.previous
        self.leaf = b""
        """The last one that was read."""
        self._tail: Path | None = None
        self._at = 0
        self._signed_root = self._tree.root() if last and last.size == self._tree.size else None

    def read(self, files: list[Path]) -> bool:
        """Whether the first frame fits what was known before, if there is one."""
        before = self._tree.size
        for index, path in enumerate(files):
            if path.name != segment_name(self._tree.size):
                raise TrailError(
                    f"the trail `{self._directory}` is damaged: record {self._tree.size} should begin a segment, "
                    f"but the next one is `{path.name}`: {MENDING}"
                )
            data = path.read_bytes()
            # Only tiles that the last segment fills are mended; others are worked out when they are asked for.
            self._tiles.drop()
            self._frames(data)
            self._tail = path
            rest = data[self._at :]
            if rest.strip(b"\0"):
                if len(files) == 1 and before and self._tree.size == before:
                    return False  # the saved frontier may be what is wrong: read everything
                self._check_torn(path, data, final=index == len(files) - 1)
        return True

    def _frames(self, data: bytes) -> None:
        tree, self._at = self._tree, 0
        while frame := read_frame(data, self._at):
            if frame.seq != tree.size or frame.previous != self._previous:
                break
            digest = leaf_hash(frame.leaf)
            tree.add(digest)
            self._tiles.add(digest)
            self._unfinished.take_leaf(frame.leaf, frame.seq)
            self.leaf = frame.leaf
            self._previous, self._at = digest[:CHAIN_BYTES], frame.end
            if self._last and tree.size == self._last.size:
                self._signed_root = tree.root()

    def _check_torn(self, path: Path, data: bytes, *, final: bool) -> None:
        """Pass over a torn last batch; refuse anything else.

        INVARIANT: a whole frame whose batch began behind the first unreadable record proves that record was synced.
        """
        damaged, here = not final, self._at
        while not damaged and (here := data.find(MAGIC, here)) >= 0:
            later = read_frame(data, here)
            damaged = later is not None and later.seq - later.place > self._tree.size
            here += 1
        if damaged:
            raise TrailError(
                f"the trail `{self._directory}` is damaged: record {self._tree.size} in `{path.name}` at byte "
                f"{self._at} cannot be read, though it had been written: {MENDING}"
            )

    def finish(self) -> Recovered:
        """Where writing goes on, after the comparison with the last checkpoint."""
        size, last = self._tree.size, self._last
        if last is None and size:
            raise TrailError(
                f"the trail `{self._directory}` has {_records(size)} but no `{CHECKPOINT_FILE}`: {MENDING}"
            )
        if last is not None and last.size > size:
            raise TrailError(
                f"the trail `{self._directory}` ends after {_records(size)}, but {last.size} were signed: {MENDING}"
            )
        if last is not None and last.root != self._signed_root:
            those = f"its first {last.size} records are not those that were signed"
            first = "its first record is not the one that was signed" if last.size == 1 else those
            raise TrailError(f"the trail `{self._directory}` is damaged: {first}: {MENDING}")
        self._tiles.flush()
        return Recovered(
            self._tree, self._tiles, self._unfinished, self._previous, self._tail, self._at, time_of(self.leaf)
        )


def time_of(leaf: bytes) -> int:
    """When the record of a leaf was written, in microseconds since 1970; 0 if it does not say."""
    try:
        at_us = orjson.loads(leaf)["t_us"]
    except (ValueError, KeyError, TypeError):
        return 0
    return at_us if type(at_us) is int else 0


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number} records"


def compare_elsewhere(directory: Path, origin: str, note: str, size: int) -> None:
    """Compare a trail with the last checkpoint that left it.

    Args:
        directory: the trail.
        origin: its name.
        note: the checkpoint, as it is kept elsewhere; empty if none is.
        size: number of records that were recovered.

    Raises:
        TrailError: if that is no checkpoint of this trail, or the trail was rewritten or put back since.
        OSError: if the trail cannot be read.
    """
    if not note:
        return
    try:
        kept = read_note(note.encode(), cosigned=True)
    except ValueError as error:
        raise TrailError(f"the last note in `trail.checkpoint_file` {error}: find out who changed it") from None
    if kept.origin != origin:
        raise TrailError(f"`trail.checkpoint_file` is that of the ledger `{kept.origin}`: give this one its own")
    if kept.size > size or tree_root(directory, kept.size) != kept.root:
        what = f"{kept.size} records were signed and copied to `trail.checkpoint_file`"
        raise TrailError(f"the trail `{directory}` was rewritten or put back: {what}, and they are not here: {MENDING}")


def save_frontier(directory: Path, signer: Signer, state: Recovered, previous: bytes) -> None:
    """Keep the tree as it is when a segment begins. Only a short cut: without it, everything is read at opening.

    Args:
        directory: the trail.
        signer: its key.
        state: tree, tiles and open intents, as they are now.
        previous: first bytes of the last leaf's hash.
    """
    value = {
        "note": signer.sign(Checkpoint(state.tree.size, state.tree.root())),
        "previous": previous.hex(),
        "edge": [b"".join(row).hex() for row in state.tiles.edge],
        "open": state.unfinished.seqs,
    }
    try:
        replace(directory / FRONTIER_FILE, json.dumps(value, sort_keys=True, indent=1).encode() + b"\n")
    except OSError as error:
        if error.errno not in FULL:
            raise


def _load_frontier(directory: Path, signer: Signer) -> Recovered | None:
    try:
        value = json.loads((directory / FRONTIER_FILE).read_bytes())
        checkpoint = signer.read(value["note"])
        if checkpoint is None:
            return None
        tiles = Tiles(directory, checkpoint.size, [split_hashes(bytes.fromhex(row)) for row in value["edge"]])
        tree = Frontier(checkpoint.size, edge_roots(tiles.edge))
        previous = bytes.fromhex(value["previous"])
        unfinished = Unfinished(map(int, value["open"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if tree.root() != checkpoint.root or len(previous) != CHAIN_BYTES:
        return None
    return Recovered(tree, tiles, unfinished, previous, None, 0)
