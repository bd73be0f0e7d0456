"""Review over HTTP: who may, what a vote must be, and that asking twice, late or for something else changes nothing."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from guardrail import Guard, Outcome, ToolCall
from guardrail.config import ServiceConfig
from guardrail.config import parse as parse_config
from guardrail.errors import ConfigError
from guardrail.review import Case
from guardrail.review._statements import CancelStatement, GlassStatement, RevokeStatement, sign_statement
from guardrail.service import create_app
from guardrail.service._background import Background
from tests.mandate_support import Place
from tests.review_support import vote

AGENTS = "a-token-that-agents-hold"
PEOPLE = "a-token-that-reviewers-hold"
DELETE = {"grants": [{"effects": ["delete"], "assets": ["model:beta"], "approval": True}]}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place where deleting the model has to be approved."""
    place = Place(tmp_path, people=("dana", "eve", "op"), more='[[agent]]\nid = "ops-*"\noperator = "op"\n')
    place.order(by="eve", **DELETE)
    return place


@pytest.fixture
def guard(place: Place) -> Iterator[Guard]:
    """A guard of that place."""
    with place.guard() as guard:
        yield guard


@contextlib.asynccontextmanager
async def client(guard: Guard, token: str = PEOPLE) -> AsyncGenerator[httpx.AsyncClient]:
    """Somebody with a token."""
    app: Any = create_app(guard, ServiceConfig(token=AGENTS, reviewer_token=PEOPLE))
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://review", headers=headers) as http:
        yield http


def held(guard: Guard, place: Place, name: str = "beta") -> Case:
    """A call that waits."""
    decision = guard.check(place.bash(f"rm models/{name}.safetensors"))
    case = guard.desk.find(decision.escalation or "")
    assert case is not None
    return case


def check_problem(answer: httpx.Response, status: int, kind: str) -> None:
    """It is the RFC 9457 problem of that kind."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:guardrail:problem:{kind}"


PATHS = (
    ("GET", "/v1/escalations"), ("GET", "/v1/escalations/x"), ("GET", "/v1/escalations/events"), ("POST", "/v1/review"),
    ("POST", "/v1/escalations/x/votes"), ("POST", "/v1/escalations/x:cancel"), ("POST", "/v1/grants/x:revoke"),
)  # fmt: skip


async def test_the_token_of_agents_opens_none_of_it(guard: Guard) -> None:
    """Whoever may ask for decisions can neither read nor answer what people are asked; nor can whoever has none."""
    for token in (AGENTS, "", "x"):
        async with client(guard, token) as http:
            for method, path in PATHS:
                check_problem(await http.request(method, path, content=b"{}"), 401, "unauthorized")
    async with client(guard, PEOPLE) as http:
        check_problem(await http.post("/v1/decide", content=b"{}"), 401, "unauthorized")
        check_problem(await http.post("/v1/grants/x:redeem", content=b"{}"), 401, "unauthorized")


@pytest.mark.parametrize(
    ("settings", "why"),
    [({"reviewer_token": AGENTS}, "another than"), ({"reviewer_token": "short"}, "at least 16 characters")],
)
def test_a_token_that_keeps_nobody_apart_is_refused(guard: Guard, settings: dict[str, str], why: str) -> None:
    """Reviewers need one of their own."""
    with pytest.raises(ConfigError, match=why):
        create_app(guard, ServiceConfig(token=AGENTS, **settings))


async def test_without_a_reviewers_token_nobody_reviews_over_http(guard: Guard) -> None:
    """The routes are not there."""
    app: Any = create_app(guard, ServiceConfig(token=AGENTS))
    headers = {"authorization": f"Bearer {AGENTS}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x", headers=headers) as http:
        check_problem(await http.get("/v1/escalations"), 404, "not-found")


async def test_a_signed_vote_releases_the_call_once(guard: Guard, place: Place) -> None:
    """Listed, read with its tag, voted on with that tag, and then the agent's next attempt runs."""
    case = held(guard, place)
    async with client(guard) as http:
        (listed,) = (await http.get("/v1/escalations?state=pending")).json()["escalations"]
        shown = await http.get(f"/v1/escalations/{case.held.id}")
        assert (listed["id"], shown.json()["subject"]) == (case.held.id, case.held.binding)
        answer = await http.post(
            f"/v1/escalations/{case.held.id}/votes",
            content=vote(case, "dana", place.keys["dana"]),
            headers={"if-match": shown.headers["etag"], "idempotency-key": "k1"},
        )
        assert (answer.status_code, answer.json()["state"]) == (200, "approved")
        assert "envelope" not in json.dumps(answer.json())
        assert (await http.get("/v1/escalations")).json()["escalations"] == []
    outcomes = [guard.check(place.bash("rm models/beta.safetensors")).outcome for _ in range(2)]
    assert outcomes == [Outcome.ALLOW, Outcome.ESCALATE]


