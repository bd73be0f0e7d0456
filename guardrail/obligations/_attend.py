"""Whoever owes something and only waits is seen too: a thread that lets a guard attend to what time alone changes.

Not concerned with what there is to attend to: `Guard.attend` is.
Blind spot: where no process lives on between calls, as with a harness hook, nobody attends; a timer has to.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Final

from guardrail.errors import GuardrailError

STOP_SECONDS: Final = 10.0
"""Longest wait for a search that goes on while the guard is closed, in seconds; what it finds is found again later."""


class Attendant:
    """Attends from the moment that there is something to attend to.

    Args:
        attend: a method, called again and again; when its object is gone nothing is called any more.
        failed: is told of faults; the next round is made all the same.
        seconds: how often; 0 means never.
    """

    def __init__(self, attend: Callable[[], object], failed: Callable[[GuardrailError], None], seconds: float) -> None:
        self._attend = weakref.WeakMethod(attend)
        self._failed = failed
        self._seconds = seconds
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._process = 0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin, unless that was done before in this process: a fork has no threads but its first."""
        if not self._seconds or self._over.is_set() or self._process == os.getpid():
            return
        with self._lock:
            if self._process == os.getpid():
                return
            self._process = os.getpid()
            self._thread = threading.Thread(target=self._run, name="guardrail-obligations", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            attend = self._attend()
            if attend is None:
                return
            try:
                attend()
            except GuardrailError as error:
                self._failed(error)
            del attend  # while it waits it keeps no guard alive

    def stop(self) -> None:
        """Attend no more."""
        self._over.set()
        if self._thread is not None and self._process == os.getpid():
            self._thread.join(timeout=STOP_SECONDS)
