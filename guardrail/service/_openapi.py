"""OpenAPI of the decision routes, which no framework sees. Pure."""

from __future__ import annotations

from typing import Any, Final

JSON: Final = "application/json"

_CALL: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["tool"],
    "additionalProperties": False,
    "properties": {
        "tool": {"type": "string"},
        "args": {"type": "object"},
        "id": {"type": "string"},
        "cwd": {"type": ["string", "null"]},
        "session": {"type": "string"},
        "subject": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "id": {"type": "string"},
                "model": {"type": ["string", "null"]},
                "principal": {"type": ["string", "null"]},
            },
        },
    },
}

_OUTCOME: Final[dict[str, Any]] = {"enum": ["allow", "escalate", "deny"]}

_REASON: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["rule", "outcome", "message"],
    "properties": {
        "rule": {"type": "string"},
        "outcome": _OUTCOME,
        "message": {"type": "string"},
        "asset": {"type": "string"},
    },
}

_DECISION: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["id", "decision_id", "outcome", "reasons", "effects"],
    "properties": {
        "id": {"type": "string"},
        "decision_id": {"type": "string"},
        "outcome": _OUTCOME,
        "reasons": {"type": "array", "items": _REASON},
        "effects": {"type": "array", "items": {"type": "object"}},
        "assets": {"type": "array", "items": {"type": "string"}},
        "digest": {"type": "string"},
        "policy": {"type": "string"},
        "engine": {"type": "string"},
        "escalation": {"type": "string"},
        "elapsed_us": {"type": "integer"},
    },
}

_EVALUATION: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "subject": {"type": "object", "required": ["type", "id"]},
        "action": {"type": "object", "required": ["name"]},
        "resource": {"type": "object", "required": ["type", "id"]},
        "context": {"type": "object"},
    },
}

_ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["decision"],
    "properties": {"decision": {"type": "boolean"}, "context": {"type": "object"}},
}

PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "outcome"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "outcome": {"const": "deny"},
    },
}

_FAULTS: Final = {
    "400": "Malformed; nothing was judged",
    "401": "It is not known who asks",
    "403": "They may not ask in that agent's name",
    "408": "The body did not arrive in time",
    "413": "The body is too large",
    "415": "Not `application/json`",
    "429": "This caller asks too often, or too much at one time",
    "500": "The service failed",
    "503": "Too many calls are being judged, or nobody can say who asks",
}

_CHECKS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["status", "checks"],
    "properties": {
        "status": {"const": "ok"},
        "checks": {"type": "object", "additionalProperties": {"type": "boolean"}},
        "central": {
            "type": "string",
            "description": "`in contact`, `cut since TIME`, `never reached`, `not up to date` or `trail refused`",
        },
    },
}


def problem(description: str) -> dict[str, Any]:
    """The answer that is a problem."""
    return {"description": description, "content": {"application/problem+json": {"schema": PROBLEM}}}


HEALTH: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "It is", "content": {JSON: {"schema": _CHECKS}}},
    503: problem("It is not; `checks` says what is missing"),
}
"""What the routes of health answer."""

READING: Final[dict[int | str, dict[str, Any]]] = {int(status): problem(_FAULTS[status]) for status in ("401", "503")}
"""What else a route that is read with the service's token answers."""

SECURITY: Final[dict[str, Any]] = {"security": [{"token": []}]}
"""What such a route needs."""


def describe(
    document: dict[str, Any],
    *,
    decide: str,
    evaluation: str,
    evaluations: str,
    execute: str,
    token: str,
    hooks: str,
    metrics: str,
) -> dict[str, Any]:
    """Add the decision routes to an OpenAPI document.

    Args:
        document: what the framework knows.
        decide: path of our own route.
        evaluation: path of AuthZEN's access evaluation.
        evaluations: path of AuthZEN's access evaluations.
        execute: path of owned execution.
        token: path of decision tokens.
        hooks: what the path of a harness's events begins with.
        metrics: path of what Prometheus reads.
    """
    many = {**_EVALUATION, "properties": {**_EVALUATION["properties"], **_MANY}}
    answers = {
        "type": "object",
        "properties": {"evaluations": {"type": "array", "items": _ANSWER}},
    }
    paths = {
        decide: _post("guardrail", "Judge one tool call; a denial is a 200", _CALL, _DECISION),
        evaluation: _post("authzen", "AuthZEN access evaluation", _EVALUATION, _ANSWER),
        evaluations: _post("authzen", "AuthZEN access evaluations", many, answers),
    }
    paths[execute] = _post("guardrail", "Judge a call and carry it out, where that is on", _EXECUTE, _EXECUTED)
    paths[execute]["post"]["responses"] |= {"404": problem("This service carries nothing out")}
    paths[execute]["post"]["responses"]["200"]["content"]["application/x-ndjson"] = {"schema": {"type": "string"}}
    signed = {**_EXECUTED, "required": ["decision"], "properties": {"decision": _DECISION, "token": {"type": "string"}}}
    paths[token] = _post("guardrail", "Judge one tool call, and sign for an allow", _CALL, signed)
    paths[hooks + "{harness}"] = _hook()
    paths[metrics] = _metrics()
    bearer = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
    return {**document, "paths": {**document.get("paths", {}), **paths}, "components": _merged(document, bearer)}


_EXECUTE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["call"],
    "additionalProperties": False,
    "properties": {"call": _CALL, "stream": {"type": "boolean"}},
}

_EXECUTED: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["decision", "ran"],
    "properties": {
        "decision": _DECISION,
        "ran": {"type": "boolean"},
        "ended": {"type": "object"},
        **{name: {"type": "string"} for name in ("stdout", "stdout_base64", "stderr", "stderr_base64")},
    },
}

_MANY: Final[dict[str, Any]] = {
    "evaluations": {"type": "array", "items": _EVALUATION},
    "options": {
        "type": "object",
        "properties": {
            "evaluations_semantic": {"enum": ["execute_all", "deny_on_first_deny", "permit_on_first_permit"]},
        },
    },
}


def _hook() -> dict[str, Any]:
    event = _post("guardrail", "Answer the event of a harness, in its own words", {"type": "object"}, {})
    harness = {"name": "harness", "in": "path", "required": True, "schema": {"type": "string"}}
    event["post"]["parameters"] = [harness]
    event["post"]["responses"] |= {"404": problem("No such harness is known")}
    return event


def _metrics() -> dict[str, Any]:
    kind = {"text/plain": {"schema": {"type": "string"}}}
    answers = {"200": {"description": "Counts, as Prometheus reads them", "content": kind}}
    answers |= {status: problem(_FAULTS[status]) for status in ("401", "500", "503")}
    return {"get": {"tags": ["health"], "summary": "Counts for Prometheus", **SECURITY, "responses": answers}}


def _post(tag: str, summary: str, takes: dict[str, Any], gives: dict[str, Any]) -> dict[str, Any]:
    faults = {status: problem(text) for status, text in _FAULTS.items()}
    return {
        "post": {
            "tags": [tag],
            "summary": summary,
            **SECURITY,
            "requestBody": {"required": True, "content": {JSON: {"schema": takes}}},
            "responses": {"200": {"description": summary, "content": {JSON: {"schema": gives}}}, **faults},
        }
    }


def _merged(document: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {**document.get("components", {}), **more}
