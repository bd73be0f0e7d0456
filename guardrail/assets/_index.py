"""Where assets lie: by path, by inode, by mount and by content.

Look-up is by real path (an asset covers what lies below it), by inode (other names of the same file), and, for what
reaches downwards, by what lies below. Each costs the depth of a path, not the number of assets.
Not concerned with effects: `_inventory` is.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from guardrail.assets._addresses import Addresses
from guardrail.assets._asset import Asset
from guardrail.assets._controls import Overrides, watched_name
from guardrail.assets._mounts import Coordinates, Mounts
from guardrail.assets._places import Place, locate, walk_files

if TYPE_CHECKING:
    from guardrail.assets._recognition import Recognition

MAX_INDEXED_FILES: Final = 200_000
"""Most files whose inode is remembered for one asset; further ones are known by path only."""

INDEX_CHEAP_SECONDS: Final = 0.005
"""A walk over all assets in search of new names that took longer, in seconds, gets at most a tenth of the time."""

STAT_SECONDS: Final = 2e-6
"""What looking at one file again is taken to cost, in seconds."""

INDEX_WAITED_SECONDS: Final = 0.1
"""A walk that takes longer, in seconds, is made beside the calls, which do not wait for it."""

MAX_COUNTED: Final = 10_000
"""Most files of assets that are looked at to see whether any has a name outside its place; of more any may have."""

MAX_STRANGERS: Final = 100_000
"""Most files with several names that are remembered as no asset's."""

MAX_COVERED: Final = 4096
"""Most directories of which it is remembered in which asset they lie by their name."""

_MODELS: Final = frozenset({"weights", "checkpoint", "adapter"})


