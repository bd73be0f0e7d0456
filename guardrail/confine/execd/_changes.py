"""What a tool has changed on trial, found by comparing what it saw with what lies below; new content is kept aside.

The form in which an overlay keeps deletions and replacements does not matter here: both sides are looked at as a tool
would. What could not be done again in the same way is a change with a reason why not.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from guardrail.confine.execd._overlay import Layers

MAX_CHANGES: Final = 1000
"""Most changes that are told of one trial; with more it can only be dropped."""

MAX_DEPTH: Final = 64
"""Deepest directory that is looked into, below the one on trial; what lies deeper can only be dropped."""

CLOCK_SECONDS: Final = 2.0
"""How far the times of a file may lie outside of a trial and still be those of its writing, in seconds."""

_CHUNK: Final = 1024 * 1024
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY: Final = _OPEN | os.O_DIRECTORY
_AS_ANOTHER: Final = stat.S_ISUID | stat.S_ISGID
_LABEL: Final = "security.selinux"
"""The one attribute that a file has without anybody's doing."""


def changes(layers: list[Layers], stage: int, began: float) -> tuple[list[dict[str, Any]], bool]:
    """What is to be done to the directories as they lie below, in order.

    Args:
        layers: the directories on trial, once nothing of the tool runs any more.
        stage: directory for new content.
        began: when the trial began, in seconds since 1970.

    Returns:
        The changes, and whether there are more than are told.

    Raises:
        OSError: if something cannot be read.
    """
    found: list[dict[str, Any]] = []
    comparison = _Comparison(stage, (began - CLOCK_SECONDS, time.time() + CLOCK_SECONDS))
    for root, one in enumerate(layers):
        for change in comparison.directory("", one.merged, one.lower, one.upper):
            if len(found) >= MAX_CHANGES:
                return found, True
            found.append({"root": root, **change})
    return found, False


