"""Asking and waiting: for hooks, where start-up is the cost, and for any program that has threads of its own.

INVARIANT: a connection is kept after a whole answer only, and does not cross a fork.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from guardrail.client._wire import (
    CUT_SHORT,
    DECIDE,
    MAX_HEAD_BYTES,
    TIMEOUT_SECONDS,
    UNWRITABLE,
    Service,
    decision_of,
    denial,
    head_of,
    left,
    no_answer,
    question,
)

if TYPE_CHECKING:
    import ssl

_CHUNK: Final = 64 * 1024


class Client(Service):
    """One kept-alive connection to a service; whoever asks while it is in use gets a connection of its own."""

    # Set before anything in `__init__` can fail, because `__del__` looks at it.
    _socket: socket.socket | None = None
    _pid = 0

    def decide(self, call: Mapping[str, Any] | bytes, *, traceparent: str = "") -> dict[str, Any]:
        """Ask about one tool call.

        Args:
            call: a ToolCall, as plain values or as JSON.
            traceparent: W3C trace context to hand on, if there is one.

        Returns:
            The Decision. No answer in time, one that is no decision, and a service that has too much to do are a denial
            with the rule `guardrail.fault`.
        """
        body = question(call)
        if body is None:
            return denial(UNWRITABLE)
        try:
            status, answer = self.post(DECIDE, body, traceparent=traceparent)
            return decision_of(status, answer, call)
        except (OSError, ValueError, RecursionError) as error:
            self.close()
            return no_answer(self._address, error)

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
        request, mark = self._wire.request(target, body, traceparent)
        deadline = time.monotonic() + self._timeout
        kept = self._take()
        if kept is not None:
            # The service closes idle connections. Asking twice is safe: a decision runs nothing.
            with suppress(BrokenPipeError, ConnectionResetError):
                return self._exchange(kept, request, mark, deadline)
        return self._exchange(self._connect(deadline), request, mark, deadline)

    def _connect(self, deadline: float) -> socket.socket:
        address = self._address
        if not address.path:
            connection = socket.create_connection((address.host, address.port), left(deadline))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(left(deadline))
            if address.path:
                connection.connect(address.path)
            if address.tls:
                connection = self._trusted().wrap_socket(connection, server_hostname=address.host)
        except BaseException:
            connection.close()
            raise
        return connection

    def _trusted(self) -> ssl.SSLContext:
        if self._tls is None:
            import ssl

            self._tls = ssl.create_default_context()
        return self._tls

    def _exchange(self, connection: socket.socket, request: bytes, mark: bytes, deadline: float) -> tuple[int, bytes]:
        try:
            connection.settimeout(left(deadline))
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
    """Ask a service about one tool call, over a connection that this thread keeps.

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
        _kept.client = Client(path, token=token, timeout_seconds=timeout_seconds)
        _kept.wanted = wanted
    client: Client = _kept.client
    return client.decide(call)


def _ask(connection: socket.socket, request: bytes, mark: bytes, deadline: float) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection can be used again."""
    connection.sendall(request)
    data = bytearray()
    while (end := data.find(b"\r\n\r\n")) < 0:
        if len(data) > MAX_HEAD_BYTES:
            raise ValueError("headers without an end")
        _receive(connection, data, deadline)
    head = head_of(bytes(data[:end]), mark)
    whole = end + 4 + head.length
    while len(data) < whole:
        _receive(connection, data, deadline)
    return head.status, bytes(data[end + 4 : whole]), head.kept and len(data) == whole


def _receive(connection: socket.socket, data: bytearray, deadline: float) -> None:
    connection.settimeout(left(deadline))
    chunk = connection.recv(_CHUNK)
    if not chunk:
        # Before the first byte a kept connection was closed; after it the answer was cut short.
        raise ValueError(CUT_SHORT) if data else ConnectionResetError("the connection was closed")
    data += chunk
