"""What the trail says afterwards: records folded into counts, and counts into a report that a person can check."""

from __future__ import annotations

from guardrail.analysis._html import page
from guardrail.analysis._parity import Parity
from guardrail.analysis._summary import Summary, summarise

__all__ = ["Parity", "Summary", "page", "summarise"]
