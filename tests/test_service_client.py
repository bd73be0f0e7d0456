"""The client for hooks: whatever the other side does, the answer is a decision, and a denial when in doubt."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardrail.client import AsyncClient, Client, decide_over_socket
from guardrail.config import Config, ServiceConfig
from guardrail.service import _ready
from guardrail.service._ready import is_ready
from tests.ports import free_port

CALL = {"tool": "bash", "args": {"command": "ls"}}
WAIT_SECONDS = 60
"""Longest wait for the other thread, in seconds."""


def answer(document: object, status: str = "200 OK", more: str = "") -> bytes:
    """An HTTP answer as the service writes it."""
    body = json.dumps(document).encode()
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body


ALLOW = answer({"id": "", "outcome": "allow", "decision_id": "d"})


def marked(answer: bytes, request: bytes) -> bytes:
    """The answer with the request's own mark on it, as the service sends it back."""
    mark = next(line for line in request.split(b"\r\n") if line.startswith(b"x-request-id: "))
    return answer.replace(b"\r\n\r\n", b"\r\n" + mark + b"\r\n\r\n", 1)


@contextlib.contextmanager
def server(
    path: Path, *answers: bytes, close_after: int | None = None, write: Callable[[bytes, bytes], bytes] = marked
) -> Iterator[list[bytes]]:
    """Answers requests in order, on as many connections as come; closes each after `close_after` answers."""
    left = list(answers)
    requests: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(WAIT_SECONDS)

        def run() -> None:
            with contextlib.suppress(OSError):
                while left:
                    connection, _ = listener.accept()
                    connection.settimeout(WAIT_SECONDS)
                    with connection, contextlib.suppress(OSError):
                        _converse(connection, left, requests, close_after, write)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield requests
        left.clear()
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as wake:
        wake.connect(str(path))
    thread.join(WAIT_SECONDS)


def _converse(
    connection: socket.socket,
    left: list[bytes],
    requests: list[bytes],
    close_after: int | None,
    write: Callable[[bytes, bytes], bytes],
) -> None:
    served = 0
    while left and served != close_after:
        request = connection.recv(65536)
        if not request:
            return
        requests.append(request)
        connection.sendall(write(left.pop(0), request))
        served += 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def check_denial(decision: dict[str, object]) -> None:
    """A denial that says it comes from a fault."""
    assert decision["outcome"] == "deny"
    assert decision["reasons"][0]["rule"] == "guardrail.fault"  # type: ignore[index]


def test_a_connection_is_kept(path: Path) -> None:
    """The second question needs no second connection."""
    with (
        server(path, ALLOW, ALLOW) as requests,
        Client(str(path), token="t" * 16, timeout_seconds=WAIT_SECONDS) as client,
    ):
        assert [client.decide(CALL, traceparent="00-1-2-01")["outcome"] for _ in range(2)] == ["allow", "allow"]
    assert all(b"authorization: Bearer tttttttttttttttt\r\n" in request for request in requests)
    assert all(b"traceparent: 00-1-2-01\r\n" in request for request in requests)


def test_a_kept_connection_that_was_closed_is_opened_again(path: Path) -> None:
    """A service closes idle connections; the question is put once more, on a new one."""
    with server(path, ALLOW, ALLOW, close_after=1), Client(str(path), timeout_seconds=WAIT_SECONDS) as client:
        assert [client.decide(CALL)["outcome"] for _ in range(2)] == ["allow", "allow"]


def test_nobody_there_is_a_denial(path: Path) -> None:
    """A service that is away is no permission."""
    check_denial(decide_over_socket(str(path), CALL))


