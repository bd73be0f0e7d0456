"""The conformance suite: what every way of attaching the guard owes, for our adapters and for yours.

    from guardrail_adapters.testing import CASES, conforms

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_my_adapter_conforms(case, tmp_path):
        conforms(MyAdapter(), case, tmp_path)

`python -m guardrail_adapters.testing` prints the table of our adapters, `MODULE:NAME` adds one of yours.
"""

from __future__ import annotations

from guardrail_adapters.testing._cases import CASES
from guardrail_adapters.testing._protocol import Adapter, Call, Conversation, Reply, Seen, Turn
from guardrail_adapters.testing._setting import Layer, Setting, Tool
from guardrail_adapters.testing._stage import Case, NotConforming, NotInstalled, Unable, conforms

__all__ = [
    "CASES",
    "Adapter",
    "Call",
    "Case",
    "Conversation",
    "Layer",
    "NotConforming",
    "NotInstalled",
    "Reply",
    "Seen",
    "Setting",
    "Tool",
    "Turn",
    "Unable",
    "conforms",
]
