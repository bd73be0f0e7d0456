"""One segment, read from its bytes alone: every frame and every leaf, and what has to be told of it.

Nothing here depends on the segments before it, so that they can be read by as many processes as there are cores; what
joins them (the first link of the chain, the tree, results of intents elsewhere) is told and checked by `_verify`.
INVARIANT: nothing here is imported from the writer.
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import zlib
from array import array
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from guardrail.audit._report import Problem
from guardrail.audit._verify_format import read_leaf
from guardrail.audit._verify_frames import HEAD, LARGEST_LEAF, MAGIC, Run, link_at, runs
from guardrail.audit._verify_said import KINDS, Said, needed
from guardrail.audit._verify_usual import usual_reader

PROGRESS_EVERY: Final = 8192
"""How many records lie between two calls of the progress callback."""

_MAGIC_NUMBER: Final = int.from_bytes(MAGIC, "big")

_SPECIAL: Final = tuple(b'"kind":"%s"' % kind for kind in (b"key", b"retention", b"redaction"))
"""What the canonical form of a record about the trail itself holds; inside a string the quotes are escaped."""


@dataclasses.dataclass(slots=True)
class Task:
    """What a segment is read with.

    Args:
        path: the file.
        first: number of the record it begins with.
        deep: parse every leaf.
        origin: name of the ledger that records must name; empty if it is not known.
        unsigned: number from which on an unreadable end may be a batch that is being written; None if none is.
    """

    path: str
    first: int
    deep: bool
    origin: str
    unsigned: int | None = None


@dataclasses.dataclass(slots=True)
class Scan:
    """What a segment holds.

    Args:
        first_link: what its first frame is chained to, and its place in its batch; None if that is no good frame.
        digests: leaf hashes from its first record on, up to the first that could not be read.
        whole: every record of it could be read.
        suspect: number of records after which one was chained to another record than the one before it.
        problems: each with the number of records before it.
        special: records about the trail itself, each with its number and offset.
        disclosed: records with disclosures: their number, id and digests.
        said: records of review, of each what is needed to check it.
        intents: numbers of its intents.
        unanswered: those of them without a result in this segment.
        answers: results of intents that are not in this segment: result, offset, intent.
    """

    records: int = 0
    next_seq: int = 0
    last_link: bytes | None = None
    first_link: tuple[bytes, int] | None = None
    digests: bytearray = dataclasses.field(default_factory=bytearray)
    whole: bool = True
    suspect: int | None = None
    size: int = 0
    problems: list[tuple[int, Problem]] = dataclasses.field(default_factory=list[tuple[int, Problem]])
    special: list[tuple[int, int, dict[str, Any]]] = dataclasses.field(
        default_factory=list[tuple[int, int, dict[str, Any]]]
    )
    disclosed: list[tuple[int, str, dict[str, str]]] = dataclasses.field(
        default_factory=list[tuple[int, str, dict[str, str]]]
    )
    intents: array[int] = dataclasses.field(default_factory=lambda: array("Q"))
    unanswered: list[int] = dataclasses.field(default_factory=list[int])
    said: list[Said] = dataclasses.field(default_factory=list[Said])
    answers: list[tuple[int, int, Any]] = dataclasses.field(default_factory=list[tuple[int, int, Any]])


def scan(task: Task, progress: Callable[[int, int], None] | None = None) -> Scan:
    """Read one segment.

    Args:
        task: which, and how.
        progress: called now and then with records and bytes so far.

    Raises:
        OSError: if it cannot be read.
    """
    with without_collecting():
        return Reading(task, progress).run()


@contextmanager
def without_collecting() -> Generator[None]:
    """Every record that is parsed is let go at once, and none holds itself: looking for cycles costs a tenth."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class Reading:
    """One pass over one segment."""

    def __init__(self, task: Task, progress: Callable[[int, int], None] | None) -> None:
        self.task = task
        self.progress = progress
        self.name = Path(task.path).name
        self.out = Scan()
        self.seq = task.first
        self.previous: bytes | None = None
        self.place: int = -1
        self.open: dict[int, bool] = {}
        """Every intent, and whether it has no result yet."""
        self.told = 0
        self._usual = usual_reader()

    def problem(self, what: str, offset: int, seq: int) -> None:
        self.out.problems.append((self.out.records, Problem(what=what, file=self.name, offset=offset, seq=seq)))

    def run(self) -> Scan:
        path, out = Path(self.task.path), self.out
        for run in runs(path, self.seq):
            self._run(run)
        if out.size < path.stat().st_size:
            # Not only what is wrong: zeros follow the last frame of the segment that is being written.
            data = path.read_bytes()
            at = self._frames(data, out.size)
            if at < len(data):
                self._unreadable(data, at)
            out.size = len(data)
        out.next_seq, out.last_link = self.seq, self.previous
        out.unanswered = [seq for seq, unanswered in self.open.items() if unanswered]
        out.intents = array("Q", sorted(self.open))
        return out

    def _run(self, run: Run) -> None:
        """Take frames that are as they should be."""
        out, first = self.out, self.seq
        if out.first_link is None:
            out.first_link = link_at(run.block)
        # Looking through a whole block at once costs a fraction of looking into each leaf.
        if self.task.deep or any(mark in run.block for mark in _SPECIAL):
            self.take(run.leaves, range(first, run.next.seq), run.offsets)
        else:
            out.records += len(run.leaves)
        out.digests += b"".join(run.digests)
        self.seq, self.previous, self.place = run.next.seq, run.next.previous, run.next.after - 1
        out.size = run.end
        self._tell(run.end)

    def _frames(self, data: bytes, at: int) -> int:
        """Read frames one by one and say what is wrong; returns where nothing more can be read."""
        look = self.task.deep or any(mark in data for mark in _SPECIAL)
        while at + HEAD.size <= len(data):
            frame = frame_at(data, at)
            if frame is None:
                resume = self._unreadable(data, at)
                if resume is None:
                    return len(data)
                at = resume
                continue
            seq, leaf, end = frame
            previous, place = link_at(data[at:end])
            if at == 0:
                self.out.first_link = previous, place
            self._out_of_line(seq, place, previous, at)
            digest = hashlib.sha256(b"\0" + leaf).digest()
            self.seq, self.previous, self.place = seq + 1, digest[:8], place
            if look:
                self.take((leaf,), (seq,), (at,))
            else:
                self.out.records += 1
            if self.out.whole:
                self.out.digests += digest
            at = end
            self._tell(at)
        return at

    def _tell(self, at: int) -> None:
        """Call back, if enough was read since."""
        if self.progress is not None and self.out.records // PROGRESS_EVERY != self.told:
            self.told = self.out.records // PROGRESS_EVERY
            self.progress(self.out.records, at)

    def _unreadable(self, data: bytes, at: int) -> int | None:
        """Say what lies at `at`, and where reading can go on; None at the end of the segment."""
        rest = len(data) - at
        if data.count(b"\0", at) == rest:
            return None
        following = next_frame(data, at)
        first = at + rest - len(data[at:].lstrip(b"\0"))
        if self.task.unsigned is not None and self.seq >= self.task.unsigned:
            return None  # a batch that is being written right now, and may become visible in any order
        if data.startswith(MAGIC, at):
            self.problem("the record is damaged: its checksum does not fit its bytes", at, self.seq)
        elif following >= 0:
            self.problem("bytes that are no record stand where one belongs", first, self.seq)
        else:
            self.problem("bytes that are no record follow the last one", first, self.seq)
        self.out.whole = False
        self.previous = None
        if following >= 0:
            # The number of the next whole frame is believed here; a wrong one shows at the frame after it.
            seq, place = HEAD.unpack_from(data, following)[2:4]
            whole = frame_at(data, following) is not None
            self.seq, self.place = (int(seq), int(place) - 1) if whole else (self.seq + 1, -1)
            return following
        return None

    def _out_of_line(self, seq: int, place: int, previous: bytes, at: int) -> None:
        if seq > self.seq:
            last = "" if seq == self.seq + 1 else f" to {seq - 1}"
            self.problem(f"record {self.seq}{last} is missing before this one", at, seq)
        elif seq < self.seq:
            self.problem(f"stands where record {self.seq} belongs", at, seq)
        elif self.previous is not None and previous != self.previous:
            self.problem(unchained(seq), at, seq - 1 if seq else seq)
            if self.out.suspect is None:
                self.out.suspect = self.out.records
        elif self.previous is not None and place and place != self.place + 1:
            self.problem("has the wrong place in its batch", at, seq)
        if seq != self.seq:
            self.out.whole = False

    # ── the leaf ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, leaves: Sequence[bytes], numbers: Sequence[int], offsets: Sequence[int]) -> list[object]:
        """Take leaves in their order.

        Args:
            leaves: what their frames hold.
            numbers: which records they have to be.
            offsets: where their frames begin, in bytes.

        Returns:
            The kind of each, or None if it cannot be read; nothing if it was looked into only lightly.
        """
        if not self.task.deep:
            for leaf, seq, at in zip(leaves, numbers, offsets, strict=True):
                self.out.records += 1
                self._light_leaf(leaf, seq, at)
            return []
        before, origin, unanswered, kinds = self.out.records, self.task.origin, self.open, list[object]()
        for leaf, seq, at, record in zip(leaves, numbers, offsets, self._usual(leaves), strict=True):
            if record is not None and record.seq == seq and record.log == origin:
                kind, usual = record.kind, True
                if kind == "intent":
                    unanswered[seq] = True
                elif kind == "result":
                    # Otherwise its intent lies elsewhere, or has a result.
                    intent = record.intent
                    usual = type(intent) is int and unanswered.get(intent, False)
                    if usual:
                        unanswered[cast("int", intent)] = False
                if usual:
                    kinds.append(kind)
                    continue
            self.out.records = before + len(kinds) + 1
            kinds.append(self._leaf(leaf, seq, at))
        self.out.records = before + len(kinds)
        return kinds

    def _leaf(self, leaf: bytes, seq: int, at: int) -> object:
        """Take one leaf of any shape."""
        try:
            record = read_leaf(leaf)
        except ValueError as error:
            self.problem(f"the record {error}", at, seq)
            return None
        if record.get("seq") != seq:
            self.problem(f"the record calls itself record {record.get('seq')}", at, seq)
        if self.task.origin and record.get("log") != self.task.origin:
            self.problem("the record names another ledger", at, seq)
        kind = record.get("kind")
        if kind == "intent":
            self.open[seq] = True
        elif kind == "result" and type(intent := record.get("intent")) is int and self.open.get(intent):
            self.open[intent] = False
        elif kind == "result":
            many: Any = record.get("intents")
            for intent in cast("list[object]", many) if isinstance(many, list) else [record.get("intent")]:
                self._answer(intent, seq, at)
        elif kind in ("key", "retention", "redaction"):
            self.out.special.append((seq, at, record))
        elif kind in KINDS:
            self.out.said.append((seq, at, needed(record)))
        if "disclosures" in record and isinstance(disclosed := record["disclosures"], dict):
            self.out.disclosed.append((seq, str(record.get("id")), disclosed))  # pyright: ignore[reportUnknownArgumentType]
        return kind or ""

    def _light_leaf(self, leaf: bytes, seq: int, at: int) -> None:
        if not any(mark in leaf for mark in _SPECIAL):
            return
        try:
            record = read_leaf(leaf)
        except ValueError:
            return  # a deep verification says what is wrong with it
        if record.get("kind") in ("key", "retention", "redaction"):
            self.out.special.append((seq, at, record))

    def _answer(self, intent: object, seq: int, at: int) -> None:
        if isinstance(intent, int) and intent in self.open:
            if not self.open[intent]:
                self.problem(f"a second result of record {intent}", at, seq)
            self.open[intent] = False
        else:
            self.out.answers.append((seq, at, intent))


