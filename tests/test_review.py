"""The adapter's memory over the ledger: first answer final, grants exact and used once, the memory decides nothing."""

from __future__ import annotations

import gc
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guardrail import Escalated, Guard, TrailError
from guardrail.config import Config
from guardrail.config import parse as parse_config
from guardrail.model import Decision, Outcome, Reason, ToolCall, new_id
from guardrail.review import (
    MAX_RELEASES,
    MAX_RESULT_BYTES,
    MAX_TURNS_IN_MEMORY,
    Answer,
    CallKey,
    Grant,
    MemoryLedger,
    Refused,
    Review,
    ReviewDesk,
    ReviewError,
    ReviewStore,
    TurnKey,
)
from guardrail.review._schema import encode_answer
from guardrail.review._store import KEPT_SECONDS
from tests.review_support import escalation

GRANT_SECONDS = Config().review.grant_seconds
ESCALATION_SECONDS = Config().review.escalation_seconds

CALL = ToolCall(tool="write_file", args={"path": "/cfg", "content": "v"}, id="c1", cwd="/srv", session="t1")
TURN = TurnKey(thread="t1", message="m1")


class Clock:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now

    def wait(self, seconds: float) -> None:
        """Move on."""
        self.now += int(seconds * 1_000_000)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Any:
    """A store in a file."""
    with opened(tmp_path, clock) as store:
        yield store


def opened(tmp_path: Path, clock: Callable[[], int], desk: ReviewDesk | None = None) -> ReviewStore:
    """A store over that file, with a desk of its own or one that is shared."""
    shared = desk if desk is not None else ReviewDesk(MemoryLedger(), clock=clock)
    return ReviewStore(tmp_path / "review.db", desk=shared, clock=clock)


def key(call: ToolCall = CALL, turn: TurnKey = TURN) -> CallKey:
    """The sticky key of a call."""
    return CallKey(turn=turn, call=call.id, digest=call.digest)


def decision(outcome: Outcome = Outcome.ESCALATE) -> Decision:
    """A decision just made."""
    return Decision(decision_id=new_id(), outcome=outcome)


def held(store: ReviewStore, call: ToolCall = CALL, turn: TurnKey = TURN) -> Review:
    """A call that a person is asked about."""
    review = store.remember(key(call, turn), call, opened_on(store, call, decision()))
    store.ask([review.key], asked="question", asker="node")
    return review


def opened_on(store: ReviewStore, call: ToolCall, found: Decision) -> Decision:
    """A decision whose escalation is in the ledger."""
    found = msgspec.structs.replace(found, digest=call.digest)
    store.desk.open(escalation(call, found, now_us=store.desk.clock(), bound=True))
    return found


def redeem(store: ReviewStore, grant: Grant | str, digest: str) -> Grant | None:
    """The grant, if this caller is the one who got it."""
    try:
        won = store.desk.reserve(grant, digest)
    except Refused:
        return None
    return None if won is None else won.grant


def approved(store: ReviewStore, call: ToolCall = CALL) -> Review:
    """A call that a person approved."""
    return store.answer(held(store, call).key, Answer(kind="approve", approver="dana", digest=call.digest))


def issued(store: ReviewStore) -> Grant:
    """A grant for `CALL`."""
    grant = store.issue(approved(store).key, CALL.digest)
    assert grant is not None
    return grant


def test_a_decision_sticks_to_its_key(store: ReviewStore) -> None:
    """The first decision under a key stays, and another turn, call or digest is another key."""
    first = store.remember(key(), CALL, decision(Outcome.ESCALATE))
    again = store.remember(key(), CALL, decision(Outcome.ALLOW))
    assert again == first
    assert store.recall(key()) == first
    other = msgspec.structs.replace(CALL, args={"path": "/cfg", "content": "w"})
    assert store.recall(key(other)) is None
    assert store.recall(key(turn=TurnKey(thread="t1", message="m2"))) is None
    assert store.recall(key(turn=TurnKey(thread="t1", message="m1", scope="tools:1"))) is None


def test_what_nobody_has_to_see_is_not_written(store: ReviewStore, tmp_path: Path) -> None:
    """An allowed call costs no disk write; when its turn pauses it is there for the next process."""
    store.remember(key(), CALL, decision(Outcome.ALLOW))
    with opened(tmp_path, store.desk.clock, store.desk) as other:
        assert other.recall(key()) is None
        store.keep(TURN)
        review = other.recall(key())
        assert review is not None
        assert (review.outcome, review.args) == (Outcome.ALLOW, CALL.args)


