"""What people ordered: signed mandates that grant and oblige, and the book of those in force."""

from __future__ import annotations

from guardrail.mandates._book import MandateBook
from guardrail.mandates._mandate import Mandate, MandateGrant, Obligation
from guardrail.mandates._signing import load_key, new_key, sign

__all__ = ["Mandate", "MandateBook", "MandateGrant", "Obligation", "load_key", "new_key", "sign"]
