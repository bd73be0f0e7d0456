"""`guardrail serve` as its own process: over TCP and a Unix socket, with the real guard, trail and policy."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from guardrail.audit import verify
from guardrail.client import Client, decide_over_socket
from tests.otlp_sink import OtlpSink, attributes

TOKEN = "a-token-of-good-length"
START_SECONDS = 180
"""Longest wait for a ready line or the end of a process, in seconds."""

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00"


class Place:
    """A directory with one asset, a configuration and room for a trail."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.weights = folder / "models" / "beta" / "w.safetensors"
        self.weights.parent.mkdir(parents=True)
        self.weights.write_bytes(b"weights")
        self.config = folder / "guardrail.toml"
        self.trail = folder / "trail"
        self.socket = folder / "run" / "decide.sock"
        self.write()

    def write(self, *, service: str = f'token = "{TOKEN}"', more: str = "") -> None:
        """Write guardrail.toml."""
        self.config.write_text(
            f'[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["models/beta"]\n'
            "[trail]\ntimeout_seconds = 60\n"
            f'directory = "trail"\n[limits]\ndecision_ms = 60000\n[service]\n{service}\n{more}'
        )

    def call(self, command: str, **more: Any) -> dict[str, Any]:
        """A shell command as a ToolCall."""
        return {"tool": "bash", "args": {"command": command}, "cwd": str(self.folder), **more}

    @property
    def theft(self) -> dict[str, Any]:
        """A call that copies the asset away."""
        return self.call(f"cp {self.weights} {self.folder}/elsewhere", id="theft")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def start(place: Place, *options: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the service with the interpreter that runs the tests."""
    return subprocess.Popen(
        [sys.executable, "-m", "guardrail", "serve", "--config", str(place.config), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, **(env or {})},
    )


@contextlib.contextmanager
def serving(place: Place, *options: str, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """A service that is ready, and stopped afterwards."""
    process = start(place, *options, env=env)
    try:
        yield Running(process, _ready_line(process))
    finally:
        process.terminate()
        try:
            process.communicate(timeout=START_SECONDS)
        except (subprocess.TimeoutExpired, ValueError):
            process.kill()
            process.wait(START_SECONDS)


class Running:
    """A service that said it is ready."""

    def __init__(self, process: subprocess.Popen[str], line: str) -> None:
        self.process = process
        self.line = line
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        self.port = int(found[1]) if found else 0

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal; exit code, standard output and standard error of the end."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=START_SECONDS)
        return self.process.returncode, out, err

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """One request over TCP, with the token."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        try:
            return exchange(connection, path, body, {"authorization": f"Bearer {TOKEN}", **headers})[:2]
        finally:
            connection.close()


def exchange(
    connection: http.client.HTTPConnection, path: str, body: Any, headers: Mapping[str, str]
) -> tuple[int, Any, Mapping[str, str]]:
    """One request with a JSON body, or none."""
    content = None if body is None else json.dumps(body)
    connection.request(
        "GET" if content is None else "POST", path, content, {"content-type": "application/json", **headers}
    )
    response = connection.getresponse()
    return response.status, json.loads(response.read()), response.headers


def _ready_line(process: subprocess.Popen[str]) -> str:
    out = process.stdout
    assert out is not None
    ready, _, _ = select.select([out], [], [], START_SECONDS)
    line = out.readline() if ready else ""
    if not line:
        process.kill()
        raise AssertionError(f"the service did not start: {process.communicate(timeout=START_SECONDS)[1]}")
    return line


def failing(place: Place, *options: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Exit code and standard error of a service that does not start."""
    process = start(place, *options, env=env)
    try:
        out, err = process.communicate(timeout=START_SECONDS)
    finally:
        process.kill()
    assert out == ""
    return process.returncode, err


def records(trail: Path) -> list[dict[str, Any]]:
    """Everything in a trail."""
    from guardrail.audit._verify import read_records

    return [record for _, record in read_records(trail, 0)]


# -- TCP --------------------------------------------------------------------------------------------------------------


def test_decisions_over_tcp(place: Place) -> None:
    """One ready line, decisions with the token, a trail that verifies, and exit code 0 on SIGTERM."""
    with serving(place, "--port", "0") as service:
        ready = r"guardrail: ready on http://127\.0\.0\.1:\d+, policy \S+, 1 asset and \d+ of the guard's own\n"
        assert re.match(ready, service.line)
        info = service.ask("/v1/info")[1]
        assert (info["assets"], info["own_assets"] > 1) == (1, True)
        status, decision = service.ask("/v1/decide", place.theft)
        assert (status, decision["outcome"], decision["id"]) == (200, "deny", "theft")
        assert "model:beta" in decision["assets"]
        assert service.ask("/v1/decide", place.call("ls /"))[1]["outcome"] == "allow"
        status, answer = service.ask("/access/v1/evaluation", evaluation(place.theft))
        assert (status, answer["decision"], answer["context"]["outcome"]) == (200, False, "deny")
        assert service.ask("/v1/decide", place.theft, authorization="Bearer wrong")[0] == 401
        assert [service.ask(path)[0] for path in ("/livez", "/readyz", "/startupz")] == [200, 200, 200]
        code, out, err = service.stop()
    assert (code, out) == (0, "")
    assert "Traceback" not in err
    assert "uvicorn" not in err, "the server's own start and stop lines say nothing that ours do not"
    assert not (place.folder / "elsewhere").exists()
    assert verify(place.trail).ok


def evaluation(call: Mapping[str, Any]) -> dict[str, Any]:
    """A ToolCall as an AuthZEN request."""
    return {
        "subject": {"type": "agent", "id": "a"},
        "action": {"name": call["tool"], "properties": call["args"]},
        "resource": {"type": "tool", "id": call["tool"]},
        "context": {"cwd": call["cwd"]},
    }


def test_a_denial_is_one_json_line_on_standard_error(place: Place) -> None:
    """The log is machine-readable, names the decision, and quotes nothing of the call."""
    with serving(place, "--port", "0") as service:
        _, decision = service.ask("/v1/decide", place.theft)
        _, _, err = service.stop()
    lines = [json.loads(line) for line in err.splitlines()]
    (line,) = [line for line in lines if line["event"] == "guardrail.decision"]
    assert (line["decision_id"], line["outcome"]) == (decision["decision_id"], "deny")
    assert line["assets"] == decision["assets"]
    assert "elsewhere" not in err


def test_the_trace_goes_in_and_out(place: Place) -> None:
    """Caller's W3C parent, SERVER span of the denial although unsampled, `traceresponse` and log line agree."""
    with OtlpSink() as sink:
        with serving(place, "--port", "0", env=sink.environment) as service:
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=START_SECONDS)
            headers = {"authorization": f"Bearer {TOKEN}", "traceparent": TRACEPARENT}
            status, decision, answered = exchange(connection, "/v1/decide", place.theft, headers)
            connection.close()
            assert status == 200
            _, _, err = service.stop()
        (span,) = [span for span in sink.spans if attributes(span)["guardrail.outcome"] == "deny"]
        assert span.kind == 2
        assert span.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
        assert span.parent_span_id.hex() == "00f067aa0ba902b7"
        assert attributes(span)["guardrail.decision.id"] == decision["decision_id"]
        assert answered["traceresponse"].startswith(f"00-{span.trace_id.hex()}-{span.span_id.hex()}-")
        assert f'"span_id":"{span.span_id.hex()}"' in err
        events = [record.event_name for record in sink.logs]
        assert sorted(set(events)) == ["guardrail.audit.checkpoint", "guardrail.decision", "guardrail.policy.loaded"]
        assert events.count("guardrail.decision") == 1
        assert "guardrail.decisions" in {metric.name for metric in sink.metrics}


def test_no_token_is_for_loopback_and_must_be_asked_for(place: Place) -> None:
    """Without a token the service refuses to start, unless the dangerous option is given for a loopback address."""
    place.write(service="")
    code, err = failing(place, "--port", "0")
    assert code == 2
    assert "`service.token` is empty" in err
    assert not place.trail.exists()
    code, err = failing(place, "--host", "0.0.0.0", "--port", "0", "--insecure-no-token")
    assert code == 2
    assert "loopback" in err
    with serving(place, "--port", "0", "--insecure-no-token") as service:
        assert service.ask("/v1/decide", place.theft, authorization="")[1]["outcome"] == "deny"


def test_a_held_connection_does_not_hold_up_the_end(place: Place) -> None:
    """A client that keeps a connection open, or a request half sent, cannot keep the service alive."""
    place.write(service=f'token = "{TOKEN}"\nshutdown_seconds = 1')
    with serving(place, "--port", "0") as service, socket.create_connection(("127.0.0.1", service.port)) as held:
        held.sendall(
            f"POST /v1/decide HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
            "content-type: application/json\r\ncontent-length: 100\r\n\r\n{".encode()
        )
        started = time.monotonic()
        code, _, _ = service.stop()
        assert code == 0
        assert time.monotonic() - started < START_SECONDS / 2
    assert verify(place.trail).ok


# -- Unix socket ------------------------------------------------------------------------------------------------------


def test_decisions_over_a_unix_socket(place: Place) -> None:
    """No token is needed where the directory decides who may enter, and the socket goes when the service does."""
    place.write(service="")
    with serving(place, "--socket", str(place.socket)) as service:
        assert f"unix:{place.socket}" in service.line
        assert stat.S_IMODE(place.socket.parent.stat().st_mode) == 0o750
        assert stat.S_IMODE(place.socket.stat().st_mode) & 0o007 == 0
        with Client(str(place.socket), timeout_seconds=START_SECONDS) as client:
            assert client.decide(place.theft)["outcome"] == "deny"
            assert client.decide(json.dumps(place.call("true")).encode())["outcome"] == "allow"
        assert decide_over_socket(str(place.socket), place.theft, timeout_seconds=START_SECONDS)["id"] == "theft"
        assert service.stop()[0] == 0
    assert not place.socket.exists()
    again = decide_over_socket(str(place.socket), place.theft, timeout_seconds=START_SECONDS)
    assert (again["outcome"], again["reasons"][0]["rule"]) == ("deny", "guardrail.fault")


@pytest.mark.parametrize("mode", [0o755, 0o751, 0o770, 0o777])
def test_a_socket_directory_that_others_may_use_is_refused(place: Place, mode: int) -> None:
    """The directory is the lock: one that the world can enter, or the group can change, is no lock."""
    place.write(service="")
    place.socket.parent.mkdir()
    place.socket.parent.chmod(mode)
    code, err = failing(place, "--socket", str(place.socket))
    assert code == 1
    assert "chmod 0750" in err
    assert not place.socket.exists()


def test_a_socket_left_behind_is_replaced_and_a_live_one_is_not(place: Place) -> None:
    """After a crash the service starts again; a second service does not take the first one's place."""
    place.write(service="")
    place.socket.parent.mkdir(mode=0o750)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place.socket))
    with serving(place, "--socket", str(place.socket)):
        other = Place(place.folder / "other")
        other.write(service="")
        code, err = failing(other, "--socket", str(place.socket))
        assert code == 1
        assert "another service answers there" in err
        assert decide_over_socket(str(place.socket), place.theft, timeout_seconds=START_SECONDS)["id"] == "theft"


