"""Whether what is taken away of an asset has a date that cannot be true: its age may be why an order allows it.

Not concerned with what contradicts a date, which `_dates` knows, nor with what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from guardrail.assets._dates import Contradiction, contradiction
from guardrail.assets._index import AssetIndex
from guardrail.assets._look import Look
from guardrail.assets._places import Place, found_at, walk_files
from guardrail.model import Effect, Resource

if TYPE_CHECKING:
    from guardrail.assets._recognition import Recognition

_TRANSFERS: Final = frozenset({"copy", "link", "rename", "net_send", "api_copy"})
"""Ops by which a model gets elsewhere, for which its age may be the reason."""

MAX_DATED: Final = 4096
"""Most files of a directory whose dates are looked at; of more of them, any may have a false one."""

Forged = Contradiction | Literal["not_looked_at"]


class ForgedDates:
    """Tells files of assets whose date was set.

    Args:
        index: the assets, with the dates that their files had when the guard started.
        recognition: knows the dates that they had when they were registered.
    """

    def __init__(self, index: AssetIndex, recognition: Recognition | None) -> None:
        self._index = index
        self._recognition = recognition

    def told(self, effect: Effect, sources: Sequence[Resource], look: Look) -> dict[str, Any]:
        """What the date of what is taken away says of it, if it cannot be true: `forged_time`, for `attrs`.

        Args:
            effect: takes it, or does something else.
            sources: what it is done to.
            look: of the call.
        """
        if effect.op not in _TRANSFERS:
            return {}
        for source in sources:
            if source.asset is None or source.path is None:
                continue
            place = look.at(source.path, nofollow=source.nofollow)
            found = self._of(source.asset, place) if place is not None and place.exists else None
            if found is not None:
                return {"forged_time": found}
        return {}

    def _of(self, asset_id: str, place: Place) -> Forged | None:
        for number, one in enumerate(_files_at(place)):
            if number >= MAX_DATED:
                return "not_looked_at"
            found = contradiction(one.real, one)
            # A copy that kept the date of the file it was made from, or a file that was restored before it was
            # declared, has an old date and no false one.
            if found is not None and one.mtime_ns not in self._known(asset_id):
                return found
        return None

    def _known(self, asset_id: str) -> frozenset[int]:
        registered = self._recognition.dates(asset_id) if self._recognition is not None else frozenset[int]()
        if registered:
            return registered
        return frozenset(mtime_ns for owner, _, mtime_ns in self._index.inodes.values() if owner == asset_id)


def _files_at(place: Place) -> Iterator[Place]:
    if not place.directory:
        yield place
        return
    for path, status in walk_files(place.real, MAX_DATED + 1):
        yield found_at(path, status)
