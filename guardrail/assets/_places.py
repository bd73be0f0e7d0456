"""What a path really is on the live filesystem, asked once and by the kernel.

Not concerned with assets. Blind spot: every answer is true when given and may be stale a moment later, so a decision
names what was resolved, and confinement (where there is any) holds the call to it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

_O_PATH: Final = os.O_PATH | os.O_CLOEXEC


class Place(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a path turned out to be.

    Args:
        real: absolute path without symbolic links; for a missing path its nearest existing parent,
            resolved, and the rest.
        exists: whether something is there.
        dev: device number, if it exists.
        ino: inode number, if it exists.
        links: number of names of the inode, if it exists.
        ctime_ns: when the inode last changed, if it exists; no call can set it.
        mtime_ns: when the content is said to have changed, if it exists; anybody can set it.
        size: size in bytes, if it exists.
        directory: whether it is a directory.
        regular: whether it is a file with content of its own, and no device or pipe.
        hidden: this process may not look there, so a link on the way would not be seen.
    """

    real: str
    exists: bool = False
    dev: int | None = None
    ino: int | None = None
    links: int = 0
    ctime_ns: int = 0
    mtime_ns: int = 0
    size: int = -1
    directory: bool = False
    regular: bool = False
    hidden: bool = False


def locate(path: str, *, nofollow: bool = False) -> Place:
    """Resolve a path on the live filesystem.

    Args:
        path: absolute path; `..` is resolved by the kernel, not as text.
        nofollow: the last component is meant itself, even if it is a symbolic link (unlink, rename).

    Returns:
        Where it is. A path that cannot be looked at is resolved as far as it goes.
    """
    try:
        descriptor = os.open(path, _flags(path, nofollow))
    except (OSError, ValueError) as error:
        return _missing(path, error)
    return _opened(descriptor, path, nofollow)


def present(path: str, *, nofollow: bool = False) -> Place | None:
    """`locate` for what is there; None if nothing is, or if it cannot be looked at.

    Args:
        path: absolute path.
        nofollow: as for `locate`.
    """
    try:
        descriptor = os.open(path, _flags(path, nofollow))
    except (OSError, ValueError):
        return None
    return _opened(descriptor, path, nofollow)


def _flags(path: str, nofollow: bool) -> int:
    # A trailing slash makes the kernel follow the link: `rm link/` is about the directory.
    return _O_PATH | os.O_NOFOLLOW if nofollow and not path.endswith("/") else _O_PATH


def _opened(descriptor: int, path: str, nofollow: bool) -> Place:
    try:
        status = os.fstat(descriptor)
        real = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        # /proc is not mounted: slower, and correct.
        return _by_walk(path, nofollow=nofollow and not path.endswith("/"))
    finally:
        os.close(descriptor)
    if not real.startswith("/"):
        real = os.path.realpath(path)
    return found_at(real, status)


