"""Guardrail in Inspect AI: an approver that judges each tool call, a reviewer that looks at what it left behind, and
a hook that looks at what the agent owes when its sample is over.

Advised: Inspect runs the tool itself once the approver says yes. An exception in any of them would end the whole
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

import msgspec

try:
    # Where the type checkers run it is not installed, so its parts are looked up and not imported.
    _approval: Any = importlib.import_module("inspect_ai.approval")
    _review: Any = importlib.import_module("inspect_ai.review")
    _hooks: Any = importlib.import_module("inspect_ai.hooks")
    # Private: without it every sample would be one session.
    _samples: Any = importlib.import_module("inspect_ai.log._samples")
except ImportError as missing:
    raise ImportError(
        f"`{missing.name}` is not installed in a version that can be guarded: install `guardrail-runtime[inspect]`"
    ) from None

from guardrail import Decision, Guard, Outcome, Subject, ToolCall
from guardrail.model import NEUTRAL
from guardrail_adapters._caller import Caller
from guardrail_adapters._owed import Owed

__all__ = ["close", "guardrail", "guardrail_reviewer", "use"]

_log: Final = logging.getLogger("guardrail.adapters")

MAX_JUDGED: Final = 10_000
"""Most calls whose result is waited for; of more, the oldest stays an intent without a result."""

MAX_SAMPLES: Final = 10_000
"""Most running samples of which is known who acts in them; of more, the oldest is not looked at when it is over."""

_Agent = tuple[str, Subject, str]
"""A configuration, who acts under it, and in which conversation if not in one for each sample."""


class _Known:
    """What this process knows of its evaluations: Inspect makes approvers, reviewers and hooks apart."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._guards: dict[str, Guard] = {}
        self._judged: OrderedDict[tuple[str, str], tuple[ToolCall, Decision]] = OrderedDict()
        self._agents: set[_Agent] = set()
        self._acting: OrderedDict[str, set[_Agent]] = OrderedDict()

    def guard(self, config: str) -> Guard:
        """The one guard of a configuration in this process: a trail has one writer."""
        name = str(Path(config).resolve())
        with self._lock:
            if name not in self._guards:
                self._guards[name] = Guard.open(name)
            return self._guards[name]

    def take(self, config: str, guard: Guard) -> None:
        """Take a guard that is open already."""
        with self._lock:
            self._guards[str(Path(config).resolve())] = guard

    def clear(self) -> list[Guard]:
        """Forget everything.

        Returns:
            The guards that were open.
        """
        with self._lock:
            guards = list(self._guards.values())
            for kept in (self._guards, self._judged, self._agents, self._acting):
                kept.clear()
        return guards

    def agent(self, agent: _Agent, sample: str = "") -> None:
        """An approver was made for an agent, or the agent acts in a sample."""
        with self._lock:
            self._agents.add(agent)
            if sample:
                self._acting.setdefault(sample, set()).add(agent)
            while len(self._acting) > MAX_SAMPLES:
                self._acting.popitem(last=False)

    def acted(self, sample: str) -> set[_Agent]:
        """Who acted in a sample that is over; where nobody did, who alone could have: doing nothing is seen as well."""
        with self._lock:
            alone = set(self._agents) if len(self._agents) == 1 else set[_Agent]()
            return self._acting.pop(sample, alone)

    def judged(self, sample: str, call: ToolCall, decision: Decision) -> None:
        """A call was judged, and may come to run."""
        with self._lock:
            self._judged[sample, call.id] = (call, decision)
            while len(self._judged) > MAX_JUDGED:
                self._judged.popitem(last=False)

    def ran(self, sample: str, call: str) -> tuple[ToolCall, Decision] | None:
        """What was judged of a call that has run."""
        with self._lock:
            return self._judged.pop((sample, call), None)


_known: Final = _Known()


def use(config: str, guard: Guard) -> None:
    """Let approvers and reviewers of a configuration use a guard that is open already, instead of opening one.

    Args:
        config: the guardrail.toml that they are made with.
        guard: the guard; `close` closes it as well.
    """
    _known.take(config, guard)


