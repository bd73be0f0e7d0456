"""What every way of attaching the guard to LangGraph owes: allow, deny, escalate, and the known failures."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.types import Command
from pydantic import ValidationError

from guardrail.model import NEUTRAL, Outcome
from tests.adapters.bench import APPROVE, KINDS, PER_CALL, REJECT, attached, edit
from tests.adapters.toys import Ran, ToyGuard, copy, read, tools, turn, write

pytestmark = [
    pytest.mark.parametrize("kind", KINDS),
    pytest.mark.parametrize("mode", ["sync", "async"]),
]


async def test_an_allowed_call_runs_once_with_the_same_arguments(kind: str, mode: str) -> None:
    """ALLOW changes nothing: same arguments, same result, one intent and one result in the trail."""
    ran: Ran = []
    guard = ToyGuard()
    with attached(kind, guard, tools(ran), [turn(read("c1", "/etc/hosts"))], mode=mode) as bench:
        pause = await bench.start()
    assert ran == [("read_file", "/etc/hosts")]
    assert pause.results["c1"].content == "contents of /etc/hosts"
    assert pause.results["c1"].artifact is None
    assert guard.records == [("intent", "read_file", "c1"), ("completed", "read_file", "c1")]


async def test_a_denied_call_runs_nothing_and_says_nothing_about_why(kind: str, mode: str) -> None:
    """DENY is an error ToolMessage with neutral text; its decision id is in the artifact, which models do not see."""
    ran: Ran = []
    guard = ToyGuard()
    with attached(kind, guard, tools(ran), [turn(copy("c1"), read("c2"))], mode=mode) as bench:
        pause = await bench.start()
    assert ran == [("read_file", "/etc/hosts")]
    message = pause.results["c1"]
    assert (message.status, message.content) == ("error", NEUTRAL[Outcome.DENY])
    assert message.artifact["guardrail"]["outcome"] == "deny"
    assert message.artifact["guardrail"]["decision_id"]
    assert pause.statuses == {"c1": "error", "c2": "success"}


async def test_an_approved_call_runs_once_after_the_approval(kind: str, mode: str) -> None:
    """ESCALATE pauses before the call runs; approval releases exactly that call, with one grant."""
    ran: Ran = []
    guard = ToyGuard()
    with attached(kind, guard, tools(ran), [turn(write("c1"))], mode=mode) as bench:
        pause = await bench.start()
        assert (ran, pause.asked) == ([], ["c1"])
        pause = await bench.answer(pause, {"c1": APPROVE})
    assert ran == [("write_file", "/cfg", "v")]
    assert pause.statuses == {"c1": "success"}
    assert [kind for kind, _, _ in guard.records] == ["decision", "intent", "completed"]


async def test_a_rejected_call_does_not_run(kind: str, mode: str) -> None:
    """The reviewer's words reach the model as an error ToolMessage."""
    ran: Ran = []
    with attached(kind, ToyGuard(), tools(ran), [turn(write("c1"))], mode=mode) as bench:
        pause = await bench.answer(await bench.start(), {"c1": REJECT})
    assert ran == []
    assert pause.statuses == {"c1": "error"}
    assert "not on a Friday" in pause.results["c1"].content


async def test_an_edited_call_runs_with_the_reviewers_arguments_and_says_so(kind: str, mode: str) -> None:
    """An edit replaces the arguments, is judged again, and the model is told so that it does not repeat its own."""
    ran: Ran = []
    guard = ToyGuard()
    with attached(kind, guard, tools(ran), [turn(write("c1"))], mode=mode) as bench:
        pause = await bench.answer(await bench.start(), {"c1": edit(path="/cfg", content="safe")})
    assert ran == [("write_file", "/cfg", "safe")]
    assert pause.results["c1"].content.startswith("Note: a reviewer changed")
    assert pause.results["c1"].content.endswith("wrote safe")
    assert guard.calls[-1].args == {"path": "/cfg", "content": "safe"}


