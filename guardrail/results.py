"""What came of a call that was released: how it ended, what the kernel saw of it, and which files of assets changed.

Not concerned with the decision that released it.
INVARIANT: the tool has run by now, so nothing here withholds its answer: what cannot be kept is a warning, and a trail
or a history that has failed denies every later call.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from guardrail.assets import Before, Inventory, Lineage, Recognition, before, changes, may_change
from guardrail.audit import AnyTrail
from guardrail.audit.entries import Scribe, kernel_record
from guardrail.enforcement import Observed
from guardrail.errors import Fault, TrailError
from guardrail.history import History
from guardrail.model import Decision, ToolCall, assets_of
from guardrail.obligations import Steward
from guardrail.review import Leave, ReviewError
from guardrail.telemetry import Telemetry


class Results:
    """Keeps what came of one guard's calls.

    Args:
        trail: where it is recorded; None keeps no record.
        scribe: writes the records.
        inventory: knows the assets.
        recognition: knows their files by content.
        lineage: learns what was made of them.
        history: learns what was tried.
        leave: is told how a call ended that it let through.
        steward: learns of what is owed.
        telemetry: hears of what nobody expected.
    """

    def __init__(
        self,
        trail: AnyTrail | None,
        scribe: Scribe,
        *,
        inventory: Inventory,
        recognition: Recognition,
        lineage: Lineage,
        history: History,
        leave: Leave,
        steward: Steward,
        telemetry: Telemetry,
    ) -> None:
        self._trail = trail
        self._scribe = scribe
        self._inventory = inventory
        self._recognition = recognition
        self._lineage = lineage
        self._history = history
        self._leave = leave
        self._steward = steward
        self._telemetry = telemetry

    def before(self, decision: Decision) -> Before:
        """The assets that a released call may change, as they lie now; the guard's own change all the time.

        Args:
            decision: what released it.

        Raises:
            AnalysisFault: if they cannot be looked at.
        """
        named = assets_of(effect for effect in decision.effects if may_change(effect))
        found = (self._inventory.get(name) for name in named)
        kept = [asset for asset in found if asset is not None and asset.asset_class != "guard"]
        return before(kept, self._recognition) if kept else Before()

    def ended(
        self,
        call: ToolCall,
        decision: Decision,
        error: BaseException | None,
        value: object = None,
        *,
        facts: Mapping[str, str | int] | None = None,
        seen: Before | None = None,
    ) -> None:
        """Record what came of a call, and of the leave that released it.

        Args:
            call: the call.
            decision: what released it.
            error: what it failed with, if it did.
            value: what it returned.
            facts: what is known besides of how it ended.
            seen: the assets as they lay before.
        """
        self._observed(call, decision, getattr(value, "guardrail_observed", ()))
        changed = changes(seen) if seen is not None else ()
        record = self._scribe.result(call, decision, error, value, facts, changed)
        self._finish(record, durable=bool(decision.assets))
        self._leave.ended(decision, error)

    def _observed(self, call: ToolCall, decision: Decision, seen: Sequence[Observed]) -> None:
        """Remember what the kernel kept from a call that was not judged to do it, and record what it saw."""
        surprises = tuple(dict.fromkeys(one.asset for one in seen if one.is_surprise and one.asset is not None))
        try:
            if surprises:
                self._telemetry.surprise(decision.decision_id, surprises)
                self._history.surprised(call.session, call.subject.id, surprises)
            for one in seen:
                if self._trail is not None:
                    record = kernel_record(call, decision, one, trace_id=self._telemetry.trace_id)
                    self._trail.append(record, durable=one.is_surprise)
        except (Fault, TrailError) as error:
            # What was tried was held.
            warnings.warn(f"what the kernel saw of a call is not recorded: {error}", RuntimeWarning, stacklevel=5)

    def _finish(self, record: dict[str, Any], *, durable: bool) -> None:
        if self._trail is None:
            return
        try:
            self._trail.append(record, durable=durable)
        except TrailError as error:
            # The intent without a result shows the gap.
            warnings.warn(f"the result of a call is not in the trail: {error}", RuntimeWarning, stacklevel=5)
            return
        try:
            # What it made of assets, and what it did of what is owed, is there now.
            self._lineage.settle()
            self._steward.keep_notes(durable=durable)
        except (Fault, TrailError, ReviewError) as error:
            # It is looked at again before the next call is judged, and if that fails too the call is denied.
            warnings.warn(f"what a call left behind is not known yet: {error}", RuntimeWarning, stacklevel=5)
