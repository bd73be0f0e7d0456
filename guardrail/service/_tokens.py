"""`POST /v1/token`: judge a call, and sign for an allow, so that a tool elsewhere can tell that it was one."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Final

import orjson

from guardrail.audit import trail_key
from guardrail.errors import GuardrailError
from guardrail.model import ToolCall
from guardrail.service._http import Answer, Problem, Receive, Scope, Send
from guardrail.service._judging import Judging
from guardrail.service._respond import Request, respond
from guardrail.tokens import TokenSigner

if TYPE_CHECKING:
    from guardrail.guard import Guard

TOKEN: Final = "/v1/token"  # noqa: S105 - a path


class TokenRoutes:
    """The route of decision tokens.

    Args:
        guard: has the key.
        judging: what judges.
    """

    def __init__(self, guard: Guard, judging: Judging) -> None:
        self._guard = guard
        self._judging = judging
        self._limit = guard.config.service.body_bytes

    def owns(self, path: str) -> bool:
        """Whether a path is answered here."""
        return path == TOKEN

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await respond(scope, receive, send, self._answer)

    async def _answer(self, request: Request) -> Answer | None:
        body = await request.json(self._limit)
        if body is None:
            return None
        call = ToolCall.from_json(body)
        try:
            signer = await asyncio.to_thread(lambda: self._signer)
        except (GuardrailError, OSError) as error:
            # Before the call is judged: an allow that nobody is told of would be on record as released.
            raise Problem("not-ready", f"no token can be signed here: {error}") from None
        call, decision = await self._judging.judge(request.caller, call)
        facts = {"decision": decision.to_dict()}
        if decision:
            facts["token"] = signer.sign(call, decision)  # type: ignore[assignment]
        return Answer(body=orjson.dumps(facts))

    @functools.cached_property
    def _signer(self) -> TokenSigner:
        return TokenSigner.open(trail_key(self._guard.config), self._guard.config.trail.origin)