def test_silence_is_a_denial(path: Path) -> None:
    """A service that does not answer in time is no permission either."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        check_denial(decide_over_socket(str(path), CALL, timeout_seconds=0.05))


NO_DECISIONS = [
    b"",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{x",
    b"x" * 100_000,
    answer({}),
    answer([]),
    answer("allow"),
    answer({"id": "", "outcome": "permit"}),
    answer({"id": "", "outcome": True}),
    answer({"id": "", "outcome": ["allow"]}),
    answer({"id": "", "outcome": "allow"}, "201 Created"),
    answer({"id": "", "outcome": "allow"}, "503 Service Unavailable"),
    answer({"outcome": "deny", "detail": "slow down"}, "503 Service Unavailable"),
]
"""What something else, or a service in trouble, may answer."""


@pytest.mark.parametrize("sent", NO_DECISIONS)
def test_what_is_no_decision_is_a_denial(path: Path, sent: bytes) -> None:
    """Only a 200 with one of the three outcomes counts."""
    with server(path, sent, close_after=1), Client(str(path), timeout_seconds=WAIT_SECONDS) as client:
        check_denial(client.decide(CALL))


async def test_what_is_no_decision_is_a_denial_for_a_coroutine_too(tmp_path: Path) -> None:
    """The same answers, and a connection that is kept after a whole one only."""
    for number, sent in enumerate([*NO_DECISIONS, ALLOW]):
        path = tmp_path / str(number)
        with server(path, sent, close_after=1):
            async with AsyncClient(f"unix:{path}", timeout_seconds=WAIT_SECONDS) as client:
                decision = await client.decide(CALL)
                if sent is ALLOW:
                    assert (decision["outcome"], len(client._kept)) == ("allow", 1)
                else:
                    check_denial(decision)


@pytest.mark.parametrize("accepts", [True, False])
async def test_a_deadline_holds_for_all_of_a_question_also_over_tcp(accepts: bool) -> None:
    """Whoever only lets connect, or sends one byte now and then, gets no allow, and no time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        begun = time.monotonic()
        async with AsyncClient(address, timeout_seconds=0.1) as client:
            asking = asyncio.create_task(client.decide(CALL))
            if accepts:
                loop = asyncio.get_running_loop()
                listener.setblocking(False)
                connection, _ = await loop.sock_accept(listener)
                with connection, contextlib.suppress(OSError):
                    for byte in ALLOW * 9:
                        await loop.sock_sendall(connection, bytes([byte]))
                        await asyncio.wait((asking,), timeout=0.01)
                        if asking.done():
                            break
            check_denial(await asking)
            assert client._kept == []
        with Client(address, timeout_seconds=0.1) as waiting:
            check_denial(waiting.decide(CALL))
        assert time.monotonic() - begun < WAIT_SECONDS


async def test_a_question_that_was_cancelled_leaves_no_answer_for_the_next(path: Path) -> None:
    """Its connection is closed: the answer that comes late belongs to nobody."""
    asked, late = threading.Event(), threading.Event()

    def write(answer: bytes, request: bytes) -> bytes:
        if b"slow" in request:
            asked.set()
            late.wait(WAIT_SECONDS)
        return marked(answer, request)

    answers = [ALLOW, ALLOW, answer({"id": "", "outcome": "deny", "reasons": []})]
    with server(path, *answers, write=write):
        async with AsyncClient(str(path), timeout_seconds=WAIT_SECONDS) as client:
            assert (await client.decide(CALL))["outcome"] == "allow"
            asking = asyncio.create_task(client.decide({"tool": "slow"}))
            assert await asyncio.to_thread(asked.wait, WAIT_SECONDS)
            asking.cancel()
            await asyncio.wait((asking,))
            assert client._kept == []
            late.set()
            assert await client.decide(CALL) == {"id": "", "outcome": "deny", "reasons": []}


