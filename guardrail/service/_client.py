"""Asking the sidecar over a Unix socket: for hooks, where start-up is the cost.

HTTP/1.1 by hand, because `http.client` costs a hook 30 ms to load and a decision 0.1 ms.
It reads what our own service sends, which always says how long an answer is, and takes anything else for no answer.

INVARIANT: an answer is only ever given for the call that it was asked for. A connection is kept after a whole answer
only and does not cross a fork; an answer has the mark of its request and the id of its call.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

DECIDE: Final = "/v1/decide"

TIMEOUT_SECONDS: Final = 2.0
"""Longest wait for an answer, in seconds."""

MAX_HEAD_BYTES: Final = 64 * 1024
"""Largest status line and headers that are read, in bytes."""

MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""Largest answer that is read, in bytes."""

_CHUNK: Final = 64 * 1024

_MARK_BYTES: Final = 8
"""Randomness by which an answer is known to be for its request, in bytes."""


class SocketClient:
    """One kept-alive connection to the sidecar; whoever asks while it is in use gets a connection of its own.

    Args:
        path: the Unix socket.
        token: the service's token, if it has one.
        timeout_seconds: longest wait for an answer, in seconds.
    """

    # Set before anything in `__init__` can fail, because `__del__` looks at it.
    _socket: socket.socket | None = None
    _pid = 0

    def __init__(self, path: str, *, token: str = "", timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        if not token.isascii() or not token.isprintable():
            raise ValueError("a token has printable ASCII characters only")
        self._path = path
        self._timeout = timeout_seconds
        self._fixed = "host: localhost\r\ncontent-type: application/json\r\n"
        if token:
            self._fixed += f"authorization: Bearer {token}\r\n"

    def decide(self, call: Mapping[str, Any] | bytes, *, traceparent: str = "") -> dict[str, Any]:
        """Ask about one tool call.

        Args:
            call: a ToolCall, as plain values or as JSON.
            traceparent: W3C trace context to hand on, if there is one.

        Returns:
            The Decision. No answer, or one that is no decision, is a denial with the rule `guardrail.fault`.
        """
        try:
            body = call if isinstance(call, bytes) else json.dumps(call).encode()
        except (ValueError, TypeError, RecursionError):
            return _denial("the call cannot be written as JSON: give plain values")
        try:
            status, answer = self.post(DECIDE, body, traceparent=traceparent)
            return _decision(status, answer, _id_of(call))
        except OSError as error:
            self.close()
            return _denial(f"the guardrail service gave no answer at `{self._path}`: {cause(error)}")
        except (ValueError, RecursionError):
            self.close()
            return _denial(f"the guardrail service gave no answer at `{self._path}`: something else answers there")

    def post(self, target: str, body: bytes, *, traceparent: str = "") -> tuple[int, bytes]:
        """One exchange.

        Args:
            target: path on the service.
            body: JSON.
            traceparent: W3C trace context, or empty.

        Returns:
            Status and body.

        Raises:
            OSError: if the service cannot be reached or does not answer in time.
            ValueError: if what it answers is not what our service sends, not for this request, or too large.
        """
        trace = f"traceparent: {traceparent}\r\n" if traceparent.isascii() and traceparent.isprintable() else ""
        mark = os.urandom(_MARK_BYTES).hex().encode()
        head = (
            f"POST {target} HTTP/1.1\r\n{self._fixed}{trace if traceparent else ''}"
            f"x-request-id: {mark.decode()}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        request = head.encode("ascii") + body
        deadline = time.monotonic() + self._timeout
        kept = self._take()
        if kept is not None:
            # The service closes idle connections. Asking twice is safe: a decision runs nothing.
            with suppress(BrokenPipeError, ConnectionResetError):
                return self._exchange(kept, request, mark, deadline)
        fresh = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        return self._exchange(fresh, request, mark, deadline, connect=True)

    def _exchange(
        self, connection: socket.socket, request: bytes, mark: bytes, deadline: float, *, connect: bool = False
    ) -> tuple[int, bytes]:
        try:
            connection.settimeout(_left(deadline))
            if connect:
                connection.connect(self._path)
            status, answer, clean = _ask(connection, request, mark, deadline)
        except BaseException:
            # Whatever it is, a key pressed or an alarm: the answer may still come, and would be taken for the next.
            connection.close()
            raise
        if clean:
            self._keep(connection)
        else:
            connection.close()
        return status, answer

    def _take(self) -> socket.socket | None:
        """The kept connection, which is nobody else's from here on."""
        if self._pid != os.getpid():
            # The parent's: answers to its questions would be read here. Closing this copy leaves its own open.
            self.close()
        # One step, so that no thread and no signal handler can find it as well.
        connection: socket.socket | None = self.__dict__.pop("_socket", None)
        return connection

    def _keep(self, connection: socket.socket) -> None:
        self.close()
        self._socket, self._pid = connection, os.getpid()

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        connection: socket.socket | None = self.__dict__.pop("_socket", None)
        if connection is not None:
            connection.close()

    def __del__(self) -> None:
        # The connection that a thread keeps ends with the thread.
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_kept = threading.local()


def decide_over_socket(
    path: str, call: Mapping[str, Any] | bytes, *, token: str = "", timeout_seconds: float = TIMEOUT_SECONDS
) -> dict[str, Any]:
    """Ask the sidecar about one tool call, over a connection that this thread keeps.

    Args:
        path: the Unix socket.
        call: a ToolCall, as plain values or as JSON.
        token: the service's token, if it has one.
        timeout_seconds: longest wait for an answer, in seconds.

    Returns:
        The Decision. No answer, or one that is no decision, is a denial with the rule `guardrail.fault`: this never
        raises for a service that is away, slow or broken.
    """
    wanted = (path, token, timeout_seconds)
    if getattr(_kept, "wanted", None) != wanted:
        if previous := getattr(_kept, "client", None):
            previous.close()
        _kept.client = SocketClient(path, token=token, timeout_seconds=timeout_seconds)
        _kept.wanted = wanted
    client: SocketClient = _kept.client
    return client.decide(call)


def cause(error: OSError) -> str:
    """What went wrong in a connection, as a person would say it."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    text = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror or str(error)
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _ask(connection: socket.socket, request: bytes, mark: bytes, deadline: float) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection can be used again."""
    connection.sendall(request)
    data = bytearray()
    while (end := data.find(b"\r\n\r\n")) < 0:
        if len(data) > MAX_HEAD_BYTES:
            raise ValueError("headers without an end")
        _receive(connection, data, deadline)
    status, length, kept = _head(bytes(data[:end]), mark)
    while len(data) < end + 4 + length:
        _receive(connection, data, deadline)
    return status, bytes(data[end + 4 : end + 4 + length]), kept and len(data) == end + 4 + length


def _receive(connection: socket.socket, data: bytearray, deadline: float) -> None:
    connection.settimeout(_left(deadline))
    chunk = connection.recv(_CHUNK)
    if not chunk:
        # Before the first byte a kept connection was closed; after it the answer was cut short.
        raise ValueError("the answer was cut short") if data else ConnectionResetError("the connection was closed")
    data += chunk


def _id_of(call: Mapping[str, Any] | bytes) -> object:
    """The call's own id, which its decision has too; empty for a call without one, and for what is no call."""
    try:
        value: Any = json.loads(call) if isinstance(call, bytes) else call
    except (ValueError, RecursionError):
        return ""
    return value.get("id", "") if isinstance(value, Mapping) else ""  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]


def _decision(status: int, answer: bytes, wanted: object) -> dict[str, Any]:
    value: Any = json.loads(answer)
    if status == 200 and isinstance(value, dict) and value.get("outcome") in ("allow", "escalate", "deny"):  # pyright: ignore[reportUnknownMemberType]
        if value.get("id") != wanted:  # pyright: ignore[reportUnknownMemberType]
            raise ValueError("a decision about another call")
        return value  # pyright: ignore[reportUnknownVariableType]
    detail: object = value.get("detail", "") if isinstance(value, dict) else ""  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
    return _denial(f"the guardrail service answered {status}: {detail}")


def _denial(message: str) -> dict[str, Any]:
    reason = {"rule": "guardrail.fault", "outcome": "deny", "message": message[:2000]}
    return {"id": "", "decision_id": "", "outcome": "deny", "reasons": [reason], "effects": [], "assets": []}


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _head(text: bytes, mark: bytes) -> tuple[int, int, bool]:
    """Status, length of the body, and whether the connection stays open."""
    first, *lines = text.split(b"\r\n")
    version, code = first.split(b" ", 2)[:2]
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    length = int(fields.get(b"content-length", b"-1"))
    if version != b"HTTP/1.1" or not 0 <= length <= MAX_ANSWER_BYTES or b"transfer-encoding" in fields:
        raise ValueError("not an answer of the guardrail service")
    if code == b"200" and fields.get(b"x-request-id") != mark:
        raise ValueError("an answer to another request")
    return int(code), length, fields.get(b"connection", b"").lower() != b"close"
