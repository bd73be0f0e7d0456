"""What all routes that judge a call have in common: whose call it is, its turn, and the guard."""

from __future__ import annotations

from typing import Protocol

from guardrail.model import Decision, ToolCall
from guardrail.service._callers import Caller
from guardrail.service._turns import Turns


class Judge(Protocol):
    """What is needed of a Guard."""

    async def acheck(self, call: ToolCall) -> Decision:
        """Judge a call; a denial is an answer."""
        ...


class Judging:
    """A guard as clients reach it.

    Args:
        guard: what judges.
        turns: limits on what is judged.
    """

    def __init__(self, guard: Judge, turns: Turns) -> None:
        self._guard = guard
        self._turns = turns

    async def judge(self, caller: Caller, call: ToolCall) -> tuple[ToolCall, Decision]:
        """Judge a call of somebody's.

        Args:
            caller: who asks.
            call: what their agent sent.

        Returns:
            The call as it was judged, under its agent's name, and the decision.

        Raises:
            Problem: if they may not ask in that name, or there is no turn for them.
        """
        call = caller.attributed(call)
        async with self._turns.turn(caller.share(call.subject.id)):
            return call, await self._guard.acheck(call)