def test_a_question_makes_the_whole_turn_durable(store: ReviewStore, tmp_path: Path) -> None:
    """The siblings of a held call are read back on resume too, so a question keeps its calls and their order."""
    sibling = msgspec.structs.replace(CALL, id="c0", tool="read_file")
    store.remember(key(sibling), sibling, decision(Outcome.ALLOW))
    held(store)
    with opened(tmp_path, store.desk.clock, store.desk) as other:
        for call in (sibling, CALL):
            assert other.recall(key(call)) is not None


def test_a_call_cannot_be_put_to_a_person_before_it_was_judged(store: ReviewStore) -> None:
    """There is no question without a decision."""
    with pytest.raises(ReviewError, match="before it was judged"):
        store.ask([key()], asked="q", asker="node")
    with pytest.raises(ReviewError, match="no person was asked"):
        store.answer(key(), Answer(kind="reject", approver="dana"))


def test_asking_says_whether_the_question_was_shown_before(store: ReviewStore) -> None:
    """The first time nothing was shown; the second time the fingerprint of what was shown is there, and stays."""
    review = store.remember(key(), CALL, opened_on(store, CALL, decision()))
    (first,) = store.ask([review.key], asked="one", asker="node")
    (second,) = store.ask([review.key], asked="two", asker="call")
    assert (first.asked, second.asked, second.asker) == ("", "one", "node")
    assert [shown.asked for shown in store.shown(TURN, "c1")] == ["one"]


@pytest.mark.parametrize("kinds", [("approve", "reject"), ("reject", "approve")])
def test_the_first_answer_is_final(store: ReviewStore, kinds: tuple[Any, Any]) -> None:
    """A later answer changes nothing, neither a denial into an approval nor the other way round."""
    review = held(store)
    for kind in kinds:
        answered = store.answer(review.key, Answer(kind=kind, approver=f"who-{kind}", digest=CALL.digest))
    assert answered.answer is not None
    assert (answered.answer.kind, answered.answer.approver) == (kinds[0], f"who-{kinds[0]}")


def test_an_approval_names_what_it_approves(store: ReviewStore) -> None:
    """An approval without a digest would be one for anything."""
    review = held(store)
    with pytest.raises(ReviewError, match="must name the digest"):
        store.answer(review.key, Answer(kind="approve", approver="dana"))
    assert store.issue(review.key, "") is None


def test_a_late_answer_comes_to_nothing(store: ReviewStore, clock: Clock) -> None:
    """A question that waited too long is expired, and an approval after that is not taken."""
    review = held(store)
    clock.wait(ESCALATION_SECONDS)
    assert store.pending() == ()
    answered = store.answer(review.key, Answer(kind="approve", approver="dana", digest=CALL.digest))
    assert (answered.state, answered.answer) == ("expired", None)
    assert store.issue(review.key, CALL.digest) is None


def test_expired_questions_are_swept(store: ReviewStore, clock: Clock) -> None:
    """`expire` ends them without an answer having to come."""
    review = held(store)
    assert store.expire() == 0
    clock.wait(ESCALATION_SECONDS)
    assert store.expire() == 1
    found = store.find(review.decision_id)
    assert found is not None
    assert found.state == "expired"


def test_a_new_turn_supersedes_the_questions_of_its_own_conversation_only(store: ReviewStore) -> None:
    """Another thread, and another subagent of the same thread, go on waiting."""
    turns = [TURN, TurnKey(thread="t2", message="m1"), TurnKey(thread="t1", message="m1", scope="tools:1")]
    reviews = [held(store, turn=turn) for turn in turns]
    assert store.supersede(TurnKey(thread="t1", message="m2")) == 1
    states = [found.state for review in reviews if (found := store.find(review.decision_id))]
    assert states == ["superseded", "pending", "pending"]
    assert store.supersede(TurnKey(thread="t1", message="m2")) == 0


def test_a_grant_is_for_one_digest_and_one_use(store: ReviewStore) -> None:
    """Another call finds it void, and so does the same call the second time."""
    grant = issued(store)
    assert (grant.approver, grant.digest) == ("dana", CALL.digest)
    assert redeem(store, grant, "sha256:" + "0" * 64) is None
    assert store.desk.valid(grant, CALL.digest) == grant
    assert redeem(store, grant.id, CALL.digest) == grant
    assert redeem(store, grant.id, CALL.digest) is None
    assert store.desk.valid(grant, CALL.digest) is None


