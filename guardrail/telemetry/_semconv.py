"""Drafted names of the GenAI conventions for guardrails, only where they are asked for; ours stay beside them.

The draft has been renamed three times, so it is pinned here and nowhere else:
open-telemetry/semantic-conventions-genai, pull request 427, snapshot 7b8e842, read 2026-11-21.
`OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental` asks for it, as the GenAI conventions say.
The draft forbids translating a native outcome into a generic one, so `result.value` is ours: allow, escalate or deny.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from guardrail.model import Decision

VARIABLE: Final = "OTEL_SEMCONV_STABILITY_OPT_IN"
"""The standard variable; words with commas between them."""

LATEST: Final = "gen_ai_latest_experimental"
"""The word that asks for the draft."""

PROVIDER_NAME: Final = "gen_ai.provider.name"
COMPONENT_NAME: Final = "gen_ai.guardrail.component.name"
POLICY_ID: Final = "gen_ai.guardrail.policy.id"
POLICY_VERSION: Final = "gen_ai.guardrail.policy.version"
RULE_ID: Final = "gen_ai.guardrail.policy.rule.id"
RESULT_TYPE: Final = "gen_ai.guardrail.result.type"
RESULT_VALUE: Final = "gen_ai.guardrail.result.value"

_COMPONENT: Final = "guardrail"
_DECISION: Final = "decision"


def is_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the draft is asked for.

    Args:
        environ: the environment.
    """
    return LATEST in [word.strip() for word in environ.get(VARIABLE, "").split(",")]


def drafted(decision: Decision) -> dict[str, Any]:
    """A decision in the words of the draft.

    Args:
        decision: what was decided.
    """
    found = {
        PROVIDER_NAME: _COMPONENT,
        COMPONENT_NAME: _COMPONENT,
        POLICY_ID: _COMPONENT,
        POLICY_VERSION: decision.policy,
        RESULT_TYPE: _DECISION,
        RESULT_VALUE: decision.outcome.value,
    }
    if decision.reasons:
        found[RULE_ID] = decision.reasons[0].rule
    return found
