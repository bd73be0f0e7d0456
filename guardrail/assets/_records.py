"""Edits of evaluation records as changes of scores: what was measured, of whom, by whom, and what follows from it.

Not concerned with which change is permitted: rules say that, from `edited`, `crosses`, `dropped`, `criteria`, `outlier`
and the models that are named.
"""

from __future__ import annotations

import fnmatch
import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeGuard

import msgspec

from guardrail.canonical import canonical
from guardrail.config import RecordConfig
from guardrail.effects import Unclear, apply, read_records
from guardrail.model import Edit, Effect

MAX_RECORD_EFFECTS: Final = 64
"""Most changed records of one edit that are told one by one; the others are told together."""

MAX_NAMED_ITEMS: Final = 16
"""Most records that are named where they are told together."""

MAX_NAMED_SUBJECTS: Final = 256
"""Most models that are named there; of more of them, any could be meant."""

_MAD_SCALE: Final = 0.6745
"""Makes the median of deviations comparable with a standard deviation (Iglewicz and Hoaglin 1993, section 3)."""

_ABSENT: Final = object()

Bound = Literal["min", "max"]


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
        old = _Records(_read(path, before, record) if before else None, record, model)
        new = _Records(_read(path, after, record) if after.strip() else None, record, model)
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
    after = _number(known.get("value"))
    attrs: dict[str, Any] = {"edited": False, "crosses": False, "subject": known.get("subject", model), "after": after}
    if attrs["subject"] is None:
        del attrs["subject"]
    attrs |= _beyond(after, record)
    number = _number(known.get(record.count)) if record.count else None
    if number is not None and number < record.expected:
        attrs |= _short(number, record.expected)
    return msgspec.structs.replace(effect, attrs={**known, **attrs})


def check_record(path: str, data: bytes, record: RecordConfig) -> str | None:
    """What keeps a file from being judged by its scores; None if nothing does.

    Args:
        path: of the file.
        data: its content.
        record: which key of a record is what.
    """
    try:
        found = _Records(_read(path, data, record), record, None)
    except Unclear as error:
        return str(error)
    scored = [item for item in found.items.values() if _score(item, record) is not None]
    return f"no record in it has a number at `{record.score}`" if found.items and not scored else None


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """What a file of records says.

    Args:
        items: each item with its score; None for one that has none.
        threshold: the threshold that it states for all of them, if it does.
        mean: the mean that it states, if it does.
        judges: who gave each score, where that is stated.
    """

    items: dict[str, float | None]
    threshold: float | None
    mean: float | None
    judges: dict[str, str] = {}


def read_scores(path: str, data: bytes, record: RecordConfig) -> Scores | str:
    """The scores in a file of records.

    Args:
        path: of the file.
        data: its content.
        record: which key of a record is what.

    Returns:
        The scores, or why they cannot be read.
    """
    try:
        found = _Records(_read(path, data, record), record, None)
    except Unclear as error:
        return str(error)
    means = (_number(found.beside[key]) for key in ("mean", "average", "mean_score") if key in found.beside)
    threshold = _number(found.beside.get(record.threshold)) if isinstance(record.threshold, str) else None
    return Scores(
        items={name: _score(item, record) for name, item in found.items.items()},
        threshold=threshold,
        mean=next((mean for mean in means if mean is not None), None),
        judges={name: str(judge) for name, item in found.items.items() if (judge := found.of(item, record.judge))},
    )


_PAIR: Final = re.compile(r"([^\W\d][\w. -]{0,63}?)\s*[:=]?\s*(-?\d+(?:\.\d+)?)\s*%?", re.ASCII)
"""One statement of a report, such as `mean: 71.5`."""


def _read(path: str, data: bytes, record: RecordConfig) -> Any:
    """A file of records, or a report in words where records say over how many items they were taken.

    Raises:
        Unclear: if it has no single meaning.
    """
    try:
        return read_records(path, data)
    except Unclear:
        if not record.count or record.items or path.rpartition(".")[2].lower() not in _WORDS:
            raise
        return _report(data, record)


