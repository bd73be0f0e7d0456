"""Edits of evaluation records as changes of scores: what was measured, of whom, by whom, and what follows from it.

Not concerned with which change is permitted: rules say that, from `edited`, `crosses`, `dropped`, `criteria`, `outlier`
and the models that are named.
"""

from __future__ import annotations

import fnmatch
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from guardrail.assets._records import (
    ABSENT,
    Records,
    as_number,
    bar,
    document_of,
    leaves,
    passes,
    score_of,
    verdict,
)  # fmt: skip
from guardrail.canonical import canonical
from guardrail.config import RecordConfig
from guardrail.effects import Unclear, apply
from guardrail.model import Edit, Effect

MAX_RECORD_EFFECTS: Final = 64
"""Most changed records of one edit that are told one by one; the others are told together."""

MAX_NAMED_ITEMS: Final = 16
"""Most records that are named where they are told together."""

MAX_NAMED_SUBJECTS: Final = 256
"""Most models that are named there; of more of them, any could be meant."""

_MAD_SCALE: Final = 0.6745
"""Makes the median of deviations comparable with a standard deviation (Iglewicz and Hoaglin 1993, section 3)."""


def record_effects(
    effect: Effect, edit: Edit, before: bytes | None, record: RecordConfig, model: str | None
) -> Iterator[Effect]:
    """Turn a write with known content into `record_score` effects.

    Args:
        effect: the write or append, on an evaluation record.
        edit: the new content.
        before: the file's content now; None if there is no file.
        record: which key of a record is what.
        model: the model that the asset belongs to, where a record does not say whose score it is.

    Yields:
        One effect for each score that is new or another, one for what is dropped, a `set_key` for every other key that
        changes; the write itself, without its content, when the result of the edit cannot be computed.
    """
    bare = msgspec.structs.replace(effect, edit=None)
    after = apply(edit, before)
    path = effect.resource.real or effect.resource.path or ""
    if after is None:
        yield bare
        return
    try:
        old = Records(document_of(path, before, record) if before else None, record, model)
        new = Records(document_of(path, after, record) if after.strip() else None, record, model)
        found = [*_changes(old, new, record), *_left_out(old, new, record, grows=effect.op == "append")]
    except Unclear:
        yield bare
        return
    for op, attrs in found[:MAX_RECORD_EFFECTS]:
        yield msgspec.structs.replace(bare, op=op, attrs={**bare.attrs, **attrs})
    if len(found) > MAX_RECORD_EFFECTS:
        yield msgspec.structs.replace(
            bare, op="record_score", attrs={**bare.attrs, **_together([a for _, a in found[MAX_RECORD_EFFECTS:]])}
        )
    if not found:
        yield msgspec.structs.replace(bare, op="read", attrs={**bare.attrs, "unchanged": True})


def called_record(effect: Effect, record: RecordConfig, model: str | None) -> Effect:
    """What rules may know of a score that is sent to an address: its arguments stand in for the keys of a record.

    Args:
        effect: the score that is recorded.
        record: which argument is what, by the same names as keys.
        model: the model that the asset belongs to.
    """
    known = effect.attrs
    after = as_number(known.get("value"))
    attrs: dict[str, Any] = {"edited": False, "crosses": False, "subject": known.get("subject", model), "after": after}
    if attrs["subject"] is None:
        del attrs["subject"]
    attrs |= _beyond(after, record)
    number = as_number(known.get(record.count)) if record.count else None
    if number is not None and number < record.expected:
        attrs |= _short(number, record.expected)
    return msgspec.structs.replace(effect, attrs={**known, **attrs})


# -- what changes

Told = tuple[Literal["record_score", "set_key"], dict[str, Any]]


def _changes(old: Records, new: Records, record: RecordConfig) -> Iterator[Told]:
    dropped = [name for name in old.items if name not in new.items]
    if dropped:
        yield "record_score", {"dropped": len(dropped), "items": dropped[:MAX_NAMED_ITEMS], "edited": True}
    for key, before, after in _differing(old.beside, new.beside):
        yield "set_key", _key(key, before, after, record)
    for name, item in new.items.items():
        known = old.items.get(name, ABSENT)
        if known is ABSENT:
            yield "record_score", _scored(name, None, item, old, new, record)
            continue
        flips = verdict(known, old, record) != verdict(item, new, record)
        scored = False
        for key, before, after in _differing(dict(leaves(known)), dict(leaves(item))):
            if key == record.score:
                scored = True
                yield "record_score", _scored(name, known, item, old, new, record)
            else:
                yield "set_key", _key(key, before, after, record) | {"item": name}
        if flips and not scored:
            # Not the score was moved over the threshold, but the threshold under the score.
            yield "record_score", _scored(name, known, item, old, new, record)