class AssetIndex:
    """Every asset, and where it lies.

    Args:
        recognition: tells registered assets by their content; without it they are known by place and inode.
    """

    def __init__(self, recognition: Recognition | None = None) -> None:
        self.assets: dict[str, Asset] = {}
        self.roots: dict[str, str] = {}  # real path -> the asset that is there with all below it
        self._covered: dict[str, str | None] = {}  # directory -> the asset that it is, or lies in, by its name
        self.nested: dict[str, list[str]] = {}  # directory -> the assets somewhere below it
        self.children: dict[str, dict[str, None]] = {}  # directory -> the names in it that lead to assets
        self.inodes: dict[tuple[int, int], tuple[str, int, int]] = {}  # -> asset, size, date
        self.addresses = Addresses()
        self.mounts = Mounts()
        self.overrides = Overrides()
        self.by_key: dict[str, list[str]] = {}  # name of a control -> the assets that have it
        self.variables: dict[str, tuple[str, str]] = {}  # environment variable -> asset and control it stands for
        self._recognition = recognition
        self._mounted: dict[Coordinates, str] = {}
        self._mounted_below: dict[Coordinates, list[str]] = {}
        self._mounted_version = -1
        self._strangers: dict[tuple[int, int], int] = {}
        self._lock = threading.Lock()
        self._indexed_at = time.monotonic()
        self._index_cost = 0.0

    # -- building

    def add(self, asset: Asset, spelled: Sequence[str], places: Sequence[Place]) -> None:
        """Take in an asset.

        Args:
            asset: the asset.
            spelled: its paths as they were declared.
            places: where those lead now.
        """
        self.assets[asset.id] = asset
        self._covered.clear()
        for control in asset.controls.names if asset.controls else ():
            if (variable := watched_name(control)) is not None:
                self.variables.setdefault(variable, (asset.id, control))
            self._key(control, asset.id)
        # The name as declared is an asset too: removing the link `/models` takes the models away from their users.
        names = set(asset.roots)
        for path, place in zip(spelled, places, strict=True):
            if place.directory:
                began = time.monotonic()
                self._note_inodes(asset.id, place.real, self.inodes)
                self._index_cost += time.monotonic() - began
            elif place.regular and place.dev is not None and place.ino is not None:
                self.inodes[(place.dev, place.ino)] = (asset.id, place.size, place.mtime_ns)
                self._index_cost += STAT_SECONDS
            name = os.path.normpath(path)
            if name != place.real:
                names |= {name, locate(path, nofollow=True).real}
        for name in names:
            # INVARIANT: the longest root wins in `at`, so nested assets keep their own id.
            self.roots.setdefault(name, asset.id)
            if asset.controls:
                self.overrides.add(asset.id, name)
            self._add_below(name, asset)

    def _key(self, control: str, asset_id: str) -> None:
        """A control is found by its whole name and by that of every table that it stands in."""
        key = control
        while key:
            known = self.by_key.setdefault(key, [])
            if asset_id not in known[-1:]:
                known.append(asset_id)
            key = key.rpartition(".")[0]

    def _add_below(self, name: str, asset: Asset) -> None:
        parent, child = name, ""
        while parent != "/":
            above, _, child = parent.rpartition("/")
            parent = above or "/"
            self.children.setdefault(parent, {})[child] = None
            below = self.nested.setdefault(parent, [])
            if asset.asset_class == "guard":
                # Of more assets than one effect is split over, the guard's own are never those left out.
                if asset.id not in below[:1]:
                    below.insert(0, asset.id)
            elif asset.id not in below[-1:]:
                below.append(asset.id)

    def _index_inodes(self) -> None:
        began = time.monotonic()
        found: dict[tuple[int, int], tuple[str, int, int]] = {}
        for asset in self.assets.values():
            for root in asset.roots:
                self._note_inodes(asset.id, root, found)
        self.inodes = found
        self._indexed_at = time.monotonic()
        self._index_cost = self._indexed_at - began

    @staticmethod
    def _note_inodes(asset_id: str, root: str, found: dict[tuple[int, int], tuple[str, int, int]]) -> None:
        for _, status in walk_files(root, MAX_INDEXED_FILES):
            found[(status.st_dev, status.st_ino)] = (asset_id, status.st_size, status.st_mtime_ns)

    # -- asking

    def at(self, place: Place) -> str | None:
        """The asset that is at a place, or that the place lies in."""
        asset_id = self.roots.get(place.real)
        if asset_id is None:
            asset_id = self._covering(place.real.rpartition("/")[0] or "/")
        if asset_id is not None:
            return asset_id
        if self.mounts.several and (asset_id := self._asset_mounted(place.real)) is not None:
            return asset_id
        if place.dev is None or place.ino is None or place.directory:
            return None
        return self._by_inode(place, (place.dev, place.ino)) or self.by_content(place)

    def _covering(self, folder: str) -> str | None:
        """The asset that a directory is, or lies in, by its name: that changes only where assets are taken in."""
        known = self._covered
        if folder in known:
            return known[folder]
        here = folder
        while (asset_id := self.roots.get(here)) is None and here != "/":
            here = here.rpartition("/")[0] or "/"
        if len(known) >= MAX_COVERED:
            known.clear()
        known[folder] = asset_id
        return asset_id

    def below(self, real: str) -> Sequence[str]:
        """The assets somewhere below a directory, also by mounts."""
        found = self.nested.get(real.rstrip("/") or "/", [])
        if not self.mounts.several:
            return found
        # Below a directory an asset may be mounted, or what holds one.
        more: dict[str, None] = dict.fromkeys(found)
        for point in (real, *self.mounts.below(real)):
            here = self.mounts.coordinates(point)
            asset = self._asset_mounted(point) if point != real else None
            if asset is not None:
                more[asset] = None
            if here is not None:
                self._coordinates()
                within = self._mounted_below.get(here, [])
                # Below the one name of a directory lies what lies below the other.
                more.update(dict.fromkeys(within))
        return list(more)

    def strays(self) -> frozenset[int] | None:
        """Inode numbers of the assets' files that may have a name outside their place; None if any file may.

        INVARIANT: a file with one name that lies where it was declared is nowhere else, whatever is looked at.
        """
        if len(self.assets) > MAX_COUNTED or len(self.inodes) > MAX_COUNTED:
            return None
        found: set[int] = set()
        missing = self.models()
        left = MAX_COUNTED
        for root in {root for asset in self.assets.values() for root in asset.roots}:
            for _, status in walk_files(root, left):
                left -= 1
                missing.discard((status.st_dev, status.st_ino))
                if status.st_nlink > 1:
                    found.add(status.st_ino)
            if left <= 0:
                return None
        return frozenset(found | {ino for _, ino in missing})

    def models(self) -> set[tuple[int, int]]:
        """Where files of models are, or were: one that is not at its place was deleted, or moved.

        Other files are replaced every day.
        """
        return {key for key, (asset, _, _) in self.inodes.items() if self.assets[asset].asset_class in _MODELS}

    def is_unread(self, place: Place) -> bool:
        """A file that may hold an asset, which this process may not read."""
        return self._recognition is not None and self._recognition.is_unread(place)

    def by_content(self, place: Place) -> str | None:
        """The declared asset whose content a file has, as far as a look tells."""
        asset_id = self._recognition.asset_of(place) if self._recognition is not None else None
        # What was registered and is declared no more has no rules either.
        return asset_id if asset_id in self.assets else None

    def _by_inode(self, place: Place, key: tuple[int, int]) -> str | None:
        known = self.inodes.get(key)
        if known is None:
            return self._asset_of_linked(place, key) if place.links > 1 and self.assets else None
        # An inode whose file was deleted is given to the next new file: that one has neither the size nor the date.
        asset_id, size, mtime_ns = known
        return asset_id if place.links > 1 or size == place.size or mtime_ns == place.mtime_ns else None

    def _asset_of_linked(self, place: Place, key: tuple[int, int]) -> str | None:
        # A second name of some file, perhaps made since the index was built. Making a name moves the inode's ctime,
        # so an inode once found to be no asset's stays so until its ctime moves.
        if self._strangers.get(key) == place.ctime_ns:
            return None
        with self._lock:
            if self._index_cost > INDEX_CHEAP_SECONDS and time.monotonic() - self._indexed_at < 10 * self._index_cost:
                # Only a process that is not guarded can have made a name since: making one is an effect on the asset.
                return None
            if self._index_cost > INDEX_WAITED_SECONDS:
                # So many that no call can wait for them; what holds for one within that time holds here.
                threading.Thread(target=self._index_inodes, name="guardrail-inodes", daemon=True).start()
                self._indexed_at = time.monotonic()
                return None
            self._index_inodes()
            known = self.inodes.get(key)
            if known is not None:
                return known[0]
            if len(self._strangers) >= MAX_STRANGERS:
                self._strangers.clear()
            self._strangers[key] = place.ctime_ns
        return None

    def _asset_mounted(self, real: str) -> str | None:
        """The asset that a path leads to by a mount that gives it another name."""
        here = self.mounts.coordinates(real)
        if here is None:
            return None
        known, (device, path) = self._coordinates(), here
        while True:
            if (device, path) in known:
                return known[device, path]
            if path == "/":
                return None
            path = path.rpartition("/")[0] or "/"

    def _coordinates(self) -> Mapping[Coordinates, str]:
        """Where the assets lie, by the table of mounts as it is now."""
        if self._mounted_version != self.mounts.version:
            version = self.mounts.version
            found: dict[Coordinates, str] = {}
            inside: dict[Coordinates, list[str]] = {}
            for root, asset in self.roots.items():
                here = self.mounts.coordinates(root)
                if here is not None:
                    found.setdefault(here, asset)
                    device, path = here
                    while path not in ("", "/"):
                        path = path.rpartition("/")[0] or "/"
                        inside.setdefault((device, path), []).append(asset)
            self._mounted, self._mounted_below, self._mounted_version = found, inside, version
        return self._mounted
