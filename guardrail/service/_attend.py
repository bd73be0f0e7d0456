"""Whoever owes something and only waits is seen too: a thread that lets the guard attend to what time alone changes."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from guardrail.errors import GuardrailError

if TYPE_CHECKING:
    from guardrail.guard import Guard
    from guardrail.telemetry import Telemetry

ATTEND_SECONDS: Final = 10.0
"""How often the guard looks at what is due and at people's words, in seconds."""


@contextmanager
def attending(guard: Guard, telemetry: Telemetry, seconds: float = ATTEND_SECONDS) -> Generator[None]:
    """Let a guard attend to what is owed for as long as this lasts.

    Args:
        guard: whose duties.
        telemetry: is told of faults; the guard goes on, and denies calls where a record cannot be written.
        seconds: how often.
    """
    over = threading.Event()

    def attend() -> None:
        while not over.wait(seconds):
            try:
                guard.attend()
            except GuardrailError as error:
                telemetry.fault(error)

    thread = threading.Thread(target=attend, name="guardrail-obligations", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        # A search may take long; what it finds after the trail is closed is found again at the next start.
        thread.join(timeout=seconds)