@pytest.mark.parametrize("address", ["ftp://host", "http://", "http://user@host", "http://host/v1", "https://host?x"])
def test_an_address_that_cannot_be_meant_is_refused(address: str) -> None:
    """What stands after the host would not be asked."""
    with pytest.raises(ValueError, match="is no address of a service"):
        Client(address)


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("asked", "answered"), [("a", "b"), ("a", ""), ("a", None), ("", "a"), (None, "a"), (None, None)]
)
def test_a_decision_about_another_call_is_a_denial(
    path: Path, asked: str | None, answered: str | None, as_text: bool
) -> None:
    """A decision names the call that it is about; that of a call without an id has an empty one."""
    call = CALL if asked is None else {**CALL, "id": asked}
    allow = {"outcome": "allow"} if answered is None else {"id": answered, "outcome": "allow"}
    with server(path, answer(allow)), Client(str(path), timeout_seconds=WAIT_SECONDS) as client:
        check_denial(client.decide(json.dumps(call).encode() if as_text else call))
        assert client._socket is None


@pytest.mark.parametrize("mark", [b"", b"x-request-id: 0011223344556677\r\n"])
def test_an_answer_to_another_request_is_a_denial(path: Path, mark: bytes) -> None:
    """Calls without an id are told apart as well: each request has a mark, and its answer the same."""
    write = lambda answer, request: answer.replace(b"\r\n\r\n", b"\r\n" + mark + b"\r\n", 1)  # noqa: E731
    with server(path, ALLOW, write=write), Client(str(path), timeout_seconds=WAIT_SECONDS) as client:
        check_denial(client.decide(CALL))
        assert client._socket is None


@contextlib.contextmanager
def interrupted_by(raised: type[BaseException]) -> Iterator[None]:
    """Raises in this thread when `SIGALRM` comes, as a pressed key does; who answers sends that in the middle."""

    def handler(*_: object) -> None:
        raise raised

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(raised):
            yield
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ZeroDivisionError, GeneratorExit])
def test_an_exchange_that_was_broken_off_leaves_no_answer_for_the_next(path: Path, raised: type[BaseException]) -> None:
    """The answer to the first call comes when the second is asked about, and is not taken for it."""
    late = threading.Event()

    def write(answer: bytes, request: bytes) -> bytes:
        if b"slow" in request:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
            late.wait(WAIT_SECONDS)
        return marked(answer, request)

    answers = [ALLOW, ALLOW, answer({"id": "", "outcome": "deny", "reasons": []})]
    with server(path, *answers, write=write), Client(str(path), timeout_seconds=WAIT_SECONDS) as client:
        assert client.decide(CALL)["outcome"] == "allow"
        with interrupted_by(raised):
            client.decide({"tool": "slow"})
        assert client._socket is None
        late.set()
        assert client.decide(CALL) == {"id": "", "outcome": "deny", "reasons": []}


def test_a_question_asked_in_the_middle_of_another_has_its_own_connection(path: Path) -> None:
    """A signal handler may ask as well."""
    with server(path, ALLOW, ALLOW), Client(str(path), timeout_seconds=WAIT_SECONDS) as client:
        assert client.decide(CALL)["outcome"] == "allow"
        taken = client._take()
        assert taken is not None
        with taken:
            taken.close()
            assert client.decide(CALL)["outcome"] == "allow"


