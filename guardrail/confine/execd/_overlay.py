"""Directories on which a tool may work without changing them: an overlay above each, in a mount namespace of its own.

Without privileges the namespace is one of users too, in which its maker alone has a number: what another user owns can
be read there as before, and an attempt to change it fails.

INVARIANT: what lies below is opened before anything is mounted, so nothing that a tool does leads back to it, and what
is told afterwards does not go where the tool may write.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from guardrail.confine.execd._kernel import LIBC, check

MEMORY_BYTES: Final = 1024 * 1024 * 1024
"""Most that a tool may write on trial, in bytes: it is kept in memory, and beyond it there is no space left."""

_NEW_MOUNTS: Final = 0x00020000  # CLONE_NEWNS and CLONE_NEWUSER, from linux/sched.h
_NEW_USERS: Final = 0x10000000
_NOSUID, _NODEV, _RECURSIVE, _PRIVATE = 0x2, 0x4, 0x4000, 0x40000  # from linux/mount.h
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NoTrial(Exception):
    """This host lets nobody work on a copy; its text says what it lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """One directory on trial, by descriptors.

    Args:
        lower: as it is.
        upper: what a tool has put above it, in the overlay's own form; only whether there is something counts.
        merged: as the tool sees it.
    """

    lower: int
    upper: int
    merged: int


def lay(roots: Sequence[str], place: str) -> list[Layers]:
    """Put an overlay above each root, for this process and all that it starts; it must have one thread.

    Args:
        roots: real paths of directories, none of them beneath another.
        place: an empty directory, over which the memory for what is written is mounted.

    Raises:
        NoTrial: if this host does not let it.
    """
    at = os.getcwd()
    _own_namespace()
    # What was opened before belongs to mounts of the other namespace, over which nothing can be laid here.
    lowers = [os.open(root, _DIRECTORY) for root in roots]
    try:
        _mount("", "/", "", _RECURSIVE | _PRIVATE, "")
        _mount("tmpfs", place, "tmpfs", _NOSUID | _NODEV, f"mode=700,size={MEMORY_BYTES}")
        above = os.open(place, _DIRECTORY)
        os.setxattr(above, "user.guardrail", b"")
        found = [
            _overlay(root, lower, above, number) for number, (root, lower) in enumerate(zip(roots, lowers, strict=True))
        ]
    except OSError as error:
        raise NoTrial(f"a trial run needs overlays of this kernel (Linux 6.6 and later): {error.strerror}") from None
    os.chdir(at)
    return found


def _own_namespace() -> None:
    user, group = os.geteuid(), os.getegid()
    if LIBC.unshare(_NEW_MOUNTS) == 0:
        return
    try:
        check(LIBC.unshare(_NEW_USERS | _NEW_MOUNTS), "unshare")
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    except OSError as error:
        lacks = "CAP_SYS_ADMIN, or leave to make a namespace of users"
        raise NoTrial(f"a trial run needs {lacks}, and this host gives neither: {error.strerror}") from None


def _overlay(root: str, lower: int, above: int, number: int) -> Layers:
    names = [f"{number}.upper", f"{number}.work"]
    for name in names:
        os.mkdir(name, dir_fd=above)
    upper = os.open(names[0], _DIRECTORY, dir_fd=above)
    found = os.fstat(lower)
    os.fchmod(upper, found.st_mode & 0o7777)
    where = [f"/proc/self/fd/{above}/{name}" for name in names]
    data = f"lowerdir=/proc/self/fd/{lower},upperdir={where[0]},workdir={where[1]},userxattr"
    _mount("overlay", root, "overlay", _NOSUID | _NODEV, data)
    merged = os.open(root, _DIRECTORY)
    if os.fstat(merged).st_dev == found.st_dev:
        raise OSError(0, f"nothing lies over {root!r}")
    return Layers(lower=lower, upper=upper, merged=merged)


def _mount(source: str, target: str, kind: str, flags: int, data: str) -> None:
    words = [os.fsencode(word) or None for word in (source, target, kind)]
    check(LIBC.mount(*words, flags, os.fsencode(data) or None), f"mount {kind or 'privately'}")
