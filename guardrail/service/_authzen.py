"""OpenID AuthZEN Authorization API 1.0, read as tool calls. Pure.

    action.name                    ToolCall.tool
    action.properties              ToolCall.args
    subject.type                   must be `agent`
    subject.id                     ToolCall.subject.id
    subject.properties.model       ToolCall.subject.model
    subject.properties.principal   ToolCall.subject.principal
    resource.type                  must be `tool`
    resource.id                    must be the tool again, as in action.name
    context.session, .cwd, .id     ToolCall.session, .cwd, .id

What a call touches is worked out here and never taken from the request, so a resource that is not the tool itself is
refused: answering it would look like a decision about that resource.
Any other member is refused too: a fact that nobody reads must not look as if it counted.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from guardrail.canonical import check_names
from guardrail.errors import InvalidCall
from guardrail.model import Decision, Outcome, ToolCall

MAX_EVALUATIONS: Final = 64
"""Most evaluations in one request."""

Semantic = Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class _SubjectProperties(_Strict, frozen=True):
    model: str | None = None
    principal: str | None = None


class _Subject(_Strict, frozen=True):
    type: Literal["agent"]
    id: str
    properties: _SubjectProperties = _SubjectProperties()


class _Action(_Strict, frozen=True):
    name: str
    properties: dict[str, Any] = {}


class _NoProperties(_Strict, frozen=True):
    pass


class _Resource(_Strict, frozen=True):
    type: Literal["tool"]
    id: str
    properties: _NoProperties = _NoProperties()


class _Context(_Strict, frozen=True):
    session: str = "default"
    cwd: str | None = None
    id: str = ""


class _Evaluation(_Strict, frozen=True):
    subject: _Subject | None = None
    action: _Action | None = None
    resource: _Resource | None = None
    context: _Context | None = None


class _Options(_Strict, frozen=True):
    evaluations_semantic: Semantic = "execute_all"


class _Evaluations(_Evaluation, frozen=True):
    evaluations: list[msgspec.Raw] = []
    options: _Options = _Options()


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluations request.

    Args:
        calls: one for each evaluation, in order: the call, or what is wrong with it.
        semantic: when to stop.
        single: the request had no evaluations, so the answer is that of one evaluation (AuthZEN 1.0, 7.1).
    """

    calls: tuple[ToolCall | InvalidCall, ...]
    semantic: Semantic
    single: bool


_one = msgspec.json.Decoder(_Evaluation)
_many = msgspec.json.Decoder(_Evaluations)


def read_evaluation(body: bytes) -> ToolCall:
    """The call of an access evaluation request.

    Raises:
        InvalidCall: if it is not one, has a name twice, or names something that is not a tool call.
    """
    return _call(_decode(_one, _once(body)))


def read_evaluations(body: bytes) -> Batch:
    """The calls of an access evaluations request; members of the request are defaults for each evaluation.

    Raises:
        InvalidCall: if the request as a whole is malformed, has a name twice, or has too many evaluations.
    """
    request = _decode(_many, _once(body))
    if not request.evaluations:
        return Batch(calls=(_call(request),), semantic="execute_all", single=True)
    if len(request.evaluations) > MAX_EVALUATIONS:
        raise InvalidCall(f"at most {MAX_EVALUATIONS} evaluations may be asked at once, not {len(request.evaluations)}")
    calls = tuple(_item(request, raw) for raw in request.evaluations)
    return Batch(calls=calls, semantic=request.options.evaluations_semantic, single=False)


def evaluation(decision: Decision) -> dict[str, Any]:
    """The answer to one evaluation: only an allow is `true`."""
    facts = decision.to_dict()
    context = {**facts, "id": facts["decision_id"], "call": facts["id"], "reason_user": {"en": decision.neutral}}
    del context["decision_id"]
    return {"decision": decision.outcome is Outcome.ALLOW, "context": context}


def refusal(error: InvalidCall) -> dict[str, Any]:
    """The answer to one malformed evaluation among others."""
    return {
        "decision": False,
        "context": {"outcome": "deny", "reasons": [], "error": {"status": 400, "message": str(error)}},
    }


def last(semantic: Semantic, allowed: bool) -> bool:
    """Whether evaluation ends with this answer."""
    match semantic:
        case "execute_all":
            return False
        case "deny_on_first_deny":
            return not allowed
        case "permit_on_first_permit":
            return allowed


def _item(request: _Evaluations, raw: msgspec.Raw) -> ToolCall | InvalidCall:
    try:
        item = _decode(_one, bytes(raw))
        return _call(
            _Evaluation(
                subject=item.subject or request.subject,
                action=item.action or request.action,
                resource=item.resource or request.resource,
                context=item.context or request.context,
            )
        )
    except InvalidCall as error:
        return error


def _once(body: bytes) -> bytes:
    # Here and not at the ToolCall made of it, where of two `command`s only the last is left.
    try:
        check_names(body)
    except RecursionError:
        raise InvalidCall("not an evaluation request: it is nested too deep") from None
    return body


def _decode(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidCall(f"not an evaluation request: {_sentence(error)}") from None


def _sentence(error: Exception) -> str:
    # `JSON is malformed` keeps its capitals.
    text = str(error) or type(error).__name__
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _call(request: _Evaluation) -> ToolCall:
    subject, action, resource = request.subject, request.action, request.resource
    if subject is None or action is None or resource is None:
        missing = next(n for n in ("subject", "action", "resource") if getattr(request, n) is None)
        raise InvalidCall(f"not an evaluation request: `{missing}` is missing")
    if resource.id != action.name:
        raise InvalidCall("not an evaluation request: `resource.id` must be the tool, the same as `action.name`")
    context = request.context or _Context()
    return ToolCall.from_mapping(
        {
            "tool": action.name,
            "args": action.properties,
            "id": context.id,
            "cwd": context.cwd,
            "session": context.session,
            "subject": {
                "id": subject.id,
                "model": subject.properties.model,
                "principal": subject.properties.principal,
            },
        }
    )
