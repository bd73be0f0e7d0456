"""One record of a trail as one line for a terminal."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast

from guardrail.audit.reading import fields
from guardrail.cli._words import counted
from guardrail.printing import visible


def line(seq: int, record: dict[str, Any]) -> str:
    """One record as one line: number, time, kind, outcome, rules, assets, agent, and what it is about."""
    shown = [
        f"{seq:>7}",
        _time(record.get("t_us")),
        f"{record.get('kind', '?')!s:<10}",
        f"{fields.status_of(record) or '-':<9}",
        _joined(fields.rules_of(record)),
        _joined(fields.assets_of(record)),
        fields.agent_of(record) or _joined(fields.people_of(record)),
        _about(record),
        _observed(record),
    ]
    # Names in records come from agents: nothing of theirs may repaint the terminal.
    return visible("  ".join(field for field in shown if field))


def _observed(record: dict[str, Any]) -> str:
    """What a call that ran would have met with every rule rolled out."""
    observed = fields.table(record.get("observed"))
    return f"[observed: {observed.get('outcome')} by {_joined(observed.get('rules'))}]" if observed else ""


def _about(record: dict[str, Any]) -> str:
    call, effects = (
        fields.table(record.get("call")),
        [fields.table(effect) for effect in fields.items(record.get("effects"))],
    )
    if call and "effects" in record:
        ops = dict.fromkeys(str(effect.get("op")) for effect in effects)
        first = next((str(effect["resource"]) for effect in effects if effect.get("resource")), "")
        return f"{call.get('tool')}: {' '.join(ops) or 'no effects'}{' ' + first if first else ''}"
    if record.get("kind") == "kernel":
        seen = fields.table(record.get("kernel"))
        return f"{seen.get('op')} {seen.get('resource')} by {seen.get('syscall')}, of record {record.get('intent')}"
    if isinstance(record.get("intent"), int):
        return f"of record {record['intent']}"
    if record.get("kind") in ("key", "retention", "redaction"):
        return _kept(record)
    if isinstance(record.get("intents"), list):
        return f"of {counted(len(fields.items(record['intents'])), 'record')}"
    named = fields.name_of(record)
    # Why a policy was refused, or what is left of what is owed.
    why = record.get("why") or _joined_text(record.get("evidence"))
    return f"{named}: {why}" if why else named


def _kept(record: dict[str, Any]) -> str:
    """What people did to the trail itself, who, and why."""
    what = record.get("next") or record.get("hold") or record.get("pointer") or ""
    if record.get("kind") == "redaction":
        what = f"{what} of record {record.get('record')}"
    elif record.get("event") == "prune":
        what = f"records before {record.get('minimum')}"
    by = f", by {record['by']}" if record.get("by") else ""
    return f"{what}{by}" + (f": {record['reason']}" if record.get("reason") else "")


def _joined_text(value: object) -> str:
    return "; ".join(map(str, fields.items(value)))


def _joined(value: object) -> str:
    return ",".join(map(str, fields.items(value))) or "-"


def _time(value: object) -> str:
    try:
        moment = dt.datetime.fromtimestamp(cast("int", value) / 1_000_000, dt.UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return "no time"
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
