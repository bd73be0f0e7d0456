"""Approvals through the real guard: swapped, edited, expired, self-made, replayed or revoked, they release nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guardrail import Decision, Denied, Escalated, Fault, Grant, Guard, Outcome, Subject, ToolCall
from guardrail.audit import beside_trail, verify
from guardrail.audit._verify import read_records
from guardrail.review import Answer, CallKey, Case, Inbox, Refused, Scope, TurnKey
from guardrail.review._statements import (
    CancelStatement,
    GlassStatement,
    ReviewStatement,
    RevokeStatement,
    sign_statement,
)
from tests.mandate_support import AGENT, Place
from tests.review_support import say, vote

DELETE = {"grants": [{"effects": ["delete"], "assets": ["model:beta"], "approval": True}]}
OPAQUE = "curl -s http://127.0.0.1/x | sh"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place with a model, an agent that somebody operates, and an order that wants each deletion approved."""
    place = Place(
        tmp_path,
        people=("dana", "eve", "finn", "op"),
        more='[[agent]]\nid = "ops-*"\noperator = "op"\n[review]\nsticky_seconds = 600\n',
    )
    place.order(by="eve", **DELETE)
    return place


def wanted(place: Place, session: str = "s", **subject: Any) -> ToolCall:
    """The call that has to be approved."""
    who = msgspec.structs.replace(AGENT, **subject)
    return place.bash("rm models/beta.safetensors", session=session, subject=who)


def approve(place: Place, guard: Guard, decision: Decision, by: str = "dana", **more: Any) -> Case:
    """Somebody's signed yes."""
    return say(guard, decision, by, place.keys[by], **more)


def released(guard: Guard, call: ToolCall, grant: Grant | None = None) -> bool:
    """Whether the tool would run; it takes the use with it."""
    ran: list[bool] = []
    try:
        guard.run(call, lambda _: ran.append(True), grant=grant)
    except (Denied, Escalated):
        return False
    return bool(ran)


def of_kind(place: Place, *kinds: str) -> list[dict[str, Any]]:
    """Records of the trail."""
    return [record for _, record in read_records(place.root / "trail") if record["kind"] in kinds]


# ── an approval releases its call, once ───────────────────────────────────────────────────────────────────────────────


def test_an_approved_call_runs_once_and_its_records_tell_the_whole_story(place: Place) -> None:
    """Escalation, vote, grant, use, intent, result, end of the use: in this order, and the trail verifies."""
    call = wanted(place)
    with place.guard() as guard:
        held = guard.check(call)
        assert held.outcome is Outcome.ESCALATE
        assert approve(place, guard, held).state == "approved"
        assert [released(guard, call) for _ in range(2)] == [True, False]
    story = [record for record in of_kind(place, *KINDS) if record["kind"] != "decision" or record["seq"] < 3]
    assert [(r["kind"], r.get("event", "")) for r in story][:8] == [
        ("decision", ""), ("escalation", "opened"), ("vote", "voted"), ("grant", "issued"), ("redemption", "reserved"),
        ("intent", ""), ("result", ""), ("redemption", "finished"),
    ]  # fmt: skip
    intent, result = story[5], story[6]
    assert (intent["grant"], intent["use"]) == (story[3]["grant"]["id"], 1)
    assert (result["intent"], story[7]["ending"]) == (intent["seq"], "completed")
    assert verify(place.root / "trail").ok


KINDS = ("decision", "escalation", "vote", "grant", "redemption", "intent", "result")


def test_an_escalation_costs_one_record_more_and_asking_again_none(place: Place) -> None:
    """The decision and its escalation; the same call again is told the same escalation."""
    with place.guard() as guard:
        assert guard.trail is not None
        before = guard.trail.size
        first = guard.check(wanted(place))
        assert guard.trail.size - before == 2
        again = guard.check(wanted(place))
        assert guard.trail.size - before == 3
        assert again.escalation == first.escalation == first.decision_id != again.decision_id
        assert len(guard.desk.cases()) == 1


