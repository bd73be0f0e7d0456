"""All routes of the service together, with a real guard: who gets in where, and what is said of the answers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from guardrail import Guard
from guardrail.config import parse as parse_config
from guardrail.errors import GuardrailError
from guardrail.service import create_app
from guardrail.service._app import PUBLIC, Service

ROOT = Path(__file__).resolve().parent.parent
FUZZ = ROOT / ".venv-fuzz/bin/schemathesis"

WAIT_SECONDS = 60
"""Longest wait for other processes, in seconds."""

AGENTS, PEOPLE, METRICS = "a-token-that-agents-hold", "a-token-that-reviewers-hold", "a-token-that-reads-metrics"

CONFIG = f"""
[[asset]]
id = "model:beta"
class = "weights"
paths = ["models/beta"]
[limits]
decision_ms = 60000

[trail]
directory = "trail"
timeout_seconds = 60
[service]
token = "{AGENTS}"
reviewer_token = "{PEOPLE}"
metrics_token = "{METRICS}"
concurrency = 1
queue_ms = 1
[execute]
over_http = true
concurrency = 8
"""


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    with Guard.open(parse_config(CONFIG, base=str(tmp_path))) as guard:
        yield guard


@pytest.fixture
def app(guard: Guard) -> Service:
    return create_app(guard)


async def ask(app: Any, method: str, path: str, token: str = "", body: Any = None) -> httpx.Response:
    """One request, with a token or without."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service", timeout=60) as client:
        return await client.request(
            method, path.replace("{harness}", "codex").replace("{id}", "x"), headers=headers, json=body
        )


def operations(app: Service) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Every method of every route in the document, and the schemes that it says open it."""
    return [
        (method.upper(), path, operation.get("security", []))
        for path, methods in app.api.openapi()["paths"].items()
        for method, operation in methods.items()
    ]


async def test_every_route_of_the_document_wants_the_token_that_it_names(app: Service) -> None:
    """Without a token, and with every token but its own, each answers 401; those that need none are four, by name."""
    own: list[dict[str, Any]] = [{"token": []}]
    found = [*operations(app), ("GET", "/openapi.json", own)]
    assert {path for _, path, schemes in found if not schemes} == PUBLIC
    assert len(found) >= 20
    for method, path, schemes in found:
        if not schemes:
            continue
        (scheme,) = (name for one in schemes for name in one)
        opens = {PEOPLE} if scheme == "reviewers" else {AGENTS, METRICS} if path == "/metrics" else {AGENTS}
        for token in {"", "another-token-of-length", AGENTS, PEOPLE, METRICS} - opens:
            assert (await ask(app, method, path, token, {})).status_code == 401, (method, path, token)


async def test_a_route_that_no_document_names_needs_the_token_too(app: Service, guard: Guard) -> None:
    """The framework's own routes are those of the document: there is no page that was forgotten."""
    named = {path for _, path, _ in operations(app)} | {"/openapi.json"}
    assert {route.path for route in app.api.routes if hasattr(route, "path")} <= named  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    assert (await ask(app, "GET", "/docs")).status_code == 401
    assert (await ask(app, "GET", "/docs", AGENTS)).status_code == 404


async def test_a_method_that_a_route_does_not_take_names_those_that_it_takes(app: Service) -> None:
    """RFC 9110 section 15.5.6, for every route, whoever answers it."""
    found = operations(app)
    for _, path, schemes in found:
        token = PEOPLE if {"reviewers": []} in schemes else AGENTS
        answer = await ask(app, "DELETE", path, token)
        taken = ", ".join(method for method, other, _ in found if other == path)
        assert (answer.status_code, answer.headers["allow"]) == (405, taken), path
        assert answer.json()["outcome"] == "deny"


