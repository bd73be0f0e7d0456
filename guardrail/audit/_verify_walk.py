"""One pass over a trail, wherever it lies: what joins its parts, compared with what was signed.

Not concerned with where keys, notes, records and tiles come from: `_verify` has them in files, `postgres._verify` in
tables.
INVARIANT: nothing here is imported from the writer.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from guardrail.audit._report import Problem, Report
from guardrail.audit._verify_format import Tree, read_leaf
from guardrail.audit._verify_kept import Kept, tile_name
from guardrail.audit._verify_note import Note, read_note, split_notes
from guardrail.audit._verify_pairs import Pairs
from guardrail.audit._verify_said import People
from guardrail.audit._verify_scan import Scan, unchained
from guardrail.audit._verify_trust import Expected, Trust, Witnesses

Progress = Callable[[int, int, int], None]
"""Called with the records and bytes done so far, and all bytes there are."""


class Walk(ABC):
    """One pass over a trail.

    Args:
        deep: parse every leaf.
        limit: most problems to list.
        progress: called now and then.
        jobs: most processes that read.
        live: somebody writes it, so that it may end in what is not complete yet.
    """

    witnesses: Witnesses
    kept: Kept
    people: People

    def __init__(self, *, deep: bool, limit: int, progress: Progress | None, jobs: int, live: bool = False) -> None:
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
        self.live = live
        self.tree = Tree(self._tile)
        # INVARIANT: `whole` is false from the first record on that could not be read, and no root is compared after it.
        self.whole = True
        self.records: int = 0
        self.seq: int = 0
        self.previous: bytes | None = bytes(8)
        self.done: int = 0
        self.total: int = 0
        self.segments: int = 0
        self.pairs = Pairs(self.problem)
        self.next_check = 0
        self.next_size = -1
        self.suspect = False

    def problem(self, what: str, *, file: str = "", offset: int | None = None, seq: int | None = None) -> None:
        """Take something that is wrong."""
        self._add(Problem(what=what, file=file, offset=offset, seq=seq))

    def _add(self, problem: Problem) -> None:
        if len(self.problems) < self.limit:
            self.problems.append(problem)
        else:
            self.more += 1

    # ── what lies where ───────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def _own_keys(self) -> list[str]:
        """The trail's first key, and those that followed it; what is wrong with the list is told."""

    @abstractmethod
    def _listed(self) -> list[str]:
        """The same as they are listed, without a word on what is wrong."""

    @abstractmethod
    def _notes(self, name: str, *, cosigned: bool) -> Iterator[Expected]:
        """The checkpoints of the trail (`checkpoints`), or those that witnesses cosigned (`cosigned`)."""

    @abstractmethod
    def take_segments(self) -> None:
        """Read every record."""

    @abstractmethod
    def _stored_tile(self, level: int, index: int) -> bytes | None:
        """A full tile as it is kept, or None."""

    @abstractmethod
    def _kept_keys(self) -> Iterator[tuple[int, bytes]]:
        """Records about keys that outlived the pruning of their place: where each is kept, and its leaf."""

    # ── 1. the key ────────────────────────────────────────────────────────────────────────────────────────────────────

    def take_key(self, given: str | None) -> None:
        """Begin with a key: the given one, or the trail's own."""
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

    # ── 2. the checkpoints ────────────────────────────────────────────────────────────────────────────────────────────

    def take_checkpoints(self, kept: str | None, seen: Sequence[tuple[int, str]]) -> None:
        """Read every checkpoint, and what was kept elsewhere."""
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

    def _note(self, data: bytes, file: str, offset: int, *, cosigned: bool) -> Expected | None:
        try:
            return Expected(read_note(data, cosigned=cosigned), file, offset)
        except ValueError as error:
            self.problem(f"the checkpoint {error}", file=file, offset=offset)
            return None

    # ── 3. what was pruned, 4. the frames ─────────────────────────────────────────────────────────────────────────────

    def _told(self, records: int, at: int) -> None:
        if self.progress is not None:
            self.progress(self.records + records, self.done + at, self.total)

    def _pruned(self, minimum: int) -> None:
        """Tiles stand for the records below the minimum, as far as the tree is concerned."""
        for offset, leaf in self._kept_keys():
            self._kept_key(offset, leaf, minimum)
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

    def _lost(self, first: int) -> None:
        """The records before `first` are missing."""
        self.seq, self.previous, self.whole = first, None, False

    def _kept_key(self, offset: int, leaf: bytes, minimum: int) -> None:
        """A record about keys that is kept for itself: the tile says whether it is the one that was pruned."""
        try:
            record = read_leaf(leaf)
        except ValueError as error:
            self.problem(f"the record {error}", file="keys", offset=offset)
            return
        seq = record.get("seq")
        if type(seq) is int and seq >= minimum:
            return  # it is among the others
        digest = hashlib.sha256(b"\0" + leaf).digest()
        tile = self._stored_tile(0, seq // 256) if type(seq) is int and seq >= 0 else None
        if type(seq) is not int or tile is None or tile[32 * (seq % 256) :][:32] != digest:
            self.problem("is not a record that was pruned", file="keys", offset=offset)
        elif record.get("kind") == "key":
            self.trust.learn(seq, offset, record)
            self.kept.keys.append(seq)

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
        self.pairs.take(found, name, whole=self.whole, minimum=self.kept.minimum)
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

    # ── 7. the end ────────────────────────────────────────────────────────────────────────────────────────────────────

    def finish(self) -> None:
        """Say what shows only at the end."""
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

    def report(self, where: str, seconds: float) -> Report:
        """What was found.

        Args:
            where: name of the trail.
            seconds: how long it took.
        """
        return Report(
            directory=where,
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
            unfinished=len(self.pairs.open),
            signatures=self.people.signed,
            signatures_unchecked=self.people.unchecked,
            signed_in=self.people.signed_in,
            unsigned_votes=self.people.unsigned,
            problems=tuple(self.problems),
            more=self.more,
        )


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number} records"


def _not_signed(number: int) -> str:
    if number == 1:
        return "the first record is not the one that was signed"
    return f"the first {number} records are not those that were signed"


def _one_of(first: int, last: int) -> str:
    return f"record {first}" if first == last else f"one of records {first} to {last}"