_WORDS: Final = frozenset(("txt", "md"))


def _report(data: bytes, record: RecordConfig) -> dict[str, Any]:
    """`n=20; mean 71.5` as a record; what is no pair of a name and a number is its text.

    Raises:
        Unclear: if it does not say exactly once what the score is, and over how many items.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Unclear("no text") from None
    pairs: dict[str, Any] = {}
    rest: list[str] = []
    for part in re.split(r"[;,\n]", text):
        pair = _PAIR.fullmatch(part.strip(" \t\r-*"))
        if pair is None:
            rest.append(part.strip())
        elif pair[1] in pairs:
            raise Unclear(f"`{pair[1]}` twice")
        else:
            pairs[pair[1]] = pair[2]
    if record.score not in pairs or record.count not in pairs:
        raise Unclear(f"no `{record.score}`, or no `{record.count}`")
    return {**pairs, "text": " ".join(filter(None, rest))}


class _Records:
    """What a file of records holds: the records by their names, and what stands beside them."""

    def __init__(self, document: Any, record: RecordConfig, model: str | None) -> None:
        self.model = model
        self.beside: dict[str, Any] = {}
        self.items: dict[str, Any] = {}
        if document is None:
            return
        listed = document
        if record.items:
            if not isinstance(document, dict):
                raise Unclear("a file of records that is no table")
            listed = _at(document, record.items)  # pyright: ignore[reportUnknownArgumentType]
            self.beside = dict(_leaves(document, "", skip=record.items))  # pyright: ignore[reportUnknownArgumentType]
            if listed is _ABSENT:
                return
        if isinstance(listed, dict) and record.items:
            self.items = {str(name): item for name, item in listed.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            return
        rows: list[Any] = listed if isinstance(listed, list) else [listed]  # pyright: ignore[reportUnknownVariableType]
        for place, item in enumerate(rows):
            name = _name_of(item, record, place)
            if name in self.items:
                raise Unclear("two records of one name")
            self.items[name] = item

    def of(self, item: Any, key: str) -> Any:
        """A value of a record, or of what stands beside all of them; None if there is none."""
        for place in (item, self.beside):
            found = _at(place, key) if key else _ABSENT
            if found is _ABSENT and place is self.beside:
                found = self.beside.get(key, _ABSENT)
            if found is not _ABSENT:
                return found
        return None


def _name_of(item: Any, record: RecordConfig, place: int) -> str:
    if not record.id:
        return str(place)
    found = _at(item, record.id)
    if found is _ABSENT or isinstance(found, dict | list):
        raise Unclear("a record without a name")
    return str(found)


def _at(table: Any, key: str) -> Any:
    """The value at a dotted key; a key with a dot in its name is found as well."""
    if _is_table(table) and key in table:
        return table[key]
    here = table
    for name in key.split("."):
        if not _is_table(here) or name not in here:
            return _ABSENT
        here = here[name]
    return here


def _is_table(value: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def _leaves(table: Any, prefix: str, skip: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(table, dict) or not table:
        yield prefix, table
        return
    for name, value in table.items():  # pyright: ignore[reportUnknownVariableType]
        key = f"{prefix}.{name}" if prefix else str(name)  # pyright: ignore[reportUnknownArgumentType]
        if key != skip:
            yield from _leaves(value, key, skip)


# -- what changes

Told = tuple[Literal["record_score", "set_key"], dict[str, Any]]


def _changes(old: _Records, new: _Records, record: RecordConfig) -> Iterator[Told]:
    dropped = [name for name in old.items if name not in new.items]
    if dropped:
        yield "record_score", {"dropped": len(dropped), "items": dropped[:MAX_NAMED_ITEMS], "edited": True}
    for key, before, after in _differing(old.beside, new.beside):
        yield "set_key", _key(key, before, after, record)
    for name, item in new.items.items():
        known = old.items.get(name, _ABSENT)
        if known is _ABSENT:
            yield "record_score", _scored(name, None, item, old, new, record)
            continue
        flips = _verdict(known, old, record) != _verdict(item, new, record)
        scored = False
        for key, before, after in _differing(dict(_leaves(known, "")), dict(_leaves(item, ""))):
            if key == record.score:
                scored = True
                yield "record_score", _scored(name, known, item, old, new, record)
            else:
                yield "set_key", _key(key, before, after, record) | {"item": name}
        if flips and not scored:
            # Not the score was moved over the threshold, but the threshold under the score.
            yield "record_score", _scored(name, known, item, old, new, record)


def _left_out(old: _Records, new: _Records, record: RecordConfig, *, grows: bool) -> Iterator[Told]:
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
        number = _number(new.of(item, record.count))
        if number is None:
            if _score(item, record) is not None:
                raise Unclear(f"a score without a number at `{record.count}`")
            continue
        before = _number(old.of(old.items[name], record.count)) if name in old.items else None
        wanted = max(record.expected, before or 0)
        if number < wanted and number != before:
            yield "record_score", _short(number, wanted) | {"item": name}


def _short(number: float, wanted: float) -> dict[str, Any]:
    return {"dropped": math.ceil(wanted - number), "counted": number, "expected": wanted, "edited": True}


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if before is _ABSENT or after is _ABSENT or canonical(before) != canonical(after):
            yield key, before, after


def _key(key: str, before: Any, after: Any, record: RecordConfig) -> dict[str, Any]:
    attrs: dict[str, Any] = {"key": key, "control": False, "criteria": _is_criterion(key, record)}
    if before is not _ABSENT:
        attrs["before"] = before
    if after is not _ABSENT:
        attrs["after"] = after
    return attrs


def _is_criterion(key: str, record: RecordConfig) -> bool:
    named = {record.threshold, record.direction, record.judge, record.subject}
    # A rubric may be a table: all that lies in it is a part of it.
    return key in named or any(
        fnmatch.fnmatchcase(key, pattern) or fnmatch.fnmatchcase(key, f"{pattern}.*") for pattern in record.criteria
    )


def _scored(name: str, known: Any, item: Any, old: _Records, new: _Records, record: RecordConfig) -> dict[str, Any]:
    """What rules may know about one score."""
    after = _score(item, record)
    threshold, bound = _bar(item, new, record)
    attrs: dict[str, Any] = {
        "item": name,
        "edited": known is not None and _score(known, record) is not None,
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
            attrs |= {"passes": _passes(after, threshold, bound), "margin": round(abs(after - threshold), 9)}
    if known is not None:
        attrs["before"] = _score(known, record)
        attrs["crosses"] = _verdict(known, old, record) != _verdict(item, new, record)
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


def _score(item: Any, record: RecordConfig) -> float | None:
    return _number(_at(item, record.score))


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


_MIN: Final = frozenset("min minimum above higher gte ge >= > higher_is_better true".split())
_MAX: Final = frozenset("max maximum below lower lte le <= < lower_is_better false".split())


def _bar(item: Any, records: _Records, record: RecordConfig) -> tuple[float | None, Bound]:
    """The threshold of a record, and on which side of it a score passes."""
    threshold = record.threshold
    number = _number(records.of(item, threshold)) if isinstance(threshold, str) else float(threshold)
    if record.direction in ("min", "max"):
        return number, "min" if record.direction == "min" else "max"
    word = str(records.of(item, record.direction)).strip().lower()
    return number, "max" if word in _MAX else "min"


def _passes(score: float, threshold: float, bound: Bound) -> bool:
    return score >= threshold if bound == "min" else score <= threshold


def _verdict(item: Any, records: _Records, record: RecordConfig) -> bool | None:
    """Whether a record passes; None if it has no score or no threshold."""
    score = _score(item, record)
    threshold, bound = _bar(item, records, record)
    return None if score is None or threshold is None else _passes(score, threshold, bound)


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


__all__ = ["Scores", "called_record", "check_record", "read_scores", "record_effects"]
