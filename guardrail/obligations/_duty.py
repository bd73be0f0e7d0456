"""One duty and how it stands; what follows from it, as far as nothing else has to be known."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from guardrail.obligations._events import VIOLATIONS, Coverage, Finding, Pinned, Terms, ViolationKind

MARKS: Final = (50, 80, 100)
"""When somebody is reminded: percent of the time between taking a duty up and its being due."""

Stage = Literal["open", "attempted", "effect_seen", "absent_1", "absent_2", "discharged", "withdrawn"]
State = Literal["open", "met", "unmet", "withdrawn"]

ORDER: Final[dict[Stage, int]] = {
    "open": 0, "attempted": 1, "effect_seen": 2, "absent_1": 3, "absent_2": 4, "discharged": 5, "withdrawn": 6,
}  # fmt: skip


class Violation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that was wrong at some time, whatever became of it.

    Args:
        kind: what.
        at_us: when it was first seen, in microseconds since 1970.
        says: the same in a sentence.
        path: where, if at a place.
        session: in which session, if in one.
    """

    kind: ViolationKind
    at_us: int
    says: str
    path: str = ""
    session: str = ""


class Hold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One person's word that it has to wait, which only they can take back.

    Args:
        by: who.
        at_us: when it was signed, in microseconds since 1970.
        why: for what reason.
    """

    by: str
    at_us: int
    why: str = ""


class Duty(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One duty and how it stands.

    Args:
        terms: what is owed.
        stage: how far it is.
        n: number of the last event that was folded; attempts have none.
        looked: whether the world was looked at since it was taken up.
        files: what has to go.
        files_more: how many files were not noted.
        attempts: calls judged so far that would have done it, by outcome.
        evidence: what the last look showed, in sentences.
        findings: what the last look found.
        violations: what was ever wrong.
        marks: how much of the time is over, in percent, as far as somebody was reminded.
        unlinked: of every file it was seen that it has no name left.
        absent_us: when it was first found gone by a sweep, in microseconds since 1970.
        sweeps: how far the sweeps looked that found it gone.
        word: who said that the guard shall do it.
        word_digest: digest of what they signed.
        word_derivatives: they want further names and copies to go too.
        holds: who has put it on hold, one for each of them.
        resumed: who has let it go on, each with when they signed that last, in microseconds since 1970.
        erasing: the guard was about to delete it itself, and has not said yet what came of it.
        erased: whether the guard has deleted it itself.
        left: what the guard could not delete.
        scores: digest of each score as it was first read.
        certificate: digest of the certificate.
        opened_seq: number of the record that opened it; -1 before it has one.
        last_seq: number of the last record about it; -1 before it has one.
    """

    terms: Terms
    stage: Stage = "open"
    n: int = 1
    looked: bool = False
    files: tuple[Pinned, ...] = ()
    files_more: int = 0
    attempts: dict[str, int] = {}
    evidence: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    violations: tuple[Violation, ...] = ()
    marks: tuple[int, ...] = ()
    unlinked: bool = False
    absent_us: int = 0
    sweeps: tuple[Coverage, ...] = ()
    word: str = ""
    word_digest: str = ""
    word_derivatives: bool = False
    holds: tuple[Hold, ...] = ()
    resumed: tuple[tuple[str, int], ...] = ()
    erasing: bool = False
    erased: bool = False
    left: tuple[str, ...] = ()
    scores: tuple[tuple[str, str], ...] = ()
    certificate: str = ""
    opened_seq: int = -1
    last_seq: int = -1

    @property
    def state(self) -> State:
        """The same in four words: `met` from the moment that the effect was seen, `unmet` once it was looked for."""
        if self.stage == "withdrawn":
            return "withdrawn"
        if ORDER[self.stage] >= ORDER["effect_seen"]:
            return "met"
        return "unmet" if self.looked else "open"

    @property
    def held(self) -> str:
        """Who has put it on hold, with commas between them; empty if nobody has."""
        return ", ".join(hold.by for hold in self.holds)

    @property
    def is_owed(self) -> bool:
        """Whether something is still to be done by somebody."""
        return ORDER[self.stage] < ORDER["effect_seen"]

    @property
    def has_ended(self) -> bool:
        """Whether nothing will come of it any more, unless what is gone comes back."""
        return self.stage in ("discharged", "withdrawn")

    @property
    def waits_for_person(self) -> bool:
        """Whether it takes a person: it is overdue, refused, omitted or claimed falsely, or not all of it is gone."""
        told = {violation.kind for violation in self.violations}
        if self.held:
            return "hold_broken" in told
        if self.is_owed:
            return 100 in self.marks or bool(told & {"omitted", "refused", "false_claim", "lost", "altered"})
        return self.stage == "effect_seen" and any(one.kind in VIOLATIONS for one in self.findings)

    @property
    def leave(self) -> str:
        """On whose word the guard may do it itself; of nobody on hold. A signed fallback counts when it is due."""
        if self.held:
            return ""
        if self.word:
            return self.word
        return self.terms.issuer if self.terms.fallback and 100 in self.marks else ""


def provable(duty: Duty) -> Stage:
    """The stage from which a duty is discharged: a deletion was looked for twice, of other deeds the trail tells."""
    return "absent_2" if duty.terms.effect == "delete" else "effect_seen"


def mark_us(terms: Terms, percent: int) -> int:
    """When a part of the time is over, in microseconds since 1970."""
    return terms.opened_us + max(0, terms.due_us - terms.opened_us) * percent // 100


def next_us(duty: Duty) -> int | None:
    """When time alone changes something about a duty, in microseconds since 1970; None if it never does."""
    if duty.held:
        return None
    if ORDER[duty.stage] <= ORDER["effect_seen"]:
        left = [mark_us(duty.terms, mark) for mark in MARKS if mark not in duty.marks]
        return left[0] if left else None
    return duty.absent_us + duty.terms.quiet_us if duty.stage == "absent_1" else None