def _left_out(old: Records, new: Records, record: RecordConfig, *, grows: bool) -> Iterator[Told]:
    """Items that a score was not taken over: fewer than there have to be, or than there were.

    Raises:
        Unclear: if a record has a score and does not say over how many.
    """
    if not record.count:
        there = len(new.items)
        # What is written record by record gets there; what is written whole, or gets less, does not.
        if there < record.expected and not grows and not 0 < len(old.items) < there:
            yield "record_score", _short(there, record.expected)
        return
    for name, item in new.items.items():
        number = as_number(new.of(item, record.count))
        if number is None:
            if score_of(item, record) is not None:
                raise Unclear(f"a score without a number at `{record.count}`")
            continue
        before = as_number(old.of(old.items[name], record.count)) if name in old.items else None
        wanted = max(record.expected, before or 0)
        if number < wanted and number != before:
            yield "record_score", _short(number, wanted) | {"item": name}


def _short(number: float, wanted: float) -> dict[str, Any]:
    return {"dropped": math.ceil(wanted - number), "counted": number, "expected": wanted, "edited": True}


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key, ABSENT), new.get(key, ABSENT)
        if before is ABSENT or after is ABSENT or canonical(before) != canonical(after):
            yield key, before, after


def _key(key: str, before: Any, after: Any, record: RecordConfig) -> dict[str, Any]:
    attrs: dict[str, Any] = {"key": key, "control": False, "criteria": _is_criterion(key, record)}
    if before is not ABSENT:
        attrs["before"] = before
    if after is not ABSENT:
        attrs["after"] = after
    return attrs


def _is_criterion(key: str, record: RecordConfig) -> bool:
    named = {record.threshold, record.direction, record.judge, record.subject}
    # A rubric may be a table: all that lies in it is a part of it.
    return key in named or any(
        fnmatch.fnmatchcase(key, pattern) or fnmatch.fnmatchcase(key, f"{pattern}.*") for pattern in record.criteria
    )


def _scored(name: str, known: Any, item: Any, old: Records, new: Records, record: RecordConfig) -> dict[str, Any]:
    """What rules may know about one score."""
    after = score_of(item, record)
    threshold, bound = bar(item, new, record)
    attrs: dict[str, Any] = {
        "item": name,
        "edited": known is not None and score_of(known, record) is not None,
        "after": after,
        "crosses": False,
    }
    subject = new.of(item, record.subject) or new.model
    judge = new.of(item, record.judge)
    if isinstance(subject, str):
        attrs["subject"] = subject
    if isinstance(judge, str):
        attrs["judge"] = judge
    if threshold is not None:
        attrs |= {"threshold": threshold, "bound": bound}
        if after is not None:
            attrs |= {"passes": passes(after, threshold, bound), "margin": round(abs(after - threshold), 9)}
    if known is not None:
        attrs["before"] = score_of(known, record)
        attrs["crosses"] = verdict(known, old, record) != verdict(item, new, record)
        was = old.of(known, record.subject) or old.model
        if isinstance(was, str) and was != attrs.get("subject"):
            attrs["subject_before"] = was
    return attrs | _beyond(after, record)


def _beyond(after: float | None, record: RecordConfig) -> dict[str, Any]:
    """How far a score lies from the references, if there are any."""
    if after is None or not record.reference:
        return {}
    deviation = _deviation(after, record.reference)
    return {"deviation": round(deviation, 3), "outlier": deviation > record.outlier}


def _deviation(score: float, reference: Sequence[float]) -> float:
    """How far a score lies from others, in standard deviations, told so that a few odd references do not hide it."""
    middle = statistics.median(reference)
    distance = abs(score - middle)
    spread = statistics.median(abs(one - middle) for one in reference) / _MAD_SCALE
    if spread == 0:
        spread = statistics.fmean(abs(one - middle) for one in reference) * 1.2533  # sqrt(pi / 2), ibid.
    if spread == 0:
        return 0.0 if distance == 0 else _FAR
    return min(distance / spread, _FAR)


_FAR: Final = 1e6
"""What a deviation is said to be at most: JSON has no infinity."""


def _together(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The facts of many changes as those of one: what holds for any of them holds for it."""
    told: dict[str, Any] = {"more": len(parts)}
    for fact in ("edited", "crosses", "outlier", "criteria"):
        told[fact] = any(part.get(fact) for part in parts)
    dropped = sum(part.get("dropped", 0) for part in parts)
    if dropped:
        told["dropped"] = dropped
    subjects = dict.fromkeys(part["subject"] for part in parts if "subject" in part)
    told["subjects"] = list(subjects)[:MAX_NAMED_SUBJECTS]
    if len(subjects) > MAX_NAMED_SUBJECTS:
        told["any_subject"] = True
    return told
