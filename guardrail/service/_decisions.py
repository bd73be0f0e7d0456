"""The decision routes, as bare ASGI: a framework would cost more than the decision.

INVARIANT: an allow is sent only for a Decision that `Guard.acheck` returned; every other way out of here is a problem,
and problems say `deny`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson

from guardrail.config import ServiceConfig
from guardrail.errors import InvalidCall
from guardrail.model import Outcome, ToolCall
from guardrail.service._authzen import evaluation, last, read_evaluation, read_evaluations, refusal
from guardrail.service._callers import Caller
from guardrail.service._http import Answer, Receive, Scope, Send
from guardrail.service._judging import Judging
from guardrail.service._respond import Request, respond

DECIDE: Final = "/v1/decide"
EVALUATION: Final = "/access/v1/evaluation"
EVALUATIONS: Final = "/access/v1/evaluations"


class DecisionRoutes:
    """`POST /v1/decide` and the AuthZEN endpoints.

    Args:
        judging: what judges.
        settings: limit on bodies.
    """

    def __init__(self, judging: Judging, settings: ServiceConfig) -> None:
        self._judging = judging
        self._limit = settings.body_bytes
        self._routes: Mapping[str, Callable[[Caller, bytes], Awaitable[Answer]]] = {
            DECIDE: self._decide,
            EVALUATION: self._evaluation,
            EVALUATIONS: self._evaluations,
        }

    def owns(self, path: str) -> bool:
        """Whether a path is answered here."""
        return path in self._routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await respond(scope, receive, send, self._answer)

    async def _answer(self, request: Request) -> Answer | None:
        body = await request.json(self._limit)
        if body is None:
            return None
        return await self._routes[request.path](request.caller, body)

    async def _decide(self, caller: Caller, body: bytes) -> Answer:
        _, decision = await self._judging.judge(caller, ToolCall.from_json(body))
        return Answer(body=decision.to_json())

    async def _evaluation(self, caller: Caller, body: bytes) -> Answer:
        _, decision = await self._judging.judge(caller, read_evaluation(body))
        return _json(evaluation(decision))

    async def _evaluations(self, caller: Caller, body: bytes) -> Answer:
        batch = read_evaluations(body)
        answers: list[dict[str, Any]] = []
        for call in batch.calls:
            if isinstance(call, InvalidCall):
                allowed, answer = False, refusal(call)
            else:
                _, decision = await self._judging.judge(caller, call)
                allowed, answer = decision.outcome is Outcome.ALLOW, evaluation(decision)
            answers.append(answer)
            if last(batch.semantic, allowed):
                break
        return _json(answers[0] if batch.single else {"evaluations": answers})


def _json(value: dict[str, Any]) -> Answer:
    return Answer(body=orjson.dumps(value))
