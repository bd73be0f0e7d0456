"""The AuthZEN endpoints: an evaluation is a tool call, and only an allow is `true`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardrail.service._app import Service
from tests.test_service import Guard, app, ask, check_problem, evaluation, guard

__all__ = ["app", "guard"]


async def test_an_evaluation_is_a_tool_call(app: Service, guard: Guard) -> None:
    """Every member has its place in the ToolCall."""
    answer = await ask(app, "/access/v1/evaluation", evaluation())
    assert answer.status == 200
    assert answer.json["decision"] is True
    (call,) = guard.calls
    assert (call.tool, call.args, call.id, call.cwd, call.session) == ("bash", {"command": "ls"}, "c1", "/srv", "s1")
    assert (call.subject.id, call.subject.model) == ("ops-agent", "v/m")


@pytest.mark.parametrize(("tool", "outcome"), [("deny", "deny"), ("ask", "escalate")])
async def test_only_an_allow_is_true(app: Service, tool: str, outcome: str) -> None:
    """An escalation is `false` as well; the context says which of the two it is, and why."""
    answer = await ask(app, "/access/v1/evaluation", evaluation(tool))
    assert answer.status == 200
    assert answer.json["decision"] is False
    context = answer.json["context"]
    assert (context["outcome"], context["id"], context["call"]) == (outcome, "d1", "c1")
    assert [reason["rule"] for reason in context["reasons"]] == ["test.rule"]
    assert "test.rule" not in context["reason_user"]["en"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("subject", None),
        ("action", None),
        ("resource", None),
        ("subject", {"type": "user", "id": "dana"}),
        ("subject", {"type": "agent"}),
        ("subject", {"type": "agent", "id": "a", "properties": {"admin": True}}),
        ("resource", {"type": "file", "id": "/srv/models/beta"}),
        ("resource", {"type": "tool", "id": "another"}),
        ("resource", {"type": "tool", "id": "bash", "properties": {"sanctioned": True}}),
        ("action", {"name": "bash", "arguments": {}}),
        ("context", {"mandate": "m1"}),
        ("trust", "me"),
    ],
)
async def test_what_nobody_would_read_is_refused(app: Service, guard: Guard, member: str, value: Any) -> None:
    """A member that would not count must not look as if it did, a resource that is not the tool least of all."""
    check_problem(await ask(app, "/access/v1/evaluation", evaluation(**{member: value})), 400, "malformed")
    assert not guard.calls


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("/access/v1/evaluation", '"command": "ls"', '"command": "ls", "command": "rm"'),
        ("/access/v1/evaluation", '"type": "tool"', '"type": "tool", "type": "tool"'),
        ("/access/v1/evaluations", '"command": "ls"', '"command": "ls", "\\u0063ommand": "rm"'),
        ("/access/v1/evaluations", '"session": "s2"', '"session": "s2", "session": "s3"'),
    ],
)
async def test_a_name_that_stands_twice_is_refused(app: Service, guard: Guard, path: str, old: str, new: str) -> None:
    """Whoever carries the call out may read the other one; in an evaluation among others too."""
    more = {"evaluations": [{}, {"context": {"session": "s2"}}]} if path.endswith("s") else {}
    body = json.dumps(evaluation(**more))
    assert old in body
    check_problem(await ask(app, path, body.replace(old, new, 1).encode()), 400, "malformed")
    assert not guard.calls


@pytest.mark.parametrize("path", ["/access/v1/evaluation", "/access/v1/evaluations"])
async def test_an_evaluation_that_is_nested_too_deep_is_refused(app: Service, path: str) -> None:
    """Not a fault of the service."""
    body = json.dumps(evaluation(action={"name": "bash", "properties": {"x": "here"}}))
    deep = body.replace('"here"', "[" * 1_500 + "]" * 1_500).encode()
    check_problem(await ask(app, path, deep), 400, "malformed")


async def test_evaluations_inherit_what_they_do_not_say(app: Service, guard: Guard) -> None:
    """Members of the request are defaults; an evaluation replaces them whole."""
    body = evaluation(
        evaluations=[
            {},
            {"action": {"name": "deny"}, "resource": {"type": "tool", "id": "deny"}},
            {"context": {"session": "s2"}},
        ]
    )
    answer = await ask(app, "/access/v1/evaluations", body)
    assert [one["decision"] for one in answer.json["evaluations"]] == [True, False, True]
    assert [(call.tool, call.session, call.cwd) for call in guard.calls] == [
        ("bash", "s1", "/srv"),
        ("deny", "s1", "/srv"),
        ("bash", "s2", None),
    ]


@pytest.mark.parametrize(
    ("semantic", "wanted"),
    [
        ("execute_all", [True, False, True]),
        ("deny_on_first_deny", [True, False]),
        ("permit_on_first_permit", [True]),
    ],
)
async def test_evaluation_stops_where_the_semantic_says(app: Service, semantic: str, wanted: list[bool]) -> None:
    """Answers end with the one that decides."""
    tools = ["ls", "deny", "ls"]
    items = [{"action": {"name": tool}, "resource": {"type": "tool", "id": tool}} for tool in tools]
    body = evaluation(evaluations=items, options={"evaluations_semantic": semantic})
    answer = await ask(app, "/access/v1/evaluations", body)
    assert [one["decision"] for one in answer.json["evaluations"]] == wanted


async def test_a_malformed_evaluation_among_others_is_false(app: Service) -> None:
    """The others are still judged."""
    body = evaluation(evaluations=[{}, {"resource": {"type": "file", "id": "/x"}}, {}])
    answer = await ask(app, "/access/v1/evaluations", body)
    assert [one["decision"] for one in answer.json["evaluations"]] == [True, False, True]
    assert answer.json["evaluations"][1]["context"]["error"]["status"] == 400


@pytest.mark.parametrize("more", [{}, {"evaluations": []}])
async def test_without_evaluations_there_is_one_answer(app: Service, more: dict[str, Any]) -> None:
    """AuthZEN 1.0 section 7.1: then the request is a single evaluation."""
    answer = await ask(app, "/access/v1/evaluations", evaluation("deny", **more))
    assert answer.json["decision"] is False


@pytest.mark.parametrize(
    "more", [{"options": {"evaluations_semantic": "majority"}}, {"evaluations": [{}] * 65}, {"options": {"dry": 1}}]
)
async def test_evaluations_that_cannot_be_followed_are_refused(
    app: Service, guard: Guard, more: dict[str, Any]
) -> None:
    """An unknown semantic, an unknown option or too many items judge nothing."""
    body = evaluation(**{"evaluations": [{}], **more})
    check_problem(await ask(app, "/access/v1/evaluations", body), 400, "malformed")
    assert not guard.calls


async def test_the_metadata_names_the_endpoints(app: Service) -> None:
    """AuthZEN 1.0 section 9: a client finds the endpoints without being told, and without a token."""
    answer = await ask(
        app, "/.well-known/authzen-configuration", method="GET", headers={"authorization": "", "host": "pdp.example"}
    )
    assert answer.json == {
        "policy_decision_point": "http://pdp.example",
        "access_evaluation_endpoint": "http://pdp.example/access/v1/evaluation",
        "access_evaluations_endpoint": "http://pdp.example/access/v1/evaluations",
    }


@pytest.mark.parametrize(
    ("value", "wanted"), [("r-1", "r-1"), ("x" * 129, None), ("a\x01b", None)], ids=["plain", "long", "control"]
)
async def test_a_request_id_comes_back(app: Service, value: str, wanted: str | None) -> None:
    """AuthZEN 1.0 section 10.1.3, for ids that are harmless in a header."""
    answer = await ask(app, body={"tool": "ls"}, headers={"x-request-id": value})
    assert answer.headers.get("x-request-id") == wanted
