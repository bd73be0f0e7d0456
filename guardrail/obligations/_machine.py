"""The duty as a state machine: what a command leads to, and what an event makes of it. Pure; no clock, no files.

    open -> attempted -> effect_seen -> absent_1 -> (quiet period) -> absent_2 -> discharged
              ^              |             |                |              |
              └──────────────┴─ reappeared ┴────────────────┴──────────────┘      any -> withdrawn

`decide` gives events and changes nothing; `evolve` is the only way to another state. The events are in the trail, so
folding them again gives the same state: that is what a restart does.
INVARIANT: an event has a number, and one that was folded before changes nothing; so a record may be there twice.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from guardrail.obligations._duty import MARKS, ORDER, Duty, Hold, Stage, Violation, mark_us, provable
from guardrail.obligations._events import (
    VIOLATIONS,
    Amended,
    Attempted,
    Coverage,
    Discharged,
    Erased,
    Erasing,
    Event,
    Finding,
    Held,
    Listed,
    Looked,
    Opened,
    Reminded,
    Resumed,
    Violated,
    ViolationKind,
    Withdrawn,
    Worded,
)

MAX_VIOLATIONS: Final = 64
"""Most violations that one duty keeps; the trail has all."""


# -- commands


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody has looked."""

    seen: Looked


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The agent has said something of it: `done` or `refused`."""

    claim: Literal["done", "refused"]
    session: str
    now_us: int


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The session is over."""

    session: str
    now_us: int


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """Time has passed."""

    now_us: int


class Prove(msgspec.Struct, frozen=True, kw_only=True):
    """What can be said of it at the end was put into a certificate, or needs none."""

    proof: Discharged


Command = Look | Claim | End | Tick | Prove | Worded | Held | Resumed | Erasing | Erased | Withdrawn


def decide(duty: Duty, command: Command) -> tuple[Event, ...]:
    """What a command leads to.

    Args:
        duty: how it stands.
        command: what somebody wants, has seen or has said.

    Returns:
        What happens because of it; nothing if it changes nothing.
    """
    if duty.stage == "withdrawn":
        return ()
    match command:
        case Look(seen=seen):
            return _looked(duty, seen)
        case Claim():
            return _claimed(duty, command)
        case End():
            says = "the session ended and nothing that would do it was tried"
            omitted = duty.is_owed and not duty.attempts and not duty.held and duty.terms.effect != "retain"
            return _once(duty, "omitted", command.now_us, says, command.session) if omitted else ()
        case Tick(now_us=now_us):
            return _ticked(duty, now_us)
        case Prove(proof=proof):
            return (proof,) if duty.stage == provable(duty) and not duty.held else ()
        case Worded() | Held() | Resumed():
            return (command,) if _counts(duty, command) else ()
        case Erasing():
            return (command,) if duty.leave and not duty.has_ended and not duty.erasing else ()
        case Erased():
            told = command.gone or command.left != duty.left or duty.erasing
            return (command,) if duty.leave and not duty.has_ended and told else ()
        case Withdrawn():
            return () if duty.stage == "discharged" else (command,)


def _counts(duty: Duty, word: Worded | Held | Resumed) -> bool:
    """Whether a person's word changes anything."""
    match word:
        case Worded():
            return not duty.has_ended and word.digest != duty.word_digest
        case Held():
            # What somebody signed before they let it go on is an old word, whoever lays it down again.
            said = dict(duty.resumed) | {hold.by: hold.at_us for hold in duty.holds}
            return not duty.has_ended and word.at_us > said.get(word.by, 0)
        case Resumed():
            return any(hold.by == word.by and word.at_us >= hold.at_us for hold in duty.holds)


def _looked(duty: Duty, seen: Looked) -> tuple[Event, ...]:
    after = _after_look(duty, seen)
    same = msgspec.structs.replace(after, sweeps=duty.sweeps)
    return () if same == duty else (seen,)


def _claimed(duty: Duty, command: Claim) -> tuple[Event, ...]:
    # Nothing has to be done for something to be kept, so nothing can be said of it that counts.
    if not duty.is_owed or duty.held or duty.terms.effect == "retain":
        return ()
    if command.claim == "refused":
        return _once(duty, "refused", command.now_us, "the agent said that it will not do it", command.session)
    tried = sum(duty.attempts.values())
    what = f"after {tried} attempts it is not done" if tried else "nothing that would do it was tried"
    return _once(duty, "false_claim", command.now_us, f"the agent said that it is done, and {what}", command.session)