async def test_an_edit_to_something_denied_does_not_run(kind: str, mode: str) -> None:
    """A reviewer lifts escalations, never a hard denial."""
    ran: Ran = []
    with attached(kind, ToyGuard(), tools(ran), [turn(write("c1"))], mode=mode) as bench:
        pause = await bench.answer(await bench.start(), {"c1": edit(path="/forbidden/x", content="v")})
    assert ran == []
    assert pause.results["c1"].content == NEUTRAL[Outcome.DENY]


async def test_a_response_stands_in_for_the_tool(kind: str, mode: str) -> None:
    """Where the operator allows it, a person answers in the tool's place and nothing runs."""
    ran: Ran = []
    allowed = ("approve", "reject", "respond")
    with attached(kind, ToyGuard(), tools(ran), [turn(write("c1"))], mode=mode, allowed_decisions=allowed) as bench:
        pause = await bench.answer(await bench.start(), {"c1": {"type": "respond", "message": "already done"}})
    assert ran == []
    assert (pause.results["c1"].content, pause.results["c1"].status) == ("already done", "success")


async def test_an_approval_reaches_only_the_call_it_was_given_for(kind: str, mode: str) -> None:
    """P1: with other policy latencies on resume, approving one call never releases its sibling."""
    ran: Ran = []
    guard = ToyGuard(delay={"c2": 0.03})
    script = [turn(write("c1", "/harmless"), write("c2", "/shutdown.conf"))]
    with attached(kind, guard, tools(ran), script, mode=mode) as bench:
        pause = await bench.start()
        assert sorted(pause.asked) == ["c1", "c2"]
        guard.delay = {"c1": 0.03}
        pause = await bench.answer(pause, {"c1": APPROVE, "c2": REJECT})
    assert ran == [("write_file", "/harmless", "v")]
    assert pause.statuses == {"c1": "success", "c2": "error"}


async def test_calls_that_ran_do_not_run_again_on_resume(kind: str, mode: str) -> None:
    """P2: a turn with an allowed, a denied and two held calls runs each at most once, and records each once."""
    ran: Ran = []
    guard = ToyGuard()
    script = [turn(read("c0"), write("c1", "/a"), write("c2", "/b"), copy("c3"))]
    with attached(kind, guard, tools(ran), script, mode=mode) as bench:
        pause = await bench.start()
        while pause.interrupts:
            pause = await bench.answer(pause, {"c1": APPROVE, "c2": APPROVE})
    assert sorted(ran) == [("read_file", "/etc/hosts"), ("write_file", "/a", "v"), ("write_file", "/b", "v")]
    assert pause.statuses == {"c0": "success", "c1": "success", "c2": "success", "c3": "error"}
    assert sorted(guard.records) == sorted(set(guard.records))


async def test_a_tool_with_a_question_of_its_own_gets_its_own_answer(kind: str, mode: str) -> None:
    """P3: the approval is asked for again on every re-run, so it is never handed to the tool's own interrupt."""
    ran: Ran = []
    guard = ToyGuard()
    with attached(kind, guard, tools(ran, question=True), [turn(write("c1"))], mode=mode) as bench:
        pause = await bench.answer(await bench.start(), {"c1": APPROVE})
        assert [pending.value for pending in pause.interrupts] == [{"question": "change ticket?"}]
        await bench.send(Command(resume={pause.interrupts[0].id: "CHG-7"}))
    assert ran == [("write_file", "/cfg", "v", "CHG-7")]
    kinds = [kind for kind, _, _ in guard.records]
    assert kinds == ["decision", "intent", "paused", "intent", "completed"]


async def test_a_rejection_holds_when_the_policy_changes_its_mind(kind: str, mode: str) -> None:
    """P4: the policy flips to allow while the person thinks; the person's no still counts."""
    ran: Ran = []
    guard = ToyGuard()
    with attached(kind, guard, tools(ran), [turn(write("c1"))], mode=mode) as bench:
        pause = await bench.start()
        guard.policy = lambda call: Outcome.ALLOW
        pause = await bench.answer(pause, {"c1": REJECT})
    assert ran == []
    assert pause.statuses == {"c1": "error"}


