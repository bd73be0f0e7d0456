"""Whether an evaluation was done as ordered: every item scored, and nothing said of the scores that is not true.

The mean is computed here from the records; what the file, or anybody, says of it counts for nothing.
A second result for the same items is held against the first, and so is a judge other than the one who was ordered.
Blind spot: a score that was made up from the start is a score; a second result under another name is another file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Final

from guardrail.assets import Asset, Scores, read_scores
from guardrail.config import RecordConfig
from guardrail.obligations._events import Finding, Looked, Terms

MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
"""Largest file of records that is read, in bytes."""

MAX_BESIDE: Final = 32
"""Most files beside one record that are compared with it."""

MAX_NAMED: Final = 16
"""Most items that are named in one sentence."""

MAX_KEPT_BYTES: Final = 24 * 1024
"""How much of one record the scores may take, as they were first read, in bytes; of the rest no change is seen."""


def look_at_scores(
    asset: Asset, terms: Terms, first: dict[str, str], now_us: int, declared: Collection[str] = ()
) -> Looked:
    """Look at the records of an evaluation that is owed.

    Args:
        asset: the records.
        terms: what is owed.
        first: item -> digest of its score when it was first read.
        now_us: the time, in microseconds since 1970.
        declared: paths that are assets of their own, and so no second result of this one.
    """
    scores = scores_of(asset)
    if isinstance(scores, str):
        return Looked(result="unknown", at_us=now_us, evidence=(scores,))
    found = [*_missing(scores.items, terms), *_tampered(scores, terms, first), *_contradictions(asset, declared)]
    given = first_read(scores)
    evidence = tuple(one.says for one in found) or (_summary(scores.items),)
    return Looked(
        result="present" if found else "absent",
        at_us=now_us,
        evidence=evidence,
        findings=tuple(found),
        scores=kept({**given, **first}),
    )


def first_read(scores: Scores) -> dict[str, str]:
    """Digest of each score that there is."""
    return {name: _digest(score) for name, score in scores.items.items() if score is not None}


def kept(scores: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Digests, as many as a record has room for."""
    left, some = MAX_KEPT_BYTES, list[tuple[str, str]]()
    for name, digest in scores.items():
        # As JSON in JSON a character may take six bytes.
        left -= 6 * len(name) + len(digest) + 8
        if left < 0:
            break
        some.append((name, digest))
    return tuple(some)


def is_below(asset: Asset, terms: Terms) -> tuple[bool | None, str]:
    """Whether the mean of an evaluation is below the number that an order names.

    Args:
        asset: the records.
        terms: what is owed, if it is.

    Returns:
        That, or None if it cannot be told, and the reason in a sentence.
    """
    scores = scores_of(asset)
    if isinstance(scores, str):
        return None, scores
    missing = next(_missing(scores.items, terms), None)
    if missing is not None:
        return None, f"the mean of `{asset.id}` is not known yet: {missing.says}"
    mean = _mean(scores.items)
    told = f"the mean of `{asset.id}` is {float(mean):.6g}, which is {{}}below {terms.below}"
    holds = mean < Fraction(terms.below)
    return holds, told.format("" if holds else "not ")


def scores_of(asset: Asset) -> Scores | str:
    """The scores in the files of an evaluation, or why they cannot be told; of two for one item the first counts."""
    found = read_all(asset)
    if isinstance(found, str):
        return found
    items: dict[str, float | None] = {}
    for scores in found.values():
        items = {**scores.items, **{name: score for name, score in items.items() if score is not None}}
    every = list(found.values())
    return Scores(
        items=items,
        threshold=next((one.threshold for one in every if one.threshold is not None), None),
        mean=next((one.mean for one in every if one.mean is not None), None),
        judges={name: judge for one in reversed(every) for name, judge in one.judges.items()},
    )


def read_all(asset: Asset) -> dict[str, Scores] | str:
    """The scores in each file of an evaluation, or why they cannot be told."""
    if asset.record is None:
        return f"`{asset.id}` has no [asset.record] that says where its scores are"
    every: dict[str, Scores] = {}
    for path in _files(asset):
        found = _read(path, asset.record)
        if isinstance(found, str):
            return found
        every[path] = found
    return every


def _read(path: str, record: RecordConfig) -> Scores | str:
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_RECORD_BYTES + 1)
    except OSError as error:
        return f"`{path}` cannot be read: {(error.strerror or str(error)).lower()}"
    if len(data) > MAX_RECORD_BYTES:
        return f"`{path}` is larger than {MAX_RECORD_BYTES} bytes"
    found = read_scores(path, data, record)
    # What is wrong comes first: of a long sentence the middle is left out.
    return f"cannot be read: the scores in `{path}`: {found}" if isinstance(found, str) else found


