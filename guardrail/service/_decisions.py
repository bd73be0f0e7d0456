"""The decision routes, as bare ASGI: a framework would cost more than the decision.

INVARIANT: an allow is sent only for a Decision that `Guard.acheck` returned; every other way out of here is a problem,
and problems say `deny`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import orjson

from guardrail.config import ServiceConfig
from guardrail.errors import InvalidCall
from guardrail.model import Decision, Outcome, ToolCall
from guardrail.service._authzen import evaluation, last, read_evaluation, read_evaluations, refusal
from guardrail.service._http import (
    Answer,
    Problem,
    Receive,
    Scope,
    Send,
    check_json,
    headers_of,
    read_body,
    request_id,
)
from guardrail.telemetry import serving

DECIDE: Final = "/v1/decide"
EVALUATION: Final = "/access/v1/evaluation"
EVALUATIONS: Final = "/access/v1/evaluations"


FAULT: Final = Problem("fault", "the service failed to judge this call; its log says why")
"""What a client is told of a failure in here."""


class Judge(Protocol):
    """What these routes need of a Guard."""

    async def acheck(self, call: ToolCall) -> Decision:
        """Judge a call; a denial is an answer."""
        ...


class DecisionRoutes:
    """`POST /v1/decide` and the AuthZEN endpoints.

    Args:
        guard: what judges.
        settings: limits on bodies and on requests judged at one time.
    """

    def __init__(self, guard: Judge, settings: ServiceConfig) -> None:
        self._guard = guard
        self._limit = settings.body_bytes
        self._most = settings.concurrency
        self._active = 0
        self._routes: Mapping[str, Callable[[bytes], Awaitable[Answer]]] = {
            DECIDE: self._decide,
            EVALUATION: self._evaluation,
            EVALUATIONS: self._evaluations,
        }

    @property
    def active(self) -> int:
        """Requests being judged now."""
        return self._active

    def owns(self, path: str) -> bool:
        """Whether a path is answered here."""
        return path in self._routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = headers_of(scope)
        echo = request_id(headers)
        with serving(_trace_headers(headers)) as request:
            try:
                answer = await self._answer(scope, headers, receive)
            except Problem as problem:
                answer = problem.answer(scope, trace_id=request.trace_id)
            except Exception as error:  # noqa: BLE001 - INVARIANT above: whatever happens, the answer is no allow
                log_fault(error)
                answer = FAULT.answer(scope, trace_id=request.trace_id)
        if answer is not None:
            trace = request.traceresponse
            await answer.send(send, *echo, *(((b"traceresponse", trace.encode()),) if trace else ()))

    async def _answer(self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive) -> Answer | None:
        if scope["method"] != "POST":
            raise Problem("method-not-allowed", f"`{scope['path']}` takes POST only")
        check_json(headers)
        body = await read_body(headers, receive, self._limit)
        if body is None:
            return None
        if self._active >= self._most:
            raise Problem("overloaded", f"{self._most} requests are being judged already: ask again")
        self._active += 1
        try:
            return await self._routes[scope["path"]](body)
        except InvalidCall as error:
            raise Problem("malformed", str(error)) from None
        finally:
            self._active -= 1

    async def _decide(self, body: bytes) -> Answer:
        decision = await self._guard.acheck(ToolCall.from_json(body))
        return Answer(body=decision.to_json())

    async def _evaluation(self, body: bytes) -> Answer:
        return _json(evaluation(await self._guard.acheck(read_evaluation(body))))

    async def _evaluations(self, body: bytes) -> Answer:
        batch = read_evaluations(body)
        answers: list[dict[str, Any]] = []
        for call in batch.calls:
            if isinstance(call, InvalidCall):
                allowed, answer = False, refusal(call)
            else:
                decision = await self._guard.acheck(call)
                allowed, answer = decision.outcome is Outcome.ALLOW, evaluation(decision)
            answers.append(answer)
            if last(batch.semantic, allowed):
                break
        return _json(answers[0] if batch.single else {"evaluations": answers})


def _json(value: dict[str, Any]) -> Answer:
    return Answer(body=orjson.dumps(value))


def _trace_headers(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    found = ((name, headers.get(name.encode(), b"")) for name in ("traceparent", "tracestate"))
    return {name: value.decode("latin-1") for name, value in found if value}


def log_fault(error: Exception) -> None:
    """Write into the log what no client is told."""
    import logging

    logging.getLogger("guardrail.service").error("guardrail.service.fault", exc_info=error)
