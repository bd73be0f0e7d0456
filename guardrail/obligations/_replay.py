"""The fold: what the records of a trail say of orders and duties, whatever the index beside it holds or has lost.

Not concerned with whether the records are genuine: `guardrail audit verify` is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from guardrail.obligations._codec import event_of
from guardrail.obligations._duty import Duty
from guardrail.obligations._events import Attempted
from guardrail.obligations._machine import evolve


class Folded:
    """What a trail says, as far as it was read.

    Args:
        duties: what is known from before the first record that is read.
    """

    def __init__(self, duties: Mapping[str, Duty] | None = None) -> None:
        self.duties: dict[str, Duty] = dict(duties or {})
        self.uses: dict[tuple[str, str], int] = {}
        self.orders: set[tuple[str, str]] = set()
        self.revocations: list[tuple[str, str, bytes]] = []
        self.unread = 0
        self._reach: dict[str, list[str]] = {}
        self._base = {key: duty.last_seq for key, duty in self.duties.items()}

    def take_all(self, records: Iterable[tuple[int, Mapping[str, Any]]]) -> Folded:
        """Fold records, in the order of the trail."""
        for seq, record in records:
            self.take(seq, record)
        return self

    def take(self, seq: int, record: Mapping[str, Any]) -> None:
        """Fold one record; of what it does not understand it takes nothing and counts it."""
        kind = record.get("kind")
        try:
            if kind == "obligation" and "what" in record:
                self._obligation(seq, record)
            elif kind in ("intent", "decision"):
                self._decision(seq, record)
            elif kind == "order":
                self._order(record)
        except (ValueError, LookupError, TypeError, msgspec.ValidationError, binascii.Error):
            self.unread += 1

    def _obligation(self, seq: int, record: Mapping[str, Any]) -> None:
        name = str(record["obligation"])
        event = event_of(record["what"])
        self.duties[name] = evolve(self.duties.get(name), event, n=int(record["n"]), seq=seq)

    def _decision(self, seq: int, record: Mapping[str, Any]) -> None:
        outcome = str(cast("Mapping[str, Any]", record["decision"])["outcome"])
        for name in cast("list[str]", record.get("duties", ())):
            # INVARIANT: an attempt has no number of its own, so one that the index has counted must not be read again.
            if name in self.duties and seq > self._base.get(name, -1):
                self.duties[name] = evolve(self.duties[name], Attempted(outcome=outcome), seq=seq)
        for use in cast("list[Mapping[str, Any]]", record.get("mandates", ())):
            if "use" in use:
                reach = self._reach[str(use["mandate"])][int(use["grant"]) - 1]
                grant = (str(use["mandate"]), reach)
                self.uses[grant] = max(self.uses.get(grant, 0), int(use["use"]))

    def _order(self, record: Mapping[str, Any]) -> None:
        name = str(record["mandate"])
        self.orders.add((name, str(record["digest"])))
        if record["event"] == "issued":
            self._reach[name] = [str(one) for one in record["grants"]]
        elif record["event"] == "revoked" and record.get("envelope"):
            data = base64.b64decode(record["envelope"], validate=True)
            self.revocations.append((name, hashlib.sha256(data).hexdigest(), data))
