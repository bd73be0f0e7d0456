"""What a file is, and why: the strongest evidence that it is, holds or stems from a registered asset.

Not concerned with what follows from it: rules say that. The bounds below are the field's proposals, tuned on renamed,
cut, re-sharded and converted copies and on unrelated files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import BinaryIO, Final, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from guardrail.assets._dates import says
from guardrail.assets.identity._anchors import WAYS, anchors
from guardrail.assets.identity._fingerprint import Fingerprint, Progress, can_read, fingerprint, rows_of
from guardrail.assets.identity._formats import HEAD_BYTES, Format
from guardrail.assets.identity._registry import Registry, state_of
from guardrail.assets.identity._sketch import agreement, matrix_of
from guardrail.assets.identity._tensors import Malformed, Tensor, tensors_of
from guardrail.assets.identity._unpacked import Unreadable, is_worth_it, unpacked

MIN_CONTAINMENT: Final = 0.5
"""Smallest part of a file's tensors, by bytes, that have to be an asset's for the file to contain it."""

MAX_SMALL_BYTES: Final = 64 * 1024
"""Largest file whose anchors are taken without anything else of it being worked out, in bytes."""

MIN_ANCHORS: Final = 8
"""Fewest anchors in common for a file to hold a piece of an asset: about 8 MiB."""

MIN_AGREEMENT: Final = 0.95
"""Smallest agreement of a sketch for a tensor to stem from an asset's."""

MIN_SKETCHES: Final = 2
"""Fewest tensors that have to stem from an asset's, unless there is only one to compare."""

Level = Literal["place", "content", "lineage", "tensors", "anchors", "sketch"]
Conclusion = Literal["is", "contains", "stems-from", "none"]

_STRENGTH: Final[dict[Level, int]] = {"content": 3, "tensors": 2, "anchors": 1, "sketch": 0}
MEANS: Final[dict[Level, Conclusion]] = {
    "place": "is",
    "content": "is",
    "lineage": "contains",
    "tensors": "contains",
    "anchors": "contains",
    "sketch": "stems-from",
}
"""What follows from evidence; `place` and `lineage` are told by whoever knows the inventory."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One reason to take a file for an asset's.

    Args:
        asset: the asset's id.
        path: the registered file it was compared with; of `place` and `lineage` the file itself.
        level: what is the same: `content`, `tensors`, `anchors`, `sketch`; or where it lies, or what made it.
        score: how much of it, from 0 to 1.
        says: the reason in a sentence.
    """

    asset: str
    path: str
    level: Level
    score: float
    says: str


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is.

    Args:
        path: of the file.
        size: in bytes.
        kind: its format.
        conclusion: `is` and `contains` are proof; `stems-from` is a question for a person, never proof.
        asset: the asset's id, if there is one.
        evidence: the reasons, strongest first.
        notes: what could not be looked into.
        dates: what is wrong with the date of a file that is an asset's, in a sentence; empty if nothing is.
        seconds: how long it took.
        cached: nothing was read: the file is as it was the last time.
    """

    path: str
    size: int
    kind: Format | None
    conclusion: Conclusion
    asset: str | None
    evidence: tuple[Evidence, ...]
    notes: tuple[str, ...]
    dates: str
    seconds: float
    cached: bool


def match(path: str, registry: Registry, progress: Progress | None = None) -> Match:
    """Say what a file is.

    Args:
        path: of a regular file; a link at its end is not followed.
        registry: the registered assets.
        progress: told as bytes are read.

    Raises:
        OSError: if it cannot be read.
    """
    started = time.perf_counter()
    status = os.lstat(path)
    state = state_of(status)
    found = registry.recall(state)
    cached = found is not None
    if found is None:
        found = fingerprint(path, registry.key, progress)
        registry.remember(state, found, time.time_ns() // 1000)
    evidence = [*_of_content(registry, found), *_of_tensors(registry, found)]
    notes: list[str] = []
    if not evidence:
        evidence.extend(_of_anchors(registry, np.frombuffer(found.anchors, "<i8")))
    if not evidence and is_worth_it(_head(path), found.kind):
        if found.inner is None:
            cached = False
            found = _opened(path, found, notes)
            if not notes:
                registry.remember(state, found, time.time_ns() // 1000)
        evidence.extend(_of_anchors(registry, np.frombuffer(found.inner or b"", "<i8"), inside=True))
    if not evidence:
        evidence.extend(_of_sketches(path, registry, found))
    evidence.sort(key=lambda one: (-_STRENGTH[one.level], -one.score))
    best = evidence[0] if evidence else None
    return Match(
        path=path,
        size=found.size,
        kind=found.kind,
        conclusion=MEANS[best.level] if best is not None else "none",
        asset=best.asset if best is not None else None,
        evidence=tuple(evidence),
        notes=tuple(notes),
        dates=_dates(path, status, registry, best.asset) if best is not None else "",
        seconds=time.perf_counter() - started,
        cached=cached,
    )


def proven(found: Fingerprint, registry: Registry) -> str | None:
    """The asset that a file is or holds, by what was read of it before; None if that proves nothing.

    Args:
        found: what was read.
        registry: the registered assets.
    """
    evidence = [*_of_content(registry, found), *_of_tensors(registry, found)]
    for ids in (found.anchors, found.inner or b""):
        if not evidence:
            evidence.extend(_of_anchors(registry, np.frombuffer(ids, "<i8")))
    return max(evidence, key=lambda one: (_STRENGTH[one.level], one.score)).asset if evidence else None


class _Times(NamedTuple):
    mtime_ns: int
    ctime_ns: int


def _dates(path: str, status: os.stat_result, registry: Registry, asset: str) -> str:
    if status.st_mtime_ns in registry.dates(asset):
        return ""  # the file itself, or a copy that kept its date
    return says(path, _Times(status.st_mtime_ns, status.st_ctime_ns)) or ""


def _of_content(registry: Registry, found: Fingerprint) -> Iterator[Evidence]:
    for number in registry.of_digest(found):
        known = registry.get(number)
        if known is not None:
            yield Evidence(
                asset=known.asset, path=known.path, level="content", score=1.0, says=f"same content as {known.path}"
            )
    for asset, source, name in registry.of_claims(found):
        says = f"its digest is that of {name} in {source}"
        yield Evidence(asset=asset, path=name, level="content", score=1.0, says=says)


def _of_tensors(registry: Registry, found: Fingerprint) -> Iterator[Evidence]:
    total = sum(found.tensors.values())
    for number, shared in registry.of_tensors(found).items():
        known = registry.get(number)
        score = shared / total
        if known is not None and score >= MIN_CONTAINMENT:
            says = f"{score:.0%} of its tensors, by bytes, are those of {known.path}"
            yield Evidence(asset=known.asset, path=known.path, level="tensors", score=score, says=says)


def _of_anchors(registry: Registry, ids: NDArray[np.int64], *, inside: bool = False) -> Iterator[Evidence]:
    for number, shared in registry.of_anchors(ids.tolist()).items():
        known = registry.get(number)
        if known is None or shared < min(MIN_ANCHORS, _own_anchors(known.fingerprint)):
            continue
        # Of what is asked about all offsets were looked at, of an asset one in so many.
        score = min(1.0, WAYS * shared / max(1, len(ids)))
        where = "what is packed in it" if inside else "it"
        says = f"{where} holds {shared} of the {_own_anchors(known.fingerprint)} anchors of {known.path}"
        yield Evidence(asset=known.asset, path=known.path, level="anchors", score=score, says=says)


def pieces(path: str, registry: Registry, asset: str) -> dict[int, tuple[int, int]]:
    """What a file that was read before, or is small, has in common with an asset, however little it is.

    Args:
        path: of the file.
        registry: the registered assets.
        asset: the asset's id.

    Returns:
        Registered file -> anchors in common, and how many would tell that it holds a piece.

    Raises:
        OSError: if it cannot be looked at.
    """
    status = os.lstat(path)
    if status.st_size <= MAX_SMALL_BYTES:
        ids = _of_small(path)
    else:
        known = registry.recall(state_of(status))
        ids = np.frombuffer(known.anchors if known is not None else b"", "<i8")
    found: dict[int, tuple[int, int]] = {}
    for number, shared in registry.of_anchors(ids.tolist()).items() if len(ids) else ():
        file = registry.get(number)
        if file is not None and file.asset == asset:
            found[number] = (shared, min(MIN_ANCHORS, _own_anchors(file.fingerprint)))
    return found


def _of_small(path: str) -> NDArray[np.int64]:
    """The anchors of a small file, which has few or none: it is read again as quickly as it is remembered."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return anchors(file.read(MAX_SMALL_BYTES)).view(np.int64)


