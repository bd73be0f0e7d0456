"""How many calls are judged at one time; what is over the limit is not judged, which is a denial."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from guardrail.config import ServiceConfig
from guardrail.service._http import Problem


class Turns:
    """The turns of all routes that judge.

    Args:
        settings: `[service]`.
    """

    def __init__(self, settings: ServiceConfig) -> None:
        self._most = settings.concurrency
        self.active = 0
        """Calls that are being judged now."""

    @contextmanager
    def turn(self) -> Generator[None]:
        """One call's turn.

        Raises:
            Problem: if there is none now.
        """
        if self.active >= self._most:
            raise Problem("overloaded", f"{self._most} requests are being judged already: ask again")
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1
