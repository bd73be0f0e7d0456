"""How far the evidence reaches: what mode the guard ran in, what was lost, and what is not known. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

from guardrail.analysis._counts import Counts
from guardrail.analysis._decisions import KEPT
from guardrail.audit.reading import fields
from guardrail.audit.reading.fields import UNKNOWN, Record, number, text

MAX_UNANSWERED: Final = 100_000
"""Most intents without a result that are remembered; of more, the oldest are only counted."""

BACK_US: Final = 1_000_000
"""How far a clock may go back before it is named, in microseconds."""

LEFT_THE_BOX: Final = frozenset({"cosigned", "witnessed", "published", "sent", "delivered", "exported", "timestamped"})
"""Words for a checkpoint that somebody else has; one that only lies beside its trail protects from nobody."""


class Coverage:
    """Folds every record for what it says about the trail itself."""

    def __init__(self) -> None:
        self.kinds = Counts()
        self.modes = Counts()
        self.policies = Counts()
        self.changes: deque[tuple[int, int | None, str, str, str]] = deque(maxlen=KEPT)
        self.openings = self.unsafe_openings = self.unsafe_records = 0
        self.lost = self.unreadable = self.redactions = self.keys = self.back = self.unanswered_before = 0
        self.first: tuple[int, int | None] | None = None
        self.last: tuple[int, int | None] | None = None
        self.left_us: int | None = None
        self._boots: set[str] = set()
        self._open: dict[int, None] = {}
        self._latest_us = 0

    @property
    def boots(self) -> int:
        """How many boots of a host the records come from; at most a thousand are told apart."""
        return len(self._boots)

    @property
    def unanswered(self) -> int:
        """How many intents have no result: released to a caller that reports none, or cut off."""
        return len(self._open) + self.unanswered_before

    def take(self, seq: int, record: Record, t_us: int | None) -> None:
        """Go on by one record."""
        kind = fields.kind_of(record)
        self.kinds.add(kind, "records")
        self.first = self.first or (seq, t_us)
        self.last = (seq, t_us)
        if len(self._boots) < 1000 and (boot := text(record.get("boot"))):
            self._boots.add(boot)
        if t_us is not None:
            self.back += t_us < self._latest_us - BACK_US
            self._latest_us = max(self._latest_us, t_us)
        self.unsafe_records += record.get("unsafe_fail_open") is True
        if kind == "intent":
            self._open[seq] = None
            if len(self._open) > MAX_UNANSWERED:
                del self._open[next(iter(self._open))]
                self.unanswered_before += 1
        elif kind == "result":
            for intent in fields.intents_of(record):
                self._open.pop(intent, None)
        elif kind in _RARE:
            self._rare(seq, record, t_us, kind)

    def _rare(self, seq: int, record: Record, t_us: int | None, kind: str) -> None:
        event = text(record.get("event")) or fields.status_of(record) or UNKNOWN
        if kind == "config":
            if event == "opened":
                self.openings += 1
                self.unsafe_openings += record.get("unsafe_fail_open") is True
                self.modes.add(text(record.get("mode")) or UNKNOWN, "openings")
            policy = text(record.get("policy")) or UNKNOWN
            self.policies.add(policy, event)
            self.changes.append((seq, t_us, event, policy, text(record.get("why")) or text(record.get("source"))))
        elif kind == "gap":
            self.lost += number(record.get("lost")) or number(record.get("records")) or 1
        elif kind == "redaction":
            self.redactions += 1
        elif kind == "key":
            self.keys += 1
        elif event in LEFT_THE_BOX or record.get("witness") or record.get("witnesses"):
            self.left_us = t_us if t_us is not None else self.left_us


_RARE: Final = frozenset({"config", "gap", "redaction", "key", "checkpoint"})
