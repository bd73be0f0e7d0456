"""What happened inside `Guard.run`: it tells the tool's own errors from the guard's, whatever the framework."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from guardrail import Decision
from guardrail.model import FAULT_RULE
from guardrail.review import ReviewError

_log: Final = logging.getLogger("guardrail.adapters")


class Ran:
    """One attempt at a tool: whether it was reached, and what came of it."""

    __slots__ = ("done", "error", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None

    @contextmanager
    def watch(self) -> Generator[None]:
        """Note how the tool ends, which is reached and run within the block."""
        try:
            yield
        except BaseException as error:
            self.error = error
            raise
        self.done = True


def is_fault(decision: Decision) -> bool:
    """Whether a call was denied because judging it failed, which may pass."""
    return any(reason.rule == FAULT_RULE for reason in decision.reasons)


@contextmanager
def reported(what: str) -> Generator[None]:
    """Log a store failure after the fact: what was released stays released and is never run again."""
    try:
        yield
    except ReviewError as error:
        _log.warning("%s was not recorded: %s", what, error)
