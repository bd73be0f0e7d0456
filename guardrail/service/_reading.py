"""What pages and routes read of the trail: some of its records and their proofs, without reading all of a long one."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from guardrail.audit import AnyTrail, is_store, trail_place
from guardrail.audit.reading import Chooser, Selection, fields, prove, read_leaves, search
from guardrail.audit.reading import Place as LeafPlace
from guardrail.audit.reading._index import index_path
from guardrail.config import Config

SHOWN: Final = 100
"""Most records on one page."""

WINDOW: Final = 20_000
"""How many of the last records are looked through where there is no index."""


class Line(NamedTuple):
    """One record and its number."""

    seq: int
    record: dict[str, Any]


class Stretch(NamedTuple):
    """Records in the order of the trail, and the number after which the next ones come; None if there are none."""

    lines: tuple[Line, ...]
    following: int | None


class Reading:
    """The trail of a configuration, read from its files or its database beside whoever writes it.

    Args:
        config: its `[trail]` says where.
    """

    def __init__(self, config: Config) -> None:
        place = trail_place(config)
        self.place: Path | str = place if is_store(place) else Path(place)

    @property
    def is_indexed(self) -> bool:
        """Whether a search finds old records too."""
        return isinstance(self.place, Path) and index_path(self.place).is_file()

    def last(self, size: int, count: int = SHOWN) -> list[Line]:
        """The last records, newest first.

        Args:
            size: how many records the trail has.
            count: how many are wanted.

        Raises:
            OSError: if the trail cannot be read.
            TrailError: if its database cannot be read.
        """
        kept: deque[Line] = deque(self._from(size - count), count)
        return list(reversed(kept))

    def find(self, selection: Selection, size: int, count: int = SHOWN) -> list[Line]:
        """The newest of the records that are asked for, newest first.

        Args:
            selection: what is asked for.
            size: how many records the trail has.
            count: most that are wanted.

        Raises:
            OSError: if the trail cannot be read.
            TrailError: if its database cannot be read.
        """
        kept: deque[Line] = deque(maxlen=count)
        if self.is_indexed and selection.by_content:
            kept.extend(Line(found.seq, record) for found, record in search(self.place, selection))
        else:
            chooser = Chooser(selection)
            kept.extend(line for line in self._from(size - WINDOW) if chooser.wants(*line))
        return list(reversed(kept))

    def stretch(self, selection: Selection, after: int, size: int, count: int = SHOWN) -> Stretch:
        """The records that are asked for from a number on; of a trail without an index at most `WINDOW` are looked at.

        Args:
            selection: what is asked for.
            after: the number before the first one.
            size: how many records the trail has.
            count: most that are wanted.

        Raises:
            OSError: if the trail cannot be read.
            TrailError: if its database cannot be read.
        """
        first, lines = after + 1, list[Line]()
        if self.is_indexed and selection.by_content:
            # What is behind the durable records may become visible in any order, and would be passed over.
            known = msgspec.structs.replace(selection, first=first, last=size - 1)
            for found, record in search(self.place, known):
                lines.append(Line(found.seq, record))
                if len(lines) == count:
                    return Stretch(tuple(lines), found.seq)
            return Stretch(tuple(lines), None)
        last, chooser = min(first + WINDOW, size) - 1, Chooser(selection)
        # A result is known by its intent, which is some records before it.
        for line in self._from(first - WINDOW if selection.by_content else first):
            if line.seq > last:
                break
            if chooser.wants(*line) and line.seq >= first:
                lines.append(line)
                if len(lines) == count:
                    last = line.seq
                    break
        return Stretch(tuple(lines), last if last < size - 1 else None)

    def proof(self, seq: int, trail: AnyTrail | None) -> str:
        """The proof that a record is in the signed trail, as a C2SP tlog-proof.

        Args:
            seq: number of the record.
            trail: signs what no checkpoint covers yet.

        Raises:
            TrailError: if there is no such record, or it cannot be proven.
            OSError: if the trail cannot be read.
        """
        if trail is not None:
            trail.checkpoint()
        return prove(self.place, seq).text

    def one(self, seq: int) -> Line | None:
        """One record."""
        for line in self._from(seq):
            if line.seq >= seq:
                return line if line.seq == seq else None
        return None

    def window(self, size: int) -> Iterator[dict[str, Any]]:
        """The last records, oldest first."""
        return (record for _, record in self._from(size - WINDOW))

    def hits(self, size: int) -> Counter[str]:
        """How often each rule asked for something among the last records."""
        counts: Counter[str] = Counter()
        for record in self.window(size):
            counts.update(fields.rules_of(record))
        return counts

    def _from(self, first: int) -> Iterator[Line]:
        for found in read_leaves(self.place, self._begin(max(first, 0))):
            record = found.record() if found.seq >= first else None
            if record is not None:
                yield Line(found.seq, record)

    def _begin(self, first: int) -> LeafPlace | None:
        """Where the segment begins that holds a record."""
        if not isinstance(self.place, Path):
            return LeafPlace("", 0, first)
        names = sorted(name for name in os.listdir(self.place) if name.endswith(".seg") and name[:20].isdigit())
        holding = [name for name in names if int(name[:20]) <= first]
        return LeafPlace(holding[-1], 0, int(holding[-1][:20])) if holding else None
