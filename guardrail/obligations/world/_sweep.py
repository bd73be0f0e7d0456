"""The sweep: everything below the watched directories is looked at, by inode and by content, and counted.

What has to go may lie there under another name, whole, in part, packed or converted; how much of that is recognised
depends on whether the asset was registered (`guardrail assets register`).
INVARIANT: what was not looked at is named; a sweep that could not see a watched directory says that it cannot tell.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

from guardrail.assets import Asset, Inventory, Lineage, Recognition, birth_ns, false_date, found_at, is_beside_weights
from guardrail.config import Config
from guardrail.errors import AnalysisFault
from guardrail.mandates import Zones
from guardrail.model import Resource
from guardrail.obligations._events import Coverage, Finding, FindingKind, Pinned, Terms
from guardrail.obligations.world._evidence import digest_of, inode_of, is_file, status_at

MIN_COPY_BYTES: Final = 256
"""Smallest file that is taken for a copy because its content is the same, in bytes."""

MIN_HELD_BYTES: Final = 64 * 1024
"""Smallest file that is looked into for a part of an asset, in bytes."""

MAX_ENTRIES: Final = 20_000_000
"""Most directory entries that one sweep looks at."""

MAX_UNREADABLE: Final = 16
"""Most places that are named in the coverage of a sweep; the rest are counted."""

TICK_US: Final = 20_000
"""How far the clock of a filesystem may be behind, in microseconds: it ticks coarsely."""

_KERNEL: Final = ("/proc", "/sys")
"""Where no file lies that anybody could put there."""

_SNAPSHOTS: Final = (".zfs/snapshot", ".snapshot", ".snapshots")
"""Where filesystems show their snapshots, below the directory that they are mounted at."""


class World:
    """What is known of the host: where assets lie, what they are known by, and which directories are watched.

    Args:
        config: names the watched directories and the zones.
        inventory: where the assets lie.
        recognition: what they are known by.
        lineage: what was made from them.
        zones: the zones of the configuration.
    """

    def __init__(
        self, config: Config, inventory: Inventory, recognition: Recognition, lineage: Lineage, zones: Zones
    ) -> None:
        self._config = config
        self._zones = zones
        self.inventory = inventory
        self.recognition = recognition
        self.lineage = lineage

    def roots(self, asset: Asset) -> tuple[str, ...]:
        """The directories in which an asset is looked for, none below another; those that are not there left out."""
        config = self._config
        wanted = [os.path.dirname(root) for root in asset.roots]
        wanted += [str(config.path(root)) for root in config.obligations.roots]
        wanted += [str(config.path(place)) for places in config.zones.values() for place in places if ":" not in place]
        wanted += [str(place) for place in _stores(os.environ)]
        wanted += [f"{_mount_of(root)}/{name}" for root in asset.roots for name in _SNAPSHOTS]
        real = sorted({os.path.realpath(root) for root in wanted if os.path.lexists(root)})
        return tuple(root for root in real if not any(_is_below(root, other) for other in real if other != root))

    def is_allowed(self, path: str, targets: Sequence[str]) -> bool:
        """Whether the order itself lets a copy be at a path."""
        zones = [target.removeprefix("zone:") for target in targets if target.startswith("zone:")]
        inside = set(self._zones.of(Resource(kind="file", path=path, real=path))) if zones else set[str]()
        return bool(inside.intersection(zones)) or any(fnmatchcase(path, target) for target in targets)

    @property
    def compare_bytes(self) -> int:
        """Most bytes that one sweep reads."""
        return self._config.obligations.compare_bytes


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
        for root in self._roots:
            for path, status, own in self._walk(root):
                self.files += 1
                yield from self._judge(path, status, by_content, own)

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

    def _is_own_name(self, path: str, status: os.stat_result) -> bool:
        pinned = self._inodes.get(inode_of(status))
        return pinned is not None and is_file(pinned, path, status)

    def coverage(self, processes: int = 0) -> Coverage:
        """How far it has looked.

        Args:
            processes: how many processes were looked at.
        """
        return Coverage(
            t_us=self._now_us,
            roots=len(self._roots),
            files=self.files,
            compared=self.compared,
            processes=processes,
            unreadable=tuple(line[:200] for line in self.unreadable[:MAX_UNREADABLE]),
            unreadable_more=max(0, len(self.unreadable) - MAX_UNREADABLE),
        )

    def _cannot(self, says: str, *, blind: bool = False) -> None:
        self.unreadable.append(says)
        self.blind = self.blind or blind

    def _walk(self, root: str) -> Iterator[tuple[str, os.stat_result, bool]]:
        """Every regular file below a directory, and whether it is the guard's own."""
        try:
            status = os.lstat(root)
        except OSError as error:
            self._cannot(f"{root}: {error.strerror}", blind=True)
            return
        if not stat.S_ISDIR(status.st_mode):
            yield root, status, root in self._own
            return
        waiting = [(root, root in self._own)]
        while waiting:
            folder, own = waiting.pop()
            try:
                with os.scandir(folder) as listing:
                    entries = list(listing)
            except FileNotFoundError:
                continue  # it went while others were looked at
            except OSError as error:
                self._cannot(f"{folder}: {error.strerror}", blind=folder == root)
                continue
            self._entries += len(entries)
            if self._entries > MAX_ENTRIES:
                self._cannot(f"{folder}: not looked at, there are more than {MAX_ENTRIES} entries", blind=True)
                return
            for entry in entries:
                ours = own or entry.path in self._own
                if entry.is_dir(follow_symlinks=False):
                    if entry.path not in _KERNEL:
                        waiting.append((entry.path, ours))
                elif (found := self._status(entry)) is not None:
                    yield entry.path, found, ours

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
        """What one file is. The guard's own, which nobody else may write, are compared by inode only."""
        pinned = self._inodes.get(inode_of(status))
        if pinned is not None and is_file(pinned, path, status):
            if path not in self._paths:
                self.copies.append(path)
                kind, says = _another_name(pinned, path, self._linked)
                yield Finding(kind=kind, says=says, path=path)
            return
        if own:
            return
        try:
            why = self._why_copy(path, status, by_content)
        except OSError as error:
            self._cannot(f"{path}: {error.strerror or error}")
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
        held = by_content and size >= MIN_HELD_BYTES and not is_beside_weights(path)
        if not exact and not held:
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
        if not held:
            return ""
        self._left -= size
        return self._world.recognition.held_by(path, self._terms.asset)

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


