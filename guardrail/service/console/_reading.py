"""What pages read of the trail: its last records, and those of a search, without reading all of a long one."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from guardrail.audit import is_store, trail_place
from guardrail.audit.reading import Chooser, Selection, fields, read_leaves, search
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
