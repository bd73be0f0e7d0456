"""Records of orders: what people ordered and took back, as the trail has it.

A mandate is recorded when it first holds for an agent and binds somebody to something: it obliges, or counts its uses.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

import msgspec

from guardrail.mandates import Mandate
from guardrail.printing import printable

MAX_ENVELOPE_BYTES: Final = 36 * 1024
"""Largest revocation that is recorded as a whole, in bytes; of a larger one the record has the digest only."""

MAX_CHARS: Final = 192
"""Longest name in a record, in characters."""


class OrderNote(msgspec.Struct, frozen=True, kw_only=True):
    """An order on its way into the trail.

    Args:
        mandate: id of the mandate.
        digest: of what was signed, in hexadecimal.
        record: what the trail is to have of it.
    """

    mandate: str
    digest: str
    record: dict[str, Any]


def binds(mandate: Mandate) -> bool:
    """Whether anything has to be remembered of a mandate."""
    return bool(mandate.obligations) or any(grant.uses is not None for grant in mandate.grants)


def issued(mandate: Mandate) -> OrderNote:
    """The note of a mandate that holds."""
    digest = hashlib.sha256(mandate.to_json()).hexdigest()
    record: dict[str, Any] = {
        "kind": "order",
        "event": "issued",
        "mandate": mandate.id,
        "digest": digest,
        "issuer": printable(mandate.issuer)[:MAX_CHARS],
        "subject": printable(mandate.subject)[:MAX_CHARS],
        "not_before": mandate.not_before.isoformat(),
        "not_after": mandate.not_after.isoformat(),
        "text": printable(mandate.text)[:MAX_CHARS],
        # What each grant reaches: its uses are counted under that.
        "grants": [grant.key for grant in mandate.grants],
        "obligations": [f"{duty.effect} {duty.asset}"[:MAX_CHARS] for duty in mandate.obligations],
    }
    return OrderNote(mandate=mandate.id, digest=digest, record=record)


def taken_back(mandate: str, digest: str, envelope: bytes) -> OrderNote:
    """The note of a revocation that holds.

    Args:
        mandate: id of the mandate that it ends.
        digest: of the envelope, in hexadecimal.
        envelope: what was signed.
    """
    record: dict[str, Any] = {"kind": "order", "event": "revoked", "mandate": mandate, "digest": digest}
    if len(envelope) <= MAX_ENVELOPE_BYTES:
        record["envelope"] = base64.b64encode(envelope).decode()
    return OrderNote(mandate=mandate, digest=digest, record=record)
