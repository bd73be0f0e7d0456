"""What a tool would change: ordered of what stands for it, and read from its account.

Not concerned with whether it may be done: `guardrail.trial` has it judged, and does it.
"""

from __future__ import annotations

import os
from typing import Any, Literal

import msgspec

from guardrail.confine.execd._orders import Profile, ProtectedSet, beneath
from guardrail.confine.kernel._protected import mounts
from guardrail.confine.kernel._records import ConfineError
from guardrail.printing import printable


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a tool would have done.

    Args:
        op: what; `cannot` for what is not done again in the same way.
        root: the directory on trial.
        path: below that.
        mode: the mode that it is given.
        size: of new content, in bytes.
        staged: where new content lies.
        sha256: of new content.
        target: of a link.
        mtime_ns: the time that it is given, in nanoseconds since 1970.
        was: what it was when it was looked at, as `os.lstat` has it: device, inode, mode, size, times of content and of
            status.
        why: why it cannot be done.
    """

    op: Literal["write", "mkdir", "link", "delete", "rmdir", "chmod", "touch", "cannot"]
    root: str
    path: str
    mode: int = 0
    size: int = 0
    staged: str = ""
    sha256: str = ""
    target: str = ""
    mtime_ns: int = 0
    was: tuple[int, ...] | None = None
    why: str = ""

    @property
    def at(self) -> str:
        """Its real path."""
        return f"{self.root}/{self.path}"


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a trial.

    Args:
        changes: what the tool would have done, in order.
        problem: why it can only be dropped, if that is so.
    """

    changes: tuple[Change, ...] = ()
    problem: str | None = None


class TrialOrder:
    """The order of one trial.

    Args:
        profile: what the tool may reach.
        protected: what nobody may change.
        place: where orders and accounts lie.
        name: of this one.

    Raises:
        ConfineError: if not all that the tool may change can be on trial.
    """

    def __init__(self, profile: Profile, protected: ProtectedSet, place: str, name: str) -> None:
        _check_covers(profile, protected)
        self._roots = [
            one for one in profile.write if not beneath(one, [other for other in profile.write if other != one])
        ]
        self._stage, upper = (os.path.join(place, f"{name}.{what}") for what in ("stage", "upper"))
        for made in (self._stage, upper):
            os.mkdir(made, 0o700)
        self.plain = {"roots": self._roots, "upper": upper, "stage": self._stage}

    def read(self, told: dict[str, Any] | None) -> Tried:
        """What the account says of it."""
        if told is None or "failed" in told:
            return Tried(problem=f"nobody knows what it would change: {(told or {}).get('failed', 'it was not told')}")
        found = tuple(self._change(one) for one in told["changes"])
        if told["more"]:
            return Tried(changes=found, problem=f"it would change more than {len(found)} things")
        lost = next((one for one in found if one.op == "cannot"), None)
        problem = None if lost is None else f"`{printable(lost.at)}` cannot be done again: {lost.why}"
        return Tried(changes=found, problem=problem)

    def _change(self, told: dict[str, Any]) -> Change:
        given: dict[str, Any] = {**told, "root": self._roots[told["root"]]}
        if "staged" in told:
            given["staged"] = os.path.join(self._stage, told["staged"])
        return msgspec.convert(given, Change)


def _check_covers(profile: Profile, protected: ProtectedSet) -> None:
    """INVARIANT: what a tool can change on trial is a copy, all of it."""
    if profile.sockets or profile.bind:
        raise ConfineError("a serving program is not run on trial: it changes nothing, and others reach it")
    if protected.aliases:
        # A copy has a number of its own, so another name of an asset would not be known for one.
        raise ConfineError(f"`{printable(protected.aliases[0])}` has another name, which is not known on trial")
    for root in profile.write:
        if not os.path.isdir(root):
            raise ConfineError(f"`{printable(root)}` is no directory, and only those are tried on a copy")
        inner = next((point for _, _, point in mounts() if point != root and beneath(point, (root,))), None)
        if inner is not None:
            raise ConfineError(f"`{printable(inner)}` is mounted in `{printable(root)}`, and would not be on trial")
