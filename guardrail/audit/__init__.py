"""What was decided and done: an append-only, signed ledger, and the verifier that trusts nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.audit._place import TrailInUse, beside_trail, is_store, trail_directory
from guardrail.audit._record import Later
from guardrail.audit._store import AnyTrail, need_driver, open_trail, trail_key, trail_place, trail_records
from guardrail.audit._trail import Trail
from guardrail.audit.disclosure import Disclosures

if TYPE_CHECKING:
    from guardrail.audit._verify import verify

__all__ = [
    "AnyTrail",
    "Disclosures",
    "Later",
    "Trail",
    "TrailInUse",
    "beside_trail",
    "is_store",
    "need_driver",
    "open_trail",
    "trail_directory",
    "trail_key",
    "trail_place",
    "trail_records",
    "verify",
]


def __getattr__(name: str) -> object:
    # The verifier is for auditors: a process that only judges calls does not load it.
    if name == "verify":
        from guardrail.audit._verify import verify

        return verify
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
