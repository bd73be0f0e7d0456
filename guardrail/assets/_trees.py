"""What lies below a directory: which names are odd, which are links, which files have other names.

What was seen of a directory is kept until the kernel says that it changed, so that a large tree is read once.
Not concerned with assets. Blind spot: every answer is true when given and may be stale a moment later.
"""

from __future__ import annotations

import errno
import os
import re
import time
from array import array
from collections.abc import Container, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from guardrail.assets._mounts import Mounts

MAX_LOOKED: Final = 500_000
"""Most entries of a directory tree that one look takes in: several times what a project with its packages has."""

MAX_LOOK_SECONDS: Final = 1.0
"""Longest that one look may take, in seconds; it is there for a disk that hangs, not for a large tree."""

MAX_KEPT_FOLDERS: Final = 50_000
"""Most directories of which it is kept what they hold."""

MAX_APART: Final = 512
"""Most directories of which it is asked whether they name a file: of more, the files themselves are asked sooner."""

SETTLED_NS: Final = 3_000_000_000
"""How long a directory must have been left alone for what it holds to be kept, in nanoseconds.

Longer than the coarsest clock of a filesystem: whatever comes later has another date.
"""

_GONE: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP))
"""What cannot be listed for these reasons cannot be listed by anybody with the same rights."""

_ODD: Final = re.compile(r"""^-|[\s'"\\*?\[]|^\.\.\.+$""")
_CODE: Final = re.compile(r"[^\w.,:@%+=/-]", re.ASCII)
"""What a shell may read as more than a letter of a word."""

_NO_FILES: Final = frozenset[int]()

_STRIDE: Final = 1024
"""Entries between two looks at the clock."""


class Unseen(Exception):
    """A tree holds more than is looked at: of what lies there nothing is known."""


class Folder(NamedTuple):
    """What a directory holds.

    Args:
        changed: when it last did so, by the kernel.
        odd: a name in it is none that a shell takes for one plain word, if it stands for a word.
        coded: a name in it would be more than that in the text of a shell.
        folders: names of directories in it.
        links: names of symbolic links in it.
        entries: how many names it holds.
        identity: numbers of its filesystem and of itself.
        numbers: inode numbers of what it names but for directories; None where those are not told with the names.
    """

    changed: int
    odd: bool
    coded: bool
    folders: tuple[str, ...]
    links: tuple[str, ...]
    entries: int
    identity: tuple[int, int]
    numbers: array[int] | None


class Named(NamedTuple):
    """Files, and the directories in which they lie.

    Args:
        numbers: inode numbers of the files, by filesystem.
        folders: numbers of filesystem and inode of directories that hold nothing but such files.
    """

    numbers: Mapping[int, AbstractSet[int]]
    folders: AbstractSet[tuple[int, int]]


