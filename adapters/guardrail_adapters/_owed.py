"""What an agent owes, around a run: taken up when it starts, and looked at when it is through.

Not concerned with how a framework says either; a look that fails stops no run, and the trail denies every later call.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from guardrail import Subject

_log: Final = logging.getLogger("guardrail.adapters")


class Owed:
    """Tells a guard when an agent begins and when it is through.

    Args:
        guard: what keeps the obligations; one without `begin` and `end` is told nothing.
    """

    def __init__(self, guard: object) -> None:
        self._begin: Any = getattr(guard, "begin", None)
        self._end: Any = getattr(guard, "end", None)

    def begin(self, subject: Subject, session: str) -> None:
        """An agent starts."""
        self._tell(self._begin, subject, session)

    def end(self, subject: Subject, session: str) -> None:
        """An agent is through: what it owes and has not done is on record from here on."""
        self._tell(self._end, subject, session)

    def _tell(self, tell: Any, subject: Subject, session: str) -> None:
        if tell is None:
            return
        try:
            tell(subject, session=session)
        except Exception as error:  # noqa: BLE001 - no run is stopped for it
            _log.warning("what an agent owes could not be looked at: %s: %s", type(error).__name__, error)
