"""A guard's side of the centre: what it opens, what it is told, and what it says when the way is cut."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Literal

import msgspec

from guardrail.audit import AnyTrail, Trail, trail_key
from guardrail.central._bell import Bell
from guardrail.central._counts import Counts
from guardrail.central._database import Database
from guardrail.central._elsewhere import Elsewhere
from guardrail.central._exchange import Exchange
from guardrail.central._follower import Follower
from guardrail.central._kept import Kept
from guardrail.central._reporter import Reporter
from guardrail.central._signed import Pen
from guardrail.central._status import NOT_YET, Status, moment
from guardrail.config import Config, secret
from guardrail.errors import ConfigError, TrailError
from guardrail.mandates import MandateLedger
from guardrail.review import Clerk, ReviewDesk
from guardrail.telemetry import Telemetry

CLOSE_SECONDS: Final = 5.0
"""Longest wait for the thread to end when a guard is closed, in seconds."""


class Central:
    """What a guard has in common with others.

    Args:
        config: its `[central]` names the database.
        trail: the guard's own.

    Raises:
        ConfigError: if the database is in an environment variable that is not set, or `mandates.directory` cannot be
            written.
    """

    def __init__(self, config: Config, trail: AnyTrail) -> None:
        self._config = config
        self._trail = trail
        self._store = secret(config.central.store, "central.store")
        self.counts = Counts(self._store, config.central.timeout_seconds)
        """Counts uses of mandates for all guards together."""
        directory = config.path(config.mandates.directory)
        try:
            self._kept = Kept(directory)
        except OSError as error:
            raise ConfigError(
                f"cannot make `{directory}` for what is ordered at the centre: {(error.strerror or str(error)).lower()}"
            ) from None
        self._telemetry: Telemetry | None = None
        self._reporter: Reporter | None = None
        self._follower: Follower | None = None
        self._bell = Bell()
        self.elsewhere = Elsewhere(config) if config.central.escalations else None
        """Escalations of other guards; None if they are not asked for."""

    @property
    def status(self) -> Status:
        """How it stands with the centre."""
        return self._follower.status if self._follower is not None else Status(cut=NOT_YET)

    def follow(self, ledger: MandateLedger, telemetry: Telemetry, facts: Callable[[], Mapping[str, str]]) -> None:
        """Begin to keep up; waits a moment for what is new, and goes on with what was last seen if nothing comes.

        Args:
            ledger: learns how often grants were used.
            telemetry: hears when the way is cut, and when it is back.
            facts: what the guard says of itself.
        """
        self._telemetry = telemetry
        inventory = hashlib.sha256(msgspec.json.encode(self._config.assets)).hexdigest()

        def said() -> Mapping[str, str]:
            return {"inventory": f"sha256:{inventory}", "mode": self._config.mode, **facts()}

        # A trail that replicas share is at the centre itself.
        if isinstance(self._trail, Trail):
            self._reporter = Reporter(self._trail, self._config.trail.origin, said)
        self._follower = Follower(
            self._store,
            self._config.central,
            self._kept,
            ledger.restore,
            self._reporter,
            self._changed,
            self._bell,
            self._config.trail.origin if self._config.central.escalations else "",
        )
        self._follower.start(self._config.central.timeout_seconds)

    def share(self, desk: ReviewDesk, clerk: Clerk) -> None:
        """Begin to show what waits here, and to hear what people say to it; if that is wanted.

        Args:
            desk: whose escalations.
            clerk: takes what people signed.

        Raises:
            TrailError: if the trail's key cannot be used.
            OSError: if it cannot be read.
        """
        if self._follower is None or not self._config.central.escalations:
            return
        exchange = Exchange(desk, clerk, Pen(trail_key(self._config), self._config.trail.origin))
        exchange.ring(self._bell)
        self._follower.exchange = exchange
        self._bell.ring()

    def close(self) -> None:
        """Have the last checkpoint recorded, if the centre answers now, and let go; the trail is closed by then."""
        self.counts.close()
        if self._follower is None:
            return
        if self._follower.exchange is not None:
            self._follower.exchange.close()
        self._follower.close(CLOSE_SECONDS)
        if self._reporter is not None:
            # What does not arrive now does when the trail is opened again.
            with suppress(TrailError), Database(self._store, self._config.central.timeout_seconds) as database:
                self._reporter.report(database)

    def _changed(self, before: Status, now: Status) -> None:
        """Put on record what people may have to do something about."""
        if bool(now.cut) != (before.cut not in ("", NOT_YET)):
            away = f"it was away since {moment(before.contact_us)}"
            self._tell("cut" if now.cut else "back", now.cut or away, before)
        if now.refused and not before.refused:
            self._tell("refused", now.refused, before)

    def _tell(self, what: Literal["cut", "back", "refused"], why: str, before: Status) -> None:
        if self._telemetry is not None:
            self._telemetry.central(what, why)
        record: dict[str, Any] = {
            "kind": "config",
            "event": f"central_{what}",
            "why": why,
            "contact_us": before.contact_us,
        }
        try:
            self._trail.append(record, durable=True)
        except TrailError as error:
            # Denials follow from a trail that takes nothing, whatever the centre does.
            warnings.warn(f"a change at the centre is not in the trail: {error}", RuntimeWarning, stacklevel=2)
