"""What was made from assets, known to every later session and agent on this machine: by path and by inode.

A file that a released call makes of an asset is a copy of it for good: an archive, a part, an encoding, an encryption,
a merge. Facts are only ever added. Not concerned with content: `identity` is.
Blind spot: a file that an unguarded process makes of a derived one and gives another name has neither.
"""

from __future__ import annotations

import fnmatch
import glob
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from guardrail.assets._birth import birth_ns
from guardrail.assets._places import Place, walk_files
from guardrail.errors import AnalysisFault, ConfigError
from guardrail.model import Effect
from guardrail.storage import StateFile, remedy, transaction

if TYPE_CHECKING:
    import sqlite3

MAX_DERIVED: Final = 50_000
"""Most names that are kept one by one; of further ones their directory counts as a whole."""

MAX_KEPT: Final = 2 * MAX_DERIVED
"""Most facts; at the bound a call that makes another is not released."""

MAX_PENDING: Final = 16
"""Most new files that every decision looks for, to know them by their inode: the newest."""

MAX_LATE: Final = 8
"""Most of the older ones that it looks for besides, in turn."""

MAX_FILES: Final = 1_000
"""Most files of one derived directory that are known by their inode."""

TOLERANCE_NS: Final = 20_000_000
"""How far the clocks of a filesystem and of this process may be apart, in nanoseconds."""

BUSY_SECONDS: Final = 2.0
"""Longest wait for another process that writes, in seconds."""

TAKING: Final = frozenset({"read", "copy", "link", "rename", "net_send", "api_copy", "mount", "mention", "exec_opaque"})
"""Ops by which what is in a derived file gets elsewhere; what is made may be unmade by whoever likes."""

_ARRIVING: Final = frozenset({"copy", "rename", "link"})
_LABELLING: Final = frozenset({"weights", "checkpoint", "adapter"})

_SCHEMA: Final = """
create table if not exists derived (id integer primary key, kind text not null, place text not null,
    asset text not null, op text not null, at integer not null, unique (kind, place, asset));
create table if not exists inodes (id integer primary key, dev integer not null, ino integer not null,
    birth integer not null, size integer not null, ctime integer not null, place text not null, asset text not null,
    unique (dev, ino, birth, asset));
"""


_Where = tuple[str, str]
"""A kind of name, `path` or `pattern`, and the name."""

_Assets = dict[str, None]
"""Ids of assets, each once, in the order in which they were noted: a merge is made of several."""


class _Inode(NamedTuple):
    """A derived file as it was when it was first seen; `birth` is -1 where the filesystem does not say."""

    birth: int
    size: int
    ctime: int
    asset: str


