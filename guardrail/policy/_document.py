"""The document that policy decides on: who asks, under which orders, and one evaluation for each effect.

Its shape follows the OpenID AuthZEN Authorization API: subject, context, evaluations of action and resource.
Not concerned with whether a mandate or a grant is genuine: only verified ones are given to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypedDict

import msgspec
import orjson

from guardrail.enforcement import Enforcement
from guardrail.errors import EngineFault
from guardrail.model import Effect, Resource, ToolCall
from guardrail.printing import printable

MAX_DOCUMENT_BYTES: Final = 768 * 1024
"""Largest document, in bytes of JSON; a wasm instance needs up to 66 times as much memory for it."""

_INT64: Final = 2**63


_EVERY_RULE: Final[Mapping[str, str]] = {}

Facts = Callable[[str], Mapping[str, Any]]
"""From an asset's id to what rules may know of it: `id`, `class`, `model`, `owner`, `registered`, `zones`, `relation`.
"""

Zoning = Callable[[Resource], Sequence[str]]
"""From a place to the names of the zones it lies in."""

Hosting = Callable[[Resource], str | None]
"""From a place to the host it is on; None for this one."""

Stemming = Callable[[Effect], str | None]
"""From an effect to the real beginning of every name that it writes; None where that is not certain."""


class Told(TypedDict):
    """What `document` is told besides the call, its effects and a grant; its words are explained there."""

    facts: Facts
    mandates: Sequence[Any]
    history: Mapping[str, Any]
    now_us: int
    maturity: Mapping[str, str]
    due: Mapping[str, Sequence[str]]
    zones: Zoning | None
    host: Hosting | None
    stem: Stemming | None
    enforcement: Enforcement | None


def document(
    call: ToolCall,
    effects: Sequence[Effect],
    *,
    facts: Facts,
    mandates: Sequence[Any],
    history: Mapping[str, Any],
    grant: Any,
    now_us: int,
    maturity: Mapping[str, str] = _EVERY_RULE,
    due: Mapping[str, Sequence[str]] = {},
    zones: Zoning | None = None,
    host: Hosting | None = None,
    stem: Stemming | None = None,
    enforcement: Enforcement | None = None,
) -> bytes:
    """Put everything that rules may see into one JSON text.

    Args:
        call: what the agent sent; its arguments are not part of the document.
        effects: what it would do, with assets resolved.
        facts: what is known about an asset.
        mandates: the verified mandates in force for this subject and session, as they stand for this call.
        history: what the session and the agent did before, and what is owed.
        grant: the verified grant for exactly this call, or None.
        now_us: time of the decision, in microseconds since 1970.
        maturity: how far rules are rolled out here, by id; goes before what the bundle says.
        due: from a mandate's id to the assets that it wants deleted, and that are not known to be.
        zones: from a place to the names of the zones it lies in; None if there are no zones.
        host: from a place to the host it is on, if that is another; None if that is not asked for.
        stem: from an effect to the beginning of the names that it writes; None if that is not asked for.
        enforcement: what will hold the call, as whoever carries it out vouches for; None if it is only advised.

    Returns:
        UTF-8 JSON, at most `MAX_DOCUMENT_BYTES`.

    Raises:
        EngineFault: if it is larger, or holds something that JSON cannot carry.
    """
    known: dict[str, Mapping[str, Any]] = {}

    def asset(asset_id: str) -> Mapping[str, Any]:
        if asset_id not in known:
            known[asset_id] = facts(asset_id)
        return known[asset_id]

    value: dict[str, Any] = {
        "subject": {
            "type": "agent",
            "id": call.subject.id,
            "properties": {"model": call.subject.model, "principal": call.subject.principal},
        },
        "context": {
            "time_us": now_us,
            "session": call.session,
            "tool": call.tool,
            "history": history,
            "mandates": [_mandate(order, due) for order in mandates],
            "grant": None if grant is None else _grant(grant),
        },
        "evaluations": [_evaluation(effect, asset, zones, host, stem) for effect in effects],
    }
    if maturity:
        value["context"]["maturity"] = maturity
    if enforcement is not None:
        value["context"]["enforcement"] = msgspec.to_builtins(enforcement)
    text = _dump(value)
    if len(text) > MAX_DOCUMENT_BYTES:
        raise EngineFault(f"the document for policy has {len(text)} bytes, more than {MAX_DOCUMENT_BYTES}")
    return text


def require_object(document: bytes) -> None:
    """Refuse what is not a JSON object: OPA's module would take it for no input, and answer all the same.

    Raises:
        EngineFault: if it is not one.
    """
    if document.isascii() and _is_object(document):
        return
    try:
        value = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise EngineFault(f"the document for policy is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise EngineFault("the document for policy is not a JSON object")


class _Object(msgspec.Struct):
    """Any object: what is in it is only skipped."""


_skip: Final = msgspec.json.Decoder(_Object).decode


def _is_object(document: bytes) -> bool:
    """A quick look that is right about every object of plain text; the thorough one says what is wrong of others."""
    try:
        _skip(document)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _evaluation(
    effect: Effect, asset: Facts, zones: Zoning | None, host: Hosting | None, stem: Stemming | None
) -> dict[str, Any]:
    target = effect.target
    told = None if target is None else _resource(target, asset, zones, host)
    # Where names begin matters only to an order that lets an asset go there.
    if told is not None and stem is not None and effect.resource.asset is not None:
        begin = stem(effect)
        if begin is not None:
            told["properties"]["stem"] = begin
            if zones is not None and (within := zones(Resource(kind="file", path=begin))):
                told["properties"]["zones"] = within
    return {
        "action": {"name": effect.op},
        "resource": _resource(effect.resource, asset, zones, host),
        "properties": {
            "target": told,
            "precision": effect.precision,
            "modality": effect.modality,
            "attrs": effect.attrs,
            "flow": effect.flow,
        },
    }


def _resource(resource: Resource, asset: Facts, zones: Zoning | None, host: Hosting | None) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "asset": None if resource.asset is None else asset(resource.asset),
        "pattern": resource.pattern is not None,
        "recursive": resource.recursive,
    }
    # Most places are in no zone and on this host: what is not there need not be read by an engine either.
    if zones is not None and (within := zones(resource)):
        properties["zones"] = within
    if host is not None and (there := host(resource)) is not None:
        properties["host"] = there
    # The name with symbolic links resolved goes first: a mandate for `/backup/**` must not reach through a link.
    name = resource.real or resource.path or resource.uri or resource.pattern or resource.kind
    return {"type": resource.kind, "id": name, "properties": properties}


def _mandate(order: Any, due: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    return {
        "id": order.id,
        "issuer": order.issuer,
        "barred": order.barred,
        "due": due.get(order.id, ()),
        "grants": [
            {
                "effects": grant.effects,
                "assets": grant.assets,
                "targets": grant.targets,
                "approval": grant.approval,
                "left": left,
                "registered_from": grant.registered_from,
                "registered_until": grant.registered_until,
            }
            for grant, left in zip(order.grants, order.left, strict=True)
        ],
    }


def _grant(grant: Any) -> dict[str, Any]:
    return {
        "id": _get(grant, "id"),
        "approver": _get(grant, "approver"),
        "shown": [{"rule": rule, "asset": asset} for rule, asset in _get(grant, "shown")],
    }


def _get(value: Any, name: str) -> Any:
    return value[name] if isinstance(value, Mapping) else getattr(value, name)  # pyright: ignore[reportUnknownVariableType]


def _dump(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        pass  # a file name that is no UTF-8, an integer over 64 bits, or an odd key: rare, so only then look at all
    try:
        return orjson.dumps(_plain(value))
    except (TypeError, RecursionError) as error:
        raise EngineFault(f"the document for policy cannot be written as JSON: {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(k)): _plain(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, bool | float) or value is None:
        return value
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return value
    return printable(str(value))
