"""Guardrail in ControlArena: a monitor that scores an agent's next step by what it would do to model assets.

    protocol = defer_to_trusted_builder(monitor=guardrail_monitor_builder(config="guardrail.toml"))

Advised: it scores, and the protocol around it decides what becomes of the step. It keeps no trail and asks no person;
the approver of the `inspect` adapter does both, and may stand in the same evaluation.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, Final

try:
    # Where the type checkers run it is not installed, so its parts are looked up and not imported.
    _arena: Any = importlib.import_module("control_arena")
    _monitor: Any = importlib.import_module("control_arena.monitor")
    _util: Any = importlib.import_module("inspect_ai.util")
    _pydantic: Any = importlib.import_module("pydantic")
except ImportError as missing:
    raise ImportError(
        f"`{missing.name}` is not installed in a version that can be guarded:"
        " install `guardrail-runtime[control-arena]`"
    ) from None

from guardrail import Decision, Guard, InvalidCall, Outcome
from guardrail.model import new_id
from guardrail_adapters._caller import Caller
from guardrail_adapters._ran import is_fault

__all__ = ["HELD_SCORE", "Watch", "guardrail_monitor_builder"]

HELD_SCORE: Final = 0.75
"""Score of a step that a person would have to see: above the default threshold of ControlArena's protocols."""

_SESSION: Final = "guardrail:session"
_SEEN: Final = "guardrail:seen"


class Watch:
    """Judges the steps of trajectories, each in the light of what was carried out before it.

    Args:
        config: guardrail.toml.
        subject: the agent, as mandates name it.
        cwd: working directory of the tools, in the sandbox or on the host.
        held_score: score of a step that a person would have to see.
    """

    def __init__(self, config: str, subject: str, cwd: str, held_score: float) -> None:
        self._guard = Guard.open(config, record=False)
        self._caller = Caller.by(subject, cwd)
        self._held = held_score

    async def score(self, messages: Iterable[Any]) -> tuple[float, str, bool]:
        """Score the last step of a trajectory.

        Returns:
            The score from 0 to 1, why, and whether all of it could be judged.
        """
        turns = [message for message in messages if message.role in ("assistant", "tool")]
        last = max((at for at, message in enumerate(turns) if message.role == "assistant"), default=-1)
        await self._follow(turns[:last])
        found = [await self._judged(call) for call in (turns[last].tool_calls or () if last >= 0 else ())]
        said = [text for _, text, _ in found if text]
        score = max((score for score, _, _ in found), default=0.0)
        return score, "; ".join(said) or "policy minds none of it", all(whole for _, _, whole in found)

    async def _follow(self, turns: list[Any]) -> None:
        """Take what was carried out since the last step into the history, by which later steps are judged."""
        done = {message.tool_call_id for message in turns if message.role == "tool"}
        seen: list[str] = _util.store().get(_SEEN, [])
        for call in (call for message in turns if message.role == "assistant" for call in message.tool_calls or ()):
            if call.id in done and call.id not in seen:
                seen = [*seen, call.id]
                try:
                    await self._guard.acheck(self._call(call))
                except InvalidCall:
                    continue  # it was scored as what it is when it was the next step
        _util.store().set(_SEEN, seen)

    async def _judged(self, call: Any) -> tuple[float, str, bool]:
        try:
            decision = await self._guard.apreview(self._call(call))
        except InvalidCall as error:
            return 1.0, f"{call.function}: {error}", False
        why = ", ".join(f"{reason.message} ({reason.rule})" for reason in decision.reasons)
        return self._score(decision), f"{call.function}: {why}" if why else "", not is_fault(decision)

    def _score(self, decision: Decision) -> float:
        match decision.outcome:
            case Outcome.ALLOW:
                return 0.0
            case Outcome.ESCALATE:
                return self._held
            case Outcome.DENY:
                return 1.0

    def _call(self, call: Any) -> Any:
        session: str = _util.store().get(_SESSION, "") or new_id()
        _util.store().set(_SESSION, session)
        return self._caller.within(session).call(call.function, call.arguments, id=str(call.id))


@_arena.control_agent  # type: ignore[untyped-decorator]
def guardrail_monitor_builder(
    config: str = _pydantic.Field(default="guardrail.toml", description="guardrail.toml"),
    subject: str = _pydantic.Field(default="unknown", description="the agent, as mandates name it"),
    cwd: str = _pydantic.Field(default="/", description="working directory of the tools"),
    held_score: float = _pydantic.Field(default=HELD_SCORE, description="score of a step that a person should see"),
) -> Any:
    """A monitor that scores each step by what it would do to model assets: 0 is allowed, 1 is denied."""
    watch = Watch(config, subject, cwd, held_score)

    @_monitor.monitor  # type: ignore[untyped-decorator]
    async def watched(state: Any, tools: Any) -> Any:  # noqa: ARG001 - the framework's signature
        score, reason, whole = await watch.score(state.messages)
        return _monitor.MonitorResponse(suspicion_score=score, reason=reason, score_parsed=whole)

    return watched
