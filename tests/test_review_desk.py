"""The desk over a real trail: durable before it is answered, one winner for each grant, and what a restart finds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from guardrail.audit import Trail, verify
from guardrail.errors import TrailError
from guardrail.model import new_id
from guardrail.review import Escalation, Grant, Quorum, Refused, ReviewDesk, Scope, Snapshot, TrailLedger, Vote
from guardrail.review import _desk as desk_module
from guardrail.review._book import Book
from guardrail.review._ledgers import read_trail
from guardrail.review._snapshot import VERSION
from scripts import review_race

DIGEST = review_race.DIGEST


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    """A trail of its own."""
    with Trail.open(tmp_path / "trail") as trail:
        yield trail


def held(desk: ReviewDesk, **more: object) -> Escalation:
    """An escalation just made."""
    now = desk.clock()
    plain = Escalation(
        id=new_id(), digest=DIGEST, agent="agent", created_us=now, expires_us=now + 60 * 1_000_000, leave_seconds=60
    )
    return msgspec.structs.replace(plain, **more)


YES = Vote(voter="dana", verdict="approve", at_us=0)
NO = Vote(voter="dana", verdict="deny", at_us=0)


def approved(desk: ReviewDesk, **more: object) -> Grant:
    """A grant for a call."""
    return desk.cast(desk.open(held(desk, **more)).held.id, YES).grants[0].grant


# ── exactly once ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_hundred_grants_and_sixteen_racers_each_make_two_hundred_redemptions(tmp_path: Path) -> None:
    """Every grant is redeemed by exactly one of the threads that try, and the trail says the same and verifies."""
    won, attempts, _ = review_race.race(tmp_path / "trail", 200, 16)
    assert (won, attempts) == (200, 3200)
    assert verify(tmp_path / "trail").ok
    book = Book()
    for seq, record in read_trail(tmp_path / "trail"):
        book.take(seq, record)
    assert [len(issued.uses) for case in book.cases() for issued in case.grants] == [1] * 200


def test_a_use_that_a_killed_process_had_taken_is_never_taken_again(tmp_path: Path) -> None:
    """Killed between taking a use and saying what came of it: the next one has it on record as unknown."""
    taken, again, unknown = review_race.kills(tmp_path / "trail", 2)
    assert taken >= 3
    assert (again, unknown) == (0, taken)


def test_another_process_cannot_write_the_same_ledger(trail: Trail) -> None:
    """The trail has one writer, which is why a turn of its ledger keeps everybody else out."""
    with pytest.raises(TrailError, match="in use"):
        Trail.open(trail.directory)


# ── durable, and read back ────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_desk_answers_is_on_the_trail_by_then(trail: Trail) -> None:
    """A second reader, that has only the files, finds the escalation, the vote, the grant and the redemption."""
    desk = ReviewDesk(TrailLedger(trail))
    desk.reserve(approved(desk), DIGEST)
    kinds = [(record["kind"], record["event"]) for _, record in read_trail(trail.directory)]
    assert kinds == [
        ("escalation", "opened"), ("vote", "voted"), ("grant", "issued"), ("redemption", "reserved"),
    ]  # fmt: skip


def test_a_restart_finds_everything_as_it_was(tmp_path: Path) -> None:
    """Waiting, denied and approved cases are read back from the trail alone, between records of other kinds."""
    with Trail.open(tmp_path / "trail", segment_bytes=1 << 20) as trail:
        desk = ReviewDesk(TrailLedger(trail))
        for _ in range(20):
            desk.open(held(desk))
            for _ in range(2):
                trail.append({"kind": "decision", "fill": "x" * 50_000})
            desk.cast(desk.open(held(desk)).held.id, NO)
            approved(desk)
        before = desk.cases()
    with Trail.open(tmp_path / "trail") as trail:
        assert len(list(trail.directory.glob("*.seg"))) > 1, "one segment would show less"
        assert ReviewDesk(TrailLedger(trail)).cases() == before


def test_an_append_that_failed_and_was_written_all_the_same_is_found_at_the_next_turn(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody was told that the use was taken, and nobody gets it after that."""
    desk = ReviewDesk(TrailLedger(trail))
    grant = approved(desk)
    real = trail.append

    def lost(record: object, *, durable: bool = True) -> int:
        real(record, durable=durable)  # type: ignore[arg-type]
        raise TrailError("the disk did not answer within 2 seconds")

    with monkeypatch.context() as slow:
        slow.setattr(trail, "append", lost)
        with pytest.raises(TrailError):
            desk.reserve(grant, DIGEST)
    with pytest.raises(Refused, match="already used"):
        desk.reserve(grant, DIGEST)


