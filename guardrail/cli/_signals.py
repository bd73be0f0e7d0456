"""Signals that are sent to end this process, heard for as long as something else has to end first."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What a person, a supervisor and a terminal that closes send."""


@contextmanager
def heard(noticed: Callable[[int], None]) -> Generator[None]:
    """Hear them; afterwards they mean what they meant before.

    Args:
        noticed: is given the number of each, on the main thread; it may raise.
    """
    before = [signal.signal(number, lambda number, _frame: noticed(number)) for number in ENDING]
    try:
        yield
    finally:
        for number, handler in zip(ENDING, before, strict=True):
            signal.signal(number, handler)
