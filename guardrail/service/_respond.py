"""What all routes that no framework touches do alike: one request, and one answer whatever happens.

INVARIANT: what is no `Answer` of a route's own is a problem, and problems say `deny`: no fault, limit or timeout
becomes an allow.
"""

from __future__ import annotations

import logging
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from guardrail.errors import InvalidCall
from guardrail.service._callers import Caller
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

CALLER: Final = "guardrail.caller"
"""Where in its scope a request's caller stands."""

FAULT: Final = Problem("fault", "the service failed to judge this call; its log says why")
"""What a client is told of a failure in here."""


class Request:
    """One request.

    Args:
        scope: ASGI's scope.
        receive: ASGI's receive.
        send: ASGI's send, for a route that sends as it goes.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.path: str = scope["path"]
        self.method: str = scope["method"]
        self.headers = headers_of(scope)

    @property
    def caller(self) -> Caller:
        """Who asks; INVARIANT: said by `Service` and nobody else, and a request of which it was not said is a fault."""
        caller: Caller = self.scope[CALLER]
        return caller

    @property
    def query(self) -> dict[str, str]:
        """The query by name; of a repeated name the last one counts."""
        text = self.scope["query_string"].decode("latin-1")
        return {name: values[-1] for name, values in urllib.parse.parse_qs(text).items()}

    def needs(self, *methods: str) -> None:
        """Insist on a method.

        Raises:
            Problem: if it is another one.
        """
        if self.method not in methods:
            allowed = ", ".join(methods)
            raise Problem("method-not-allowed", f"`{self.path}` takes {allowed} only", ((b"allow", allowed.encode()),))

    async def json(self, limit: int) -> bytes | None:
        """The body of a POST, which has to call itself JSON.

        Args:
            limit: largest body, in bytes.

        Returns:
            The body; None if the client went away.

        Raises:
            Problem: if it is no such request, is too large or does not come.
        """
        self.needs("POST")
        check_json(self.headers)
        return await read_body(self.headers, self.receive, limit)

    async def gone(self) -> None:
        """Return when the client has gone away; the body has to be read by then."""
        while (await self.receive())["type"] != "http.disconnect":
            pass


Work = Callable[[Request], Awaitable[Answer | None]]
"""What a route does: gives an answer, or None where it has sent one itself or nobody is there any more."""


async def respond(scope: Scope, receive: Receive, send: Send, work: Work) -> None:
    """Answer one request with what `work` gives, under the span that its headers name."""
    request = Request(scope, receive, send)
    with serving(_trace_headers(request.headers)) as span:
        try:
            answer = await work(request)
        except Problem as problem:
            answer = problem.answer(scope, trace_id=span.trace_id)
        except InvalidCall as error:
            answer = Problem("malformed", str(error)).answer(scope, trace_id=span.trace_id)
        except Exception as error:
            # What went wrong may quote a call: it is for the log, and not for the client.
            logging.getLogger("guardrail.service").error("guardrail.service.fault", exc_info=error)
            answer = FAULT.answer(scope, trace_id=span.trace_id)
    if answer is not None:
        trace = span.traceresponse
        more = ((b"traceresponse", trace.encode()),) if trace else ()
        await answer.send(send, *request_id(request.headers), *more)


def _trace_headers(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    found = ((name, headers.get(name.encode(), b"")) for name in ("traceparent", "tracestate"))
    return {name: value.decode("latin-1") for name, value in found if value}
