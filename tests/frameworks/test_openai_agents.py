"""The OpenAI Agents SDK itself behind the guard: every kind of tool that runs here, and whose agent uses it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import agents
import mcp
import pytest
from agents import agent as agent_module
from agents.mcp import MCPServer
from agents.sandbox import SandboxAgent, SandboxRunConfig
from agents.sandbox.capabilities import Filesystem, Shell
from agents.sandbox.sandboxes import UnixLocalSandboxClient
from agents.testing import ScriptedModel, assistant_message, function_call

from guardrail import ConfigError, Guard
from guardrail_adapters.openai_agents import check_sdk, duties, instrument
from tests.frameworks.support import COPY, LOOK, UNKNOWN, Watched, kinds

agents.set_tracing_disabled(True)

REFUSED = "This action is not permitted here and was not carried out."


@pytest.fixture(autouse=True)
def door(guard: Guard, place: Path) -> Iterator[Any]:
    """The guard around the SDK."""
    with instrument(guard, subject="ops-agent", session="s", cwd=str(place)) as handle:
        yield handle


def shell(ran: list[str], **options: Any) -> Any:
    """A function tool that notes what it was given."""

    def bash(command: str, note: str = "") -> str:
        """Run a command."""
        ran.append(command)
        return "ok"

    return agents.function_tool(bash, **options)


def call(command: str, name: str = "c1", tool: str = "bash") -> Any:
    """The model's call of it, without the argument that has a default."""
    return function_call(tool, {"command": command}, call_id=name)


def said(*turns: Any) -> Any:
    """A model that makes these turns, and then is done."""
    return ScriptedModel(
        [*([turn] if not isinstance(turn, list) else turn for turn in turns), [assistant_message("x")]]
    )


def outputs(result: Any) -> list[str]:
    """What the model read."""
    return [str(item.output) for item in result.new_items if item.type == "tool_call_output_item"]


async def test_tools_of_nested_agents_and_of_those_handed_to_pass_the_guard() -> None:
    """The agent that was instrumented never names them: subagents are how a guard is walked around."""
    ran: list[str] = []
    inner = agents.Agent(name="inner", tools=[shell(ran)], model=said(call(COPY, "n1")))
    other = agents.Agent(name="other", tools=[shell(ran)], model=said(call(COPY, "h1")))
    outer = agents.Agent(
        name="outer",
        tools=[inner.as_tool("ask_inner", "asks")],
        handoffs=[other],
        model=said(
            function_call("ask_inner", {"input": "copy them"}, call_id="o1"),
            function_call("transfer_to_other", {}, call_id="o2"),
        ),
    )
    result = await agents.Runner.run(outer, "go")
    assert ran == []
    assert result.last_agent is other
    assert REFUSED in outputs(result)


async def test_a_held_call_goes_on_from_its_state_once_and_a_rejection_is_on_record(guard: Guard) -> None:
    """Two interruptions of one turn; what the person said reaches the ledger either way."""
    ran: list[str] = []
    first, second = UNKNOWN, UNKNOWN.replace("JOB", "TASK")
    agent = agents.Agent(
        name="a", tools=[shell(ran)], model=said([call(first, "c1"), call(second, "c2")], call(LOOK, "c3"))
    )
    result = await agents.Runner.run(agent, "go")
    assert [item.raw_item.call_id for item in result.interruptions] == ["c1", "c2"]
    assert ran == []
    state = result.to_state()
    state.approve(result.interruptions[0])
    state.reject(result.interruptions[1])
    await agents.Runner.run(agent, state)
    assert ran == [first, LOOK]
    verdicts = sorted(vote.verdict for case in guard.desk.cases() for vote in case.votes)
    assert verdicts == ["approve", "deny"]


async def test_an_approval_for_always_lets_no_other_call_through(guard: Guard) -> None:
    """People saw one call: the SDK would run every later one of the tool, the guard does not."""
    ran: list[str] = []
    agent = agents.Agent(
        name="a", tools=[shell(ran)], model=said(call(UNKNOWN), call(UNKNOWN.replace("JOB", "TASK"), "c2"))
    )
    result = await agents.Runner.run(agent, "go")
    state = result.to_state()
    state.approve(result.interruptions[0], always_approve=True)
    result = await agents.Runner.run(agent, state)
    assert ran == [UNKNOWN]
    assert not result.interruptions


async def test_a_tools_own_wish_for_approval_is_kept() -> None:
    """What the guard allows still waits where whoever made the tool wants to see it."""
    ran: list[str] = []
    agent = agents.Agent(name="a", tools=[shell(ran, needs_approval=True)], model=said(call(LOOK)))
    result = await agents.Runner.run(agent, "go")
    assert (len(result.interruptions), ran) == (1, [])
    state = result.to_state()
    state.approve(result.interruptions[0])
    await agents.Runner.run(agent, state)
    assert ran == [LOOK]


