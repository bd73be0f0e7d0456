"""The ledger of duties: what is owed, what was done about it, and the notes of both on their way into the trail.

A mandate's obligation is accepted before any call under it runs, and at that moment the asset's files are pinned: a pin
is a descriptor that holds no content open to reading but still knows its inode after a rename, a link or a decoy.
A deletion counts as seen when every declared path is gone and every pinned inode has no name left, and as done when a
search of the watched places, twice and a quiet period apart, found nothing of it; an exit code, an empty directory or
the agent's word is no evidence.

A duty outlives the process, and the window of its mandate: it ends by being discharged, or with the mandate's
revocation. The trail is the truth: what is kept beside it can be made again from it.
INVARIANT: a note is handed out until somebody says that it is in the trail; the state in memory is never behind it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import msgspec

from guardrail.mandates import Given, KeptDuty, Mandate, MandateLedger, Obligation, Word
from guardrail.model import Effect, Outcome
from guardrail.obligations._codec import opening, pack, unpack
from guardrail.obligations._events import Attempted, Discharged, Event, Looked, Terms, Withdrawn, Worded
from guardrail.obligations._evidence import status_at
from guardrail.obligations._lookback import Lookback
from guardrail.obligations._machine import (
    Claim,
    Command,
    Duty,
    End,
    Look,
    Prove,
    Tick,
    decide,
    evolve,
    next_us,
    provable,
)
from guardrail.obligations._orders import OrderNote, binds, issued, taken_back
from guardrail.obligations._replay import Folded
from guardrail.obligations._status import Note, ObligationStatus, alarms, status_of
from guardrail.obligations._stores import Store
from guardrail.obligations._sweep import World
from guardrail.obligations._verifier import Verifier

RETRY_US: Final = 300_000_000
"""How long it is left alone what time alone should have changed, and did not, in microseconds."""

MAX_ACCEPTED: Final = 4096
"""Most mandates of which it is remembered that they were taken up; it costs a look to do that again."""

_STARTING: Final = frozenset("start restart reload enable unmask status show".split())
"""What is said to a service that is not to be ended."""

_DOING: Final = {"delete": frozenset({"delete", "api_delete"}), "evaluate": frozenset({"record_score"})}

CLEAN: Final = "size"
"""The mark that says how long the trail was when everything was kept last."""


class Obligations:
    """Every duty that mandates have opened.

    Args:
        world: where the assets are, and where they are looked for.
        kept: the index of what is owed since before; without it duties are those of this process.
        stores: who can be asked about addresses.
        lookback: where released calls took things; None where no trail is kept.
        clock: the time, in microseconds since 1970.

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
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.clock = clock
        self._world = world
        self._kept = kept
        self._verifier = Verifier(world, stores, lookback)
        self._duties: dict[str, Duty] = {}
        self._accepted: dict[int, Mandate] = {}
        self._ordered: set[tuple[str, str]] = set(kept.orders()) if kept is not None else set()
        self._outbox: list[Note | OrderNote] = []
        self._hidden: set[str] = set()
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

    # -- from the trail -----------------------------------------------------------------------------------------

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
        terms = _terms(mandate, owed, self.clock())
        duty = self._duties.get(terms.id)
        if duty is not None and duty.terms.wants == terms.wants:
            if duty.stage != "withdrawn":
                self._look_for_return(duty)
            return
        files, more = self._verifier.files_of(terms.asset) if terms.effect == "delete" else ((), 0)
        before = self._verifier.copies_before(terms.asset, terms.kept_at) if terms.effect == "delete" else ()
        for event in opening(terms, files, more, before):
            self._apply(terms.id, event)
        self._watched.pop(terms.id, None)
        self._verifier.pin(self._duties[terms.id])

    def _look_for_return(self, duty: Duty) -> None:
        """What was gone and is back is owed again."""
        if duty.is_owed or duty.terms.effect != "delete":
            return
        seen = self._verifier.quick(duty, self.clock())
        if seen.result == "present":
            self._command(duty.terms.id, Look(seen=seen))

    # -- what rules are told ------------------------------------------------------------------------------------

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

    # -- calls --------------------------------------------------------------------------------------------------

    def doing(self, effects: Sequence[Effect], mandates: Sequence[Mandate]) -> tuple[str, ...]:
        """Ids of the duties that a call would do, or do in part."""
        return tuple(key for key in self.owed(mandates) if _does(effects, self._duties[key].terms))

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
        return msgspec.structs.replace(self._verifier.quick(duty, self.clock()), final=True)

    def _tick(self) -> None:
        now = self.clock()
        with self._lock:
            for name, duty in list(self._duties.items()):
                at = next_us(duty)
                if at is not None and at <= now and self._verifier.is_owed(duty.terms)[0] is True:
                    if duty.is_owed:
                        seen = self._final(duty) if now >= duty.terms.due_us else self._verifier.quick(duty, now)
                        self._command(name, Look(seen=seen))
                    self._command(name, Tick(now_us=now))
            self._quiet_until = now + RETRY_US
            self._reckon()

    @property
    def is_due(self) -> bool:
        """Whether time alone may have changed something."""
        return self._next_us is not None and self.clock() >= self._next_us

    def words(self, given: Sequence[Given]) -> tuple[str, ...]:
        """Take people's words that the guard shall do what is owed.

        Returns:
            Why some of them do not count.
        """
        wrong: list[str] = []
        for one in given:
            why = self._why_not(one.word)
            if why is not None:
                wrong.append(why)
                continue
            word = one.word
            worded = Worded(by=word.by, digest=one.digest, derivatives=word.derivatives)
            self._command(word.obligation, worded)
        return tuple(wrong)

    def has_news(self, given: Sequence[Given]) -> bool:
        """Whether a word is among some that was not taken yet."""
        return any(
            (duty := self._duties.get(one.word.obligation)) is not None
            and not duty.has_ended
            and duty.word_digest != one.digest
            and self._why_not(one.word) is None
            for one in given
        )

    def _why_not(self, word: Word) -> str | None:
        duty = self._duties.get(word.obligation)
        if duty is None:
            return f"nothing is owed as `{word.obligation}`"
        if duty.terms.effect != "delete" or duty.terms.asset != word.asset:
            return f"`{word.obligation}` is not about deleting `{word.asset}`"
        if fnmatchcase(word.by, duty.terms.subject):
            return f"`{word.by}` is whom `{word.obligation}` is for, and cannot give leave for it"
        return None

    # -- proving ------------------------------------------------------------------------------------------------

    def settle(self, revoked: AbstractSet[str] = frozenset(), *, only: str = "") -> None:
        """Look at the world and say of each duty whether it is done; do what people gave leave to do.

        Args:
            revoked: ids of mandates that were revoked: what they wanted is owed no more.
            only: id of the one duty that is meant, which is then searched for also when it was discharged.
        """
        # One at a time: a search takes long, and calls are judged meanwhile.
        with self._looking:
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
            return
        overdue = self.clock() >= duty.terms.due_us
        self._command(name, Look(seen=self._final(duty) if overdue else self._verifier.quick(duty, self.clock())))
        if self._verifier.is_owed(duty.terms)[0] is True:
            self._command(name, Tick(now_us=self.clock()))
        if duty.terms.effect != "delete":
            self._discharge_deed(name)
            return
        names = self._search(name)
        duty = self._duties[name]
        if duty.leave and not duty.has_ended and (duty.is_owed or names):
            erased = self._verifier.erase(duty, names, self.clock())
            if self._command(name, erased):
                self._command(name, Look(seen=self._verifier.quick(self._duties[name], self.clock())))
                self._search(name)

    def _search(self, name: str) -> tuple[str, ...]:
        seen, names = self._verifier.thorough(self._duties[name], self.clock())
        self._command(name, Look(seen=seen))
        return names

    def prove(self, certify: Callable[[Duty, bool], Discharged]) -> None:
        """Discharge the deletions that were looked for twice.

        Args:
            certify: makes the proof of a duty, told whether its asset is known by content.
        """
        for name, duty in list(self._duties.items()):
            if duty.stage == "absent_2":
                known = self._world.recognition.knows(duty.terms.asset)
                self._command(name, Prove(proof=certify(duty, known)))

    def statuses(self) -> tuple[ObligationStatus, ...]:
        """Every duty and how it stands; of those that were withdrawn before this process began nothing is said."""
        return tuple(status_of(duty) for name, duty in self._duties.items() if name not in self._hidden)

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


