"""Which assets a pattern of names can mean, by their names and by what is there now.

Not concerned with effects, nor with addresses elsewhere.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from guardrail.assets._beneath import Beneath
from guardrail.assets._files import matcher
from guardrail.assets._index import AssetIndex
from guardrail.assets._look import Found, Look, split
from guardrail.assets._places import Place, found_at, locate, walk_files
from guardrail.assets._trees import Unseen
from guardrail.model import ANY_DEPTH, Resource

MAX_PATTERN_ENTRIES: Final = 500_000
"""Most directory entries that are looked at to see where a pattern leads; beyond, it could lead anywhere."""

MAX_WALKED: Final = 2_000
"""Most files of one asset, and most assets below one place, whose names are compared with a pattern."""


class _Anywhere(Exception):
    """A pattern may lead anywhere."""


class Patterns:
    """The way from a pattern to assets.

    Args:
        index: where assets lie.
        beneath: what lies below directories.
    """

    def __init__(self, index: AssetIndex, beneath: Beneath) -> None:
        self._index = index
        self._beneath = beneath

    def look_up(self, resource: Resource, look: Look) -> Found:
        """The assets that a resource can be, of which only a pattern is known.

        Args:
            resource: it.
            look: what is known of the call's paths.
        """
        pattern = resource.pattern or ""
        if not self._index.assets:
            return Found([resource])
        base, deep, name = pattern.rpartition(f"/{ANY_DEPTH}")
        if deep and pattern.startswith("/") and "**" not in pattern and "/" not in name:
            return self._listed(resource, base or "/", name, look)
        # `**` is a part of which nothing is known, so it may hold slashes and `..`; `*` is a glob within one name.
        if not pattern.startswith("/") or "**" in pattern:
            return Found([resource], True)
        parts = pattern.split("/")
        first = next((i for i, part in enumerate(parts) if any(char in part for char in "*?[")), len(parts))
        base, rest = "/".join(parts[:first]) or "/", [part for part in parts[first:] if part not in ("", ".")]
        place = look.at(base, nofollow=False)
        if place is None or ".." in rest:
            return Found([resource], True)
        found = look.once(pattern, lambda: self._reached(place, rest, look))
        if found is None:
            return Found([resource], True)
        return split(msgspec.structs.replace(resource, real=place.real), found)

    def _reached(self, place: Place, rest: Sequence[str], look: Look) -> tuple[str, ...] | None:
        """The assets that a pattern below a place can name; None if those are any."""
        hits: dict[str, None] = {}
        try:
            self._reach(place, rest, hits, [MAX_PATTERN_ENTRIES], look)
        except _Anywhere:
            return None
        return tuple(hits)

    def _listed(self, resource: Resource, base: str, name: str, look: Look) -> Found:
        """Assets among the files below a directory whose names end like this, as a lister such as `find` gives them."""
        place = None if any(char in base for char in "*?[") else look.at(base, nofollow=False)
        below = self._index.below(place.real) if place is not None else ()
        if place is None or place.hidden or len(below) > MAX_WALKED:
            return Found([resource], True)
        if not resource.nofollow and (place.real == "/" or f"{place.real}/".startswith("/proc/")):
            return Found([resource], True)  # there are links to whatever any process has open
        hits: dict[str, None] = {}
        if asset_id := self._index.at(place):
            hits[asset_id] = None
        # 1. By their own names. 2. Through links, unless those are meant themselves. 3. By other names of their files.
        for asset in below:
            for root in self._index.assets[asset].roots:
                files = [root, *(path for path, _ in walk_files(root, MAX_WALKED))]
                fits = any(fnmatch.fnmatchcase(os.path.basename(path), name) for path in files)
                if len(files) > MAX_WALKED or fits or (resource.recursive and _leads(place.real, root, name)):
                    hits[asset] = None
        # What is mounted over a name goes by that name as well.
        points = self._index.mounts.below(place.real) if self._index.mounts.several else ()
        hits.update(dict.fromkeys(self._by_links(tuple(points), name)))
        links = () if resource.nofollow else self._beneath.links(place.real, look)
        if links is None:
            return Found([resource], True)
        hits.update(dict.fromkeys(self._by_links(links, name)))
        try:
            hits.update(dict.fromkeys(self._by_names(place.real, name, look, recursive=resource.recursive)))
        except Unseen:
            return Found([resource], True)
        return split(msgspec.structs.replace(resource, real=place.real), list(hits))

    def _by_links(self, links: Sequence[str], name: str) -> Iterator[str]:
        """Assets that links, or mounts, of a name lead to."""
        fits = matcher(name)
        for path in links:
            if fits(path.rpartition("/")[2]):
                there = locate(path)
                reached = [self._index.at(there), *(self._index.below(there.real) if there.directory else ())]
                yield from (asset for asset in reached if asset is not None)

    def _by_names(self, real: str, name: str, look: Look, *, recursive: bool) -> Iterator[str]:
        """Assets whose files have such a name below a directory as well, or were moved there.

        Raises:
            Unseen: if there is more than is looked at.
        """
        for path, status in self._beneath.strayed(real, look):
            fits = fnmatch.fnmatchcase(path.rpartition("/")[2], name)
            if fits or (recursive and _leads(real, path, name)):
                asset = self._index.at(found_at(path, status))
                if asset is not None:
                    yield asset

    def _reach(self, place: Place, rest: Sequence[str], hits: dict[str, None], left: list[int], look: Look) -> None:
        """Collect the assets that a pattern below a place can name: by their names, and by what is there now.

        Raises:
            _Anywhere: if it leads into a process, or over a bound.
        """
        asset_id = self._index.at(place)
        if asset_id:
            hits[asset_id] = None
        if not rest:
            hits.update(dict.fromkeys(self._index.below(place.real)))
            return
        self._reach_names(place.real, rest, hits, left)
        if self._index.mounts.several:
            self._reach_mounted(place.real, rest, hits)
        if place.real.startswith("/proc") or (place.real == "/" and fnmatch.fnmatchcase("proc", rest[0])):
            raise _Anywhere
        names = look.once(("names", place.real), lambda: _names_in(place.real))
        left[0] -= len(names)
        if left[0] < 0:
            raise _Anywhere
        for name in filter(matcher(rest[0]), names):
            path = f"{place.real.rstrip('/')}/{name}"
            if len(rest) > 1 or _is_file_or_link(path):
                self._reach(locate(path), rest[1:], hits, left, look)

    def _reach_names(self, real: str, rest: Sequence[str], hits: dict[str, None], left: list[int]) -> None:
        """Collect the assets whose declared names a pattern below a directory fits, whether or not they are there.

        Raises:
            _Anywhere: if it leads over a bound.
        """
        base = real.rstrip("/")
        for child in self._index.children.get(base or "/", ()):
            left[0] -= 1
            if left[0] < 0:
                raise _Anywhere
            if not fnmatch.fnmatchcase(child, rest[0]):
                continue
            path = f"{base}/{child}"
            asset = self._index.roots.get(path)
            if asset is not None:
                hits[asset] = None
            if len(rest) == 1:
                hits.update(dict.fromkeys(self._index.nested.get(path, ())))
            else:
                self._reach_names(path, rest[1:], hits, left)

    def _reach_mounted(self, real: str, rest: Sequence[str], hits: dict[str, None]) -> None:
        """The same for assets that lie there by a second mount."""
        prefix = real.rstrip("/") + "/"
        below = self._index.below(real)
        if len(below) > MAX_WALKED:
            raise _Anywhere
        for asset in below:
            for root in self._index.assets[asset].roots:
                names = root[len(prefix) :].split("/") if root.startswith(prefix) else ()
                if names and all(fnmatch.fnmatchcase(name, part) for name, part in zip(names, rest, strict=False)):
                    hits[asset] = None


def _names_in(real: str) -> tuple[str, ...]:
    """The names in a directory; of more than are looked at, one more than those."""
    try:
        with os.scandir(real) as entries:
            return tuple(entry.name for entry in islice(entries, MAX_PATTERN_ENTRIES + 1))
    except OSError:
        return ()  # nothing is there, or nothing that can be listed: the names are all there is


def _is_file_or_link(path: str) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _leads(base: str, path: str, name: str) -> bool:
    """A directory between a base and a path is called so, and what lies in it goes with it.

    What is mounted somewhere below the base has a path of its own, so that the names on the way are not known.
    """
    head = f"{base.rstrip('/')}/"
    if not path.startswith(head):
        return True
    return any(fnmatch.fnmatchcase(part, name) for part in path[len(head) :].split("/"))
