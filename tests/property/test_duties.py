"""The machine of duties under any sequence of looks, claims, words and times."""

from __future__ import annotations

import msgspec
import orjson
import pytest
from hypothesis import event as event_seen
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.canonical import canonical
from guardrail.obligations._codec import bounded, event_of, pack, to_plain, unpack
from guardrail.obligations._duty import Duty, next_us
from guardrail.obligations._events import (
    VIOLATIONS,
    Attempted,
    Coverage,
    Discharged,
    Erased,
    Event,
    Finding,
    Looked,
    Opened,
    Pinned,
    Terms,
    Withdrawn,
    Worded,
)
from guardrail.obligations._machine import Claim, End, Look, Prove, Tick, decide, evolve
from guardrail.obligations._replay import Folded

pytestmark = pytest.mark.property

QUIET_US = 100
TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
"""Any text, with lone surrogates: names of files need not be UTF-8."""


def terms(effect: str, fallback: bool) -> Terms:
    """What is owed, due after 1,000 microseconds."""
    return Terms(
        id="m/d", mandate="m", issuer="dana", subject="*", effect=effect, asset="a",
        opened_us=0, due_us=1000, quiet_us=QUIET_US, fallback=fallback,
    )  # fmt: skip


FILES = st.builds(Pinned, path=TEXT, inode=st.just("1:2"), size=st.integers(0, 2**63))
FINDINGS = st.builds(
    Finding, kind=st.sampled_from(("present", "missing", "unknown", *VIOLATIONS)), says=TEXT, path=TEXT
)


@st.composite
def looks(draw: st.DrawFn) -> Looked:
    """What a look can show; one that shows nothing wrong is as likely as all others."""
    clean = draw(st.booleans())
    found = () if clean else tuple(draw(st.lists(FINDINGS, min_size=1, max_size=3)))
    swept = draw(st.booleans())
    return Looked(
        result="absent" if clean else draw(st.sampled_from(("present", "unknown"))),
        at_us=0,
        evidence=tuple(draw(st.lists(TEXT, max_size=2))),
        findings=found,
        coverage=Coverage(t_us=0, roots=1, files=2, compared=3, processes=4) if swept else None,
        final=draw(st.booleans()),
    )


CLEAN = Looked(
    result="absent", at_us=0, evidence=(), coverage=Coverage(t_us=0, roots=1, files=2, compared=3, processes=4)
)
WORDS = ("allow", "deny", "escalate", "done", "refused", "end", "tick", "word", "erase")
STEPS = st.lists(
    st.tuples(
        st.integers(0, 120),
        st.one_of(looks(), st.sampled_from(WORDS), st.just("prove"), st.just(CLEAN), st.just(CLEAN)),
    ),
    max_size=25,
)
"""Each with the time before it; most sequences would prove nothing if a clean search were not likely."""


def run(duty: Duty, step: Looked | str, now: int) -> list[Event]:
    """What a step leads to."""
    if isinstance(step, Looked):
        cover = None if step.coverage is None else msgspec.structs.replace(step.coverage, t_us=now)
        return list(decide(duty, Look(seen=msgspec.structs.replace(step, at_us=now, coverage=cover))))
    if step in ("allow", "deny", "escalate"):
        return [Attempted(outcome=step)] if duty.is_owed else []
    if step in ("done", "refused"):
        return list(decide(duty, Claim(claim=step, session="s", now_us=now)))  # type: ignore[arg-type]
    commands = {
        "end": End(session="s", now_us=now),
        "tick": Tick(now_us=now),
        "word": Worded(by="dana", digest=str(now)),
        "erase": Erased(at_us=now, gone=1),
        "prove": Prove(proof=Discharged(at_us=now, certificate="c", envelope={"payload": "p"})),
        "withdraw": Withdrawn(why="revoked"),
    }
    return list(decide(duty, commands[step]))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(("delete", "service")), st.booleans(), st.lists(FILES, max_size=2), STEPS, st.booleans())
def test_a_duty_is_the_fold_of_its_records_and_is_discharged_by_two_searches_only(
    effect: str, fallback: bool, files: list[Pinned], steps: list[tuple[int, Looked | str]], withdrawn: bool
) -> None:
    """Read back from bytes, once or twice each; and nothing that was wrong is ever forgotten."""
    opened = Opened(terms=terms(effect, fallback), files=tuple(files))
    duty = evolve(None, opened, seq=0)
    records: list[tuple[int, dict[str, object]]] = [(0, _record(duty, opened))]
    now, searches = 0, list[int]()
    for pause, step in [*steps, *([(0, "withdraw")] if withdrawn else [])]:
        now += pause
        for event in run(duty, step, now):
            before = duty
            duty = evolve(duty, event, seq=len(records))
            if isinstance(event, Attempted):
                outcome = {"outcome": event.outcome}
                records.append((len(records), {"kind": "decision", "decision": outcome, "duties": ["m/d"]}))
            else:
                records.append((len(records), _record(duty, event)))
            assert set(before.violations) <= set(duty.violations)
            if isinstance(event, Looked):
                clean = event.result == "absent" and event.coverage is not None
                searches = [*searches, now] if clean else [] if event.result == "present" else searches
            if duty.stage == "discharged" and before.stage != "discharged" and effect == "delete":
                event_seen("discharged")
                assert searches[-1] - searches[0] >= QUIET_US
                assert (len(duty.sweeps), duty.certificate) == (2, "c")
            assert (duty.state in ("open", "unmet")) is duty.is_owed
            assert duty.leave == "" or duty.word or (fallback and 100 in duty.marks)
            at = next_us(duty)
            assert at is None or not duty.has_ended
    read = [(seq, orjson.loads(canonical(record))) for seq, record in records]
    assert Folded().take_all(read).duties == {"m/d": duty}
    # A note that two callers were handed is in the trail twice.
    twice = [one for seq, record in read for one in ([(seq, record)] * (1 if record["kind"] == "decision" else 2))]
    assert Folded().take_all(twice).duties == {"m/d": duty}
    assert unpack(pack(duty)) == duty


def _record(duty: Duty, event: Event) -> dict[str, object]:
    return {"kind": "obligation", "obligation": "m/d", "n": duty.n, "what": to_plain(event)}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.builds(Finding, kind=st.just("moved"), says=st.text(max_size=600), path=st.text(max_size=2000))))
def test_what_is_seen_fits_into_a_record_whatever_the_names_are(findings: list[Finding]) -> None:
    """The worst name takes six bytes a character; what is left out is counted."""
    evidence = tuple(one.says for one in findings)
    seen = bounded(Looked(result="present", at_us=1, evidence=evidence, findings=tuple(findings * 30)))
    assert len(canonical(to_plain(seen))) < 58 * 1024
    assert event_of(orjson.loads(canonical(to_plain(seen)))) == seen
    left = len(findings) * 30 - len(seen.findings)
    assert not left or f"and {left} more" in seen.evidence or len(evidence) > 16