def test_a_made_up_grant_is_worth_nothing(store: ReviewStore) -> None:
    """What counts is what the store issued: unknown ids are void, and a changed approver is not believed."""
    grant = issued(store)
    fake = msgspec.structs.replace(grant, id="grant-x")
    assert redeem(store, fake, CALL.digest) is None
    forged = msgspec.structs.replace(grant, approver="root", expires_us=2**62)
    assert store.desk.valid(forged, CALL.digest) == grant


REASONS = (
    Reason(rule="opaque.names_asset", outcome=Outcome.ESCALATE, message="held", effect=1, asset="model:beta"),
    Reason(rule="opaque.code", outcome=Outcome.ESCALATE, message="held", effect=0),
    Reason(rule="opaque.code", outcome=Outcome.ESCALATE, message="held", effect=2),
    Reason(rule="control.weakened", outcome=Outcome.ALLOW, message="noted", effect=3, asset="control:1"),
)
SHOWN = (("opaque.names_asset", "model:beta"), ("opaque.code", None))


def reasoned(store: ReviewStore, kind: Any = "approve", digest: str = CALL.digest) -> Grant:
    """A grant for a call that was held for `REASONS`."""
    decided = msgspec.structs.replace(decision(), reasons=REASONS)
    review = store.remember(key(), CALL, opened_on(store, CALL, decided))
    store.ask([review.key], asked="question", asker="node")
    store.answer(review.key, Answer(kind=kind, approver="dana", digest=digest, args={} if kind == "edit" else None))
    grant = store.issue(review.key, digest)
    assert grant is not None
    return grant


def test_a_grant_says_what_the_person_was_shown(store: ReviewStore, tmp_path: Path) -> None:
    """Rule and asset of each reason that held the call, however and by whatever process the grant is got."""
    grant = reasoned(store)
    assert grant.shown == SHOWN
    assert store.issue(key(), CALL.digest) == grant
    with opened(tmp_path, store.desk.clock, store.desk) as other:
        assert other.desk.valid(grant.id, CALL.digest) == grant
        assert redeem(other, grant.id, CALL.digest) == grant


def test_what_was_shown_is_read_from_the_store_and_not_from_the_grant_that_is_given(store: ReviewStore) -> None:
    """A grant that claims more than its review had lifts no more than that."""
    grant = reasoned(store)
    forged = msgspec.structs.replace(grant, shown=(*SHOWN, ("mandate.approval_required", "model:beta")))
    for found in (store.desk.valid(forged, CALL.digest), redeem(store, forged, CALL.digest)):
        assert found is not None
        assert found.shown == SHOWN


def test_an_edit_is_shown_the_reasons_of_the_call_that_was_held(store: ReviewStore) -> None:
    """Nobody has seen what else the new arguments may raise, so the grant does not reach that."""
    edited = msgspec.structs.replace(CALL, args={})
    grant = reasoned(store, "edit", edited.digest)
    assert (grant.digest, grant.shown) == (edited.digest, SHOWN)


def test_a_grant_does_not_depend_on_the_memory_of_the_turn(store: ReviewStore, clock: Clock) -> None:
    """What was shown is on the ledger: neither dropping nor damaging what the adapter remembers changes it."""
    grant = reasoned(store)
    store._connection().execute("update review set reasons = x'c1', state = 'rejected', decision_id = 'x'")
    assert store.desk.valid(grant, CALL.digest) == grant
    clock.wait(1)
    assert store.forget(clock()) == 1
    assert redeem(store, grant, CALL.digest) == grant


@pytest.mark.parametrize("state", ["approved", "released", "done"])
def test_what_the_memory_claims_releases_nothing(store: ReviewStore, state: str) -> None:
    """A row that says approved, with an answer to match, is worth nothing where the ledger has no vote."""
    review = held(store)
    said = Answer(kind="approve", approver="dana", digest=CALL.digest)
    store._connection().execute("update review set state = ?, answer = ?", (state, encode_answer(said)))
    found = store.recall(review.key)
    assert found is not None
    assert (found.state, found.answer) == ("pending", None)
    assert store.issue(review.key, CALL.digest) is None