def _once(duty: Duty, kind: ViolationKind, now_us: int, says: str, session: str) -> tuple[Event, ...]:
    """A violation, once for each session."""
    if any((one.kind, one.session) == (kind, session) for one in duty.violations):
        return ()
    return (Violated(kind=kind, at_us=now_us, says=says, session=session),)


def _ticked(duty: Duty, now_us: int) -> tuple[Event, ...]:
    if ORDER[duty.stage] > ORDER["effect_seen"] or duty.held:
        return ()
    found: list[Event] = [
        Reminded(percent=mark) for mark in MARKS if mark not in duty.marks and now_us >= mark_us(duty.terms, mark)
    ]
    overdue = any(isinstance(event, Reminded) and event.percent == 100 for event in found)
    if overdue and duty.is_owed and not duty.attempts and duty.terms.effect != "retain":
        found += _once(duty, "omitted", now_us, "it is due and nothing that would do it was tried", "")
    return tuple(found)


# -- events


def evolve(duty: Duty | None, event: Event, *, n: int = 0, seq: int = -1) -> Duty:
    """What an event makes of a duty.

    Args:
        duty: how it stood; None before it was opened.
        event: what happened.
        n: number of the event, counted for each duty; 0 for an attempt, and where the next one is meant.
        seq: number of its record, if it is in the trail.

    Returns:
        How it stands.

    Raises:
        ValueError: if the first event is not that the duty was opened.
    """
    if isinstance(event, Opened):
        return _opened(duty, event, n, seq)
    if duty is None:
        raise ValueError("a duty begins with its being opened")
    if isinstance(event, Attempted):
        return _with_attempt(duty, event, seq)
    if n and n <= duty.n:
        return duty
    after = _evolved(duty, event)
    return msgspec.structs.replace(after, n=n or duty.n + 1, last_seq=max(seq, duty.last_seq))


def _opened(duty: Duty | None, event: Opened, n: int, seq: int) -> Duty:
    if duty is not None and n and n <= duty.n:
        return duty
    before = () if duty is None else duty.violations
    found = _violations(event.findings, event.terms.opened_us, before)
    return Duty(
        terms=event.terms,
        n=n or (1 if duty is None else duty.n + 1),
        files=event.files,
        files_more=event.files_more,
        findings=event.findings,
        violations=found,
        opened_seq=seq,
        last_seq=seq,
    )


def _evolved(duty: Duty, event: Event) -> Duty:
    change = msgspec.structs.replace
    match event:
        case Listed(files=files):
            return change(duty, files=(*duty.files, *files))
        case Amended(terms=terms, marks=marks):
            return change(duty, terms=terms, marks=marks)
        case Looked():
            return _after_look(duty, event)
        case Reminded(percent=percent):
            return change(duty, marks=tuple(sorted({*duty.marks, percent})))
        case Violated():
            one = Violation(kind=event.kind, at_us=event.at_us, says=event.says, session=event.session)
            return change(duty, violations=(*duty.violations, one)[:MAX_VIOLATIONS])
        case Worded() | Held() | Resumed():
            return _with_word(duty, event)
        case Erasing():
            return change(duty, erasing=True)
        case Erased():
            return _with_erasure(duty, event)
        case Discharged():
            return change(duty, stage="discharged", certificate=event.certificate)
        case Withdrawn(why=why):
            return change(duty, stage="withdrawn", evidence=(why,), findings=())
        case Opened() | Attempted():
            return duty


def _with_word(duty: Duty, event: Worded | Held | Resumed) -> Duty:
    change = msgspec.structs.replace
    match event:
        case Worded():
            return change(duty, word=event.by, word_digest=event.digest, word_derivatives=event.derivatives)
        case Held():
            mine = Hold(by=event.by, at_us=event.at_us, why=event.reason)
            return change(duty, holds=(*(hold for hold in duty.holds if hold.by != event.by), mine))
        case Resumed():
            holds = tuple(hold for hold in duty.holds if hold.by != event.by)
            return change(duty, holds=holds, resumed=tuple({**dict(duty.resumed), event.by: event.at_us}.items()))


def _with_erasure(duty: Duty, event: Erased) -> Duty:
    known = {file.inode: file for file in event.files}
    return msgspec.structs.replace(
        duty,
        erasing=False,
        erased=duty.erased or event.gone > 0,
        left=event.left,
        files=tuple(known.get(file.inode, file) for file in duty.files),
        stage="attempted" if duty.stage == "open" else duty.stage,
    )


