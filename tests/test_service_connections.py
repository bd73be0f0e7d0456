"""Connections of whoever can connect: a head is bounded in size and time, and an honest client feels nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from guardrail.service import _peers
from guardrail.service._http import Answer, Receive, Scope, Send
from guardrail.service._peers import MAX_HEAD_BYTES, KnowingProtocol

HEAD = b"POST /livez HTTP/1.1\r\nhost: x\r\n"
LOOKS_SECONDS = 0.05
"""How often the server looks at its connections here, in seconds."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at once, without reading."""
    del scope, receive
    await Answer(body=b"ok").send(send)


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """Where a server of the service's own kind listens."""
    monkeypatch.setattr(_peers, "HEAD_SECONDS", LOOKS_SECONDS)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=KnowingProtocol, log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = server.force_exit = True
        thread.join(timeout=30)
        listener.close()


def rest(connection: socket.socket) -> bytes:
    """Everything until the other side ends the connection."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            found += piece
    return found


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(HEAD + b"x: ", id="a header"),
        pytest.param(b"GET /", id="the path"),
        pytest.param(HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\nx: ", id="a trailer"),
        pytest.param(HEAD + b"transfer-encoding: chunked\r\n\r\n1;", id="a chunk's extension"),
    ],
)
def test_a_request_that_does_not_end_is_refused_at_a_bound(address: Any, begin: bytes) -> None:
    """Whatever it is that has no end: nobody can fill the memory before it is known who asks."""
    with socket.create_connection(address, timeout=30) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(begin)
        for _ in range(4096):
            connection.sendall(b"a" * (MAX_HEAD_BYTES // 8))
        pytest.fail("nothing was refused")


@pytest.mark.parametrize("begin", [b"", b"GET /li", HEAD + b"content-length: 5\r\n\r\nab"])
def test_a_connection_on_which_nothing_comes_whole_is_closed(address: Any, begin: bytes) -> None:
    """Or whoever can connect could hold all that there may be, by sending nothing or very little."""
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(begin)
        rest(connection)


def test_whoever_sends_whole_requests_keeps_the_connection(address: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two requests there may be many looks, and a body as large as a route takes is none of the head."""
    monkeypatch.setattr(_peers, "HEAD_SECONDS", 1.0)  # a busy machine must not make a whole request one that stops
    with socket.create_connection(address, timeout=30) as connection:
        for size in (0, 3 * MAX_HEAD_BYTES, 1):
            if size:
                threading.Event().wait(3 * _peers.HEAD_SECONDS)
            connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % size + b"b" * size)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
