"""What is answered to a trapped call: pure, over what its objects turned out to be.

The same vocabulary as the text line: an op on a resource with device and inode, and the asset that it is part of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from guardrail.confine.execd._orders import WRITABLE_DEVICES, Profile, ProtectedSet, beneath

Answer = Literal["allow", "observe", "deny"]

LOOKING: Final = frozenset({"read", "net_send", "net_recv"})
"""Ops that need no write root."""


@dataclass(frozen=True, slots=True)
class Found:
    """What an argument led to.

    Args:
        real: its path without links; of an entry, that of its directory and its name.
        identity: device and inode, or nothing if there is nothing at that name yet.
    """

    real: str
    identity: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is answered, and on what ground.

    Args:
        answer: `observe` lets it happen, and tells of it.
        asset: id of the asset that it bears on.
        why: `asset`, `ancestor` of one, `granted` to the session, `outside` of the write roots, or `times`.
    """

    answer: Answer
    asset: str | None = None
    why: str = ""


_FREE: Final = Verdict("allow")


def judge(
    profile: Profile,
    protected: ProtectedSet,
    op: str,
    objects: Sequence[Found],
    *,
    entry: bool = False,
    explicit_times: bool = False,
) -> Verdict:
    """Decide one call.

    Args:
        profile: what the session may reach.
        protected: what nobody may change, and only some may read.
        op: what the call would do.
        objects: to what, all of them.
        entry: whether names are moved or removed, or a directory is closed, so that what lies beneath counts too.
        explicit_times: whether it sets a time that is not now.
    """
    granted: str | None = None
    for found in objects:
        asset = protected.at(found.real, found.identity)
        if asset is not None and not _is_granted(op, asset, profile, protected):
            return Verdict("deny", asset, "asset")
        if asset is not None and not (op == "read" and asset in protected.readable):
            granted = asset
        if entry and (asset := protected.beneath(found.real, found.identity)):
            return Verdict("deny", asset, "ancestor")
    if op not in LOOKING and any(_is_outside(found.real, profile) for found in objects):
        return Verdict("deny", None, "outside")
    if explicit_times:
        return Verdict("deny" if profile.times == "deny" else "observe", granted, "times")
    if granted is not None:
        return Verdict("observe", granted, "granted")
    return Verdict("observe") if op in {"net_send", "net_recv"} else _FREE


def _is_granted(op: str, asset: str, profile: Profile, protected: ProtectedSet) -> bool:
    if op == "read" and (asset in profile.reads or asset in protected.readable):
        return True
    return (op, asset) in profile.grants


def _is_outside(real: str, profile: Profile) -> bool:
    """What has no place in the tree of files, such as a pipe, is outside of nothing."""
    return real.startswith("/") and real not in WRITABLE_DEVICES and not beneath(real, profile.write)
