"""The sweep: everything below the watched directories is looked at, by inode and by content, and counted.

What has to go may lie there under another name, whole, in part, packed or converted; how much of that is recognised
depends on whether the asset was registered (`guardrail assets register`).
INVARIANT: what was not looked at is named; a sweep that could not see a watched directory says that it cannot tell.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from guardrail.assets import Asset, birth_ns, false_date, found_at, is_beside_weights
from guardrail.errors import AnalysisFault
from guardrail.obligations._events import Coverage, Finding, FindingKind, Pinned, Terms
from guardrail.obligations.world._evidence import digest_of, inode_of, is_file, status_at
from guardrail.obligations.world._world import World
from guardrail.printing import shortened

MIN_COPY_BYTES: Final = 256
"""Smallest file that is taken for a copy because its content is the same, in bytes."""

MIN_HELD_BYTES: Final = 64 * 1024
"""Smallest file that can be told to hold a part of an asset by itself, in bytes."""

MIN_PIECE_BYTES: Final = 4 * 1024
"""Smallest file that is looked into for a piece of an asset, in bytes: many of them may hold it together."""

MAX_DOCUMENT_BYTES: Final = 1024 * 1024
"""Largest file that is taken for a document of a model because of its name, in bytes; larger ones are compared."""

MAX_ENTRIES: Final = 20_000_000
"""Most directory entries that one sweep looks at."""

MAX_ROUNDS: Final = 3
"""How often directories that changed during a sweep are looked at again."""

MAX_PIECES: Final = 16
"""Most small pieces of an asset that are named one by one."""

MAX_PLACE_CHARS: Final = 200
"""Longest name of a place in the coverage of a sweep, in characters; of a longer one the middle is left out."""

MAX_PLACES: Final = 6
"""Most directories that are named in the coverage of a sweep; all are counted."""

MAX_UNREADABLE: Final = 12
"""Most places that are named in the coverage of a sweep; the rest are counted."""

TICK_US: Final = 20_000
"""How far the clock of a filesystem may be behind, in microseconds: it ticks coarsely."""

_KERNEL: Final = ("/proc", "/sys")
"""Where no file lies that anybody could put there."""


class Sweep:
    """One sweep for one duty.

    Args:
        world: what is known of the host.
        asset: what is looked for.
        terms: what is owed of it.
        files: its files, as they were.
        now_us: the time, in microseconds since 1970.
        linked: paths of those of which a pin has shown that they have other names.
        before: paths of copies that were known when the deletion was ordered.
    """

    def __init__(
        self,
        world: World,
        asset: Asset,
        terms: Terms,
        files: Sequence[Pinned],
        now_us: int,
        linked: Collection[str] = (),
        before: Collection[str] = (),
    ) -> None:
        self._before = frozenset(before)
        self._linked = frozenset(linked)
        self._world = world
        self._terms = terms
        self._now_us = now_us
        self._asset = asset
        self._inodes: Mapping[str, Pinned] = {file.inode: file for file in files}
        self._paths = {file.path for file in files}
        known = [file for file in files if file.sha256 and _tells(file)]
        self._sizes = {file.size for file in known}
        self._digests = {file.sha256 for file in known}
        self._roots = world.roots(asset)
        guards = (one for one in world.inventory if one.asset_class == "guard")
        self._own = frozenset(root for one in guards for root in one.roots)
        self._left = world.compare_bytes
        self.files = self.compared = self._entries = 0
        self._began_ns = time.time_ns() - TICK_US * 1000
        self._folders: list[tuple[str, bool]] = []
        self._shared: dict[int, int] = {}
        self._enough: dict[int, int] = {}
        self._pieces: list[tuple[str, os.stat_result]] = []
        self.unreadable: list[str] = []
        self.allowed: list[str] = []
        self.copies: list[str] = []
        """Names of the file itself and of copies that may be deleted with it."""
        self.blind = False
        """A watched directory, or what is known of the asset, could not be read: not finding it proves nothing."""

    def findings(self) -> Iterator[Finding]:
        """Every name and every copy that is found."""
        try:
            by_content = self._world.recognition.knows(self._terms.asset)
        except AnalysisFault as error:
            self._cannot(str(error), blind=True)
            by_content = False
        walks = (self._walk([(root, root in self._own)]) for root in self._roots)
        for path, status, own in chain(chain.from_iterable(walks), self._moved_meanwhile()):
            self.files += 1
            yield from self._judge(path, status, by_content, own)
        yield from self._in_pieces()

    def _moved_meanwhile(self) -> Iterator[tuple[str, os.stat_result, bool]]:
        """What was put, while others were looked at, into directories that had been looked at already.

        INVARIANT: a rename changes the directory, and the date of that change cannot be set; so whatever dodges the
        look by moving is met on a further round, unless it moves through all of them.
        """
        for _ in range(MAX_ROUNDS):
            since_ns, seen = self._began_ns, self._folders
            self._began_ns, self._folders = time.time_ns() - TICK_US * 1000, []
            changed = [
                (folder, own)
                for folder, own in seen
                if (status := status_at(folder)) is not None and status.st_ctime_ns >= since_ns
            ]
            if not changed:
                return
            yield from self._walk(changed, since_ns)

    def made(self, path: str) -> Iterator[Finding]:
        """What a released call made of the asset at a path, if it is there still and was not found by the sweep."""
        known = {*self.copies, *self.allowed, *self._paths}
        status = status_at(path)
        if status is None or path in known or not stat.S_ISREG(status.st_mode) or self._is_own_name(path, status):
            return
        if self._world.is_allowed(path, self._terms.kept_at):
            self.allowed.append(path)
            return
        self.copies.append(path)
        yield from self._copy(path, status, "a call made it of the model")

    def unnamed(self, found: Mapping[str, str]) -> Iterator[Finding]:
        """The copies that processes keep in files without a name, such as those in memory; whole ones only.

        Args:
            found: inode -> where it can be opened.
        """
        for place in found.values():
            process = place.split("/")[2]
            try:
                if os.stat(place).st_size not in self._sizes:
                    continue
                # The place is a link of the kernel's to a file that has no name, and has to be followed.
                with open(os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
                    self.compared += 1
                    same = digest_of(stream) in self._digests
            except FileNotFoundError:
                continue  # it was closed
            except OSError as error:
                self._cannot(f"{place}: {error.strerror}")
                continue
            if same:
                says = f"process {process} keeps a copy in a file without a name"
                yield Finding(kind="held", says=says, path=f"/proc/{process}")

    def _is_own_name(self, path: str, status: os.stat_result) -> bool:
        pinned = self._inodes.get(inode_of(status))
        return pinned is not None and is_file(pinned, path, status)

    @property
    def places(self) -> tuple[str, ...]:
        """The directories that are swept."""
        return self._roots

    def coverage(self, processes: int, proven: int, uptime: tuple[str, int]) -> Coverage:
        """How far it has looked.

        Args:
            processes: how many processes were looked at.
            proven: of how many files the filesystem says that nothing is left.
            uptime: id of the boot, and the time since then in microseconds.
        """
        return Coverage(
            t_us=self._now_us,
            roots=len(self._roots),
            files=self.files,
            compared=self.compared,
            processes=processes,
            unreadable=tuple(shortened(line, MAX_PLACE_CHARS) for line in self.unreadable[:MAX_UNREADABLE]),
            unreadable_more=max(0, len(self.unreadable) - MAX_UNREADABLE),
            places=tuple(shortened(root, MAX_PLACE_CHARS) for root in self._roots[:MAX_PLACES]),
            proven=proven,
            boot=uptime[0],
            boot_us=uptime[1],
        )

    def _cannot(self, says: str, *, blind: bool = False) -> None:
        self.unreadable.append(says)
        self.blind = self.blind or blind

    def _walk(self, folders: list[tuple[str, bool]], since_ns: int = 0) -> Iterator[tuple[str, os.stat_result, bool]]:
        """Every regular file below some directories, and whether it is the guard's own.

        Args:
            folders: the directories, and whether they are; one may be a file.
            since_ns: what was not changed since then is left out, in nanoseconds since 1970.
        """
        waiting, first = list(folders), {folder for folder, _ in folders}
        while waiting:
            folder, own = waiting.pop()
            self._folders.append((folder, own))
            try:
                with os.scandir(folder) as listing:
                    entries = list(listing)
            except FileNotFoundError:
                continue  # it went while others were looked at
            except NotADirectoryError:
                yield folder, os.lstat(folder), own
                continue
            except OSError as error:
                self._cannot(f"{folder}: {error.strerror}", blind=folder in first or self._is_new(folder))
                continue
            self._entries += len(entries)
            if self._entries > MAX_ENTRIES:
                self._cannot(f"{folder}: not looked at, there are more than {MAX_ENTRIES} entries", blind=True)
                return
            for entry in entries:
                ours = own or entry.path in self._own
                if entry.is_dir(follow_symlinks=False):
                    if entry.path not in _KERNEL and (not since_ns or _changed(entry.path, since_ns)):
                        waiting.append((entry.path, ours))
                elif (found := self._status(entry)) is not None and found.st_ctime_ns >= since_ns:
                    yield entry.path, found, ours

    def _is_new(self, path: str) -> bool:
        """Whether something was changed since the deletion was ordered, by the one date that nobody can set."""
        status = status_at(path)
        return status is None or status.st_ctime_ns // 1000 >= self._terms.opened_us - TICK_US

    def _could_be(self, status: os.stat_result) -> bool:
        since = status.st_ctime_ns // 1000 >= self._terms.opened_us - TICK_US
        return since and (status.st_size in self._sizes or status.st_size >= MIN_HELD_BYTES)

    def _status(self, entry: os.DirEntry[str]) -> os.stat_result | None:
        """The status of a regular file; None for anything else."""
        try:
            return entry.stat(follow_symlinks=False) if entry.is_file(follow_symlinks=False) else None
        except FileNotFoundError:
            return None
        except OSError as error:
            self._cannot(f"{entry.path}: {error.strerror}")
            return None

    def _judge(self, path: str, status: os.stat_result, by_content: bool, own: bool) -> Iterator[Finding]:
        """What one file is. The guard's own, which hold what the asset is known by, are compared as a whole only."""
        pinned = self._inodes.get(inode_of(status))
        if pinned is not None and is_file(pinned, path, status):
            if path not in self._paths:
                self.copies.append(path)
                kind, says = _another_name(pinned, path, self._linked)
                yield Finding(kind=kind, says=says, path=path)
            return
        try:
            why = self._why_copy(path, status, by_content and not own)
        except OSError as error:
            # INVARIANT: what nobody lets the guard read, and could be it, keeps the deletion from being proven.
            self._cannot(f"{path}: {error.strerror or error}", blind=self._could_be(status))
            return
        except AnalysisFault as error:
            self._cannot(f"{path}: {error}", blind=True)
            return
        if not why:
            return
        if self._world.is_allowed(path, self._terms.kept_at):
            self.allowed.append(path)
            return
        self.copies.append(path)
        yield from self._copy(path, status, why)

    def _why_copy(self, path: str, status: os.stat_result, by_content: bool) -> str:
        size = status.st_size
        exact = size in self._sizes
        pieces = by_content and size >= MIN_PIECE_BYTES and not _is_document(path, size)
        held = pieces and size >= MIN_HELD_BYTES
        if not exact and not pieces:
            return ""
        if size > self._left:
            self._cannot(f"{path}: not compared, `obligations.compare_bytes` is used up", blind=True)
            return ""
        self.compared += 1
        if exact:
            self._left -= size
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
                if digest_of(stream) in self._digests:
                    return "same content"
        if not pieces:
            return ""
        self._left -= size
        why = self._world.recognition.held_by(path, self._terms.asset) if held else ""
        found = {} if why else self._world.recognition.pieces_in(path, self._terms.asset)
        for number, (shared, enough) in found.items():
            self._shared[number] = self._shared.get(number, 0) + shared
            self._enough[number] = enough
        if found:
            self._pieces.append((path, status))
        return why

    def _in_pieces(self) -> Iterator[Finding]:
        """Files none of which holds enough of the asset to tell, and which together do."""
        if not any(shared >= self._enough[number] for number, shared in self._shared.items()):
            return
        found = [
            (path, status) for path, status in self._pieces if not self._world.is_allowed(path, self._terms.kept_at)
        ]
        self.copies.extend(path for path, _ in found)
        for path, status in found[:MAX_PIECES]:
            yield from self._copy(path, status, f"one of {len(found)} files that hold pieces of it")

    def _copy(self, path: str, status: os.stat_result, why: str) -> Iterator[Finding]:
        born = birth_ns(path)
        # No call sets the time of birth; where there is none, that of the last change is the latest it can have been.
        made_us = (status.st_ctime_ns if born is None else born) // 1000
        before = path in self._before or made_us < self._terms.opened_us - TICK_US
        says = f"`{path}` is a copy, made {'before' if before else 'after'} the deletion was ordered: {why}"
        yield Finding(kind="copied_before" if before else "copied_during", says=says, path=path)
        forged = false_date(path, found_at(path, status))
        if forged is not None and status.st_mtime_ns // 1000 not in {file.mtime_us for file in self._inodes.values()}:
            yield Finding(kind="retimestamped", says=f"the copy `{path}` was given a date: {forged}", path=path)


def _changed(path: str, since_ns: int) -> bool:
    status = status_at(path)
    return status is not None and status.st_ctime_ns >= since_ns


def _another_name(pinned: Pinned, path: str, linked: Collection[str]) -> tuple[FindingKind, str]:
    try:
        there = inode_of(os.lstat(pinned.path)) == pinned.inode
    except OSError:
        there = False
    if there or pinned.links > 1 or pinned.path in linked:
        return "hardlinked", f"`{path}` is another name of `{pinned.path}`"
    return "moved", f"`{pinned.path}` was not deleted but is now `{path}`"


def _is_document(path: str, size: int) -> bool:
    """Whether a file is about weights by its name, and small enough to be: a name makes no document of weights."""
    return size <= MAX_DOCUMENT_BYTES and is_beside_weights(path)


def _tells(file: Pinned) -> bool:
    """Whether a file with the same content is a copy: what stands beside weights stands beside others too."""
    return file.size >= MIN_COPY_BYTES and not _is_document(file.path, file.size)
