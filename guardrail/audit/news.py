"""What happens to the policy while a guard is open, on its way into the trail."""

from __future__ import annotations

import threading
import warnings

from guardrail.audit._store import AnyTrail
from guardrail.audit.entries import policy_record
from guardrail.errors import ConfigError, TrailError
from guardrail.policy import PolicyNews
from guardrail.telemetry import Telemetry


class NewsDesk:
    """Takes news of the policy from any thread; what comes before the trail is open waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[PolicyNews] = []
        self._trail: AnyTrail | None = None
        self._telemetry: Telemetry | None = None

    def __call__(self, news: PolicyNews) -> None:
        """Take one."""
        with self._lock:
            if self._telemetry is None:
                self._waiting.append(news)
                return
        self._write(news)

    def tell(self, trail: AnyTrail | None, telemetry: Telemetry) -> None:
        """Say where they go from now on.

        Args:
            trail: where they are recorded; None keeps no record.
            telemetry: hears of what was refused.
        """
        with self._lock:
            self._trail, self._telemetry = trail, telemetry
            waiting, self._waiting = self._waiting, []
        for news in waiting:
            self._write(news)

    def _write(self, news: PolicyNews) -> None:
        if news.event == "policy_refused" and self._telemetry is not None:
            self._telemetry.fault(ConfigError(news.why))
        if self._trail is None:
            return
        try:
            self._trail.append(policy_record(news), durable=True)
        except TrailError as error:
            # The trail has failed for good, so every later call is denied, whatever the policy is.
            warnings.warn(f"a change of the policy is not in the trail: {error}", RuntimeWarning, stacklevel=2)
