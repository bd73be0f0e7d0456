"""Orders, duties and the trail over HTTP, with a real guard: what people lay down counts, and what they read is so."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator

from guardrail import Guard, Outcome
from guardrail.cli import main
from guardrail.config import ServiceConfig
from guardrail.mandates import _laying
from guardrail.mandates._mandate import MAX_MANDATE_BYTES
from guardrail.mandates._revocation import MAX_REVOCATION_BYTES
from guardrail.model import Subject
from guardrail.service import _reading, create_app
from guardrail.service._records import MAX_RECORDS
from tests.mandate_support import Place

ROOT = Path(__file__).resolve().parent.parent
AGENTS = "a-token-that-agents-hold"
PEOPLE = "a-token-that-reviewers-hold"

LEAVE: dict[str, Any] = {"grants": [{"effects": ["delete"], "assets": ["model:beta"], "uses": 3}]}
DELETE: dict[str, Any] = {"obligations": [{"id": "gone", "effect": "delete", "asset": "model:beta"}]}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place with a model and people who sign."""
    return Place(tmp_path)


@pytest.fixture
def guard(place: Place) -> Iterator[Guard]:
    """A guard of that place."""
    with place.guard() as guard:
        yield guard


@contextlib.asynccontextmanager
async def client(guard: Guard, token: str = PEOPLE, **settings: Any) -> AsyncGenerator[httpx.AsyncClient]:
    """Somebody with a token."""
    app: Any = create_app(guard, ServiceConfig(token=AGENTS, reviewer_token=PEOPLE, **settings))
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://records", headers=headers) as http:
        yield http


def check_problem(answer: httpx.Response, status: int, kind: str) -> None:
    """It is the RFC 9457 problem of that kind."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:guardrail:problem:{kind}"


ROUTES = (
    ("GET", "/v1/mandates"), ("POST", "/v1/mandates"), ("GET", "/v1/obligations"), ("GET", "/v1/obligations/m1/gone"),
    ("POST", "/v1/obligations/m1/gone:verify"), ("GET", "/v1/audit/records"), ("GET", "/v1/audit/records/0"),
    ("GET", "/v1/audit/records/0/proof"), ("GET", "/v1/audit/checkpoint"),
)  # fmt: skip


async def test_agents_neither_read_nor_lay_down_what_people_do(guard: Guard, place: Place) -> None:
    """Their token, another one and none open nothing, and a genuine order that comes with them is not laid down."""
    for token in (AGENTS, "x", ""):
        async with client(guard, token) as http:
            for method, path in ROUTES:
                check_problem(await http.request(method, path, content=place.signed(**LEAVE)), 401, "unauthorized")
    assert not list(place.orders.iterdir())


async def test_where_people_have_a_listener_of_their_own_records_are_there_alone(guard: Guard, tmp_path: Path) -> None:
    """Where agents ask there is nothing of it, whoever's token comes; at the people's listener it is answered."""
    settings = ServiceConfig(token=AGENTS, reviewer_token=PEOPLE, review_socket=str(tmp_path / "people/s"))
    app: Any = create_app(guard, settings)
    for listener, token, status in ((app, PEOPLE, 401), (app, AGENTS, 404), (app.people, PEOPLE, 200)):
        transport = httpx.ASGITransport(app=listener)
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://records", headers=headers) as http:
            assert (await http.get("/v1/mandates")).status_code == status


async def test_a_mandate_that_is_posted_counts_for_the_next_call_until_its_revocation_is(
    guard: Guard, place: Place
) -> None:
    """The same call is asked about, allowed, and asked about again, with no restart; each file is there once."""
    call = place.bash("rm models/beta.safetensors")
    assert guard.check(call).outcome is not Outcome.ALLOW
    order = place.signed(**LEAVE)
    async with client(guard) as http:
        first = await http.post("/v1/mandates", content=order)
        assert (first.status_code, first.json()["stands"], first.json()["state"]) == (201, "holds", "counts")
        assert (place.orders / first.json()["file"]).read_bytes() == order
        assert guard.check(call).outcome is Outcome.ALLOW
        assert (await http.post("/v1/mandates", content=order)).status_code == 200

        (listed,) = (await http.get("/v1/mandates")).json()["mandates"]
        assert (listed["id"], listed["stands"], listed["left"]) == ("m1", "holds", [2])

        written = place.revocation(order=order)
        revocation = written.read_bytes()
        written.unlink()
        revoked = await http.post("/v1/mandates", content=revocation)
        assert (revoked.status_code, revoked.json()["stands"]) == (201, "revoked"), revoked.text
        assert guard.check(call).outcome is not Outcome.ALLOW
        (listed,) = (await http.get("/v1/mandates")).json()["mandates"]
        assert (listed["stands"], listed["ok"]) == ("revoked", False)
    assert sorted(path.suffixes[-2] for path in place.orders.iterdir()) == [".mandate", ".revocation"]


async def test_a_revocation_that_is_posted_holds_when_its_file_is_gone(guard: Guard, place: Place) -> None:
    """It is kept as soon as it is answered, and not only once somebody asks for a call."""
    order = place.signed(**LEAVE)
    written = place.revocation(order=order)
    revocation = written.read_bytes()
    written.unlink()
    async with client(guard) as http:
        answer = await http.post("/v1/mandates", content=revocation)
        assert (answer.status_code, answer.json()["stands"]) == (201, "revoked")
        (place.orders / answer.json()["file"]).unlink()
        assert (await http.post("/v1/mandates", content=order)).json()["stands"] == "revoked"


async def test_what_is_not_signed_as_it_has_to_be_is_not_laid_down(guard: Guard, place: Place) -> None:
    """Forged, of a stranger, about another's order, malformed, or too large: each says so, and no file appears."""
    order = json.loads(place.signed(**LEAVE))
    forged = {**order, "signatures": json.loads(place.signed(by="eve", **LEAVE))["signatures"]}
    stranger = Place(_made(place.root / "far"), people=("mallory",)).signed(by="mallory", **LEAVE)
    written = place.revocation(by="eve", order=json.dumps(order).encode())
    foreign = written.read_bytes()
    written.unlink()
    padding = b" " * (MAX_MANDATE_BYTES + 1)
    refused: tuple[tuple[bytes, int, str], ...] = (
        (json.dumps(forged).encode(), 403, "not-signed"),
        (stranger, 403, "not-signed"),
        (foreign, 403, "not-signed"),
        (b"{}", 400, "malformed"),
        (b"\xff", 400, "malformed"),
        (json.dumps({**order, "payload": "e30="}).encode(), 400, "malformed"),
        (json.dumps({**order, "payloadType": "application/json"}).encode(), 400, "malformed"),
        (json.dumps(order).encode() + padding, 413, "too-large"),
        (b" " * (MAX_REVOCATION_BYTES + 1), 413, "too-large"),
    )
    async with client(guard) as http:
        for body, status, kind in refused:
            check_problem(await http.post("/v1/mandates", content=body), status, kind)
        other = {"content-type": "text/plain"}
        check_problem(
            await http.post("/v1/mandates", content=place.signed(**LEAVE), headers=other), 415, "unsupported-media-type"
        )
    assert not list(place.orders.iterdir())


