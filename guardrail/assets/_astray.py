"""Where what is taken of an asset arrives, if the same call first changes what a path leads to.

Not concerned with the order of the parts: loops and what runs in the background have none. Blind spot: a link that
something opaque makes in the same call, such as an archive that is unpacked, is not there yet.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Final

import msgspec

from guardrail.assets._places import locate
from guardrail.model import Effect, Resource

MAX_PIECES: Final = 10_000
"""Most names in a directory that are looked at to see where the pieces of a file go; of more nothing is said."""

_CUTTING: Final = frozenset({"split", "gsplit", "gguf-split", "llama-gguf-split"})
"""Commands that add to the beginning of a name, and never a slash; what others add may be chosen, such as by `csplit`.
"""

_BRINGING: Final = frozenset({"copy", "rename", "link", "mount"})
"""Ops after which a path may lead to another place than before."""


def astray(effects: list[Effect]) -> list[Effect]:
    """The same; what an asset is copied to, where the call may have led that path elsewhere, is not known.

    Args:
        effects: what one call would do, resolved.
    """
    brought = [one for one in effects if one.op in _BRINGING and one.target is not None]
    if len(brought) < 2:
        return effects
    return [_elsewhere(effect) if _led(effect, brought) else effect for effect in effects]


def stem_of(effect: Effect) -> str | None:
    """The beginning of every name that the pieces of a file get, if all of them certainly lie in one directory.

    Args:
        effect: what would be done, resolved.

    Returns:
        The real path of the directory with the beginning of the names; None if it is something else than a file cut in
        pieces, or if one of such names that are there is anything else than a file of one name.
    """
    resource = effect.target
    if resource is None or effect.op != "copy" or effect.origin is None or effect.origin.spec not in _CUTTING:
        return None
    folder, _, name = (resource.pattern or "").rpartition("/")
    if resource.real is None or not folder.startswith("/") or not name.endswith("*"):
        return None
    begin = name[:-1]
    if any(char in f"{folder}/{begin}" for char in "*?[") or "/../" in f"{folder}/":
        return None
    place = locate(folder)
    if not place.directory or place.hidden or place.real != resource.real or place.real.startswith("/proc"):
        return None
    stem = f"{place.real.rstrip('/')}/{begin}"
    return stem if _only_files(place.real, begin) else None


def _only_files(folder: str, begin: str) -> bool:
    """Whether nothing with such a name leads elsewhere: a link, a file with another name, a device or a pipe."""
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number >= MAX_PIECES:
                    return False
                if entry.name.startswith(begin):
                    status = entry.stat(follow_symlinks=False)
                    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                        return False
    except OSError:
        return False
    return True


def _led(effect: Effect, brought: Sequence[Effect]) -> bool:
    target = effect.target
    if effect.op == "mount" or effect.resource.asset is None or target is None or target.real is None:
        return False
    return any(_leads(one, target) for one in brought if not _same(one, effect))


def _same(one: Effect, other: Effect) -> bool:
    """Whether two effects are one copy: of several assets, it is one effect each."""
    return one.op == other.op and one.resource.path == other.resource.path and one.target == other.target


def _leads(one: Effect, target: Resource) -> bool:
    """Whether what an effect brings somewhere may lead what goes to a target elsewhere."""
    there, place = one.target.real if one.target is not None else None, target.real or "/"
    if one.op == "mount":
        return there is not None and _within(place, there)
    if there is None or (one.target is not None and one.target.pattern is not None):
        # A link with a name that is not known can be any on the way.
        return one.op == "link" and _within(place, there or "/")
    if target.pattern is not None:
        return _within(place, there) or there.startswith(target.pattern.partition("*")[0])
    if not _within(place, there):
        return False
    if one.op == "link":
        return True
    if one.resource.real is None or one.resource.pattern is not None:
        return False
    # What is brought there is a link, or has one in it on this way.
    inner = os.path.normpath(f"{one.resource.real}{place[len(there.rstrip('/')) :]}")
    return locate(inner).real != inner


def _within(place: str, folder: str) -> bool:
    return f"{place}/".startswith(f"{folder.rstrip('/')}/")


def _elsewhere(effect: Effect) -> Effect:
    if effect.target is None:
        return effect
    anywhere = msgspec.structs.replace(effect.target, path=None, real=None, pattern="**")
    return msgspec.structs.replace(effect, target=anywhere)
