"""Events and duties as plain JSON, for the trail and its index: what is written is read back as it was.

INVARIANT: every event fits into one record. What is listed in it is cut to a budget before it changes any state, so
that the state in memory is the one that the trail gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar, cast

import msgspec
import orjson

from guardrail.canonical import canonical
from guardrail.obligations._duty import Duty
from guardrail.obligations._events import Event, Finding, Listed, Looked, Opened, Pinned, Terms
from guardrail.printing import shortened

BUDGET_BYTES: Final = 14 * 1024
"""How much of a record the files or findings of one event may take, in bytes; a record may have 60 KiB."""

MAX_LINES: Final = 16
"""Most sentences of evidence in one event; the rest are counted."""

EVIDENCE_BYTES: Final = 10 * 1024
"""How much of a record the evidence of one event may take, in bytes."""

MAX_LINE_CHARS: Final = 320
"""Longest sentence in one event, in characters; of a longer one the middle is left out."""

T = TypeVar("T", Pinned, Finding)


def bounded(seen: Looked) -> Looked:
    """What was seen, cut to what one record has room for; what is left out is counted in the evidence."""
    findings = tuple(
        msgspec.structs.replace(
            one, says=shortened(one.says, MAX_LINE_CHARS), path=shortened(one.path, 2 * MAX_LINE_CHARS)
        )
        for one in seen.findings
    )
    kept = next(parts_of(findings), ())
    lines = [shortened(line, MAX_LINE_CHARS) for line in seen.evidence[:MAX_LINES]]
    left = EVIDENCE_BYTES
    for number, line in enumerate(lines):
        left -= len(canonical(line))
        if left < 0:
            del lines[number:]
            break
    more = max(len(seen.evidence) - len(lines), len(findings) - len(kept))
    if more > 0:
        lines.append(f"and {more} more")
    return msgspec.structs.replace(seen, findings=kept, evidence=tuple(lines))


def opening(terms: Terms, files: Sequence[Pinned], more: int, findings: tuple[Finding, ...]) -> tuple[Event, ...]:
    """The events that open a duty: the first with as many files as it has room for, then one for each further part.

    Args:
        terms: what is owed.
        files: what has to go.
        more: how many files were not noted.
        findings: what was known then.
    """
    parts = list(parts_of(tuple(files)))
    first = parts[0] if parts else ()
    known = next(parts_of(findings), ())
    opened = Opened(terms=terms, files=first, files_more=more, findings=known)
    return (opened, *(Listed(files=part) for part in parts[1:]))


def parts_of(items: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    """The same in parts that each have room in a record."""
    part, left = list[T](), BUDGET_BYTES
    for item in items:
        size = len(canonical(msgspec.to_builtins(item)))
        if part and size > left:
            yield tuple(part)
            part, left = [], BUDGET_BYTES
        part.append(item)
        left -= size
    if part:
        yield tuple(part)


def to_plain(value: Event | Duty) -> Any:
    """Plain JSON values, as they are in the trail."""
    return msgspec.to_builtins(value)


def event_of(value: Any) -> Event:
    """The event in a record.

    Raises:
        ValueError: if it is none.
    """
    return cast("Event", msgspec.convert(_restored(value), Event, strict=True))


def pack(duty: Duty) -> bytes:
    """A duty as bytes, for the index."""
    return canonical(to_plain(duty))


def unpack(data: bytes) -> Duty:
    """The duty in such bytes.

    Raises:
        ValueError: if there is none.
    """
    return msgspec.convert(_restored(orjson.loads(data)), Duty, strict=True)


def _restored(value: Any) -> Any:
    """Plain values as they were before `canonical` made bytes of them: names of files need not be text."""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        if len(table) == 1:
            ((key, inner),) = table.items()
            if key == "_b" and isinstance(inner, str):
                return bytes.fromhex(inner).decode("utf-8", "surrogatepass")
            if key == "_i" and isinstance(inner, str):
                return int(inner)
        return {key: _restored(inner) for key, inner in table.items()}
    if isinstance(value, list):
        return [_restored(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType]
    return value
