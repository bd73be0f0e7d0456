"""Taking away what a record disclosed: first a record says so, then it goes.

A crash in between leaves a disclosure that the verifier finds; redacting it again finishes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from guardrail.audit._unfinished import read_again
from guardrail.audit.disclosure import take_away
from guardrail.audit.retention import holds
from guardrail.errors import TrailError

if TYPE_CHECKING:
    from guardrail.audit._store import AnyTrail


def redact(trail: AnyTrail, seq: int, pointer: str, *, reason: str, by: str) -> bool:
    """Delete one disclosure for good.

    Args:
        trail: the trail, open.
        seq: number of the record.
        pointer: which of its disclosures, such as `/call/args/command`.
        reason: why.
        by: who decided it.

    Returns:
        Whether it was still there.

    Raises:
        TrailError: if a legal hold is in force, the record disclosed no such thing, or this cannot be recorded.
        OSError: if it cannot be deleted.
    """
    held = holds(trail.place)
    if held:
        raise TrailError(f"the trail is under the legal hold `{min(held)}`: nothing is redacted until it is released")
    record = read_again(trail.place, [seq]).get(seq)
    if record is None:
        raise TrailError(f"there is no record {seq} in the trail `{trail.where}`")
    disclosed = cast("dict[str, str]", record.get("disclosures") or {})
    if pointer not in disclosed:
        has = ", ".join(f"`{name}`" for name in sorted(disclosed)) or "nothing"
        raise TrailError(f"record {seq} disclosed no `{pointer}`, it disclosed {has}")
    trail.append({"kind": "redaction", "record": seq, "pointer": pointer, "reason": reason, "by": by})
    trail.checkpoint()
    return take_away(trail.place, record, pointer)