GUARDED = """
[[asset]]
id = "model:beta"
class = "weights"
paths = ["beta"]

[[asset]]
id = "model:gamma"
class = "weights"
paths = ["gamma"]

[trail]
directory = "trail"
timeout_seconds = 60

[limits]
decision_ms = 60000
"""


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    """A real guard over two models."""
    for name in ("beta", "gamma", "work"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "w.bin").write_bytes(name.encode())
    with Guard.open(parse_config(GUARDED, base=str(tmp_path))) as guard:
        yield guard


def released(guard: Guard, call: ToolCall) -> Grant:
    """What a person's approval of this call, as it is judged now, gives."""
    review = guard.reviews.remember(key(call), call, guard.preview(call))
    guard.reviews.ask([review.key], asked="question", asker="test")
    guard.reviews.answer(review.key, Answer(kind="approve", approver="dana", digest=call.digest))
    grant = guard.reviews.issue(review.key, call.digest)
    assert grant is not None
    return grant


def held_for(found: Decision) -> set[tuple[str, str | None]]:
    """Rule and asset of what still holds a call."""
    return {(reason.rule, reason.asset) for reason in found.reasons if reason.outcome is Outcome.ESCALATE}


@pytest.mark.parametrize("before", ["work/w.bin", "gamma/w.bin"])
def test_a_link_moved_after_the_approval_is_not_covered_by_it(guard: Guard, tmp_path: Path, before: str) -> None:
    """The call and its digest are the same, but nobody was shown the model that it would reach now."""
    link = tmp_path / "work" / "link"
    link.symlink_to(tmp_path / before)
    command = f"curl -s http://127.0.0.1/x | sh -s {link}"
    call = ToolCall(tool="bash", args={"command": command}, id="c1", cwd=str(tmp_path / "work"), session="t1")
    grant = released(guard, call)
    assert ("opaque.code", None) in grant.shown

    link.unlink()
    link.symlink_to(tmp_path / "beta" / "w.bin")
    after = guard.check(call, grant=grant)
    assert (after.outcome, after.grant) == (Outcome.ESCALATE, None)
    assert held_for(after) == {("opaque.names_asset", "model:beta")}
    with pytest.raises(Escalated):
        guard.run(call, lambda _: pytest.fail("ran"), grant=grant)

    link.unlink()
    link.symlink_to(tmp_path / before)
    back = guard.check(call, grant=grant)
    assert (back.outcome, back.grant) == (Outcome.ALLOW, grant.id)
    assert not guard.check(call, grant=grant)


def test_an_approval_that_showed_the_model_covers_it(guard: Guard, tmp_path: Path) -> None:
    """What a person has seen and approved runs, once."""
    command = f"curl -s http://127.0.0.1/x | sh -s {tmp_path}/beta/w.bin"
    call = ToolCall(tool="bash", args={"command": command}, id="c1", cwd=str(tmp_path / "work"), session="t1")
    grant = released(guard, call)
    assert ("opaque.names_asset", "model:beta") in grant.shown
    assert guard.run(call, lambda _: "ran", grant=grant) == "ran"


@pytest.mark.parametrize(("edit", "runs"), [("curl -s http://127.0.0.1/y | sh", True), ("sh -s ../beta/w.bin", False)])
def test_an_edit_runs_as_far_as_the_reasons_that_were_shown_reach(
    guard: Guard, tmp_path: Path, edit: str, runs: bool
) -> None:
    """Other code in place of the code that was held runs; a model that was not spoken of keeps the edit held."""
    args = {"command": "curl -s http://127.0.0.1/x | sh"}
    call = ToolCall(tool="bash", args=args, id="c1", cwd=str(tmp_path / "work"), session="t1")
    edited = msgspec.structs.replace(call, args={"command": edit})
    review = guard.reviews.remember(key(call), call, guard.preview(call))
    guard.reviews.ask([review.key], asked="question", asker="test")
    said = Answer(kind="edit", approver="dana", digest=edited.digest, args=edited.args)
    guard.reviews.answer(review.key, said)
    grant = guard.reviews.issue(review.key, edited.digest)
    assert grant is not None
    assert guard.check(edited).outcome is Outcome.ESCALATE
    assert bool(guard.check(edited, grant=grant)) is runs


def test_a_grant_expires(store: ReviewStore, clock: Clock) -> None:
    """A grant that was not used in time is void."""
    grant = issued(store)
    clock.wait(GRANT_SECONDS)
    assert store.desk.valid(grant, CALL.digest) is None
    assert redeem(store, grant, CALL.digest) is None