def test_a_decision_that_nobody_has_to_see_does_not_touch_review(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an allowed call nor a denied one asks the desk for anything that could wait for the disk."""
    with place.guard() as guard:
        for name in ("look", "open", "reserve", "leaves", "asked"):
            monkeypatch.setattr(guard.desk, name, lambda *_: pytest.fail("the desk was asked"))
        assert guard.check(place.bash("ls models")).outcome is Outcome.ALLOW
        assert guard.check(place.bash("cp models/beta.safetensors /tmp/x")).outcome is Outcome.DENY


async def test_the_asynchronous_path_is_the_same(place: Place) -> None:
    """Approved, run once, and held again."""
    call, ran = wanted(place), []

    async def execute(_: ToolCall) -> None:
        ran.append(True)

    with place.guard() as guard:
        approve(place, guard, await guard.acheck(call))
        await guard.arun(call, execute)
        with pytest.raises(Escalated):
            await guard.arun(call, execute)
    assert ran == [True]


# ── what releases nothing ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("swap", ["another", "content", "gone"])
def test_a_file_swapped_after_the_approval_voids_the_grant_and_people_are_asked_anew(place: Place, swap: str) -> None:
    """The call and its digest are the same, and the file is not the one that people were shown."""
    call, weights = wanted(place), place.root / "models/beta.safetensors"
    with place.guard() as guard:
        first = guard.check(call)
        approve(place, guard, first)
        if swap == "another":
            os.replace(place.root / "models/beta-2.safetensors", weights)
        elif swap == "content":
            was = weights.stat()
            weights.write_bytes(b"v" * 100)
            os.utime(weights, ns=(was.st_atime_ns, was.st_mtime_ns))
        else:
            weights.unlink()
        assert not released(guard, call)
        assert not released(guard, call)
        (case,) = (case for case in guard.desk.cases() if case.held.id == first.escalation)
        assert case.grants[0].withdrawn == "voided"
        (anew,) = (case for case in guard.desk.cases() if case.state == "pending")
        assert anew.held.binding != case.held.binding
        guard.clerk.take(vote(anew, "dana", place.keys["dana"]))
        assert released(guard, call)


def test_a_file_swapped_while_the_use_is_taken_releases_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the first look and the last one: the use is given back, and the grant is void."""
    call, weights = wanted(place), place.root / "models/beta.safetensors"
    with place.guard() as guard:
        grant = approve(place, guard, guard.check(call)).grants[0].grant
        real = guard.desk.reserve

        def swapping(*args: Any) -> Any:
            won = real(*args)
            os.replace(place.root / "models/beta-2.safetensors", weights)
            return won

        monkeypatch.setattr(guard.desk, "reserve", swapping)
        assert not released(guard, call)
        found = guard.desk.grant(grant.id)
    assert found is not None
    assert (found[1].withdrawn, found[1].uses) == ("voided", ())


def test_an_edited_call_is_not_the_approved_one(place: Place) -> None:
    """Other words for the same file are another call, also with the grant in hand."""
    with place.guard() as guard:
        grant = approve(place, guard, guard.check(wanted(place))).grants[0].grant
        for command in ("rm -f models/beta.safetensors", "rm models/beta.safetensors models/beta-2.safetensors"):
            assert not released(guard, place.bash(command), grant)
        assert not released(guard, wanted(place, session="other"), grant)
        assert guard.desk.valid(grant, grant.digest) == grant


@pytest.mark.parametrize("what", ["grant", "escalation"])
def test_an_approval_that_came_or_waited_too_long_releases_nothing(place: Place, what: str) -> None:
    """A grant ends after its time, and a question that nobody answered in time counts as denied."""
    call = wanted(place)
    with place.guard() as guard:
        held = guard.check(call)
        if what == "grant":
            approve(place, guard, held)
        later = time.time_ns() // 1000 + (901 if what == "grant" else 24 * 3600 + 1) * 1_000_000
        vars(guard.desk)["clock"] = lambda: later
        if what == "escalation":
            with pytest.raises(Refused, match="has expired, which counts as denied"):
                approve(place, guard, held)
        assert not released(guard, call)


def test_nobody_approves_what_they_asked_for(place: Place) -> None:
    """Not the agent, not who operates it, not for whom it acts, and nobody who handed the work on to it."""
    place.order("m2", by="eve", **DELETE | {"subject": "*"})
    with place.guard() as guard:
        for voter, subject in (
            ("op", {}),
            ("dana", {"principal": "Dana"}),
            ("dana", {"delegation": ("eve", "dana", "planner")}),
            ("dana", {"id": "dana"}),
        ):
            call = wanted(place, **subject)
            held = guard.check(call)
            assert held.outcome is Outcome.ESCALATE
            with pytest.raises(Refused, match="approves nothing") as refused:
                approve(place, guard, held, voter)
            assert refused.value.code == "separation_of_duties"
            assert not released(guard, call)
        assert of_kind(place, "vote") == []


def test_a_replayed_vote_releases_nothing(place: Place) -> None:
    """Not a second time, not for the next escalation of the same call, and not after the grant was used."""
    call = wanted(place)
    with place.guard() as guard:
        case = guard.desk.find(guard.check(call).escalation or "")
        assert case is not None
        envelope = vote(case, "dana", place.keys["dana"])
        guard.clerk.take(envelope)
        with pytest.raises(Refused, match="decided already"):
            guard.clerk.take(envelope)
        assert released(guard, call)
        assert not released(guard, call)
        with pytest.raises(Refused, match="decided already"):
            guard.clerk.take(envelope)
        assert not released(guard, call)


def test_a_vote_for_one_escalation_is_none_for_another(place: Place) -> None:
    """What was shown is part of what is signed."""
    with place.guard() as guard:
        one, two = (guard.check(wanted(place, session=name)) for name in "ab")
        shown = guard.desk.find(one.escalation or "")
        assert shown is not None
        with pytest.raises(Refused, match="another call, or about files as they were before"):
            guard.clerk.take(vote(shown, "dana", place.keys["dana"], escalation=two.escalation))
        assert not released(guard, wanted(place, session="b"))


def test_a_vote_that_is_not_theirs_is_no_vote(place: Place) -> None:
    """Signed with another's key, in another's name, by nobody we know, changed since, or of another type."""
    with place.guard() as guard:
        case = guard.desk.find(guard.check(wanted(place)).escalation or "")
        assert case is not None
        dana, eve = place.keys["dana"], place.keys["eve"]
        future = time.time_ns() // 1000 + 10**9
        for data in (
            vote(case, "dana", eve),
            vote(case, "eve", dana),
            vote(case, "mallory", dana),
            vote(case, "dana", dana).replace(b'"payload": "', b'"payload": "x'),
            vote(case, "dana", dana).replace(b"vote.v1", b"mandate.v1"),
            vote(case, "dana", dana, t_us=future),
            b"{}",
        ):
            with pytest.raises(Refused) as refused:
                guard.clerk.take(data)
            assert refused.value.code in ("not_signed", "stale")
        assert guard.desk.find(case.held.id) == case


def test_a_revoked_approval_releases_nothing(place: Place) -> None:
    """A person takes the grant back before the call comes again."""
    call = wanted(place)
    with place.guard() as guard:
        grant = approve(place, guard, guard.check(call)).grants[0].grant
        said = RevokeStatement(voter="finn", t_us=time.time_ns() // 1000, grant=grant.id, reason="wrong ticket")
        guard.clerk.take(sign_statement(said, place.keys["finn"]))
        assert not released(guard, call)
        assert not released(guard, call, grant)


def test_what_was_denied_can_never_be_approved_later(place: Place) -> None:
    """The first answer is final: a later yes is refused as already decided, and so is a cancellation."""
    with place.guard() as guard:
        held = guard.check(wanted(place))
        approve(place, guard, held, "dana", verdict="deny")
        with pytest.raises(Refused) as refused:
            approve(place, guard, held, "finn")
        assert refused.value.code == "already_decided"
        cancel = CancelStatement(voter="dana", t_us=time.time_ns() // 1000, escalation=held.escalation or "")
        with pytest.raises(Refused, match="decided already"):
            guard.clerk.take(sign_statement(cancel, place.keys["dana"]))
        assert not released(guard, wanted(place))


def test_a_rejection_sticks_to_the_deed_and_not_to_its_spelling(place: Place) -> None:
    """The same deed in other words and another session is denied without anybody being asked; later people are."""
    with place.guard() as guard:
        approve(place, guard, guard.check(wanted(place)), verdict="deny")
        cases = len(guard.desk.cases())
        for command in ("rm -f models/beta.safetensors", "cd models && rm ./beta.safetensors"):
            again = guard.check(place.bash(command, session="other"))
            assert again.outcome is Outcome.DENY, command
            assert again.reasons[0].rule == "review.rejected"
        assert len(guard.desk.cases()) == cases
        assert guard.check(place.bash("rm models/beta-2.safetensors")).outcome is Outcome.ESCALATE
        later = time.time_ns() // 1000 + 601 * 1_000_000
        vars(guard.desk)["clock"] = lambda: later
        assert guard.check(wanted(place)).outcome is Outcome.ESCALATE


# ── unsigned answers, groups, scopes ──────────────────────────────────────────────────────────────────────────────────


def answered(guard: Guard, call: ToolCall, approver: str = "unverified:thread") -> Grant | None:
    """What an approval through a resumed conversation gives."""
    decision = guard.preview(call)
    key = CallKey(turn=TurnKey(thread="t", message="m"), call="c", digest=call.digest)
    guard.reviews.remember(key, call, decision)
    guard.reviews.ask([key], asked="question", asker="test")
    guard.reviews.answer(key, Answer(kind="approve", approver=approver, digest=call.digest))
    return guard.reviews.issue(key, call.digest)


def test_an_unsigned_answer_counts_where_it_may_and_never_where_it_is_critical(place: Place) -> None:
    """Whoever can resume a conversation may let opaque code run, and cannot delete weights where people can sign."""
    with place.guard() as guard:
        assert answered(guard, place.bash(OPAQUE)) is not None
        call = wanted(place)
        assert answered(guard, call) is None
        assert not released(guard, call)
        (ignored,) = (record["vote"] for record in of_kind(place, "vote") if not record["vote"].get("counts", True))
        assert ignored["voter"] == "unverified:thread"


def test_the_settings_can_refuse_unsigned_answers_altogether(tmp_path: Path) -> None:
    """Then they are recorded, and decide nothing until somebody signs."""
    place = Place(tmp_path, more="[review]\naccept_unsigned = false\n")
    call = place.bash(OPAQUE)
    with place.guard() as guard:
        assert answered(guard, call) is None
        (case,) = guard.desk.cases()
        assert (case.state, len(case.votes)) == ("pending", 1)
        assert guard.clerk.take(vote(case, "dana", place.keys["dana"])).state == "approved"


def test_every_group_has_to_say_yes_and_each_with_somebody_else(tmp_path: Path) -> None:
    """One person in two groups is not enough, one of neither is not heard, and two are."""
    groups = '[review.groups.ml]\nmembers = ["dana", "eve"]\n[review.groups.security]\nmembers = ["dana"]\n'
    place = Place(tmp_path, people=("dana", "eve", "finn"), more=groups)
    call = place.bash(OPAQUE)
    with place.guard() as guard:
        held = guard.check(call)
        assert approve(place, guard, held, "dana").state == "pending"
        assert not released(guard, call)
        with pytest.raises(Refused, match="in none of the groups") as refused:
            approve(place, guard, held, "finn")
        assert refused.value.code == "not_entitled"
        with pytest.raises(Refused, match="has voted already"):
            approve(place, guard, held, "dana")
        assert approve(place, guard, held, "eve").state == "approved"
        assert released(guard, call)


def test_a_scoped_grant_covers_like_calls_and_nothing_else(place: Place) -> None:
    """Twice, by the same agent, for the reasons that were shown; another agent, or another asset, is held."""
    with place.guard() as guard:
        held = guard.check(place.bash(OPAQUE))
        approve(place, guard, held, scope=Scope(uses=2, seconds=60))
        assert not released(guard, place.bash(OPAQUE, subject=Subject(id="other")))
        assert not released(guard, place.bash(f"{OPAQUE} -s models/beta.safetensors"))
        calls = [place.bash(f"{OPAQUE} -s {at}", session=str(at)) for at in range(3)]
        assert [released(guard, call) for call in calls] == [True, True, False]


def test_weights_are_not_given_away_by_the_dozen(place: Place) -> None:
    """Deleting them is critical: each call is approved by itself."""
    with place.guard() as guard, pytest.raises(Refused, match="approve each call by itself"):
        approve(place, guard, guard.check(wanted(place)), scope=Scope(uses=2))


# ── break-glass ───────────────────────────────────────────────────────────────────────────────────────────────────────


def glass(place: Place, by: str = "dana", **more: Any) -> bytes:
    """What the first of two people signs."""
    plain = {"agent": AGENT.id, "ops": ("exec_opaque",), "assets": ("model:beta",), "ticket": "INC-1", "reason": "fire"}
    now = time.time_ns() // 1000
    return sign_statement(GlassStatement(voter=by, t_us=now, **plain | more), place.keys[by])


def test_broken_glass_needs_two_people_and_owes_a_review_by_a_third(place: Place) -> None:
    """One is not enough; then calls within its scope run, and the review is owed until somebody else has done it."""
    call = place.bash(OPAQUE)
    with place.guard() as guard:
        case = guard.clerk.take(glass(place))
        assert not released(guard, call)
        with pytest.raises(Refused, match="has voted already"):
            guard.clerk.take(vote(case, "dana", place.keys["dana"]))
        case = guard.clerk.take(vote(case, "eve", place.keys["eve"]))
        grant = case.grants[0].grant
        assert grant.expires_us - grant.created_us == 3600 * 1_000_000
        assert [released(guard, call) for _ in range(2)] == [True, True]
        assert case.review_due_us == grant.created_us + 24 * 3600 * 1_000_000
        for by, done in (("dana", False), ("finn", True)):
            said = sign_statement(
                ReviewStatement(voter=by, t_us=grant.created_us, escalation=case.held.id), place.keys[by]
            )
            if done:
                assert guard.clerk.take(said).reviewed_by == "finn"
            else:
                with pytest.raises(Refused, match="somebody else has to review"):
                    guard.clerk.take(said)


def test_broken_glass_lifts_no_denial_and_does_not_reach_the_trail(place: Place) -> None:
    """What policy denies stays denied: copying weights, and everything about the guard's own files."""
    with place.guard() as guard:
        case = guard.clerk.take(glass(place, ops=("copy", "delete"), assets=("model:beta", "guardrail:trail")))
        guard.clerk.take(vote(case, "eve", place.keys["eve"]))
        for command in ("cp models/beta.safetensors /tmp/x", "rm -rf trail"):
            assert guard.check(place.bash(command)).outcome is Outcome.DENY


def test_glass_is_not_broken_without_saying_why_and_for_how_long(place: Place) -> None:
    """A reason, a ticket, a scope and at most an hour."""
    lacking: tuple[dict[str, Any], ...] = ({"reason": ""}, {"ticket": ""}, {"ops": ()}, {"seconds": 3601})
    with place.guard() as guard:
        for lack in lacking:
            with pytest.raises(Refused, match="breaking the glass needs|broken glass lasts"):
                guard.clerk.take(glass(place, **lack))
        assert guard.desk.cases() == ()


# ── crashes and faults ────────────────────────────────────────────────────────────────────────────────────────────────

VICTIM = """
import os, signal, sys
import msgspec
from guardrail import Guard, ToolCall
call = ToolCall.from_json(sys.argv[2])
with Guard.open(sys.argv[1]) as guard:
    guard.run(call, lambda _: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_guard_killed_while_an_approved_call_runs_never_runs_it_again(place: Place, root: Path) -> None:
    """Nobody knows what it did: the use is on record as unknown, and people are asked anew."""
    call = wanted(place)
    with place.guard() as guard:
        grant = approve(place, guard, guard.check(call)).grants[0].grant
    done = subprocess.run(
        [sys.executable, "-c", VICTIM, str(place.toml), msgspec.json.encode(call)],
        env={**os.environ, "PYTHONPATH": str(root)},
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    with place.guard() as guard:
        found = guard.desk.grant(grant.id)
        assert found is not None
        assert [use.ending for use in found[1].uses] == ["unknown"]
        assert not released(guard, call)
        assert not released(guard, call, grant)
    assert verify(place.root / "trail").ok


def test_a_use_is_given_back_only_if_the_guard_knows_that_nothing_was_released(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Judging fails after the use was taken: the call is denied, and the approval is still good."""
    call = wanted(place)
    with place.guard() as guard:
        approve(place, guard, guard.check(call))
        with monkeypatch.context() as broken:
            broken.setattr(guard.history, "released", lambda *_: (_ for _ in ()).throw(Fault("the history is full")))
            assert guard.check(call).outcome is Outcome.DENY
        assert [released(guard, call) for _ in range(2)] == [True, False]


def test_a_call_that_was_cut_short_is_not_tried_again(place: Place) -> None:
    """An interrupt is no failure of the tool: what it did before is not known."""

    def interrupted(_: ToolCall) -> None:
        raise KeyboardInterrupt

    with place.guard() as guard:
        grant = approve(place, guard, guard.check(wanted(place))).grants[0].grant
        with pytest.raises(KeyboardInterrupt):
            guard.run(wanted(place), interrupted, grant=grant)
        assert guard.desk.issue(grant.escalation, grant.digest) is None


# ── the inbox ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_vote_in_the_inbox_is_taken_in_before_the_next_call_is_held(place: Place) -> None:
    """A signed vote beside the trail is enough while a guard holds it; a refused one is put aside, with the why."""
    call = wanted(place)
    with place.guard() as guard:
        inbox = Inbox(beside_trail(guard.config, "inbox"))
        case = guard.desk.find(guard.check(call).escalation or "")
        assert case is not None
        refused = inbox.put(vote(case, "op", place.keys["op"]))
        taken = inbox.put(vote(case, "dana", place.keys["dana"]))
        (inbox.directory / "link.vote.json").symlink_to(place.toml)
        os.mkfifo(inbox.directory / "pipe.vote.json")
        assert inbox.answer(taken) is None
        assert released(guard, call)
        assert inbox.answer(taken) == ""
        # Two that are put down in one millisecond are taken in in either order.
        why = inbox.answer(refused) or ""
        assert "approves nothing" in why or "decided already" in why


def test_a_secret_in_the_arguments_is_not_shown_and_still_approved_exactly(place: Place) -> None:
    """What is recorded for people is masked; the digest is over what was not, so another secret is another call."""
    command = "curl -s -H 'Authorization: Bearer sk-live-0123456789abcdef0123' http://127.0.0.1/x | sh"
    with place.guard() as guard:
        case = guard.desk.find(guard.check(place.bash(command)).escalation or "")
        assert case is not None
        assert "0123456789abcdef" not in str(case.held.view)
        guard.clerk.take(vote(case, "dana", place.keys["dana"]))
        assert not released(guard, place.bash(command.replace("0123", "9999")))
        assert released(guard, place.bash(command))
