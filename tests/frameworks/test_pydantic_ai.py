"""Pydantic AI itself behind the guard: every toolset of an agent, the types of its arguments, and people's edits."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic
import pytest
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, FunctionToolset, ToolApproved, ToolDenied
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel

from guardrail import Guard
from guardrail_adapters.pydantic_ai import Guardrail
from tests.frameworks.support import COPY, LOOK, UNKNOWN, Watched, records

REFUSED = "This action is not permitted here and was not carried out."


def model(*turns: Sequence[ToolCallPart]) -> FunctionModel:
    """A model that makes these turns, and then is done."""
    left = list(turns)

    def answer(messages: list[ModelMessage], info: Any) -> ModelResponse:
        return ModelResponse(parts=list(left.pop(0)) if left else [TextPart("done")])

    return FunctionModel(answer)


def call(command: str, name: str = "c1", tool: str = "bash") -> ToolCallPart:
    """One call."""
    return ToolCallPart(tool, {"command": command}, name)


def toolset(ran: list[str], **options: Any) -> FunctionToolset[None]:
    """A shell tool that notes what it was given, in a toolset of its own."""
    tools = FunctionToolset[None]()

    def bash(command: str) -> str:
        """Run a command."""
        ran.append(command)
        return "ok"

    tools.add_function(bash, **options)
    return tools


def agent(guard: Any, place: Path, turns: FunctionModel, **options: Any) -> Agent[None, Any]:
    """An agent with the capability."""
    door = Guardrail(guard, subject="ops-agent", session="s", cwd=str(place))
    return Agent(turns, output_type=[str, DeferredToolRequests], capabilities=[door], **options)


def answers(result: Any) -> list[tuple[str, str]]:
    """What the model read, and what the framework calls it."""
    parts = (part for message in result.all_messages() for part in message.parts)
    return [(str(part.content), part.outcome) for part in parts if part.part_kind == "tool-return"]


async def test_a_toolset_that_only_one_run_has_passes_the_guard(guard: Guard, place: Path) -> None:
    """A refusal is a failed tool, which the model is not told to try again."""
    ran: list[str] = []
    made = agent(guard, place, model([call(COPY)], [call(LOOK, "c2")]))
    result = await made.run("go", toolsets=[toolset(ran)])
    assert ran == [LOOK]
    assert answers(result) == [(REFUSED, "failed"), ("ok", "success")]


class Order(pydantic.BaseModel):
    """Arguments that JSON does not know."""

    source: str
    destination: str
    at: datetime.date


async def test_typed_arguments_are_judged_as_json_and_run_as_they_are(guard: Guard, place: Path) -> None:
    """A model and a date reach the tool; what policy saw of them is on record as text."""
    got: list[Order] = []
    made = agent(
        guard,
        place,
        model([ToolCallPart("plan", {"order": {"source": "a", "destination": "b", "at": "2026-01-02"}}, "c1")]),
    )

    @made.tool_plain
    def plan(order: Order) -> str:
        """Plan something."""
        got.append(order)
        return "ok"

    await made.run("go")
    assert got == [Order(source="a", destination="b", at=datetime.date(2026, 1, 2))]
    assert [record["kind"] for record in records(guard)][-2:] == ["intent", "result"]


async def test_what_json_cannot_carry_runs_nothing(guard: Guard, place: Path) -> None:
    """Nobody could say what was judged."""
    ran: list[object] = []
    made = agent(guard, place, model([ToolCallPart("odd", {"value": "x"}, "c1")]))

    class Opaque:
        pass

    @made.tool_plain
    def odd(value: str) -> str:
        """Odd."""
        ran.append(value)
        return "ok"

    from pydantic_ai.capabilities import AbstractCapability

    class Around(AbstractCapability[None]):
        async def wrap_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any, handler: Any) -> Any:
            return await handler({"value": Opaque()})

    result = await made.run("go", capabilities=[Around()])
    assert ran == []
    assert answers(result) == [(REFUSED, "failed")]


@pytest.mark.parametrize(("rewritten", "runs"), [(False, 1), (True, 0)])
async def test_an_edit_runs_only_as_the_person_worded_it(rewritten: bool, runs: int, guard: Guard, place: Path) -> None:
    """What a capability makes of it afterwards nobody has approved."""
    from pydantic_ai.capabilities import AbstractCapability

    ran: list[str] = []
    instead, other = UNKNOWN.replace("JOB", "TASK"), UNKNOWN.replace("JOB", "EVIL")

    class Around(AbstractCapability[None]):
        async def wrap_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any, handler: Any) -> Any:
            return await handler({"command": other} if rewritten and ctx.tool_call_approved else args)

    made = agent(guard, place, model([call(UNKNOWN)]), toolsets=[toolset(ran)])
    first = await made.run("go", capabilities=[Around()])
    assert first.output.metadata["c1"]["guardrail"]["escalation"]
    edit = DeferredToolResults(approvals={"c1": ToolApproved(override_args={"command": instead})})
    await made.run(message_history=first.all_messages(), deferred_tool_results=edit, capabilities=[Around()])
    assert ran == [instead] * runs


async def test_a_tool_that_wants_approval_itself_is_asked_about_by_the_guard_as_well(guard: Guard, place: Path) -> None:
    """The framework asks before the guard has seen the call, so that answer is for no question of ours."""
    ran: list[str] = []
    made = agent(guard, place, model([call(UNKNOWN)]), toolsets=[toolset(ran, requires_approval=True)])
    result = await made.run("go")
    assert not result.output.metadata
    yes = DeferredToolResults(approvals={"c1": True})
    result = await made.run(message_history=result.all_messages(), deferred_tool_results=yes)
    assert result.output.metadata["c1"]["guardrail"]["escalation"]
    assert ran == []
    await made.run(message_history=result.all_messages(), deferred_tool_results=yes)
    assert ran == [UNKNOWN]


async def test_a_rejection_is_on_record_and_duties_are_looked_at_at_the_end(guard: Guard, place: Path) -> None:
    """Not while the run waits; the approver is who the application says."""
    watched, ran = Watched(guard), []
    door = Guardrail(watched, subject="ops-agent", cwd=str(place), approver=lambda: "dana")
    made = Agent(
        model([call(UNKNOWN)]), output_type=[str, DeferredToolRequests], capabilities=[door], toolsets=[toolset(ran)]
    )
    result = await made.run("go", conversation_id="talk")
    assert watched.told == [("begin", "ops-agent", "talk")]
    no = DeferredToolResults(approvals={"c1": ToolDenied("not today")})
    await made.run(message_history=result.all_messages(), deferred_tool_results=no)
    assert watched.told[-1] == ("end", "ops-agent", "talk")
    ((vote,),) = [case.votes for case in guard.desk.cases()]
    assert (vote.verdict, vote.voter, ran) == ("deny", "config:dana", [])


async def test_what_was_cut_short_is_not_run_again_under_the_same_approval(guard: Guard, place: Path) -> None:
    """It may have done anything by then."""
    started, ran = asyncio.Event(), []
    made = agent(guard, place, model([call(UNKNOWN)]))

    @made.tool_plain
    async def bash(command: str) -> str:
        """Run a command."""
        ran.append(command)
        started.set()
        await asyncio.Event().wait()
        return "never"

    first = await made.run("go")
    yes = DeferredToolResults(approvals={"c1": True})
    task = asyncio.create_task(made.run(message_history=first.all_messages(), deferred_tool_results=yes))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    again = await made.run(message_history=first.all_messages(), deferred_tool_results=yes)
    assert ran == [UNKNOWN]
    assert answers(again)[-1][1] == "failed"


async def test_a_run_that_fails_is_over_as_well(guard: Guard, place: Path) -> None:
    """The tool's own error is its own affair, and the agent is through."""
    watched = Watched(guard)
    made = agent(watched, place, model([call(LOOK)]))

    @made.tool_plain
    def bash(command: str) -> str:
        """Run a command."""
        raise OSError("the disk is on fire")

    with pytest.raises(OSError, match="on fire"):
        await made.run("go")
    assert watched.told[-1] == ("end", "ops-agent", "s")
    assert records(guard)[-1]["kind"] != "intent"


async def test_tools_that_stand_in_for_those_of_an_agent_pass_the_guard(guard: Guard, place: Path) -> None:
    """`Agent.override` changes tools and toolsets of a run, and not what stands around them."""
    ran: list[str] = []
    ours = Guardrail(guard, subject="ops-agent", cwd=str(place))
    agent = Agent(model(), output_type=[str, DeferredToolRequests], capabilities=[ours])

    def bash(command: str) -> str:
        """Run a command."""
        ran.append(command)
        return "ok"

    for other in ({"tools": [bash]}, {"toolsets": [toolset(ran)]}):
        with agent.override(model=model([call(COPY), call(LOOK, "c2")]), **other):  # type: ignore[arg-type]
            await agent.run("go")
    assert ran == [LOOK, LOOK]