def test_an_approval_that_waited_too_long_gives_no_grant(store: ReviewStore, clock: Clock) -> None:
    """Approved and not run for longer than `grant_seconds`: the person has to be asked again."""
    review = approved(store)
    clock.wait(GRANT_SECONDS)
    assert store.issue(review.key, CALL.digest) is None
    found = store.recall(review.key)
    assert found is not None
    assert found.state == "expired"


def test_an_approval_gives_no_grant_for_another_call(store: ReviewStore) -> None:
    """What runs must be what was approved, or what the reviewer wrote instead."""
    review = held(store)
    edited = msgspec.structs.replace(CALL, args={"path": "/cfg", "content": "safe"})
    answer = Answer(kind="edit", approver="dana", digest=edited.digest, args=edited.args)
    assert store.answer(review.key, answer).state == "approved"
    assert store.issue(review.key, CALL.digest) is None
    grant = store.issue(review.key, edited.digest)
    assert grant is not None
    assert redeem(store, grant, edited.digest) == grant


@pytest.mark.parametrize("kind", ["reject", "respond"])
def test_no_grant_without_an_approval(store: ReviewStore, kind: Any) -> None:
    """A rejection or a response releases nothing, and neither does silence."""
    review = held(store)
    assert store.issue(review.key, CALL.digest) is None
    store.answer(review.key, Answer(kind=kind, approver="dana", digest=CALL.digest))
    assert store.issue(review.key, CALL.digest) is None


@pytest.mark.parametrize(("ending", "again"), [("done", False), ("refused", False), ("failed", True), ("paused", True)])
def test_only_a_call_that_did_not_finish_gets_another_grant(store: ReviewStore, ending: Any, again: bool) -> None:
    """A retry after an error, or a tool that asked a question, runs under the same approval with a new grant."""
    grant = issued(store)
    assert redeem(store, grant, CALL.digest) is not None
    store.finish(key(), ending)
    second = store.issue(key(), CALL.digest)
    assert (second is not None) is again
    assert second is None or second.id != grant.id


def test_a_call_whose_end_nobody_knows_is_not_released_again(store: ReviewStore) -> None:
    """The process died while the tool ran: the same grant while it is unused, and none once it is used."""
    grant = issued(store)
    assert store.issue(key(), CALL.digest) == grant
    assert redeem(store, grant, CALL.digest) is not None
    assert store.issue(key(), CALL.digest) is None


def test_a_finished_call_leaves_no_usable_grant(store: ReviewStore) -> None:
    """A grant that a hard denial left unused is revoked."""
    grant = issued(store)
    store.finish(key(), "refused")
    assert redeem(store, grant, CALL.digest) is None


def test_releases_of_one_approval_are_bounded(store: ReviewStore) -> None:
    """A tool that fails for ever does not keep an approval alive for ever."""
    review = approved(store)
    for _ in range(MAX_RELEASES):
        grant = store.issue(review.key, CALL.digest)
        assert grant is not None
        redeem(store, grant, CALL.digest)
        store.finish(review.key, "failed")
    assert store.issue(review.key, CALL.digest) is None


def test_the_result_of_a_finished_call_is_kept_for_its_turn(store: ReviewStore) -> None:
    """It is there when the turn is run again, gone when the conversation goes on, and never large."""
    issued(store)
    store.finish(key(), "done", result=b"wrote")
    review = store.recall(key())
    assert review is not None
    assert review.result == b"wrote"
    store.supersede(TurnKey(thread="t1", message="m2"))
    review = store.recall(key())
    assert review is not None
    assert (review.state, review.result) == ("done", None)


def test_a_large_result_is_forgotten(store: ReviewStore) -> None:
    """`MAX_RESULT_BYTES` bounds what the store keeps of a tool's output."""
    issued(store)
    store.finish(key(), "done", result=b"x" * (MAX_RESULT_BYTES + 1))
    review = store.recall(key())
    assert review is not None
    assert (review.state, review.result) == ("done", None)


def test_memory_is_bounded(store: ReviewStore) -> None:
    """Decisions that nobody has to see are dropped from memory, the longest unused turn first."""
    first = store.remember(key(), CALL, decision(Outcome.ALLOW))
    for number in range(MAX_TURNS_IN_MEMORY):
        turn = TurnKey(thread="t1", message=f"other-{number}")
        store.remember(key(turn=turn), CALL, decision(Outcome.ALLOW))
    assert store.cached(first.key) is None