def unchained(seq: int) -> str:
    """What is said of a record whose link does not fit the one before."""
    return f"was chained to another record {seq - 1} than the one that stands there: that one was changed"


def frame_at(data: bytes, at: int) -> tuple[int, bytes, int] | None:
    """Number, leaf and end of the whole frame that begins at `at`, or None."""
    if at + HEAD.size > len(data):
        return None
    magic, length, seq, _, _, crc = HEAD.unpack_from(data, at)
    end = at + HEAD.size + length
    if magic != _MAGIC_NUMBER or not 0 < length <= LARGEST_LEAF or end > len(data):
        return None
    leaf = data[at + HEAD.size : end]
    return (seq, leaf, end) if zlib.crc32(leaf, zlib.crc32(data[at : at + 28])) == crc else None


def next_frame(data: bytes, at: int) -> int:
    """Where reading can go on after the unreadable frame at `at`, or -1."""
    if data.startswith(MAGIC, at) and at + HEAD.size <= len(data):
        end = at + HEAD.size + int.from_bytes(data[at + 4 : at + 8], "big")
        if data.startswith(MAGIC, end):
            return end  # its length seems to be right, so that the damage is inside it
    following = data.find(MAGIC, at + 1)
    while following >= 0 and frame_at(data, following) is None:
        following = data.find(MAGIC, following + 1)
    return following
