"""Fingerprints of the registered assets on disk, found by digest, tensor, anchor or shape in constant time each.

Not evidence: it can be made again from the assets; the trail says what was decided by it. It tells who asks whether
some bytes are a private model, so only its owner may read it.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np

from guardrail.assets.identity._claims import Claim
from guardrail.assets.identity._fingerprint import Fingerprint
from guardrail.assets.identity._sketch import Sketch
from guardrail.errors import ConfigError
from guardrail.storage import remedy, transaction

KEY_BYTES: Final = 32
"""Size of the deployment's secret, in bytes."""

MAX_REMEMBERED: Final = 100_000
"""Most files beside the assets whose fingerprint is remembered; the longest unused go first."""

MAX_SAME_SHAPE: Final = 4_096
"""Most sketches of one shape that a file is compared with."""

_PREFIX_BYTES: Final = 8
_LOOKUP: Final = 500

_SCHEMA: Final = """
create table if not exists meta (name text primary key, value blob) without rowid;
create table if not exists files (
    id integer primary key, asset text not null, path text not null unique, state blob not null, size integer not null,
    sha256 blob not null, blake3 blob not null, windows blob not null, data blob not null);
drop index if exists files_blake3;
create index if not exists files_sha256 on files (sha256);
create index if not exists files_size on files (size);
create index if not exists files_asset on files (asset);
create index if not exists files_state on files (state);
create table if not exists tensors (digest integer, file integer, size integer, primary key (digest, file))
    without rowid;
create table if not exists samples (digest integer, file integer, primary key (digest, file)) without rowid;
create table if not exists anchors (id integer, file integer, primary key (id, file)) without rowid;
create table if not exists sketches (rows integer, columns integer, file integer, number integer, data blob,
    primary key (rows, columns, file, number)) without rowid;
create table if not exists claims (digest blob, algorithm text, asset text, source text, name text,
    primary key (digest, algorithm, asset, name)) without rowid;
create table if not exists remembered (state blob primary key, used integer not null, data blob not null)
    without rowid;
"""

_fingerprints: Final = msgspec.msgpack.Decoder(Fingerprint)
_sketches: Final = msgspec.msgpack.Decoder(Sketch)


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A registered file.

    Args:
        number: its number in the registry.
        asset: the asset's id.
        path: where it lay when it was registered.
        fingerprint: what it is known by.
    """

    number: int
    asset: str
    path: str
    fingerprint: Fingerprint


def state_of(status: os.stat_result) -> bytes:
    """What changes whenever a file's content may have: an agent can set mtime, and not ctime."""
    parts = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return b"".join(part.to_bytes(8, "little", signed=True) for part in _wrapped(parts))


def _wrapped(parts: Sequence[int]) -> Iterator[int]:
    for part in parts:
        yield part - (1 << 64) if part >= 1 << 63 else part


