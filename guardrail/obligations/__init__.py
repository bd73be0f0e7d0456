"""What is still owed: duties that mandates open, and whether the world afterwards shows them done."""

from guardrail.obligations._ledger import Obligations, ObligationStatus

__all__ = ["ObligationStatus", "Obligations"]
