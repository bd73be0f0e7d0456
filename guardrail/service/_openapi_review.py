"""OpenAPI of the routes of review: the very records that are read and written, as schemas. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from guardrail.review._statements import AnyStatement
from guardrail.service import _review_models as models
from guardrail.service._openapi import JSON, problem

REVIEWERS: Final = "reviewers"
"""Name of the security scheme of those who review."""

TOKEN: Final = "token"  # noqa: S105 - the name of the scheme of agents, and no token
"""Name of the security scheme of agents and enforcement points."""

_MODELS: Final[dict[str, Any]] = {
    "case": models.CaseView,
    "page": models.Page,
    "redeemed": models.Redeemed,
    "completed": models.Completed,
    "signed": models.SignedStatement,
    "signed_in": models.SignedIn,
    "said": AnyStatement,
    "redeem": models.Redeem,
    "complete": models.Complete,
}


def parameter(name: str, place: str, kind: str, description: str, **bounds: Any) -> dict[str, Any]:
    """One parameter of an operation.

    Args:
        name: of the parameter.
        place: where it stands: `path`, `query` or `header`.
        kind: type of its schema.
        description: what it says.
        bounds: further members of its schema.
    """
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": {"type": kind, **bounds},
        "description": description,
    }


_ID: Final = parameter("id", "path", "string", "Id of the escalation or grant")
_KEY: Final = parameter("idempotency-key", "header", "string", "The same key and body are the same request")
_MATCH: Final = parameter("if-match", "header", "string", "Entity tag of what was read; another one is `stale`")
_LIST: Final = (
    parameter("state", "query", "string", "pending (default), approved, denied, expired, cancelled, superseded, all"),
    parameter("cursor", "query", "string", "`next` of the page before"),
    parameter("origin", "query", "string", "Those of another guard, by its trail, or of all others: `*`"),
)
_ONE: Final = (
    _ID,
    parameter("if-none-match", "header", "string", "Entity tag that is known: 304 while it is the same"),
    parameter("prefer", "header", "string", "`wait=N`: wait for a change, at most 60 seconds"),
)
_SINCE: Final = (parameter("last-event-id", "header", "string", "Go on after this event"),)
_SAID: Final = (_ID, _KEY, _MATCH)
_FAULTS: Final = {
    "400": "Malformed",
    "401": "The token is missing or wrong",
    "403": "Not signed, not entitled, or the agent's own people",
    "404": "There is no such escalation or grant",
    "409": "Decided, voted or used already",
    "410": "Expired",
    "412": "Changed since it was read",
    "413": "The body is too large",
    "415": "Not `application/json`",
    "422": "Wider than what was asked, or a key that was used for something else",
    "429": "Too many votes were given",
    "500": "The service failed",
    "503": "Nobody can say who asks, or the centre does not answer",
}


def with_review(document: dict[str, Any]) -> dict[str, Any]:
    """Add the routes of review to an OpenAPI document.

    Args:
        document: what is known so far.
    """
    found, schemas = msgspec.json.schema_components(list(_MODELS.values()), ref_template="#/components/schemas/{name}")
    refs = dict(zip(_MODELS, found, strict=True))
    # What is signed is base64 within the envelope: its own shape stands beside it.
    schemas["Statement"] = refs["said"]
    signed = {"oneOf": [refs["signed"], refs["signed_in"]]}

    def get(summary: str, gives: str, *parameters: dict[str, Any]) -> dict[str, Any]:
        return {"get": _operation(summary, refs[gives], parameters, REVIEWERS)}

    def say(summary: str, *parameters: dict[str, Any]) -> dict[str, Any]:
        return {"post": _operation(summary, refs["case"], parameters, REVIEWERS, signed)}

    def enforce(summary: str, takes: str, gives: str) -> dict[str, Any]:
        return {"post": _operation(summary, refs[gives], (_ID,), TOKEN, refs[takes])}

    paths = {
        "/v1/escalations": get("Escalations, a page at a time", "page", *_LIST),
        "/v1/escalations/{id}": get("One escalation, now or as soon as it changes", "case", *_ONE),
        "/v1/escalations/events": {"get": _events()},
        "/v1/escalations/{id}/votes": say("A signed vote", *_SAID),
        "/v1/escalations/{id}:cancel": say("A signed cancellation", *_SAID),
        "/v1/grants/{id}:revoke": say("A signed revocation", *_SAID),
        "/v1/review": say("Any signed statement, break-glass too", _KEY, _MATCH),
        "/v1/grants/{id}:redeem": enforce("Take a use of a grant", "redeem", "redeemed"),
        "/v1/grants/{id}:complete": enforce("Say what came of a use", "complete", "completed"),
    }
    parts = document.get("components", {})
    schemes = {**parts.get("securitySchemes", {}), REVIEWERS: {"type": "http", "scheme": "bearer"}}
    components = {**parts, "schemas": {**parts.get("schemas", {}), **schemas}, "securitySchemes": schemes}
    return {**document, "paths": {**document["paths"], **paths}, "components": components}


def _operation(
    summary: str,
    gives: dict[str, Any],
    parameters: tuple[dict[str, Any], ...],
    scheme: str,
    takes: dict[str, Any] | None = None,
) -> dict[str, Any]:
    faults = {status: problem(text) for status, text in _FAULTS.items()}
    operation: dict[str, Any] = {
        "tags": ["review"],
        "summary": summary,
        "security": [{scheme: []}],
        "parameters": list(parameters),
        "responses": {"200": {"description": summary, "content": {JSON: {"schema": gives}}}, **faults},
    }
    if takes is not None and scheme == REVIEWERS:
        left = "It waits at the centre for another guard"
        operation["responses"]["202"] = {"description": left, "content": {JSON: {"schema": gives}}}
    if takes is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": takes}}}
    return operation


def _events() -> dict[str, Any]:
    stream = _operation("Server-sent events, one for each change", {}, _SINCE, REVIEWERS)
    stream["responses"]["200"]["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    return stream
