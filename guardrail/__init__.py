"""Guardrail judges what an agent's tool call would do to your model assets, before it runs.

     adapter            guardrail.guard  (the only place where the order is written)
     ToolCall -> parse -> effects -> assets -> policy -> Decision -> ALLOW     run
                 what was  what it    on which  Rego over             ESCALATE  a person decides
                 asked     would do   asset     mandate and history   DENY      a reason

     audit: the intent is durable before anything runs, its outcome follows.

`Guard.check` returns a Decision and never raises for a denial; `Guard.run` raises `Denied` or `Escalated`.

    from guardrail import Guard, ToolCall

    with Guard.open("guardrail.toml") as guard:
        decision = guard.check(ToolCall(tool="bash", args={"command": "ls /srv/models"}, cwd="/"))
        print(decision.outcome)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.errors import (
        Blocked,
        ConfigError,
        Denied,
        EngineFault,
        Escalated,
        Fault,
        GuardrailError,
        InvalidCall,
        TokenError,
        TrailError,
    )
    from guardrail.guard import Guard
    from guardrail.mandates import Mandate
    from guardrail.model import Decision, Effect, Outcome, Reason, Resource, Subject, ToolCall
    from guardrail.review import Grant
    from guardrail.tokens import TokenVerifier

__all__ = [
    "Blocked",
    "Config",
    "ConfigError",
    "Decision",
    "Denied",
    "Effect",
    "EngineFault",
    "Escalated",
    "Fault",
    "Grant",
    "Guard",
    "GuardrailError",
    "InvalidCall",
    "Mandate",
    "Outcome",
    "Reason",
    "Resource",
    "Subject",
    "TokenError",
    "TokenVerifier",
    "ToolCall",
    "TrailError",
    "__version__",
]

__version__ = "0.1.0"

# A harness hook starts a process for each tool call and only asks the sidecar: what judges is loaded when it is named.
_HOMES: Final = {
    "Config": "config",
    "Grant": "review",
    "Guard": "guard",
    "Mandate": "mandates",
    "TokenVerifier": "tokens",
    **dict.fromkeys(("Decision", "Effect", "Outcome", "Reason", "Resource", "Subject", "ToolCall"), "model"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module `guardrail` has no attribute `{name}`")
    value = getattr(importlib.import_module(f"guardrail.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