def close() -> None:
    """Close every guard that approvers have used, which signs and closes their trails."""
    for guard in _known.clear():
        guard.close()


def _sample() -> str:
    """Name of the running sample: its history is kept for it."""
    active: Any = _samples.sample_active()
    return str(active.id) if active is not None else "default"


@_hooks.hooks(name="guardrail", description="looks at what an agent owes when its sample is over")
class GuardrailHooks(_hooks.Hooks):  # type: ignore[misc]
    """Tells the guard when an agent is through."""

    async def on_sample_end(self, data: Any) -> None:
        """What an agent owes and has not done is on record from here on."""
        for config, subject, session in _known.acted(str(data.sample_id)):
            owed, conversation = Owed(_known.guard(config)), session or str(data.sample_id)
            await asyncio.to_thread(owed.begin, subject, conversation)
            await asyncio.to_thread(owed.end, subject, conversation)


@_approval.approver(name="guardrail")  # type: ignore[untyped-decorator]
def guardrail(config: str = "guardrail.toml", subject: str = "unknown", cwd: str = "/", session: str = "") -> Any:
    """Judge each tool call by what it would do to model assets.

    Args:
        config: guardrail.toml.
        subject: the agent, as mandates name it.
        cwd: working directory of the tools, in the sandbox or on the host.
        session: name of the conversation; by default each sample is one, and an approval holds within it.
    """
    guard = _known.guard(config)
    caller = Caller.by(subject, cwd)
    agent = (config, caller.subject, session)
    _known.agent(agent)

    async def approve(message: str, call: Any, view: Any, history: Any) -> Any:  # noqa: ARG001 - Inspect's signature
        try:
            sample = _sample()
            ours = caller.within(session or sample).call(call.function, call.arguments, id=str(call.id))
            _known.agent(agent, sample)
            decision = await guard.acheck(ours)
        except Exception as error:  # noqa: BLE001 - an exception would end the sample
            _log.warning("a tool call was rejected because judging it failed: %s: %s", type(error).__name__, error)
            return _approval.Approval(decision="reject", explanation=NEUTRAL[Outcome.DENY])
        if decision.outcome is not Outcome.DENY:
            _known.judged(sample, ours, decision)
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
    guard = _known.guard(config)

    async def review(message: str, call: Any, result: Any, output: Any, view: Any, history: Any) -> Any:  # noqa: ARG001 - Inspect's signature
        try:
            kept = _known.ran(_sample(), str(call.id))
            denied = kept is not None and await asyncio.to_thread(_is_denied, guard, *kept, call.arguments, result)
            open_duties = await asyncio.to_thread(_open_duties, guard)
        except Exception as error:  # noqa: BLE001 - an exception would end the sample
            _log.warning("what a tool left behind could not be looked at: %s: %s", type(error).__name__, error)
            return _review.Review(decision="escalate", explanation="what the tool left behind could not be looked at")
        facts = {"judged": kept is not None, "open_duties": open_duties}
        if denied:
            return _review.Review(decision="escalate", explanation="what ran instead is not permitted", metadata=facts)
        return _review.Review(decision="continue", metadata=facts)

    return review


def _is_denied(guard: Guard, call: ToolCall, decision: Decision, ran: Any, result: Any) -> bool:
    """Put on record what came of a call, and say whether what ran in its place is denied."""
    if ran != call.args:
        # The approver that it went on to has worded it anew, and nobody has judged that.
        call = msgspec.structs.replace(call, args=dict(ran))
        decision = guard.check(call)
    if decision.outcome is Outcome.DENY:
        return True
    if decision.outcome is Outcome.ESCALATE:
        # It has run, so the approver that it went on to has let it through.
        decision = guard.let_through(call, decision, by="inspect:approver")
    failure = getattr(result, "error", None)
    error = None if failure is None else RuntimeError(str(getattr(failure, "message", failure)))
    guard.finished(call, decision, error=error)
    return False


def _open_duties(guard: Guard) -> list[str]:
    return [status.id for status in guard.settle() if status.state in ("open", "unmet")]
