"""Reading a trail to show, prove, export or count what it holds; none of this is evidence, `verify` is what proves."""

from __future__ import annotations

from guardrail.audit.reading._leaves import Found, Place, follow, read_leaves
from guardrail.audit.reading._proof_file import newest_checkpoint, prove, proven
from guardrail.audit.reading._search import begin_of, search
from guardrail.audit.reading._selection import Chooser, Selection

__all__ = [
    "Chooser",
    "Found",
    "Place",
    "Selection",
    "begin_of",
    "follow",
    "newest_checkpoint",
    "prove",
    "proven",
    "read_leaves",
    "search",
]
