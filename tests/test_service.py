"""The service's routes, asked as an ASGI server would ask them: what is answered, and that no fault is an allow."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.config import Config, ServiceConfig
from guardrail.errors import ConfigError, EngineFault, TrailError
from guardrail.model import Decision, Outcome, Reason, ToolCall
from guardrail.policy._rules import RuleBook
from guardrail.policy._ruling import Ruling
from guardrail.review import MemoryLedger, ReviewDesk
from guardrail.service import create_app
from guardrail.service._app import Service
from guardrail.service._http import PROBLEM_TYPES

TOKEN = "a-token-of-good-length"
DECISION_PATHS = ("/v1/decide", "/access/v1/evaluation", "/access/v1/evaluations")


class Engine:
    """What readiness asks an engine: `answer` is what it says, and None that it fails."""

    name = "wasm"
    revision = "policy@1"
    answer: bytes | None = b'{"outcome": "allow", "hits": [], "revision": "policy@1"}'

    async def adecide(self, document: bytes, *, deadline: float) -> Ruling:
        if self.answer is None:
            raise EngineFault("the engine is away")
        assert json.loads(document)["evaluations"] == []
        answer = self.answer.replace(b"policy@1", self.revision.encode())
        return Ruling(answer, RuleBook(self.revision, ()), self.revision)


class Guard:
    """The methods of a Guard that the service uses: denies tools called `deny`, escalates `ask`, breaks on `break`."""

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self.config = Config()
        self.engine = Engine()
        self.inventory: list[str] = []
        self.trail: Any = SimpleNamespace(checkpoint=lambda: None)
        self.central = None
        self.decision_log = None
        self.desk = ReviewDesk(MemoryLedger())
        self.gate: asyncio.Event | None = None
        self.crowd = 2
        self.entered = asyncio.Event()

    async def acheck(self, call: ToolCall) -> Decision:
        self.calls.append(call)
        if self.gate is not None:
            if len(self.calls) == self.crowd:
                self.entered.set()
            await self.gate.wait()
        if call.tool == "break":
            raise RuntimeError("the guard broke")
        outcome = {"deny": Outcome.DENY, "ask": Outcome.ESCALATE}.get(call.tool, Outcome.ALLOW)
        reasons = (
            (Reason(rule="test.rule", outcome=outcome, message="because"),) if outcome is not Outcome.ALLOW else ()
        )
        return Decision(decision_id=f"d{len(self.calls)}", outcome=outcome, reasons=reasons, id=call.id)


class Answer:
    """One HTTP answer."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: Service,
    path: str = "/v1/decide",
    body: Any = b"",
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    chunks: list[bytes] | None = None,
) -> Answer:
    """Send one request; `content-type` and the token are there unless `headers` says otherwise."""
    sent = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}", **(headers or {})}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    parts = chunks if chunks is not None else [content]
    if chunks is None:
        sent.setdefault("content-length", str(len(content)))
    queue = [{"type": "http.request", "body": part, "more_body": at < len(parts) - 1} for at, part in enumerate(parts)]
    messages: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items() if value],
    }

    async def receive() -> dict[str, Any]:
        return queue.pop(0) if queue else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await asyncio.wait_for(app(scope, receive, send), 10)
    return Answer(messages)


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
def app(guard: Guard) -> Service:
    return create_app(guard, ServiceConfig(token=TOKEN, body_bytes=4096, concurrency=2, queue_ms=1))