def test_a_file_in_the_sockets_place_is_kept(place: Place) -> None:
    """Only a socket is ever removed."""
    place.write(service="")
    place.socket.parent.mkdir(mode=0o750)
    place.socket.write_text("mine")
    code, err = failing(place, "--socket", str(place.socket))
    assert (code, place.socket.read_text()) == (1, "mine")
    assert "is not a socket" in err


def test_readiness_can_be_asked_from_the_command_line(place: Place) -> None:
    """A container without an HTTP client checks its own health."""
    place.write(service='socket = "run/decide.sock"')
    command = [sys.executable, "-m", "guardrail", "serve", "--config", str(place.config), "--check"]

    def check() -> int:
        done = subprocess.run(
            command, cwd=Path(__file__).parent.parent, capture_output=True, timeout=START_SECONDS, check=False
        )
        said.append(done.stderr.decode())
        return done.returncode

    said: list[str] = []
    assert check() == 1
    assert said == [f"guardrail: no service answers at `{place.socket}`: no such file or directory\n"]
    with serving(place):
        assert check() == 0
        with socket.socket(socket.AF_UNIX) as health:
            health.connect(str(place.socket))
            health.settimeout(START_SECONDS)
            health.sendall(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: health.recv(65536), b""))
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["checks"] == {
            "started": True,
            "bundle": True,
            "engine": True,
            "trail": True,
        }