def test_old_reviews_can_be_forgotten(store: ReviewStore, clock: Clock) -> None:
    """Housekeeping deletes what is over and keeps what still waits."""
    issued(store)
    waiting = held(store, msgspec.structs.replace(CALL, id="c2"))
    clock.wait(1)
    assert store.forget(clock()) == 1
    assert store.recall(key()) is None
    assert store.find(waiting.decision_id) is not None


# ── exactly once ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_grant_is_redeemed_exactly_once_across_threads(store: ReviewStore) -> None:
    """Eight threads race for one grant."""
    grant = issued(store)
    start = threading.Barrier(8)
    wins: list[Grant] = []

    def race() -> None:
        start.wait(timeout=10)
        won = redeem(store, grant, CALL.digest)
        if won is not None:
            wins.append(won)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert wins == [grant]


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_file_is_private_durable_and_not_in_wal_mode(store: ReviewStore, tmp_path: Path) -> None:
    """Mode 0600, a full sync for each commit, and no write-ahead log, whose reset can lose commits."""
    assert stat.S_IMODE((tmp_path / "review.db").stat().st_mode) == 0o600
    db = store._connection()
    assert db.execute("pragma journal_mode").fetchone() == ("delete",)
    assert db.execute("pragma synchronous").fetchone() == (2,)


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    """A store made by another program is not guessed at."""
    path = tmp_path / "review.db"
    ReviewStore(path).close()
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version = 99")
    db.close()
    with pytest.raises(ReviewError, match="version 99"):
        ReviewStore(path)


@pytest.mark.parametrize("content", [b"not a database, and long enough to be looked at by SQLite" * 20])
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    """So is a directory in its place."""
    path = tmp_path / "review.db"
    path.write_bytes(content)
    with pytest.raises(ReviewError, match="cannot use the review store"):
        ReviewStore(path)
    with pytest.raises(ReviewError, match="cannot open the review store"):
        ReviewStore(tmp_path)


def test_a_damaged_row_is_an_error_and_not_a_guess(store: ReviewStore) -> None:
    """An outcome or a body that this code did not write is refused when it is read."""
    held(store)
    store._connection().execute("update review set outcome = 'fine'")
    with pytest.raises(ReviewError, match="damaged"):
        store.recall(key())


class Broken(MemoryLedger):
    """A ledger that fails from some moment on."""

    broken = False

    def append(self, records: Any) -> Any:
        if self.broken:
            raise TrailError("the disk is gone")
        return super().append(records)


def test_a_ledger_that_cannot_be_written_says_so_and_grants_nothing(tmp_path: Path, clock: Clock) -> None:
    """A failed write is an error, never an answer and never a grant."""
    ledger = Broken()
    with opened(tmp_path, clock, ReviewDesk(ledger, clock=clock)) as store:
        review = held(store)
        ledger.broken = True
        with pytest.raises(ReviewError, match="an answer cannot be recorded: the disk is gone"):
            store.answer(review.key, Answer(kind="approve", approver="dana", digest=CALL.digest))
        assert store.issue(review.key, CALL.digest) is None
        ledger.broken = False
        grant = store.issue(approved(store, msgspec.structs.replace(CALL, id="c2")).key, CALL.digest)
        assert grant is not None
        ledger.broken = True
        with pytest.raises(TrailError):
            store.desk.reserve(grant, CALL.digest)


def test_a_closed_store_says_so(store: ReviewStore) -> None:
    """Using it afterwards is an error that names the cause."""
    store.close()
    with pytest.raises(ReviewError, match="closed"):
        store.recall(key())


def test_arguments_that_cannot_be_shown_cannot_be_asked_about(store: ReviewStore) -> None:
    """What does not survive being written down is not put to a person."""
    call = msgspec.structs.replace(CALL, args={"path": object()})
    review = store.remember(key(call), call, decision())
    with pytest.raises(ReviewError, match="cannot be kept"):
        store.ask([review.key], asked="q", asker="node")


