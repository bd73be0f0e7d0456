"""What the executor is told: which things are protected, and what one session may reach. Plain data, no I/O.

Dataclasses, and not the msgspec records of the rest of the house, because the executor has the standard library alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Mode = Literal["floor", "default", "strict"]
"""How much is held: Landlock and the filter; with a supervisor of changes; with one of every open."""

DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
"""The devices that every tool may read; never all of /dev, for /dev/shm lies in it."""

WRITABLE_DEVICES: Final = ("/dev/null",)


class ProtectedSet:
    """Every protected thing, by the path that it lies at and by what it is; frozen.

    INVARIANT: both are asked, because each alone has a hole: other names of a file, and new files in a protected tree.

    Args:
        roots: id of the asset at each real path.
        identities: id of the asset of each (device, inode) that was found at or beneath those.
        readable: ids of assets that anybody may read, such as control configurations.
        aliases: other names of protected files that are known to exist, or could: what a name cannot tell.
        holders: id of an asset beneath each directory above one, by (device, inode).
    """

    __slots__ = ("_ancestors", "aliases", "holders", "identities", "readable", "roots")

    def __init__(
        self,
        *,
        roots: Mapping[str, str],
        identities: Mapping[tuple[int, int], str],
        readable: Sequence[str] = (),
        aliases: Sequence[str] = (),
        holders: Mapping[tuple[int, int], str] | None = None,
    ) -> None:
        self.roots = dict(roots)
        self.identities = dict(identities)
        self.readable = frozenset(readable)
        self.aliases = tuple(aliases)
        self.holders = dict(holders or {})
        ancestors: dict[str, str] = {}
        for root, asset in self.roots.items():
            while (above := os.path.dirname(root)) != root:
                ancestors.setdefault(above, asset)
                root = above
        self._ancestors = ancestors

    def beneath(self, real: str, identity: tuple[int, int] | None) -> str | None:
        """Id of an asset that lies, or is to lie, beneath what is there: a directory moves with all that it holds."""
        return self._ancestors.get(real) or (self.holders.get(identity) if identity is not None else None)

    def at(self, real: str, identity: tuple[int, int] | None) -> str | None:
        """Id of the asset that is, or holds, what lies there."""
        if identity is not None and (found := self.identities.get(identity)):
            return found
        while real:
            if found := self.roots.get(real):
                return found
            above = real.rpartition("/")[0]
            if above == real:
                break
            real = above
        return None

    def where_written(self, profile: Profile) -> dict[str, str]:
        """Path of each asset, by its id, that lies where a session may write without leave to change it.

        Landlock takes nothing out of a directory, so without a supervisor nobody holds it there.
        """
        granted = {asset for _, asset in profile.grants}
        found = {asset: root for root, asset in self.roots.items() if beneath(root, profile.write)}
        return {asset: root for asset, root in found.items() if asset not in granted}

    def to_plain(self) -> dict[str, Any]:
        """As JSON can carry it."""
        return {
            "roots": self.roots,
            "identities": _rows(self.identities),
            "holders": _rows(self.holders),
            "readable": sorted(self.readable),
            "aliases": list(self.aliases),
        }

    @classmethod
    def from_plain(cls, value: dict[str, Any]) -> ProtectedSet:
        """What `to_plain` gave."""
        return cls(
            roots=value["roots"],
            identities={(dev, ino): asset for dev, ino, asset in value["identities"]},
            holders={(dev, ino): asset for dev, ino, asset in value["holders"]},
            readable=value["readable"],
            aliases=value["aliases"],
        )


def _rows(found: Mapping[tuple[int, int], str]) -> list[list[int | str]]:
    return [[dev, ino, asset] for (dev, ino), asset in found.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one session may reach. An empty list allows nothing.

    Args:
        mode: how much is held.
        read: real paths that may be read and executed, each with all beneath it.
        write: real paths that may be changed, each with all beneath it.
        sockets: real directories in which sockets may be made, and nothing else.
        connect: TCP ports that may be connected to, on any host.
        bind: TCP ports that may be listened on.
        unix: real paths of sockets that may be connected to; needs pidfd_getfd, which some pods refuse.
        reads: ids of assets that this session may read.
        grants: pairs of an op and the id of an asset that this session may do it to.
        times: what becomes of an explicit time on what is not protected: `observe` lets it be and tells, or `deny`.
        strict_on_aliases: turn `default` into `strict` where the protected set has aliases.
        processes: most processes and threads that its tools have at one time, or 0 for no bound; who has more is ended.
    """

    mode: Mode = "default"
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    connect: tuple[int, ...] = ()
    bind: tuple[int, ...] = ()
    unix: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    grants: tuple[tuple[str, str], ...] = ()
    times: Literal["observe", "deny"] = "observe"
    strict_on_aliases: bool = True
    processes: int = 0

    @classmethod
    def from_plain(cls, value: dict[str, Any]) -> Profile:
        """From JSON, whose lists become tuples."""
        plain = dict(value)
        for name in ("read", "write", "sockets", "connect", "bind", "unix", "reads"):
            plain[name] = tuple(value[name])
        plain["grants"] = tuple((op, asset) for op, asset in value["grants"])
        return cls(**plain)

    @property
    def has_unix(self) -> bool:
        """Whether sockets of this host may exist."""
        return bool(self.unix or self.sockets)


def beneath(path: str, roots: Sequence[str]) -> bool:
    """Whether a real path is one of the roots or lies beneath one."""
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)