async def test_a_vote_that_comes_to_nothing_says_why(guard: Guard, place: Place) -> None:
    """403 for who may not, 404 for what is not there, 409 for what is over, 412 for what has changed."""
    case, dana = held(guard, place), place.keys["dana"]
    path = f"/v1/escalations/{case.held.id}/votes"
    async with client(guard) as http:
        check_problem(await http.post(path, content=vote(case, "op", place.keys["op"])), 403, "separation-of-duties")
        check_problem(await http.post(path, content=vote(case, "eve", dana)), 403, "not-signed")
        stale = vote(case, "dana", dana, subject="sha256:other")
        check_problem(await http.post(path, content=stale), 412, "stale")
        yes = vote(case, "dana", dana)
        check_problem(await http.post(path, content=yes, headers={"if-match": '"7"'}), 412, "stale")
        check_problem(await http.post("/v1/escalations/x/votes", content=yes), 400, "malformed")
        missing = vote(case, "dana", dana, escalation="x")
        check_problem(await http.post("/v1/escalations/x/votes", content=missing), 404, "not-found")
        assert guard.desk.find(case.held.id) == case
        assert (await http.post(path, content=vote(case, "dana", dana, "deny"))).json()["state"] == "denied"
        check_problem(await http.post(path, content=vote(case, "eve", place.keys["eve"])), 409, "already-decided")
        vars(guard.desk)["clock"] = lambda: time.time_ns() // 1000 + 25 * 3600 * 1_000_000
        late = held(guard, place, "beta-2")
        vars(guard.desk)["clock"] = lambda: time.time_ns() // 1000 + 50 * 3600 * 1_000_000
        expired = vote(late, "dana", dana, t_us=late.held.created_us)
        check_problem(await http.post(f"/v1/escalations/{late.held.id}/votes", content=expired), 410, "expired")


async def test_a_request_sent_twice_is_one_request(guard: Guard, place: Place) -> None:
    """The same signed bytes get the same answer, with a key and without; a key is for one body only."""
    case, key = held(guard, place), {"idempotency-key": "k1"}
    path, body = f"/v1/escalations/{case.held.id}/votes", vote(case, "dana", place.keys["dana"])
    async with client(guard) as http:
        answers = [(await http.post(path, content=body, headers=h)).json() for h in (key, key, {})]
        assert answers[0] == answers[1] == answers[2]
        other = vote(case, "eve", place.keys["eve"])
        check_problem(await http.post(path, content=other, headers=key), 422, "reused-key")
    assert guard.desk.find(case.held.id).version == 3  # type: ignore[union-attr]


