"""Intents without a result: which they are at any moment, and what becomes of them after a crash.

Which are open is kept with the saved frontier, so that a start reads the last segment only; without it, everything is
read and the answer is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from guardrail.audit._place import is_store
from guardrail.audit._segment import FRAME_BYTES, HEAD, MAGIC, read_frame

MAX_OPEN: Final = 100_000
"""Most open intents that are kept in mind; of more, the oldest stay without a result."""

MAX_READ: Final = 1000
"""Most open intents whose records are read again at a start: the newest."""

MAX_SEGMENTS_READ: Final = 4
"""Most segments that are read for them: the newest."""

Answers = Callable[[Sequence[int], Mapping[int, dict[str, Any]]], Sequence[Mapping[str, Any]]]
"""From open intents, and what could be read of them, to the records that answer them."""

_MARKS: Final = (b'"kind":"intent"', b'"kind":"result"')
"""One of them is in the canonical form of every record that matters here; inside a string the quotes are escaped."""


class Unfinished:
    """The open intents of a trail.

    Args:
        seqs: their numbers, in order.
    """

    __slots__ = ("_open",)

    def __init__(self, seqs: Iterable[int] = ()) -> None:
        self._open = dict.fromkeys(seqs)

    @property
    def seqs(self) -> list[int]:
        """Numbers of the open intents, in order."""
        return list(self._open)

    def take(self, record: Mapping[str, Any], seq: int) -> None:
        """Go on by one record, in the order of the trail."""
        if record.get("kind") == "intent":
            self._open[seq] = None
            if len(self._open) > MAX_OPEN:
                del self._open[next(iter(self._open))]
        else:
            for intent in answered(record):
                self._open.pop(intent, None)

    def take_leaf(self, leaf: bytes, seq: int) -> None:
        """Go on by one leaf; nearly all are neither an intent nor a result, and are not parsed."""
        if _MARKS[0] in leaf or _MARKS[1] in leaf:
            try:
                record = orjson.loads(leaf)
            except ValueError:
                return  # what is wrong with it is for the verifier to say
            if isinstance(record, dict):
                self.take(record, seq)  # pyright: ignore[reportUnknownArgumentType]


def answered(record: Mapping[str, Any]) -> list[int]:
    """The intents that a record is the result of: nearly always one."""
    if record.get("kind") != "result":
        return []
    many = record.get("intents")
    found: list[Any] = many if isinstance(many, list) else [record.get("intent")]  # pyright: ignore[reportUnknownVariableType]
    return [seq for seq in found if isinstance(seq, int)]


def read_again(directory: Path | str, seqs: Iterable[int]) -> dict[int, dict[str, Any]]:
    """The newest of these records, as far as the bounds allow and they can be read.

    Args:
        directory: the trail: a directory, or the address of a shared one.
        seqs: their numbers.

    Raises:
        OSError: if a segment cannot be read.
        TrailError: if the database cannot be read.
    """
    wanted = sorted(seqs)[-MAX_READ:]
    if is_store(directory):
        from guardrail.audit.postgres import Reader

        with Reader.open(str(directory)) as reader:
            return {seq: orjson.loads(leaf) for seq, leaf in reader.some(wanted)}
    files = sorted((int(path.stem), path) for path in Path(directory).glob("*.seg") if path.stem.isdecimal())
    found: dict[int, dict[str, Any]] = {}
    opened = 0
    for first, path in reversed(files):
        here = [seq for seq in wanted if seq >= first]
        if here:
            if opened == MAX_SEGMENTS_READ:
                break
            opened += 1
            found.update(_records(path.read_bytes(), first, set(here)))
            wanted = wanted[: len(wanted) - len(here)]
    return found


def _records(data: bytes, first: int, wanted: set[int]) -> Iterable[tuple[int, dict[str, Any]]]:
    at, last = 0, max(wanted)
    for seq in range(first, last + 1):
        if at + FRAME_BYTES > len(data) or not data.startswith(MAGIC, at):
            return
        if seq in wanted:
            frame = read_frame(data, at)
            record = orjson.loads(frame.leaf) if frame is not None and frame.seq == seq else None
            if isinstance(record, dict):
                yield seq, record
        at += FRAME_BYTES + HEAD.unpack_from(data, at)[1]
