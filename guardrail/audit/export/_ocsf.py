"""From one record to its OCSF events. Pure.

A decision becomes one event for each effect it lists, in the class of what the effect does; without effects, one API
Activity. A denial that touches an asset is a Detection Finding too, a duty a Compliance Finding, a deletion that was
seen through a File Remediation Activity too; reviews and orders are Entity Management, all else a Base Event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from guardrail.audit.export import _ocsf_base as base
from guardrail.audit.export._ocsf_base import Event
from guardrail.audit.reading import fields
from guardrail.audit.reading._search import Hit
from guardrail.audit.reading.fields import table, text
from guardrail.printing import printable

FILE_OPS: Final = {
    "read": 2, "list": 2, "create": 1, "write": 3, "append": 3, "truncate": 3, "delete": 4, "rename": 5, "copy": 1,
    "link": 1, "set_times": 6, "set_security": 7, "mount": 12, "set_key": 3, "record_score": 3, "mention": 14,
}  # fmt: skip
"""What an effect on a file is in File System Activity."""

API_OPS: Final = {
    "read": 2, "list": 2, "create": 1, "write": 3, "append": 3, "truncate": 3, "delete": 4, "rename": 3, "copy": 1,
    "set_key": 3, "set_security": 3, "record_score": 3, "api_delete": 4, "api_copy": 1, "api_visibility": 3,
    "service": 3, "schedule": 1,
}  # fmt: skip
"""What an effect on anything else that has an address is in API Activity."""

PROCESS_OPS: Final = {"exec": 1, "exec_opaque": 1, "remote_exec": 1, "signal": 99, "env": 99}
"""What an effect that runs or signals something is in Process Activity."""

NETWORK_OPS: Final = frozenset({"net_send", "net_recv"})
TRAFFIC: Final = 6

DONE: Final = frozenset({"met", "discharged"})
BROKEN: Final = frozenset({"unmet", "violated", "breached", "omitted", "refused", "false_claim", "reappeared"})
CLOSED: Final = DONE | {"withdrawn", "cancelled", "expired"}


def events(hit: Hit) -> Iterator[Event]:
    """Every event of one record."""
    yield from _OF.get(fields.kind_of(hit[1]), _anything)(hit)


# ── decisions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _decision(hit: Hit) -> Iterator[Event]:
    record, part = hit[1], 0
    for part, effect in enumerate(fields.effects_of(record)):
        yield _effect(hit, effect, part)
    if not fields.effects_of(record):
        yield _call(hit, fields.tool_of(record) or fields.UNKNOWN)
    if fields.outcome_of(record) == "deny" and fields.assets_of(record):
        yield _finding(hit, part + 1)


def _effect(hit: Hit, effect: Event, part: int) -> Event:
    op = text(effect.get("op")) or fields.UNKNOWN
    address = printable(text(effect.get("resource"))) or fields.UNKNOWN
    target = printable(text(effect.get("target")))
    if op in PROCESS_OPS:
        out = _process(hit, op, address, part)
    elif op in NETWORK_OPS:
        out = base.event(hit, base.NETWORK, TRAFFIC, part=part)
        out["dst_endpoint"] = {"name": target or address}
        out |= {"actor": base.actor(hit[1]), "device": base.device(hit[1])}
        base.profile(out, "host")
    elif op in FILE_OPS and address.startswith("/"):
        out = _file(hit, op, address, target, part)
    else:
        return _call(hit, op, address, target, part)
    base.decided(out, hit[1])
    out["message"] = _sentence(op, address, target)
    return out


def _sentence(op: str, address: str, target: str) -> str:
    return f"{op} {address}{f' to {target}' if target else ''}"


def _file(hit: Hit, op: str, address: str, target: str, part: int) -> Event:
    out = base.event(hit, base.FILE, FILE_OPS[op], part=part, name=op)
    out["file"] = _named_file(address)
    if target:
        out["file_result"] = _named_file(target)
    return out | {"actor": base.actor(hit[1]), "device": base.device(hit[1])}


def _named_file(address: str) -> Event:
    # Whether it is a regular file is not recorded; a trailing slash says directory.
    folder = address.endswith("/")
    name = address.rstrip("/").rpartition("/")[2] or "/"
    return {"name": name, "path": address, "type_id": 2 if folder else 0}


def _process(hit: Hit, op: str, address: str, part: int) -> Event:
    out = base.event(hit, base.PROCESS, PROCESS_OPS[op], part=part, name=op)
    out["process"] = {"name": address, "uid": out["metadata"]["uid"]}
    out |= {"actor": base.actor(hit[1]), "device": base.device(hit[1])}
    _with_model(out, hit)
    return out


def _with_model(out: Event, hit: Hit) -> None:
    if (model := base.model(hit[1])) is not None:
        base.profile(out, "ai_operation")
        out["ai_model"] = model


def _call(hit: Hit, op: str, address: str = "", target: str = "", part: int = 0) -> Event:
    record = hit[1]
    out = base.event(hit, base.API, API_OPS.get(op, base.OTHER), part=part, name=op)
    out["api"] = {"operation": printable(op), "service": {"name": printable(fields.tool_of(record)) or fields.UNKNOWN}}
    if call := fields.call_of(record):
        out["api"]["request"] = {"uid": printable(call)}
    out["actor"] = base.actor(record)
    out["src_endpoint"] = {"instance_uid": base.device(record)["instance_uid"]}
    _with_model(out, hit)
    base.decided(out, record)
    out["message"] = _sentence(op, address, target) if address else op
    return out


def _finding(hit: Hit, part: int) -> Event:
    record = hit[1]
    rules, assets = fields.rules_of(record), fields.assets_of(record)
    out = base.event(hit, base.DETECTION, 1, part=part)
    base.decided(out, record)
    title = f"{rules[0] if rules else 'a rule'} on {', '.join(assets)}"
    out["finding_info"] = {
        "uid": printable(fields.decision_id_of(record)) or out["metadata"]["uid"],
        "title": printable(title),
    }
    out["status_id"], out["message"] = 1, printable(title)
    return out


def _result(hit: Hit) -> Iterator[Event]:
    record = hit[1]
    result = text(record.get("result")) or fields.UNKNOWN
    out = base.event(hit, base.API, base.OTHER, name="result")
    api: Event = {"operation": "result"}
    if call := fields.call_of(record):
        api["request"] = {"uid": printable(call)}
    if error := text(record.get("error")):
        api["response"] = {"error": printable(error)}
    out["api"] = api
    out["actor"] = base.actor(record)
    out["src_endpoint"] = {"instance_uid": base.device(record)["instance_uid"]}
    out["status_id"] = {"completed": base.SUCCESS, "failed": base.FAILURE}.get(
        result, base.OTHER if result != "unknown" else 0
    )
    out["status"] = printable(result)
    out["unmapped"] = {"guardrail.intents": fields.intents_of(record)}
    yield out


# ── what people want, and what is owed ────────────────────────────────────────────────────────────────────────────────


def _obligation(hit: Hit) -> Iterator[Event]:
    record = hit[1]
    own = fields.body(record)
    state = text(own.get("state")) or text(record.get("state")) or fields.UNKNOWN
    uid = printable(text(own.get("id")) if own is not record else text(record.get("obligation"))) or fields.UNKNOWN
    what = printable(f"{text(own.get('effect')) or 'duty'} {text(own.get('asset'))}".strip())
    activity = 1 if state == "open" else 3 if state in CLOSED else 2
    broken = state in BROKEN or bool(fields.violations_of(record))
    out = base.event(hit, base.COMPLIANCE, activity, severity=base.HIGH if broken else base.INFORMATIONAL)
    out["finding_info"] = {"uid": uid, "title": what}
    out["compliance"] = {
        "control": what,
        "standards": ["order of a person"],
        "status_id": 3 if broken else 1 if state in DONE else 2,
        "status": printable(state),
    }
    out["message"] = f"{what}: {printable(state)}"
    out["unmapped"] = {"guardrail.subject": printable(fields.agent_of(record)), "guardrail.state": printable(state)}
    yield out
    if text(own.get("effect")) == "delete" and state in DONE and not broken:
        yield _deleted(hit, own)


def _deleted(hit: Hit, own: Event) -> Event:
    out = base.event(hit, base.REMEDIATION, 2, part=1)
    location = text(table(own.get("location")).get("uri"))
    name = printable(location.rpartition("/")[2] or text(own.get("asset"))) or fields.UNKNOWN
    out["file"] = {"name": name, "type_id": 0} | ({"path": printable(location)} if location else {})
    out["command_uid"] = printable(text(own.get("order")) or text(own.get("mandate"))) or fields.UNKNOWN
    out["status_id"] = 3  # does not exist
    return out


ENTITY_ACTIVITY: Final = {
    "pending": 1, "issued": 1, "active": 1, "open": 1, "revoked": 4, "cancelled": 4, "expired": 11, "suspended": 12,
    "resumed": 13, "draft": 1, "opened": 1, "withdrawn": 4,
}  # fmt: skip


def _entity(hit: Hit) -> Iterator[Event]:
    record = hit[1]
    kind, status = fields.kind_of(record), fields.status_of(record)
    denied = status in ("deny", "denied", "reject", "rejected", "expired")
    out = base.event(hit, base.ENTITY, ENTITY_ACTIVITY.get(status, 3), severity=base.MEDIUM)
    uid = fields.name_of(record) or fields.UNKNOWN
    out["entity"] = {"name": kind, "uid": printable(uid), "type_id": base.OTHER, "type": kind}
    out["status_id"] = base.FAILURE if denied else base.SUCCESS
    who = next(iter(fields.people_of(record)), "")
    if who:
        out["actor"] = {"user": {"uid": printable(who)}}
    out["message"] = printable(f"{kind} {uid}: {status or 'recorded'}")
    yield out


def _config(hit: Hit) -> Iterator[Event]:
    record = hit[1]
    what = printable(text(record.get("event"))) or fields.UNKNOWN
    if what == "opened":
        unsafe = record.get("unsafe_fail_open") is True
        out = base.event(hit, base.APPLICATION, 3, severity=base.CRITICAL if unsafe else base.INFORMATIONAL)
        out["app"] = {"name": "Guardrail", "uid": "guardrail-runtime"}
    else:
        refused = "refused" in what
        out = base.event(hit, base.ENTITY, 3, severity=base.HIGH if refused else base.INFORMATIONAL)
        policy = printable(text(record.get("policy"))) or fields.UNKNOWN
        out["entity"] = {"type_id": 5, "uid": policy, "policy": {"uid": policy, "is_applied": not refused}}
        out["status_id"] = base.FAILURE if refused else base.SUCCESS
    out["message"] = what
    out["unmapped"] = base.unmapped(record)
    yield out


def _observed(hit: Hit) -> Iterator[Event]:
    """What the kernel saw of a call; a surprise is what somebody has to look at."""
    seen = table(hit[1].get("observed"))
    surprise = bool(text(seen.get("rule")))
    out = base.event(hit, base.BASE, base.OTHER, severity=base.HIGH if surprise else base.INFORMATIONAL)
    words = (text(seen.get("outcome")), text(seen.get("op")), text(seen.get("asset")))
    out["message"] = printable(f"kernel: {' '.join(words)}" + (", which its call did not name" if surprise else ""))
    out["unmapped"] = base.unmapped(hit[1])
    yield out


def _anything(hit: Hit) -> Iterator[Event]:
    record = hit[1]
    out = base.event(hit, base.BASE, base.OTHER)
    out["message"] = printable(f"{fields.kind_of(record)} {fields.status_of(record)}".strip())
    out["unmapped"] = base.unmapped(record)
    yield out


_OF: Final[dict[str, Callable[[Hit], Iterator[Event]]]] = {
    "intent": _decision,
    "decision": _decision,
    "observed": _observed,
    "result": _result,
    "obligation": _obligation,
    "config": _config,
    **dict.fromkeys(("escalation", "vote", "grant", "redemption", "order"), _entity),
}
