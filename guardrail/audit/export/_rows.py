"""One record as one row: the columns of Parquet and CSV. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from guardrail.audit._tree import leaf_hash
from guardrail.audit.reading import fields
from guardrail.audit.reading._search import Hit
from guardrail.audit.reading.fields import Record, number, table, text
from guardrail.printing import printable

Type = Literal["int", "time", "text", "texts", "bool"]
"""What stands in a column: an integer, a time in microseconds since the epoch, text, texts, a truth value."""


class Column(NamedTuple):
    """One column."""

    name: str
    type: Type
    value: Callable[[Hit], Any]


def _of(read: Callable[[Record], Any]) -> Callable[[Hit], Any]:
    return lambda hit: read(hit[1])


def _text(read: Callable[[Record], str]) -> Callable[[Hit], Any]:
    return lambda hit: printable(read(hit[1])) or None


def _texts(read: Callable[[Record], list[str]]) -> Callable[[Hit], Any]:
    return lambda hit: [printable(value) for value in read(hit[1])]


def _member(outer: str, inner: str) -> Callable[[Hit], Any]:
    return _text(lambda record: text(table(record.get(outer)).get(inner)))


def _own(name: str) -> Callable[[Hit], Any]:
    return _text(lambda record: text(record.get(name)))


def _listed(name: str) -> Callable[[Hit], Any]:
    return _texts(lambda record: [text(effect.get(name)) for effect in fields.effects_of(record)])


def _seq(hit: Hit) -> int:
    return hit[0].seq


def _hash(hit: Hit) -> str:
    return leaf_hash(hit[0].leaf).hex()


def _policy(record: Record) -> str:
    return text(table(record.get("decision")).get("policy")) or text(record.get("policy"))


def _engine(record: Record) -> str:
    return text(table(record.get("decision")).get("engine")) or text(record.get("engine"))


def _elapsed(record: Record) -> int | None:
    return number(table(record.get("decision")).get("elapsed_us"))


def _intent(record: Record) -> int | None:
    return number(record.get("intent"))


def _unsafe(record: Record) -> bool:
    return record.get("unsafe_fail_open") is True


def _mandates(record: Record) -> list[str]:
    used = [text(table(use).get("mandate")) for use in fields.items(record.get("mandates"))]
    return [mandate for mandate in (*used, text(record.get("mandate"))) if mandate]


COLUMNS: Final = (
    Column("seq", "int", _seq),
    Column("time", "time", _of(fields.time_of)),
    Column("kind", "text", _text(fields.kind_of)),
    Column("id", "text", _own("id")),
    Column("decision_id", "text", _text(fields.decision_id_of)),
    Column("session", "text", _text(fields.session_of)),
    Column("agent", "text", _text(fields.agent_of)),
    Column("model", "text", _member("subject", "model")),
    Column("principal", "text", _member("subject", "principal")),
    Column("tool", "text", _text(fields.tool_of)),
    Column("call", "text", _text(fields.call_of)),
    Column("call_digest", "text", _member("call", "digest")),
    Column("outcome", "text", _text(fields.outcome_of)),
    Column("status", "text", _text(fields.status_of)),
    Column("rules", "texts", _texts(fields.rules_of)),
    Column("assets", "texts", _texts(fields.assets_of)),
    Column("ops", "texts", _listed("op")),
    Column("resources", "texts", _listed("resource")),
    Column("targets", "texts", _listed("target")),
    Column("policy", "text", _text(_policy)),
    Column("engine", "text", _text(_engine)),
    Column("elapsed_us", "int", _of(_elapsed)),
    Column("mode", "text", _own("mode")),
    Column("observed", "text", _member("observed", "outcome")),
    Column("grant", "text", _own("grant")),
    Column("mandates", "texts", _texts(_mandates)),
    Column("intent", "int", _of(_intent)),
    Column("fault", "text", _own("fault")),
    Column("error", "text", _own("error")),
    Column("unsafe_fail_open", "bool", _of(_unsafe)),
    Column("log", "text", _own("log")),
    Column("leaf_sha256", "text", _hash),
)
"""Every column, in order; a value that is not there is None, or an empty list."""
