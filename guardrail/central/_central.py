"""A guard's side of the centre: what it opens, what it is told, and what it says when the way is cut."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, Literal

import msgspec

from guardrail.audit import AnyTrail, Trail, trail_key
from guardrail.central._announced import AnyAnnounced, BundleAnnounced, kind_of
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
from guardrail.central._takeup import TakeUp
from guardrail.config import Config, secret
from guardrail.errors import ConfigError, TrailError
from guardrail.mandates import MandateLedger
from guardrail.policy import PolicyEngine, hurry
from guardrail.review import Clerk, ReviewDesk
from guardrail.telemetry import Telemetry

CLOSE_SECONDS: Final = 5.0
"""Longest wait for the thread to end when a guard is closed, in seconds."""


class Central:
    """What a guard has in common with others.

    Args:
        config: its `[central]` names the database.
        trail: the guard's own.
        announced: what was taken up before the guard was opened.

    Raises:
        ConfigError: if the database is in an environment variable that is not set, or `mandates.directory` cannot be
            written.
    """

    def __init__(self, config: Config, trail: AnyTrail, announced: TakeUp) -> None:
        self._config = config
        self._announced = announced
        self._inventory = 0 if announced.inventory is None else announced.inventory.version
        self._revision: Callable[[], str] = str
        self.renew: Callable[[], None] | None = None
        """Opens the guard anew, where something can: an inventory that was taken up comes into force with that."""
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
        # Replicas that share a trail have their escalations in it, and whoever asks them sees those of others besides.
        self._shows = config.central.escalations and isinstance(trail, Trail)
        self._telemetry: Telemetry | None = None
        self._reporter: Reporter | None = None
        self._follower: Follower | None = None
        self._bell = Bell()
        self.elsewhere = Elsewhere(config) if config.central.escalations else None
        """Escalations of other guards; None if they are not asked for."""

    @property
    def status(self) -> Status:
        """How it stands with the centre."""
        status = self._follower.status if self._follower is not None else Status(cut=NOT_YET)
        return msgspec.structs.replace(status, behind=self._behind())

    def _behind(self) -> str:
        inventory, bundle = self._announced.inventory, self._announced.bundle
        found: list[str] = []
        if inventory is not None and inventory.version != self._inventory:
            found.append(f"inventory {inventory.version} is announced, and {self._inventory} is in force")
        if bundle is not None and self._revision() not in ("", bundle.revision):
            found.append(f"the bundle `{bundle.revision}` is announced, and `{self._revision()}` is in force")
        return "; ".join(found)

    def follow(self, ledger: MandateLedger, telemetry: Telemetry, engine: Callable[[], PolicyEngine]) -> None:
        """Begin to keep up; waits a moment for what is new, and goes on with what was last seen if nothing comes.

        Args:
            ledger: learns how often grants were used.
            telemetry: hears when the way is cut, and when it is back.
            engine: what decides.
        """
        self._telemetry = telemetry
        self._revision = lambda: engine().rules.revision
        self._announced.told = partial(self._taken_up, engine)
        inventory = hashlib.sha256(msgspec.json.encode(self._config.assets)).hexdigest()

        def said() -> Mapping[str, str]:
            facts = {"inventory": f"sha256:{inventory}", "mode": self._config.mode, "policy": engine().revision}
            return facts | ({"inventory_version": str(self._inventory)} if self._inventory else {})

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
            self._config.trail.origin if self._shows else "",
            self._announced,
        )
        self._follower.start(self._config.central.timeout_seconds)

    def begin(self, desk: ReviewDesk, clerk: Clerk) -> None:
        """Put on record what is announced, and begin to show what waits here, and to hear what people say to it.

        Args:
            desk: whose escalations.
            clerk: takes what people signed.

        Raises:
            TrailError: if the trail's key cannot be used.
            OSError: if it cannot be read.
        """
        for announced in (self._announced.inventory, self._announced.bundle):
            if announced is not None:
                self._record(_announcement(announced))
        if self._follower is None or not self._shows:
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

    def _taken_up(self, engine: Callable[[], PolicyEngine], announced: AnyAnnounced) -> None:
        """Something newer is announced, and was taken up: put it on record, and have it come into force."""
        if isinstance(announced, BundleAnnounced):
            hurry(engine())
        self._record(_announcement(announced))

    def _changed(self, before: Status, now: Status) -> None:
        """Put on record what people may have to do something about."""
        if bool(now.cut) != (before.cut not in ("", NOT_YET)):
            away = f"it was away since {moment(before.contact_us)}"
            self._tell("cut" if now.cut else "back", now.cut or away, before)
        if now.refused and not before.refused:
            self._tell("refused", now.refused, before)
        if now.not_taken and now.not_taken != before.not_taken:
            self._tell("not_taken", now.not_taken, before)
        newest = self._announced.inventory
        if self.renew is not None and newest is not None and newest.version != self._inventory:
            # Said again at each look until it is in force: who opens the guard anew may not have been there yet.
            self.renew()

    def _tell(self, what: Literal["cut", "back", "refused", "not_taken"], why: str, before: Status) -> None:
        if self._telemetry is not None:
            self._telemetry.central(what, why)
        record: dict[str, Any] = {
            "kind": "config",
            "event": f"central_{what}",
            "why": why,
            "contact_us": before.contact_us,
        }
        self._record(record)

    def _record(self, record: dict[str, Any]) -> None:
        try:
            self._trail.append(record, durable=True)
        except TrailError as error:
            # Denials follow from a trail that takes nothing, whatever the centre does.
            warnings.warn(f"a change at the centre is not in the trail: {error}", RuntimeWarning, stacklevel=2)


def _announcement(announced: AnyAnnounced) -> dict[str, Any]:
    record: dict[str, Any] = {
        "kind": "config",
        "event": f"central_{kind_of(announced)}",
        "version": announced.version,
        "by": announced.issuer,
    }
    if isinstance(announced, BundleAnnounced):
        record |= {"policy": announced.revision, "digest": f"sha256:{announced.digest}"}
    return record