async def test_an_approval_does_not_hold_when_the_policy_starts_to_deny(kind: str, mode: str) -> None:
    """After an approval the call is judged again, and a hard denial stops it."""
    ran: Ran = []
    guard = ToyGuard()
    with attached(kind, guard, tools(ran), [turn(write("c1"))], mode=mode) as bench:
        pause = await bench.start()
        guard.policy = lambda call: Outcome.DENY
        pause = await bench.answer(pause, {"c1": APPROVE})
    assert ran == []
    assert pause.results["c1"].content == NEUTRAL[Outcome.DENY]


async def test_an_approval_ends_with_its_turn(kind: str, mode: str) -> None:
    """P5: a model server that reuses call ids gets no second run out of one approval."""
    ran: Ran = []
    script = [turn(write("call_0")), turn(write("call_0"))]
    with attached(kind, ToyGuard(), tools(ran), script, mode=mode) as bench:
        pause = await bench.answer(await bench.start(), {"call_0": APPROVE})
        assert (len(ran), pause.asked) == (1, ["call_0"])
        pause = await bench.answer(pause, {"call_0": REJECT})
    assert ran == [("write_file", "/cfg", "v")]


async def test_a_bad_answer_is_refused_and_can_be_given_again(kind: str, mode: str) -> None:
    """An edit to another tool is refused by the resume itself; the question stays open and nothing runs."""
    ran: Ran = []
    other = {"type": "edit", "edited_action": {"name": "copy_file", "args": {"source": "/a", "destination": "/b"}}}
    with attached(kind, ToyGuard(), tools(ran), [turn(write("c1"))], mode=mode) as bench:
        pause = await bench.start()
        for bad in (other, {"type": "respond", "message": "x"}, {"type": "yes"}, {}):
            with pytest.raises(ValidationError):
                await bench.answer(pause, {"c1": bad})
        assert ran == []
        await bench.answer(pause, {"c1": APPROVE})
    assert ran == [("write_file", "/cfg", "v")]


async def test_without_a_checkpointer_a_held_call_is_blocked(kind: str, mode: str) -> None:
    """P10: a pause that nobody could resume is not made; the model learns that a person is needed."""
    ran: Ran = []
    script = [turn(write("c1"), read("c2"))]
    with attached(kind, ToyGuard(), tools(ran), script, mode=mode, saver=None) as bench:
        pause = await bench.start()
    assert pause.interrupts == []
    assert ran == [("read_file", "/etc/hosts")]
    assert pause.results["c1"].content == NEUTRAL[Outcome.ESCALATE]


async def test_an_answer_to_another_question_does_not_count(kind: str, mode: str) -> None:
    """What would run changed during the pause (here the working directory): the approval is for what was shown."""
    ran: Ran = []
    where = ["/srv/harmless"]
    with attached(kind, ToyGuard(), tools(ran), [turn(write("c1"))], mode=mode, cwd=lambda: where[0]) as bench:
        pause = await bench.start()
        where[0] = "/srv/weights"
        pause = await bench.answer(pause, {"c1": APPROVE})
    assert ran == []
    assert pause.statuses == {"c1": "error"}