def check_problem(answer: Answer, status: int, kind: str) -> None:
    """An RFC 9457 problem that says deny."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["type"] == f"urn:guardrail:problem:{kind}"
    assert answer.json["status"] == status
    assert answer.json["title"]
    assert answer.json["detail"]
    assert answer.json["outcome"] == "deny"
    assert answer.json.get("decision") is None


def evaluation(tool: str = "bash", **more: Any) -> dict[str, Any]:
    """An access evaluation request for one tool."""
    return {
        "subject": {"type": "agent", "id": "ops-agent", "properties": {"model": "v/m"}},
        "action": {"name": tool, "properties": {"command": "ls"}},
        "resource": {"type": "tool", "id": tool},
        "context": {"session": "s1", "cwd": "/srv", "id": "c1"},
        **more,
    }


# -- /v1/decide -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tool", "outcome"), [("ls", "allow"), ("deny", "deny"), ("ask", "escalate")])
async def test_every_decision_is_a_200(app: Service, tool: str, outcome: str) -> None:
    """A denial is an answer, in the shape of the batch contract."""
    answer = await ask(app, body={"tool": tool, "id": "c1"})
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert (answer.json["outcome"], answer.json["id"], answer.json["decision_id"]) == (outcome, "c1", "d1")
    assert isinstance(answer.json["reasons"], list)


async def test_the_whole_call_reaches_the_guard(app: Service, guard: Guard) -> None:
    """Nothing of a ToolCall is lost on the way."""
    call = {
        "tool": "bash",
        "args": {"command": "ls"},
        "id": "c",
        "cwd": "/",
        "subject": {"id": "a", "model": "v/m", "principal": "p"},
        "session": "s",
    }
    await ask(app, body=call)
    assert guard.calls == [ToolCall.from_mapping(call)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"tool": ""}',
        b'{"tool": 1}',
        b'{"tool": "x", "extra": 1}',
        b'{"args": {}}',
        b'{"tool": "x", "cwd": "relative"}',
        b'{"tool": "x"} {"tool": "y"}',
        b"\xff\xfe",
        b'{"tool": "x", "args": ' + b'{"a":' * 100 + b"1" + b"}" * 101,
    ],
)
@pytest.mark.parametrize("path", DECISION_PATHS)
async def test_a_malformed_request_is_a_400_and_judges_nothing(
    app: Service, guard: Guard, body: bytes, path: str
) -> None:
    """What is no request gets no decision, and the problem says deny."""
    check_problem(await ask(app, path, body), 400, "malformed")
    assert not guard.calls


@pytest.mark.parametrize("path", DECISION_PATHS)
async def test_a_failing_guard_is_a_500_that_says_deny(app: Service, path: str) -> None:
    """An exception out of judging is never an allow, and its text stays inside."""
    bodies = {"/v1/decide": {"tool": "break"}}
    answer = await ask(app, path, bodies.get(path, evaluation("break")))
    check_problem(answer, 500, "fault")
    assert b"broke" not in answer.body


async def test_a_declared_oversize_body_is_refused_unread(app: Service, guard: Guard) -> None:
    """The length alone is enough to refuse."""
    check_problem(await ask(app, body=b" " * 5000), 413, "too-large")
    assert not guard.calls


async def test_an_undeclared_oversize_body_is_refused(app: Service, guard: Guard) -> None:
    """A chunked body is counted while it comes."""
    answer = await ask(app, chunks=[b" " * 1000] * 5)
    check_problem(answer, 413, "too-large")
    assert answer.headers["connection"] == "close"
    assert not guard.calls


async def test_a_body_in_pieces_is_one_call(app: Service) -> None:
    """Where the network cuts does not matter."""
    answer = await ask(app, chunks=[b'{"to', b'ol": "de', b'ny"}'])
    assert answer.json["outcome"] == "deny"


async def test_a_body_that_does_not_come_is_a_408(app: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends nothing does not hold a place for ever."""
    monkeypatch.setattr("guardrail.service._http.BODY_SECONDS", 0.01)
    messages: list[dict[str, Any]] = []

    async def never() -> Any:
        await asyncio.Event().wait()

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    headers = [(b"content-type", b"application/json"), (b"authorization", f"Bearer {TOKEN}".encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/decide", "headers": headers}
    await asyncio.wait_for(app(scope, never, send), 10)
    check_problem(Answer(messages), 408, "too-slow")


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
async def test_only_json_by_name_is_read(app: Service, guard: Guard, kind: str) -> None:
    """A web page can send the other kinds to a local service without being asked whether it may."""
    check_problem(await ask(app, body={"tool": "ls"}, headers={"content-type": kind}), 415, "unsupported-media-type")
    assert not guard.calls


async def test_json_with_a_charset_is_json(app: Service) -> None:
    """Parameters of the media type do not matter."""
    answer = await ask(app, body={"tool": "ls"}, headers={"content-type": "Application/JSON; charset=utf-8"})
    assert answer.status == 200


@pytest.mark.parametrize("path", DECISION_PATHS)
async def test_decisions_are_asked_by_post(app: Service, path: str) -> None:
    """Anything else is a 405 that says which method is right."""
    answer = await ask(app, path, method="GET")
    check_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"


async def test_over_the_limit_is_a_503(app: Service, guard: Guard) -> None:
    """More calls than may be judged at one time are refused, and the places come back."""
    guard.gate = asyncio.Event()
    first = [asyncio.create_task(ask(app, body={"tool": "ls"})) for _ in range(2)]
    await asyncio.wait_for(guard.entered.wait(), 10)
    info = await ask(app, "/v1/info", method="GET")
    assert info.json["active"] == 2
    refused = await ask(app, body={"tool": "ls"})
    check_problem(refused, 503, "overloaded")
    assert refused.headers["retry-after"] == "1"
    guard.gate.set()
    assert [answer.status for answer in await asyncio.gather(*first)] == [200, 200]
    assert (await ask(app, body={"tool": "ls"})).status == 200


_names = st.sampled_from(
    ["tool", "args", "id", "cwd", "session", "subject", "action", "resource", "context", "evaluations", "options", "x"]
)
_requests = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=5),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
)


