"""Who may overrule: calls held for people, their answers, and the single-use grants that follow from an approval."""

from __future__ import annotations

from guardrail.review._grants import GRANT_SECONDS, MAX_RELEASES, MAX_RESULT_BYTES
from guardrail.review._records import Answer, AnswerKind, CallKey, Grant, Review, ReviewError, State, TurnKey
from guardrail.review._store import ESCALATION_SECONDS, MAX_TURNS_IN_MEMORY, ReviewStore

__all__ = [
    "ESCALATION_SECONDS",
    "GRANT_SECONDS",
    "MAX_RELEASES",
    "MAX_RESULT_BYTES",
    "MAX_TURNS_IN_MEMORY",
    "Answer",
    "AnswerKind",
    "CallKey",
    "Grant",
    "Review",
    "ReviewError",
    "ReviewStore",
    "State",
    "TurnKey",
]
