"""What every OCSF event of ours has: who, when, where in the trail, what was decided. Pure.

The numbers are those of OCSF 1.8.0; `_schema` holds every event against the facts of that release.
"""

from __future__ import annotations

from typing import Any, Final

from guardrail import __version__
from guardrail.audit._tree import leaf_hash
from guardrail.audit.export._schema import facts
from guardrail.audit.reading import fields
from guardrail.audit.reading._search import Hit
from guardrail.audit.reading.fields import Record, table, text, texts
from guardrail.printing import printable

Event = dict[str, Any]

FILE: Final = 1001
PROCESS: Final = 1007
DETECTION: Final = 2004
COMPLIANCE: Final = 2003
ENTITY: Final = 3004
NETWORK: Final = 4001
APPLICATION: Final = 6002
API: Final = 6003
REMEDIATION: Final = 7002
BASE: Final = 0

OTHER: Final = 99
SUCCESS: Final = 1
FAILURE: Final = 2
INFORMATIONAL: Final = 1
MEDIUM: Final = 3
HIGH: Final = 4
CRITICAL: Final = 5

SHA256: Final = 3
"""`fingerprint.algorithm_id` of SHA-256."""


def event(hit: Hit, uid: int, activity: int, *, part: int = 0, name: str = "", severity: int = INFORMATIONAL) -> Event:
    """The attributes that every class has.

    Args:
        hit: the record.
        uid: number of the class.
        activity: number of the activity.
        part: which event of the record it is; the first keeps the record's id.
        name: what the activity is, needed where its number is 99.
        severity: number of the severity.
    """
    found, record = hit
    own = printable(text(record.get("id")) or f"{text(record.get('log')) or 'log'}/{found.seq}")
    metadata: Event = {
        "version": facts()["version"],
        "product": {"name": "Guardrail", "uid": "guardrail-runtime", "version": __version__},
        "uid": f"{own}#{part}" if part else own,
        "sequence": found.seq,
        "log_name": printable(text(record.get("log"))) or fields.UNKNOWN,
        "event_code": printable(fields.kind_of(record)),
    }
    if correlation := fields.decision_id_of(record):
        metadata["correlation_uid"] = printable(correlation)
    out: Event = {
        "class_uid": uid,
        "category_uid": facts()["classes"][str(uid)]["category"],
        "activity_id": activity,
        "type_uid": uid * 100 + activity,
        "severity_id": severity,
        "time": (fields.time_of(record) or 0) // 1000,
        "metadata": metadata,
        # What the event rests on: the leaf in the trail, which `guardrail audit prove` proves.
        "raw_data_hash": {"algorithm_id": SHA256, "value": leaf_hash(found.leaf).hex()},
    }
    if name:
        out["activity_name"] = name
    if activity == OTHER and not name:
        out["activity_name"] = printable(fields.kind_of(record))
    return out


def profile(out: Event, name: str) -> None:
    """Say that an event has the attributes of a profile."""
    out["metadata"].setdefault("profiles", []).append(name)


def device(record: Record) -> Event:
    """The host: its boot is all that a record knows of it."""
    return {"type_id": 0, "instance_uid": printable(text(record.get("boot"))) or fields.UNKNOWN}


def actor(record: Record) -> Event:
    """The agent, its session, and on whose behalf it acts."""
    agent = printable(fields.agent_of(record)) or fields.UNKNOWN
    out: Event = {"app_name": agent, "app_uid": agent}
    if session := fields.session_of(record):
        out["session"] = {"uid": printable(session)}
    if principal := text(table(record.get("subject")).get("principal")):
        out["user"] = {"uid": printable(principal)}
    return out


def model(record: Record) -> Event | None:
    """The agent's model, if it is known; OCSF wants a provider, which ours name before the slash."""
    named = printable(text(table(record.get("subject")).get("model")))
    if not named:
        return None
    provider, slash, rest = named.partition("/")
    return {"ai_provider": provider if slash else fields.UNKNOWN, "name": rest if slash and rest else named}


def decided(out: Event, record: Record) -> None:
    """Lay the decision over an event: profile `security_control`."""
    decision = table(record.get("decision"))
    outcome, rules = fields.outcome_of(record), fields.rules_of(record)
    observed = text(table(record.get("observed")).get("outcome"))
    fault = bool(record.get("fault"))
    profile(out, "security_control")
    out["action_id"], out["disposition_id"] = _action(outcome, observed, fault, bool(record.get("grant")))
    if out["action_id"] == OTHER:
        out["action"] = outcome or fields.UNKNOWN
    out["severity_id"] = _severity(outcome, observed, fault)
    out["status_id"] = SUCCESS if outcome == "allow" else FAILURE
    out["is_alert"] = outcome != "allow" or bool(observed)
    policy: Event = {"name": printable(rules[0]) if rules else "default", "is_applied": not observed}
    if revision := text(decision.get("policy")):
        policy["uid"] = printable(revision)
    out["policy"] = policy
    out["authorizations"] = [{"decision": outcome or fields.UNKNOWN, "policy": policy}]
    out["status_detail"] = printable(", ".join(rules) or "no rule fired")
    out["unmapped"] = unmapped(record)


def _action(outcome: str, observed: str, fault: bool, granted: bool) -> tuple[int, int]:
    """Numbers of action and disposition."""
    if fault:
        return (1 if outcome == "allow" else 2), 27
    if observed:
        return 3, 19
    return {"allow": (1, 8 if granted else 1), "deny": (2, 2), "escalate": (2, 14)}.get(outcome, (OTHER, 0))


def _severity(outcome: str, observed: str, fault: bool) -> int:
    if fault:
        return CRITICAL if outcome == "allow" else HIGH
    return {"deny": HIGH, "escalate": MEDIUM}.get(observed or outcome, INFORMATIONAL)


def unmapped(record: Record) -> Event:
    """What OCSF has no place for."""
    out: Event = {"guardrail.rules": [printable(rule) for rule in fields.rules_of(record)]}
    if assets := fields.assets_of(record):
        out["guardrail.assets"] = [printable(asset) for asset in assets]
    if mandates := [text(table(use).get("mandate")) for use in fields.items(record.get("mandates"))]:
        out["guardrail.mandates"] = [printable(mandate) for mandate in mandates if mandate]
    for name in ("grant", "mode", "fault"):
        if value := text(record.get(name)):
            out[f"guardrail.{name}"] = printable(value)
    if record.get("unsafe_fail_open") is True:
        out["guardrail.unsafe_fail_open"] = True
    if digest := text(table(record.get("call")).get("digest")):
        out["guardrail.call_digest"] = printable(digest)
    if more := fields.number(record.get("effects_more")):
        out["guardrail.effects_more"] = more
    if observed := texts(table(record.get("observed")).get("rules")):
        out["guardrail.observed_rules"] = [printable(rule) for rule in observed]
    return out
