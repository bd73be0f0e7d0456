"""What this agent did before: facts of a session that rules can see, at a cost that does not grow with the session."""

from guardrail.history._sessions import History, SessionFacts
from guardrail.history._store import HistoryStore

__all__ = ["History", "HistoryStore", "SessionFacts"]
