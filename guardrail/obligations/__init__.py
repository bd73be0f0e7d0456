"""What is still owed: duties that mandates open, and whether the world afterwards shows them done."""

from __future__ import annotations

from guardrail.obligations._keys import trail_key
from guardrail.obligations._ledger import Obligations
from guardrail.obligations._status import Alarm, Note, ObligationStatus, facts_of, status_of
from guardrail.obligations._steward import Steward
from guardrail.obligations.world._lookback import Lookback
from guardrail.obligations.world._stores import stores_of
from guardrail.obligations.world._world import World

__all__ = [
    "Alarm",
    "Lookback",
    "Note",
    "ObligationStatus",
    "Obligations",
    "Steward",
    "World",
    "facts_of",
    "status_of",
    "stores_of",
    "trail_key",
]
