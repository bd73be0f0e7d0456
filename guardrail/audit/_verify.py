"""The verifier: re-hash every byte of a trail and say where it is not what was written.

1. The key: given, or the trail's own, which then proves no more than that the trail agrees with itself.
2. The checkpoints: each one well formed, of this ledger, signed, and none smaller than the one before.
3. What was pruned: its tiles stand for it, and a signed order must say so.
4. Every frame: magic, checksum, dense sequence, chained to the leaf before; nothing but zeros behind the last.
5. Every leaf (deep): canonical JSON, and its own `seq` and `log` the right ones.
6. The tree: its root compared with every checkpoint, and its tiles with those on disk.
7. The end: not below the last checkpoint.
8. Intents paired with results, disclosures compared with their digests (deep).
9. What people said: signatures of votes, grants that follow from votes, uses that grants allow (deep).

INVARIANT: this shares no code with the writer; see `_verify_format`, `_verify_note`, `_verify_said`, `_verify_scan` and
`_verify_trust`.
Blind spot: records after the last checkpoint are chained but not signed, and a trail that was rewritten or cut back
together with its checkpoints is found only by somebody who kept a later checkpoint (`checkpoint=`), by its witnesses
(`witnesses=`), or by what telemetry said (`seen=`).
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from guardrail.audit._report import Problem, Report
from guardrail.audit._verify_format import Tree, read_leaf
from guardrail.audit._verify_frontier import SavedFrontier
from guardrail.audit._verify_kept import Kept, tile_hashes
from guardrail.audit._verify_note import Note, read_note, split_notes
from guardrail.audit._verify_pool import in_order
from guardrail.audit._verify_said import People
from guardrail.audit._verify_scan import Scan, Task, frame_at, next_frame, unchained
from guardrail.audit._verify_trust import Expected, Trust, Witnesses

DEFAULT_LIMIT: Final = 100
"""Most problems that a report lists."""

_SEGMENT: Final = re.compile(r"\d{20}\.seg")

Progress = Callable[[int, int, int], None]
"""Called with the records and bytes done so far, and all bytes there are."""


def verify(
    directory: Path | str,
    *,
    deep: bool = True,
    vkey: str | None = None,
    checkpoint: str | None = None,
    witnesses: Sequence[str] = (),
    quorum: int = 0,
    seen: Sequence[tuple[int, str]] = (),
    people: Mapping[str, bytes] | None = None,
    former: Sequence[tuple[str, bytes]] = (),
    jobs: int = 1,
    progress: Progress | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Report:
    """Check a trail from its bytes alone.

    Args:
        directory: the trail: a directory, or a database as `postgresql://…` or `service=…`.
        deep: also parse every leaf, check its canonical form, and pair intents with results.
        vkey: verifier key, best one that was kept elsewhere; without it, the trail's own. Keys that followed it are
            found in the trail.
        checkpoint: signed notes that were kept elsewhere; the trail must contain exactly what they cover.
        witnesses: verifier keys of witnesses; the trail must hold a checkpoint that they have cosigned.
        quorum: how many of them are enough; 0 means all.
        seen: sizes and roots, in hexadecimal, as telemetry has shown them.
        people: public keys by the name of who owns them; without them, orders are checked by the keys they bring, and
            signatures of votes are only counted.
        former: names with further keys that their votes may bear, such as those that they had before.
        jobs: most processes that read segments or rows; 1 reads in this one.
        progress: called now and then.
        limit: most problems to list.

    Returns:
        The report; it is true only if nothing was found.

    Raises:
        OSError: if the directory or a file in it cannot be read.
        TrailError: if the database cannot be read.
    """
    if _is_store(directory):
        from guardrail.audit.postgres._verify import verify_rows

        return verify_rows(
            str(directory),
            deep=deep,
            vkey=vkey,
            checkpoint=checkpoint,
            witnesses=witnesses,
            quorum=quorum,
            seen=seen,
            people=people,
            former=former,
            jobs=jobs,
            progress=progress,
            limit=limit,
        )
    started = time.monotonic()
    walk = _Walk(Path(directory), deep=deep, limit=limit, progress=progress, jobs=jobs)
    walk.witnesses = Witnesses(witnesses, quorum, walk.problem)
    walk.kept = Kept(walk.directory, people, walk.problem)
    walk.people = People((*(people or {}).items(), *former), walk.problem)
    walk.take_key(vkey)
    walk.take_checkpoints(checkpoint, seen)
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
        TrailError: if the database cannot be read.
    """
    if _is_store(directory):
        from guardrail.audit.postgres._verify import read_rows

        yield from read_rows(str(directory), first=first)
        return
    paths = sorted(Path(directory).glob("*.seg"))
    for path, following in itertools.zip_longest(paths, paths[1:]):
        if following is not None and _SEGMENT.fullmatch(following.name) and int(following.name[:20]) <= first:
            continue
        data, at = path.read_bytes(), 0
        while at >= 0:
            frame = frame_at(data, at)
            if frame is None:
                at = next_frame(data, at)
                continue
            seq, leaf, at = frame
            try:
                record = read_leaf(leaf)
            except ValueError:
                continue
            if seq >= first:
                yield seq, record