def _own_anchors(known: Fingerprint) -> int:
    return max(1, len(known.anchors) // 8)


def _head(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(HEAD_BYTES)


def _opened(path: str, found: Fingerprint, notes: list[str]) -> Fingerprint:
    """The same, with the anchors of what is packed or encoded in a file, as far as it can be read."""
    ids: list[NDArray[np.uint64]] = []
    try:
        ids.extend(map(anchors, unpacked(path, found.kind, found.size)))
    except Unreadable as error:
        notes.append(str(error))
    inner = np.unique(np.concatenate(ids)).astype("<u8").tobytes() if ids else b""
    return msgspec.structs.replace(found, inner=inner)


def _of_sketches(path: str, registry: Registry, found: Fingerprint) -> Iterator[Evidence]:
    agreed: dict[int, list[float]] = {}
    compared = 0
    with open(path, "rb", buffering=0) as file:
        for tensor, shape in _matrices(file, found):
            read = rows_of(file.fileno(), tensor, shape)
            best: dict[int, float] = {}
            seen = False
            for number, known in registry.of_shape(shape):
                seen = True
                best[number] = max(best.get(number, 0.0), agreement(known, read))
            compared += seen
            for number, score in best.items():
                if score >= MIN_AGREEMENT:
                    agreed.setdefault(number, []).append(score)
    for number, scores in agreed.items():
        known_file = registry.get(number)
        if known_file is not None and len(scores) >= min(MIN_SKETCHES, compared):
            says = f"the signs of {len(scores)} of its large tensors are those of {known_file.path}"
            mean = sum(scores) / len(scores)
            yield Evidence(asset=known_file.asset, path=known_file.path, level="sketch", score=mean, says=says)


def _matrices(file: BinaryIO, found: Fingerprint) -> Iterator[tuple[Tensor, tuple[int, int]]]:
    try:
        tensors = tensors_of(file, found.kind, found.size)
    except Malformed:
        return
    for tensor in tensors:
        shape = matrix_of(tensor.shape)
        if shape is not None and can_read(tensor.dtype):
            yield tensor, shape
