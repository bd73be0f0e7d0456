"""Who may overrule: calls held for people, their answers, and the single-use grants that follow from an approval."""

from __future__ import annotations

from guardrail.review._bind import Binding
from guardrail.review._case import Case, Escalation, Group, Quorum, Vote
from guardrail.review._clerk import Clerk
from guardrail.review._commands import MAX_RELEASES, Refused
from guardrail.review._desk import Redemption, ReviewDesk
from guardrail.review._hold import Holder, covers, deeds_of, presented
from guardrail.review._inbox import Inbox
from guardrail.review._leave import Leave, binding_of
from guardrail.review._ledger import KINDS, Ledger, Turn
from guardrail.review._ledgers import MemoryLedger, TrailLedger
from guardrail.review._opening import open_desk
from guardrail.review._records import Answer, AnswerKind, CallKey, Grant, Review, ReviewError, Scope, State, TurnKey
from guardrail.review._snapshot import Snapshot
from guardrail.review._store import MAX_RESULT_BYTES, MAX_TURNS_IN_MEMORY, ReviewStore

__all__ = [
    "KINDS",
    "MAX_RELEASES",
    "MAX_RESULT_BYTES",
    "MAX_TURNS_IN_MEMORY",
    "Answer",
    "AnswerKind",
    "Binding",
    "CallKey",
    "Case",
    "Clerk",
    "Escalation",
    "Grant",
    "Group",
    "Holder",
    "Inbox",
    "Leave",
    "Ledger",
    "MemoryLedger",
    "Quorum",
    "Redemption",
    "Refused",
    "Review",
    "ReviewDesk",
    "ReviewError",
    "ReviewStore",
    "Scope",
    "Snapshot",
    "State",
    "TrailLedger",
    "Turn",
    "TurnKey",
    "Vote",
    "binding_of",
    "covers",
    "deeds_of",
    "open_desk",
    "presented",
]