def test_a_connection_does_not_cross_a_fork(path: Path) -> None:
    """Parent and child ask at the same time, each on its own connection; the parent's stays open."""
    with (
        server(path, ALLOW, ALLOW, close_after=None) as requests,
        Client(str(path), timeout_seconds=WAIT_SECONDS) as client,
    ):
        assert client.decide(CALL)["outcome"] == "allow"
        mine = client._socket
        assert mine is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # CPython 3.12 warns of forking with threads
            child = os.fork()
        if child == 0:
            # The parent's connection would be busy for ever with the server's only thread, so only taking it is tried.
            os._exit(0 if client._take() is None and mine.fileno() == -1 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.decide(CALL)["outcome"] == "allow"
        assert client._socket is mine
    assert len(requests) == 2


@pytest.mark.parametrize("call", [{"tool": {1}}, {"tool": object()}])
def test_a_call_that_is_no_json_is_a_denial(path: Path, call: dict[str, object]) -> None:
    """What cannot be asked is not allowed; said of the call, and not of the service."""
    answer = decide_over_socket(str(path), call)
    check_denial(answer)
    assert answer["reasons"][0]["message"] == "the call cannot be written as JSON: give plain values"


def test_a_header_cannot_be_smuggled_in(path: Path) -> None:
    """A trace context with a line break is left out, and such a token is refused."""
    with server(path, ALLOW) as requests, Client(str(path), timeout_seconds=WAIT_SECONDS) as client:
        client.decide(CALL, traceparent="x\r\nauthorization: Bearer y")
    assert b"Bearer" not in requests[0]
    with pytest.raises(ValueError, match="printable ASCII"):
        Client(str(path), token="a\r\nb: c")


def test_each_thread_has_its_own_connection(path: Path) -> None:
    """A kept connection is never shared between threads."""
    with server(path, ALLOW, ALLOW, close_after=1) as requests:
        found: list[str] = []

        def ask() -> None:
            found.append(decide_over_socket(str(path), CALL, timeout_seconds=WAIT_SECONDS)["outcome"])

        for _ in range(2):
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join(WAIT_SECONDS)
    assert found == ["allow", "allow"]
    assert len(requests) == 2


def test_asking_loads_no_server(tmp_path: Path) -> None:
    """A hook that asks pays neither for FastAPI nor for asyncio or http.client."""
    heavy = ["fastapi", "starlette", "uvicorn", "asyncio", "http.client", "ssl"]
    code = (
        "import sys, guardrail\nbefore = set(sys.modules)\n"
        "from guardrail.client import decide_over_socket\n"
        f"assert decide_over_socket({str(tmp_path / 'x')!r}, {{}})['outcome'] == 'deny'\n"
        f"print(sorted(set({heavy}) & (set(sys.modules) - before)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")


@pytest.mark.parametrize("kind", ["absent", "stale", "silent", "stranger"])
def test_why_there_is_no_answer_is_said_in_words(tmp_path: Path, kind: str) -> None:
    """No class names, no error numbers; the socket is named."""
    path = tmp_path / "s"
    with contextlib.ExitStack() as stack:
        if kind != "absent":
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            if kind != "stale":
                listener.listen()
        if kind == "stranger":
            stack.enter_context(stranger(listener))
        answer = decide_over_socket(str(path), CALL, timeout_seconds=WAIT_SECONDS if kind == "stranger" else 0.2)
    why = {
        "absent": "no such file or directory",
        "stale": "connection refused",
        "silent": "it did not answer in time",
        "stranger": "something else answers there",
    }[kind]
    assert answer["reasons"][0]["message"] == f"the guardrail service gave no answer at `{path}`: {why}"


@contextlib.contextmanager
def stranger(listener: socket.socket) -> Iterator[None]:
    """Something that answers, and is no guardrail service."""
    listener.settimeout(WAIT_SECONDS)

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"220 smtp ready\r\n\r\n")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join(WAIT_SECONDS)


@pytest.mark.parametrize("answers", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1"])
def test_whether_a_service_is_ready_is_said_in_words(answers: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TCP: nobody there, or somebody else."""
    monkeypatch.setattr(_ready, "TIMEOUT_SECONDS", WAIT_SECONDS)
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.settimeout(WAIT_SECONDS)

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answers)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        ready, said = is_ready(Config(), ServiceConfig(port=port))
        thread.join(WAIT_SECONDS)
    # Any JSON with status 200 is taken for ready: who listens there is the operator's choice.
    assert ready == answers.endswith(b"1")
    assert ready or said == f"guardrail: what answers at `127.0.0.1` port {port} is not the guardrail service"
    ready, said = is_ready(Config(), ServiceConfig(port=port))
    assert (ready, said) == (False, f"guardrail: no service answers at `127.0.0.1` port {port}: connection refused")
