"""Bytes under a mask that repeats: what is between one byte and a later one is the same without the mask.

Not concerned with masks that do not repeat, which leave nothing to find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

STEPS: Final = (5, 6, 7, 8)
"""How far apart bytes are that are compared: between them they are multiples of every length up to 8 bytes."""

MAX_MASKED: Final = 8
"""Most readings of what a call carries that are looked for."""

_WINDOW: Final = 32
_MIN_DISTINCT: Final = 12
"""Fewest different bytes in a window: what counts up, or repeats, looks alike everywhere."""


class Masked:
    """What a call carries, as the differences between its bytes.

    Args:
        readings: what may be bytes of an asset under a mask.
    """

    def __init__(self, readings: Sequence[bytes]) -> None:
        self._windows: list[tuple[int, bytes]] = []
        for data in readings[:MAX_MASKED]:
            for step, differences in _all_differences(data):
                last = len(differences) - _WINDOW
                for start in {0, last} if last >= 0 else ():
                    window = differences[start : start + _WINDOW]
                    if len(set(window)) >= _MIN_DISTINCT:
                        self._windows.append((step, window))

    def __bool__(self) -> bool:
        return bool(self._windows)

    def stand_in(self, data: bytes) -> bool:
        """Whether bytes of a file, under a mask, are what the call carries.

        Args:
            data: a part of the file.
        """
        wanted = {step for step, _ in self._windows}
        known = {step: differences for step, differences in _all_differences(data) if step in wanted}
        return any(window in known[step] for step, window in self._windows if step in known)


def _all_differences(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Exclusive-or at each step; at step 0, by how much each byte is more than the one before."""
    if len(data) <= max(STEPS):
        return
    for step in STEPS:
        ahead, behind = int.from_bytes(data[step:]), int.from_bytes(data[:-step])
        yield step, (ahead ^ behind).to_bytes(len(data) - step)
    size = len(data) - 1
    high, low = int.from_bytes(b"\x80" * size), int.from_bytes(b"\x7f" * size)
    ahead, behind = int.from_bytes(data[1:]), int.from_bytes(data[:-1])
    # Byte by byte, without a borrow from the next one.
    yield 0, (((ahead | high) - (behind & low)) ^ ((ahead ^ behind ^ high) & high)).to_bytes(size)
