"""Answers, RFC 9457 problems and bounded request bodies for the routes that no framework touches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import orjson

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

BODY_SECONDS: Final = 5.0
"""Longest time a client may take to send its body, in seconds."""

MAX_REQUEST_ID: Final = 128
"""Longest `X-Request-ID` that is sent back, in characters."""

PROBLEM_TYPES: Final[Mapping[str, int]] = {
    "malformed": 400,
    "unauthorized": 401,
    "not-entitled": 403,
    "not-signed": 403,
    "separation-of-duties": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "too-slow": 408,
    "already-there": 409,
    "already-decided": 409,
    "already-voted": 409,
    "not-redeemable": 409,
    "expired": 410,
    "stale": 412,
    "too-large": 413,
    "unsupported-media-type": 415,
    "too-wide": 422,
    "reused-key": 422,
    "too-many": 429,
    "too-often": 429,
    "fault": 500,
    "overloaded": 503,
    "not-ready": 503,
}
"""Every `type` of a problem, without its `urn:guardrail:problem:`, and the status it comes with."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One response.

    Args:
        status: HTTP status.
        body: content, already encoded.
        kind: value of `content-type`.
        headers: further headers, lower-case names.
    """

    status: int = 200
    body: bytes
    kind: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def send(self, send: Send, *more: tuple[bytes, bytes]) -> None:
        """Send it as ASGI messages."""
        headers = [
            (b"content-type", self.kind),
            (b"content-length", str(len(self.body)).encode()),
            (b"cache-control", b"no-store"),
            *self.headers,
            *more,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class Problem(Exception):
    """A request that gets no decision, hence a denial.

    Args:
        kind: one of `PROBLEM_TYPES`.
        detail: what is wrong and how to mend it, one sentence.
        headers: further headers, lower-case names.
        facts: further members of the document.
    """

    def __init__(self, kind: str, detail: str, headers: tuple[tuple[bytes, bytes], ...] = (), **facts: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status = PROBLEM_TYPES[kind]
        self._headers = headers
        self._facts = facts

    def answer(self, scope: Scope, **facts: Any) -> Answer:
        """This problem as RFC 9457 JSON; `outcome` is in it so that a client that reads nothing else still denies."""
        facts |= self._facts
        return Answer(
            status=self.status,
            body=orjson.dumps(problem_document(self.kind, self.status, str(self), scope.get("path", ""), **facts)),
            kind=b"application/problem+json",
            headers=(*_HEADERS.get(self.kind, ()), *self._headers),
        )


_HEADERS: Final[Mapping[str, tuple[tuple[bytes, bytes], ...]]] = {
    "unauthorized": ((b"www-authenticate", b'Bearer realm="guardrail"'),),
    "not-ready": ((b"retry-after", b"1"),),
    # What is left of the body is not read, so the connection cannot be used again.
    "too-large": ((b"connection", b"close"),),
    "too-slow": ((b"connection", b"close"),),
}


def problem_document(kind: str, status: int, detail: str, instance: str, **facts: Any) -> dict[str, Any]:
    """The members of RFC 9457 section 3.1, and ours."""
    document = {
        "type": f"urn:guardrail:problem:{kind}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
        "outcome": "deny",
    }
    return document | {name: value for name, value in facts.items() if value}


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Headers by lower-case name; of a repeated header the last one counts."""
    return dict(scope["headers"])


def request_id(headers: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """The caller's `X-Request-ID` to send back (AuthZEN 1.0, 10.1.3), if it is harmless."""
    value = headers.get(b"x-request-id", b"")
    if 0 < len(value) <= MAX_REQUEST_ID and value.isascii() and value.decode("ascii").isprintable():
        return ((b"x-request-id", value),)
    return ()


def read_version(text: str) -> int | None:
    """The version that an entity tag names (RFC 9110 section 8.8.3), ours or one that was made weak; None for none."""
    digits = text.strip().removeprefix("W/").strip('"')
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def check_json(headers: Mapping[bytes, bytes]) -> None:
    """Insist on JSON by name: a web page cannot send that to another origin without asking first.

    Raises:
        Problem: if `content-type` is missing or something else.
    """
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise Problem("unsupported-media-type", "send `content-type: application/json`")


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes | None:
    """Read a whole request body.

    Args:
        headers: of the request.
        receive: ASGI's receive.
        limit: largest body, in bytes.

    Returns:
        The body; None if the client went away.

    Raises:
        Problem: if it is larger than `limit`, or not complete after `BODY_SECONDS`.
    """
    length: bytes = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > limit:
        raise Problem("too-large", f"a request may have at most {limit} bytes, this one has {length.decode()}")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _collect(receive, limit)
    except TimeoutError:
        raise Problem("too-slow", f"the body did not arrive within {BODY_SECONDS:g} seconds") from None


async def _collect(receive: Receive, limit: int) -> bytes | None:
    body = bytearray()
    while True:
        message: dict[str, Any] = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > limit:
            raise Problem("too-large", f"a request may have at most {limit} bytes")
        if not message.get("more_body", False):
            return bytes(body)