@pytest.mark.parametrize("what", ["cancel", "vote", "glass"])
async def test_a_request_with_a_key_is_known_after_a_restart(place: Place, what: str) -> None:
    """The same answer, whatever it was that was asked for; and the key is for nothing else, at no other time."""
    now, dana = time.time_ns() // 1000, place.keys["dana"]
    with place.guard() as guard:
        case = held(guard, place)
    body = {
        "cancel": sign_statement(CancelStatement(voter="dana", t_us=now, escalation=case.held.id), dana),
        "vote": vote(case, "dana", dana, "deny"),
        "glass": sign_statement(
            GlassStatement(voter="dana", t_us=now, agent="a", ops=("exec",), assets=("m",), ticket="t", reason="r"),
            dana,
        ),
    }[what]
    seen: list[Any] = []
    for restart in range(3):
        with place.guard() as guard:
            if restart == 1:
                (place.root / "trail.review.snapshot").unlink()
            async with client(guard) as http:
                answer = await http.post("/v1/review", content=body, headers={"idempotency-key": "k"})
                seen.append((answer.status_code, answer.json()["id"], answer.json()["version"]))
                other = vote(case, "eve", place.keys["eve"])
                answer = await http.post("/v1/review", content=other, headers={"idempotency-key": "k"})
                check_problem(answer, 422, "reused-key")
                long = await http.post("/v1/review", content=other, headers={"idempotency-key": "k" * 256})
                check_problem(long, 400, "malformed")
    assert seen[0][0] == 200
    assert seen[0] == seen[1] == seen[2]


async def test_cancelling_and_revoking_take_a_signature_of_their_own(guard: Guard, place: Place) -> None:
    """A vote does not cancel, a cancellation does; a grant that was taken back cannot be redeemed."""
    one, two = held(guard, place), held(guard, place, "beta-2")
    now, dana = time.time_ns() // 1000, place.keys["dana"]
    async with client(guard) as http:
        path = f"/v1/escalations/{one.held.id}:cancel"
        check_problem(await http.post(path, content=vote(one, "dana", dana)), 400, "malformed")
        said = sign_statement(CancelStatement(voter="dana", t_us=now, escalation=one.held.id), dana)
        assert (await http.post(path, content=said)).json()["state"] == "cancelled"
        grant = guard.clerk.take(vote(two, "dana", dana)).grants[0].grant
        said = sign_statement(RevokeStatement(voter="eve", t_us=now, grant=grant.id), place.keys["eve"])
        (revoked,) = (await http.post(f"/v1/grants/{grant.id}:revoke", content=said)).json()["grants"]
        assert revoked["state"] == "revoked"
    async with client(guard, AGENTS) as http:
        use = {"digest": grant.digest, "binding": grant.binding}
        check_problem(await http.post(f"/v1/grants/{grant.id}:redeem", json=use), 409, "not-redeemable")