def _is_store(place: Path | str) -> bool:
    return isinstance(place, str) and place.startswith(("postgresql://", "postgres://", "service="))


class _Walk:
    """One pass over a trail."""

    witnesses: Witnesses
    kept: Kept
    people: People

    def __init__(self, directory: Path, *, deep: bool, limit: int, progress: Progress | None, jobs: int) -> None:
        self.directory = directory
        self.deep = deep
        self.limit = limit
        self.progress = progress
        self.jobs = jobs
        self.problems: list[Problem] = []
        self.more = 0
        self.trust = Trust(self.problem)
        self.vkey = ""
        self.key_source: Literal["given", "trail", "none"] = "none"
        self.expected: list[Expected] = []
        self.good_notes = 0
        self.signed = 0
        self.live = _in_use(directory)
        self.tree = Tree(self._tile)
        # INVARIANT: `whole` is false from the first record on that could not be read, and no root is compared after it.
        self.whole = True
        self.records: int = 0
        self.seq: int = 0
        self.previous: bytes | None = bytes(8)
        self.done: int = 0
        self.total: int = 0
        self.segments: int = 0
        self.open_intents: dict[int, None] = {}
        self.intents: list[array[int]] = []
        self.next_check = 0
        self.next_size = -1
        self.suspect = False

    def problem(self, what: str, *, file: str = "", offset: int | None = None, seq: int | None = None) -> None:
        self._add(Problem(what=what, file=file, offset=offset, seq=seq))

    def _add(self, problem: Problem) -> None:
        if len(self.problems) < self.limit:
            self.problems.append(problem)
        else:
            self.more += 1

    # ── 1. the key ────────────────────────────────────────────────────────────────────────────────────────────────────

    def take_key(self, given: str | None) -> None:
        own = self._own_keys()
        first = own[0] if own else ""
        self.vkey, self.key_source = (given, "given") if given is not None else (first, "trail")
        if not self.vkey:
            self.key_source = "none"
            return
        try:
            self.trust.start(self.vkey)
        except ValueError as error:
            where = "the given key" if given is not None else "the key"
            self.problem(f"{where} {error}", file="" if given is not None else "trail.vkey", offset=0)
            return
        if given is not None and own and given not in own:
            self.problem("is not the key that was given: the trail may have been replaced", file="trail.vkey", offset=0)

    def _own_keys(self) -> list[str]:
        """The trail's first key, and those that followed it."""
        path = self.directory / "trail.vkey"
        if not path.is_file():
            self.problem("the trail has no verifier key", file="trail.vkey")
            return []
        text = path.read_bytes().decode("utf-8", "replace")
        if not text.endswith("\n") or "\n\n" in text or text == "\n":
            self.problem("is not one key a line", file="trail.vkey", offset=0)
        return text.strip("\n").split("\n")

    # ── 2. the checkpoints ────────────────────────────────────────────────────────────────────────────────────────────

    def take_checkpoints(self, kept: str | None, seen: Sequence[tuple[int, str]]) -> None:
        largest = -1
        for item in self._notes("checkpoints", cosigned=False):
            # One that only a later key signed is checked when the tree has reached it.
            known = self.trust.knows(item.note)
            if known and not self.trust.signed(item):
                continue
            if known and item.note.size < largest:
                self.problem(
                    f"the checkpoint covers {_records(item.note.size)}, fewer than the one before",
                    file=item.file,
                    offset=item.offset,
                )
                continue
            largest = item.note.size if known else largest
            self.good_notes += 1
            self.expected.append(item)
        if not self.expected:
            self.problem("holds no good checkpoint: nothing in this trail is proven", file="checkpoints")
        self.expected += self._notes("cosigned", cosigned=True)
        for offset, data in split_notes(kept.encode()) if kept is not None else ():
            given = self._note(data, "the given checkpoint", offset, cosigned=True)
            self.expected += [given] if given is not None else []
        for size, root in seen:
            note = Note(self.trust.origin, size, bytes.fromhex(root), b"", ())
            self.expected.append(Expected(note, "the given root", 0))
        self.expected.sort(key=lambda item: item.note.size)
        self._advance_check()
        self._compare_root()

    def _notes(self, name: str, *, cosigned: bool) -> Iterator[Expected]:
        path = self.directory / name
        for offset, data in split_notes(path.read_bytes() if path.is_file() else b""):
            if self.live and not data.endswith(b"\n"):
                return  # being written right now
            item = self._note(data, name, offset, cosigned=cosigned)
            if item is not None:
                yield item

    def _note(self, data: bytes, file: str, offset: int, *, cosigned: bool) -> Expected | None:
        try:
            return Expected(read_note(data, cosigned=cosigned), file, offset)
        except ValueError as error:
            self.problem(f"the checkpoint {error}", file=file, offset=offset)
            return None

    # ── 3. what was pruned, 4. the frames ─────────────────────────────────────────────────────────────────────────────

    def take_segments(self) -> None:
        paths = sorted(self.directory.glob("*.seg"))
        self.total = sum(path.stat().st_size for path in paths)
        self.segments = len(paths)
        frontier = SavedFrontier.read(self)
        named = [path for path in paths if _SEGMENT.fullmatch(path.name)]
        for path in paths:
            if path not in named:
                self.problem("is not named like a segment", file=path.name)
        for path in [path for path in named if int(path.stem) < self.kept.minimum]:
            self.problem("was pruned and is still there: opening the trail removes it", file=path.name)
            named.remove(path)
        if named and self.kept.minimum == int(named[0].stem):
            self._pruned(self.kept.minimum)
        unsigned = self.signed_end() if self.live else None
        tasks = [
            Task(str(path), int(path.stem), self.deep, self.trust.origin, unsigned if path is paths[-1] else None)
            for path in named
        ]
        for task, found in in_order(tasks, self.jobs, self._told):
            if task.first != self.seq:
                self._gap(task.first, Path(task.path).name)
            if frontier is not None:
                frontier.compare(self, task.first)
            self._segment(Path(task.path).name, found)
        if self.progress is not None:
            self.progress(self.records, self.done, self.total)

    def _told(self, records: int, at: int) -> None:
        if self.progress is not None:
            self.progress(self.records + records, self.done + at, self.total)

    def _pruned(self, minimum: int) -> None:
        """Tiles stand for the records below the minimum, as far as the tree is concerned."""
        for index in range(-(-minimum // 256)):
            tile = self._stored_tile(0, index)
            if tile is None:
                self.problem(
                    f"the tile for the pruned records {256 * index} to {256 * index + 255} is missing or cut",
                    file=tile_name(0, index),
                    seq=256 * index,
                )
                self.whole = False
                break
            self._push(tile[: 32 * min(256, minimum - 256 * index)])
            self.previous = tile[: 32 * min(256, minimum - 256 * index)][-32:-24]
        if not self.whole:
            self.previous = None
        self.seq = minimum

    def _gap(self, first: int, file: str) -> None:
        if first > self.seq:
            self.problem(
                f"records {self.seq} to {first - 1} are missing before this segment", file=file, offset=0, seq=self.seq
            )
        else:
            self.problem(f"begins with record {first}, but record {self.seq} is next", file=file, offset=0, seq=first)
        self.seq, self.previous, self.whole = first, None, False

    def _segment(self, name: str, found: Scan) -> None:
        """Join what one segment holds to what was before it."""
        if found.first_link is not None and self.previous is not None:
            link, place = found.first_link
            if link != self.previous:
                seq = self.seq
                self.problem(unchained(seq), file=name, offset=0, seq=seq - 1 if seq else seq)
                self.suspect = True
            elif place:
                self.problem("has the wrong place in its batch", file=name, offset=0, seq=self.seq)
        # Where records were pruned, or could not be read, what is missing may have been among them.
        self.people.take(found.said, name, whole=self.whole and not self.kept.minimum)
        waiting = list(reversed(found.problems))
        special = list(reversed(found.special))
        digests, at, first = memoryview(bytes(found.digests)), 0, self.seq
        while self.whole and at < len(digests):
            room = self.next_size - self.tree.size if self.next_size > self.tree.size else len(digests)
            end = min(len(digests), at + 32 * room)
            count = end // 32
            while special and special[-1][0] < first + count:
                self._special(*special.pop())
            while waiting and waiting[-1][0] < count:
                self._add(waiting.pop()[1])
            self.suspect = self.suspect or (found.suspect is not None and found.suspect < count)
            self._push(bytes(digests[at:end]))
            at = end
        for _, problem in reversed(waiting):
            self._add(problem)
        for seq, offset, record in reversed(special):
            self._special(seq, offset, record)
        self.suspect = self.suspect or found.suspect is not None
        self.whole = self.whole and found.whole
        self._pairs(found, name)
        self.kept.disclosed(found.disclosed)
        self.seq, self.previous = found.next_seq, found.last_link
        self.records += found.records
        self.done += found.size

    def _special(self, seq: int, offset: int, record: dict[str, Any]) -> None:
        self.trust.learn(seq, offset, record)
        self.kept.learn(seq, record, self.trust.origin)

    def _push(self, digests: bytes) -> None:
        """Take leaf hashes, stopping at each size that a checkpoint is about."""
        at = 0
        while at < len(digests):
            room = self.next_size - self.tree.size if self.next_size > self.tree.size else len(digests) // 32
            end = min(len(digests), at + 32 * room)
            self.tree.push_many(digests[at:end])
            at = end
            if self.tree.size == self.next_size:
                self._compare_root()

    def signed_end(self) -> int:
        return self.expected[-1].note.size if self.expected else 0

    # ── 8. pairs ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _pairs(self, found: Scan, name: str) -> None:
        for seq, offset, intent in found.answers:
            if intent in self.open_intents:
                del self.open_intents[intent]
            elif isinstance(intent, int) and self._is_intent(intent):
                self.problem(f"a second result of record {intent}", file=name, offset=offset, seq=seq)
            elif self.whole and not (isinstance(intent, int) and 0 <= intent < self.kept.minimum):
                # Otherwise its intent may be among the records that could not be read, or that were pruned.
                what = f"the result of `{intent}`, which is no intent before it"
                self.problem(what, file=name, offset=offset, seq=seq)
        self.intents.append(found.intents)
        self.open_intents.update(dict.fromkeys(found.unanswered))

    def _is_intent(self, seq: int) -> bool:
        for known in self.intents:
            if known and known[0] <= seq <= known[-1]:
                at = bisect_left(known, seq)
                return known[at] == seq
        return False

    # ── 6. the tree ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _advance_check(self) -> None:
        left = self.next_check < len(self.expected)
        self.next_size = self.expected[self.next_check].note.size if left else -1

    def _compare_root(self) -> None:
        root = self.tree.root()
        while self.next_size == self.tree.size:
            item = self.expected[self.next_check]
            self.next_check += 1
            self._advance_check()
            if item.note.lines and not self._good(item):
                continue
            if item.note.root == root:
                self.signed = max(self.signed, item.note.size if item.note.lines else 0)
                if not self.suspect and item.note.lines:
                    self.trust.confirm(item.note.size)
                    self.witnesses.take(item)
            elif not self.suspect or item.file != "checkpoints":
                self.suspect = True
                self.problem(
                    f"{_not_signed(item.note.size)}: {_one_of(self.signed, item.note.size - 1)} was changed",
                    file=item.file,
                    offset=item.offset,
                    seq=self.signed,
                )

    def _good(self, item: Expected) -> bool:
        if self.trust.signed(item):
            return True
        if item.file == "checkpoints":
            self.good_notes -= 1
        return False

    def _tile(self, level: int, index: int, hashes: bytes) -> None:
        """Compare a tile that is on disk; it proves nothing, but a wrong one would make wrong proofs."""
        found = self._stored_tile(level, index)
        if found is not None and found != hashes and not self.suspect:
            name = tile_name(level, index)
            self.problem("does not fit the records; remove it, it can be worked out again", file=name, offset=0)

    def _stored_tile(self, level: int, index: int) -> bytes | None:
        return tile_hashes(self.directory, level, index)

    # ── 7. the end ────────────────────────────────────────────────────────────────────────────────────────────────────

    def finish(self) -> None:
        beyond = [item for item in self.expected if item.note.size > self.seq]
        good = [item for item in beyond if not item.note.lines or self.trust.signed(item)]
        if good:
            item, end = good[-1], good[-1].note.size
            self.problem(
                f"{_records(end)} {'was' if end == 1 else 'were'} signed, "
                f"but the trail ends after {self.seq}: it was cut back",
                file=item.file,
                offset=item.offset,
                seq=self.seq,
            )
        self._own_keys_followed()
        self.kept.finish(deep=self.deep)
        if self.whole and not self.suspect:
            self.witnesses.finish()

    def _own_keys_followed(self) -> None:
        """The keys that the trail's file lists must be those that its records name."""
        listed = self._listed()
        if self.whole and not self.suspect and self.vkey in listed:
            followed = listed[listed.index(self.vkey) :]
            if followed != self.trust.vkeys[: len(followed)]:
                what = "lists a key that no record of the trail names"
                self.problem(f"{what}: remove that line, or find out who added it", file="trail.vkey", offset=0)

    def _listed(self) -> list[str]:
        path = self.directory / "trail.vkey"
        return path.read_bytes().decode("utf-8", "replace").split() if path.is_file() else []

    def report(self, seconds: float) -> Report:
        return Report(
            directory=str(self.directory),
            origin=self.trust.origin,
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
            keys=tuple(self.trust.vkeys),
            witnessed=max(0, self.witnesses.size),
            witnesses=tuple((name, *seen) for name, seen in sorted(self.witnesses.seen.items())),
            pruned=self.kept.pruned(),
            holds=tuple(self.kept.holds),
            redactions=len(self.kept.redacted),
            disclosures=self.kept.readable,
            disclosures_missing=self.kept.missing,
            unfinished=len(self.open_intents),
            signatures=self.people.signed,
            signatures_unchecked=self.people.unchecked,
            signed_in=self.people.signed_in,
            unsigned_votes=self.people.unsigned,
            problems=tuple(self.problems),
            more=self.more,
        )


def tile_name(level: int, index: int) -> str:
    """Where C2SP tlog-tiles puts a full tile."""
    name = f"{index % 1000:03d}"
    while index := index // 1000:
        name = f"x{index % 1000:03d}/{name}"
    return f"tile/{level}/{name}"


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
