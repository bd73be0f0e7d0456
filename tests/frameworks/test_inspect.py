"""The approver, the reviewer and the hook in Inspect AI itself, with its mock model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from inspect_ai import Task
from inspect_ai import eval as evaluate
from inspect_ai.approval import Approval, ApprovalPolicy, approver
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.review import ReviewPolicy
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import ToolCall, tool

from guardrail import Guard
from guardrail_adapters import inspect as guarded
from tests.frameworks.support import COPY, LOOK, UNKNOWN, Watched, kinds

REFUSED = "This action is not permitted here and was not carried out."


@pytest.fixture
def watched(guard: Guard, place: Path) -> Iterator[Watched]:
    """The guard that approvers of the configuration use."""
    seen = Watched(guard)
    guarded.use(str(place / "guardrail.toml"), seen)  # type: ignore[arg-type]
    yield seen
    guarded._known.clear()


def evaluated(place: Path, ran: list[str], after: Approval, *commands: str) -> Any:
    """The one sample of an evaluation in which the model makes these calls, one after the other."""

    @tool
    def bash() -> Any:
        async def execute(command: str) -> str:
            """Run a command.

            Args:
                command: what to run.
            """
            ran.append(command)
            return "ok"

        return execute

    @approver(name="next")
    def following() -> Any:
        async def approve(message: str, call: ToolCall, *_: Any) -> Approval:
            if after.modified is not None:
                after.modified.id = call.id
            return after

        return approve

    outputs = [ModelOutput.for_tool_call("mockllm/model", "bash", {"command": command}) for command in commands]
    outputs.append(ModelOutput.from_content("mockllm/model", "done"))
    for output in outputs:
        output.usage = ModelUsage()
    config = str(place / "guardrail.toml")
    (log,) = evaluate(
        Task(dataset=[Sample(input="go")], solver=[use_tools(bash()), generate()]),
        model=get_model("mockllm/model", custom_outputs=outputs),
        approval=[
            ApprovalPolicy(guarded.guardrail(config=config, subject="ops-agent", cwd=str(place)), "*"),
            ApprovalPolicy(following(), "*"),
        ],
        review=[ReviewPolicy(guarded.guardrail_reviewer(config=config), "*")],
        log_dir=str(place / "logs"),
        display="none",
    )
    assert log.status == "success", log.error
    assert log.samples is not None
    return log.samples[0]


def test_what_a_later_approver_lets_through_is_on_record_with_its_result(
    watched: Watched, guard: Guard, place: Path
) -> None:
    """The call that we held ran by somebody else's word: the trail says so, with a vote that nobody signed."""
    ran: list[str] = []
    evaluated(place, ran, Approval(decision="approve"), LOOK, COPY, UNKNOWN)
    assert ran == [LOOK, UNKNOWN]
    found = kinds(guard)
    assert found[:2] == ["intent", "result"]
    assert found[-1] == "result"
    assert "vote" in found
    (case,) = guard.desk.cases()
    assert [vote.voter for vote in case.votes] == ["inspect:approver"]


@pytest.mark.parametrize(("instead", "review"), [(LOOK, "continue"), (COPY, "escalate")])
def test_what_a_later_approver_made_of_a_call_is_judged_after_the_fact(
    instead: str, review: str, watched: Watched, place: Path, guard: Guard
) -> None:
    """It has run: the trail has it all the same, and a denial goes to the next reviewer."""
    ran: list[str] = []
    changed = ToolCall(id="", function="bash", arguments={"command": instead})
    sample = evaluated(place, ran, Approval(decision="modify", modified=changed), UNKNOWN)
    reviews = [event for event in sample.events if event.event == "review"]
    assert ran == [instead]
    assert reviews[0].decision == review
    assert kinds(guard)[-1] == ("result" if review == "continue" else "decision")


def test_what_an_agent_owes_is_looked_at_when_its_sample_is_over(watched: Watched, place: Path) -> None:
    """Also that of an agent which did nothing at all."""
    evaluated(place, [], Approval(decision="reject"))
    ((begin, who, sample), (end, _, same)) = watched.told
    assert (begin, end, who, sample) == ("begin", "end", "ops-agent", same)


@pytest.mark.parametrize("broken", ["closed", "odd"])
def test_a_failure_in_judging_is_a_rejection_and_no_exception(
    broken: str, watched: Watched, guard: Guard, place: Path
) -> None:
    """An exception in an approver would end the whole sample."""
    approve = guarded.guardrail(config=str(place / "guardrail.toml"), cwd="/")
    if broken == "closed" and guard.trail is not None:
        guard.trail.close()
    call = SimpleNamespace(id="c1", function="bash", arguments={"command": object() if broken == "odd" else "ls"})
    answer = asyncio.run(approve("", call, None, []))
    assert (answer.decision, answer.explanation) == ("reject", REFUSED)
