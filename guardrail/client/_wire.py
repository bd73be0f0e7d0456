"""HTTP/1.1 as far as our own service speaks it, by hand: `http.client` costs a hook 30 ms to load. Pure.

It reads what our own service sends, which always says how long an answer is, and takes anything else for no answer.

INVARIANT: an answer is only ever taken for the call that it was asked for: it has the mark of its request and the id of
its call.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import ssl

DECIDE: Final = "/v1/decide"

TIMEOUT_SECONDS: Final = 2.0
"""Longest wait for an answer, in seconds."""

MAX_HEAD_BYTES: Final = 64 * 1024
"""Largest status line and headers that are read, in bytes."""

MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""Largest answer that is read, in bytes."""

CUT_SHORT: Final = "the answer was cut short"

_MARK_BYTES: Final = 8
"""Randomness by which an answer is known to be for its request, in bytes."""

_PORTS: Final = {"http": 80, "https": 443}


class Address(NamedTuple):
    """Where a service listens.

    Args:
        text: as it was given, for people.
        path: of a Unix socket; empty for TCP.
        host: for TCP.
        port: for TCP.
        tls: whether it speaks TLS.
    """

    text: str
    path: str = ""
    host: str = ""
    port: int = 0
    tls: bool = False

    @classmethod
    def of(cls, text: str) -> Address:
        """Read an address.

        Args:
            text: the path of a Unix socket, with `unix:` before it or not, or `http://host:port`, or `https://host`.

        Raises:
            ValueError: if it is none of these.
        """
        scheme, colon, rest = text.partition("://")
        if not colon:
            return cls(text, path=text.removeprefix("unix:"))
        from urllib.parse import urlsplit  # a Unix socket never needs it

        parts = urlsplit(text)
        if scheme not in _PORTS or not parts.hostname or rest.strip("/") != parts.netloc or parts.username is not None:
            raise ValueError(f"`{text}` is no address of a service: `unix:/path`, `http://host:port` or `https://host`")
        return cls(text, host=parts.hostname, port=parts.port or _PORTS[scheme], tls=scheme == "https")


class Service:
    """A service that can be asked; how its answer is waited for is a subclass's affair.

    Args:
        address: path of a Unix socket, `http://host:port` or `https://host`.
        token: the service's token, if it has one.
        timeout_seconds: longest wait for an answer, connecting included, in seconds.
        tls: for `https`: who is believed, and the certificate that is shown; by default the system's authorities and
            none.

    Raises:
        ValueError: if the address or the token cannot be used.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str = "",
        timeout_seconds: float = TIMEOUT_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._address = Address.of(address)
        self._wire = Wire(self._address, token)
        self._timeout = timeout_seconds
        self._tls: ssl.SSLContext | None = tls


class Head(NamedTuple):
    """What the head of an answer says.

    Args:
        status: HTTP status.
        length: of the body, in bytes.
        kept: whether the connection stays open.
    """

    status: int
    length: int
    kept: bool


class Wire:
    """What is sent to one service.

    Args:
        address: where it listens.
        token: what it wants to be sent; empty for none.
    """

    def __init__(self, address: Address, token: str) -> None:
        if not token.isascii() or not token.isprintable():
            raise ValueError("a token has printable ASCII characters only")
        host = f"[{address.host}]" if ":" in address.host else address.host or "localhost"
        self._fixed = f"host: {host}\r\ncontent-type: application/json\r\n"
        if token:
            self._fixed += f"authorization: Bearer {token}\r\n"

    def request(self, target: str, body: bytes, traceparent: str) -> tuple[bytes, bytes]:
        """A POST, and the mark that its answer has to have."""
        mark = os.urandom(_MARK_BYTES).hex()
        traced = traceparent and traceparent.isascii() and traceparent.isprintable()
        trace = f"traceparent: {traceparent}\r\n" if traced else ""
        head = (
            f"POST {target} HTTP/1.1\r\n{self._fixed}{trace}x-request-id: {mark}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode("ascii") + body, mark.encode()


def head_of(text: bytes, mark: bytes) -> Head:
    """Read the head of an answer, without the empty line that ends it.

    Raises:
        ValueError: if it is not what our service sends, or for another request.
    """
    first, *lines = text.split(b"\r\n")
    version, code = first.split(b" ", 2)[:2]
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    length = int(fields.get(b"content-length", b"-1"))
    if version != b"HTTP/1.1" or not 0 <= length <= MAX_ANSWER_BYTES or b"transfer-encoding" in fields:
        raise ValueError("not an answer of the guardrail service")
    if code == b"200" and fields.get(b"x-request-id") != mark:
        raise ValueError("an answer to another request")
    return Head(int(code), length, fields.get(b"connection", b"").lower() != b"close")


def question(call: Mapping[str, Any] | bytes) -> bytes | None:
    """A call as JSON; None if it cannot be written."""
    try:
        return call if isinstance(call, bytes) else json.dumps(call).encode()
    except (ValueError, TypeError, RecursionError):
        return None


UNWRITABLE: Final = "the call cannot be written as JSON: give plain values"


def decision_of(status: int, answer: bytes, call: Mapping[str, Any] | bytes) -> dict[str, Any]:
    """The decision in an answer; a denial if it is a problem.

    Raises:
        ValueError: if it is neither, or about another call.
    """
    value: Any = json.loads(answer)
    if status == 200 and isinstance(value, dict) and value.get("outcome") in ("allow", "escalate", "deny"):  # pyright: ignore[reportUnknownMemberType]
        if value.get("id") != _id_of(call):  # pyright: ignore[reportUnknownMemberType]
            raise ValueError("a decision about another call")
        return value  # pyright: ignore[reportUnknownVariableType]
    detail: object = value.get("detail", "") if isinstance(value, dict) else ""  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
    return denial(f"the guardrail service answered {status}: {detail}")


def no_answer(address: Address, error: Exception) -> dict[str, Any]:
    """The denial for want of an answer."""
    why = cause(error) if isinstance(error, OSError) else "something else answers there"
    return denial(f"the guardrail service gave no answer at `{address.text}`: {why}")


def denial(message: str) -> dict[str, Any]:
    """A denial with the rule `guardrail.fault`."""
    reason = {"rule": "guardrail.fault", "outcome": "deny", "message": message[:2000]}
    return {"id": "", "decision_id": "", "outcome": "deny", "reasons": [reason], "effects": [], "assets": []}


def cause(error: OSError) -> str:
    """What went wrong in a connection, as a person would say it."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    # Of a certificate that is not believed the number says nothing.
    if refused := getattr(error, "verify_message", ""):
        return f"its certificate is not believed: {refused}"
    text = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror or str(error)
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def left(deadline: float) -> float:
    """Seconds until a deadline of the monotonic clock.

    Raises:
        TimeoutError: if there are none.
    """
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("timed out")
    return seconds


def _id_of(call: Mapping[str, Any] | bytes) -> object:
    """The call's own id, which its decision has too; empty for a call without one, and for what is no call."""
    try:
        value: Any = json.loads(call) if isinstance(call, bytes) else call
    except (ValueError, RecursionError):
        return ""
    return value.get("id", "") if isinstance(value, Mapping) else ""  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
