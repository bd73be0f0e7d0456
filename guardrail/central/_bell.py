"""Something to ring from any thread, so that the one that waits for the centre looks at once."""

from __future__ import annotations

import os
import weakref
from typing import Final


class Bell:
    """A pipe that can be waited for beside a connection."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # INVARIANT: it is never closed while somebody may ring: the number could be another file's by then.
        self._end: Final = weakref.finalize(self, _close, self._read, self._write)

    def fileno(self) -> int:
        """What to wait for."""
        return self._read

    def ring(self) -> None:
        """Ring; waits for nobody, and twice is once."""
        try:
            os.write(self._write, b"!")
        except BlockingIOError:
            pass  # it rings already

    def hush(self) -> None:
        """Whoever waited is here."""
        try:
            while os.read(self._read, 4096):
                pass
        except BlockingIOError:
            pass


def _close(*numbers: int) -> None:
    for number in numbers:
        os.close(number)
