"""On which assets: the inventory of what is worth guarding, resolved on the live filesystem."""

from guardrail.assets._again import found_again
from guardrail.assets._asset import Asset
from guardrail.assets._birth import birth_ns
from guardrail.assets._dates import says as false_date
from guardrail.assets._files import LiveFiles, found_at
from guardrail.assets._inventory import Inventory
from guardrail.assets._lineage import Lineage
from guardrail.assets._provenance import Provenance, is_beside_weights
from guardrail.assets._recognition import Recognition
from guardrail.assets._records import Scores, check_record, read_scores

__all__ = [
    "Asset",
    "Inventory",
    "Lineage",
    "LiveFiles",
    "Provenance",
    "Recognition",
    "Scores",
    "birth_ns",
    "check_record",
    "false_date",
    "found_again",
    "found_at",
    "is_beside_weights",
    "read_scores",
]