async def test_an_enforcement_point_redeems_once_and_says_what_came_of_it(guard: Guard, place: Place) -> None:
    """For whoever runs calls elsewhere: a use is had once, a swap voids the grant, and the first ending stands."""
    case = held(guard, place)
    grant = guard.clerk.take(vote(case, "dana", place.keys["dana"])).grants[0].grant
    use, path = {"digest": grant.digest, "binding": grant.binding}, f"/v1/grants/{grant.id}"
    async with client(guard, AGENTS) as http:
        check_problem(await http.post(f"{path}:redeem", json={"digest": 1}), 400, "malformed")
        answers = await asyncio.gather(*(http.post(f"{path}:redeem", json=use) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
        for result in ("failed", "completed"):
            assert (await http.post(f"{path}:complete", json={"use": 1, "result": result})).status_code == 200
        assert guard.desk.grant(grant.id)[1].uses[0].ending == "failed"  # type: ignore[index]
        other = held(guard, place, "beta-2")
        second = guard.clerk.take(vote(other, "dana", place.keys["dana"])).grants[0].grant
        swapped = {"digest": second.digest, "binding": "sha256:swapped"}
        check_problem(await http.post(f"/v1/grants/{second.id}:redeem", json=swapped), 412, "stale")
        assert guard.desk.valid(second, second.digest) is None


async def test_the_token_of_agents_says_nothing_of_a_use_that_a_guard_has_taken(guard: Guard, place: Place) -> None:
    """Called failed by somebody else, an approved call of a turn would run once more for the same approval."""
    call = place.bash("rm models/beta.safetensors")
    decision = guard.preview(call)
    case = guard.desk.find(decision.escalation or "")
    assert case is not None
    grant = guard.clerk.take(vote(case, "dana", place.keys["dana"])).grants[0].grant
    path, use = f"/v1/grants/{grant.id}", {"digest": grant.digest, "binding": grant.binding}

    async def tool(_: ToolCall) -> None:
        async with client(guard, AGENTS) as http:
            check_problem(await http.post(f"{path}:complete", json={"use": 1, "result": "failed"}), 409, KIND)

    async with client(guard, AGENTS) as http:
        check_problem(await http.post(f"{path}:redeem", json=use), 409, KIND)
    await guard.arun(call, tool, grant=grant)
    assert guard.desk.issue(case.held.id, call.digest) is None


KIND = "not-redeemable"


async def test_long_polling_ends_with_the_change(guard: Guard, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who knows the tag waits for the next one; who knows an old one is answered at once."""
    subscribed, real = asyncio.Event(), guard.desk.subscribe

    def subscribe(told: Any) -> Any:
        subscribed.set()
        return real(told)

    monkeypatch.setattr(guard.desk, "subscribe", subscribe)
    case = held(guard, place)
    path, tag = f"/v1/escalations/{case.held.id}", f'"{case.version}"'
    async with client(guard) as http:
        same = await http.get(path, headers={"if-none-match": tag})
        assert same.status_code == 304
        waiting = asyncio.create_task(http.get(path, headers={"if-none-match": tag, "prefer": "wait=30"}))
        await asyncio.wait_for(subscribed.wait(), 20)
        guard.clerk.take(vote(case, "dana", place.keys["dana"]))
        answer = await asyncio.wait_for(waiting, 20)
        assert (answer.status_code, answer.json()["state"]) == (200, "approved")
        assert guard.desk._told == []
        old = await http.get(path, headers={"if-none-match": '"0"', "prefer": "wait=30"})
        assert old.status_code == 200


async def test_pages_are_bounded_and_go_on_where_they_ended(
    guard: Guard, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every escalation once, in order; a state that there is not is refused."""
    monkeypatch.setattr("guardrail.service._review.PAGE", 2)
    wanted: list[str] = []
    for at in range(5):
        call = place.bash("rm models/beta.safetensors", session=str(at))
        wanted.append(guard.check(call).escalation or "")
    found: list[str] = []
    cursor = ""
    async with client(guard) as http:
        while True:
            page = (await http.get(f"/v1/escalations?cursor={cursor}")).json()
            found += [case["id"] for case in page["escalations"]]
            if page["next"] is None:
                break
            cursor = page["next"]
        check_problem(await http.get("/v1/escalations?state=odd"), 400, "malformed")
    assert found == wanted


async def test_events_follow_what_happens_and_go_on_after_a_break(guard: Guard, place: Place) -> None:
    """A vote is an event; whoever comes back with the last number gets what they missed."""
    case = held(guard, place)
    app: Any = create_app(guard, ServiceConfig(token=AGENTS, reviewer_token=PEOPLE))
    async with listen(app) as events:
        assert await anext(events) == {}
        guard.clerk.take(vote(case, "dana", place.keys["dana"]))
        seen = await anext(events)
        assert (seen["id"], seen["state"]) == (case.held.id, "approved")
    async with listen(app, last="0") as events:
        missed = await anext(events)
        assert missed["state"] == "approved"


@contextlib.asynccontextmanager
async def listen(app: Any, last: str = "") -> AsyncGenerator[AsyncIterator[dict[str, Any]]]:
    """Events as an ASGI server would pass them on: the data of the last one in each piece, or nothing."""
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    leave = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            await pieces.put(message["body"])

    headers = [(b"authorization", f"Bearer {PEOPLE}".encode()), *([(b"last-event-id", last.encode())] if last else [])]
    scope = {
        "type": "http", "method": "GET", "path": "/v1/escalations/events", "query_string": b"", "headers": headers,
    }  # fmt: skip
    running = asyncio.create_task(app(scope, receive, send))

    async def events() -> AsyncIterator[dict[str, Any]]:
        while True:
            piece = await asyncio.wait_for(pieces.get(), 20)
            data = [line[6:] for line in piece.decode().splitlines() if line.startswith("data: ")]
            yield json.loads(data[-1]) if data else {}

    try:
        yield events()
    finally:
        leave.set()
        await asyncio.wait_for(running, 20)


async def test_no_get_changes_anything(guard: Guard, place: Place) -> None:
    """Reading leaves no record, whatever is read."""
    case = held(guard, place)
    assert guard.trail is not None
    size = guard.trail.size
    async with client(guard) as http:
        for path in ("/v1/escalations", f"/v1/escalations/{case.held.id}", "/v1/escalations?state=all"):
            assert (await http.get(path)).status_code == 200
        for path in (f"/v1/escalations/{case.held.id}:cancel", f"/v1/escalations/{case.held.id}/votes"):
            check_problem(await http.get(path), 405, "method-not-allowed")
    assert guard.trail.size == size


async def test_the_service_takes_in_the_inbox_while_nobody_asks(
    guard: Guard, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vote that lies beside the trail counts without a call that is held."""
    from guardrail.audit import beside_trail
    from guardrail.review import Inbox

    monkeypatch.setattr("guardrail.service._background.LOOK_SECONDS", 0.01)
    case = held(guard, place)
    async with Background(guard.desk).running():
        Inbox(beside_trail(guard.config, "inbox")).put(vote(case, "dana", place.keys["dana"]))
        after = await asyncio.to_thread(guard.desk.wait, case.held.id, case.version, 20)
    assert after is not None
    assert after.state == "approved"


# ── a place of their own ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_where_people_have_a_listener_of_their_own_agents_find_none_of_review(guard: Guard, place: Place) -> None:
    """Not even with the reviewers' token; people find their routes there, and nothing that agents ask."""
    case, held_tokens = held(guard, place), {"token": AGENTS, "reviewer_token": PEOPLE}
    app = create_app(guard, ServiceConfig(**held_tokens, review_socket="s"))  # type: ignore[arg-type]
    assert app.people is not None
    headers = {"authorization": f"Bearer {PEOPLE}", "content-type": "application/json"}
    said = vote(case, "dana", place.keys["dana"])

    async def ask(asked: Any, method: str, path: str, token: str = PEOPLE) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=asked), base_url="http://r") as http:
            content = said if method == "POST" else None
            return await http.request(
                method, path, content=content, headers=headers | {"authorization": f"Bearer {token}"}
            )

    for method, path in PATHS:
        check_problem(await ask(app, method, path), 401, "unauthorized")
        check_problem(await ask(app, method, path, AGENTS), 404, "not-found")
    for path in ("/v1/decide", "/v1/info", "/v1/grants/x:redeem", "/v1/grants/x:complete", "/openapi.json"):
        check_problem(await ask(app.people, "POST", path), 404, "not-found")
    check_problem(await ask(app.people, "GET", "/v1/escalations", AGENTS), 401, "unauthorized")
    assert (await ask(app.people, "GET", "/livez")).status_code == 200
    assert (await ask(app.people, "GET", "/v1/escalations")).json()["escalations"][0]["id"] == case.held.id
    assert (await ask(app.people, "POST", f"/v1/escalations/{case.held.id}/votes")).json()["state"] == "approved"
    check_problem(await ask(app, "POST", "/v1/grants/x:redeem", AGENTS), 400, "malformed")


@pytest.mark.parametrize(
    ("service", "why"),
    [
        ('review_socket = "s"', "needs `service.reviewer_token`"),
        ('reviewer_token = "t"\nreview_socket = "s"\nreview_host = "::1"', "not both"),
        ('reviewer_token = "t"\nreview_socket = "s"\nsocket = "s"', "must be another than `service.socket`"),
        ('reviewer_token = "t"\nreview_host = "::1"\nreview_port = 70000', "at most 65535"),
    ],
)
def test_a_listener_for_people_that_cannot_be_meant_is_refused(service: str, why: str) -> None:
    """When the configuration is read."""
    with pytest.raises(ConfigError, match=why):
        parse_config(f"[service]\n{service}\n")


# ── the OpenAPI document ──────────────────────────────────────────────────────────────────────────────────────────────


def fits(document: dict[str, Any], path: str, method: str, status: str, value: Any) -> None:
    """What was answered is what the document says of that route."""
    content = document["paths"][path][method]["responses"][status]["content"]
    (schema,) = (kind["schema"] for kind in content.values())
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


async def test_the_openapi_document_describes_what_review_takes_and_gives(guard: Guard, place: Place) -> None:
    """Every route of the page, with schemas that real requests and answers fit, and only where people review."""
    case, other = held(guard, place), held(guard, place, "beta-2")
    async with client(guard, AGENTS) as http:
        document = (await http.get("/openapi.json")).json()
    page = (Path(__file__).parent.parent / "docs/review.md").read_text(encoding="utf-8")
    ours = [path for path in document["paths"] if path.startswith(("/v1/escalations", "/v1/grants", "/v1/review"))]
    assert len(ours) == 9
    assert [path for path in ours if f" {path}`" not in page and f" {path}?" not in page] == []
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    said = vote(case, "dana", place.keys["dana"])
    body = document["paths"]["/v1/review"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    check = Draft202012Validator({**body, "components": document["components"]})
    check.validate(json.loads(said))
    assert not check.is_valid({"verdict": "approve"})
    spoken = Draft202012Validator({"$ref": "#/components/schemas/Statement", "components": document["components"]})
    spoken.validate(json.loads(base64.b64decode(json.loads(said)["payload"])))
    assert not spoken.is_valid({"act": "vote"})
    async with client(guard) as http:
        answer = await http.post(f"/v1/escalations/{case.held.id}/votes", content=said)
        fits(document, "/v1/escalations/{id}/votes", "post", "200", answer.json())
        fits(document, "/v1/escalations", "get", "200", (await http.get("/v1/escalations?state=all")).json())
        fits(
            document, "/v1/escalations/{id}", "get", "200", (await http.get(f"/v1/escalations/{other.held.id}")).json()
        )
        fits(document, "/v1/escalations/{id}", "get", "404", (await http.get("/v1/escalations/x")).json())
        grant = answer.json()["grants"][0]["grant"]
    async with client(guard, AGENTS) as http:
        use = {"digest": grant["digest"], "binding": grant["binding"]}
        took = await http.post(f"/v1/grants/{grant['id']}:redeem", json=use)
        fits(document, "/v1/grants/{id}:redeem", "post", "200", took.json())
        done = await http.post(f"/v1/grants/{grant['id']}:complete", json={"use": 1, "result": "completed"})
        fits(document, "/v1/grants/{id}:complete", "post", "200", done.json())
    with pytest.raises(ValidationError):
        fits(document, "/v1/escalations/{id}", "get", "200", {"id": "x"})
    app: Any = create_app(guard, ServiceConfig(token=AGENTS))
    headers = {"authorization": f"Bearer {AGENTS}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://r", headers=headers) as http:
        assert not [path for path in (await http.get("/openapi.json")).json()["paths"] if "escalations" in path]