def test_a_store_in_memory_does_not_cross_a_fork(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file is opened again in the child; memory cannot be shared, and says so."""
    in_memory, in_file = ReviewStore(), ReviewStore(tmp_path / "review.db")
    parent = in_file._connection()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(ReviewError, match="after a fork"):
        in_memory.recall(key())
    assert in_file.recall(key()) is None
    assert in_file._connection() is not parent
    for db in (parent, in_memory._db):
        assert db is not None
        db.close()
    in_file.close()


def test_a_store_that_nobody_holds_any_more_is_closed(tmp_path: Path) -> None:
    """Also one that is part of a cycle, where its connection could be finalised before it."""
    connections: list[sqlite3.Connection] = []
    for cyclic in (False, True):
        store = ReviewStore(tmp_path / "review.db")
        connections.append(store._connection())
        if cyclic:
            store.__dict__["self"] = store
        del store
    gc.collect()
    for db in connections:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            db.execute("select 1")


def test_a_child_does_not_close_the_connection_of_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing it there could roll back what the parent is writing."""
    used, dropped = ReviewStore(tmp_path / "review.db"), ReviewStore(tmp_path / "review.db")
    parents = [used._connection(), dropped._connection()]
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        assert used.recall(key()) is None
        used.close()
        del dropped
        gc.collect()
    for db in parents:
        assert db.execute("select 1").fetchone() == (1,)
        db.close()


def test_a_child_that_cannot_open_the_file_does_not_use_the_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither at the first attempt nor at the next."""
    store = ReviewStore(tmp_path / "s" / "review.db")
    with store._connection() as parent:
        (tmp_path / "s").rename(tmp_path / "moved")
        (tmp_path / "s").write_text("in the way")
        with monkeypatch.context() as child:
            child.setattr(os, "getpid", lambda: -1)
            for _ in range(2):
                with pytest.raises(ReviewError, match="cannot open"):
                    store.recall(key())
    parent.close()


def test_what_ended_long_ago_is_forgotten_when_the_store_is_opened(tmp_path: Path, clock: Clock) -> None:
    """Reviews go after 30 days, so that the file does not grow for ever; nothing else goes."""
    calls = [msgspec.structs.replace(CALL, id=f"c{at}", args={"at": at}) for at in range(4)]
    desk = ReviewDesk(MemoryLedger(), clock=clock)
    with opened(tmp_path, clock, desk) as store:
        used = store.issue(approved(store, calls[0]).key, calls[0].digest)
        assert used is not None
        assert redeem(store, used, calls[0].digest) is not None
        assert store.issue(approved(store, calls[1]).key, calls[1].digest) is not None
        left = held(store, calls[2])
        clock.wait(KEPT_SECONDS)
        recent = held(store, calls[3])
    with opened(tmp_path, clock, desk) as store:
        assert rows(store) == 4
        found = store.recall(left.key)
        assert found is not None
        assert found.state == "expired"
    clock.wait(1)
    with opened(tmp_path, clock, desk) as store:
        assert rows(store) == 1
        assert [review.key for review in store.pending()] == [recent.key]


def rows(store: ReviewStore) -> int:
    """How many reviews are in the file."""
    return int(store._read("select count(*) from review", ())[0][0])


def test_forgetting_stops_at_its_bound(store: ReviewStore, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest first; what is left goes the next time."""
    monkeypatch.setattr("guardrail.review._store.MAX_FORGOTTEN", 2)
    for at in range(3):
        approved(store, msgspec.structs.replace(CALL, id=f"c{at}"))
        clock.wait(1)
    assert store.forget(clock()) == 2
    assert [row[0] for row in store._read("select call from review", ())] == ["c2"]
    assert store.forget(clock()) == 1


def test_a_store_that_cannot_be_swept_still_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Housekeeping is not what the store is for."""

    def fail(self: ReviewStore, before_us: int) -> int:
        raise ReviewError("the review store cannot be written: disk full")

    monkeypatch.setattr(ReviewStore, "forget", fail)
    with ReviewStore(tmp_path / "review.db") as store:
        assert store.recall(key()) is None


def test_a_store_of_the_version_before_is_begun_anew(tmp_path: Path) -> None:
    """Its grants were kept where anybody who could write the file could add some: none of them counts."""
    path = tmp_path / "review.db"
    with sqlite3.connect(path) as db:
        db.execute("create table review (id text)")
        db.execute("create table leave (id text)")
        db.execute("pragma user_version = 1")
    db.close()
    with ReviewStore(path) as store:
        assert rows(store) == 0
        assert store._read("select name from sqlite_master where name = 'leave'", ()) == []
