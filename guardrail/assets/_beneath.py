"""Which assets lie below a directory under names that nobody declared: other names of their files, links, copies.

Where the assets are is looked at first: a file with one name, at the place where it was declared, has no other.
Not concerned with what lies there by its own name, which `_index` knows.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardrail.assets._index import MAX_COUNTED, AssetIndex
from guardrail.assets._look import Look
from guardrail.assets._places import Place, found_at, locate
from guardrail.assets._trees import Named, Trees, Unseen
from guardrail.model import Effect, Resource

if TYPE_CHECKING:
    from guardrail.assets._recognition import Recognition

MAX_FEW: Final = 128
"""Most names below a directory that are looked at before the files of assets are."""

MAX_KNOWN_MANY: Final = 1024
"""Most directories of which it is kept that they hold more names, or directories, than are asked first."""

_ANYBODY: Final = "?"
"""Whose a file is that cannot be read; no asset has such an id."""


class Beneath:
    """The way from a directory to assets below it.

    Args:
        index: where assets lie.
        trees: what lies below directories.
        recognition: tells registered assets by their content; without it they are known by place and inode.
    """

    def __init__(self, index: AssetIndex, trees: Trees, recognition: Recognition | None) -> None:
        self.trees = trees
        self._index = index
        self._recognition = recognition
        self._many: set[str] = set()
        self._wide: set[str] = set()

    def strays(self, look: Look) -> frozenset[int] | None:
        """Inode numbers of the assets' files that may have a name outside their place; None if any file may."""
        return look.once("strays", self._index.strays)

    def links(self, real: str, look: Look) -> tuple[str, ...] | None:
        """Symbolic links below a directory; None if there is more than is looked at."""
        return look.once(("links", real), lambda: self._links(real))

    def _links(self, real: str) -> tuple[str, ...] | None:
        try:
            return tuple(self.trees.links(real))
        except Unseen:
            return None

    def linked(
        self, effect: Effect, place: Resource, target: Resource | None, attrs: dict[str, Any], look: Look
    ) -> Iterator[Effect]:
        """Other names and copies of assets below a directory whose whole content is read, copied or sent.

        Args:
            effect: what is done.
            place: the directory.
            target: where that goes.
            attrs: facts of the effect.
            look: what is known of the call's paths.
        """
        if place.real is None or place.dev is None or place.asset is not None:
            return
        known: set[str] = set()
        try:
            for there in self._candidates(place.real, look):
                asset = self._index.at(there)
                whose = asset if asset is not None else _ANYBODY if self._index.is_unread(there) else None
                if whose is None or whose in known:
                    continue
                known.add(whose)
                resource = msgspec.structs.replace(
                    effect.resource,
                    path=there.real,
                    real=there.real,
                    dev=there.dev,
                    ino=there.ino,
                    asset=asset,
                    recursive=False,
                )
                facts = attrs if asset is not None else {**attrs, "any": True}
                yield msgspec.structs.replace(effect, resource=resource, target=target, attrs=facts, edit=None)
        except Unseen:
            yield _anything(effect, place, target, attrs)

    def _candidates(self, real: str, look: Look) -> Iterator[Place]:
        """Files below a directory that may be other names or copies of assets.

        Raises:
            Unseen: if a file of an asset has a name somewhere, and there is more here than is looked at.
        """
        large = self._recognition.least() if self._recognition is not None else None
        if large is None:
            yield from (found_at(path, status) for path, status in self.strayed(real, look))
            return
        try:
            for path, status in self.trees.files(real):
                if status.st_size >= large or self._is_stray(status, look):
                    yield found_at(path, status)
        except Unseen:
            # Copies are looked for as well as they can be: what makes one is an effect of its own.
            strays = self.strays(look)
            if strays is None or strays:
                raise

    def strayed(self, real: str, look: Look) -> Iterator[tuple[str, os.stat_result]]:
        """Files below a directory that have another name, or were moved there, and may be those of assets.

        Args:
            real: the directory.
            look: what is known of the call's paths.

        Raises:
            Unseen: if a file of an asset has a name somewhere, and there is more here than is looked at.
        """
        files: Iterable[tuple[str, os.stat_result]] | None = self._few(real)
        if files is None:
            if look.once(("apart", real), lambda: self._is_apart(real, look)):
                return
            strays = self.strays(look)
            files = () if strays is not None and not strays else self.trees.files(real, strays)
        for path, status in files:
            if self._is_stray(status, look):
                yield path, status

    def _is_apart(self, real: str, look: Look) -> bool:
        """No file of an asset has another name below a directory, as far as its directories tell."""
        if real in self._wide:
            return False
        files = look.once("named", self._named)
        apart = self.trees.is_apart(real, files) if files is not None else False
        if apart is None:
            _remember(self._wide, real)
        return bool(apart)

    def _named(self) -> Named | None:
        """The files of assets where they were declared, and of models that were there; None if that cannot be told."""
        if len(self._index.inodes) > MAX_COUNTED or len(self._index.assets) > MAX_COUNTED:
            return None
        numbers: dict[int, set[int]] = {}
        for device, number in self._index.models():
            numbers.setdefault(device, set()).add(number)
        folders: set[tuple[int, int]] = set()
        left = MAX_COUNTED
        try:
            for root in {root for asset in self._index.assets.values() for root in asset.roots}:
                status = os.stat(root) if os.access(root, os.F_OK) else None
                if status is None:
                    continue
                if not stat.S_ISDIR(status.st_mode):
                    there = numbers.setdefault(status.st_dev, set())
                    # INVARIANT: a file with one name that lies where it was declared is nowhere else.
                    (there.add if status.st_nlink > 1 else there.discard)(status.st_ino)
                    continue
                for folder in self.trees.named(root, left):
                    left -= folder.entries
                    folders.add(folder.identity)
                    numbers.setdefault(folder.identity[0], set()).update(folder.numbers or ())
        except (OSError, ValueError, Unseen):
            return None
        return Named(numbers, folders)

    def _is_stray(self, status: os.stat_result, look: Look) -> bool:
        """The files of assets are looked at only for one that has several names, or was an asset's: few have."""
        if status.st_nlink < 2 and (status.st_dev, status.st_ino) not in self._index.inodes:
            return False
        strays = self.strays(look)
        return strays is None or status.st_ino in strays

    def _few(self, real: str) -> list[tuple[str, os.stat_result]] | None:
        """The files below a directory, None if there are many.

        To look at a few costs less than at all those of assets, and what follows is the same: what is kept of a
        directory only says which is tried first.
        """
        if real in self._many:
            return None
        try:
            return list(self.trees.files(real, most=MAX_FEW))
        except Unseen:
            _remember(self._many, real)
            return None

    def followed(
        self, effect: Effect, place: Resource, target: Resource | None, attrs: dict[str, Any], look: Look
    ) -> Iterator[Effect]:
        """Assets that a command which goes through symbolic links would reach from a directory.

        Args: as for `linked`.
        """
        if place.real is None or place.dev is None or place.asset is not None:
            return
        known: set[str] = set()
        folders = {place.real: None}
        for folder in _growing(folders):
            links = self.links(folder, look)
            if links is None:
                yield _anything(effect, place, target, attrs)
            for path in links or ():
                there = locate(path)
                if there.directory and not f"{there.real}/".startswith(f"{place.real}/"):
                    folders.setdefault(there.real)  # links below that are followed as well
                reached = [self._index.at(there), *(self._index.below(there.real) if there.directory else ())]
                for asset in reached:
                    if asset is not None and asset not in known:
                        known.add(asset)
                        resource = msgspec.structs.replace(effect.resource, path=path, real=there.real, asset=asset)
                        yield msgspec.structs.replace(effect, resource=resource, target=target, attrs=attrs, edit=None)


def _remember(known: set[str], real: str) -> None:
    if len(known) >= MAX_KNOWN_MANY:
        known.clear()
    known.add(real)


def _growing(items: Mapping[str, None]) -> Iterator[str]:
    """The keys of a mapping, and those that come to it meanwhile."""
    done = 0
    while done < len(items):
        for item in tuple(items)[done:]:
            done += 1
            yield item


def _anything(effect: Effect, place: Resource, target: Resource | None, attrs: Mapping[str, Any]) -> Effect:
    """The same effect on a place with more in it than is looked at, where any asset may be."""
    return msgspec.structs.replace(effect, resource=place, target=target, attrs={**attrs, "any": True}, edit=None)
