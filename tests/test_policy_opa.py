"""The engine in an OPA server: real ones, dead ones, and servers that talk nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from guardrail.config import Config, PolicyConfig
from guardrail.errors import ConfigError, EngineFault
from guardrail.policy import PolicyEngine, open_engine
from guardrail.policy._conclude import MAX_ANSWER_BYTES
from guardrail.policy._examples import expand
from guardrail.policy._opa import OpaEngine
from guardrail.policy._wasm import WasmEngine
from tests.policy_support import POLICIES, ROOT, SERVER_SECONDS, ask, bundle, opa_server
from tests.ports import free_port

PLAIN = orjson.dumps(expand({"op": "read"}))
DENIED = orjson.dumps(expand({"op": "copy", "asset": "model:beta", "target": "/tmp/x"}))


def within(seconds: float) -> float:
    """A deadline."""
    return time.monotonic() + seconds


def opened(url: str, token: str = "") -> PolicyEngine:
    """The engine for this server, as a configuration opens it."""
    return open_engine(Config(policy=PolicyConfig(engine="opa", url=url, token=token)))


# ── a real server ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_over_tcp_decides() -> None:
    """The whole way over TCP: open, allow, deny, close."""
    url = f"http://127.0.0.1:{free_port()}"
    with opa_server(url):
        engine = opened(url)
        assert engine.name == "opa"
        assert (ask(engine, PLAIN).outcome, ask(engine, DENIED).outcome) == ("allow", "deny")
        engine.close()
        with pytest.raises(EngineFault, match="closed"):
            engine.decide(PLAIN, deadline=within(5))


def test_the_command_in_the_error_starts_the_right_server(tmp_path: Path) -> None:
    """Whoever meets no server is told a command; run as it stands, it makes the same configuration work."""
    url = f"unix://{tmp_path}/s"
    with pytest.raises(ConfigError, match=r"gave no answer: .*; start one with `") as caught:
        opened(url)
    command = shlex.split(str(caught.value).rpartition("start one with `")[2].rstrip("`"))
    assert command[:3] == ["opa", "run", "--server"]
    with opa_server(url, command):
        engine = opened(url)
        assert ask(engine, DENIED).outcome == "deny"
        engine.close()


def test_a_server_that_dies_is_a_fault_in_bounded_time(tmp_path: Path) -> None:
    """Killed between two questions: the next one is a fault at once, and so is the one after it."""
    url = f"unix://{tmp_path}/s"
    with opa_server(url) as process:
        engine = opened(url)
        assert ask(engine, PLAIN).outcome == "allow"
        process.kill()
        process.wait(10)
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(EngineFault, match="gave no answer"):
                engine.decide(PLAIN, deadline=within(0.5))
            assert time.monotonic() - started < 0.6
        engine.close()


def test_a_server_that_comes_back_is_used_again(tmp_path: Path) -> None:
    """A kept connection that broke costs one silent retry, not a denial."""
    url = f"unix://{tmp_path}/s"
    with opa_server(url):
        engine = opened(url)
        assert ask(engine, PLAIN).outcome == "allow"
    (tmp_path / "s").unlink(missing_ok=True)
    with opa_server(url):
        assert ask(engine, PLAIN).outcome == "allow"
        engine.close()


def test_a_server_that_hangs_is_a_fault_at_the_deadline(tmp_path: Path) -> None:
    """Stopped, not killed: the connection is open and nothing comes."""
    url = f"unix://{tmp_path}/s"
    with opa_server(url) as process, contextlib.closing(opened(url)) as engine:
        stop(process)
        try:
            started = time.monotonic()
            with pytest.raises(EngineFault, match="did not answer in time"):
                engine.decide(PLAIN, deadline=within(0.2))
            assert time.monotonic() - started < 2
        finally:
            process.send_signal(signal.SIGCONT)
        assert ask(engine, DENIED).outcome == "deny"


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and wait until it is: a signal is only sent, and a busy host may let the process run on."""
    process.send_signal(signal.SIGSTOP)
    end = time.monotonic() + SERVER_SECONDS
    while os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG) is None:
        assert time.monotonic() < end, "the process does not stop"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)


