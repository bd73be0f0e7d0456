"""The protected set: the inventory, frozen into paths and identities for the executor."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from guardrail.assets import Asset
from guardrail.confine.execd._orders import ProtectedSet, beneath
from guardrail.confine.kernel._records import ConfineError
from guardrail.printing import printable

READABLE: Final = frozenset({"control", "evaluation", "criteria", "registry"})
"""Classes of assets that anybody may read: it is their change that does harm."""

OWN_SERVING: Final = "guardrail:serving"
"""Programs that serve weights, as the operator fixed them, and the directories that those load their code from."""

OWN_SHOWN: Final = frozenset({"guardrail:code", OWN_SERVING})
"""What is the guard's own and anybody may read: its program, and those."""

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
        if asset.asset_class in READABLE or asset.id in OWN_SHOWN:
            readable.append(asset.id)
        for root in asset.roots:
            roots.setdefault(root, asset.id)
    identities: dict[tuple[int, int], str] = {}
    names: dict[tuple[int, int], tuple[str, int, int]] = {}
    for root, asset_id in roots.items():
        # Code has names elsewhere, in caches of packages say, and there may be any number of it: its place is kept.
        walked = files_of(root) if asset_id != OWN_SERVING else _only(root)
        for path, found in walked:
            key = found.st_dev, found.st_ino
            identities.setdefault(key, asset_id)
            if stat.S_ISREG(found.st_mode) and asset_id != OWN_SERVING:
                names[key] = path, found.st_nlink, names.get(key, ("", 0, 0))[2] + 1
            if len(identities) > MAX_FILES:
                raise ConfineError(f"the assets have more than {MAX_FILES} files: declare the directories that matter")
    aliases = [path for path, links, seen in names.values() if links > seen]
    for root in roots:
        aliases += _mounted_elsewhere(root)
    return ProtectedSet(roots=roots, identities=identities, readable=readable, aliases=aliases, holders=_holders(roots))


def _holders(roots: Mapping[str, str]) -> dict[tuple[int, int], str]:
    """The directories above assets, which may be reached by another mount than the one that was declared."""
    found: dict[tuple[int, int], str] = {}
    for root, asset in roots.items():
        above = os.path.dirname(root)
        while True:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                seen = os.stat(above)
                found.setdefault((seen.st_dev, seen.st_ino), asset)
            if above == os.path.dirname(above):
                break
            above = os.path.dirname(above)
    return found


def _only(root: str) -> Iterator[tuple[str, os.stat_result]]:
    with contextlib.suppress(OSError):
        yield root, os.lstat(root)


def raised(error: ConfineError) -> None:
    """Take what went wrong as an end of everything."""
    raise error


def files_of(root: str, failed: Callable[[ConfineError], None] = raised) -> Iterator[tuple[str, os.stat_result]]:
    """What lies at and beneath a root, with what it is; links are not followed.

    As deep as it goes: whoever nests directories ends nobody's walk by it.

    Args:
        root: a real path.
        failed: takes what could not be looked into; the walk goes on beside it, if this returns.

    Raises:
        ConfineError: by default, if something cannot be looked into, for what it holds is not known then.
    """
    waiting = [root]
    while waiting:
        path = waiting.pop()
        try:
            found = os.lstat(path)
            names = os.listdir(path) if stat.S_ISDIR(found.st_mode) else ()
        except (FileNotFoundError, NotADirectoryError):
            continue  # it is gone since it was listed; of a root there is nothing but the name yet
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            said = f"cannot look into `{printable(path)}`, so what it holds is not known: {why}"
            failed(ConfineError(f"{said}; let the guard read it"))
            continue
        yield path, found
        waiting += (os.path.join(path, name) for name in names)


def mounts() -> list[tuple[str, str, str]]:
    """Every mount: device, the directory of it that is shown, and where."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        rows = [line.split(" ", 5) for line in table]
    return [(row[2], _unescaped(row[3]), _unescaped(row[4])) for row in rows]


def _unescaped(path: str) -> str:
    """A path of that table, in which spaces and the like are octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _mounted_elsewhere(root: str) -> Iterator[str]:
    """Other mount points that show what lies at a root; by device number, so blind on overlay and btrfs."""
    try:
        device = os.stat(root).st_dev
    except OSError:
        return
    same = [(top, point) for of, top, point in mounts() if of == f"{os.major(device)}:{os.minor(device)}"]
    covering = [(top, point) for top, point in same if beneath(root, (point,))]
    if not covering:
        return
    top, point = max(covering, key=lambda mount: len(mount[1]))
    inner = os.path.normpath(f"{top}/{os.path.relpath(root, point)}")
    for other, at in same:
        if at == point:
            continue
        if beneath(inner, (other,)):
            seen = os.path.normpath(f"{at}/{os.path.relpath(inner, other)}")
            if os.path.lexists(seen) and os.stat(seen).st_dev == device:
                yield seen
        elif beneath(other, (inner,)):
            yield at
