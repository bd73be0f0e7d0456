"""Uses of mandates, counted where every guard counts them: compare and set, one call at a time in each process.

INVARIANT: cut off, no use is given: whether one is left is not known.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import Final

from guardrail.central._database import Database
from guardrail.errors import Fault, TrailError
from guardrail.mandates import Use

AGAIN_SECONDS: Final = 1.0
"""How long after a failure nobody waits for the database, in seconds; calls are denied at once meanwhile."""

IDLE_SECONDS: Final = 1.0
"""After this time without a use it is looked whether the connection is still there, in seconds."""


class Counts:
    """Counts for several guards together.

    Args:
        store: connection string.
        timeout_seconds: longest wait for an answer, in seconds.
    """

    def __init__(self, store: str, timeout_seconds: float) -> None:
        self._store = store
        self._timeout = timeout_seconds
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._used_at = 0.0
        self._failed_at = float("-inf")
        self._why = ""
        self._pid = os.getpid()

    def take(self, uses: Sequence[Use]) -> tuple[int, ...] | None:
        """Use grants up by one call: all of them, or none; None if one was used up before, by whomever.

        Raises:
            Fault: if it is not known to be counted; it may be, and then that use is lost.
        """
        if os.getpid() != self._pid:
            self._why = "a forked child has no connection of its own"
            raise self._cut(uses)
        if time.monotonic() - self._failed_at < AGAIN_SECONDS:
            raise self._cut(uses)
        if not self._lock.acquire(timeout=self._timeout):
            self._why = "other calls wait for it"
            raise self._cut(uses)
        try:
            taken = self._connected().take(uses)
            self._used_at = time.monotonic()
        except TrailError as error:
            self._failed_at, self._why = time.monotonic(), str(error)
            self._drop()
            raise self._cut(uses) from None
        finally:
            self._lock.release()
        return taken

    def close(self) -> None:
        """Let go."""
        with self._lock:
            self._drop()

    def _connected(self) -> Database:
        if self._database is not None and time.monotonic() - self._used_at > IDLE_SECONDS:
            # A use that was sent and not answered is lost, so a connection that died in the meantime is found before.
            try:
                self._database.ping()
            except TrailError:
                self._drop()
        if self._database is None:
            self._database = Database(self._store, self._timeout)
        return self._database

    def _drop(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _cut(self, uses: Sequence[Use]) -> Fault:
        names = ", ".join(dict.fromkeys(f"`{use.mandate}`" for use in uses))
        return Fault(
            f"the uses of {names} are counted in common, and the centre cannot be asked now: {self._why}:"
            " try again later"
        )