def locate_in(folder: str, path: str, name: str, *, nofollow: bool = False) -> Place:
    """`locate`, where the directory is known.

    Args:
        folder: the directory that the path is in, without symbolic links.
        path: absolute path.
        name: its last component, which is no `.` or `..`.
        nofollow: the name is meant itself, even if it is a symbolic link.

    Returns:
        As `locate`.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return Place(real=f"{folder.rstrip('/')}/{name}")
    except (OSError, ValueError):
        return locate(path, nofollow=nofollow)
    if stat.S_ISLNK(status.st_mode) and not nofollow:
        return locate(path)
    return found_at(f"{folder.rstrip('/')}/{name}", status)


def found_at(real: str, status: os.stat_result) -> Place:
    """The place of something that is there."""
    return Place(
        real=real,
        exists=True,
        dev=status.st_dev,
        ino=status.st_ino,
        links=status.st_nlink,
        ctime_ns=status.st_ctime_ns,
        mtime_ns=status.st_mtime_ns,
        size=status.st_size,
        directory=stat.S_ISDIR(status.st_mode),
        regular=stat.S_ISREG(status.st_mode),
    )


_PROCESS: Final = re.compile(r"/proc/(?:self|thread-self|\d+)(?:/task/\d+)?")
_MAX_HOPS: Final = 40
"""Most symbolic links on one path, as in the kernel."""


def of_process(path: str, *, nofollow: bool = False) -> str | None:
    """The path, if it means the same in the agent's process as in this one.

    `/proc/self/cwd`, `/proc/self/fd/3` and the like, also behind other links, name different things in each process:
    resolved here they would be the guard's, and a command may have changed its directory since its call began.

    Args:
        path: absolute path.
        nofollow: the last component is meant itself.

    Returns:
        The path as it is if it leads through no process, without `/proc/self/root` if it only leads through that, and
        None if only the agent's process, or another one, knows where it leads.
    """
    left = path.split("/")[::-1]
    here, hops, through = "", 0, False
    while left:
        name = left.pop()
        if name in ("", "."):
            continue
        if name == "..":
            here = here.rpartition("/")[0]
            continue
        if _PROCESS.fullmatch(here):
            if name == "root" and not here[6:7].isdigit():
                here, through = "", True
                continue
            if name in ("cwd", "root", "exe", "fd", "map_files", "ns"):
                return None
        here = f"{here}/{name}"
        if here in ("/proc/self", "/proc/thread-self") or (nofollow and not any(left)):
            continue
        try:
            target = os.readlink(here)
        except (OSError, ValueError):
            continue
        hops += 1
        if hops > _MAX_HOPS:
            return None
        if target.startswith("/"):
            here = ""
        else:
            here = here.rpartition("/")[0]
        left.extend(target.split("/")[::-1])
    return (here or "/") if through else path


def _missing(path: str, error: OSError | ValueError) -> Place:
    number = error.errno if isinstance(error, OSError) else None
    place = _below_existing(path) if number == errno.ENOENT else None
    if number == errno.ENAMETOOLONG:
        place = _by_steps(path)
    if place is not None:
        return place
    if number in (errno.EACCES, errno.EPERM):
        return Place(real=os.path.normpath(path), hidden=True)
    try:
        return Place(real=os.path.realpath(path))
    except (OSError, ValueError):
        return Place(real=os.path.normpath(path.replace("\0", "")))


def _below_existing(path: str) -> Place | None:
    """A missing path under its nearest existing parent; None where only a walk from link to link can tell."""
    head, rest = path.rstrip("/"), ""
    while head:
        head, _, name = head.rpartition("/")
        if name in (".", ".."):
            return None
        if name == "":
            continue
        rest = f"/{name}{rest}"
        try:
            descriptor = os.open(head or "/", _O_PATH | os.O_DIRECTORY)
        except OSError as error:
            if error.errno == errno.ENOENT:
                continue
            return None
        try:
            parent = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            return None
        finally:
            os.close(descriptor)
        # A dangling link is missing to open() and yet there: where it points is what would be made.
        if not parent.startswith("/") or os.path.islink(f"{head}/{name}"):
            return None
        return Place(real=f"{parent.rstrip('/')}{rest}")
    return None


def _by_steps(path: str) -> Place | None:
    """A path that is too long for one call of the kernel: a shell that has changed its directory can still go there."""
    names = [name for name in path.split("/") if name not in ("", ".")]
    descriptor = os.open("/", _O_PATH | os.O_DIRECTORY)
    try:
        for index, name in enumerate(names):
            last = index == len(names) - 1
            try:
                following = os.open(name, _O_PATH if last else _O_PATH | os.O_DIRECTORY, dir_fd=descriptor)
            except (OSError, ValueError):
                rest = "/".join(names[index:])
                return Place(real=f"{_name_of(descriptor, names[:index]).rstrip('/')}/{rest}")
            os.close(descriptor)
            descriptor = following
        return found_at(_name_of(descriptor, names), os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _name_of(descriptor: int, names: Sequence[str]) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        # Longer than a page: the inodes on the way are known, the resolved name is not.
        return "/" + "/".join(names)


def _by_walk(path: str, *, nofollow: bool) -> Place:
    head, tail = os.path.split(path.rstrip("/"))
    real = os.path.join(os.path.realpath(head), tail) if nofollow else os.path.realpath(path)
    try:
        status = os.lstat(real) if nofollow else os.stat(real)
    except OSError:
        return Place(real=real)
    return found_at(real, status)


def walk_files(root: str, limit: int) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files at or below `root`, links not followed, at most `limit` of them."""
    yield from islice(_walk(root), limit)


def _walk(root: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        status = os.stat(root)
    except OSError:
        return
    if stat.S_ISREG(status.st_mode):
        yield root, status
        return
    folders = [root]
    while folders:
        inner: list[str] = []
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        inner.append(entry.path)
                    elif (found := _regular(entry)) is not None:
                        yield entry.path, found
        except OSError:
            pass  # not for us to read, or gone
        folders.extend(reversed(inner))


def _regular(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None