def test_a_trail_that_failed_grants_nothing_any_more(trail: Trail) -> None:
    """A closed trail stands for one that cannot be written: no use is taken, and none of what was asked is recorded."""
    desk = ReviewDesk(TrailLedger(trail))
    grant = approved(desk)
    trail.close()
    for attempt in (lambda: desk.reserve(grant, DIGEST), lambda: desk.open(held(desk))):
        with pytest.raises(TrailError):
            attempt()


def test_a_damaged_trail_is_not_folded(trail: Trail) -> None:
    """The missing record could be the one that took a grant back."""
    desk = ReviewDesk(TrailLedger(trail))
    approved(desk)
    (segment,) = trail.directory.glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[200] ^= 1
    segment.write_bytes(data)
    with pytest.raises(TrailError, match="record 0 cannot be read"):
        ReviewDesk(TrailLedger(trail))


# ── the snapshot ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_snapshot_saves_reading_the_ledger_and_changes_nothing(trail: Trail, tmp_path: Path) -> None:
    """A desk that goes on from it has the same cases, and reads only what came after."""
    snapshot = Snapshot(tmp_path / "snapshot", trail.directory / "trail.key")
    desk = ReviewDesk(TrailLedger(trail), snapshot=snapshot)
    grant = approved(desk)
    desk.save()
    later = approved(desk)
    read: list[int] = []

    class Counting(TrailLedger):
        """Notes from where it is read."""

        def news(self, after: int) -> object:  # type: ignore[override]
            read.append(after)
            return super().news(after)

    again = ReviewDesk(Counting(trail), snapshot=snapshot)
    assert again.cases() == desk.cases()
    assert read[0] == 1, "the last record of the snapshot is looked at, to see that it is the same ledger"
    for one in (grant, later):
        assert again.valid(one, DIGEST) == one


@pytest.mark.parametrize("forgery", ["cases", "seal", "version", "rubbish", "another"])
def test_a_snapshot_that_this_guard_has_not_written_is_not_believed(trail: Trail, tmp_path: Path, forgery: str) -> None:
    """Whoever can write the file cannot bring back a grant that was used: everything is folded anew."""
    snapshot = Snapshot(tmp_path / "snapshot", trail.directory / "trail.key")
    desk = ReviewDesk(TrailLedger(trail), snapshot=snapshot)
    grant = approved(desk)
    desk.save()
    usable = (tmp_path / "snapshot").read_bytes()
    desk.reserve(grant, DIGEST)
    desk.save()
    path, data = tmp_path / "snapshot", (tmp_path / "snapshot").read_bytes()
    body = usable[len(VERSION) + 32 :]
    with Trail.open(tmp_path / "other") as other:
        foreign = Snapshot(tmp_path / "foreign", other.directory / "trail.key")
        foreign.save(desk._book.keep())
    path.write_bytes(
        {
            "cases": data[: len(VERSION) + 32] + body,
            "seal": VERSION + bytes(32) + body,
            "version": b"x" + usable[1:],
            "rubbish": b"{}",
            "another": (tmp_path / "foreign").read_bytes(),
        }[forgery]
    )
    assert snapshot.load() is None
    again = ReviewDesk(TrailLedger(trail), snapshot=snapshot)
    assert again.valid(grant, DIGEST) is None


def test_an_old_snapshot_is_caught_up_from_the_ledger(trail: Trail, tmp_path: Path) -> None:
    """Putting an older one back, that was genuine then, brings no grant back either."""
    snapshot = Snapshot(tmp_path / "snapshot", trail.directory / "trail.key")
    desk = ReviewDesk(TrailLedger(trail), snapshot=snapshot)
    grant = approved(desk)
    desk.save()
    old = (tmp_path / "snapshot").read_bytes()
    desk.reserve(grant, DIGEST)
    (tmp_path / "snapshot").write_bytes(old)
    assert ReviewDesk(TrailLedger(trail), snapshot=snapshot).valid(grant, DIGEST) is None


