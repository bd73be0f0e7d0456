"""One decision as an event of OPA's decision log, and what is taken out of it before it leaves.

Source: OPA 1.21.1, v1/plugins/logs/{plugin,mask}.go, read 2026-11-29: `EventV1`, and `erased` and `masked` as there.
Not concerned with where events go.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from guardrail.masking import masked as without_secrets
from guardrail.masking import masked_json
from guardrail.model import FAULT_RULE, Decision
from guardrail.policy._bundle import ENTRYPOINT
from guardrail.policy._ruling import Ruling
from guardrail.printing import printable

BUNDLE: Final = "guardrail"
"""Name of the bundle in events."""

MASK: Final = "**"
"""What stands where something was masked."""

MAX_MESSAGE_CHARS: Final = 1000
"""Longest sentence about a fault, in characters."""


class Entry(msgspec.Struct, frozen=True):
    """What is kept of a decision until it is written: no work is done on it while a call waits.

    Args:
        decision: what was decided.
        document: what policy was asked, if it came to that.
        ruling: what policy answered, if it did.
        at_ns: when it was decided, in nanoseconds since 1970.
        trace_id: W3C trace id, or empty.
        span_id: W3C span id, or empty.
    """

    decision: Decision
    document: bytes | None
    ruling: Ruling | None
    at_ns: int
    trace_id: str = ""
    span_id: str = ""

    @property
    def size(self) -> int:
        """About how much memory it takes, in bytes."""
        answer = 0 if self.ruling is None else len(self.ruling.answer)
        return 1024 + len(self.document or b"") + answer


def event(entry: Entry, labels: Mapping[str, str], *, erase: Sequence[str], mask: Sequence[str]) -> bytes:
    """An event as JSON.

    Args:
        entry: the decision.
        labels: what tells this guard from others.
        erase: JSON pointers of what is removed; `*` is any one step.
        mask: JSON pointers of what is replaced by `MASK`.
    """
    decision = entry.decision
    value: dict[str, Any] = {
        "labels": {**labels, "engine": decision.engine},
        "decision_id": decision.decision_id,
        "bundles": {BUNDLE: {"revision": decision.policy.partition("/")[0]}},
        "path": ENTRYPOINT,
        "timestamp": _time(entry.at_ns),
        "metrics": {"timer_server_handler_ns": decision.elapsed_us * 1000},
        "guardrail": _ours(decision),
    }
    if entry.trace_id:
        value |= {"trace_id": entry.trace_id, "span_id": entry.span_id}
    if entry.document is not None:
        value["input"] = orjson.loads(masked_json(entry.document))
    fault = next((reason for reason in decision.reasons if reason.rule == FAULT_RULE), None)
    if fault is not None:
        value["error"] = {"code": FAULT_RULE, "message": without_secrets(printable(fault.message))[:MAX_MESSAGE_CHARS]}
    elif entry.ruling is not None:
        value["result"] = orjson.loads(masked_json(entry.ruling.answer))
    erased = [pointer for pattern in erase for pointer in _take(value, pattern, keep=False)]
    masked = [pointer for pattern in mask for pointer in _take(value, pattern, keep=True)]
    if erased:
        value["erased"] = erased
    if masked:
        value["masked"] = masked
    return orjson.dumps(value)


def _ours(decision: Decision) -> dict[str, Any]:
    """What OPA has no word for, in one object of our own."""
    found: dict[str, Any] = {"outcome": decision.outcome.value, "mode": decision.mode, "digest": decision.digest}
    if decision.seq is not None:
        found["seq"] = decision.seq
    if decision.observed is not None:
        found["observed"] = decision.observed.value
    if decision.mismatch is not None:
        found["mismatch"] = msgspec.to_builtins(decision.mismatch)
    return found


def _time(at_ns: int) -> str:
    """RFC 3339 with nanoseconds, as OPA writes it."""
    whole = dt.datetime.fromtimestamp(at_ns // 1_000_000_000, dt.UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{at_ns % 1_000_000_000:09d}Z"


# ── what is taken out ─────────────────────────────────────────────────────────────────────────────────────────────────


def _take(value: dict[str, Any], pattern: str, *, keep: bool) -> list[str]:
    """Remove, or replace, what a pattern leads to; the pointers of what was there."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pattern.split("/")[1:]]
    found: list[str] = []
    for holder, key, pointer in list(_places(value, steps, "")):
        if keep:
            holder[key] = MASK
        elif isinstance(holder, list):
            # An item that were removed would move those behind it, and with them what reasons point at.
            holder[key] = None
        else:
            del holder[key]
        found.append(pointer)
    return found


def _places(value: Any, steps: Sequence[str], at: str) -> Iterator[tuple[Any, Any, str]]:
    step, rest = steps[0], steps[1:]
    for key, inner in _children(value, step):
        pointer = f"{at}/{str(key).replace('~', '~0').replace('/', '~1')}"
        if rest:
            yield from _places(inner, rest, pointer)
        else:
            yield value, key, pointer


def _children(value: Any, step: str) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        items: list[tuple[Any, Any]] = list(value.items())  # pyright: ignore[reportUnknownArgumentType]
        return items if step == "*" else [item for item in items if item[0] == step]
    if isinstance(value, list):
        numbered: list[tuple[Any, Any]] = list(enumerate(value))  # pyright: ignore[reportUnknownArgumentType]
        return numbered if step == "*" else [item for item in numbered if str(item[0]) == step]
    return []
