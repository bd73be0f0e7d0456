"""Findings about what decides: the policy, and what the analysis knows of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.cli._words import counted
from guardrail.cli.findings._finding import Finding

if TYPE_CHECKING:
    from guardrail.config import Config


def engine_finding(config: Config) -> Finding:
    """Which policy decides, and whether it does."""
    from guardrail.errors import ConfigError, Fault
    from guardrail.guard import Guard
    from guardrail.model import FAULT_RULE, ToolCall
    from guardrail.policy import refusal

    try:
        with Guard.open(config, record=False) as guard:
            # The first decision of a process pays for what is made on first use.
            guard.check(ToolCall(tool="bash", args={"command": "true"}, cwd="/"))
            decision = guard.check(ToolCall(tool="bash", args={"command": "true"}, cwd="/"))
            why = refusal(guard.engine)
    except (ConfigError, Fault) as error:
        return Finding(name="policy", state="problem", detail=str(error))
    fault = next((reason for reason in decision.reasons if reason.rule == FAULT_RULE), None)
    if fault is not None:
        return Finding(name="policy", state="problem", detail=f"every call is denied: {fault.message}")
    if why:
        return Finding(name="policy", state="problem", detail=f"the last good policy `{decision.policy}` serves: {why}")
    if config.mode == "observe":
        detail = f"{decision.engine}, {decision.policy}; mode `observe`: calls run whatever the rules ask for"
        return Finding(name="policy", state="note", detail=detail)
    return Finding(
        name="policy",
        state="ok",
        detail=f"{decision.engine}, {decision.policy}; a decision took {decision.elapsed_us} us",
    )


def catalogue_finding() -> Finding:
    """What the analysis knows of commands, by its own examples."""
    from guardrail.effects import broken_examples, families

    count = sum(len(names) for names in families().values())
    try:
        broken = list(broken_examples())
    except ValueError as error:
        return Finding(name="catalogue", state="problem", detail=f"a spec cannot be used: {error}: install anew")
    if broken:
        detail = f"{counted(len(broken), 'example')} of the specs do not hold, such as {broken[0]}: install anew"
        return Finding(name="catalogue", state="problem", detail=detail)
    return Finding(name="catalogue", state="ok", detail=f"{counted(count, 'command')} described, all examples hold")
