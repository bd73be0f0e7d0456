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
    "401": "The token is missing or wrong",
    "408": "The body did not arrive in time",
    "413": "The body is too large",
    "415": "Not `application/json`",
    "500": "The service failed",
    "503": "Too many calls are being judged",
}


def describe(
    document: dict[str, Any], *, decide: str, evaluation: str, evaluations: str, execute: str, token: str
) -> dict[str, Any]:
    """Add the decision routes to an OpenAPI document.

    Args:
        document: what the framework knows.
        decide: path of our own route.
        evaluation: path of AuthZEN's access evaluation.
        evaluations: path of AuthZEN's access evaluations.
        execute: path of owned execution.
        token: path of decision tokens.
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
    signed = {**_EXECUTED, "required": ["decision"], "properties": {"decision": _DECISION, "token": {"type": "string"}}}
    paths[token] = _post("guardrail", "Judge one tool call, and sign for an allow", _CALL, signed)
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


def _post(tag: str, summary: str, takes: dict[str, Any], gives: dict[str, Any]) -> dict[str, Any]:
    faults = {
        status: {"description": text, "content": {"application/problem+json": {"schema": PROBLEM}}}
        for status, text in _FAULTS.items()
    }
    return {
        "post": {
            "tags": [tag],
            "summary": summary,
            "security": [{"token": []}],
            "requestBody": {"required": True, "content": {JSON: {"schema": takes}}},
            "responses": {"200": {"description": summary, "content": {JSON: {"schema": gives}}}, **faults},
        }
    }


def _merged(document: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {**document.get("components", {}), **more}
