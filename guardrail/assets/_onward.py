"""What one part of a call makes of an asset, and another part of the same call takes onward.

Not concerned with the order of the parts: loops and what runs in the background have none. What earlier calls made is
known to `_lineage`.
"""

from __future__ import annotations

import fnmatch
import itertools
import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from guardrail.assets._lineage import TAKING, derived
from guardrail.errors import AnalysisFault
from guardrail.model import ANY_DEPTH, Effect

MAX_ROUNDS: Final = 64
"""Most times that one call makes something of what it made before; one that does so more often is not judged."""

TREES: Final = frozenset(("rename", "link", "mount"))
"""Ops that take all that is in a directory without saying that they go into it."""


def onward(effects: list[Effect], class_of: Callable[[str], str | None]) -> list[Effect]:
    """The same; what is made of an asset counts as that wherever else the call takes it from.

    Args:
        effects: what one call would do, resolved.
        class_of: asset id -> its class.

    Raises:
        AnalysisFault: if there are more than `MAX_ROUNDS` steps from an asset to what is made of it.
    """
    made = _by_place(derived(effects, class_of))
    if not made:
        return effects
    # What is copied with all that lies in it lies there under any name.
    trees = frozenset(one.target.real for one in effects if one.target is not None and one.resource.recursive)
    for _ in range(MAX_ROUNDS):
        taken = [one for effect in effects for one in _taken(effect, made, trees)]
        more = _by_place(derived(taken, class_of))
        if more == made:
            return taken
        made = more
    # INVARIANT: what is not followed to its end is not let go on.
    raise AnalysisFault(f"a call copies what it made of an asset on and on, more than {MAX_ROUNDS} times: split it")


def _by_place(found: Iterable[tuple[str, str, str, str]]) -> dict[str, dict[str, None]]:
    """Place -> the assets that something there is made of: of a merge, several."""
    made: dict[str, dict[str, None]] = {}
    for _, place, asset, _ in found:
        made.setdefault(place, {})[asset] = None
    return made


def _taken(effect: Effect, made: Mapping[str, Mapping[str, None]], trees: Collection[str | None]) -> Iterator[Effect]:
    """The effect, once on each asset that what it takes is made of."""
    source = effect.resource
    if effect.op not in TAKING or source.asset is not None or source.real is None:
        yield effect
        return
    found = (assets for place, assets in made.items() if _is_of(effect, place, place in trees))
    assets = dict.fromkeys(itertools.chain.from_iterable(found))
    if not assets:
        yield effect
    for asset in assets:
        yield msgspec.structs.replace(effect, resource=msgspec.structs.replace(source, asset=asset))


def _is_of(effect: Effect, place: str, tree: bool) -> bool:
    """What an effect names may be, lie in or hold what was made at a place; `*` stands for parts of a name."""
    source = effect.resource
    here = (source.real or "").rstrip("/")
    if here == place or here.startswith(f"{place}/") or fnmatch.fnmatchcase(here, place):
        return True
    if not place.startswith(f"{here}/"):
        return False
    if source.pattern is None:
        return source.recursive or effect.op in TREES or (is_repository(effect) and place.startswith(f"{here}/.git/"))
    # Of a pattern the place is the directory that it begins in.
    last = last_of(source.pattern)
    return tree or any(fnmatch.fnmatchcase(part, last) or "*" in part for part in place[len(here) + 1 :].split("/"))


def is_repository(effect: Effect) -> bool:
    """What is taken is what the repository of a directory holds."""
    return effect.attrs.get("committed") is True


def last_of(pattern: str) -> str:
    """The last name in a pattern."""
    return posixpath.basename(pattern.replace(ANY_DEPTH, "").rstrip("/"))