async def test_an_order_takes_no_place_that_another_has(
    guard: Guard, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a file of its name, nor an id that another has, nor the last place: what counted goes on counting."""
    place.order("m1", **LEAVE)
    (place.orders / "m2.mandate.json").write_bytes(place.signed("m3", **LEAVE))
    async with client(guard) as http:
        for name in ("m1", "m2", "m3"):
            answer = await http.post("/v1/mandates", content=place.signed(name, by="eve", **LEAVE))
            check_problem(answer, 409, "already-there")
        monkeypatch.setattr(_laying, "MAX_FILES", 2)
        check_problem(await http.post("/v1/mandates", content=place.signed("m4", **LEAVE)), 429, "too-many")
        listed = (await http.get("/v1/mandates")).json()["mandates"]
    assert {row["id"]: row["ok"] for row in listed} == {"m1": True, "m3": True}


async def test_without_a_directory_no_order_is_taken(tmp_path: Path) -> None:
    """The answer says which setting is missing; there is nothing to list either."""
    (tmp_path / "guardrail.toml").write_text(
        '[limits]\ndecision_ms = 60000\n[trail]\ntimeout_seconds = 60\ndirectory = "trail"\n'
    )
    (tmp_path / "place").mkdir()
    order = Place(tmp_path / "place").signed(**LEAVE)
    with Guard.open(tmp_path / "guardrail.toml") as guard:
        async with client(guard) as http:
            answer = await http.post("/v1/mandates", content=order)
            check_problem(answer, 404, "not-found")
            assert "`mandates.directory`" in answer.json()["detail"]
            assert (await http.get("/v1/mandates")).json() == {"mandates": []}


async def test_the_list_of_mandates_is_that_of_the_command_line(
    guard: Guard, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that hold, are over, are not yet, or are refused with the reason, row by row."""
    place.order("m1", **LEAVE)
    place.order("m2", not_after="2021-01-01T00:00:00Z", **LEAVE)
    place.order("m3", not_before="2119-01-01T00:00:00Z", **LEAVE)
    (place.orders / "m4.mandate.json").write_bytes(b"{}")
    (place.orders / "m5.json").write_bytes(b"{}")
    async with client(guard) as http:
        rows = (await http.get("/v1/mandates")).json()["mandates"]
    assert [row["stands"] for row in rows] == ["refused", "holds", "over", "not yet", "not read"]
    assert rows[0]["file"] == "m4.mandate.json"
    assert main(["mandates", "list", "--json", "--config", str(place.toml)]) == 1
    assert json.loads(capsys.readouterr().out) == rows


async def test_an_obligation_is_seen_and_looked_for_over_http(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Open while the files are there; once they are gone a look sees it, and the list and the command line say so."""
    place.toml.write_text(place.toml.read_text().replace('uris = ["server://a/beta.bin"]', ""))
    with place.guard() as guard:
        await _owed_and_gone(guard, place, capsys)


async def _owed_and_gone(guard: Guard, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything about one obligation, from the order to the look that sees the deletion."""
    async with client(guard) as http:
        assert (await http.post("/v1/mandates", content=place.signed(**DELETE))).status_code == 201
        unseen = (await http.get("/v1/obligations")).json()
        assert (unseen["obligations"], len(unseen["notes"])) == ([], 1)
        assert unseen["notes"][0].startswith("m1/gone: delete model:beta")
        guard.check(place.bash("ls models"))  # the order is taken up with the first call of its subject
        listed = (await http.get("/v1/obligations")).json()
        ((owed,), notes) = listed["obligations"], listed["notes"]
        assert not notes
        assert (owed["id"], owed["state"], owed["stage"]) == ("m1/gone", "open", "open")
        assert (await http.post("/v1/obligations/m1/gone:verify")).json()["stage"] == "open"
        shutil.rmtree(place.root / "models")
        looked = await http.post("/v1/obligations/m1%2Fgone:verify", content=b"{}")
        assert (looked.status_code, looked.json()["stage"]) == (200, "absent_1"), looked.text
        (owed,) = (await http.get("/v1/obligations?all=true")).json()["obligations"]
        assert owed == looked.json()
        shown = (await http.get("/v1/obligations/m1/gone")).json()
        main(["obligations", "show", "m1/gone", "--json", "--config", str(place.toml)])
        assert json.loads(capsys.readouterr().out) == shown
        for path in ("/v1/obligations/m1/other", "/v1/obligations/x", "/v1/obligations/m1/gone/x"):
            check_problem(await http.get(path), 404, "not-found")
        check_problem(await http.post("/v1/obligations/m1/other:verify"), 404, "not-found")
        check_problem(await http.get("/v1/obligations?all=maybe"), 400, "malformed")


async def test_only_one_obligation_is_looked_for_at_a_time(
    guard: Guard, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second look is told to come again while the first one goes on: looks take disks and threads."""
    place.order(**DELETE)
    guard.check(place.bash("ls models"))
    begun, go_on, settle = asyncio.Event(), threading.Event(), guard.settle
    loop = asyncio.get_running_loop()

    def slow(*, only: str = "") -> Any:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(60)
        return settle(only=only)

    monkeypatch.setattr(guard, "settle", slow)
    async with client(guard) as http:
        first = asyncio.create_task(http.post("/v1/obligations/m1/gone:verify"))
        await begun.wait()
        check_problem(await http.post("/v1/obligations/m1/gone:verify"), 503, "overloaded")
        go_on.set()
        assert (await first).status_code == 200


async def test_a_record_is_found_and_its_proof_holds_for_whoever_has_the_key(guard: Guard, place: Place) -> None:
    """Found by agent, rule, asset and call as the trail has it; the script that shares no code with us proves it."""
    call = msgspec.structs.replace(place.bash("rm models/beta.safetensors"), id="call-1")
    decision = guard.check(call)
    async with client(guard) as http:
        for query in ("agent=ops-agent", "asset=model:beta", f"rule={decision.reasons[0].rule}", f"call={call.id}"):
            found = (await http.get(f"/v1/audit/records?{query}&kind=decision")).json()["records"]
            assert [record["decision_id"] for record in found] == [decision.decision_id], query
        seq = found[0]["seq"]
        assert (await http.get(f"/v1/audit/records/{seq}")).json() == found[0]
        assert not (await http.get("/v1/audit/records?agent=nobody")).json()["records"]
        proof = (await http.get(f"/v1/audit/records/{seq}/proof")).text
        checkpoint = (await http.get("/v1/audit/checkpoint")).text
    assert guard.trail is not None
    assert checkpoint.splitlines()[1] == str(guard.trail.size)
    assert proof.endswith(checkpoint)
    (place.root / "proof").write_text(proof)
    done = _verify(place.root / "proof", place.root / "trail/trail.vkey")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.partition("\n")[2])["decision_id"] == decision.decision_id
    (place.root / "proof").write_text(proof.replace(f"\nindex {seq}\n", f"\nindex {seq + 1}\n"))
    assert _verify(place.root / "proof", place.root / "trail/trail.vkey").returncode == 1


async def test_pages_of_records_are_the_whole_trail_in_its_order(
    guard: Guard, place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page nothing is passed over or said twice, filtered or not, also where a page looks at few records."""
    for number in range(6):
        guard.run(place.bash(f"echo {number}"), lambda _: None)
        guard.check(place.bash("ls", subject=Subject(id="another")))
    assert guard.trail is not None
    guard.trail.checkpoint()
    async with client(guard) as http:
        for window, indexed in ((_reading.WINDOW, False), (3, False), (3, True)):
            monkeypatch.setattr(_reading, "WINDOW", window)
            if indexed:
                assert main(["audit", "index", str(place.root / "trail")]) == 0
                capsys.readouterr()
            for query, words in QUESTIONS:
                assert main(["audit", "show", "--json", *words, str(place.root / "trail")]) == 0
                shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
                assert await _pages(http, query) == shown
                assert len(shown) >= 6


QUESTIONS: tuple[tuple[str, list[str]], ...] = (
    ("", []),
    ("agent=ops-agent&", ["--agent", "ops-agent"]),
    ("kind=result&", ["--kind", "result"]),
)
"""Queries, and the options of `audit show` that mean the same."""


async def _pages(http: httpx.AsyncClient, query: str) -> list[dict[str, Any]]:
    """All records that a query finds, two at a time."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = (await http.get(f"/v1/audit/records?{query}limit=2{after}")).json()
        assert len(page["records"]) <= 2
        found += page["records"]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("records?after=-1", 400), ("records?after=x", 400), ("records?after=", 400), ("records?after=%D9%A1", 400),
        ("records?after=9999999999999999", 400), ("records?limit=0", 400), (f"records?limit={MAX_RECORDS + 1}", 400),
        ("records?kind=secret", 400), ("records?agnet=x", 400), ("records?agent=a&agent=b", 400),
        ("records/x", 400), ("records/-1", 400), ("records/9999999999999999", 400), ("records/999999", 404),
        ("records/999999/proof", 404), ("records/x/proof", 400), ("records/0/other", 404), ("checkpoint?size=1", 400),
    ],
)  # fmt: skip
async def test_odd_numbers_and_questions_are_refused(guard: Guard, query: str, status: int) -> None:
    """What means nothing is said to mean nothing: it is no wider question, and no fault."""
    async with client(guard) as http:
        token = {"authorization": f"Bearer {AGENTS}"} if query.endswith("/other") else {}
        check_problem(
            await http.get(f"/v1/audit/{query}", headers=token), status, "malformed" if status == 400 else "not-found"
        )


async def test_what_the_trail_keeps_apart_is_not_shown(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a call whose words are disclosed beside the trail a record holds digests, over HTTP too."""
    text = place.toml.read_text()
    place.toml.write_text(text.replace('directory = "trail"', 'directory = "trail"\ndisclose = ["args"]'))
    with place.guard() as guard:
        guard.check(place.bash("echo a-word-that-only-this-call-has"))
        assert guard.trail is not None
        guard.trail.checkpoint()
        async with client(guard) as http:
            answer = (await http.get("/v1/audit/records")).text
        assert "a-word-that-only-this-call-has" not in answer
        assert main(["audit", "show", "--json", "--open", str(place.root / "trail")]) == 0
    assert "a-word-that-only-this-call-has" in capsys.readouterr().out


async def test_the_document_describes_what_these_routes_give(guard: Guard, place: Place) -> None:
    """Real answers fit their schemas."""
    place.order("m1", **LEAVE)
    place.order("m2", **DELETE)
    (place.orders / "m4.mandate.json").write_bytes(b"{}")
    guard.check(place.bash("rm models/beta.safetensors"))
    app: Any = create_app(guard, ServiceConfig(token=AGENTS, reviewer_token=PEOPLE))
    document = app.api.openapi()
    async with client(guard) as http:
        for path in ("/v1/mandates", "/v1/obligations", "/v1/audit/records"):
            content = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            schema = {**content, "components": document["components"]}
            answer = (await http.get(path)).json()
            assert next(iter(answer.values()))
            check: Any = Draft202012Validator(schema)
            check.validate(answer)


def _verify(proof: Path, key: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "scripts/verify_proof.py", str(proof), "--key", str(key)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def _made(path: Path) -> Path:
    path.mkdir()
    return path