def _does(effects: Sequence[Effect], terms: Terms) -> bool:
    ops = _DOING.get(terms.effect, frozenset((terms.effect,)))
    return any(
        effect.op in ops and effect.resource.asset == terms.asset and effect.attrs.get("verb") not in _STARTING
        for effect in effects
    )


def _terms(mandate: Mandate, owed: Obligation, now_us: int) -> Terms:
    kept_at = tuple(
        dict.fromkeys(
            target
            for grant in mandate.grants
            if "copy" in grant.effects and any(fnmatchcase(owed.asset, glob) for glob in grant.assets)
            for target in grant.targets
        )
    )
    return Terms(
        id=f"{mandate.id}/{owed.id}",
        mandate=mandate.id,
        issuer=mandate.issuer,
        subject=mandate.subject,
        effect=owed.effect,
        asset=owed.asset,
        opened_us=now_us,
        due_us=int((owed.due or mandate.not_after).timestamp() * 1_000_000),
        quiet_us=owed.quiet_seconds * 1_000_000,
        fallback=owed.fallback == "guardrail",
        derivatives=owed.derivatives,
        items=owed.items,
        count=owed.count,
        records=owed.records,
        below=owed.below,
        kept_at=kept_at,
    )


def _row(duty: Duty) -> KeptDuty:
    return KeptDuty(duty.terms.id, duty.opened_seq, duty.has_ended, pack(duty))