def test_a_server_with_another_revision_is_refused(tmp_path: Path) -> None:
    """The manifest's rules would explain decisions of another policy."""
    url = f"unix://{tmp_path}/s"
    other = bundle()
    other = msgspec.structs.replace(other, rules=type(other.rules)("9.9.9+0", other.manifest.rules))
    with opa_server(url), pytest.raises(ConfigError, match=r"serves policy revision `1\..*`, not `9\.9\.9\+0`; start"):
        OpaEngine(other, url=url, token="")


def test_a_server_without_the_policy_is_refused(tmp_path: Path) -> None:
    """OPA answers 200 and `{}` for a rule that it does not have; that is no decision."""
    url = f"unix://{tmp_path}/s"
    command = ("opa", "run", "--server", "--skip-version-check", "--addr", url)
    with opa_server(url, command), pytest.raises(ConfigError, match=r"has no rule `guardrail\.main\.decision`; start"):
        opened(url)


def test_the_token_is_sent(tmp_path: Path) -> None:
    """A server that asks for a bearer token gets it, and refuses whoever has none."""
    (tmp_path / "authz.rego").write_text(
        'package system.authz\ndefault allow := false\nallow if input.identity == "s3"\n'
    )
    url = f"unix://{tmp_path}/s"
    release = tmp_path / "release.json"
    release.write_text(f'{{"guardrail": {{"release": {{"revision": "{bundle().manifest.revision}"}}}}}}')
    command = (
        *("opa", "run", "--server", "--skip-version-check", "--addr", url, "--ignore", "build,*_test.rego,release"),
        *("--authentication", "token", "--authorization", "basic"),
        *(str(tmp_path / "authz.rego"), str(release), str(POLICIES / "guardrail"), str(POLICIES / "data.json")),
    )
    with opa_server(url, command):
        engine = opened(url, "s3")
        assert ask(engine, DENIED).outcome == "deny"
        engine.close()
        with pytest.raises(ConfigError, match="HTTP status 401"):
            opened(url, "wrong")


async def test_coroutines_ask_the_server_too(tmp_path: Path) -> None:
    """Many at once, from an event loop that is not the engine's own."""
    url = f"unix://{tmp_path}/s"
    with opa_server(url):
        engine = await asyncio.to_thread(opened, url)
        texts = [PLAIN, DENIED] * 10
        answers = await asyncio.gather(*(engine.adecide(text, deadline=within(10)) for text in texts))
        assert [orjson.loads(ruling.answer)["outcome"] for ruling in answers] == ["allow", "deny"] * 10
        await asyncio.to_thread(engine.close)


def test_a_forked_child_asks_for_itself(tmp_path: Path) -> None:
    """Neither the thread nor the connection of the parent lives on in a child; it makes its own."""
    url = f"unix://{tmp_path}/s"
    script = f"""
import os, time, warnings
warnings.simplefilter("ignore")  # CPython 3.12 warns of forking with threads, which is what this is about
from tests.test_policy_opa import DENIED, opened
engine = opened({url!r})
child = os.fork()
if child == 0:
    answer = engine.decide(DENIED, deadline=time.monotonic() + 5).answer
    os._exit(0 if b'"deny"' in answer else 1)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
engine.close()
os._exit(code)
"""
    with opa_server(url):
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


# ── servers that talk nonsense ────────────────────────────────────────────────────────────────────────────────────────


