"""The book of duties: how each stands in memory, which notes are not in the trail yet, and the index beside it.

Not concerned with when a duty is taken up, tried or looked at: `_ledger` is.
INVARIANT: a note is handed out until somebody says that it is in the trail; the state in memory is never behind it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import msgspec

from guardrail.audit.clock import Clock, uptime, wall_us
from guardrail.mandates import KeptDuty, Mandate, MandateLedger
from guardrail.model import Outcome
from guardrail.obligations._codec import pack, unpack
from guardrail.obligations._duty import Duty, next_us
from guardrail.obligations._events import Event
from guardrail.obligations._machine import Command, decide, evolve
from guardrail.obligations._orders import OrderNote
from guardrail.obligations._replay import Folded
from guardrail.obligations._status import Note, ObligationStatus, alarms, status_of
from guardrail.obligations.world._lookback import Lookback
from guardrail.obligations.world._stores import Store
from guardrail.obligations.world._verifier import Verifier
from guardrail.obligations.world._world import World

CLEAN: Final = "size"
"""The mark that says how long the trail was when everything was kept last."""


class DutyBook:
    """Every duty that mandates have opened.

    Args:
        world: where the assets are, and where they are looked for.
        kept: the index of what is owed since before; without it duties are those of this process.
        stores: who can be asked about addresses.
        lookback: where released calls took things; None where no trail is kept.
        clock: the time, in microseconds since 1970; by default one that cannot be set back.

    Raises:
        Fault: if what is kept cannot be read.
    """

    def __init__(
        self,
        world: World,
        kept: MandateLedger | None = None,
        *,
        stores: Sequence[Store] = (),
        lookback: Lookback | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self.clock: Callable[[], int] = clock or Clock()
        self.uptime: Callable[[], tuple[str, int]] = uptime
        self._world = world
        self._kept = kept
        self._verifier = Verifier(world, stores, lookback)
        self._duties: dict[str, Duty] = {}
        self._accepted: dict[int, Mandate] = {}
        self._ordered: set[tuple[str, str]] = set(kept.orders()) if kept is not None else set()
        self._outbox: list[Note | OrderNote] = []
        self._hidden: set[str] = set()
        self._to_erase: dict[str, tuple[str, ...]] = {}
        self._watched: dict[str, bool] = {}
        self._quiet_until = 0
        self._next_us: int | None = None
        self._lock = threading.RLock()
        self._looking = threading.Lock()
        for one in kept.duties() if kept is not None else ():
            self._load(unpack(one.data))
        self._reckon()

    def _load(self, duty: Duty) -> None:
        name = duty.terms.id
        self._duties[name] = duty
        if duty.stage == "withdrawn":
            self._hidden.add(name)
        elif duty.is_owed:
            self._verifier.pin(duty)
            if duty.attempts.get(Outcome.ALLOW.value):
                self._watched[name] = True

    def behind(self, size: int) -> int | None:
        """The first record that the index may not have taken in; None if it has all.

        Args:
            size: how many records the trail has.
        """
        clean = self._kept.mark(CLEAN) if self._kept is not None else None
        if not size or (clean is not None and clean >= size):
            return None  # of a trail that is shorter than it was nothing can be learnt
        return first_unread(clean, self._duties.values())

    def catch_up(self, records: Iterable[tuple[int, Mapping[str, Any]]]) -> Folded:
        """Take in what the trail says.

        Args:
            records: from the one that `behind` named, with their numbers.

        Raises:
            Fault: if it cannot be kept.
        """
        ended = {name: duty for name, duty in self._duties.items() if duty.has_ended}
        folded = Folded(ended).take_all(records)
        with self._lock:
            self._verifier.close()
            known, self._duties, self._watched = self._duties, {}, {}
            # INVARIANT: a duty that the index has and the trail does not mention is owed all the same.
            for duty in {**known, **folded.duties}.values():
                self._load(duty)
            self._ordered |= folded.orders
            self._reckon()
        if self._kept is not None:
            for duty in folded.duties.values():
                self._kept.keep_duty(_row(duty))
            for mandate, digest in folded.orders:
                self._kept.keep_order(mandate, digest)
            for mandate, digest, envelope in folded.revocations:
                self._kept.keep(mandate, digest, envelope)
            self._kept.restore(folded.uses)
        return folded

    def is_clean(self, size: int) -> None:
        """Note that everything up to the end of the trail is kept.

        Args:
            size: how many records it has.
        """
        with self._lock:
            if self._outbox or self._kept is None:
                return
            for duty in self._duties.values():
                self._kept.keep_duty(_row(duty))
            self._kept.set_mark(CLEAN, size)

    def kept(self, note: Note | OrderNote, seq: int | None) -> None:
        """A note is in the trail.

        Args:
            note: as it was handed out.
            seq: number of its record; None where no trail is kept.

        Raises:
            Fault: if the index cannot be written.
        """
        with self._lock:
            if note not in self._outbox:
                return  # somebody else was handed it too
            self._outbox.remove(note)
            if isinstance(note, OrderNote):
                if self._kept is not None and seq is not None:
                    self._kept.keep_order(note.mandate, note.digest)
                return
            duty = self._duties.get(note.duty.terms.id)
            if duty is None or seq is None:
                return
            opened = seq if duty.opened_seq < 0 else duty.opened_seq
            duty = msgspec.structs.replace(duty, opened_seq=opened, last_seq=max(seq, duty.last_seq))
            self._duties = {**self._duties, duty.terms.id: duty}
            if self._kept is not None:
                self._kept.keep_duty(_row(duty))

    def _apply(self, name: str, event: Event) -> None:
        before = self._duties.get(name)
        after = evolve(before, event)
        # A new table, so that those who read it without the lock never see it change.
        self._duties = {**self._duties, name: after}
        self._outbox.append(Note(duty=after, event=event, alarms=alarms(before, event, after)))
        if after.has_ended:
            self._verifier.unpin(name)
        self._reckon()

    def _command(self, name: str, command: Command) -> bool:
        """Whether it changes anything."""
        with self._lock:
            events = decide(self._duties[name], command)
            for event in events:
                self._apply(name, event)
        return bool(events)

    def _reckon(self) -> None:
        times = [at for duty in self._duties.values() if (at := next_us(duty)) is not None]
        self._next_us = max(min(times), self._quiet_until) if times else None

    @property
    def open(self) -> bool:
        """Whether any duty is not met yet."""
        return bool(self._duties) and any(duty.is_owed for duty in self._duties.values())

    def owed(self, mandates: Sequence[Mandate]) -> tuple[str, ...]:
        """Ids of the duties still open under these mandates."""
        if not self._duties:
            return ()
        ids = {mandate.id for mandate in mandates}
        return tuple(key for key, duty in self._duties.items() if duty.is_owed and duty.terms.mandate in ids)

    def due(self, mandates: Sequence[Mandate]) -> dict[str, tuple[str, ...]]:
        """The assets that must be deleted and are not known to be, by the mandate that says so."""
        found: dict[str, tuple[str, ...]] = {}
        for key in self.owed(mandates):
            terms = self._duties[key].terms
            if terms.effect == "delete":
                found[terms.mandate] = (*found.get(terms.mandate, ()), terms.asset)
        return found

    def deletions(self, mandates: Sequence[Mandate]) -> tuple[str, ...]:
        """Ids of the duties to delete something that are still open under these mandates."""
        return tuple(key for key in self.owed(mandates) if self._duties[key].terms.effect == "delete")

    def condemned(self, revoked: AbstractSet[str]) -> tuple[str, ...]:
        """The assets that must be deleted, whoever owes it, and also when the window of the order is over.

        Args:
            revoked: ids of mandates that were revoked: what they wanted is owed no more.
        """
        found = (duty.terms for duty in self._duties.values() if duty.is_owed)
        return tuple(dict.fromkeys(one.asset for one in found if one.effect == "delete" and one.mandate not in revoked))

    @property
    def is_due(self) -> bool:
        """Whether time alone may have changed something."""
        return self._next_us is not None and self.clock() >= self._next_us

    def _ordered_us(self) -> int:
        """When an order is taken up. What was made after it has a date of the filesystem, which goes by the wall clock.

        INVARIANT: never after what that shows, or a copy made later under a clock that is behind would seem older.
        """
        return min(self.clock(), wall_us())

    def statuses(self) -> tuple[ObligationStatus, ...]:
        """Every duty and how it stands; of those that were withdrawn before this process began nothing is said."""
        return tuple(status_of(duty) for name, duty in self._duties.items() if name not in self._hidden)

    def is_about(self, asset_id: str) -> bool:
        """Whether an asset is one of those that are known here."""
        return self._verifier.knows(asset_id)

    def get(self, name: str) -> Duty | None:
        """One duty, with everything that is known of it."""
        return self._duties.get(name)

    def close(self) -> None:
        """Let every pin go."""
        with self._lock:
            self._verifier.close()


def first_unread(clean: int | None, duties: Iterable[Duty]) -> int:
    """The first record from which the trail has to be read, so that nothing is missed that the index may lack.

    Args:
        clean: how long the trail was when everything was kept last; None if that is not known.
        duties: what the index has.
    """
    # INVARIANT: what is not ended is read from its beginning: an attempt may be in the trail and not in the index.
    return max(0, min((clean or 0, *(duty.opened_seq for duty in duties if not duty.has_ended))))


def _row(duty: Duty) -> KeptDuty:
    return KeptDuty(duty.terms.id, duty.opened_seq, duty.has_ended, pack(duty))