class Registry:
    """The fingerprints of one deployment.

    Args:
        path: the database; it is made if it is not there.

    Raises:
        ConfigError: if it cannot be opened, or others may read it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            mode = os.fstat(fd).st_mode
            os.close(fd)
            if mode & 0o077:
                raise ConfigError(f"others may read the registry `{path}`: run `chmod 600 {path}`")
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._end = weakref.finalize(self, self._db.close)
            self._db.executescript("pragma journal_mode = wal; pragma synchronous = normal;" + _SCHEMA)
            self.key = self._secret()
        except (OSError, sqlite3.Error) as error:
            mend = remedy(error, "what assets are known by, until `guardrail assets register`,")
            raise ConfigError(f"the registry `{path}` cannot be opened: {mend}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._end()

    def _secret(self) -> bytes:
        self._db.execute("insert or ignore into meta values ('key', ?)", (secrets.token_bytes(KEY_BYTES),))
        (key,) = self._db.execute("select value from meta where name = 'key'").fetchone()
        return bytes(key)

    # -- what is registered

    def put(self, asset: str, path: str, state: bytes, found: Fingerprint) -> None:
        """Register a file of an asset, in place of what was registered at its path."""
        with transaction(self._db):
            self._forget("path = ?", path)
            row = (asset, path, state, found.size, found.sha256, found.blake3, found.windows)
            cursor = self._db.execute(
                "insert into files (asset, path, state, size, sha256, blake3, windows, data) "
                "values (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, msgspec.msgpack.encode(found)),
            )
            number = cursor.lastrowid
            self._db.executemany(
                "insert or ignore into tensors values (?, ?, ?)",
                ((_prefix(digest), number, size) for digest, size in found.tensors.items()),
            )
            self._db.executemany(
                "insert or ignore into samples values (?, ?)", ((_prefix(digest), number) for digest in found.samples)
            )
            ids = np.frombuffer(found.anchors, "<i8").tolist()
            self._db.executemany("insert or ignore into anchors values (?, ?)", ((one, number) for one in ids))
            self._db.executemany(
                "insert into sketches values (?, ?, ?, ?, ?)",
                ((*s.shape, number, i, msgspec.msgpack.encode(s)) for i, s in enumerate(found.sketches)),
            )

    def drop(self, asset: str) -> None:
        """Forget all files of an asset, and all that is claimed of them."""
        with transaction(self._db):
            self._db.execute("delete from claims where asset = ?", (asset,))
            self._forget("asset = ?", asset)

    def _forget(self, where: str, value: str) -> None:
        for (number,) in self._db.execute(f"select id from files where {where}", (value,)).fetchall():  # noqa: S608
            for table in ("tensors", "samples", "anchors", "sketches"):
                self._db.execute(f"delete from {table} where file = ?", (number,))  # noqa: S608
            self._db.execute("delete from files where id = ?", (number,))

    def files(self, asset: str | None = None) -> Iterator[tuple[str, str, int]]:
        """Asset, path and size of each registered file."""
        where, values = ("where asset = ?", (asset,)) if asset is not None else ("", ())
        yield from self._db.execute(f"select asset, path, size from files {where} order by asset, path", values)  # noqa: S608

    @property
    def empty(self) -> bool:
        """Whether neither a file nor a claim is registered, so that no content is known."""
        query = "select exists (select 1 from files) or exists (select 1 from claims)"
        (some,) = self._db.execute(query).fetchone()
        return not some

    def dates(self, asset: str) -> frozenset[int]:
        """The dates that the files of an asset had when they were registered, in nanoseconds since 1970."""
        rows = self._db.execute("select state from files where asset = ?", (asset,)).fetchall()
        return frozenset(int.from_bytes(state[24:32], "little", signed=True) for (state,) in rows)

    def digests(self, asset: str) -> dict[str, tuple[bytes, str, str]]:
        """Path of each registered file of an asset -> its state then, SHA-256 and BLAKE3 in hexadecimal."""
        rows = self._db.execute("select path, state, sha256, blake3 from files where asset = ?", (asset,)).fetchall()
        return {path: (bytes(state), sha256.hex(), blake3.hex()) for path, state, sha256, blake3 in rows}

    def is_current(self, path: str, state: bytes) -> bool:
        """Whether a file is registered as it is now."""
        row = self._db.execute("select 1 from files where path = ? and state = ?", (path, state)).fetchone()
        return row is not None

    def get(self, number: int) -> Known | None:
        """One registered file."""
        row = self._db.execute("select asset, path, data from files where id = ?", (number,)).fetchone()
        if row is None:
            return None
        return Known(number=number, asset=row[0], path=row[1], fingerprint=_fingerprints.decode(row[2]))

    def asset_of(self, number: int) -> str | None:
        """The asset that a registered file is of."""
        row = self._db.execute("select asset from files where id = ?", (number,)).fetchone()
        return None if row is None else str(row[0])

    @property
    def version(self) -> int:
        """Changes whenever another process has registered something."""
        (version,) = self._db.execute("pragma data_version").fetchone()
        return int(version)

    def claim(self, asset: str, source: str, claims: Sequence[Claim]) -> None:
        """Note what a source says of an asset's files, in place of what it said before."""
        with transaction(self._db):
            self._db.execute("delete from claims where asset = ? and source = ?", (asset, source))
            self._db.executemany(
                "insert or replace into claims values (?, ?, ?, ?, ?)",
                ((one.digest, one.algorithm, asset, source, one.name) for one in claims),
            )

    def of_claims(self, found: Fingerprint) -> list[tuple[str, str, str]]:
        """Asset, source and name of each claim that a content bears out."""
        query = "select asset, source, name from claims where digest = ? and algorithm = ?"
        digests = ((found.sha256, "sha256"), (found.blake3, "blake3"))
        return [row for pair in digests for row in self._db.execute(query, pair).fetchall()]

    # -- finding

    def of_digest(self, found: Fingerprint) -> list[int]:
        """Registered files with the same content."""
        return [number for (number,) in self._db.execute("select id from files where sha256 = ?", (found.sha256,))]

    def has_size(self, size: int) -> bool:
        """Whether any registered file has this size: the first question, and for most files the last."""
        return self._db.execute("select 1 from files where size = ? limit 1", (size,)).fetchone() is not None

    def of_windows(self, size: int, windows: bytes) -> list[int]:
        """Registered files of this size whose windows are the same."""
        rows = self._db.execute("select id from files where size = ? and windows = ?", (size, windows))
        return [number for (number,) in rows]

    def of_tensors(self, found: Fingerprint) -> dict[int, int]:
        """Registered file -> bytes of the tensors that it has in common with this one."""
        sizes = {_prefix(digest): size for digest, size in found.tensors.items()}
        shared: dict[int, int] = {}
        for some in _batches(list(sizes)):
            query = f"select digest, file from tensors where digest in ({_marks(some)})"  # noqa: S608
            for digest, number in self._db.execute(query, some):
                shared[number] = shared.get(number, 0) + sizes[digest]
        return shared

    def of_samples(self, samples: Sequence[bytes]) -> dict[int, int]:
        """Registered file -> how many of some samples are of its tensors."""
        digests = [_prefix(digest) for digest in samples]
        query = f"select file, count(*) from samples where digest in ({_marks(digests)}) group by file"  # noqa: S608
        return dict(self._db.execute(query, digests).fetchall())

    def of_anchors(self, ids: Sequence[int]) -> dict[int, int]:
        """Registered file -> number of anchors in common, of ids as signed integers."""
        shared: dict[int, int] = {}
        for some in _batches(ids):
            query = f"select file, count(*) from anchors where id in ({_marks(some)}) group by file"  # noqa: S608
            for number, count in self._db.execute(query, some):
                shared[number] = shared.get(number, 0) + count
        return shared

    def of_shape(self, shape: tuple[int, int]) -> Iterator[tuple[int, Sketch]]:
        """Registered sketches of one shape, with the file each is of."""
        query = "select file, data from sketches where rows = ? and columns = ? limit ?"
        for number, data in self._db.execute(query, (*shape, MAX_SAME_SHAPE)):
            yield number, _sketches.decode(data)

    # -- files that are nobody's

    def recall(self, state: bytes) -> Fingerprint | None:
        """The fingerprint of a file that has not changed since it was read."""
        for table in ("files", "remembered"):
            row = self._db.execute(f"select data from {table} where state = ? limit 1", (state,)).fetchone()  # noqa: S608
            if row is not None:
                return _fingerprints.decode(row[0])
        return None

    def remember(self, state: bytes, found: Fingerprint, now: int) -> None:
        """Keep the fingerprint of a file that is no asset's.

        Args:
            state: of the file, from before it was read.
            found: its fingerprint.
            now: the time, in microseconds since 1970.
        """
        with transaction(self._db):
            self._db.execute(
                "insert or replace into remembered values (?, ?, ?)", (state, now, msgspec.msgpack.encode(found))
            )
            self._db.execute(
                "delete from remembered where state in "
                "(select state from remembered order by used desc limit -1 offset ?)",
                (MAX_REMEMBERED,),
            )


def _prefix(digest: bytes) -> int:
    return int.from_bytes(digest[:_PREFIX_BYTES], "little", signed=True)


def _batches(values: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(values), _LOOKUP):
        yield list(values[start : start + _LOOKUP])


def _marks(values: Sequence[int]) -> str:
    return ",".join("?" * len(values))
