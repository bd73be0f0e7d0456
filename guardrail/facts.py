"""What rules are told of a call besides its effects: about the assets, whose orders hold, and what happened before.

Not concerned with what rules make of it, nor with the form in which they are told: `policy.document` is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from guardrail.assets import Inventory, stem_of
from guardrail.config import Config
from guardrail.enforcement import Enforcement
from guardrail.history import History, host_of, relation
from guardrail.mandates import Mandate, MandateBook, Zones
from guardrail.model import Effect, ToolCall, assets_of
from guardrail.obligations import Obligations
from guardrail.policy import Told


class Facts:
    """Knows what one guard's rules are told.

    Args:
        config: declares zones, and how far rules are rolled out.
        inventory: knows the assets.
        history: knows what happened before.
        mandates: knows what people ordered.
        obligations: knows what is owed.
    """

    def __init__(
        self,
        config: Config,
        inventory: Inventory,
        history: History,
        mandates: MandateBook,
        obligations: Obligations,
        zones: Zones,
    ) -> None:
        self._inventory = inventory
        self._history = history
        self._mandates = mandates
        self._obligations = obligations
        self._zones = zones.of if zones.names else None
        self._zones_of_assets = {asset.id: asset.zones for asset in config.assets if asset.zones}
        # In `observe` every rule is only recorded; the policy itself holds those that protect the guard all the same.
        self._maturity = {"*": "observe"} if config.mode == "observe" else dict(config.policy.maturity)

    def of(
        self,
        call: ToolCall,
        effects: Sequence[Effect],
        mandates: Sequence[Mandate],
        now_us: int,
        enforcement: Enforcement | None,
    ) -> Told:
        """What there is to tell about a call.

        Args:
            call: the call.
            effects: what it would do, resolved.
            mandates: those in force for it.
            now_us: time of the decision, in microseconds since 1970.
            enforcement: what will hold the call, as whoever carries it out vouches for.

        Raises:
            Fault: if what a mandate has left cannot be told.
        """
        assets = assets_of(effects)
        history = self._history.document(call.session, call.subject.id, effects, assets)
        # Only what has to be deleted can be kept: whoever owes a shutdown is not held in what else they do.
        history["owes"] = self._obligations.deletions(mandates)
        if self._obligations.open and (due := self._obligations.condemned(self._mandates.revoked)):
            history["due"] = due
        return {
            "facts": partial(self._asset, model=call.subject.model),
            "mandates": self._mandates.orders(mandates, call.subject, (*history["labels"], *assets)),
            "history": history,
            "now_us": now_us,
            "maturity": self._maturity,
            "due": self._obligations.due(mandates),
            "zones": self._zones,
            "host": host_of,
            "stem": stem_of,
            "enforcement": enforcement,
        }

    def class_of(self, asset_id: str) -> str | None:
        """The class of an asset; None if there is none of this id."""
        asset = self._inventory.get(asset_id)
        return asset.asset_class if asset else None

    def model_of(self, asset_id: str) -> str | None:
        """The model that is stood up for by whoever acts for an asset, if it is one's.

        Whoever was refused to record a score has stood up for nobody.
        """
        known = self.class_of(asset_id) not in (None, "evaluation")
        model: str | None = self._inventory.facts(asset_id)["model"] if known else None
        return model

    def _asset(self, asset_id: str, *, model: str | None) -> Mapping[str, Any]:
        facts = self._inventory.facts(asset_id)
        return {
            **facts,
            "zones": self._zones_of_assets.get(asset_id, ()),
            "relation": relation(model, facts["model"]),
        }
