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

INVARIANT: this shares no code with the writer; see `_verify_format`, `_verify_frames`, `_verify_note`, `_verify_said`,
`_verify_scan`, `_verify_trust` and `_verify_usual`.
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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from guardrail.audit._report import Report
from guardrail.audit._verify_format import read_leaf
from guardrail.audit._verify_frontier import SavedFrontier
from guardrail.audit._verify_kept import KeptBeside, tile_hashes
from guardrail.audit._verify_note import split_notes
from guardrail.audit._verify_pool import in_order
from guardrail.audit._verify_said import People
from guardrail.audit._verify_scan import Task, frame_at, next_frame
from guardrail.audit._verify_trust import Expected, Witnesses
from guardrail.audit._verify_walk import Progress, Walk

DEFAULT_LIMIT: Final = 100
"""Most problems that a report lists."""

_SEGMENT: Final = re.compile(r"\d{20}\.seg")


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
    walk = _Files(Path(directory), deep=deep, limit=limit, progress=progress, jobs=jobs)
    walk.witnesses = Witnesses(witnesses, quorum, walk.problem)
    walk.kept = KeptBeside(walk.directory, people, walk.problem)
    walk.people = People((*(people or {}).items(), *former), walk.problem)
    walk.take_key(vkey)
    walk.take_checkpoints(checkpoint, seen)
    walk.take_segments()
    walk.finish()
    return walk.report(str(directory), time.monotonic() - started)


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


class _Files(Walk):
    """One pass over a trail in files."""

    def __init__(self, directory: Path, *, deep: bool, limit: int, progress: Progress | None, jobs: int) -> None:
        super().__init__(deep=deep, limit=limit, progress=progress, jobs=jobs, live=in_use(directory))
        self.directory = directory

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

    def _listed(self) -> list[str]:
        path = self.directory / "trail.vkey"
        return path.read_bytes().decode("utf-8", "replace").split() if path.is_file() else []

    def _notes(self, name: str, *, cosigned: bool) -> Iterator[Expected]:
        path = self.directory / name
        for offset, data in split_notes(path.read_bytes() if path.is_file() else b""):
            if self.live and not data.endswith(b"\n"):
                return  # being written right now
            item = self._note(data, name, offset, cosigned=cosigned)
            if item is not None:
                yield item

    def take_segments(self) -> None:
        """Every segment, in order."""
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
        unsigned = self._signed_end() if self.live else None
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

    def _gap(self, first: int, file: str) -> None:
        if first > self.seq:
            self.problem(
                f"records {self.seq} to {first - 1} are missing before this segment", file=file, offset=0, seq=self.seq
            )
        else:
            self.problem(f"begins with record {first}, but record {self.seq} is next", file=file, offset=0, seq=first)
        self._lost(first)

    def _signed_end(self) -> int:
        return self.expected[-1].note.size if self.expected else 0

    def _kept_keys(self) -> Iterator[tuple[int, bytes]]:
        path, offset = self.directory / "keys", 0
        for line in path.read_bytes().splitlines(keepends=True) if path.is_file() else ():
            yield offset, line.removesuffix(b"\n")
            offset += len(line)

    def _stored_tile(self, level: int, index: int) -> bytes | None:
        return tile_hashes(self.directory, level, index)


def in_use(directory: Path) -> bool:
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
