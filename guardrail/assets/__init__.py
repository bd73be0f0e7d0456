"""On which assets: the inventory of what is worth guarding, resolved on the live filesystem."""

from guardrail.assets._again import found_again
from guardrail.assets._asset import Asset
from guardrail.assets._astray import stem_of
from guardrail.assets._birth import birth_ns
from guardrail.assets._controls import control_keys, control_of
from guardrail.assets._dates import says as false_date
from guardrail.assets._files import LiveFiles
from guardrail.assets._inventory import Inventory
from guardrail.assets._lineage import Lineage
from guardrail.assets._places import found_at
from guardrail.assets._provenance import Provenance, is_beside_weights
from guardrail.assets._recognition import Recognition
from guardrail.assets._records import Scores, check_record, read_scores
from guardrail.assets._states import Before, Change, before, changes, may_change

__all__ = [
    "Asset",
    "Before",
    "Change",
    "Inventory",
    "Lineage",
    "LiveFiles",
    "Provenance",
    "Recognition",
    "Scores",
    "before",
    "birth_ns",
    "changes",
    "check_record",
    "control_keys",
    "control_of",
    "false_date",
    "found_again",
    "found_at",
    "is_beside_weights",
    "may_change",
    "read_scores",
    "stem_of",
]
