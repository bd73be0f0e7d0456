"""Counting in bounded memory: names, moments and durations. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

MAX_NAMES: Final = 5_000
"""Most names that are told apart in one table; agents choose names, and must not fill the memory with them."""

MAX_CHARS: Final = 200
"""Longest name that is kept, in characters."""

OTHERS: Final = "(others)"
"""Stands for every name beyond `MAX_NAMES`."""

MAX_MOMENTS: Final = 4_096
"""Most steps of time that are kept at once; of more, two or more become one."""

MAX_DURATIONS: Final = 50_000
"""Most durations that are kept; of more, the first ones speak for all, and the report says so."""

WIDTHS: Final = (1, 10, 60, 600, 3_600, 21_600, 86_400, 604_800, 2_592_000, 31_536_000)
"""Steps that a time axis may have, in seconds: 1 s to a year."""


class Counts:
    """For each name, how often each thing was seen."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, int]] = {}
        self.cut = False

    def add(self, name: str, column: str) -> None:
        """Count one."""
        key = name[:MAX_CHARS]
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= MAX_NAMES:
                self.cut, key = True, OTHERS
            row = self._rows.setdefault(key, {})
        row[column] = row.get(column, 0) + 1

    def __len__(self) -> int:
        return len(self._rows)

    def total(self, column: str) -> int:
        """How often a thing was seen, under any name."""
        return sum(row.get(column, 0) for row in self._rows.values())

    def row(self, name: str) -> Mapping[str, int]:
        """What was seen under a name."""
        return self._rows.get(name, {})

    def largest(self, most: int) -> list[tuple[str, Mapping[str, int]]]:
        """The rows with the largest sums, in their order; among equals by name."""
        rows: list[tuple[str, Mapping[str, int]]] = list(self._rows.items())
        return sorted(rows, key=lambda item: (-sum(item[1].values()), item[0]))[:most]


class Timeline:
    """How often each thing was seen in each step of time."""

    def __init__(self) -> None:
        self.width = WIDTHS[0]
        self._steps: dict[int, dict[str, int]] = {}

    def add(self, t_us: int, column: str) -> None:
        """Count one."""
        step = self._steps.setdefault(t_us // 1_000_000 // self.width, {})
        step[column] = step.get(column, 0) + 1
        if len(self._steps) > MAX_MOMENTS and self.width < WIDTHS[-1]:
            self._widen(next(width for width in WIDTHS if width > self.width))

    def _widen(self, width: int) -> None:
        old, self._steps = self._steps, {}
        for number, row in old.items():
            step = self._steps.setdefault(number * self.width // width, {})
            for column, count in row.items():
                step[column] = step.get(column, 0) + count
        self.width = width

    def steps(
        self, most: int, since_us: int | None = None, until_us: int | None = None
    ) -> list[tuple[int, Mapping[str, int]]]:
        """The steps in order, none left out, at most `most` of them: when each begins in seconds, and its counts.

        The axis reaches over the whole period where that has bounds: that nothing was written has to be seen.
        """
        numbers = [number * self.width for number in self._steps]
        low = since_us // 1_000_000 if since_us is not None else min(numbers, default=0)
        high = (until_us - 1) // 1_000_000 if until_us is not None else max(numbers, default=0)
        for width in WIDTHS:
            if width >= self.width and high // width - low // width < most:
                break
        else:
            width = WIDTHS[-1]
            low = max(low, (high // width - most + 1) * width)
        self._widen(width)
        first = low // width
        return [(number * width, self._steps.get(number, {})) for number in range(first, high // width + 1)]


class Durations:
    """How long things took."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[int] = []

    def add(self, duration_us: int) -> None:
        """Take one, in microseconds; clocks that went back make it nothing."""
        self.count += 1
        if len(self._kept) < MAX_DURATIONS:
            self._kept.append(max(0, duration_us))

    @property
    def cut(self) -> bool:
        """Whether some were counted only."""
        return self.count > len(self._kept)

    def share(self, part: float) -> int | None:
        """The duration that this part of them does not exceed (nearest rank), in microseconds."""
        if not self._kept:
            return None
        return sorted(self._kept)[max(0, math.ceil(part * len(self._kept)) - 1)]

    def within(self, bounds_us: tuple[int, ...]) -> list[int]:
        """How many lie up to each bound and above the one before; the last number is of those above all bounds."""
        found = [0] * (len(bounds_us) + 1)
        for duration in self._kept:
            found[next((place for place, bound in enumerate(bounds_us) if duration <= bound), len(bounds_us))] += 1
        return found
