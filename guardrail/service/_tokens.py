"""`POST /v1/token`: judge a call, and sign for an allow, so that a tool elsewhere can tell that it was one."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Final

import orjson

from guardrail.audit import trail_key
from guardrail.errors import GuardrailError, InvalidCall
from guardrail.model import ToolCall
from guardrail.service._decisions import FAULT, log_fault
from guardrail.service._http import Answer, Problem, Receive, Scope, Send, check_json, headers_of, read_body, request_id
from guardrail.tokens import TokenSigner

if TYPE_CHECKING:
    from guardrail.guard import Guard

TOKEN: Final = "/v1/token"  # noqa: S105 - a path


class TokenRoutes:
    """The route of decision tokens.

    Args:
        guard: judges, and has the key.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._limit = guard.config.service.body_bytes

    def owns(self, path: str) -> bool:
        """Whether a path is answered here."""
        return path == TOKEN

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(scope, receive)
        except Problem as problem:
            answer = problem.answer(scope)
        except Exception as error:  # noqa: BLE001 - whatever happens, the answer is no allow
            log_fault(error)
            answer = FAULT.answer(scope)
        if answer is not None:
            await answer.send(send, *request_id(headers_of(scope)))

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | None:
        headers = headers_of(scope)
        if scope["method"] != "POST":
            raise Problem("method-not-allowed", f"`{TOKEN}` takes POST only")
        check_json(headers)
        body = await read_body(headers, receive, self._limit)
        if body is None:
            return None
        try:
            call = ToolCall.from_json(body)
        except InvalidCall as error:
            raise Problem("malformed", str(error)) from None
        try:
            signer = await asyncio.to_thread(lambda: self._signer)
        except (GuardrailError, OSError) as error:
            # Before the call is judged: an allow that nobody is told of would be on record as released.
            raise Problem("not-ready", f"no token can be signed here: {error}") from None
        decision = await self._guard.acheck(call)
        facts = {"decision": decision.to_dict()}
        if decision:
            facts["token"] = signer.sign(call, decision)  # type: ignore[assignment]
        return Answer(body=orjson.dumps(facts))

    @functools.cached_property
    def _signer(self) -> TokenSigner:
        return TokenSigner.open(trail_key(self._guard.config), self._guard.config.trail.origin)