class _Fake(http.server.ThreadingHTTPServer):
    """Answers the first questions as the real policy would, and everything after `turn` with `nonsense`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.real = WasmEngine(bundle(), memory_bytes=64 * 1024 * 1024)
        self.nonsense: tuple[int, dict[str, str], bytes] | None = None
        self.requests = 0
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024  # head and body in one packet: two would wait 40 ms for an acknowledgement
    server: _Fake

    def do_POST(self) -> None:
        self.server.requests += 1
        body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.nonsense is None:
            answer = self.server.real.decide(orjson.dumps(body["input"]), deadline=within(10)).answer
            self._send(200, {"Content-Type": "application/json"}, b'{"result":' + answer + b"}")
        else:
            self._send(*self.server.nonsense)

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(content)
            self.wfile.flush()
        if "X-Hang" in headers:
            self.server.release.wait(10)
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""


@pytest.fixture
def fake() -> Iterator[_Fake]:
    """A server that behaves until it is told not to."""
    server = _Fake()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
    server.real.close()
    thread.join(10)


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "nonsense",
    [
        (200, JSON, b""),
        (200, JSON, b"{}"),
        (200, JSON, b"[]"),
        (200, JSON, b'"result"'),
        (200, JSON, b"not json"),
        (200, JSON, b'{"result": '),
        (200, JSON, b'{"result": NaN}'),
        (200, JSON, b'\xff\xfe{"result": {}}'),
        (200, {"Content-Type": "text/html"}, b'{"result": {"outcome": "allow", "hits": [], "revision": "x"}}'),
        (201, JSON, b'{"result": {"outcome": "allow", "hits": [], "revision": "x"}}'),
        (307, {**JSON, "Location": "/elsewhere"}, b'{"result": {}}'),
        (400, JSON, b"{}"),
        (401, JSON, b"{}"),
        (404, JSON, b"{}"),
        (429, JSON, b"{}"),
        (500, JSON, b'{"result": {"outcome": "allow", "hits": [], "revision": "x"}}'),
        (503, JSON, b"{}"),
        (200, JSON, b'{"result": "' + b"x" * (MAX_ANSWER_BYTES + 1) + b'"}'),
        (200, {**JSON, "Content-Length": "1000", "X-Hang": "1"}, b'{"result": '),
    ],
    ids=lambda nonsense: f"{nonsense[0]}-{nonsense[2][:24]!r}",
)
def test_an_answer_that_is_none_is_a_fault(fake: _Fake, nonsense: tuple[int, dict[str, str], bytes]) -> None:
    """Whatever the server says instead of a result, within the deadline, and without asking again and again."""
    engine = OpaEngine(bundle(), url=fake.url, token="")
    fake.nonsense = nonsense
    before, started = fake.requests, time.monotonic()
    try:
        with pytest.raises(EngineFault):
            # NaN is a result for the client's JSON decoder; written again it is null, which is no decision.
            ask(engine, PLAIN, seconds=0.5)
    finally:
        engine.close()
    assert time.monotonic() - started < SERVER_SECONDS
    assert fake.requests - before <= 2


def test_a_server_that_allows_everything_is_refused(fake: _Fake) -> None:
    """It knows the revision and passes for the policy until the rules' own examples are put to it."""
    body = {"outcome": "allow", "hits": [], "revision": bundle().manifest.revision}
    fake.nonsense = (200, JSON, orjson.dumps({"result": body}))
    with pytest.raises(ConfigError, match="does not answer its example"):
        OpaEngine(bundle(), url=fake.url, token="")


def test_text_that_is_no_json_never_reaches_the_server(fake: _Fake) -> None:
    """A document that closes our own bracket could write a question of its own."""
    engine = OpaEngine(bundle(), url=fake.url, token="")
    before = fake.requests
    try:
        for text in (b'{}, "x": {}', b"", b"{", b"null", b"[]"):
            with pytest.raises(EngineFault):
                engine.decide(text, deadline=within(1))
    finally:
        engine.close()
    assert fake.requests == before


