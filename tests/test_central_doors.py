"""Escalations of other guards over HTTP and in the console: the doors of one guard show and answer those of another."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from guardrail import Guard, Outcome
from guardrail.config import ServiceConfig
from guardrail.review._machine import subject_of
from guardrail.review._statements import shown_of
from guardrail.service import create_app
from tests.central_people import Town, case_of, votes_of
from tests.central_support import SELDOM_SECONDS, Fleet, fleet, quietly, stands, tables, until, wire
from tests.console_support import CLIENT, SECRET, Issuer, served
from tests.ports import free_port
from tests.postgres_support import Cluster, Wire
from tests.test_console import OIDC, through
from tests.test_console import field as field_of

__all__ = ["fleet", "tables", "wire"]

PEOPLE = "a-token-that-reviewers-hold"


@pytest.fixture
def town(fleet: Fleet) -> Town:
    """Guards to be, and people."""
    return Town(fleet)


def ask(guard: Guard, method: str, path: str, body: bytes = b"") -> httpx.Response:
    """What the service of a guard answers to a reviewer."""

    async def asked() -> httpx.Response:
        app: Any = create_app(guard, ServiceConfig(token="a-token-that-agents-hold", reviewer_token=PEOPLE))
        headers = {"authorization": f"Bearer {PEOPLE}", "content-type": "application/json"}
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://review", headers=headers) as http:
            return await http.request(method, path, content=body)

    return asyncio.run(asked())


def test_the_service_of_one_guard_shows_and_answers_what_another_one_asks(town: Town) -> None:
    """With what a vote has to say; the guard that asked records it, the other one has nothing of it."""
    with town.guard("a") as a, town.guard("b") as b:
        escalation = town.held(a)
        assert ask(b, "GET", "/v1/escalations").json()["escalations"] == []
        (listed,) = ask(b, "GET", "/v1/escalations?origin=*").json()["escalations"]
        assert (listed["id"], listed["origin"]) == (escalation, "guardrail.test/a")
        assert ask(b, "GET", "/v1/escalations?origin=guardrail.test/x").json()["escalations"] == []
        case = case_of(a, escalation)
        shown = ask(b, "GET", f"/v1/escalations/{escalation}").json()
        assert shown["subject"] == subject_of(case.held)
        assert shown["shown"] == shown_of(case.held, "guardrail.test/a")
        answer = ask(b, "POST", f"/v1/escalations/{escalation}/votes", town.vote(case, "a"))
        assert answer.status_code == 200, answer.text
        assert (answer.json()["left"], answer.json()["origin"]) == (False, "guardrail.test/a")
        assert town.asked(a).outcome is Outcome.ALLOW
        again = ask(b, "POST", "/v1/review", town.vote(case, "a"))
        assert (again.status_code, again.json()["code"]) == (409, "already_decided")
        assert votes_of(b) == []
        assert ask(b, "GET", "/v1/escalations/none").status_code == 404


def test_what_cannot_reach_the_guard_is_left_and_what_cannot_reach_the_centre_is_not_had(
    town: Town, wire: Wire
) -> None:
    """202 says that nobody has answered yet; without the centre nothing of others is shown or taken."""
    with town.guard("a", wire.url(town.fleet.store)) as a, town.guard("b") as b:
        escalation = town.held(a)
        vote = town.vote(case_of(a, escalation), "a")
        wire.cut()
        assert until(lambda: bool(stands(a).cut))
        answer = ask(b, "POST", "/v1/review", vote)
        assert (answer.status_code, answer.json()["left"], answer.json()["state"]) == (202, True, "pending")
        assert ask(a, "GET", "/v1/escalations?origin=*").status_code == 503
        assert ask(a, "GET", "/v1/escalations/none").status_code == 503
        assert ask(a, "GET", f"/v1/escalations/{escalation}").status_code == 200
        wire.mend()
        assert until(lambda: case_of(a, escalation).state == "approved")


def test_a_guard_that_has_nothing_in_common_shows_nothing_of_others(town: Town) -> None:
    """It says which setting that needs."""
    with town.guard("a") as a, town.fleet.guard("c") as c:
        escalation = town.held(a)
        answer = ask(c, "GET", "/v1/escalations?origin=*")
        assert answer.status_code == 400
        assert "central.escalations" in answer.json()["detail"]
        assert ask(c, "GET", f"/v1/escalations/{escalation}").status_code == 404


def test_the_console_says_which_guard_asks_and_its_answer_goes_there(postgres: Cluster, town: Town) -> None:
    """A person signs in once more for exactly this answer; the guard that asked verifies that itself."""
    issuer, root = Issuer(), town.fleet.root
    with served(issuer.app, free_port()) as url:
        issuer.url, port = url, free_port()
        (root / "jwks.json").write_text(json.dumps(issuer.jwks()))
        own = f"http://127.0.0.1:{port}"
        oidc = OIDC.format(issuer=url, client=CLIENT)
        pages = (
            f'{oidc}[console]\nurl = "{own}"\nauthorization = "{url}/authorize"\ntokens = "{url}/token"\n'
            f'client_secret = "{SECRET}"\nviewers = ["*"]\nadmins = ["dana@example.com"]\n'
            '[service]\ntoken = "agents-hold-this-token"\n'
        )
        with town.guard("a", more=oidc, poll=SELDOM_SECONDS) as a, town.guard("h", more=pages) as h:
            first, second = town.held(a), town.held(a, 1)
            with served(create_app(h), port), httpx.Client(base_url=own, timeout=60) as client:
                queue = through(client, client.get("/console"), "dana").text
                assert "Waiting at other guards" in queue
                assert "at <code>guardrail.test/a</code>" in queue
                assert "Recorded. The escalation is approved now." in _answer(client, own, first, "approve")
                assert town.asked(a).outcome is Outcome.ALLOW
                assert [vote["vote"]["voter"] for vote in votes_of(a)] == ["dana@example.com"]
                assert votes_of(h) == []
                assert b"id_token" not in _statements(town)
                quietly(
                    postgres, town.fleet.store,
                    "update guardrail.cases set note = replace(note::text, '22', '23')::bytea",
                )  # fmt: skip
                queue = client.get("/console").text
                assert f"{second} is not what the guard of guardrail.test/a has signed" in queue
                assert client.get(f"/console/escalations/{second}").status_code == 404


def _answer(client: httpx.Client, own: str, escalation: str, verdict: str) -> str:
    page = client.get(f"/console/escalations/{escalation}").text
    assert "Another guard asks, whose trail is <code>guardrail.test/a</code>" in page
    sent = {name: field_of(page, name) for name in ("csrf", "subject", "version", "shown")}
    sent |= {"verdict": verdict, "reason": "as planned"}
    answer = client.post(f"/console/escalations/{escalation}/vote", data=sent, headers={"origin": own})
    return through(client, answer, "dana").text


def _statements(town: Town) -> bytes:
    """Everything that lies at the centre of what people said."""
    import psycopg

    with psycopg.connect(town.fleet.store) as connection:
        rows = connection.execute("select coalesce(envelope, answer) from guardrail.statements").fetchall()
    return b"".join(bytes(row[0]) for row in rows)
