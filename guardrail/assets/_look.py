"""What the addresses of one call turn out to be: each is looked at once, and all effects are judged on the same answer.

Not concerned with assets, only with keeping what was found out about them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from guardrail.assets._places import Place, locate, locate_in, of_process, present
from guardrail.model import Resource

_T = TypeVar("_T")

MAX_ASSETS_PER_EFFECT: Final = 64
"""Most assets one effect is split over; a further one is counted in `attrs.assets_more`."""

NO_ARGS: Final[Mapping[str, Any]] = {}
"""The arguments of a call that is not known."""


class Found(NamedTuple):
    """What an address turned out to be.

    Args:
        resources: it, once for each asset that it is, lies in or holds; at most one more than one effect is split over.
        anything: it could be any asset.
        more: assets that are not among the resources.
    """

    resources: list[Resource]
    anything: bool = False
    more: int = 0


def split(resource: Resource, assets: Sequence[str], total: int = 0) -> Found:
    """A resource, once for each asset, of which so many are told that it is seen that there are more."""
    if not assets:
        return Found([resource])
    told = assets[:MAX_ASSETS_PER_EFFECT]
    more = max(len(assets), total) - len(told)
    return Found([msgspec.structs.replace(resource, asset=asset) for asset in told], False, more)


class Look:
    """What one call's paths turned out to be."""

    __slots__ = ("_folders", "_found_out", "_places", "args", "assets")

    def __init__(self, args: Mapping[str, Any] = NO_ARGS) -> None:
        self.args = args
        self.assets: dict[str, str | None] = {}  # real paths -> the asset that is there
        self._found_out: dict[Hashable, Any] = {}
        self._places: dict[tuple[str, bool], Place | None] = {}
        self._folders: dict[str, str | None] = {}  # where they really are; None if that is no directory

    def once(self, what: Hashable, find: Callable[[], _T]) -> _T:
        """What is found out once for all effects of a call.

        Args:
            what: a name for it.
            find: finds it out.
        """
        if what not in self._found_out:
            self._found_out[what] = find()
        found: _T = self._found_out[what]
        return found

    def at(self, path: str, *, nofollow: bool) -> Place | None:
        """The place of a path, looked up once; None if it leads through a process of which nothing is known here."""
        key = (path, nofollow)
        if key not in self._places:
            self._places[key] = self._found(path, nofollow)
        return self._places[key]

    def _found(self, path: str, nofollow: bool) -> Place | None:
        place = self._located(path, nofollow)
        # A path that is its own resolution has crossed no link, and so no process. `ls` lists `/w/.`.
        if place.real == path.removesuffix("/.") and "/proc/" not in path and not path.startswith("/dev/"):
            return place
        inside = of_process(path, nofollow=nofollow)
        if inside is None:
            return None
        return place if inside == path else locate(inside, nofollow=nofollow)

    def _located(self, path: str, nofollow: bool) -> Place:
        """`locate`, which for another file in the same directory need not resolve that again."""
        head, _, name = path.rpartition("/")
        if not head or name in ("", ".", ".."):
            return locate(path, nofollow=nofollow)
        if head not in self._folders:
            place = present(path, nofollow=nofollow)
            if place is not None and place.real == path:
                # No link was on the way, so what it lies in has been found out with it.
                self._folders[head] = head
                return place
            folder = locate(head)
            self._folders[head] = folder.real if folder.directory else None
            if place is not None:
                return place
        real = self._folders[head]
        if real is None:
            return locate(path, nofollow=nofollow)
        return locate_in(real, path, name, nofollow=nofollow)