async def test_every_route_that_judges_waits_for_the_same_turn(app: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """One limit holds for all of them: while a call is judged, the second one is refused wherever it is asked."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(self: Guard, call: Any, **more: Any) -> Any:
        begun.set()
        await go_on.wait()
        return self.check(call, **more)

    monkeypatch.setattr(Guard, "acheck", slow)
    call = {"tool": "bash", "args": {"command": "ls"}, "cwd": "/"}
    first = asyncio.create_task(ask(app, "POST", "/v1/decide", AGENTS, call))
    await begun.wait()
    for path, body in (("/v1/decide", call), ("/v1/token", call), ("/v1/hooks/codex", {})):
        answer = await ask(app, "POST", path, AGENTS, body)
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:guardrail:problem:overloaded"), path
        assert answer.headers["retry-after"] == "1"
    go_on.set()
    assert (await first).json()["outcome"] == "allow"


@pytest.mark.parametrize("error", [GuardrailError("the ledger is away"), RuntimeError("a secret of the call")])
async def test_what_goes_wrong_where_people_answer_is_a_problem(
    app: Service, guard: Guard, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known is said; what nobody expected is in the log, and nothing of it in the answer."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(guard.desk, "cases", fail)
    answer = await ask(app, "GET", "/v1/escalations", PEOPLE)
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:guardrail:problem:fault")
    assert ("the ledger" in answer.text) == isinstance(error, GuardrailError)
    assert "secret" not in answer.text


async def test_tools_that_run_hold_up_nothing_else(app: Service, guard: Guard, tmp_path: Path) -> None:
    """As many tools as may run at one time, and readiness, metrics and a hook's event are answered all the same."""
    tools = guard.config.execute.concurrency
    holding = tmp_path / "hold"
    os.mkfifo(holding)
    async with app.api.router.lifespan_context(app.api):
        call = {"call": {"tool": "bash", "args": {"command": ["cat", str(holding)]}, "cwd": str(tmp_path)}}
        running = [asyncio.create_task(ask(app, "POST", "/v1/execute", AGENTS, call)) for _ in range(tools)]
        await until(lambda: len(list(children(str(holding)))) == tools)
        questions: tuple[tuple[str, str, Any], ...] = (
            ("GET", "/readyz", None),
            ("GET", "/metrics", None),
            ("POST", "/v1/hooks/codex", {}),
        )
        for method, path, body in questions:
            answer = await asyncio.wait_for(ask(app, method, path, AGENTS, body), WAIT_SECONDS)
            assert answer.status_code == 200, answer.text
        # A reader that reads nothing but the end lets every one of them go.
        await until(lambda: opened(holding) and all(task.done() for task in running))
        assert [task.result().json()["ran"] for task in running] == [True] * tools


async def test_a_tool_ends_with_the_request_that_the_service_cuts_off(
    guard: Guard, app: Service, tmp_path: Path
) -> None:
    """What the end of the service does not wait for any longer is stopped, and its end is on record before that."""
    nap = f"1000.{os.getpid():07}"  # that no other run of the tests looks for
    call = {"call": {"tool": "bash", "args": {"command": ["sleep", nap]}, "cwd": str(tmp_path)}}
    request = asyncio.create_task(ask(app, "POST", "/v1/execute", AGENTS, call))
    await until(lambda: bool(list(children(nap))))
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert not list(children(nap))
    assert guard.trail is not None
    guard.trail.checkpoint()
    records = [json.loads(line) for line in _exported(tmp_path)]
    assert [record["facts"]["ended_by"] for record in records if record["kind"] == "result"] == ["stopped"]


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that other processes do, which set no event of ours."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not holds():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0)


def opened(pipe: Path) -> bool:
    """Open a pipe for a moment, so that its readers come to the end."""
    os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))
    return True


def children(word: str) -> Iterator[int]:
    """Processes with a word in their command line."""
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in place.read_bytes().split(b"\0"):
                yield int(place.parent.name)
        except OSError:
            continue


def _exported(base: Path) -> list[str]:
    from guardrail.audit._verify import read_records

    return [json.dumps(record) for _, record in read_records(base / "trail", 0)]


def test_schemathesis_finds_no_answer_that_the_document_does_not_name() -> None:
    """Some hundred requests, good and bad, to a real process: no 5xx, and every answer as documented."""
    if not FUZZ.exists():
        text = "`.venv-fuzz` is not there: `make .venv-fuzz/.ready` gets it"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(text)
    words = [sys.executable, "scripts/fuzz_api.py", "--schemathesis", str(FUZZ), "--seconds", "3", "--examples", "4"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "and its log has 0 faults" in done.stdout
