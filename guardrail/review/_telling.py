"""Escalations as telemetry hears of them: asked, answered, or over. Pure.

What people said and who said it is for the trail; here are ids, rules, assets and how long it took.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from guardrail.review._case import AnyEvent, Case, Closed, Opened, Voted

Facts = Mapping[str, str | float | tuple[str, ...]]

Tell = Callable[[str, Facts], None]
"""Takes what happened, `requested`, `resolved` or `expired`, and the facts of the escalation."""

_DECIDED: Final = ("approved", "denied")


def tell_of(event: AnyEvent, case: Case | None, tell: Tell) -> None:
    """Tell of an event, if it is one that begins or ends an escalation.

    Args:
        event: what is on record.
        case: the escalation as it is after it; None if it was forgotten.
        tell: hears of it.
    """
    if isinstance(event, Opened):
        tell("requested", _facts(event, event.held.agent, event.held.session, event.held.shown, "pending", 0.0))
    elif case is not None and (isinstance(event, Closed) or (isinstance(event, Voted) and case.state in _DECIDED)):
        what = "expired" if case.state == "expired" else "resolved"
        held, seconds = case.held, max(0.0, (event.at_us - case.held.created_us) / 1e6)
        tell(what, _facts(event, held.agent, held.session, held.shown, case.state, seconds))


def _facts(
    event: AnyEvent, agent: str, session: str, shown: tuple[tuple[str, str | None], ...], state: str, seconds: float
) -> Facts:
    return {
        "id": event.escalation,
        "state": state,
        "agent": agent,
        "session": session,
        "rules": tuple(dict.fromkeys(rule for rule, _ in shown)),
        "assets": tuple(dict.fromkeys(asset for _, asset in shown if asset)),
        "seconds": seconds,
    }