def _with_attempt(duty: Duty, event: Attempted, seq: int) -> Duty:
    attempts = {**duty.attempts, event.outcome: duty.attempts.get(event.outcome, 0) + 1}
    stage: Stage = "attempted" if duty.stage == "open" else duty.stage
    return msgspec.structs.replace(duty, attempts=attempts, stage=stage, last_seq=max(seq, duty.last_seq))


def _after_look(duty: Duty, seen: Looked) -> Duty:
    stage, absent_us, sweeps = _stage_after(duty, seen)
    findings = seen.findings
    back = [one for one in findings if one.kind in _back(duty.stage)]
    if seen.result == "present" and duty.terms.effect == "delete" and back:
        findings = (
            Finding(kind="reappeared", says=f"it was gone, and now {back[0].says}", path=back[0].path),
            *findings,
        )
    if duty.held and duty.is_owed and ORDER[stage] >= ORDER["effect_seen"] and duty.terms.effect == "delete":
        findings = (*findings, Finding(kind="hold_broken", says=f"`{duty.held}` had put it on hold, and it is gone"))
    return msgspec.structs.replace(
        duty,
        stage=stage,
        looked=True,
        evidence=seen.evidence,
        findings=findings,
        violations=_violations(_counted(findings, seen), seen.at_us, duty.violations),
        unlinked=seen.result != "present" and (duty.unlinked or seen.unlinked),
        absent_us=absent_us,
        sweeps=sweeps,
        scores=seen.scores or duty.scores,
        certificate=duty.certificate if stage == "discharged" else "",
    )


def _counted(findings: tuple[Finding, ...], seen: Looked) -> tuple[Finding, ...]:
    """Those that are held against somebody: whoever deletes file after file has not left the rest."""
    return findings if seen.final else tuple(one for one in findings if one.kind != "partial")


def _back(stage: Stage) -> frozenset[str]:
    """What a look finds of something that was gone and is back.

    As long as nothing was searched for, only what lies in its place again is; a copy may have been there all the time.
    """
    if stage == "effect_seen":
        return frozenset({"present", "decoyed"})
    searched = ORDER["absent_1"] <= ORDER[stage] <= ORDER["discharged"]
    return frozenset({"present", "decoyed", "copied_during", "moved", "hardlinked"} if searched else ())


def _stage_after(duty: Duty, seen: Looked) -> tuple[Stage, int, tuple[Coverage, ...]]:
    """How far a duty is after a look.

    INVARIANT: only a sweep brings it further than `effect_seen`, and only a second one, made no sooner than the quiet
    period after the first, brings it to `absent_2`; whatever is found in between begins from the start. Both the clock
    and the machine's own time have to say that the period is over, because a clock can be set.
    """
    at, stage = duty.absent_us, duty.stage
    if seen.result == "unknown":
        return stage, at, duty.sweeps
    if seen.result == "present":
        back: Stage = "attempted" if duty.attempts or duty.erased else "open"
        return back, 0, ()
    if stage == "discharged":
        return stage, at, duty.sweeps
    if ORDER[stage] < ORDER["effect_seen"]:
        stage = "effect_seen"
    if seen.coverage is None or duty.terms.effect != "delete":
        return stage, at, duty.sweeps
    if stage == "effect_seen":
        return "absent_1", seen.at_us, (seen.coverage,)
    quiet = duty.terms.quiet_us
    if stage == "absent_1" and seen.at_us - at >= quiet and _is_over(duty.sweeps, seen.coverage, quiet):
        return "absent_2", at, (*duty.sweeps[:1], seen.coverage)
    return stage, at, duty.sweeps


def _is_over(before: tuple[Coverage, ...], now: Coverage, quiet_us: int) -> bool:
    """Whether the quiet period is over by the machine's own time; after a restart of it only the clock tells."""
    first = before[0] if before else now
    return not now.boot or first.boot != now.boot or now.boot_us - first.boot_us >= quiet_us


def _violations(findings: tuple[Finding, ...], at_us: int, known: tuple[Violation, ...]) -> tuple[Violation, ...]:
    """The same, with what was not known yet."""
    seen = {(one.kind, one.path) for one in known}
    found = list(known)
    for one in findings:
        kind: ViolationKind | None = next((word for word in VIOLATIONS if word == one.kind), None)
        if kind is not None and (kind, one.path) not in seen:
            seen.add((kind, one.path))
            found.append(Violation(kind=kind, at_us=at_us, says=one.says, path=one.path))
    return tuple(found[:MAX_VIOLATIONS])
