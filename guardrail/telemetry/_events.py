"""Events that belong to no single decision: duties, escalations, policies, the centre, and what the kernel stopped.

Each is told to whoever listens; `Telemetry` names them, and is where a failure to tell one ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from guardrail.telemetry._api import (
    CENTRAL_EVENT_NAME,
    DUTY_EVENT_NAME,
    ESCALATION_EVENT_NAME,
    POLICY_EVENT_NAME,
    SURPRISE_EVENT_NAME,
    Api,
    Tally,
    listed,
    text,
)

_CENTRAL_SEVERITY: Final[Mapping[str, Literal["INFO", "WARN", "ERROR"]]] = {
    "cut": "WARN",
    "back": "INFO",
    "refused": "ERROR",
    "not_taken": "ERROR",
}


def duty(tally: Tally, api: Api | None, obligation: str, kinds: Sequence[str]) -> None:
    """Something is wrong with what is owed."""
    from guardrail.telemetry import _log as log

    for kind in kinds:
        tally.violation(kind)
    if log.wanted():
        log.warn(DUTY_EVENT_NAME, {"obligation": text(obligation), "violations": listed(kinds)})
    if api is not None:
        facts = {"guardrail.obligation.id": text(obligation), "guardrail.obligation.violation": listed(kinds)}
        api.event(DUTY_EVENT_NAME, f"{', '.join(kinds)} {text(obligation)}", facts, severity="WARN")


def escalation(api: Api | None, what: str, facts: Mapping[str, Any]) -> None:
    """An escalation was asked for, answered, or is over."""
    if api is None:
        return
    found: dict[str, Any] = {
        "guardrail.escalation.id": facts["id"],
        "guardrail.escalation.state": facts["state"],
        "gen_ai.agent.name": text(facts["agent"]),
        "gen_ai.conversation.id": text(facts["session"]),
        "guardrail.rules": listed(facts["rules"]),
        "guardrail.asset.id": listed(facts["assets"]),
    }
    if what != "requested":
        found["guardrail.escalation.wait"] = facts["seconds"]
    api.event(f"{ESCALATION_EVENT_NAME}.{what}", f"{facts['state']} {facts['id']}", found)


def policy(api: Api | None, revision: str, refused: bool) -> None:
    """Another policy is in force, or one was refused."""
    if api is not None:
        what, facts = "refused" if refused else "loaded", {"guardrail.policy.revision": revision}
        api.event(f"{POLICY_EVENT_NAME}.{what}", revision, facts, severity="WARN" if refused else "INFO")


def central(api: Api | None, what: Literal["cut", "back", "refused", "not_taken"], why: str) -> None:
    """The database that guards have in common cannot be reached, is back, or refuses this trail."""
    if api is not None:
        api.event(f"{CENTRAL_EVENT_NAME}.{what}", text(why), {}, severity=_CENTRAL_SEVERITY[what])


def surprise(api: Api | None, decision_id: str, assets: Sequence[str]) -> None:
    """The kernel kept a program from assets that its call was not judged to touch."""
    from guardrail.telemetry import _log as log

    if log.wanted():
        log.warn(SURPRISE_EVENT_NAME, {"decision_id": decision_id, "assets": listed(assets)})
    if api is not None:
        facts = {"guardrail.decision.id": decision_id, "guardrail.assets": listed(assets)}
        body = f"the kernel kept a program from {', '.join(map(text, assets))}, which its call did not name"
        api.event(SURPRISE_EVENT_NAME, body, facts, severity="ERROR")