def _contradictions(asset: Asset, declared: Collection[str]) -> Iterator[Finding]:
    """Other results for the same items: in two files of the record, or in one that lies beside it under its name."""
    every = read_all(asset)
    if isinstance(every, str) or asset.record is None:
        return
    known: dict[str, tuple[str, float]] = {}
    beside = {
        path: found for path in _beside(every, declared) if not isinstance(found := _read(path, asset.record), str)
    }
    for path, scores in {**every, **beside}.items():
        other = [
            name
            for name, score in scores.items.items()
            if score is not None and known.setdefault(name, (path, score))[1] != score
        ]
        if other:
            first = known[other[0]][0]
            names = ", ".join(f"`{name}`" for name in other[:MAX_NAMED])
            says = f"`{path}` gives other scores than `{first}` to {len(other)} items: {names}"
            yield Finding(kind="evaluator_tampered", says=says, path=path)


def _beside(files: Collection[str], declared: Collection[str]) -> Iterator[str]:
    """Files beside the records whose names begin as theirs do: `scores-2.json` is a second result of `scores.json`."""
    for path in files:
        folder, _, name = path.rpartition("/")
        stem, _, kind = name.partition(".")
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        alike = [one for one in names if one.startswith(stem) and one.endswith(f".{kind}") and one != name]
        for other in (f"{folder}/{one}" for one in alike[:MAX_BESIDE]):
            if other not in files and other not in declared and os.path.isfile(other) and not os.path.islink(other):
                yield other


def _files(asset: Asset) -> Iterator[str]:
    for root in asset.roots:
        if os.path.isdir(root):
            yield from sorted(entry.path for entry in os.scandir(root) if entry.is_file(follow_symlinks=False))
        elif os.path.lexists(root):
            yield root


def _missing(items: dict[str, float | None], terms: Terms) -> Iterator[Finding]:
    scored = {name for name, score in items.items() if score is not None}
    wanted = [name for name in terms.items if name not in scored]
    number, of = (len(wanted), len(terms.items)) if terms.items else (max(0, terms.count - len(scored)), terms.count)
    if not number:
        return
    names = f": {', '.join(f'`{name}`' for name in wanted[:MAX_NAMED])}" if wanted else ""
    says = f"{number} of {of} items have no score{names}"
    # With none of them it was not done at all; that is said when it is due.
    yield Finding(kind="partial" if scored else "missing", says=says)


def changed_scores(scores: Scores, first: dict[str, str]) -> Iterator[Finding]:
    """Scores that are not any more as they were first read."""
    changed = [name for name, digest in first.items() if _digest(scores.items.get(name)) != digest]
    if changed:
        names = ", ".join(f"`{name}`" for name in changed[:MAX_NAMED])
        yield Finding(
            kind="evaluator_tampered", says=f"{len(changed)} scores were changed after they were given: {names}"
        )


def _tampered(scores: Scores, terms: Terms, first: dict[str, str]) -> Iterator[Finding]:
    """What was changed of scores, or is stated of them and not so."""
    yield from changed_scores(scores, first)
    wrong = [
        name
        for name, score in scores.items.items()
        if terms.judge and score is not None and not fnmatchcase(scores.judges.get(name, ""), terms.judge)
    ]
    if wrong:
        who = scores.judges.get(wrong[0]) or "nobody that is named"
        names = ", ".join(f"`{name}`" for name in wrong[:MAX_NAMED])
        says = f"{len(wrong)} items were scored by `{who}` or others, and `{terms.judge}` was ordered: {names}"
        yield Finding(kind="evaluator_tampered", says=says)
    complete = scores.items and all(score is not None for score in scores.items.values())
    mean = float(_mean(scores.items)) if complete else None
    if scores.mean is not None and mean is not None and abs(mean - scores.mean) > _near(scores.mean):
        says = f"the records state a mean of {scores.mean:.6g}, and the mean of the scores is {mean:.6g}"
        yield Finding(kind="evaluator_tampered", says=says)
    if terms.below and scores.threshold is not None and Fraction(scores.threshold) != Fraction(float(terms.below)):
        says = f"the records state a threshold of {scores.threshold:.6g}, and {terms.below} was ordered"
        yield Finding(kind="evaluator_tampered", says=says)


def _near(mean: float) -> float:
    """How far a stated mean may lie from the real one: people round to two places."""
    return 0.005 + 1e-9 if round(mean, 2) == mean else abs(mean) * 1e-6 + 1e-9


def _mean(items: dict[str, float | None]) -> Fraction:
    known = [Fraction(str(score)) for score in items.values() if score is not None]
    return sum(known, Fraction()) / len(known)


def _digest(score: float | None) -> str:
    return hashlib.sha256(repr(score).encode()).hexdigest()[:16]


def _summary(items: dict[str, float | None]) -> str:
    mean = f", their mean is {float(_mean(items)):.6g}" if items else ""
    return f"{len(items)} items have a score{mean}"
