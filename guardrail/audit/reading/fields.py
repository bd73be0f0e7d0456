"""What a record says, read without trust: any field may be missing, of another type, or of another version.

INVARIANT: nothing here raises, whatever the record; what is not there is None, empty, or `unknown` where it is shown.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final, cast

UNKNOWN: Final = "unknown"
"""Stands where a record does not say."""

Record = dict[str, Any]


def table(value: object) -> dict[str, Any]:
    """The value, if it is an object; else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """The value, if it is an array; else an empty one."""
    return cast("list[object]", value) if isinstance(value, list) else []


def texts(value: object) -> list[str]:
    """The strings in an array."""
    return [item for item in items(value) if isinstance(item, str)]


def text(value: object) -> str:
    """The value, if it is a string; else an empty one."""
    return value if isinstance(value, str) else ""


def number(value: object) -> int | None:
    """The value, if it is an integer and no truth value."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def body(record: Record) -> dict[str, Any]:
    """What a record of review or duties is about: the object under its kind, what it holds, or the record itself."""
    return table(record.get(kind_of(record))) or table(record.get("held")) or table(record.get("terms")) or record


def kind_of(record: Record) -> str:
    """Its kind, or `unknown`."""
    return text(record.get("kind")) or UNKNOWN


def time_of(record: Record) -> int | None:
    """When it was written, in microseconds since the epoch."""
    return number(record.get("t_us"))


def agent_of(record: Record) -> str:
    """Id of the agent, or nothing: a decision has it in a table, a duty as a name."""
    own = body(record)
    subject = own.get("subject", record.get("subject"))
    named = table(subject)
    return text(subject) or text(named.get("id")) or text(named.get("agent")) or text(own.get("agent"))


def session_of(record: Record) -> str:
    """Name of the conversation or run, or nothing."""
    return text(record.get("session")) or text(body(record).get("session"))


def assets_of(record: Record) -> list[str]:
    """Ids of the assets it is about, each once."""
    own = body(record)
    named = [*texts(record.get("assets")), *texts(own.get("assets")), text(own.get("asset")), text(record.get("asset"))]
    return [asset for asset in dict.fromkeys(named) if asset]


def rules_of(record: Record) -> list[str]:
    """Ids of the rules that fired."""
    own = body(record)
    shown = [text(items(pair)[0]) for pair in items(own.get("shown")) if items(pair)]
    named = texts(table(record.get("decision")).get("rules")) or [*shown, text(own.get("rule"))]
    return [rule for rule in dict.fromkeys(named) if rule]


def outcome_of(record: Record) -> str:
    """allow, escalate or deny; nothing for what is no decision."""
    return text(table(record.get("decision")).get("outcome"))


def status_of(record: Record) -> str:
    """The one word on how it stands: outcome, result, ending, state, verdict, event."""
    own = body(record)
    for value in (
        outcome_of(record),
        *(
            source.get(name)
            for name in ("result", "ending", "state", "verdict", "event", "outcome")
            for source in (record, own)
        ),
    ):
        if isinstance(value, str) and value:
            return value
    return ""


def decision_id_of(record: Record) -> str:
    """Id of the decision that it is or follows."""
    return text(record.get("decision_id"))


def call_of(record: Record) -> str:
    """The caller's id of the call."""
    return text(record.get("call")) or text(table(record.get("call")).get("id"))


def intents_of(record: Record) -> list[int]:
    """Numbers of the intents that a result answers."""
    named = [number(record.get("intent")), *(number(item) for item in items(record.get("intents")))]
    return [seq for seq in named if seq is not None]


def people_of(record: Record) -> list[str]:
    """The people who acted, each once."""
    own = body(record)
    named = [text(source.get(name)) for source in (own, record) for name in PEOPLE]
    return [person for person in dict.fromkeys(named) if person]


PEOPLE: Final = ("voter", "approver", "issuer", "by", "answered_by", "revoked_by", "actor", "authority")
"""Where a record says which person acted."""


def tool_of(record: Record) -> str:
    """Name of the tool."""
    return text(table(record.get("call")).get("tool"))


def effects_of(record: Record) -> list[dict[str, Any]]:
    """The effects that are listed."""
    return [effect for value in items(record.get("effects")) if (effect := table(value))]


def ids_of(record: Record) -> set[str]:
    """Everything that it may be asked for by: its own id, its decision's, and those of what it is about."""
    own = body(record)
    kind = kind_of(record)
    named = (
        record.get("id"), own.get("id"), record.get("decision_id"), record.get("grant"), record.get("escalation"),
        record.get("mandate"), record.get("order"), record.get(kind), own.get("escalation"), own.get("grant"),
        record.get("obligation"),
    )  # fmt: skip
    return {value for value in named if isinstance(value, str) and value}


def violations_of(record: Record) -> list[str]:
    """What is said to be wrong with a duty, in one word each: what people had to hear of, and what is listed."""
    listed = [text(table(item).get("kind")) or text(item) for item in items(body(record).get("violations"))]
    return [kind for kind in dict.fromkeys((*texts(record.get("alarms")), *listed)) if kind]


def name_of(record: Record) -> str:
    """Name of the duty, order, escalation, grant or policy that it is about, or nothing."""
    own = body(record)
    if own is not record and text(own.get("id")):
        return text(own.get("id"))
    names = ("obligation", "mandate", "escalation", "grant", "order", "policy")
    return next((text(record.get(name)) for name in names if text(record.get(name))), "")


def moment(t_us: int | None) -> str:
    """A time as RFC 3339 in UTC, to the millisecond, or `no time`."""
    if t_us is None:
        return "no time"
    try:
        when = dt.datetime.fromtimestamp(t_us // 1_000_000, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return "no time"
    return f"{when:%Y-%m-%dT%H:%M:%S}.{t_us % 1_000_000 // 1000:03d}Z"
