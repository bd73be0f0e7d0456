"""Guardrail in Inspect AI: an approver that judges each tool call, and a reviewer that looks at what it left behind.

Advised: Inspect runs the tool itself once the approver says yes. An exception in an approver would end the whole
sample, so there is none: whatever goes wrong in judging is a rejection.
A call that needs a person goes on to the next approver, and is rejected if there is none.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

try:
    # Where the type checkers run it is not installed, so its parts are looked up and not imported.
    _approval: Any = importlib.import_module("inspect_ai.approval")
    _review: Any = importlib.import_module("inspect_ai.review")
    # Private: without it every sample would be one session.
    _samples: Any = importlib.import_module("inspect_ai.log._samples")
except ImportError as missing:
    raise ImportError(
        f"`{missing.name}` is not installed in a version that can be guarded: install `inspect-ai>=0.3.285,<0.4`"
    ) from None

from guardrail import Decision, Guard, Outcome, ToolCall
from guardrail.model import NEUTRAL
from guardrail_adapters._caller import Caller

__all__ = ["close", "guardrail", "guardrail_reviewer"]

_log: Final = logging.getLogger("guardrail.adapters")

MAX_RELEASED: Final = 10_000
"""Most released calls whose result is waited for; of more, the oldest stays an intent without a result."""

_lock: Final = threading.Lock()
_guards: dict[str, Guard] = {}
_released: OrderedDict[str, tuple[ToolCall, Decision]] = OrderedDict()


def _guard(config: str) -> Guard:
    """The one guard of a configuration in this process: a trail has one writer."""
    name = str(Path(config).resolve())
    with _lock:
        if name not in _guards:
            _guards[name] = Guard.open(name)
        return _guards[name]


def close() -> None:
    """Close every guard that approvers have opened, which signs and closes their trails."""
    with _lock:
        guards = list(_guards.values())
        _guards.clear()
        _released.clear()
    for guard in guards:
        guard.close()


def _sample() -> str:
    """Name of the running sample: its history is kept for it."""
    active: Any = _samples.sample_active()
    return str(active.id) if active is not None else "default"


@_approval.approver(name="guardrail")  # type: ignore[untyped-decorator]
def guardrail(config: str = "guardrail.toml", subject: str = "unknown", cwd: str = "/") -> Any:
    """Judge each tool call by what it would do to model assets.

    Args:
        config: guardrail.toml.
        subject: the agent, as mandates name it.
        cwd: working directory of the tools, in the sandbox or on the host.
    """
    guard = _guard(config)

    async def approve(message: str, call: Any, view: Any, history: Any) -> Any:  # noqa: ARG001 - Inspect's signature
        try:
            caller = Caller.of({"subject": subject, "session": _sample(), "cwd": cwd})
            ours = caller.call(call.function, call.arguments, id=str(call.id))
            decision = await guard.acheck(ours)
        except Exception as error:  # noqa: BLE001 - an exception would end the sample
            _log.warning("a tool call was rejected because judging it failed: %s: %s", type(error).__name__, error)
            return _approval.Approval(decision="reject", explanation=NEUTRAL[Outcome.DENY])
        if decision:
            with _lock:
                _released[str(call.id)] = (ours, decision)
                while len(_released) > MAX_RELEASED:
                    _released.popitem(last=False)
        return _answer(decision)

    return approve


def _answer(decision: Decision) -> Any:
    answers: dict[Outcome, Any] = {Outcome.ALLOW: "approve", Outcome.ESCALATE: "escalate", Outcome.DENY: "reject"}
    facts = {
        "decision_id": decision.decision_id,
        "outcome": decision.outcome.value,
        "rules": [reason.rule for reason in decision.reasons],
        "policy": decision.policy,
    }
    return _approval.Approval(decision=answers[decision.outcome], explanation=decision.neutral, metadata=facts)


@_review.reviewer(name="guardrail")  # type: ignore[untyped-decorator]
def guardrail_reviewer(config: str = "guardrail.toml") -> Any:
    """Look at what a tool has left behind: what it made of assets, and whether what is owed is done.

    Args:
        config: the guardrail.toml that the approver has.
    """
    guard = _guard(config)

    async def review(message: str, call: Any, result: Any, output: Any, view: Any, history: Any) -> Any:  # noqa: ARG001 - Inspect's signature
        with _lock:
            kept = _released.pop(str(call.id), None)
        try:
            open_duties = await asyncio.to_thread(_settled, guard, kept, result)
        except Exception as error:  # noqa: BLE001 - an exception would end the sample
            _log.warning("what a tool left behind could not be looked at: %s: %s", type(error).__name__, error)
            return _review.Review(decision="escalate", explanation="what the tool left behind could not be looked at")
        return _review.Review(decision="continue", metadata={"open_duties": open_duties})

    return review


def _settled(guard: Guard, kept: tuple[ToolCall, Decision] | None, result: Any) -> list[str]:
    finished: Any = getattr(guard, "finished", None)
    if kept is not None and finished is not None:
        failure = getattr(result, "error", None)
        finished(*kept, error=None if failure is None else RuntimeError(str(getattr(failure, "message", failure))))
    return [status.id for status in guard.settle() if status.state in ("open", "unmet")]