@given(body=_requests, path=st.sampled_from(DECISION_PATHS), method=st.sampled_from(["POST", "POST", "PUT", "GET"]))
def test_no_request_talks_the_service_into_an_allow(body: bytes, path: str, method: str) -> None:
    """Where the guard allows nothing, nothing that can be sent is answered with an allow, a `true` or a crash."""

    class Never(Guard):
        async def acheck(self, call: ToolCall) -> Decision:
            return Decision(decision_id="d", outcome=Outcome.DENY, id=call.id)

    app = create_app(Never(), ServiceConfig(token=TOKEN))
    answer = asyncio.run(ask(app, path, body, method=method))
    assert answer.status in (200, 400, 405)
    outcomes = {answer.json.get("outcome"), answer.json.get("context", {}).get("outcome")}
    outcomes |= {one["context"]["outcome"] for one in answer.json.get("evaluations", ())}
    assert outcomes <= {"deny", None}
    assert answer.json.get("decision") is not True


# -- who may ask ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer x {TOKEN}"],
)
@pytest.mark.parametrize("path", [*DECISION_PATHS, "/v1/info", "/openapi.json", "/nothing"])
async def test_without_the_token_nothing_is_answered(app: Service, guard: Guard, header: str, path: str) -> None:
    """A missing or wrong token is a 401 wherever it is asked, before anything is read."""
    answer = await ask(app, path, {"tool": "ls"}, headers={"authorization": header})
    check_problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert not guard.calls


async def test_the_scheme_is_not_case_sensitive(app: Service) -> None:
    """RFC 9110 says so of authentication schemes."""
    answer = await ask(app, body={"tool": "ls"}, headers={"authorization": f"bearer {TOKEN}"})
    assert answer.status == 200


def test_a_service_on_tcp_without_a_token_is_refused(guard: Guard) -> None:
    """Whoever can connect could ask, so this takes an option with the danger in its name."""
    with pytest.raises(ConfigError, match=r"`service\.token` is empty"):
        create_app(guard, ServiceConfig())
    create_app(guard, ServiceConfig(), insecure_no_token=True)
    create_app(guard, ServiceConfig(socket="/run/guardrail/decide.sock"))


def test_a_short_token_is_refused(guard: Guard) -> None:
    """A token that can be guessed is none."""
    with pytest.raises(ConfigError, match="at least 16 characters"):
        create_app(guard, ServiceConfig(token="short"))


