"""What this session and its agent did before: facts that rules can see, at a cost that does not grow with either."""

from guardrail.history._hosts import host_of, relation
from guardrail.history._sessions import History, SessionFacts
from guardrail.history._store import HistoryStore

__all__ = ["History", "HistoryStore", "SessionFacts", "host_of", "relation"]
