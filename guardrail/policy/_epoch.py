"""The clock that ends evaluations: one thread for the process, ticking the epoch of every live wasm engine.

Not concerned with how long a decision may take: each evaluation sets its own deadline in ticks.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import wasmtime

TICK_SECONDS: Final = 0.010
"""Time between two ticks, in seconds; the precision of a deadline."""


class _Ticker:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engines: tuple[weakref.ref[wasmtime.Engine], ...] = ()
        self._stop: threading.Event | None = None

    def add(self, engine: wasmtime.Engine) -> None:
        with self._lock:
            self._engines = (*self._live(), weakref.ref(engine))
            if self._stop is None:
                self._start()

    def remove(self, engine: wasmtime.Engine) -> None:
        with self._lock:
            self._engines = tuple(ref for ref in self._live() if ref() is not engine)
            if not self._engines and self._stop is not None:
                self._stop.set()
                self._stop = None

    def after_fork(self) -> None:
        # INVARIANT: a deadline holds in a forked child too. Threads do not survive a fork, and the lock may be held.
        self._lock = threading.Lock()
        self._stop = None
        if self._engines:
            self._start()

    def _live(self) -> tuple[weakref.ref[wasmtime.Engine], ...]:
        return tuple(ref for ref in self._engines if ref() is not None)

    def _start(self) -> None:
        self._stop = threading.Event()
        threading.Thread(target=self._run, args=(self._stop,), name="guardrail-epoch", daemon=True).start()

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(TICK_SECONDS):
            for ref in self._engines:
                engine = ref()
                if engine is not None:
                    engine.increment_epoch()


_ticker: Final = _Ticker()
os.register_at_fork(after_in_child=_ticker.after_fork)


def start_ticking(engine: wasmtime.Engine) -> None:
    """Tick this engine from now on, until `stop_ticking` or until it is collected."""
    _ticker.add(engine)


def stop_ticking(engine: wasmtime.Engine) -> None:
    """Tick this engine no longer."""
    _ticker.remove(engine)


def ticks(seconds: float) -> int:
    """Time left, in ticks, rounded up; at least one."""
    return max(1, int(seconds / TICK_SECONDS) + 1)
