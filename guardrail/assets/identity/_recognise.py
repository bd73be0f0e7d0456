"""Whether a file that no place and no inode gives away is a registered asset's: cheap enough to ask on every call.

Most files are done with after one comparison of sizes. Of a file that tells where its tensors lie, a few windows in
the largest of them are read; what only a full reading would show is for `match`, which does not hold up a call. A file
that was read as a whole, and has not changed since, is what was found then.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import OrderedDict
from typing import Final, Protocol

from guardrail.assets.identity._fingerprint import sample, windows
from guardrail.assets.identity._formats import HEAD_BYTES, format_of_head
from guardrail.assets.identity._match import match, pieces, proven
from guardrail.assets.identity._registry import Registry, state_of
from guardrail.assets.identity._tensors import Malformed, tensors_of
from guardrail.errors import AnalysisFault

MIN_RECOGNISED_BYTES: Final = 64 * 1024
"""Smallest file that is looked into, in bytes: what is smaller holds no weights worth the name."""

MAX_SAMPLED: Final = 8
"""Most tensors of a file that are sampled: the largest."""

MAX_ANSWERS: Final = 10_000
"""Most answers that are kept; the longest unused goes first."""


class Status(Protocol):
    """What is known of a file before it is opened."""

    @property
    def dev(self) -> int | None: ...
    @property
    def ino(self) -> int | None: ...
    @property
    def size(self) -> int: ...
    @property
    def mtime_ns(self) -> int: ...
    @property
    def ctime_ns(self) -> int: ...


class Recogniser:
    """Tells whose content a file has.

    Args:
        registry: the registered assets; it may grow while this is in use.
    """

    least: Final = MIN_RECOGNISED_BYTES

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._answers: OrderedDict[tuple[int | None, ...], str | None] = OrderedDict()
        self._version = -1
        self._lock = threading.Lock()

    def asset_of(self, path: str, status: Status) -> str | None:
        """The asset that a regular file is a copy or a part of, as far as some windows in it tell.

        Args:
            path: of the file, with all links resolved.
            status: of the file.

        Raises:
            AnalysisFault: if the registry cannot be read; whether the file is an asset's is not known then.
        """
        if status.size < MIN_RECOGNISED_BYTES:
            return None
        # ctime is part of it: an agent can set the dates of a file it changed, and not that one.
        key = (status.dev, status.ino, status.size, status.mtime_ns, status.ctime_ns)
        try:
            with self._lock:
                version = self._registry.version
                if version != self._version:
                    self._answers.clear()
                    self._version = version
                elif key in self._answers:
                    self._answers.move_to_end(key)
                    return self._answers[key]
                answer = self._look(path, status.size)
                self._answers[key] = answer
                while len(self._answers) > MAX_ANSWERS:
                    self._answers.popitem(last=False)
                return answer
        except sqlite3.Error as error:
            raise AnalysisFault(f"the registry of assets cannot be read: {error}") from None

    def dates(self, asset_id: str) -> frozenset[int]:
        """The dates that the files of an asset had when they were registered, in nanoseconds.

        Raises:
            AnalysisFault: if the registry cannot be read.
        """
        try:
            with self._lock:
                return self._registry.dates(asset_id)
        except sqlite3.Error as error:
            raise AnalysisFault(f"the registry of assets cannot be read: {error}") from None

    def digests(self, asset_id: str) -> dict[str, tuple[str, str]]:
        """Path of each file of an asset that is as it was when it was registered -> its SHA-256 and BLAKE3.

        Raises:
            AnalysisFault: if the registry cannot be read.
        """
        try:
            with self._lock:
                known = self._registry.digests(asset_id)
        except sqlite3.Error as error:
            raise AnalysisFault(f"the registry of assets cannot be read: {error}") from None
        return {path: (sha, blake) for path, (state, sha, blake) in known.items() if _state_at(path) == state}

    def pieces_in(self, path: str, asset_id: str) -> dict[int, tuple[int, int]]:
        """How much of each registered file of an asset is in a file that was read, if not enough to tell by itself.

        Args:
            path: of the file.
            asset_id: the asset.

        Returns:
            Registered file, by a number -> anchors in common, and how many would tell.

        Raises:
            AnalysisFault: if the registry cannot be read.
            OSError: if the file cannot be looked at.
        """
        try:
            with self._lock:
                return pieces(path, self._registry, asset_id)
        except sqlite3.Error as error:
            raise AnalysisFault(f"the registry of assets cannot be read: {error}") from None

    def registered(self, asset_id: str) -> dict[str, str]:
        """Path of each file that was registered of an asset, whatever became of it -> its SHA-256.

        Raises:
            AnalysisFault: if the registry cannot be read.
        """
        try:
            with self._lock:
                return {path: sha256 for path, (_, sha256, _) in self._registry.digests(asset_id).items()}
        except sqlite3.Error as error:
            raise AnalysisFault(f"the registry of assets cannot be read: {error}") from None

    def held_by(self, path: str, asset_id: str) -> str:
        """Why a file is a copy of an asset or holds a part of it, by all that can be told; empty if it is none.

        Args:
            path: of a regular file; it is read as a whole, unless it was before and has not changed.
            asset_id: the asset.

        Raises:
            AnalysisFault: if the registry cannot be read.
            OSError: if the file cannot be read.
        """
        try:
            with self._lock:
                found = match(path, self._registry)
        except sqlite3.Error as error:
            raise AnalysisFault(f"the registry of assets cannot be read: {error}") from None
        # What only stems from it may be an honest derivative of the same base: a question, never proof.
        proof = (one for one in found.evidence if one.asset == asset_id and one.level != "sketch")
        return next((one.says for one in proof), "")

    def _look(self, path: str, size: int) -> str | None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None  # it is gone, or whoever asks has seen that this process may not read it
        with open(fd, "rb", buffering=0) as file:
            try:
                if self._registry.has_size(size):
                    for number in self._registry.of_windows(size, windows(fd, size, self._registry.key)):
                        return self._registry.asset_of(number)
                read = self._registry.recall(state_of(os.fstat(fd)))
                if read is not None and (asset := proven(read, self._registry)) is not None:
                    return asset
                kind = format_of_head(os.pread(fd, HEAD_BYTES, 0), size)
                tensors = sorted(tensors_of(file, kind, size), key=lambda tensor: -tensor.size)[:MAX_SAMPLED]
                samples = [sample(fd, tensor, self._registry.key) for tensor in tensors]
            except (OSError, Malformed):
                return None
        shared = self._registry.of_samples(samples)
        if not shared:
            return None
        number = max(shared, key=lambda one: shared[one])
        return self._registry.asset_of(number) if 2 * shared[number] >= len(samples) else None

    def close(self) -> None:
        """Let go of the registry."""
        self._registry.close()


def _state_at(path: str) -> bytes | None:
    try:
        return state_of(os.lstat(path))
    except OSError:
        return None