class Lineage:
    """The files that were made from assets.

    Args:
        path: where they are kept; None keeps them in memory.
        sole: nobody else writes there as long as this is open, so that it need not be asked whether anybody did.
        readonly: what is there counts, and nothing is written: what is noted on top of it is kept in memory.

    Raises:
        ConfigError: if it cannot be used.
    """

    def __init__(self, path: Path | None = None, *, sole: bool = False, readonly: bool = False) -> None:
        self._path = path
        self._sole = sole
        self._readonly = readonly
        there = path is not None and (not readonly or path.exists())
        self._file = StateFile(path, busy=BUSY_SECONDS, readonly=readonly) if path is not None and there else None
        self._lock = self._file.lock if self._file is not None else threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._closed = False
        self._seen = (0, 0)
        self._version = -1
        self._paths: dict[str, _Assets] = {}
        self._patterns: dict[str, dict[str, _Assets]] = {}  # by the directory that they begin in
        self._inodes: dict[tuple[int, int], list[_Inode]] = {}
        self._above: dict[str, dict[str, None]] = {}
        self._pending: dict[_Where, tuple[_Assets, int]] = {}
        self._late: dict[_Where, tuple[_Assets, int]] = {}
        if self._file is None:
            return
        import sqlite3

        try:
            if not readonly:
                self._file.create()
                self._connection(self._file).executescript(_SCHEMA)
            self._take_in(self._file)
        except (OSError, sqlite3.Error, AnalysisFault) as error:
            self.close()
            mend = remedy(error, "which files were made from assets")
            raise ConfigError(f"the lineage `{path}` cannot be opened: {mend}") from None

    def __len__(self) -> int:
        return len(self._paths) + sum(len(known) for known in self._patterns.values())

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()

    # -- asking

    @property
    def waiting(self) -> bool:
        """Whether a released call may have made files that were not seen yet."""
        return bool(self._pending or self._late)

    @property
    def any(self) -> bool:
        """Whether anything is known to be made from an asset.

        Raises:
            AnalysisFault: if that cannot be told because the file cannot be read.
        """
        with self._lock:
            self._refresh()
            return bool(self._paths or self._patterns)

    def assets_of(self, place: Place) -> Sequence[str]:
        """The assets that what is at a place was made from; a place at which nothing is yet is known by its name.

        Raises:
            AnalysisFault: if that cannot be told because the file cannot be read.
        """
        with self._lock:
            self._refresh()
            if not self._paths and not self._patterns:
                return ()
            if place.dev is not None and place.ino is not None and not place.directory:
                known = self._inodes.get((place.dev, place.ino), ())
                if found := tuple(dict.fromkeys(one.asset for one in known if _is_same(one, place))):
                    return found
            return self._by_name(place.real)

    def below(self, real: str) -> Sequence[str]:
        """The assets of which something that was made from them lies below a directory."""
        with self._lock:
            self._refresh()
            return tuple(self._above.get(real.rstrip("/") or "/", ()))

    def made_of(self, asset_id: str) -> Sequence[str]:
        """Paths at which something was made from an asset, whether or not it is there still.

        Raises:
            AnalysisFault: if that cannot be told because the file cannot be read.
        """
        with self._lock:
            self._refresh()
            return tuple(path for path, assets in self._paths.items() if asset_id in assets)

    def named_below(self, real: str, name: str) -> Sequence[str]:
        """The assets of which something was made below a directory, of which a file could have such a name.

        Args:
            real: the directory.
            name: the name, which may hold `*`, `?` and `[`.
        """
        head = f"{real.rstrip('/')}/"
        with self._lock:
            self._refresh()
            if (real.rstrip("/") or "/") not in self._above:
                return ()
            found = [
                asset
                for path, assets in self._paths.items()
                if path.startswith(head) and (fnmatch.fnmatchcase(os.path.basename(path), name) or os.path.isdir(path))
                for asset in assets
            ]
            for folder, patterns in self._patterns.items():
                if f"{folder.rstrip('/')}/".startswith(head):
                    found += itertools.chain.from_iterable(patterns.values())
        return tuple(dict.fromkeys(found))

    def _by_name(self, real: str) -> Sequence[str]:
        """What is known of a path, else of what its name may be one of, else of the directory that it lies in."""
        path = real
        while path:
            if path in self._paths:
                return tuple(self._paths[path])
            folder = path.rpartition("/")[0]
            patterns = self._patterns.get(folder or "/", {}).items()
            if found := [assets for pattern, assets in patterns if fnmatch.fnmatchcase(real, pattern)]:
                return tuple(dict.fromkeys(itertools.chain.from_iterable(found)))
            path = folder
        return ()

    # -- noting

    def released(self, effects: Sequence[Effect], class_of: Callable[[str], str | None]) -> None:
        """Note what a released call makes from assets, before it runs.

        Args:
            effects: what it would do, resolved.
            class_of: asset id -> its class.

        Raises:
            AnalysisFault: if it cannot be kept: then the call must not run.
        """
        facts = list(dict.fromkeys(derived(effects, class_of)))
        if not facts:
            return
        now = time.time_ns()
        with self._lock:
            self._refresh()
            kept: list[tuple[str, str, str, str]] = []
            for kind, place, asset, op in facts:
                if len(self) + len(kept) >= MAX_DERIVED:
                    kind, place = "path", os.path.dirname(place.partition("*")[0]) or "/"
                if kind != "path" or asset not in self._paths.get(place, ()):
                    kept.append((kind, place, asset, op))
                self._await((kind, place), asset, now)
            if len(self) + len(kept) > MAX_KEPT:
                raise AnalysisFault(f"more than {MAX_KEPT} files are known to be made from assets: mend `{self._path}`")
            self._write(
                "insert or ignore into derived (kind, place, asset, op, at) values (?, ?, ?, ?, ?)",
                [(*fact, now // 1000) for fact in kept],
            )
            for kind, place, asset, _ in kept:
                self._take(kind, place, asset)

    def settle(self) -> None:
        """Look for the files that released calls have made, and know them by their inode from now on.

        Raises:
            AnalysisFault: if what is found cannot be kept.
        """
        with self._lock:
            rows: list[tuple[Any, ...]] = []
            seen: list[_Where] = []
            for where, (assets, since) in self._looked_for():
                made = list(_made(*where, since))
                if made:
                    seen.append(where)
                rows += [(*identity, name, asset) for name, identity in made for asset in assets]
            if not rows:
                return
            self._write(
                "insert or ignore into inodes (dev, ino, birth, size, ctime, place, asset) "
                "values (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            # INVARIANT: what could not be kept is looked for again.
            for where in seen:
                self._forget(where)
            for dev, ino, birth, size, ctime, _, asset in rows:
                self._take_inode(dev, ino, _Inode(birth, size, ctime, asset))

    def _await(self, where: _Where, asset: str, since: int) -> None:
        """Look for what is made at a place from now on; what never comes keeps nothing else from being seen."""
        # What was to come there before may have come, or come still: it is one of both.
        assets, earlier = self._pending.get(where) or self._late.get(where) or ({}, since)
        self._forget(where)
        self._pending[where] = ({**assets, asset: None}, min(earlier, since))
        while len(self._pending) > MAX_PENDING:
            oldest = next(iter(self._pending))
            self._late[oldest] = self._pending.pop(oldest)
        while len(self._late) > MAX_DERIVED:
            del self._late[next(iter(self._late))]

    def _forget(self, where: _Where) -> None:
        self._pending.pop(where, None)
        self._late.pop(where, None)

    def _looked_for(self) -> list[tuple[_Where, tuple[_Assets, int]]]:
        late = list(itertools.islice(self._late.items(), MAX_LATE))
        for where, what in late:
            del self._late[where]
            self._late[where] = what
        return [*self._pending.items(), *late]

    # -- keeping

    def _take(self, kind: str, place: str, asset: str) -> None:
        if kind == "path":
            self._paths.setdefault(place, {})[asset] = None
            folder = place
        else:
            folder = os.path.dirname(place.partition("*")[0]) or "/"
            self._patterns.setdefault(folder, {}).setdefault(place, {})[asset] = None
        while folder:
            self._above.setdefault(folder, {})[asset] = None
            folder = folder.rpartition("/")[0]

    def _take_inode(self, dev: int, ino: int, inode: _Inode) -> None:
        known = self._inodes.setdefault((dev, ino), [])
        if inode not in known:
            known.append(inode)

    def _refresh(self) -> None:
        """Take in what other processes have noted.

        Raises:
            AnalysisFault: if that cannot be told.
        """
        if self._closed:
            raise AnalysisFault("what was made from assets cannot be read: it is closed")
        if self._file is not None and not self._sole:
            self._take_in(self._file)

    def _take_in(self, file: StateFile) -> None:
        import sqlite3

        try:
            db = self._connection(file)
            version: int = db.execute("pragma data_version").fetchone()[0]
            if version == self._version:
                return
            derived, inodes = self._seen
            query = "select id, kind, place, asset, at from derived where id > ? order by id"
            for number, kind, place, asset, at in db.execute(query, (derived,)).fetchall():
                self._take(kind, place, asset)
                derived = number
                self._await((kind, place), asset, at * 1000)
            query = "select id, dev, ino, birth, size, ctime, place, asset from inodes where id > ? order by id"
            for number, dev, ino, birth, size, ctime, place, asset in db.execute(query, (inodes,)).fetchall():
                self._take_inode(_unsigned(dev), _unsigned(ino), _Inode(birth, size, ctime, asset))
                self._forget(("path", place))
                inodes = number
            self._seen, self._version = (derived, inodes), version
        except sqlite3.Error as error:
            raise AnalysisFault(f"what was made from assets cannot be read: {error}") from None

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if self._file is None or self._readonly or not rows:
            return
        import sqlite3

        try:
            with transaction(self._connection(self._file)) as db:
                db.executemany(statement, [tuple(_signed(value) for value in row) for row in rows])
        except sqlite3.Error as error:
            raise AnalysisFault(f"what is made from assets cannot be kept: {error}") from None

    def _connection(self, file: StateFile) -> sqlite3.Connection:
        db = file.connection()
        if db is not self._db:
            # A connection counts the changes of others from its own beginning.
            self._db, self._version = db, -1
        return db


def derived(effects: Sequence[Effect], class_of: Callable[[str], str | None]) -> Iterator[tuple[str, str, str, str]]:
    """What effects make of assets: `path` or `pattern`, the place, the asset and the op.

    Args:
        effects: what a call would do, resolved.
        class_of: asset id -> its class.
    """
    for effect in effects:
        asset, target = effect.resource.asset, effect.target
        if asset is None or target is None or target.asset is not None or effect.op not in _ARRIVING:
            continue
        if class_of(asset) not in _LABELLING:
            continue
        if target.pattern is not None:
            # Of a name of which nothing is known only the session knows.
            if target.pattern.startswith("/") and "**" not in target.pattern:
                yield "pattern", target.pattern, asset, effect.op
        elif target.real is not None and target.real != "/":
            yield "path", target.real, asset, effect.op


def _made(kind: str, place: str, since: int) -> Iterator[tuple[str, tuple[int, int, int, int, int]]]:
    """The files at or below a path, or of a name known in part, that have changed since a time, as they are now."""
    paths = [place] if kind == "path" else itertools.islice(glob.iglob(place, include_hidden=True), MAX_FILES)
    for name, status in itertools.chain.from_iterable(walk_files(path, MAX_FILES) for path in paths):
        if status.st_ctime_ns >= since - TOLERANCE_NS:
            birth = birth_ns(name)
            identity = (status.st_dev, status.st_ino, -1 if birth is None else birth, status.st_size)
            yield name, (*identity, status.st_ctime_ns)


def _is_same(known: _Inode, place: Place) -> bool:
    """The same file, and not another that was given the number of one that is gone."""
    if known.birth != -1:
        birth = birth_ns(place.real)
        if birth is not None:
            return birth == known.birth
    return known.size == place.size or known.ctime == place.ctime_ns


def _signed(value: Any) -> Any:
    return value - (1 << 64) if isinstance(value, int) and value >= 1 << 63 else value


def _unsigned(value: int) -> int:
    return value + (1 << 64) if value < 0 else value
