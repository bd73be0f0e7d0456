"""The verifier: re-hash every byte of a trail and say where it is not what was written.

1. The key: given, or the trail's own, which then proves no more than that the trail agrees with itself.
2. The checkpoints: each one well formed, of this ledger, signed, and none smaller than the one before.
3. Every frame: magic, checksum, dense sequence, chained to the leaf before; nothing but zeros behind the last.
4. Every leaf (deep): canonical JSON, and its own `seq` and `log` the right ones.
5. The tree: its root compared with every checkpoint.
6. The end: not below the last checkpoint.
7. Intents paired with results (deep).

INVARIANT: this shares no code with the writer; see `_verify_format`.
Blind spot: records after the last checkpoint are chained but not signed, and a trail that was cut back together with
its checkpoints is found only by somebody who kept a later checkpoint (`checkpoint=`).
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import os
import re
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal

from guardrail.audit._report import Problem, Report
from guardrail.audit._verify_format import Key, Note, Tree, read_key, read_leaf, read_note, split_notes

DEFAULT_LIMIT: Final = 100
"""Most problems that a report lists."""

PROGRESS_EVERY: Final = 8192
"""How many records lie between two calls of the progress callback."""

_HEAD: Final = struct.Struct(">4sIQI8sI")
_MAGIC: Final = b"\xf5GR1"
_LARGEST_LEAF: Final = 61440
_SEGMENT: Final = re.compile(r"\d{20}\.seg")

Progress = Callable[[int, int, int], None]
"""Called with the records and bytes done so far, and all bytes there are."""


def verify(
    directory: Path | str,
    *,
    deep: bool = True,
    vkey: str | None = None,
    checkpoint: str | None = None,
    progress: Progress | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Report:
    """Check a trail from its bytes alone.

    Args:
        directory: the trail.
        deep: also parse every leaf, check its canonical form, and pair intents with results.
        vkey: verifier key, best one that was kept elsewhere; without it, the trail's own.
        checkpoint: a signed note that was kept elsewhere; the trail must contain exactly what it covers.
        progress: called now and then.
        limit: most problems to list.

    Returns:
        The report; it is true only if nothing was found.

    Raises:
        OSError: if the directory or a file in it cannot be read.
    """
    started = time.monotonic()
    walk = _Walk(Path(directory), deep=deep, limit=limit, progress=progress)
    walk.take_key(vkey)
    walk.take_checkpoints(checkpoint)
    walk.take_segments()
    walk.finish()
    return walk.report(time.monotonic() - started)


def read_records(directory: Path | str, first: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """The readable records of a trail in order, each with its sequence number; for showing, not for proving.

    Args:
        directory: the trail.
        first: number of the first record that is wanted: segments that end before it are not read.

    Raises:
        OSError: if the directory or a file in it cannot be read.
    """
    paths = sorted(Path(directory).glob("*.seg"))
    for path, following in zip(paths, [*paths[1:], None], strict=True):
        if following is not None and _SEGMENT.fullmatch(following.name) and int(following.name[:20]) <= first:
            continue
        data, at = path.read_bytes(), 0
        while at >= 0:
            frame = _frame(data, at)
            if frame is None:
                at = _next_frame(data, at)
                continue
            seq, leaf, at = frame
            try:
                record = read_leaf(leaf)
            except ValueError:
                continue
            if seq >= first:
                yield seq, record


def _frame(data: bytes, at: int) -> tuple[int, bytes, int] | None:
    if at + _HEAD.size > len(data):
        return None
    magic, length, seq, _, _, crc = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + length
    if magic != _MAGIC or not 0 < length <= _LARGEST_LEAF or end > len(data):
        return None
    leaf = data[at + _HEAD.size : end]
    return (seq, leaf, end) if zlib.crc32(leaf, zlib.crc32(data[at : at + 28])) == crc else None


def _next_frame(data: bytes, at: int) -> int:
    """Where reading can go on after the unreadable frame at `at`, or -1."""
    if data.startswith(_MAGIC, at) and at + _HEAD.size <= len(data):
        end = at + _HEAD.size + int.from_bytes(data[at + 4 : at + 8], "big")
        if data.startswith(_MAGIC, end):
            return end  # its length seems to be right, so that the damage is inside it
    following = data.find(_MAGIC, at + 1)
    while following >= 0 and _frame(data, following) is None:
        following = data.find(_MAGIC, following + 1)
    return following


@dataclasses.dataclass(slots=True)
class _Expected:
    """A checkpoint that waits for the tree to reach its size."""

    note: Note
    file: str
    offset: int


class _Walk:
    """One pass over a trail."""

    def __init__(self, directory: Path, *, deep: bool, limit: int, progress: Progress | None) -> None:
        self.directory = directory
        self.deep = deep
        self.limit = limit
        self.progress = progress
        self.problems: list[Problem] = []
        self.more = 0
        self.key: Key | None = None
        self.vkey = ""
        self.key_source: Literal["given", "trail", "none"] = "none"
        self.expected: list[_Expected] = []
        self.good_notes = 0
        self.signed = 0
        self.live = _in_use(directory)
        self.tree = Tree()
        # INVARIANT: `whole` is false from the first record on that could not be read, and no root is compared after it.
        self.whole = True
        self.records = 0
        self.seq = 0
        self.previous: bytes | None = bytes(8)
        self.place: int = -1
        self.done = self.total = self.segments = 0
        self.open_intents: set[int] = set()
        self.intents: set[int] = set()
        self.next_check = 0
        self.next_size = -1
        self.suspect = False

    def problem(self, what: str, *, file: str = "", offset: int | None = None, seq: int | None = None) -> None:
        if len(self.problems) < self.limit:
            self.problems.append(Problem(what=what, file=file, offset=offset, seq=seq))
        else:
            self.more += 1

    # ── 1. the key ────────────────────────────────────────────────────────────────────────────────────────────────────

    def take_key(self, given: str | None) -> None:
        own = self._own_key()
        self.vkey, self.key_source = (given, "given") if given is not None else (own, "trail")
        if not self.vkey:
            self.key_source = "none"
            return
        try:
            self.key = read_key(self.vkey)
        except ValueError as error:
            where = "the given key" if given is not None else "the key"
            self.problem(f"{where} {error}", file="" if given is not None else "trail.vkey", offset=0)
            return
        if given is not None and own and own != given:
            self.problem("is not the key that was given: the trail may have been replaced", file="trail.vkey", offset=0)

    def _own_key(self) -> str:
        path = self.directory / "trail.vkey"
        if not path.is_file():
            self.problem("the trail has no verifier key", file="trail.vkey")
            return ""
        text = path.read_bytes().decode("utf-8", "replace")
        if not text.endswith("\n") or text.count("\n") != 1:
            self.problem("is not one line", file="trail.vkey", offset=0)
        return text.strip("\n")

    # ── 2. the checkpoints ────────────────────────────────────────────────────────────────────────────────────────────

    def take_checkpoints(self, kept: str | None) -> None:
        path = self.directory / "checkpoints"
        largest = -1
        for offset, data in split_notes(path.read_bytes() if path.is_file() else b""):
            if self.live and not data.endswith(b"\n"):
                break  # being written right now
            note = self.note(data, "checkpoints", offset)
            if note is None:
                continue
            if note.size < largest:
                self.problem(
                    f"the checkpoint covers {_records(note.size)}, fewer than the one before",
                    file="checkpoints",
                    offset=offset,
                )
                continue
            largest = note.size
            self.good_notes += 1
            self.expected.append(_Expected(note, "checkpoints", offset))
        if not self.expected:
            self.problem("holds no good checkpoint: nothing in this trail is proven", file="checkpoints")
        if kept is not None:
            note = self.note(kept.encode(), "the given checkpoint", 0)
            if note is not None:
                self.expected.append(_Expected(note, "the given checkpoint", 0))
        self.expected.sort(key=lambda item: item.note.size)
        self._advance_check()
        self._compare_root()

    def note(self, data: bytes, file: str, offset: int) -> Note | None:
        try:
            note = read_note(data)
        except ValueError as error:
            self.problem(f"the checkpoint {error}", file=file, offset=offset)
            return None
        if self.key is None:
            self.problem("the checkpoint cannot be checked without a key", file=file, offset=offset)
            return None
        if note.origin != self.key.name or note.key_id != self.key.key_id:
            self.problem(f"the checkpoint is by another ledger or key, `{note.origin}`", file=file, offset=offset)
            return None
        if not self.key.check(note.signature, note.text):
            self.problem("the signature of the checkpoint is wrong", file=file, offset=offset)
            return None
        return note

    # ── 3. the frames ─────────────────────────────────────────────────────────────────────────────────────────────────

    def take_segments(self) -> None:
        paths = sorted(self.directory.glob("*.seg"))
        self.total = sum(path.stat().st_size for path in paths)
        self.segments = len(paths)
        frontier = _Frontier.read(self)
        for index, path in enumerate(paths):
            if not _SEGMENT.fullmatch(path.name):
                self.problem("is not named like a segment", file=path.name)
                continue
            first = int(path.name[:20])
            if first != self.seq:
                self._gap(first, path.name)
            if frontier is not None:
                frontier.compare(self, first)
            self._segment(path, last=index == len(paths) - 1)
        if self.progress is not None:
            self.progress(self.records, self.done, self.total)

    def _gap(self, first: int, file: str) -> None:
        if first > self.seq:
            self.problem(
                f"records {self.seq} to {first - 1} are missing before this segment", file=file, offset=0, seq=self.seq
            )
        else:
            self.problem(f"begins with record {first}, but record {self.seq} is next", file=file, offset=0, seq=first)
        self.seq, self.previous, self.place, self.whole = first, None, -1, False

    def _segment(self, path: Path, *, last: bool) -> None:
        data = path.read_bytes()
        at, size, name = 0, len(data), path.name
        head, crc32, sha256 = _HEAD, zlib.crc32, hashlib.sha256
        push, deep = self.tree.push, self.deep
        while at + 32 <= size:
            magic, length, seq, place, previous, crc = head.unpack_from(data, at)
            end = at + 32 + length
            leaf = data[at + 32 : end]
            if (
                magic != _MAGIC
                or not 0 < length <= _LARGEST_LEAF
                or end > size
                or crc32(leaf, crc32(data[at : at + 28])) != crc
            ):
                resume = self._unreadable(data, at, name, last=last)
                if resume is None:
                    at = size
                    break
                at = resume
                continue
            if seq != self.seq or previous != self.previous or (place and place != self.place + 1):
                self._out_of_line(seq, place, previous, name, at)
            digest = sha256(b"\0" + leaf).digest()
            self.seq, self.place, self.previous = seq + 1, place, digest[:8]
            self.records += 1
            if deep:
                self._leaf(leaf, seq, name, at)
            if self.whole:
                push(digest)
                if seq + 1 == self.next_size:
                    self._compare_root()
            at = end
            if not self.records % PROGRESS_EVERY and self.progress is not None:
                self.progress(self.records, self.done + at, self.total)
        if at < size:
            self._unreadable(data, at, name, last=last)
        self.done += size

    def _unreadable(self, data: bytes, at: int, name: str, *, last: bool) -> int | None:
        """Say what lies at `at`, and where reading can go on; None at the end of the segment."""
        rest = len(data) - at
        if data.count(b"\0", at) == rest:
            return None
        following = _next_frame(data, at)
        first = at + rest - len(data[at:].lstrip(b"\0"))
        if last and self.live and self.seq >= self.signed_end():
            return None  # a batch that is being written right now, and may become visible in any order
        if data.startswith(_MAGIC, at):
            what = "the record is damaged: its checksum does not fit its bytes"
            self.problem(what, file=name, offset=at, seq=self.seq)
        elif following >= 0:
            self.problem("bytes that are no record stand where one belongs", file=name, offset=first, seq=self.seq)
        else:
            self.problem("bytes that are no record follow the last one", file=name, offset=first, seq=self.seq)
        self.whole = False
        self.previous = None
        if following >= 0:
            # The number of the next whole frame is believed here; a wrong one shows at the frame after it.
            seq, place = _HEAD.unpack_from(data, following)[2:4]
            whole = _frame(data, following) is not None
            self.seq, self.place = (int(seq), int(place) - 1) if whole else (self.seq + 1, -1)
            return following
        return None

    def signed_end(self) -> int:
        return self.expected[-1].note.size if self.expected else 0

    def _out_of_line(self, seq: int, place: int, previous: bytes, name: str, at: int) -> None:
        if seq > self.seq:
            last = "" if seq == self.seq + 1 else f" to {seq - 1}"
            self.problem(f"record {self.seq}{last} is missing before this one", file=name, offset=at, seq=seq)
        elif seq < self.seq:
            self.problem(f"stands where record {self.seq} belongs", file=name, offset=at, seq=seq)
        elif self.previous is not None and previous != self.previous:
            self.problem(
                f"was chained to another record {seq - 1} than the one that stands there: that one was changed",
                file=name,
                offset=at,
                seq=seq - 1 if seq else seq,
            )
            self.suspect = True
        elif self.previous is not None and place and place != self.place + 1:
            self.problem("has the wrong place in its batch", file=name, offset=at, seq=seq)
        if seq != self.seq:
            self.whole = False

    # ── 4. the leaf ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _leaf(self, leaf: bytes, seq: int, name: str, at: int) -> None:
        try:
            record = read_leaf(leaf)
        except ValueError as error:
            self.problem(f"the record {error}", file=name, offset=at, seq=seq)
            return
        if record.get("seq") != seq:
            self.problem(f"the record calls itself record {record.get('seq')}", file=name, offset=at, seq=seq)
        if self.key is not None and record.get("log") != self.key.name:
            self.problem("the record names another ledger", file=name, offset=at, seq=seq)
        kind = record.get("kind")
        if kind == "intent":
            self.intents.add(seq)
            self.open_intents.add(seq)
        elif kind == "result":
            self._result(record.get("intent"), seq, name, at)

    # ── 7. pairs ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _result(self, intent: object, seq: int, name: str, at: int) -> None:
        if not isinstance(intent, int) or intent not in self.intents:
            if self.whole:  # otherwise its intent may be among the records that could not be read
                self.problem(f"the result of `{intent}`, which is no intent before it", file=name, offset=at, seq=seq)
        elif intent not in self.open_intents:
            self.problem(f"a second result of record {intent}", file=name, offset=at, seq=seq)
        else:
            self.open_intents.discard(intent)

    # ── 5. the tree ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _advance_check(self) -> None:
        left = self.next_check < len(self.expected)
        self.next_size = self.expected[self.next_check].note.size if left else -1

    def _compare_root(self) -> None:
        root = self.tree.root()
        while self.next_size == self.tree.size:
            item = self.expected[self.next_check]
            if item.note.root == root:
                self.signed = max(self.signed, item.note.size)
            elif not self.suspect:
                self.suspect = True
                self.problem(
                    f"{_not_signed(item.note.size)}: {_one_of(self.signed, item.note.size - 1)} was changed",
                    file=item.file,
                    offset=item.offset,
                    seq=self.signed,
                )
            self.next_check += 1
            self._advance_check()

    # ── 6. the end ────────────────────────────────────────────────────────────────────────────────────────────────────

    def finish(self) -> None:
        end = self.signed_end()
        if end > self.seq:
            item = self.expected[-1]
            self.problem(
                f"{_records(end)} {'was' if end == 1 else 'were'} signed, "
                f"but the trail ends after {self.seq}: it was cut back",
                file=item.file,
                offset=item.offset,
                seq=self.seq,
            )

    def report(self, seconds: float) -> Report:
        return Report(
            directory=str(self.directory),
            origin=self.key.name if self.key else "",
            deep=self.deep,
            live=self.live,
            records=self.records,
            signed=self.signed,
            root=self.tree.root().hex() if self.whole else "",
            checkpoints=self.good_notes,
            segments=self.segments,
            size=self.total,
            seconds=seconds,
            key=self.vkey,
            key_source=self.key_source,
            unfinished=len(self.open_intents),
            problems=tuple(self.problems),
            more=self.more,
        )


class _Frontier:
    """The writer's short cut, `frontier`: it proves nothing, but a wrong one would mislead the next start."""

    def __init__(self, note: Note, previous: str, roots: list[str]) -> None:
        self.note, self.previous, self.roots = note, previous, roots

    @classmethod
    def read(cls, walk: _Walk) -> _Frontier | None:
        import json

        path = walk.directory / "frontier"
        if not path.is_file():
            return None
        data = path.read_bytes()
        try:
            value = json.loads(data)
            as_left = json.dumps(value, sort_keys=True, indent=1).encode() + b"\n" == data
            roots, previous, text = value["roots"], value["previous"], str(value["note"])
        except (ValueError, KeyError, TypeError):
            walk.problem("cannot be read; remove it, it will be made anew", file="frontier", offset=0)
            return None
        if not as_left:
            walk.problem("is not as the writer leaves it; remove it, it will be made anew", file="frontier", offset=0)
            return None
        note = walk.note(text.encode(), "frontier", 0)
        return None if note is None else cls(note, previous, roots)

    def compare(self, walk: _Walk, first: int) -> None:
        if first != self.note.size or not walk.whole or walk.suspect:
            return
        expected = [digest.hex() for digest in walk.tree.stack], (walk.previous or b"").hex(), walk.tree.root()
        if (self.roots, self.previous, self.note.root) != expected:
            walk.problem("does not fit the records; remove it, it will be made anew", file="frontier", offset=0)


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number} records"


def _not_signed(number: int) -> str:
    if number == 1:
        return "the first record is not the one that was signed"
    return f"the first {number} records are not those that were signed"


def _one_of(first: int, last: int) -> str:
    return f"record {first}" if first == last else f"one of records {first} to {last}"


def _in_use(directory: Path) -> bool:
    """Whether a writer holds the trail; such a trail may end in a batch that is not complete yet."""
    try:
        fd = os.open(directory / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
