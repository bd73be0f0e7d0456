"""OpenAPI of the routes of orders, duties and the trail: the very records that are given, as schemas. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from guardrail.names import RECORD_KINDS
from guardrail.obligations import ObligationStatus
from guardrail.service import _records_models as models
from guardrail.service._openapi import JSON, problem
from guardrail.service._openapi_review import REVIEWERS, parameter
from guardrail.service._records import MAX_DIGITS, MAX_RECORDS
from guardrail.service._review_models import SignedStatement

_MODELS: Final[dict[str, Any]] = {
    "mandates": models.MandateList,
    "laid": models.LaidDown,
    "obligations": models.ObligationList,
    "status": ObligationStatus,
    "records": models.Records,
    "signed": SignedStatement,
}

_OBJECT: Final[dict[str, Any]] = {"type": "object"}
_DUTY: Final = (parameter("id", "path", "string", "`mandate/obligation`, with the slash or as `%2F`"),)
_SEQ: Final = (parameter("seq", "path", "integer", "Number of the record", minimum=0, maximum=10**MAX_DIGITS - 1),)
_ALL: Final = (parameter("all", "query", "boolean", "Also what was discharged or withdrawn"),)
_SELECT: Final = (
    parameter("after", "query", "integer", "`next` of the page before", minimum=0, maximum=10**MAX_DIGITS - 1),
    parameter("limit", "query", "integer", "Most records", minimum=1, maximum=MAX_RECORDS),
    parameter("kind", "query", "string", "Only of this kind", enum=list(RECORD_KINDS)),
    parameter("agent", "query", "string", "Only of this agent"),
    parameter("asset", "query", "string", "Only about this asset"),
    parameter("rule", "query", "string", "Only where this rule fired"),
    parameter("call", "query", "string", "Only of the call that the caller named so"),
)
_FAULTS: Final = {
    "400": "Malformed",
    "401": "The token is missing or wrong",
    "404": "There is no such thing here",
    "500": "The service failed",
}
_TAKING: Final = {
    "403": "Not signed by whom it names, or they may not say it",
    "408": "The body did not arrive in time",
    "409": "There is another one of that name",
    "413": "It is too large",
    "415": "Not `application/json`",
    "429": "The directory of mandates is full",
}
_LOOKING: Final = {
    "408": "The body did not arrive in time",
    "413": "The body is too large",
    "503": "Another one is being looked for",
}


def with_records(document: dict[str, Any]) -> dict[str, Any]:
    """Add the routes of orders, duties and the trail to an OpenAPI document.

    Args:
        document: what is known so far, with the scheme of those who review.
    """
    found, schemas = msgspec.json.schema_components(list(_MODELS.values()), ref_template="#/components/schemas/{name}")
    refs = dict(zip(_MODELS, found, strict=True))
    note = {"text/plain": {"schema": {"type": "string"}}}
    mandates = _get("Every mandate with how it stands, and the files that are refused", _json(refs["mandates"]))
    verify = _operation("Look for it now, and say how it stands", _json(refs["status"]), _DUTY, _LOOKING)
    paths = {
        "/v1/mandates": {**mandates, "post": _taking(refs["signed"], refs["laid"])},
        "/v1/obligations": _get("What is owed, and how it stands", _json(refs["obligations"]), *_ALL),
        "/v1/obligations/{id}": _get("Everything that is known of one obligation", _json(_OBJECT), *_DUTY),
        "/v1/obligations/{id}:verify": {"post": verify},
        "/v1/audit/records": _get("Records of the trail, a page at a time", _json(refs["records"]), *_SELECT),
        "/v1/audit/records/{seq}": _get("One record", _json(_OBJECT), *_SEQ),
        "/v1/audit/records/{seq}/proof": _get("The proof of one record, a C2SP tlog-proof", note, *_SEQ),
        "/v1/audit/checkpoint": _get("The newest signed checkpoint, a C2SP note", note),
    }
    parts = document["components"]
    components = {**parts, "schemas": {**parts.get("schemas", {}), **schemas}}
    return {**document, "paths": {**document["paths"], **paths}, "components": components}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {JSON: {"schema": schema}}


def _get(summary: str, content: dict[str, Any], *parameters: dict[str, Any]) -> dict[str, Any]:
    return {"get": _operation(summary, content, parameters)}


def _taking(takes: dict[str, Any], gives: dict[str, Any]) -> dict[str, Any]:
    summary = "A signed mandate or revocation; these bytes lie there already"
    operation = _operation(summary, _json(gives), (), _TAKING)
    operation["responses"]["201"] = {"description": "It lies there now", "content": _json(gives)}
    operation["requestBody"] = {"required": True, "content": _json(takes)}
    return operation


def _operation(
    summary: str,
    content: dict[str, Any],
    parameters: tuple[dict[str, Any], ...],
    more: dict[str, str] | None = None,
) -> dict[str, Any]:
    faults = {status: problem(text) for status, text in {**_FAULTS, **(more or {})}.items()}
    return {
        "tags": ["records"],
        "summary": summary,
        "security": [{REVIEWERS: []}],
        "parameters": list(parameters),
        "responses": {"200": {"description": summary, "content": content}, **faults},
    }
