"""What a call changed of assets: their files before and after it, by identity, and by content where that differs.

Most files are as they were, which a look at each tells: size, times, inode. Only what differs is read. Its digest from
before is that of the registry, or was worked out beforehand for small files, such as a configuration.

Blind spot: what somebody else changes meanwhile is listed as well; who it was is not known.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

import msgspec

from guardrail.assets._asset import Asset
from guardrail.assets._inventory import LOOKING
from guardrail.assets._recognition import Recognition
from guardrail.errors import AnalysisFault
from guardrail.model import Effect

MAX_FILES: Final = 4096
"""Most files of the assets of one call that are looked at; of an asset beyond it nothing is said but that."""

MAX_BEFORE_BYTES: Final = 256 * 1024
"""Largest file that is digested before a call runs, if the registry does not know it, in bytes."""

MAX_ROOM_BYTES: Final = 16 * 1024 * 1024
"""Most that is digested before one call runs, in bytes."""

MAX_AFTER_BYTES: Final = 64 * 1024 * 1024
"""Largest changed file that is digested after a call, in bytes."""

_CHUNK: Final = 1024 * 1024

_Stamp = tuple[int, ...]
_MODE, _SIZE = 2, 5  # of a stamp


Word = Literal["created", "deleted", "content", "attributes", "unknown"]
"""In what way a file is not as it was."""


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of an asset that is not as it was.

    Args:
        asset: id of the asset.
        path: the file.
        change: `attributes` is the same content with other times, mode, owner or inode; `unknown` stands for the whole
            asset, where it could not be looked at.
        before: SHA-256 of what was there, in hexadecimal, if it is known.
        after: SHA-256 of what is there now, if it was read.
    """

    asset: str
    path: str
    change: Word
    before: str | None = None
    after: str | None = None


class _File(msgspec.Struct, frozen=True):
    stamp: _Stamp
    digest: str | None


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """Assets as they lay before a call.

    Args:
        assets: those that were looked at.
        files: what was found of each, by id and path; None for one that could not be looked at.
    """

    assets: tuple[Asset, ...] = ()
    files: Mapping[str, Mapping[str, _File] | None] = {}


def may_change(effect: Effect) -> bool:
    """Whether an effect may leave its asset otherwise than it was: it does more than look, or nobody knows."""
    return effect.op not in LOOKING or effect.precision == "opaque"


def before(assets: Iterable[Asset], recognition: Recognition) -> Before:
    """Look at assets before a call.

    Args:
        assets: that the call may change.
        recognition: knows digests of registered files that have not changed since.
    """
    looked, left, room = tuple(assets), MAX_FILES, MAX_ROOM_BYTES
    files: dict[str, dict[str, _File] | None] = {}
    for asset in looked:
        stamps = _stamps(asset, left)
        if stamps is None:
            files[asset.id] = None
            continue
        left -= len(stamps)
        known = _registered(asset.id, recognition)
        found = files[asset.id] = {}
        for path, stamp in stamps.items():
            digest = known.get(path)
            if digest is None and (digest := _digest(path, stamp, min(room, MAX_BEFORE_BYTES))) is not None:
                room -= stamp[_SIZE]
            found[path] = _File(stamp, digest)
    return Before(assets=looked, files=files)


def changes(seen: Before) -> tuple[Change, ...]:
    """What is not as it was, in the order of assets and paths.

    Args:
        seen: what was there before the call.
    """
    return tuple(change for asset in seen.assets for change in _of(asset, seen.files.get(asset.id)))


def _of(asset: Asset, old: Mapping[str, _File] | None) -> Iterator[Change]:
    now = None if old is None else _stamps(asset, MAX_FILES)
    if old is None or now is None:
        yield Change(asset=asset.id, path=asset.roots[0] if asset.roots else "", change="unknown")
        return
    for path in sorted(old.keys() | now.keys()):
        was, stamp = old.get(path), now.get(path)
        if was is not None and was.stamp == stamp:
            continue
        first = None if was is None else was.digest
        last = None if stamp is None else _digest(path, stamp, MAX_AFTER_BYTES)
        same = first is not None and first == last
        word: Word = "created" if was is None else "deleted" if stamp is None else "attributes" if same else "content"
        yield Change(asset=asset.id, path=path, change=word, before=first, after=last)


def _registered(asset_id: str, recognition: Recognition) -> dict[str, str]:
    try:
        return {path: sha for path, (sha, _) in recognition.digests(asset_id).items()}
    except AnalysisFault:
        return {}  # what was there is not known then, which is what is said


def _stamps(asset: Asset, most: int) -> dict[str, _Stamp] | None:
    """What lies at an asset's places; None if that is too much, or may not be looked at."""
    found: dict[str, _Stamp] = {}
    try:
        for root in asset.roots:
            for path, status in _walk(root):
                if len(found) >= most:
                    return None
                found[path] = (
                    status.st_dev, status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_size,
                    status.st_mtime_ns, status.st_ctime_ns,
                )  # fmt: skip
    except OSError:
        return None
    return found


def _walk(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every file at or beneath a path; directories are what they hold, and links what they are."""
    waiting = [path]
    while waiting:
        at = waiting.pop()
        try:
            status = os.lstat(at)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISDIR(status.st_mode):
            waiting += [f"{at}/{name}" for name in os.listdir(at)]
        else:
            yield at, status


def _digest(path: str, stamp: _Stamp, most: int) -> str | None:
    """SHA-256 of a file; None if it is too large, no file, or cannot be read."""
    if not stat.S_ISREG(stamp[_MODE]) or stamp[_SIZE] > most:
        return None
    digest, left = hashlib.sha256(), most
    try:
        # What has become a FIFO meanwhile keeps nobody waiting.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            while left > 0 and (chunk := file.read(min(_CHUNK, left))):
                digest.update(chunk)
                left -= len(chunk)
    except OSError:
        return None
    return digest.hexdigest()