def test_a_proxy_from_the_environment_is_not_asked(fake: _Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would see every decision, and could make it."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    engine = OpaEngine(bundle(), url=fake.url, token="")
    try:
        assert ask(engine, DENIED).outcome == "deny"
    finally:
        engine.close()


# ── what is refused before anything is asked ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url",
    [
        "http://", "http://h/path", "http://h?x=1", "http://u:p@h", "http://h:x", "https://", "unix://s", "unix://h/s",
        "unix:", "ftp://h", "",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """With the forms that are understood."""
    with pytest.raises(ConfigError, match=r"`policy\.url` must be"):
        OpaEngine(bundle(), url=url, token="")


def test_a_port_where_nobody_listens_is_said_at_once() -> None:
    """A refused connection is not waited for, and said in our words: one cause, one remedy."""
    started = time.monotonic()
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConfigError) as caught:
        opened(url)
    assert time.monotonic() - started < 2
    said = str(caught.value)
    assert said.startswith(f"the OPA server at `{url}` gave no answer: connection refused; start one with `opa run")


def test_a_server_for_a_bundle_of_ones_own_is_not_told_to_serve_the_shipped_rules(tmp_path: Path) -> None:
    """It would start, and be refused for its revision."""
    own = shutil.copytree(POLICIES / "build", tmp_path / "own")
    config = Config(policy=PolicyConfig(engine="opa", url=f"http://127.0.0.1:{free_port()}", bundle=str(own)))
    with pytest.raises(ConfigError, match="--bundle RULES.tar.gz`, where RULES.tar.gz is what `guardrail policy build"):
        open_engine(config)


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://nowhere.invalid:1", "its name cannot be resolved"),
        ("unix:///nowhere/opa.sock", "no such file or directory"),
        ("http://localhost:1", "connection refused"),
    ],
)
def test_why_there_is_no_server_is_said_without_the_clients_own_words(url: str, cause: str) -> None:
    """No `ssl:default`, no addresses in brackets, no class names."""
    with pytest.raises(ConfigError, match=f"gave no answer: {cause}; start one with `opa run"):
        opened(url)


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        (b"", "it closed the connection"),
        (b"220 smtp ready\r\n", "what it sends is no answer of an OPA server"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\n<a/>",
            "no answer of an OPA|not JSON",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n{",
            "what it sends is not JSON",
        ),
        (b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n", "HTTP status 403: it wants another token"),
    ],
)
def test_another_server_is_not_quoted(sent: bytes, cause: str) -> None:
    """Whatever answers there, the sentence is ours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(sent)

        threading.Thread(target=run, daemon=True).start()
        with pytest.raises(ConfigError, match=f"gave no answer: .*({cause}).*; start one with `opa run"):
            opened(f"http://127.0.0.1:{listener.getsockname()[1]}")
        listener.shutdown(socket.SHUT_RDWR)


def test_a_token_from_the_environment_has_to_be_there() -> None:
    """The variable is read when the engine is opened."""
    with pytest.raises(ConfigError, match=r"`policy\.token` names the environment variable `GUARDRAIL_NOT_SET`"):
        opened("http://127.0.0.1:1", "${GUARDRAIL_NOT_SET}")


def test_a_server_that_never_answers_is_given_up_when_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener without anybody behind it does not hold a start for ever."""
    monkeypatch.setattr("guardrail.policy._opa.START_SECONDS", 0.2)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        started = time.monotonic()
        with pytest.raises(ConfigError, match="did not answer in time"):
            opened(f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert time.monotonic() - started < SERVER_SECONDS


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the client the engine says which extra to install."""
    for name in [name for name in sys.modules if name.startswith("opa_client")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "guardrail.policy._opa_client", raising=False)
    monkeypatch.setitem(sys.modules, "opa_client", None)
    with pytest.raises(ConfigError, match=r"install the extra `guardrail-runtime\[opa\]`"):
        opened("http://127.0.0.1:1")


def test_no_thread_is_left_behind() -> None:
    """An engine that could not be opened has ended its thread."""
    before = set(threading.enumerate())  # a test that failed may have left one, which would be its own affair
    with pytest.raises(ConfigError):
        opened(f"http://127.0.0.1:{free_port()}")
    assert [thread.name for thread in threading.enumerate() if thread not in before] == []