class Trees:
    """Directory trees, looked at in full or not at all.

    Args:
        mounts: what is mounted where.
    """

    __slots__ = ("_kept", "_mounts", "_version")

    def __init__(self, mounts: Mounts | None = None) -> None:
        self._mounts = mounts or Mounts()
        self._kept: dict[tuple[int, int], Folder] = {}
        self._version = self._mounts.version

    def odd(self, root: str) -> bool:
        """Whether a name below a directory is none that a shell takes for one plain word.

        Raises:
            Unseen: if there are more names than are looked at, and none of the first is odd.
        """
        return any(folder.odd for _, folder in self._walk(root))

    def coded(self, root: str) -> bool:
        """Whether a name below a directory would be more than one plain word in the text of a shell.

        Raises:
            Unseen: if there are more names than are looked at, and none of the first would.
        """
        return any(folder.coded or folder.odd for _, folder in self._walk(root))

    def links(self, root: str) -> Iterator[str]:
        """Symbolic links below a directory, which are not followed.

        Raises:
            Unseen: if there are more names than are looked at.
        """
        for path, folder in self._walk(root):
            for name in folder.links:
                yield f"{path}/{name}"

    def named(self, root: str, most: int) -> Iterator[Folder]:
        """The directories at and below one, if they tell the inode numbers of what they name.

        Args:
            root: the directory.
            most: names that are looked at.

        Raises:
            Unseen: if there are more, or a filesystem does not tell.
        """
        for _, folder in self._walk(root):
            most -= folder.entries
            if folder.numbers is None or most < 0:
                raise Unseen
            yield folder

    def is_apart(self, root: str, files: Named) -> bool | None:
        """Whether none of some files has another name below a directory; None if it holds too many directories to tell.

        INVARIANT: whoever gives a file a name in a directory changes that, and it is read again. In a directory of the
        files themselves each is asked how many names it has.

        Args:
            root: the directory.
            files: the files.
        """
        try:
            for count, (path, folder) in enumerate(self._walk(root)):
                if count == MAX_APART:
                    return None
                if folder.numbers is None:
                    return False
                if folder.identity in files.folders:
                    if _has_second_name(path):
                        return False
                elif not files.numbers.get(folder.identity[0], _NO_FILES).isdisjoint(folder.numbers):
                    return False
        except (OSError, ValueError, Unseen):
            return False
        return True

    def files(
        self, root: str, numbers: Container[int] | None = None, *, most: int | None = None
    ) -> Iterator[tuple[str, os.stat_result]]:
        """Regular files below a directory as they are now; links are not followed.

        Args:
            root: the directory.
            numbers: only files of these inode numbers; None is all.
            most: names that are looked at; None is `MAX_LOOKED`.

        Raises:
            Unseen: if there are more names than are looked at.
        """
        clock = _Clock(MAX_LOOKED if most is None else most)
        folders = [root]
        while folders:
            try:
                folder = folders.pop()
                # Where the filesystem tells the numbers with the names, only those files have to be asked.
                told = numbers is not None and self._mounts.is_numbered(os.stat(folder).st_dev)
                with os.scandir(folder) as entries:
                    for entry in entries:
                        clock.tick()
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                        elif told and numbers is not None and entry.inode() not in numbers:
                            continue
                        elif entry.is_file(follow_symlinks=False):
                            status = entry.stat(follow_symlinks=False)
                            if numbers is None or status.st_ino in numbers:
                                yield entry.path, status
            except (OSError, ValueError) as error:
                _skip(error)

    def _walk(self, root: str) -> Iterator[tuple[str, Folder]]:
        if self._mounts.look() != self._version:
            # A number of a device may have passed on to another filesystem.
            self._kept, self._version = {}, self._mounts.version
        clock = _Clock(MAX_LOOKED)
        path: str | None = root.rstrip("/")
        folders: list[str] = []
        while path is not None:
            try:
                folder = self._folder(path or "/", clock, follow=path == root.rstrip("/"))
            except (OSError, ValueError) as error:
                _skip(error)
            else:
                yield path, folder
                folders.extend(f"{path}/{name}" for name in folder.folders)
            path = folders.pop() if folders else None

    def _folder(self, path: str, clock: _Clock, *, follow: bool) -> Folder:
        """What a directory holds, by what is kept of it if it has not changed since."""
        status = os.stat(path, follow_symlinks=follow)
        known = self._kept.get((status.st_dev, status.st_ino))
        # INVARIANT: a directory whose names change gets a new ctime, which no call can set.
        if known is not None and known.changed == status.st_ctime_ns:
            clock.tick(known.entries)
            return known
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        descriptor = os.open(path, flags)
        try:
            # Of what was opened, and not of what may have taken its name meanwhile.
            status = os.fstat(descriptor)
            now = time.time_ns()
            told = self._mounts.is_numbered(status.st_dev)
            folder = _scanned(descriptor, status, clock, told=told)
        finally:
            os.close(descriptor)
        if 0 < status.st_ctime_ns < now - SETTLED_NS and self._mounts.is_dated(status.st_dev):
            if len(self._kept) >= MAX_KEPT_FOLDERS:
                self._kept = {}
            self._kept[status.st_dev, status.st_ino] = folder
        return folder


class _Clock:
    """What is left of one look."""

    __slots__ = ("_deadline", "_left", "_next")

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._next = limit
        self._deadline = time.monotonic() + MAX_LOOK_SECONDS

    def tick(self, entries: int = 1) -> None:
        """So many entries were seen.

        Raises:
            Unseen: if those are too many.
        """
        self._left -= entries
        if self._left < 0:
            raise Unseen
        if self._left < self._next:
            self._next = self._left - _STRIDE
            if time.monotonic() > self._deadline:
                raise Unseen


def _scanned(descriptor: int, status: os.stat_result, clock: _Clock, *, told: bool) -> Folder:
    odd = coded = False
    count = 0
    folders: list[str] = []
    links: list[str] = []
    numbers = array("Q")
    with os.scandir(descriptor) as entries:
        for entry in entries:
            count += 1
            if count % _STRIDE == 0:
                clock.tick(_STRIDE)
            odd = odd or _ODD.search(entry.name) is not None
            coded = coded or _CODE.search(entry.name) is not None
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
                continue
            numbers.append(entry.inode())
            if entry.is_symlink():
                links.append(entry.name)
    clock.tick(count % _STRIDE)
    return Folder(
        changed=status.st_ctime_ns,
        odd=odd,
        coded=coded,
        folders=tuple(folders),
        links=tuple(links),
        entries=count,
        identity=(status.st_dev, status.st_ino),
        numbers=numbers if told else None,
    )


def _has_second_name(folder: str) -> bool:
    """Whether any file that a directory names has another name as well."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_nlink > 1:
                return True
    return False


def _skip(error: OSError | ValueError) -> None:
    """Go on without a directory that cannot be listed.

    Raises:
        Unseen: if others may well be able to, as where only its path is too long.
    """
    if isinstance(error, OSError) and error.errno not in _GONE:
        raise Unseen from None