async def test_a_token_from_the_environment_is_read_when_the_service_is_made(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable has to be set; its value is the token, and its name is not."""
    settings = ServiceConfig(token="${GUARDRAIL_TEST_TOKEN}")
    with pytest.raises(ConfigError, match=r"`service\.token` names the environment variable `GUARDRAIL_TEST_TOKEN`"):
        create_app(guard, settings)
    monkeypatch.setenv("GUARDRAIL_TEST_TOKEN", "short")
    with pytest.raises(ConfigError, match="at least 16 characters"):
        create_app(guard, settings)
    monkeypatch.setenv("GUARDRAIL_TEST_TOKEN", TOKEN)
    app = create_app(guard, settings)
    assert (await ask(app, body={"tool": "ls"}, headers={"authorization": f"Bearer {TOKEN}"})).status == 200
    named = {"authorization": "Bearer ${GUARDRAIL_TEST_TOKEN}"}
    assert (await ask(app, body={"tool": "ls"}, headers=named)).status == 401


async def test_a_token_counts_on_a_socket_too(guard: Guard) -> None:
    """Where both are configured both are needed."""
    app = create_app(guard, ServiceConfig(token=TOKEN, socket="/run/guardrail/decide.sock"))
    assert (await ask(app, body={"tool": "ls"}, headers={"authorization": ""})).status == 401


# -- health and the rest ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
async def test_health_needs_no_token(app: Service, path: str) -> None:
    """A kubelet has none; it is told no more than names and yes or no."""
    async with running(app):
        answer = await ask(app, path, method="GET", headers={"authorization": ""})
    assert answer.status == 200
    assert answer.json["status"] == "ok"


async def test_a_service_that_is_not_started_says_so(app: Service) -> None:
    """Until the server has run the start-up, only `/livez` is fine."""
    assert (await ask(app, "/livez", method="GET")).status == 200
    check_problem(await ask(app, "/startupz", method="GET"), 503, "not-ready")
    check_problem(await ask(app, "/readyz", method="GET"), 503, "not-ready")


@pytest.mark.parametrize("broken", ["trail", "no trail", "bundle", "engine", "babble"])
async def test_readiness_tells_engine_bundle_and_trail_apart(app: Service, guard: Guard, broken: str) -> None:
    """A service whose calls would all be denied, or not be recorded, takes itself out of service, and says why."""
    if broken == "bundle":
        guard.engine.revision = ""
    elif broken in ("engine", "babble"):
        guard.engine.answer = None if broken == "engine" else b'{"outcome": "perhaps"}'
    elif broken == "trail":
        guard.trail = SimpleNamespace(checkpoint=fail)
    else:
        guard.trail = None
    async with running(app):
        answer = await ask(app, "/readyz", method="GET")
    check_problem(answer, 503, "not-ready")
    failing = {"no trail": "trail", "babble": "engine"}.get(broken, broken)
    assert answer.json["checks"] == {"started": True} | {
        name: name != failing for name in ("bundle", "engine", "trail")
    }
    assert answer.json["detail"] == f"not ready: {failing}"


async def test_readiness_is_not_asked_of_the_disk_each_time(app: Service, guard: Guard) -> None:
    """Anybody may ask, so what an answer costs is bounded."""
    asked: list[int] = []
    guard.trail = SimpleNamespace(checkpoint=lambda: asked.append(1))
    async with running(app):
        for _ in range(5):
            assert (await ask(app, "/readyz", method="GET")).status == 200
    assert len(asked) == 1


async def test_what_is_not_there_is_a_problem_too(app: Service) -> None:
    """Every error is RFC 9457 and says deny."""
    check_problem(await ask(app, "/v1/decide/", {"tool": "ls"}), 404, "not-found")
    check_problem(await ask(app, "/livez", {"tool": "ls"}), 405, "method-not-allowed")


async def test_the_openapi_document_has_every_route(app: Service) -> None:
    """Also those that no framework sees, with the problems they answer."""
    document = (await ask(app, "/openapi.json", method="GET")).json
    assert {*DECISION_PATHS, "/livez", "/readyz", "/startupz", "/v1/info"} <= set(document["paths"])
    responses = document["paths"]["/v1/decide"]["post"]["responses"]
    assert {"200", "400", "401", "413", "503"} <= set(responses)


async def test_routes_and_problems_are_documented(app: Service) -> None:
    """The page names every route and every kind of problem, with its status."""
    page = (Path(__file__).parent.parent / "docs" / "service.md").read_text(encoding="utf-8")
    document = (await ask(app, "/openapi.json", method="GET")).json
    assert [path for path in document["paths"] if f" {path}`" not in page] == []
    assert [(kind, status) for kind, status in PROBLEM_TYPES.items() if f"| `{kind}` | {status} |" not in page] == []


async def test_the_authzen_example_of_the_page_is_answered(app: Service) -> None:
    """What is printed there can be sent."""
    page = (Path(__file__).parent.parent / "docs" / "service.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert (await ask(app, "/access/v1/evaluation", json.loads(example))).json["decision"] is True


async def test_info_says_what_is_loaded(app: Service) -> None:
    """Which policy answers can be asked."""
    info = (await ask(app, "/v1/info", method="GET")).json
    assert (info["policy"], info["engine"], info["recording"]) == ("policy@1", "wasm", True)
    assert (info["assets"], info["own_assets"]) == (0, 0)
    assert (info["mode"], info["policy_refused"], info["decision_log_dropped"]) == ("enforce", "", 0)


@pytest.mark.parametrize(
    ("body", "said"), [(b"{]", "JSON is malformed"), (b'{"subject": 3}', "expected `object | null`")]
)
async def test_what_the_decoder_says_keeps_its_capitals(app: Service, body: bytes, said: str) -> None:
    """`jSON` is no word."""
    answer = await ask(app, "/access/v1/evaluation", body)
    assert said in answer.json["detail"]


async def test_a_web_socket_is_closed(app: Service) -> None:
    """There is nothing for one here."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    await app({"type": "websocket", "path": "/v1/decide", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


def fail() -> None:
    """A trail that takes nothing."""
    raise TrailError("the disk is full")


class running:  # noqa: N801 - used like a function
    """The start-up and shutdown that a server drives."""

    def __init__(self, app: Service) -> None:
        self._app = app
        self._events: asyncio.Queue[str] = asyncio.Queue()
        self._answers: asyncio.Queue[str] = asyncio.Queue()

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._app({"type": "lifespan", "state": {}}, self._receive, self._send))
        await self._tell("lifespan.startup")

    async def __aexit__(self, *exc: object) -> None:
        await self._tell("lifespan.shutdown")
        await asyncio.wait_for(self._task, 10)

    async def _tell(self, event: str) -> None:
        await self._events.put(event)
        assert await asyncio.wait_for(self._answers.get(), 10) == f"{event}.complete"

    async def _receive(self) -> dict[str, str]:
        return {"type": await self._events.get()}

    async def _send(self, message: dict[str, Any]) -> None:
        await self._answers.put(message["type"])
