"""A file of evaluation records as it is read: the records by their names, what stands beside them, and each score.

Not concerned with what an edit changes in it: `_scores` is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final, Literal, TypeGuard

import msgspec

from guardrail.config import RecordConfig
from guardrail.effects import Unclear, read_records

ABSENT: Final = object()
"""Stands for what is not there."""

Bound = Literal["min", "max"]
"""On which side of a threshold a score passes."""


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
        found = Records(document_of(path, data, record), record, None)
    except Unclear as error:
        return str(error)
    means = (as_number(found.beside[key]) for key in ("mean", "average", "mean_score") if key in found.beside)
    threshold = as_number(found.beside.get(record.threshold)) if isinstance(record.threshold, str) else None
    return Scores(
        items={name: score_of(item, record) for name, item in found.items.items()},
        threshold=threshold,
        mean=next((mean for mean in means if mean is not None), None),
        judges={name: str(judge) for name, item in found.items.items() if (judge := found.of(item, record.judge))},
    )


def check_record(path: str, data: bytes, record: RecordConfig) -> str | None:
    """What keeps a file from being judged by its scores; None if nothing does.

    Args:
        path: of the file.
        data: its content.
        record: which key of a record is what.
    """
    found = read_scores(path, data, record)
    if isinstance(found, str):
        return found
    unscored = found.items and all(score is None for score in found.items.values())
    return f"no record in it has a number at `{record.score}`" if unscored else None


_PAIR: Final = re.compile(r"([^\W\d][\w. -]{0,63}?)\s*+[:=]?\s*+(-?\d+(?:\.\d+)?)\s*+%?", re.ASCII)
"""One statement of a report, such as `mean: 71.5`."""


def document_of(path: str, data: bytes, record: RecordConfig) -> Any:
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


class Records:
    """What a file of records holds: the records by their names, and what stands beside them.

    Args:
        document: as `document_of` gives it; None for no file.
        record: which key of a record is what.
        model: the model that they are about, where a record does not say.

    Raises:
        Unclear: if the records have no names, or two of them the same.
    """

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
            self.beside = dict(leaves(document, skip=record.items))  # pyright: ignore[reportUnknownArgumentType]
            if listed is ABSENT:
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
            found = _at(place, key) if key else ABSENT
            if found is ABSENT and place is self.beside:
                found = self.beside.get(key, ABSENT)
            if found is not ABSENT:
                return found
        return None


def _name_of(item: Any, record: RecordConfig, place: int) -> str:
    if not record.id:
        return str(place)
    found = _at(item, record.id)
    if found is ABSENT or isinstance(found, dict | list):
        raise Unclear("a record without a name")
    return str(found)


def _at(table: Any, key: str) -> Any:
    """The value at a dotted key; a key with a dot in its name is found as well."""
    if _is_table(table) and key in table:
        return table[key]
    here = table
    for name in key.split("."):
        if not _is_table(here) or name not in here:
            return ABSENT
        here = here[name]
    return here


def _is_table(value: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def leaves(table: Any, prefix: str = "", skip: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in a table of tables, each with its dotted key; what is at the key `skip` is left out."""
    if not isinstance(table, dict) or not table:
        yield prefix, table
        return
    for name, value in table.items():  # pyright: ignore[reportUnknownVariableType]
        key = f"{prefix}.{name}" if prefix else str(name)  # pyright: ignore[reportUnknownArgumentType]
        if key != skip:
            yield from leaves(value, key, skip)


def score_of(item: Any, record: RecordConfig) -> float | None:
    """The score of a record; None if it has none."""
    return as_number(_at(item, record.score))


def as_number(value: Any) -> float | None:
    """A finite number, also one that is written as text; None for anything else."""
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


_MAX: Final = frozenset("max maximum below lower lte le <= < lower_is_better false".split())


def bar(item: Any, records: Records, record: RecordConfig) -> tuple[float | None, Bound]:
    """The threshold of a record, and on which side of it a score passes: above it, unless the record says otherwise."""
    threshold = record.threshold
    number = as_number(records.of(item, threshold)) if isinstance(threshold, str) else float(threshold)
    if record.direction in ("min", "max"):
        return number, "min" if record.direction == "min" else "max"
    word = str(records.of(item, record.direction)).strip().lower()
    return number, "max" if word in _MAX else "min"


def passes(score: float, threshold: float, bound: Bound) -> bool:
    """Whether a score is on the right side of its threshold."""
    return score >= threshold if bound == "min" else score <= threshold


def verdict(item: Any, records: Records, record: RecordConfig) -> bool | None:
    """Whether a record passes; None if it has no score or no threshold."""
    score = score_of(item, record)
    threshold, bound = bar(item, records, record)
    return None if score is None or threshold is None else passes(score, threshold, bound)
