"""Doing what was tried: the changes of a trial, made to the directories themselves.

INVARIANT: no link is followed on the way to what is changed, and content is what its digest says.
Blind spot: what others do between the look at everything and a change.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Generator, Sequence
from typing import Final

from guardrail.confine.kernel._records import ConfineError
from guardrail.confine.kernel._trial import Change
from guardrail.printing import printable

_CHUNK: Final = 1024 * 1024
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ADDS: Final = frozenset({"write", "mkdir", "link"})


def commit(changes: Sequence[Change]) -> int:
    """Make the changes, if everything lies as it did when they were tried.

    Args:
        changes: in the order in which they were found.

    Returns:
        How many were made.

    Raises:
        ConfineError: if something is not as it was, and nothing was changed; or if one of them failed, and those before
            it were made.
    """
    _check_as_before(changes)
    for done, change in enumerate(changes):
        try:
            _make(change)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise ConfineError(
                f"`{printable(change.at)}`: {change.op} failed: {why}; {done} of {len(changes)} changes were made",
                started=True,
            ) from None
    return len(changes)


def _check_as_before(changes: Sequence[Change]) -> None:
    gone: set[str] = set()
    made: set[str] = set()
    for change in changes:
        is_new = change.op in _ADDS and change.was is None
        if is_new and os.path.dirname(change.at) in made:
            found = None  # nothing can be where there is no directory yet
        else:
            found = _status(change)
        if is_new and change.at in gone:
            found = None
        # What is said of something new after it was written has no earlier state to compare.
        if found != change.was and (is_new or change.was is not None):
            raise ConfineError(f"`{printable(change.at)}` is not as it was when it was tried: try it again")
        if change.op == "mkdir":
            made.add(change.at)
        if change.op in {"delete", "rmdir"}:
            gone.add(change.at)


def _status(change: Change) -> tuple[int, ...] | None:
    """What lies there now; None if that is nothing, and something could be put there.

    Raises:
        ConfineError: if the way there is not a way through directories alone.
    """
    try:
        with _parent(change) as (at, name):
            try:
                one = os.stat(name, dir_fd=at, follow_symlinks=False)
            except FileNotFoundError:
                return None
    except OSError:
        raise ConfineError(f"the way to `{printable(change.at)}` is not as it was when it was tried") from None
    return one.st_dev, one.st_ino, one.st_mode, one.st_size, one.st_mtime_ns, one.st_ctime_ns


@contextlib.contextmanager
def _parent(change: Change) -> Generator[tuple[int, str]]:
    """The directory of what is changed, with its name there."""
    *above, name = change.path.split("/")
    at = os.open(change.root, _DIRECTORY)
    try:
        for part in above:
            deeper = os.open(part, _DIRECTORY, dir_fd=at)
            os.close(at)
            at = deeper
        yield at, name
    finally:
        os.close(at)


def _make(change: Change) -> None:
    with _parent(change) as (at, name):
        match change.op:
            case "write":
                _write(change, at, name)
            case "mkdir":
                os.mkdir(name, 0o700, dir_fd=at)
                _set_mode(change.mode, at, name)
            case "link":
                os.symlink(change.target, name, dir_fd=at)
            case "delete":
                os.unlink(name, dir_fd=at)
            case "rmdir":
                os.rmdir(name, dir_fd=at)
            case "chmod":
                _set_mode(change.mode, at, name)
            case "touch":
                before = os.stat(name, dir_fd=at, follow_symlinks=False).st_atime_ns
                os.utime(name, ns=(before, change.mtime_ns), dir_fd=at, follow_symlinks=False)
            case "cannot":
                raise OSError(0, change.why)


def _write(change: Change, at: int, name: str) -> None:
    """A new file by its name; one that was there is replaced at once, by another with its owner and mode."""
    was = None if change.was is None else os.stat(name, dir_fd=at, follow_symlinks=False)
    at_first = name if was is None else f".guardrail-{secrets.token_hex(8)}"
    fd = os.open(at_first, _NEW, 0o600, dir_fd=at)
    try:
        with open(fd, "wb") as file:
            _copy(change, file.fileno())
            if was is not None and (was.st_uid, was.st_gid) != (os.geteuid(), os.fstat(fd).st_gid):
                os.fchown(fd, was.st_uid, was.st_gid)
            os.fchmod(fd, change.mode)
        if was is not None:
            os.replace(at_first, name, src_dir_fd=at, dst_dir_fd=at)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(at_first, dir_fd=at)
        raise


def _copy(change: Change, target: int) -> None:
    digest = hashlib.sha256()
    with open(change.staged, "rb") as source:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[os.write(target, view) :]
    if digest.hexdigest() != change.sha256:
        raise OSError(0, "its content is not what was tried")


def _set_mode(mode: int, at: int, name: str) -> None:
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    try:
        os.chmod(f"/proc/self/fd/{fd}", mode)
    finally:
        os.close(fd)