class Server(MCPServer):
    """An MCP server with one tool, in this process."""

    def __init__(self, ran: list[str]) -> None:
        super().__init__()
        self._ran = ran

    @property
    def name(self) -> str:
        return "shell"

    async def connect(self) -> None:
        """Nothing to connect to."""

    async def cleanup(self) -> None:
        """Nothing is open."""

    async def list_tools(self, *_: Any, **__: Any) -> list[Any]:
        schema = {"type": "object", "properties": {"command": {"type": "string"}}}
        return [mcp.types.Tool(name="bash", inputSchema=schema)]

    async def call_tool(self, tool_name: str, arguments: Any, *_: Any, **__: Any) -> Any:
        self._ran.append(arguments["command"])
        return mcp.types.CallToolResult(content=[mcp.types.TextContent(type="text", text="ok")])

    async def list_prompts(self) -> Any:
        raise NotImplementedError

    async def get_prompt(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


async def test_tools_of_mcp_servers_pass_the_guard() -> None:
    """They are made anew for each turn, and are in no list of the agent's."""
    ran: list[str] = []
    agent = agents.Agent(name="a", mcp_servers=[Server(ran)], model=said(call(LOOK), call(COPY, "c2")))
    result = await agents.Runner.run(agent, "go")
    assert ran == [LOOK]
    assert outputs(result)[-1] == REFUSED


class Editor:
    """Notes what it was to do."""

    def __init__(self) -> None:
        self.did: list[tuple[str, str]] = []

    def create_file(self, operation: Any) -> str:
        self.did.append(("create", operation.path))
        return "created"

    def update_file(self, operation: Any) -> str:
        self.did.append(("update", operation.path))
        return "updated"

    def delete_file(self, operation: Any) -> str:
        self.did.append(("delete", operation.path))
        return "deleted"


def patch(kind: str, path: str, name: str, diff: str = "+x") -> Any:
    """The model's call of the patch tool."""
    from openai.types.responses import ResponseApplyPatchToolCall

    operation = {"type": kind, "path": path, **({} if kind == "delete_file" else {"diff": diff})}
    return ResponseApplyPatchToolCall.model_validate(
        {"id": name, "call_id": name, "type": "apply_patch_call", "status": "completed", "operation": operation}
    )


async def test_patches_and_older_shells_pass_the_guard(place: Path) -> None:
    """A note is written, weights are not deleted; what a person has to see is refused where nothing pauses."""
    from openai.types.responses.response_output_item import LocalShellCall

    editor, ran = Editor(), []
    agent = agents.Agent(
        name="a",
        tools=[agents.ApplyPatchTool(editor=editor)],
        model=said(patch("create_file", "note.txt", "p1"), patch("delete_file", "weights/w.bin", "p2")),
    )
    result = await agents.Runner.run(agent, "go")
    assert editor.did == [("create", "note.txt")], outputs(result)

    def execute(request: Any) -> str:
        ran.append(request.data.action.command)
        return "ok"

    action = {"type": "exec", "env": {}}
    calls = [
        LocalShellCall.model_validate(
            {"id": name, "call_id": name, "type": "local_shell_call", "status": "completed",
             "action": {**action, "command": command}}
        )
        for name, command in (("l1", LOOK.split()), ("l2", COPY.split()), ("l3", ["sh", "-c", UNKNOWN]))
    ]  # fmt: skip
    local = agents.Agent(name="l", tools=[agents.LocalShellTool(executor=execute)], model=said(*calls))
    await agents.Runner.run(local, "go")
    assert ran == [["ls", "weights"]]


async def test_what_acts_here_and_cannot_be_judged_stops_the_run(caplog: pytest.LogCaptureFixture) -> None:
    """A screen is refused; tools of the provider are named, once."""
    door = instrument.__globals__["_active"]._door
    with caplog.at_level(logging.WARNING, "guardrail.adapters"):
        door.stand_before([agents.WebSearchTool(), agents.WebSearchTool()])
    assert [record.message for record in caplog.records] == [
        "the tool `web_search` runs at the provider, where nothing judges it"
    ]
    screen = agents.Agent(name="a", tools=[agents.ComputerTool(computer=SimpleNamespace())], model=said())
    with pytest.raises(ConfigError, match="what the tool `computer.*` does cannot be judged"):
        await agents.Runner.run(screen, "go")


@pytest.mark.parametrize("text", ["[1]", '{"command": ', '"ls"'])
async def test_arguments_that_are_no_object_run_nothing(text: str) -> None:
    """Nobody could say what was judged."""
    ran: list[str] = []
    tool = shell(ran)
    await agents.Agent(name="a", tools=[tool]).get_all_tools(agents.RunContextWrapper(None))
    context = SimpleNamespace(tool_call_id="c1", is_tool_approved=lambda *_: None)
    assert (await tool.on_invoke_tool(context, text), ran) == (REFUSED, [])


async def test_of_two_members_of_one_name_the_tool_reads_what_was_judged(guard: Guard, place: Path) -> None:
    """Whatever its own parser would have made of them."""
    got: list[str] = []

    async def invoke(_: Any, text: str) -> str:
        got.append(text)
        return "ok"

    tool = agents.FunctionTool(
        name="bash", description="", params_json_schema={}, on_invoke_tool=invoke, strict_json_schema=False
    )
    await agents.Agent(name="a", tools=[tool]).get_all_tools(agents.RunContextWrapper(None))
    context = SimpleNamespace(tool_call_id="c1", is_tool_approved=lambda *_: None)
    await tool.on_invoke_tool(context, f'{{"command": "{COPY}", "command": "{LOOK}"}}')
    assert [json.loads(text) for text in got] == [{"command": LOOK}]
    assert got[0].count("command") == 1


async def test_duties_are_looked_at_when_the_agent_has_answered_and_not_while_it_waits(
    guard: Guard, door: Any, place: Path
) -> None:
    """A pause is not the end."""
    watched, ran = Watched(guard), []
    hooks = duties(watched, subject="ops-agent", session="s")
    agent = agents.Agent(name="a", tools=[shell(ran)], model=said(call(UNKNOWN)))
    result = await agents.Runner.run(agent, "go", hooks=hooks)
    assert watched.told == [("begin", "ops-agent", "s")]
    state = result.to_state()
    state.approve(result.interruptions[0])
    await agents.Runner.run(agent, state, hooks=hooks)
    assert watched.told[-1] == ("end", "ops-agent", "s")
    assert ran == [UNKNOWN]


async def test_tools_are_guarded_once_and_by_the_guard_in_force(guard: Guard, door: Any, place: Path) -> None:
    """One record a call however often a tool is used; after `undo` another guard takes its place."""
    ran: list[str] = []
    agent = agents.Agent(name="a", tools=[shell(ran)], model=said(call(LOOK), call(LOOK, "c2")))
    await agents.Runner.run(agent, "go")
    assert kinds(guard) == ["intent", "result"] * 2
    with pytest.raises(ConfigError, match="already instrumented"):
        instrument(guard, subject="somebody else")
    door.undo()
    door.undo()
    with instrument(guard, subject="other", session="t", cwd=str(place)):
        agent.model = said(call(LOOK, "c3"))
        await agents.Runner.run(agent, "go")
    assert kinds(guard) == ["intent", "result"] * 3
    assert ran == [LOOK] * 3


def test_an_sdk_without_what_the_guard_hangs_on_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than calls that pass unseen."""
    check_sdk()
    monkeypatch.delattr(agent_module.AgentBase, "get_all_tools")
    with pytest.raises(ConfigError, match=r"cannot be guarded: `AgentBase.get_all_tools` is missing"):
        check_sdk()


async def test_what_an_agent_of_a_sandbox_does_passes_the_guard(place: Path) -> None:
    """Its shell and its files come with the run, as tools of capabilities: denied, held, carried out."""
    copy = f"cp -r {place}/weights {place}/mine"
    shell_calls = [
        function_call("exec_command", {"cmd": text}, call_id=name)
        for name, text in (("c1", copy), ("c2", f"ls {place}"))
    ]
    model = ScriptedModel([shell_calls, [assistant_message("done")]])
    agent = SandboxAgent(name="a", model=model, capabilities=[Shell(), Filesystem()])
    within = agents.RunConfig(sandbox=SandboxRunConfig(client=UnixLocalSandboxClient()))
    result = await agents.Runner.run(agent, "go", run_config=within)
    said = {item.raw_item["call_id"]: item.output for item in result.new_items if item.type == "tool_call_output_item"}
    assert said["c1"] == REFUSED
    assert "guardrail.toml" in said["c2"]
    assert not (place / "mine").exists()
    model = ScriptedModel([[function_call("exec_command", {"cmd": UNKNOWN}, call_id="c3")]])
    held = await agents.Runner.run(agent.clone(model=model), "go", run_config=within)
    assert [item.raw_item.call_id for item in held.interruptions] == ["c3"]
