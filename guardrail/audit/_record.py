"""From a record to the bytes of a leaf: the fields every record gets, and their canonical form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from guardrail.audit.clock import Clock, boot_id, uptime
from guardrail.canonical import canonical
from guardrail.errors import TrailError
from guardrail.model import new_id

VERSION: Final = 1
"""Version of the record format, in the field `v`."""

MAX_LEAF_BYTES: Final = 60 * 1024
"""Largest leaf, in bytes: entry bundles of C2SP tlog-tiles prefix each entry with a 16-bit length."""

STAMPED: Final = frozenset({"v", "seq", "log", "boot", "t_us", "mono_us"})
"""Fields that only the trail fills in; `id` may come from the caller."""


class Later(msgspec.Struct, frozen=True, gc=False):
    """A record that nobody waits for: written out when its turn comes, and not on the way of a call.

    Args:
        kind: its kind.
        make: gives the record; called at most once, by the thread that writes, so it reads only what does not change.
            If it fails, the trail fails: numbers after its own were given by then.
    """

    kind: str
    make: Callable[[], Mapping[str, Any]]


class Moment(NamedTuple):
    """When a record was appended, by both clocks, in microseconds: since 1970, and since the boot."""

    t_us: int
    mono_us: int


class Stamp:
    """What every record of one opened trail has in common.

    Args:
        origin: name of the ledger.
        last_us: time of the last record, in microseconds since 1970: none that follows is dated before it.
    """

    __slots__ = ("_boot", "_clock", "_origin")

    def __init__(self, origin: str, last_us: int = 0) -> None:
        self._origin = origin
        self._clock = Clock(last_us)
        self._boot = boot_id()

    def now(self) -> Moment:
        """The time that a record gets which is appended now."""
        return Moment(self._clock(), uptime()[1])

    def leaf(self, record: Mapping[str, Any], seq: int, at: Moment | None = None) -> bytes:
        """The canonical leaf of one record.

        Args:
            record: `kind` and whatever belongs to it; plain JSON values.
            seq: its sequence number.
            at: when it was appended; now by default.

        Raises:
            TrailError: if it has no kind, brings a field that the trail stamps, or is too large.
        """
        kind = record.get("kind")
        if not isinstance(kind, str) or not kind:
            raise TrailError("a record needs a `kind`")
        if taken := STAMPED.intersection(record):
            raise TrailError(f"a record may not bring the field `{min(taken)}`: the trail fills it in")
        at = at or self.now()
        full = {
            "v": VERSION,
            "seq": seq,
            "log": self._origin,
            "boot": self._boot,
            "t_us": at.t_us,
            "mono_us": at.mono_us,
            **record,
        }
        if "id" not in full:
            full["id"] = new_id(at.t_us // 1000)
        try:
            leaf = canonical(full)
        except (TypeError, ValueError, RecursionError) as error:
            raise TrailError(f"a record of kind `{kind}` cannot be written as JSON: {error}") from None
        if len(leaf) > MAX_LEAF_BYTES:
            raise TrailError(
                f"a record may have at most {MAX_LEAF_BYTES} bytes, this one has {len(leaf)}: record a digest instead"
            )
        return leaf


def releases(record: Mapping[str, Any] | Later) -> bool:
    """Whether writing this record lets something happen: such records stop first when the disk fills up."""
    if isinstance(record, Later):
        return record.kind == "intent"
    if record.get("kind") in {"intent", "grant"}:
        return True
    decision: Any = record.get("decision")
    outcome: object = decision.get("outcome") if isinstance(decision, dict) else None  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
    return "allow" in (outcome, record.get("outcome"))
