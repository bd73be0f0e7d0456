"""Decision logs in OPA's own format: what an event says, what is taken out, and that no decision waits for it."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail import config as config_module
from guardrail.errors import ConfigError
from guardrail.guard import Guard
from guardrail.model import Decision, Outcome, Subject, ToolCall
from guardrail.policy.log._event import Entry, event
from guardrail.policy.log._outlets import FileOutlet, Outlet, ServerOutlet
from guardrail.telemetry import Telemetry
from tests.bundle_support import WAIT_SECONDS, until

DECISION = Decision(decision_id="d1", outcome=Outcome.DENY, policy="r1/abc", engine="wasm", elapsed_us=70, seq=3)


class LogServer(http.server.ThreadingHTTPServer):
    """A log server that keeps what it gets, or answers with another status."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.events: list[dict[str, Any]] = []
        self.posts = 0
        self.status = 200
        self.headers: dict[str, str] = {}
        self.hang: threading.Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/logs"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: LogServer

    def do_POST(self) -> None:
        log = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        log.posts += 1
        if log.hang is not None:
            log.hang.wait(WAIT_SECONDS)
        log.headers = dict(self.headers.items())
        if log.status == 200:
            log.events += json.loads(gzip.decompress(body))
        self.send_response(log.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""


@pytest.fixture
def server() -> Iterator[LogServer]:
    """A log server."""
    log = LogServer()
    thread = threading.Thread(target=log.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield log
    if log.hang is not None:
        log.hang.set()
    log.shutdown()
    log.server_close()
    thread.join(10)


class Place:
    """A model and a guard's configuration."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "models").mkdir()
        (root / "models/w.safetensors").write_bytes(b"w")
        (root / "shutdown.yaml").write_text("shutdown_enabled: true\n")

    def toml(self, log: str) -> Path:
        """Write guardrail.toml."""
        path = self.root / "guardrail.toml"
        path.write_text(
            "[limits]\ndecision_ms = 60000\n"
            f'[trail]\ntimeout_seconds = 60\ndirectory = "trail"\n[decision_log]\nflush_seconds = 0.02\n{log}\n'
            '[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["models"]\n'
            '[[asset]]\nid = "control:s"\nclass = "control"\npaths = ["shutdown.yaml"]\n'
            "controls = { shutdown_enabled = true }\n"
        )
        return path

    def call(self, command: str) -> ToolCall:
        """A shell command."""
        return ToolCall(
            tool="bash", args={"command": command}, cwd=str(self.root), subject=Subject(id="a", principal="p")
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place of its own."""
    return Place(tmp_path)


def lines(path: Path) -> list[dict[str, Any]]:
    """The events of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


# ── what an event says ────────────────────────────────────────────────────────────────────────────────────────────────


def test_events_have_opas_fields(place: Place) -> None:
    """One object a line for each decision, with the document, the answer, revision and time."""
    toml = place.toml('file = "d.jsonl"\nlabels = { region = "eu" }')
    with Guard.open(toml) as guard:
        decisions = [guard.check(place.call(command)) for command in ("true", "rm models/w.safetensors")]
        revision = guard.engine.rules.revision
    first, second = lines(place.root / "d.jsonl")
    assert [first["decision_id"], second["decision_id"]] == [decision.decision_id for decision in decisions]
    assert set(first) == {
        "labels", "decision_id", "bundles", "path", "input", "result", "timestamp", "metrics", "guardrail",
    }  # fmt: skip
    assert first["path"] == "guardrail/main/decision"
    assert first["bundles"] == {"guardrail": {"revision": revision}}
    assert first["labels"]["region"] == "eu"
    assert set(first["labels"]) == {"id", "version", "app", "engine", "region"}
    assert (second["result"]["outcome"], second["guardrail"]["seq"]) == ("deny", decisions[1].seq)
    assert second["input"]["evaluations"][0]["action"] == {"name": "delete"}
    assert second["metrics"]["timer_server_handler_ns"] == decisions[1].elapsed_us * 1000
    moment = dt.datetime.fromisoformat(second["timestamp"][:-4] + "+00:00")
    assert abs(moment - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)


def test_opa_itself_writes_such_events() -> None:
    """The names of the fields are those that OPA's own console log uses, asked of a real server."""
    import subprocess

    from tests.policy_support import POLICIES, find_opa
    from tests.ports import free_port

    port = free_port()
    command = [
        *(find_opa().path, "run", "--server", "--skip-version-check", "--addr", f"127.0.0.1:{port}"),
        *("--set", "decision_logs.console=true", "--bundle", str(POLICIES), "--ignore", "build,*_test.rego"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        theirs = _opas_event(process, port)
    finally:
        process.kill()
        process.communicate()
    ours = json.loads(event(Entry(DECISION, b"{}", None, 0), {"id": "x"}, erase=(), mask=()))
    assert set(ours) - {"guardrail"} <= set(theirs) | {"erased", "masked"}
    assert ours["path"] == theirs["path"]
    assert ours["timestamp"] == "1970-01-01T00:00:00.000000000Z"


def _opas_event(process: Any, port: int) -> dict[str, Any]:
    import urllib.request

    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/data/guardrail/main/decision",
        data=b'{"input":{}}',
        headers={"Content-Type": "application/json"},
    )
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
            answer.read()
            break
    for line in process.stderr:
        found: dict[str, Any] = json.loads(line)
        if found.get("msg") == "Decision Log":
            return found
    pytest.fail("OPA logged no decision")


def test_a_fault_is_an_error_without_a_result(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As OPA writes a query that failed."""
    with Guard.open(place.toml('file = "d.jsonl"')) as guard:
        monkeypatch.setattr("guardrail.guard.analyse", lambda *_, **__: 1 / 0)
        guard.check(place.call("true"))
    (found,) = lines(place.root / "d.jsonl")
    assert found["error"]["code"] == "guardrail.fault"
    assert "result" not in found
    assert "input" not in found


def test_the_span_of_a_decision_is_in_its_event(place: Place) -> None:
    """So that logs and traces join."""
    from opentelemetry.sdk.trace import TracerProvider

    with Guard.open(place.toml('file = "d.jsonl"'), telemetry=Telemetry(tracer_provider=TracerProvider())) as guard:
        guard.check(place.call("true"))
    (found,) = lines(place.root / "d.jsonl")
    assert (len(found["trace_id"]), len(found["span_id"])) == (32, 16)


# ── what is taken out ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_calls_brought_along_is_erased_by_default(place: Place) -> None:
    """The values of keys do not leave, and the event says where they were."""
    with Guard.open(place.toml('file = "d.jsonl"\nmask = ["/input/subject/properties/principal"]')) as guard:
        guard.check(place.call("sed -i 's/true/false/' shutdown.yaml"))
    (found,) = lines(place.root / "d.jsonl")
    (at,) = [n for n, e in enumerate(found["input"]["evaluations"]) if e["action"]["name"] == "set_key"]
    attrs = found["input"]["evaluations"][at]["properties"]["attrs"]
    assert attrs["key"] == "shutdown_enabled"
    assert {"before", "after"} & set(attrs) == set()
    base = f"/input/evaluations/{at}/properties/attrs"
    assert {f"{base}/after", f"{base}/before"} <= set(found["erased"])
    assert found["masked"] == ["/input/subject/properties/principal"]
    assert found["input"]["subject"]["properties"]["principal"] == "**"


@pytest.mark.parametrize(
    ("pattern", "left", "told"),
    [
        ("/input/a", {"b": [{"c": 1}, {"c": 2}], "x/y": {"~": 3}}, ["/input/a"]),
        ("/input/b/*/c", {"a": 0, "b": [{}, {}], "x/y": {"~": 3}}, ["/input/b/0/c", "/input/b/1/c"]),
        ("/input/b/1", {"a": 0, "b": [{"c": 1}, None], "x/y": {"~": 3}}, ["/input/b/1"]),
        ("/input/x~1y/~0", {"a": 0, "b": [{"c": 1}, {"c": 2}], "x/y": {}}, ["/input/x~1y/~0"]),
        ("/input/b/9/c", {"a": 0, "b": [{"c": 1}, {"c": 2}], "x/y": {"~": 3}}, None),
        ("/input/a/b/c", {"a": 0, "b": [{"c": 1}, {"c": 2}], "x/y": {"~": 3}}, None),
    ],
)
def test_pointers_lead_where_they_say(pattern: str, left: Any, told: Any) -> None:
    """Keys, items, any one step, escapes; and nowhere without a word about it."""
    text = orjson.dumps({"a": 0, "b": [{"c": 1}, {"c": 2}], "x/y": {"~": 3}})
    found = json.loads(event(Entry(DECISION, text, None, 0), {}, erase=[pattern], mask=()))
    assert (found["input"], found.get("erased")) == (left, told)


@given(
    value=st.recursive(
        st.just("secret"),
        lambda inner: st.dictionaries(st.text(max_size=3), inner, min_size=1, max_size=3),
        max_leaves=6,
    )
)
def test_masking_everything_leaves_nothing(value: Any) -> None:
    """However deep and however keys are called: what a pattern covers is gone from the event."""
    for erase, mask in ((["/input/*"], []), ([], ["/input/*"])):
        text = event(Entry(DECISION, orjson.dumps({"k": value}), None, 0), {}, erase=erase, mask=mask)
        assert b"secret" not in text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('erase = ["input/x"]', "no JSON pointer"),
        ('mask = ["/labels/id"]', "no JSON pointer"),
        ('mask = ["/input//x"]', "no JSON pointer"),
        ('url = "ftp://h/logs"', r"`decision_log\.url` must be"),
        ('url = "https://u:p@h/logs"', r"`decision_log\.url` must be"),
        ("buffer_bytes = 0", "greater than 0"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(text: str, why: str) -> None:
    """A mask that masks nothing would be found out too late."""
    with pytest.raises(ConfigError, match=why):
        config_module.parse(f"[decision_log]\n{text}\n")


# ── where it goes ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_there_is_none_by_default(place: Place) -> None:
    """Neither a file nor a thread."""
    with Guard.open(place.toml("")) as guard:
        assert guard.decision_log is None
        assert "guardrail-decision-log" not in [thread.name for thread in threading.enumerate()]


def test_a_log_server_gets_gzipped_arrays_with_the_token(place: Place, server: LogServer) -> None:
    """As from OPA."""
    toml = place.toml(f'url = "{server.url}"\ntoken = "t0"')
    with Guard.open(toml) as guard:
        sent = [guard.check(place.call("true")).decision_id for _ in range(20)]
        until(lambda: len(server.events) == 20)
        assert guard.decision_log is not None
        assert (guard.decision_log.dropped, guard.decision_log.failures) == (0, 0)
    assert [found["decision_id"] for found in server.events] == sent
    assert server.headers["Authorization"] == "Bearer t0"
    assert server.headers["Content-Encoding"] == "gzip"


def test_what_waits_is_written_when_the_guard_closes(place: Place, server: LogServer) -> None:
    """Though nobody waited for it."""
    toml = place.toml(f'url = "{server.url}"\nfile = "d.jsonl"').read_text().replace("0.02", "3600")
    (place.root / "guardrail.toml").write_text(toml)
    with Guard.open(place.root / "guardrail.toml") as guard:
        guard.check(place.call("true"))
        assert server.events == []
    assert len(server.events) == len(lines(place.root / "d.jsonl")) == 1


def test_a_server_that_is_down_is_tried_again(place: Place, server: LogServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it did not take waits, in order, and arrives once."""
    monkeypatch.setattr("guardrail.policy.log._outlets.FIRST_WAIT_SECONDS", 0.02)
    server.status = 503
    with Guard.open(place.toml(f'url = "{server.url}"')) as guard:
        sent = [guard.check(place.call("true")).decision_id for _ in range(5)]
        log = guard.decision_log
        assert log is not None
        until(lambda: log.failures >= 2)  # not the server's posts: it says how one ends only after it was counted
        server.status = 200
        until(lambda: len(server.events) >= 5)
    assert [found["decision_id"] for found in server.events] == sent


def test_a_server_that_hangs_holds_up_no_decision(place: Place, server: LogServer) -> None:
    """The buffer is bounded: of too many the oldest are dropped and counted, and calls go on."""
    server.hang = threading.Event()
    with Guard.open(place.toml(f'url = "{server.url}"\nbuffer_bytes = 20000')) as guard:
        decisions = [guard.check(place.call("true")) for _ in range(100)]
        assert {decision.outcome for decision in decisions} == {Outcome.ALLOW}
        assert guard.decision_log is not None
        assert 50 < guard.decision_log.dropped < 100
        server.hang.set()


def test_a_log_that_fails_in_any_way_changes_no_decision(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that raises where a decision is handed to it."""
    with Guard.open(place.toml('file = "d.jsonl"')) as guard:

        def broken(*_: Any) -> None:
            raise MemoryError

        monkeypatch.setattr(guard.decision_log, "offer", broken)
        assert guard.check(place.call("true")).outcome is Outcome.ALLOW


def test_a_file_that_cannot_be_written_stops_the_start(place: Place) -> None:
    """A setting that cannot work is said at once."""
    with pytest.raises(ConfigError, match=r"set `decision_log\.file` to a place"):
        Guard.open(place.toml('file = "/nowhere/d.jsonl"'))


class Flaky(Outlet):
    """An outlet that fails as often as it is told to."""

    def __init__(self, render: Callable[[Entry], bytes], failing: int, buffer_bytes: int = 1 << 20) -> None:
        self.failing = failing
        self.got: list[bytes] = []
        super().__init__(render, buffer_bytes=buffer_bytes, flush_seconds=0.01)

    def deliver(self, events: Any) -> None:
        if self.failing:
            self.failing -= 1
            raise OSError("not now")
        self.got += events


def test_an_event_that_cannot_be_rendered_is_counted_and_holds_up_nothing() -> None:
    """One odd decision is lost, and those around it arrive."""

    def render(entry: Entry) -> bytes:
        if entry.at_ns == 1:
            raise ValueError
        return str(entry.at_ns).encode()

    outlet = Flaky(render, failing=0)
    for number in range(3):
        outlet.offer(Entry(DECISION, None, None, number))
    until(lambda: outlet.got == [b"0", b"2"])
    outlet.close()
    assert outlet.dropped == 1


def test_what_never_arrived_is_counted_when_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing ends in bounded time."""
    outlet = Flaky(lambda entry: b"x", failing=1 << 30)
    for number in range(7):
        outlet.offer(Entry(DECISION, None, None, number))
    started = time.monotonic()
    outlet.close()
    assert outlet.dropped == 7
    assert time.monotonic() - started < WAIT_SECONDS


def test_a_file_is_renamed_before_it_grows_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One before is kept; whoever collects the file may rename it too, at any time."""
    monkeypatch.setattr("guardrail.policy.log._outlets.MAX_FILE_BYTES", 10)
    outlet = FileOutlet(tmp_path / "d", lambda entry: b"0123456789", buffer_bytes=1 << 20, flush_seconds=0.01)
    outlet.offer(Entry(DECISION, None, None, 0))
    until((tmp_path / "d.1").exists)
    outlet.offer(Entry(DECISION, None, None, 0))
    outlet.close()
    assert (tmp_path / "d.1").read_bytes() == b"0123456789\n"


def test_a_server_that_speaks_no_http_is_a_failure() -> None:
    """And not an exception that ends the thread."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with contextlib.suppress(OSError), listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(b"220 smtp ready\r\n")

        threading.Thread(target=run, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/logs"
        outlet = ServerOutlet(url, "", lambda entry: b"{}", buffer_bytes=1 << 20, flush_seconds=0.01)
        outlet.offer(Entry(DECISION, None, None, 0))
        until(lambda: outlet.failures >= 1)
    outlet.close()
    assert outlet.dropped == 1