@pytest.mark.parametrize("broken", ["preview", "run", "recall"])
async def test_a_guard_that_raises_blocks_the_call(
    kind: str, mode: str, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in judging is the same neutral denial, and never leaves the graph."""

    def boom(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("judge on fire")

    ran: Ran = []
    guard = ToyGuard()
    if broken == "recall":
        monkeypatch.setattr(guard.reviews, "recall", boom)
    else:
        monkeypatch.setattr(guard, broken, boom)
        monkeypatch.setattr(guard, f"a{broken}", boom)
    with attached(kind, guard, tools(ran), [turn(read("c1"))], mode=mode) as bench:
        pause = await bench.start()
    assert ran == []
    assert pause.results["c1"].content == NEUTRAL[Outcome.DENY]


async def test_what_is_allowed_is_judged_again_right_before_it_runs(kind: str, mode: str) -> None:
    """A sibling may have changed the world since the turn was looked at: the last word is spoken at the tool."""
    ran: Ran = []
    guard = ToyGuard()
    seen: list[str] = []

    def flips(call: Any) -> Outcome:
        seen.append(call.id)
        return Outcome.ALLOW if seen.count(call.id) == 1 else Outcome.DENY

    guard.policy = flips
    with attached(kind, guard, tools(ran), [turn(read("c1"))], mode=mode) as bench:
        pause = await bench.start()
    assert pause.results["c1"].content == NEUTRAL[Outcome.DENY]
    assert ran == []


async def test_a_new_message_supersedes_an_unanswered_question(kind: str, mode: str) -> None:
    """P11: LangGraph drops the pending calls; the store says so, and the old question cannot be answered any more."""
    ran: Ran = []
    guard = ToyGuard()
    script = [turn(write("c1", "/a")), turn(write("c2", "/b"))]
    with attached(kind, guard, tools(ran), script, mode=mode) as bench:
        await bench.start()
        (old,) = guard.reviews.pending()
        pause = await bench.start()
        assert pause.asked == ["c2"]
        review = guard.reviews.find(old.decision_id)
        assert review is not None
        assert review.state == "superseded"
        assert [r.key.call for r in guard.reviews.pending()] == ["c2"]
    assert ran == []


async def test_the_tools_own_error_is_seen_as_it_is(kind: str, mode: str) -> None:
    """An exception of the tool passes the guard unchanged, and is on record as a failure."""
    ran: Ran = []
    guard = ToyGuard(policy=lambda call: Outcome.ALLOW)
    with (
        attached(kind, guard, tools(ran, failures=1), [turn(write("c1"))], mode=mode) as bench,
        pytest.raises(OSError, match="disk on fire"),
    ):
        await bench.start()
    assert guard.records[-1] == ("failed", "write_file", "c1")


async def test_the_agent_and_the_approver_come_from_the_operator(kind: str, mode: str) -> None:
    """The subject is the operator's argument, else the run's setting; the approver is named with its source."""
    ran: Ran = []
    guard = ToyGuard()
    with attached(kind, guard, tools(ran), [turn(write("c1"))], mode=mode, subject="ops-agent") as bench:
        bench.configurable |= {"guardrail_subject": "impostor"}
        pause = await bench.start()
        bench.configurable |= {"guardrail_approver": "dana"}
        (held,) = guard.reviews.pending()
        await bench.answer(pause, {"c1": APPROVE})
    assert {call.subject.id for call in guard.calls} == {"ops-agent"}
    assert {call.session for call in guard.calls} == {"t1"}
    review = guard.reviews.find(held.decision_id)
    assert review is not None
    assert review.answer is not None
    assert (review.answer.approver, review.state) == ("config:dana", "done")


async def test_the_question_shows_what_a_user_interface_needs(kind: str, mode: str) -> None:
    """The wire shape is LangChain's own, with our facts under one key of their own."""
    with attached(kind, ToyGuard(), tools([]), [turn(write("c1"))], mode=mode) as bench:
        (pending,) = (await bench.start()).interrupts
    value = pending.value
    if kind == PER_CALL:
        assert (value["type"], value["tool_call_id"]) == ("tool_approval", "c1")
        shown = value
    else:
        (shown,) = value["action_requests"]
        assert value["review_configs"] == [
            {"action_name": "write_file", "allowed_decisions": ["approve", "edit", "reject"]}
        ]
    assert (shown["name"], shown["args"]) == ("write_file", {"path": "/cfg", "content": "v"})
    assert "a control file needs an approval" in shown["description"]
    (facts,) = value["guardrail"]["escalations"]
    assert facts["digest"].startswith("sha256:")
    assert pending.response_schema is not None
