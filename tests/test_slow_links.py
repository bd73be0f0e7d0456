"""What is slow and not dead: an agent, an OPA server and a reviewer on links that delay what crosses them."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from guardrail import Guard, Outcome, ToolCall
from guardrail.client import Client
from guardrail.config import ServiceConfig
from guardrail.service import create_app
from tests.mandate_support import Place
from tests.policy_support import opa_server
from tests.ports import free_port
from tests.review_support import serving, vote
from tests.slow_support import SlowLink

AGENTS = "a-token-that-agents-hold"
PEOPLE = "a-token-that-reviewers-hold"
DELETE = {"grants": [{"effects": ["delete"], "assets": ["model:beta"], "approval": True}]}

DEADLINE = 5.0
"""How long an agent waits, and what a decision may take, in seconds."""

LATE = 100.0
"""What a slow link adds to each piece, in seconds: more than anybody waits."""

PATIENCE = 60.0
"""Longest wait for what has to come, in seconds."""

QUESTIONS = 10


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place where deleting the model has to be approved."""
    place = Place(tmp_path, people=("dana", "eve"))
    place.order(by="eve", **DELETE)
    return place


def asked(place: Place, command: str, name: str) -> dict[str, Any]:
    """A shell command as an agent sends it."""
    call = place.bash(command)
    return {"tool": call.tool, "args": call.args, "cwd": call.cwd, "id": name}


def test_an_agent_on_a_slow_link_has_a_no_in_time_and_no_others_answer(place: Place, tmp_path: Path) -> None:
    """The allow of before arrives while the next question waits, and is not taken for its answer."""
    with place.guard() as guard:
        app = create_app(guard, ServiceConfig(token=AGENTS))
        with (
            serving(app, tmp_path / "s"),
            SlowLink(str(tmp_path / "s"), str(tmp_path / "near")) as link,
            Client(str(tmp_path / "near"), token=AGENTS, timeout_seconds=DEADLINE) as agent,
        ):
            assert agent.decide(asked(place, "ls /", "quick"))["outcome"] == "allow"
            link.delay = LATE
            began = time.monotonic()
            late = agent.decide(asked(place, "ls /", "late"))
            assert time.monotonic() - began < LATE
            assert (late["outcome"], late["reasons"][0]["rule"]) == ("deny", "guardrail.fault")
            link.delay = 0.0
            theft = agent.decide(asked(place, "cp models/beta.safetensors /tmp/x", "theft"))
            assert (theft["id"], theft["outcome"]) == ("theft", "deny")
            assert theft["reasons"][0]["rule"] != "guardrail.fault"
            assert agent.decide(asked(place, "ls /", "again"))["outcome"] == "allow"


def test_a_slow_opa_server_is_a_denial_at_the_deadline_and_an_answer_later(tmp_path: Path) -> None:
    """The fault names no policy, the next call is judged by it, and the late answer is nobody's."""
    port = free_port()
    with opa_server(f"http://127.0.0.1:{port}"), SlowLink(port) as link:
        more = f'[policy]\nengine = "opa"\nurl = "http://127.0.0.1:{link.port}"\n'
        place = Place(tmp_path, people=("dana", "eve"), more=more)
        text = place.toml.read_text().replace("decision_ms = 60000", f"decision_ms = {DEADLINE * 1000:.0f}")
        place.toml.write_text(text)
        with place.guard() as guard:
            assert guard.check(place.bash("ls /")).outcome is Outcome.ALLOW
            link.delay = LATE
            began = time.monotonic()
            late = guard.check(place.bash("ls /"))
            assert time.monotonic() - began < LATE
            assert (late.outcome, late.reasons[0].rule) == (Outcome.DENY, "guardrail.fault")
            link.delay = 0.0
            theft = guard.check(place.bash("cp models/beta.safetensors /tmp/x"))
            assert (theft.outcome, theft.reasons[0].rule != "guardrail.fault") == (Outcome.DENY, True)
            assert guard.check(place.bash("ls /")).outcome is Outcome.ALLOW


def test_a_reviewer_on_a_slow_link_holds_nobody_up_and_their_word_counts_once(place: Place, tmp_path: Path) -> None:
    """Decisions go on while the vote is under way; it releases the call when it is there, and not before."""
    with place.guard() as guard:
        app = create_app(guard, ServiceConfig(token=AGENTS, reviewer_token=PEOPLE))
        with serving(app, tmp_path / "s"), SlowLink(str(tmp_path / "s"), str(tmp_path / "near")) as link:
            removal = place.bash("rm models/beta.safetensors")
            path, body = _vote(guard, place, removal)
            link.delay = LATE
            answers: list[httpx.Response] = []
            reviewer = threading.Thread(target=lambda: answers.append(_post(tmp_path / "near", path, body)))
            reviewer.start()
            with Client(str(tmp_path / "s"), token=AGENTS, timeout_seconds=PATIENCE) as agent:
                said = [agent.decide(asked(place, "ls /", str(number)))["outcome"] for number in range(QUESTIONS)]
            assert said == ["allow"] * QUESTIONS
            assert not answers, "the vote was to be slower than the decisions"
            link.hurry()
            reviewer.join(PATIENCE)
            assert (answers[0].status_code, answers[0].json()["state"]) == (200, "approved")
            assert _post(tmp_path / "near", path, body).json() == answers[0].json()
            assert [guard.check(removal).outcome for _ in range(2)] == [Outcome.ALLOW, Outcome.ESCALATE]


def _vote(guard: Guard, place: Place, call: ToolCall) -> tuple[str, bytes]:
    """Where somebody says yes to a call, and what they sign."""
    case = guard.desk.find(guard.check(call).escalation or "")
    assert case is not None
    return f"/v1/escalations/{case.held.id}/votes", vote(case, "dana", place.keys["dana"])


def _post(socket: Path, path: str, body: bytes) -> httpx.Response:
    headers = {"authorization": f"Bearer {PEOPLE}", "content-type": "application/json"}
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=PATIENCE) as http:
        return http.post(f"http://review{path}", content=body, headers=headers)
