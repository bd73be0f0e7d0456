"""The deletion that the guard carries out itself, on a person's word: names of known files only, never through a link.

INVARIANT: what is unlinked was, when it was looked at last, the very file that the order is about: same device, inode
number and time of birth, in a directory that was reached without any symbolic link. Anything else is left and named.
Blind spot: between that look and the unlinking somebody may put another file there; it is then that file which goes,
the pin shows that ours has not, and so it is said. Blocks are freed and not overwritten.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager

from guardrail.assets import Asset
from guardrail.obligations._events import Pinned
from guardrail.obligations.world._evidence import Pins, digest_of, inode_of, is_file


class NotOurs(Exception):
    """What is at a path is not the file that may be deleted; the message says why."""


class Eraser:
    """Deletes the files of one asset.

    Args:
        files: what may be deleted, as it was.
        pins: those of them that are held.
    """

    def __init__(self, files: Sequence[Pinned], pins: Pins) -> None:
        self._files = {file.inode: file for file in files}
        self._pins = pins
        self.gone = 0
        self.left: list[str] = []

    def erase(self, paths: Iterable[str]) -> None:
        """Take away every one of some names, if it is one of a file that may be deleted."""
        for path in paths:
            try:
                self._unlink(path)
                self.gone += 1
            except FileNotFoundError:
                continue  # it is gone already, which is what is wanted
            except NotOurs as error:
                self.left.append(f"`{path}` was left: {error}")
            except OSError as error:
                self.left.append(f"`{path}` cannot be deleted: {(error.strerror or str(error)).lower()}")

    def _unlink(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        with opened(folder or "/") as parent:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                what = "a link" if stat.S_ISLNK(status.st_mode) else "no regular file"
                raise NotOurs(f"it is {what}, and not the file that was to go")
            file = self._files.get(inode_of(status))
            if file is None or not is_file(file, f"/proc/self/fd/{parent}/{name}", status):
                raise NotOurs("it is another file than the one that was to go")
            os.unlink(name, dir_fd=parent)
        pin = self._pins.of(file)
        if pin is not None and os.fstat(pin).st_nlink >= status.st_nlink:
            raise NotOurs("another file was put in its place while it was deleted, and went instead")

    def sweep_out(self, asset: Asset) -> None:
        """Take away the directories of an asset, where nothing is left in them."""
        for root in asset.roots:
            for folder in _folders(root):
                upper, _, name = folder.rpartition("/")
                try:
                    with opened(upper or "/") as parent:
                        os.rmdir(name, dir_fd=parent)
                except FileNotFoundError:
                    continue
                except (NotOurs, OSError) as error:
                    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                    self.left.append(f"the directory `{folder}` was left: {why.lower()}")


def erase_copies(paths: Sequence[str], digests: Iterable[str]) -> tuple[int, list[str]]:
    """Delete copies that a sweep has found, because the order says that they are to go too.

    Args:
        paths: the copies.
        digests: SHA-256 of what they may be copies of, in hexadecimal.

    Returns:
        How many were deleted, and what was left and why.
    """
    known = frozenset(digests)
    gone, left = 0, list[str]()
    for path in paths:
        folder, _, name = path.rpartition("/")
        try:
            with opened(folder or "/") as parent:
                _unlink_copy(parent, name, known)
            gone += 1
        except FileNotFoundError:
            continue
        except NotOurs as error:
            left.append(f"the copy `{path}` was left: {error}")
        except OSError as error:
            left.append(f"the copy `{path}` cannot be deleted: {(error.strerror or str(error)).lower()}")
    return gone, left


def _unlink_copy(parent: int, name: str, known: frozenset[str]) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with open(fd, "rb") as stream:
        if not stat.S_ISREG(os.fstat(fd).st_mode) or digest_of(stream) not in known:
            raise NotOurs("it holds something else besides, so a person has to say what becomes of it")
        if inode_of(os.fstat(fd)) != inode_of(os.stat(name, dir_fd=parent, follow_symlinks=False)):
            raise NotOurs("it was replaced while it was read")
        os.unlink(name, dir_fd=parent)


@contextmanager
def opened(folder: str) -> Generator[int]:
    """A descriptor of a directory, reached from the root step by step without going through any link.

    Raises:
        NotOurs: if there is a link on the way.
        OSError: if it cannot be opened.
    """
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open("/", flags)
    try:
        for name in filter(None, folder.split("/")):
            try:
                following = os.open(name, flags, dir_fd=fd)
            except NotADirectoryError:
                raise NotOurs(f"`{name}` on the way to it is a link or no directory") from None
            os.close(fd)
            fd = following
        yield fd
    finally:
        os.close(fd)


def _folders(root: str) -> Iterator[str]:
    """The directories of a tree, the innermost first; links are not followed."""
    if os.path.islink(root) or not os.path.isdir(root):
        return
    for folder, _, _ in os.walk(root, topdown=False):
        yield folder
