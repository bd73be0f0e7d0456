"""What a directory holds, kept until the kernel says that it changed: sessions that brought some ask at each program.

Not concerned with whole trees, of which no names are kept: `_trees` is.
"""

from __future__ import annotations

import os
import time
from typing import Final, NamedTuple

from guardrail.assets._mounts import Mounts
from guardrail.assets._trees import SETTLED_NS
from guardrail.effects.domain._view import Listing

MAX_LISTED: Final = 16_384
"""Most names of one directory that are listed: more than a session is remembered to have written."""

MAX_KEPT_LISTINGS: Final = 512
"""Most directories of which the names are kept."""

MAX_KEPT_NAMES: Final = 65_536
"""Most names that are kept of all of them together."""


class _Kept(NamedTuple):
    identity: tuple[int, int, int]
    listing: Listing


class Listings:
    """Directories as they were last seen.

    Args:
        mounts: what is mounted where.
    """

    __slots__ = ("_kept", "_mounts", "_names", "_version")

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts
        self._version = mounts.version
        self._kept: dict[str, _Kept] = {}
        self._names = 0

    def of(self, folder: str) -> Listing | None:
        """What a directory holds; nothing if it cannot be listed, None if it holds too much.

        Args:
            folder: absolute path.
        """
        if self._mounts.look() != self._version:
            # Something may be mounted over a name in it, of which the directory itself knows nothing.
            self._kept, self._names, self._version = {}, 0, self._mounts.version
        try:
            status = os.stat(folder)
            identity = status.st_dev, status.st_ino, status.st_ctime_ns
            known = self._kept.get(folder)
            # INVARIANT: a directory whose names change gets a new ctime, which no call can set.
            if known is not None and known.identity == identity:
                return known.listing
            now = time.time_ns()
            listing = _listed(folder)
        except (OSError, ValueError):
            return Listing((), ())
        # Where a link leads may change without a trace; other names say by themselves what they are.
        if (
            listing is not None
            and not listing.linked
            and 0 < status.st_ctime_ns < now - SETTLED_NS
            and self._mounts.is_dated(status.st_dev)
        ):
            names = len(listing.files) + len(listing.folders)
            if len(self._kept) >= MAX_KEPT_LISTINGS or self._names + names > MAX_KEPT_NAMES:
                self._kept, self._names = {}, 0
            self._kept[folder] = _Kept(identity, listing)
            # Those of a directory that changed count again, so that it is never less than there is.
            self._names += names
        return listing


def _listed(folder: str) -> Listing | None:
    files: list[str] = []
    folders: list[str] = []
    linked = False
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number >= MAX_LISTED:
                return None
            if entry.name[0] == ".":
                continue
            linked = linked or entry.is_symlink()
            (folders if _is_folder(entry) else files).append(entry.path)
    return Listing(tuple(sorted(files)), tuple(sorted(folders)), linked)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link that leads in a circle