# -- starts that fail -------------------------------------------------------------------------------------------------


def one_sentence(err: str) -> str:
    """The sentence that a failed start leaves; log lines may stand before it."""
    lines = [line for line in err.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, err
    assert lines[0].startswith("guardrail: ")
    return lines[0]


def test_a_bad_configuration_is_one_sentence(place: Place) -> None:
    """Exit code 2 and the key that is wrong."""
    place.config.write_text("[servce]\n")
    code, err = failing(place)
    assert code == 2
    assert "servce" in one_sentence(err)


def test_a_missing_bundle_is_one_sentence(place: Place) -> None:
    """Exit code 2 and the bundle that is not there."""
    place.write(more='[policy]\nbundle = "no-such-bundle"\n')
    code, err = failing(place, "--port", "0")
    assert code == 2
    assert "no-such-bundle" in one_sentence(err)


def test_a_trail_in_use_is_one_sentence(place: Place) -> None:
    """Two services never write one trail."""
    with serving(place, "--port", "0"):
        code, err = failing(place, "--port", "0")
    assert code == 1
    assert str(place.trail) in one_sentence(err)


def test_a_trail_that_cannot_be_made_is_one_sentence(place: Place) -> None:
    """Without a trail nothing may run, so nothing is served."""
    place.trail.write_text("a file")
    code, err = failing(place, "--port", "0")
    assert code == 1
    assert "trail" in one_sentence(err)


def test_a_port_in_use_is_one_sentence(place: Place) -> None:
    """Said before anything else is opened or locked."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, err = failing(place, "--port", str(taken.getsockname()[1]))
    assert code == 1
    assert "in use" in one_sentence(err)
    assert not place.trail.exists()


def test_contradicting_addresses_are_a_usage_error(place: Place) -> None:
    """A socket and a port cannot both be meant."""
    code, err = failing(place, "--socket", "x.sock", "--port", "1")
    assert code == 2
    assert "not both" in one_sentence(err)


def test_an_exporter_that_is_not_carried_is_a_usage_error(place: Place) -> None:
    """Telemetry that was asked for and cannot be had is said at the start."""
    code, err = failing(place, "--port", "0", env={"OTEL_TRACES_EXPORTER": "jaeger"})
    assert code == 2
    assert "OTEL_TRACES_EXPORTER" in one_sentence(err)


# -- people apart ------------------------------------------------------------------------------------------------------


def test_people_are_answered_at_a_socket_of_their_own(place: Place) -> None:
    """In a directory that keeps others out; the agents' port has none of it, and both end with the service."""
    tokens = f'token = "{TOKEN}"\nreviewer_token = "{TOKEN}-of-people"\nreview_socket = "people/review.sock"'
    place.write(service=tokens)
    path, people = place.folder / "people/review.sock", {"authorization": f"Bearer {TOKEN}-of-people"}
    with serving(place, "--port", "0") as service:
        assert service.line.endswith(f", reviewers on unix:{path}\n")
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
        for headers in (people, {}):
            assert service.ask("/v1/escalations", **headers)[0] in (401, 404)
        connection = http.client.HTTPConnection("localhost", timeout=START_SECONDS)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(START_SECONDS)
        connection.sock.connect(str(path))
        with contextlib.closing(connection):
            assert exchange(connection, "/v1/escalations", None, people)[:2] == (200, {"escalations": [], "next": None})
            assert exchange(connection, "/v1/decide", place.theft, people)[0] == 404
        assert service.ask("/v1/decide", place.theft)[1]["outcome"] == "deny"
        assert service.stop()[0] == 0
    assert not path.exists()
    assert verify(place.trail).ok
