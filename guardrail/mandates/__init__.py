"""What people ordered: signed mandates that grant and oblige, the book of those in force, and what was used of them."""

from __future__ import annotations

from guardrail.mandates._book import MandateBook, Order
from guardrail.mandates._ledger import Counts, KeptDuty, MandateLedger, Use
from guardrail.mandates._mandate import Mandate, MandateGrant, Obligation, microseconds, reaches
from guardrail.mandates._revocation import Revocation, revoke
from guardrail.mandates._signing import (
    key_id,
    load_key,
    new_key,
    pae,
    public_keys,
    public_text,
    read_public,
    seal,
    sign,
    unseal,
)
from guardrail.mandates._word import Given, Word, give_word
from guardrail.mandates._zones import Zones

__all__ = [
    "Counts",
    "Given",
    "KeptDuty",
    "Mandate",
    "MandateBook",
    "MandateGrant",
    "MandateLedger",
    "Obligation",
    "Order",
    "Revocation",
    "Use",
    "Word",
    "Zones",
    "give_word",
    "key_id",
    "load_key",
    "microseconds",
    "new_key",
    "pae",
    "public_keys",
    "public_text",
    "reaches",
    "read_public",
    "revoke",
    "seal",
    "sign",
    "unseal",
]
