"""The protected set: the inventory, frozen into paths and identities for the executor."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from typing import Final

from guardrail.assets import Asset
from guardrail.confine.execd._orders import ProtectedSet
from guardrail.confine.kernel._records import ConfineError

READABLE: Final = frozenset({"control", "evaluation", "criteria", "registry"})
"""Classes of assets that anybody may read: it is their change that does harm."""

OWN_CODE: Final = "guardrail:code"
"""The guard's own program, which anybody may read too."""

MAX_FILES: Final = 200_000
"""Most files of assets whose identity is kept. Beyond it other names of assets could not be told, so nothing starts."""


def protect(assets: Iterable[Asset]) -> ProtectedSet:
    """Freeze assets as they lie now.

    Blind spots: another name of a file that an outside process makes later; device numbers on overlay and btrfs.

    Args:
        assets: an `Inventory`, or some of its assets.

    Raises:
        ConfineError: if they have too many files, or one of their directories cannot be read.
    """
    roots: dict[str, str] = {}
    readable: list[str] = []
    for asset in assets:
        if asset.asset_class in READABLE or asset.id == OWN_CODE:
            readable.append(asset.id)
        for root in asset.roots:
            roots.setdefault(root, asset.id)
    identities: dict[tuple[int, int], str] = {}
    names: dict[tuple[int, int], tuple[str, int, int]] = {}
    for root, asset_id in roots.items():
        for path, found in _walk(root):
            key = found.st_dev, found.st_ino
            identities.setdefault(key, asset_id)
            if stat.S_ISREG(found.st_mode):
                names[key] = path, found.st_nlink, names.get(key, ("", 0, 0))[2] + 1
            if len(identities) > MAX_FILES:
                raise ConfineError(f"the assets have more than {MAX_FILES} files: declare the directories that matter")
    aliases = [path for path, links, seen in names.values() if links > seen]
    for root in roots:
        aliases += _mounted_elsewhere(root)
    return ProtectedSet(roots=roots, identities=identities, readable=readable, aliases=aliases)


def _walk(root: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        found = os.lstat(root)
    except FileNotFoundError:
        return  # the name is protected, and there is nothing else of it yet
    yield root, found
    if not stat.S_ISDIR(found.st_mode):
        return

    def fail(error: OSError) -> None:
        raise ConfineError(f"cannot look into `{error.filename}`, so what it holds is not known: let the guard read it")

    for at, directories, files in os.walk(root, onerror=fail):
        for name in (*directories, *files):
            path = os.path.join(at, name)
            try:
                yield path, os.lstat(path)
            except FileNotFoundError:
                continue


def _mounted_elsewhere(root: str) -> Iterator[str]:
    """Other mount points that show what lies at a root; by device number, so blind on overlay and btrfs."""
    try:
        device = os.stat(root).st_dev
    except OSError:
        return
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        rows = [line.split() for line in table]
    same = [(row[3], row[4]) for row in rows if row[2] == f"{os.major(device)}:{os.minor(device)}"]
    covering = [(top, point) for top, point in same if _is_at_or_below(root, point)]
    if not covering:
        return
    top, point = max(covering, key=lambda mount: len(mount[1]))
    inner = os.path.normpath(f"{top}/{os.path.relpath(root, point)}")
    for other, at in same:
        if at == point:
            continue
        if _is_at_or_below(inner, other):
            seen = os.path.normpath(f"{at}/{os.path.relpath(inner, other)}")
            if os.path.lexists(seen) and os.stat(seen).st_dev == device:
                yield seen
        elif _is_at_or_below(other, inner):
            yield at


def _is_at_or_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")
