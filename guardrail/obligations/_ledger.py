"""The ledger of duties: what is owed, what was done about it, and the notes of both on their way into the trail.

A mandate's obligation is accepted before any call under it runs, and at that moment the asset's files are pinned: a pin
is a descriptor that holds no content open to reading but still knows its inode after a rename, a link or a decoy.
A deletion counts as seen when every declared path is gone and every pinned inode has no name left, and as done when a
search of the watched places, twice and a quiet period apart, found nothing of it; an exit code, an empty directory or
the agent's word is no evidence.

A duty outlives the process, and the window of its mandate: it ends by being discharged, or with the mandate's
revocation. The trail is the truth: what is kept beside it can be made again from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from fnmatch import fnmatchcase
from typing import Final, Literal

import msgspec

from guardrail.mandates import Given, Mandate, Obligation, Word, microseconds
from guardrail.model import Effect, Outcome
from guardrail.obligations._book import DutyBook
from guardrail.obligations._codec import opening
from guardrail.obligations._duty import Duty, mark_us, next_us, provable
from guardrail.obligations._events import (
    Amended,
    Attempted,
    Discharged,
    Erasing,
    Held,
    Looked,
    Resumed,
    Terms,
    Withdrawn,
    Worded,
)
from guardrail.obligations._machine import Claim, End, Look, Prove, Tick, decide, evolve
from guardrail.obligations._orders import OrderNote, binds, issued, taken_back
from guardrail.obligations._replay import Folded
from guardrail.obligations._status import Note
from guardrail.obligations._terms import bounded_places, does, terms_of
from guardrail.obligations.world._evidence import status_at
from guardrail.obligations.world._lookback import Records

RETRY_US: Final = 300_000_000
"""How long it is left alone what time alone should have changed, and did not, in microseconds."""

MAX_AHEAD_US: Final = 300_000_000
"""How far the clock of whoever signs a hold may be ahead, in microseconds."""

_ABOUT_FILES: Final = frozenset({"delete", "retain", "transfer"})
"""Duties about the files that an asset has when they are taken up."""

MAX_ACCEPTED: Final = 4096
"""Most mandates of which it is remembered that they were taken up; it costs a look to do that again."""


class Obligations(DutyBook):
    """Every duty that mandates have opened, and what is done about it; made like a `DutyBook`."""

    # -- notes --------------------------------------------------------------------------------------------------

    def notes(self, mandates: Sequence[Mandate] = ()) -> tuple[Note | OrderNote, ...]:
        """Everything that has to be in the trail before a call is judged or anything is released.

        Args:
            mandates: those that hold for the call: their duties are taken up.
        """
        if mandates:
            self._accept(mandates)
        if self._watched:
            self._look_again()
        if self._next_us is not None and self.clock() >= self._next_us:
            self._tick()
        return tuple(self._outbox) if self._outbox else ()

    # -- taking up ----------------------------------------------------------------------------------------------

    def _accept(self, mandates: Sequence[Mandate]) -> None:
        # By identity: a mandate is the same object until its directory changes, and nothing is to be compared here.
        missing = [one for one in mandates if self._accepted.get(id(one)) is not one]
        if not missing:
            return
        with self._lock:
            if len(self._accepted) > MAX_ACCEPTED:
                self._accepted.clear()
            for mandate in missing:
                self._note_order(issued(mandate) if binds(mandate) else None)
                for owed in mandate.obligations:
                    self._take_up(mandate, owed)
                self._accepted[id(mandate)] = mandate

    def _note_order(self, note: OrderNote | None) -> None:
        if note is not None and (note.mandate, note.digest) not in self._ordered:
            self._ordered.add((note.mandate, note.digest))
            self._outbox.append(note)

    def revoked(self, revocations: Sequence[tuple[str, str, bytes]]) -> None:
        """Note what people took back, so that it is in the trail as well.

        Args:
            revocations: mandate, digest and envelope of each.
        """
        with self._lock:
            for mandate, digest, envelope in revocations:
                self._note_order(taken_back(mandate, digest, envelope))

    def _take_up(self, mandate: Mandate, owed: Obligation) -> None:
        terms = terms_of(mandate, owed, self._ordered_us())
        duty = self._duties.get(terms.id)
        if owed.effect == "delete":
            known = duty.terms if duty is not None and duty.terms.wants == terms.wants else terms
            terms = msgspec.structs.replace(
                terms,
                places=bounded_places((*known.places, *self._verifier.places(terms.asset))),
                addresses=known.addresses if known is not terms else self._verifier.addresses(terms.asset),
                registered=known.registered or self._verifier.is_registered(terms.asset),
            )
        if duty is not None and duty.terms.wants == terms.wants:
            if duty.stage != "withdrawn":
                self._amend(duty, terms)
                self._look_for_return(duty)
            return
        files, more = self._verifier.files_of(terms.asset) if terms.effect in _ABOUT_FILES else ((), 0)
        before = self._verifier.copies_before(terms.asset, terms.kept_at) if terms.effect == "delete" else ()
        for event in opening(terms, files, more, before):
            self._apply(terms.id, event)
        self._watched.pop(terms.id, None)
        self._verifier.pin(self._duties[terms.id])

    def _amend(self, duty: Duty, terms: Terms) -> None:
        """A person has signed the same again, to another time or with other leave."""
        terms = msgspec.structs.replace(terms, opened_us=duty.terms.opened_us)
        if terms != duty.terms and not duty.has_ended:
            over = tuple(mark for mark in duty.marks if self.clock() >= mark_us(terms, mark))
            self._apply(duty.terms.id, Amended(terms=terms, marks=over))

    def _look_for_return(self, duty: Duty) -> None:
        """What was gone and is back is owed again."""
        if duty.is_owed or duty.terms.effect != "delete":
            return
        seen = self._verifier.quick(duty, self.clock())
        if seen.result == "present":
            self._command(duty.terms.id, Look(seen=seen))

    # -- calls --------------------------------------------------------------------------------------------------

    def doing(self, effects: Sequence[Effect], mandates: Sequence[Mandate]) -> tuple[str, ...]:
        """Ids of the duties that a call would do, or do in part."""
        return tuple(key for key in self.owed(mandates) if does(effects, self._duties[key].terms))

    def judged(self, names: Sequence[str], outcome: Outcome, seq: int | None) -> None:
        """Count a call that would have done what is owed, whatever was decided about it.

        Args:
            names: as `doing` gave them; the record of the decision has them.
            outcome: what was decided.
            seq: number of that record.
        """
        with self._lock:
            for name in names:
                event = Attempted(outcome=outcome.value)
                duty = evolve(self._duties[name], event, seq=-1 if seq is None else seq)
                self._duties = {**self._duties, name: duty}
                if outcome is Outcome.ALLOW:
                    self._watched[name] = True

    def _look_again(self) -> None:
        """Look at the duties that a released call may have done, or done in part, since they were looked at."""
        with self._lock:
            for name, fresh in list(self._watched.items()):
                duty = self._duties[name]
                asset = self._world.inventory.get(duty.terms.asset)
                # While something is left it is looked at once for each try, afterwards only for its being gone.
                there = asset is not None and any(status_at(root) is not None for root in asset.roots)
                if not duty.is_owed or (not fresh and there and duty.terms.effect == "delete"):
                    if not duty.is_owed:
                        del self._watched[name]
                    continue
                self._watched[name] = False
                self._command(name, Look(seen=self._verifier.quick(duty, self.clock())))
                self._discharge_deed(name)

    def _discharge_deed(self, name: str) -> None:
        """A deed that the trail itself shows needs no second look and no certificate."""
        duty = self._duties[name]
        if duty.terms.effect != "delete" and duty.stage == provable(duty):
            self._command(name, Prove(proof=Discharged(at_us=self.clock())))

    # -- sessions and time --------------------------------------------------------------------------------------

    def ended(self, mandates: Sequence[Mandate], session: str, claim: Literal["done", "refused"] | None) -> None:
        """A session is over: what is owed under its mandates and was not tried is omitted.

        Args:
            mandates: those that held for it.
            session: its name.
            claim: what the agent said of what it owes, if anything.
        """
        for name in self.owed(mandates):
            duty = self._duties[name]
            self._command(name, Look(seen=self._final(duty)))
            self._discharge_deed(name)
            if self._verifier.is_owed(duty.terms)[0] is not True:
                continue  # whether it is owed at all is not known yet
            if claim is not None:
                self._command(name, Claim(claim=claim, session=session, now_us=self.clock()))
            else:
                self._command(name, End(session=session, now_us=self.clock()))

    def _final(self, duty: Duty) -> Looked:
        return msgspec.structs.replace(self._verifier.quick(duty, self.clock(), deep=True), final=True)

    def _tick(self) -> None:
        now = self.clock()
        with self._lock:
            for name, duty in list(self._duties.items()):
                at = next_us(duty)
                if at is not None and at <= now and self._verifier.is_owed(duty.terms)[0] is True:
                    if duty.is_owed:
                        seen = self._final(duty) if now >= duty.terms.due_us else self._verifier.quick(duty, now)
                        self._command(name, Look(seen=seen))
                        self._discharge_deed(name)
                    self._command(name, Tick(now_us=now))
            self._quiet_until = now + RETRY_US
            self._reckon()

    def in_force(self, mandates: Sequence[Mandate]) -> tuple[Mandate, ...]:
        """Those of some mandates of which nothing is on hold: what waits may not be done by anybody meanwhile."""
        if not self._duties:
            return tuple(mandates)
        held = {duty.terms.mandate for duty in self._duties.values() if duty.held}
        return tuple(mandate for mandate in mandates if mandate.id not in held)

    def words(self, given: Sequence[Given]) -> tuple[str, ...]:
        """Take people's words that the guard shall do what is owed.

        Returns:
            Why some of them do not count.
        """
        for one in self._that_count(given):
            self._command(one.word.obligation, _said(one))
        return tuple(why for one in given if (why := self._why_not(one.word)) is not None)

    def has_news(self, given: Sequence[Given]) -> bool:
        """Whether a word is among some that was not taken yet."""
        return any(decide(self._duties[one.word.obligation], _said(one)) for one in self._that_count(given))

    def _that_count(self, given: Sequence[Given]) -> list[Given]:
        """Words in the order in which they were signed; of several that leave a deletion to the guard the last one."""
        counting = sorted((one for one in given if self._why_not(one.word) is None), key=lambda one: one.word.at)
        last = {one.word.obligation: one for one in counting if one.word.says == "discharge"}
        return [one for one in counting if one.word.says != "discharge" or one is last[one.word.obligation]]

    def _why_not(self, word: Word) -> str | None:
        duty = self._duties.get(word.obligation)
        if duty is None:
            return f"nothing is owed as `{word.obligation}`"
        if duty.terms.asset != word.asset or (word.says == "discharge" and duty.terms.effect != "delete"):
            return f"`{word.obligation}` is not about deleting `{word.asset}`"
        if word.says != "discharge" and microseconds(word.at) > self.clock() + MAX_AHEAD_US:
            return f"what `{word.by}` says of `{word.obligation}` is dated later than now"
        if word.says == "resume" and duty.holds and all(hold.by != word.by for hold in duty.holds):
            return f"`{duty.held}` has put `{word.obligation}` on hold, so `{word.by}` cannot let it go on"
        if fnmatchcase(word.by, duty.terms.subject):
            return f"`{word.by}` is whom `{word.obligation}` is for, and cannot give leave for it"
        return None

    # -- proving ------------------------------------------------------------------------------------------------

    def settle(self, revoked: AbstractSet[str] = frozenset(), *, only: str = "") -> None:
        """Look at the world and say of each duty whether it is done; `erase` then does what people gave leave to do.

        Args:
            revoked: ids of mandates that were revoked: what they wanted is owed no more.
            only: id of the one duty that is meant, which is then searched for also when it was discharged.
        """
        # One at a time: a search takes long, and calls are judged meanwhile.
        with self._looking:
            self._to_erase.clear()
            for name, duty in list(self._duties.items()):
                if only and name != only:
                    continue
                if duty.terms.mandate in revoked:
                    self._command(name, Withdrawn(why="its mandate was revoked"))
                elif duty.stage != "withdrawn":
                    self._settle(name, again=bool(only))
            self._tick()

    def _settle(self, name: str, *, again: bool) -> None:
        duty = self._duties[name]
        if duty.has_ended and not again:
            self._look_for_return(duty)
            if duty.terms.effect == "evaluate" and (seen := self._final(duty)).result == "present":
                self._command(name, Look(seen=seen))  # scores that were given are to stay as they were
            return
        overdue = self.clock() >= duty.terms.due_us
        seen = self._final(duty) if overdue else self._verifier.quick(duty, self.clock(), deep=True)
        # Of a deletion the search that follows tells more; only whether it is owed has to be known before.
        if duty.terms.effect != "delete" or (seen.result == "absent") is duty.is_owed:
            self._command(name, Look(seen=seen))
            self._discharge_deed(name)
        if self._verifier.is_owed(duty.terms)[0] is True:
            self._command(name, Tick(now_us=self.clock()))
        if duty.terms.effect != "delete":
            return
        names = self._search(name)
        duty = self._duties[name]
        if duty.leave and not duty.has_ended and (duty.is_owed or names):
            self._command(name, Erasing(at_us=self.clock()))
            self._to_erase[name] = names

    def erase(self) -> None:
        """Delete what people gave leave for, as far as the last `settle` found it.

        INVARIANT: called when the notes of that are in the trail: what the guard is about to delete is on record first.
        """
        with self._looking:
            for name, names in self._to_erase.items():
                duty = self._duties[name]
                if duty.erasing and self._command(name, self._verifier.erase(duty, names, self.clock())):
                    self._command(name, Look(seen=self._verifier.quick(self._duties[name], self.clock())))
                    self._search(name)
            self._to_erase.clear()

    def _search(self, name: str) -> tuple[str, ...]:
        seen, names = self._verifier.thorough(self._duties[name], self.clock(), self.uptime())
        self._command(name, Look(seen=seen))
        return names

    def prove(self, certify: Callable[[Duty, bool], Discharged], records: Records) -> None:
        """Discharge the deletions that were looked for twice.

        Args:
            certify: makes the proof of a duty, told whether its asset is known by content.
            records: reads the trail.

        Raises:
            OSError: if the trail cannot be read.
        """
        for name, duty in list(self._duties.items()):
            # INVARIANT: what is signed is what the trail says; the index beside it is believed in nothing here.
            if duty.stage == "absent_2" and self._is_told(duty, records):
                known = self._world.recognition.knows(duty.terms.asset)
                self._command(name, Prove(proof=certify(duty, known)))

    def _is_told(self, duty: Duty, records: Records) -> bool:
        """Whether the trail says the same of a duty; where it does not, what it says counts from now on."""
        name = duty.terms.id
        told = Folded().take_all(records(max(0, duty.opened_seq))).duties.get(name)
        if told is not None and _proof(told) == _proof(duty):
            return True
        with self._lock:
            if told is None:
                self._command(name, Withdrawn(why="the trail does not know of it: what is owed is taken up anew"))
                self._accepted.clear()
            else:
                self._duties = {**self._duties, name: told}
                self._reckon()
        return False


def _said(one: Given) -> Worded | Held | Resumed:
    word = one.word
    match word.says:
        case "hold":
            return Held(by=word.by, digest=one.digest, at_us=microseconds(word.at), reason=word.reason)
        case "resume":
            return Resumed(by=word.by, digest=one.digest, at_us=microseconds(word.at))
        case "discharge":
            return Worded(by=word.by, digest=one.digest, derivatives=word.derivatives)


def _proof(duty: Duty) -> tuple[object, ...]:
    """What a certificate rests on."""
    return duty.terms, duty.stage, duty.files, duty.files_more, duty.absent_us, duty.sweeps, duty.violations