class _Comparison:
    """Compares two trees.

    Args:
        stage: directory for new content.
        during: between which two points in time the tool wrote.
    """

    def __init__(self, stage: int, during: tuple[float, float]) -> None:
        self._stage = stage
        self._during = during
        self._staged = 0

    def directory(self, path: str, merged: int, lower: int | None, upper: int) -> Iterator[dict[str, Any]]:
        """What differs in a directory that something was put above.

        Args:
            path: of the directory, below the one on trial.
            merged: as the tool saw it.
            lower: as it is, if it is there.
            upper: what was put above it.
        """
        before = set(os.listdir(lower)) if lower is not None else set[str]()
        for name in sorted(before | set(os.listdir(merged))):
            at = f"{path}/{name}" if path else name
            was = _status(lower, name) if name in before else None
            now = _status(merged, name)
            if not _is_text(name):
                if now is None or was is None or _status(upper, name) is not None:
                    yield _cannot(at, "its name is no text, and nobody could judge it")
            elif now is None:
                if was is not None and lower is not None:
                    yield from _removed(at, name, lower, was)
            elif was is None or _status(upper, name) is not None:
                yield from self._entry(at, name, (merged, lower, upper), was, now)

    def _entry(
        self, at: str, name: str, parents: tuple[int, int | None, int], was: os.stat_result | None, now: os.stat_result
    ) -> Iterator[dict[str, Any]]:
        merged, lower, _ = parents
        if (
            was is not None
            and lower is not None
            and (
                stat.S_IFMT(was.st_mode) != stat.S_IFMT(now.st_mode)
                or (stat.S_ISLNK(now.st_mode) and os.readlink(name, dir_fd=merged) != os.readlink(name, dir_fd=lower))
            )
        ):
            yield from _removed(at, name, lower, was)
            was = None
        if stat.S_ISDIR(now.st_mode):
            yield from self._subdirectory(at, name, parents, was, now)
        elif stat.S_ISLNK(now.st_mode):
            if was is None:
                yield {"op": "link", "path": at, "target": os.readlink(name, dir_fd=merged)}
        elif stat.S_ISREG(now.st_mode):
            yield from self._file(at, name, (merged, lower), was, now)
        else:
            yield _cannot(at, "it is neither a file nor a directory nor a link")

    def _subdirectory(
        self, at: str, name: str, parents: tuple[int, int | None, int], was: os.stat_result | None, now: os.stat_result
    ) -> Iterator[dict[str, Any]]:
        if at.count("/") >= MAX_DEPTH:
            yield _cannot(at, f"it lies deeper than {MAX_DEPTH} directories")
            return
        below = [os.open(name, _DIRECTORY, dir_fd=parents[0])]
        try:
            if was is not None and parents[1] is not None:
                below.append(os.open(name, _DIRECTORY, dir_fd=parents[1]))
            if why := _beyond_mode(below, was, now):
                yield _cannot(at, why)
            elif was is None:
                yield {"op": "mkdir", "path": at, "mode": stat.S_IMODE(now.st_mode)}
            elif was.st_mode != now.st_mode:
                yield {"op": "chmod", "path": at, "mode": stat.S_IMODE(now.st_mode), "was": _identity(was)}
            below.append(os.open(name, _DIRECTORY, dir_fd=parents[2]))
            lower = below[1] if len(below) == 3 else None
            yield from self.directory(at, below[0], lower, below[-1])
        finally:
            for fd in below:
                os.close(fd)

    def _file(
        self, at: str, name: str, parents: tuple[int, int | None], was: os.stat_result | None, now: os.stat_result
    ) -> Iterator[dict[str, Any]]:
        both = [os.open(name, _OPEN, dir_fd=parents[0])]
        try:
            if was is not None and parents[1] is not None:
                both.append(os.open(name, _OPEN, dir_fd=parents[1]))
            if now.st_nlink > 1 or (was is not None and was.st_nlink > 1):
                yield _cannot(at, "it has more than one name")
            elif now.st_mode & _AS_ANOTHER:
                yield _cannot(at, "it would run as another user or group")
            elif why := _beyond_mode(both, was, now):
                yield _cannot(at, why)
            else:
                yield from self._content(at, both, was, now)
        finally:
            for fd in both:
                os.close(fd)

    def _content(
        self, at: str, both: list[int], was: os.stat_result | None, now: os.stat_result
    ) -> Iterator[dict[str, Any]]:
        known = {} if was is None else {"was": _identity(was)}
        wrote = was is None or was.st_size != now.st_size or not _same(*both)
        if wrote:
            mode = stat.S_IMODE((was or now).st_mode)
            yield {"op": "write", "path": at, "mode": mode, "size": now.st_size, **self._keep(both[0]), **known}
        if was is not None and was.st_mode != now.st_mode:
            yield {"op": "chmod", "path": at, "mode": stat.S_IMODE(now.st_mode), **known}
        first, last = self._during
        dated = not first <= now.st_mtime <= last if wrote else was is not None and was.st_mtime_ns != now.st_mtime_ns
        if dated:
            yield {"op": "touch", "path": at, "mtime_ns": now.st_mtime_ns, **known}

    def _keep(self, fd: int) -> Mapping[str, Any]:
        """New content, aside, by a name that it is found by."""
        self._staged += 1
        digest = hashlib.sha256()
        kept = os.open(
            str(self._staged), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._stage
        )
        with open(kept, "wb") as file:
            for chunk in _chunks(fd):
                digest.update(chunk)
                file.write(chunk)
        return {"staged": str(self._staged), "sha256": digest.hexdigest()}


def _removed(at: str, name: str, parent: int, was: os.stat_result) -> Iterator[dict[str, Any]]:
    """What lies below at a name that is gone, from the inside out."""
    if stat.S_ISDIR(was.st_mode):
        if at.count("/") >= MAX_DEPTH:
            yield _cannot(at, f"it lies deeper than {MAX_DEPTH} directories")
            return
        below = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            for inner in sorted(os.listdir(below)):
                if (found := _status(below, inner)) is not None:
                    yield from _removed(f"{at}/{inner}", inner, below, found)
        finally:
            os.close(below)
    op = "rmdir" if stat.S_ISDIR(was.st_mode) else "delete"
    yield {"op": op, "path": at, "was": _identity(was)}


def _beyond_mode(both: list[int], was: os.stat_result | None, now: os.stat_result) -> str | None:
    """Why more than content, mode and time of something is not as before; None if that is all."""
    if was is not None and (was.st_uid, was.st_gid) != (now.st_uid, now.st_gid):
        return "it has another owner"
    if any(set(os.listxattr(fd)) - {_LABEL} for fd in both):
        return "it has extended attributes"
    return None


def _identity(found: os.stat_result) -> list[int]:
    """What changes with whatever is done to a file in the meantime."""
    return [found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _status(parent: int | None, name: str) -> os.stat_result | None:
    if parent is None:
        return None
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _same(one: int, other: int) -> bool:
    return all(a == b for a, b in zip(_chunks(one), _chunks(other), strict=False))


def _chunks(fd: int) -> Iterator[bytes]:
    at = 0
    while chunk := os.pread(fd, _CHUNK, at):
        yield chunk
        at += len(chunk)


def _cannot(at: str, why: str) -> dict[str, Any]:
    return {"op": "cannot", "path": at, "why": why}