# ── bounds ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bound", ["MAX_PENDING", "MAX_PENDING_OF_AGENT"])
def test_escalations_that_wait_are_bounded(trail: Trail, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """An agent that asks without end is refused, the others are only if all are too many; what expires makes room."""
    monkeypatch.setattr(desk_module, "MAX_PENDING_OF_AGENT", 3)
    monkeypatch.setattr(desk_module, bound, 3)
    now = [1_700_000_000_000_000]
    desk = ReviewDesk(TrailLedger(trail), clock=lambda: now[0])
    for _ in range(3):
        desk.open(held(desk))
    with pytest.raises(Refused, match="too many escalations wait for people already"):
        desk.open(held(desk))
    if bound == "MAX_PENDING":
        with pytest.raises(Refused):
            desk.open(held(desk, agent="other"))
    else:
        desk.open(held(desk, agent="other"))
    now[0] += 60 * 1_000_000
    desk.open(held(desk))
    assert [case.state for case in desk.cases()][-1] == "pending"


def test_cases_in_memory_are_bounded_and_those_that_matter_stay(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many the oldest that is over goes; one that waits, or whose grant can still be used, stays."""
    monkeypatch.setattr("guardrail.review._book.MAX_CASES", 4)
    desk = ReviewDesk(TrailLedger(trail))
    waiting, usable = desk.open(held(desk)), approved(desk)
    for _ in range(6):
        desk.cast(desk.open(held(desk)).held.id, NO)
    assert len(desk.cases()) == 4
    assert desk.find(waiting.held.id) is not None
    assert desk.valid(usable, DIGEST) is not None


def test_a_scoped_grant_is_used_as_often_as_it_says(trail: Trail) -> None:
    """Uses are counted one by one, given back only by whoever knows that nothing was released, and then it is over."""
    desk = ReviewDesk(TrailLedger(trail))
    case = desk.open(held(desk, ops=("exec_opaque",), assets=("m",)))
    scope = Scope(ops=("exec_opaque",), uses=2)
    grant = desk.cast(case.held.id, msgspec.structs.replace(YES, scope=scope)).grants[0].grant
    assert grant.scope == Scope(ops=("exec_opaque",), assets=("m",), targets=(), uses=2)
    first = desk.reserve(grant, "sha256:one")
    assert first is not None
    desk.finish(first, None)
    uses = [desk.reserve(grant, f"sha256:{at}") for at in range(2)]
    assert [use.use for use in uses if use is not None] == [1, 2]
    with pytest.raises(Refused, match="already used"):
        desk.reserve(grant, "sha256:three")


@pytest.mark.parametrize(
    ("scope", "why"),
    [
        (Scope(ops=("delete",)), "`delete` is none of the ops"),
        (Scope(assets=("model:gamma",)), "`model:gamma` is none of the assets"),
        (Scope(targets=("/tmp",)), "`/tmp` is none of the targets"),
        (Scope(ops=()), "a scope with no ops covers nothing"),
        (Scope(uses=101), "1 to 100 uses"),
        (Scope(seconds=14_401), "1 to 14400 seconds"),
    ],
)
def test_a_scope_only_narrows(trail: Trail, scope: Scope, why: str) -> None:
    """Nobody gives more than was asked for, and a vote that tries is not recorded."""
    desk = ReviewDesk(TrailLedger(trail))
    case = desk.open(held(desk, ops=("exec_opaque",), assets=("model:beta",), targets=("/out",)))
    with pytest.raises(Refused, match=why):
        desk.cast(case.held.id, msgspec.structs.replace(YES, scope=scope))
    assert desk.find(case.held.id) == case


def test_weights_that_would_leave_are_approved_one_call_at_a_time(trail: Trail) -> None:
    """A critical escalation takes no scope with more than one use."""
    desk = ReviewDesk(TrailLedger(trail))
    case = desk.open(held(desk, ops=("copy",), assets=("model:beta",), critical=True))
    with pytest.raises(Refused, match="approve each call by itself"):
        desk.cast(case.held.id, msgspec.structs.replace(YES, scope=Scope(uses=2)))


def test_those_who_approved_one_call_are_not_counted_for_an_edit_of_it(trail: Trail) -> None:
    """Two have to say yes: one to the call and one to other arguments is not two."""
    desk = ReviewDesk(TrailLedger(trail))
    name = desk.open(held(desk, quorum=Quorum(n=2))).held.id
    desk.cast(name, YES)
    assert desk.cast(name, Vote(voter="eve", verdict="approve", at_us=0, edit="sha256:e")).state == "pending"
    case = desk.cast(name, Vote(voter="finn", verdict="approve", at_us=0, edit="sha256:e"))
    assert (case.state, case.grants[0].grant.digest, case.approvers) == ("approved", "sha256:e", ("eve", "finn"))


def test_a_waiting_reader_is_told_when_something_changes(trail: Trail) -> None:
    """Long polling ends with the vote, and not with its time."""
    desk = ReviewDesk(TrailLedger(trail))
    case = desk.open(held(desk))
    seen: list[str] = []
    waiter = threading.Thread(
        target=lambda: seen.extend([found.state for found in [desk.wait(case.held.id, case.version, 30)] if found])
    )
    waiter.start()
    desk.cast(case.held.id, YES)
    waiter.join(timeout=20)
    assert seen == ["approved"]