def _another_name(pinned: Pinned, path: str, linked: Collection[str]) -> tuple[FindingKind, str]:
    try:
        there = inode_of(os.lstat(pinned.path)) == pinned.inode
    except OSError:
        there = False
    if there or pinned.links > 1 or pinned.path in linked:
        return "hardlinked", f"`{path}` is another name of `{pinned.path}`"
    return "moved", f"`{pinned.path}` was not deleted but is now `{path}`"


def _tells(file: Pinned) -> bool:
    """Whether a file with the same content is a copy: what stands beside weights stands beside others too."""
    return file.size >= MIN_COPY_BYTES and not is_beside_weights(file.path)


def _stores(environment: Mapping[str, str]) -> Iterator[str]:
    """Where tools keep models under names of their own."""
    home = environment.get("HOME") or os.path.expanduser("~")
    cache = environment.get("XDG_CACHE_HOME") or f"{home}/.cache"
    hub = environment.get("HF_HOME") or f"{cache}/huggingface"
    yield environment.get("HF_HUB_CACHE") or f"{hub}/hub"
    yield environment.get("HF_XET_CACHE") or f"{hub}/xet"
    yield environment.get("OLLAMA_MODELS") or f"{home}/.ollama/models"
    yield environment.get("TORCH_HOME") or f"{cache}/torch"
    yield f"{home}/.lmstudio/models"
    yield f"{home}/.local/share/Trash"


def _mount_of(path: str) -> str:
    while not os.path.ismount(path) and path != "/":
        path = os.path.dirname(path)
    return path.rstrip("/")


def _is_below(path: str, other: str) -> bool:
    return path.startswith(f"{other.rstrip('/')}/")
