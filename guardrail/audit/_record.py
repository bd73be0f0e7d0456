"""From a record to the bytes of a leaf: the fields every record gets, and their canonical form."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from guardrail.audit.clock import boot_id, uptime, wall_us
from guardrail.canonical import canonical
from guardrail.errors import TrailError

VERSION: Final = 1
"""Version of the record format, in the field `v`."""

MAX_LEAF_BYTES: Final = 60 * 1024
"""Largest leaf, in bytes: entry bundles of C2SP tlog-tiles prefix each entry with a 16-bit length."""

STAMPED: Final = frozenset({"v", "seq", "log", "boot", "t_us", "mono_us"})
"""Fields that only the trail fills in; `id` may come from the caller."""


class Stamp:
    """What every record of one opened trail has in common.

    Args:
        origin: name of the ledger.
    """

    __slots__ = ("_boot", "_origin")

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._boot = boot_id()

    def leaf(self, record: Mapping[str, Any], seq: int) -> bytes:
        """The canonical leaf of one record.

        Args:
            record: `kind` and whatever belongs to it; plain JSON values.
            seq: its sequence number.

        Raises:
            TrailError: if it has no kind, brings a field that the trail stamps, or is too large.
        """
        kind = record.get("kind")
        if not isinstance(kind, str) or not kind:
            raise TrailError("a record needs a `kind`")
        if taken := STAMPED.intersection(record):
            raise TrailError(f"a record may not bring the field `{min(taken)}`: the trail fills it in")
        now_us, (_, mono_us) = wall_us(), uptime()
        full = {
            "v": VERSION,
            "seq": seq,
            "log": self._origin,
            "boot": self._boot,
            "t_us": now_us,
            "mono_us": mono_us,
            **record,
        }
        if "id" not in full:
            full["id"] = uuid7(now_us // 1000)
        try:
            leaf = canonical(full)
        except (TypeError, ValueError, RecursionError) as error:
            raise TrailError(f"a record of kind `{kind}` cannot be written as JSON: {error}") from None
        if len(leaf) > MAX_LEAF_BYTES:
            raise TrailError(
                f"a record may have at most {MAX_LEAF_BYTES} bytes, this one has {len(leaf)}: record a digest instead"
            )
        return leaf


def uuid7(now_ms: int) -> str:
    """A UUIDv7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, 74 random bits."""
    random = int.from_bytes(os.urandom(10), "big")
    value = (now_ms & 0xFFFF_FFFF_FFFF) << 80 | random
    value = value & ~(0xF000 << 64) | 0x7000 << 64
    value = value & ~(0xC000 << 48) | 0x8000 << 48
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def releases(record: Mapping[str, Any]) -> bool:
    """Whether writing this record lets something happen: such records stop first when the disk fills up."""
    if record.get("kind") in {"intent", "grant"}:
        return True
    decision: Any = record.get("decision")
    outcome: object = decision.get("outcome") if isinstance(decision, dict) else None  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
    return "allow" in (outcome, record.get("outcome"))
