"""Keeping up with the centre: a thread that hears of news, asks now and then, and connects again when it was cut off.

One look fetches what people ordered and took back, learns how often grants were used, has the newest checkpoint of this
guard's trail recorded, shows its escalations, and takes in what people say to them. Nothing is lost while the way is
cut: all of it is looked at anew afterwards, and only the newest checkpoint matters, because it holds all records before
it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from guardrail.central import _cases
from guardrail.central._database import Database, RefusedTrail
from guardrail.central._kept import SUFFIXES, Kept
from guardrail.central._status import NOT_YET, Status
from guardrail.errors import Fault

if TYPE_CHECKING:
    from guardrail.central._bell import Bell
    from guardrail.central._exchange import Exchange
    from guardrail.central._reporter import Reporter
    from guardrail.central._takeup import TakeUp
    from guardrail.config import CentralConfig

FIRST_SECONDS: Final = 0.2
"""Wait before the first attempt to connect again, in seconds; each further one waits twice as long."""

LONGEST_SECONDS: Final = 10.0
"""Longest such wait, in seconds."""

DOUBLINGS: Final = 6
"""How often the wait is doubled, until it is the longest."""

JITTER: Final = 0.25
"""By how much of itself each wait is longer or shorter at random, so that guards which were cut off together do not
come back together."""

JOIN_SECONDS: Final = 0.05
"""How often a thread that is to end is cut off, in seconds."""

LATE: Final = 3
"""After how many times the time between two looks it counts as cut off that nothing was heard, whatever the reason."""

HEARTBEAT_SECONDS: Final = 60.0
"""How often the centre hears of a trail that does not grow, in seconds."""


class Follower:
    """The thread.

    Args:
        store: connection string.
        settings: `[central]`.
        kept: what was seen.
        learn: takes how often grants were used.
        reporter: makes the checkpoints; None where the trail is not recorded at the centre.
        changed: hears of each change of the status, before and after.
        bell: makes it look at once.
        origin: name of the trail to which people may say something; empty for none.
        announced: takes up what people announce.
    """

    def __init__(
        self,
        store: str,
        settings: CentralConfig,
        kept: Kept,
        learn: Callable[[Mapping[tuple[str, str], int]], None],
        reporter: Reporter | None,
        changed: Callable[[Status, Status], None],
        bell: Bell,
        origin: str,
        announced: TakeUp,
    ) -> None:
        self._store = store
        self._settings = settings
        self._kept = kept
        self._learn = learn
        self._reporter = reporter
        self._changed = changed
        self._bell = bell
        self._origin = origin
        self._announced = announced
        self.exchange: Exchange | None = None
        """Shows the guard's escalations and hears what people say to them, once it is there."""
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._ended = threading.Event()
        self._looked = threading.Event()
        self._told_at = float("-inf")
        self._failures = 0
        self._heard_at = time.monotonic()
        self._status = Status(contact_us=kept.contact_us, cut=NOT_YET)
        self._thread = threading.Thread(target=self._run, name="guardrail-central", daemon=True)

    @property
    def status(self) -> Status:
        """How it stands; a thread that hangs or is gone never passes for one that has heard something."""
        most = LATE * (self._settings.poll_seconds + self._settings.timeout_seconds)
        if self._status.cut or time.monotonic() - self._heard_at <= most:
            return self._status
        return msgspec.structs.replace(self._status, cut="nothing was heard for longer than it should take")

    def start(self, seconds: float) -> None:
        """Begin, and wait at most that long for the first look, so that what is known is new where it can be."""
        self._thread.start()
        self._looked.wait(seconds)

    def close(self, seconds: float) -> None:
        """End; what is under way is cut off, and after `seconds` it is left behind."""
        self._ended.set()
        end = time.monotonic() + seconds
        while self._thread.is_alive() and time.monotonic() < end:
            # It may be about to ask something, and is cut off then as soon as it does.
            with self._lock:
                if self._database is not None:
                    self._database.cut()
            self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._follow()
            except Exception as error:  # noqa: BLE001 - whatever it was, a follower that is gone would say that all is well
                if not self._ended.is_set():
                    self._note(cut=str(error) or type(error).__name__)
            self._looked.set()
            self._ended.wait(self._pause())
            self._failures += 1

    def _pause(self) -> float:
        return _about(min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(DOUBLINGS, self._failures)))

    def _follow(self) -> None:
        with Database(self._store, self._settings.timeout_seconds) as database:
            with self._lock:
                self._database = database
            try:
                database.listen()
                if self._origin:
                    _cases.listen(database, self._origin)
                while not self._ended.is_set():
                    self._look(database)
                    self._looked.set()
                    self._failures = 0
                    database.wait(_about(self._settings.poll_seconds), self._bell)
            finally:
                with self._lock:
                    self._database = None

    def _look(self, database: Database) -> None:
        """Everything once.

        Raises:
            TrailError: if the centre does not answer.
        """
        why = ""
        try:
            for table in SUFFIXES:
                self._kept.follow(table, database.names(table), partial(database.envelopes, table))
            self._learn(database.used())
            self._announced.look(database)
            self._kept.heard()
        except (OSError, Fault) as error:
            why = str(error)
        self._heard_at = time.monotonic()
        self._note(cut="", kept=why, not_taken=self._announced.refused, contact_us=time.time_ns() // 1000)
        self._report(database)
        if self.exchange is not None:
            # After the report: with it the key is there that shows whose the cases are.
            self._note(unheard=self.exchange.look(database))

    def _report(self, database: Database) -> None:
        if self._reporter is None:
            return
        size = self._reporter.size
        if size == self._status.recorded and time.monotonic() - self._told_at < HEARTBEAT_SECONDS:
            return
        try:
            self._note(recorded=self._reporter.report(database), refused="")
        except RefusedTrail as error:
            self._note(refused=str(error))
        self._told_at = time.monotonic()

    def _note(self, **changes: str | int) -> None:
        before, self._status = self._status, msgspec.structs.replace(self._status, **changes)
        if self._status != before:
            self._changed(before, self._status)


def _about(seconds: float) -> float:
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - it spreads load, and keeps no secret
