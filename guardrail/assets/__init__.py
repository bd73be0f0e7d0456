"""On which assets: the inventory of what is worth guarding, resolved on the live filesystem."""

from guardrail.assets._again import found_again
from guardrail.assets._asset import Asset
from guardrail.assets._files import LiveFiles
from guardrail.assets._inventory import Inventory
from guardrail.assets._lineage import Lineage
from guardrail.assets._provenance import Provenance, is_beside_weights
from guardrail.assets._recognition import Recognition
from guardrail.assets._records import check_record

__all__ = [
    "Asset",
    "Inventory",
    "Lineage",
    "LiveFiles",
    "Provenance",
    "Recognition",
    "check_record",
    "found_again",
    "is_beside_weights",
]
