"""The steward: carries what happens to duties into the trail, before people, and back after a crash.

    take up or look -> notes -> trail -> people hear of it -> the note is done with

Not concerned with what is owed and when it is met: the ledger of duties is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

from guardrail.audit import AnyTrail, trail_key, trail_records
from guardrail.config import Config
from guardrail.errors import Fault, TrailError
from guardrail.mandates import Mandate, MandateBook
from guardrail.model import Subject
from guardrail.obligations._attend import Attendant
from guardrail.obligations._escalate import escalate
from guardrail.obligations._keys import certifier
from guardrail.obligations._ledger import Obligations
from guardrail.obligations._orders import OrderNote
from guardrail.obligations._status import Note
from guardrail.obligations._terms import terms_of
from guardrail.review import Holder, ReviewDesk
from guardrail.telemetry import Telemetry


class Steward:
    """Keeps the duties of one guard and its trail at one.

    Args:
        config: where the trail and its key are, and how often time alone is attended to.
        obligations: what is owed.
        mandates: by whose order.
        trail: where it is recorded; None keeps no record.
        desk: where people hear of it.
        holder: knows who may answer there.
        telemetry: hears of it too.
        attend: attend to what time alone changes, in a thread.
    """

    def __init__(
        self,
        config: Config,
        obligations: Obligations,
        mandates: MandateBook,
        *,
        trail: AnyTrail | None,
        desk: ReviewDesk,
        holder: Holder,
        telemetry: Telemetry,
        attend: bool,
    ) -> None:
        self._config = config
        self._obligations = obligations
        self._mandates = mandates
        self._trail = trail
        self._desk = desk
        self._holder = holder
        self._telemetry = telemetry
        seconds = config.obligations.attend_seconds if attend and trail is not None else 0
        self._attendant = Attendant(self.attend, telemetry.fault, seconds)
        self._began_us: int | None = None

    def begin(self, subject: Subject, session: str) -> tuple[str, ...]:
        """Take up what people have ordered of an agent; ids of the duties it owes."""
        mandates = self._now(subject, session)
        self.keep_notes(mandates)
        return self._obligations.owed(mandates)

    def end(self, subject: Subject, session: str, claim: Literal["done", "refused"] | None) -> None:
        """Say that an agent is through, and what it said of what it owes."""
        mandates = self._now(subject, session)
        self.keep_notes(mandates)
        self._obligations.ended(mandates, session, claim)
        self.keep_notes()

    def _now(self, subject: Subject, session: str) -> tuple[Mandate, ...]:
        return self._mandates.current(subject, session, self._desk.clock())

    def settle(self, only: str = "") -> None:
        """Look at the world and record what it shows of every duty, or of one; do what people gave leave to do."""
        given, _ = self._mandates.words()
        self._obligations.words(given)
        self._obligations.revoked(self._mandates.kept_revocations())
        self.keep_notes(self._left_lying())
        self._obligations.settle(self._mandates.revoked, only=only)
        self.keep_notes()
        if self._trail is not None:
            # What is about to be deleted is on record, so a crash is not taken for somebody else's deletion.
            self._obligations.erase()
            self.keep_notes()
            make = certifier(trail_key(self._config), self._config.trail.origin)
            self._obligations.prove(make, partial(trail_records, self._config))
            self.keep_notes()

    def attend(self) -> bool:
        """Settle if time alone may have changed something, or somebody has said a word; whether it was necessary."""
        self.remind()
        given, _ = self._mandates.words()
        if not (self._obligations.is_due or self._obligations.has_news(given) or self._left_lying()):
            return False
        self.settle()
        return True

    def _left_lying(self) -> list[Mandate]:
        """Orders whose time came and of whose agent nothing was heard: doing nothing at all is seen as well.

        Of what was due before the trail began another trail may tell, and of an asset that is not known here another
        guard.
        """
        now = self._obligations.clock()
        return [
            mandate
            for mandate in self._mandates.mandates
            if mandate.obligations and self._mandates.ended(mandate) is None and self._is_left_lying(mandate, now)
        ]

    def _is_left_lying(self, mandate: Mandate, now: int) -> bool:
        subject, separation = Subject(id=mandate.subject), self._mandates.separation
        if self._trail is None or separation.why_not(mandate.issuer, subject) is not None:
            return False  # this person may not order anything of whoever it is for
        for terms in (terms_of(mandate, owed, now) for owed in mandate.obligations):
            unheard = terms.due_us <= now and self._obligations.get(terms.id) is None
            here = unheard and self._obligations.is_about(terms.asset) and terms.due_us > self._begun_us()
            if here and not separation.barred(mandate.issuer, subject, (terms.asset,)):
                return True
        return False

    def _begun_us(self) -> int:
        """When the trail began, in microseconds since 1970."""
        if self._began_us is None:
            _, first = next(trail_records(self._config, 0), (0, {"t_us": self._obligations.clock()}))
            self._began_us = int(first["t_us"])
        return self._began_us

    def start(self) -> None:
        """Attend by itself from now on; it begins by itself as soon as anything is owed."""
        self._attendant.start()

    def remind(self) -> None:
        """Say which reviews of broken glass are overdue, once each."""
        for case in self._desk.remind():
            self._telemetry.duty(case.held.id, ["review_overdue"])

    def keep_notes(self, mandates: Sequence[Mandate] = (), *, durable: bool = True) -> None:
        """Bring into the trail what is not in it yet.

        Args:
            mandates: those whose duties are taken up before.
            durable: wait for the disk.
        """
        for note in self._obligations.notes(mandates):
            self.noted(note, None if self._trail is None else self._trail.append(note.record, durable=durable))

    def noted(self, note: Note | OrderNote, seq: int | None) -> None:
        """A note is in the trail.

        Args:
            note: as it was handed out.
            seq: number of its record; None where no trail is kept.
        """
        if isinstance(note, Note) and note.alarms and self._trail is not None:
            # INVARIANT: people hear of it before it counts as told: what fails here is noted once more.
            escalate(self._desk, self._holder, note)
            self._telemetry.duty(note.duty.terms.id, [alarm.kind for alarm in note.alarms])
        self._obligations.kept(note, seq)
        self._attendant.start()

    def catch_up(self, trail: AnyTrail) -> None:
        """Take from the trail what a crash, or the loss of a file beside it, has kept from its index."""
        first = self._obligations.behind(trail.size)
        if first is not None:
            self._obligations.catch_up(trail_records(self._config, first))
        if self._obligations.open or any(mandate.obligations for mandate in self._mandates.mandates):
            self._attendant.start()

    def close(self) -> None:
        """Attend no more, and note how far the index is; the trail is still open."""
        self._attendant.stop()
        if self._trail is not None:
            try:
                self._trail.checkpoint()
                self._obligations.is_clean(self._trail.size)
            except (Fault, TrailError):
                pass  # the next start reads it from the trail again
        self._obligations.close()
