"""Our OpenAI Agents adapter in the suite: a function tool and a shell tool, of an agent whose model is scripted.

A run that waits lies in a file as the SDK's own `RunState`, so that it can go on after a restart.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from guardrail_adapters.testing._protocol import Call, Reply, Seen, Turn
from guardrail_adapters.testing._setting import Layer, Setting

if TYPE_CHECKING:
    from guardrail_adapters.testing._protocol import Conversation

Kind = Literal["function tool", "shell tool"]

_WORDED: Final = "an interruption is approved or rejected, and nobody words it anew"

_CANNOT: Final[Mapping[str, str]] = {"edit": _WORDED, "edit-denied": _WORDED}

_NO: Final = "Tool execution was not approved."
"""What the SDK answers to a call that was rejected: for a function tool there is no other mark."""


class OpenAIAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """An agent with one tool of a kind.

    Args:
        kind: which.
    """

    kind: Kind

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"OpenAI Agents: {self.kind}"

    @property
    def cannot(self) -> Mapping[str, str]:
        """What the SDK has no way for."""
        return _CANNOT

    def missing(self) -> str:
        """What is not installed."""
        return "" if importlib.util.find_spec("agents") else "openai-agents"

    def open(self, setting: Setting) -> Conversation:
        """An agent with the setting's tool."""
        return _Talk(self.kind, setting)


def adapters() -> tuple[OpenAIAdapter, ...]:
    """Every kind."""
    kinds: tuple[Kind, ...] = ("function tool", "shell tool")
    return tuple(OpenAIAdapter(kind=kind) for kind in kinds)


class _Talk:
    """One conversation: a run that goes on, and a new run for a new turn."""

    def __init__(self, kind: Kind, setting: Setting) -> None:
        from guardrail_adapters.openai_agents import instrument

        self._sdk: Any = importlib.import_module("agents")
        self._sdk.set_tracing_disabled(True)
        self._runner = asyncio.Runner()
        self._script: list[Call] = []
        self._file = setting.own / "run.json"
        self._handle = instrument(setting.guard, subject=setting.subject, session=setting.session, cwd=str(setting.cwd))
        self._agent = _agent(kind, setting, self._script)

    def start(self, calls: Sequence[Call]) -> Turn:
        """A new run."""
        self._script[:] = calls
        return self._go(self._sdk.Runner.run(self._agent, "go on"))

    def resume(self, replies: Mapping[str, Reply]) -> Turn:
        """Approve and reject, and let the same run go on."""
        return self._go(self._resumed(replies))

    async def _resumed(self, replies: Mapping[str, Reply]) -> Any:
        text = self._file.read_text(encoding="utf-8")
        state = await self._sdk.RunState.from_string(self._agent, text)
        for item in state.get_interruptions():
            reply = replies.get(_id_of(item.raw_item))
            if reply is not None:
                (state.reject if reply.kind == "reject" else state.approve)(item)
        return await self._sdk.Runner.run(self._agent, state)

    def close(self) -> None:
        """Guard nothing any more, and close the event loop."""
        self._handle.undo()
        self._runner.close()

    def _go(self, run: Any) -> Turn:
        # A runner has a context of its own, and the caller's trace is in the caller's.
        done = self._runner.run(run, context=contextvars.copy_context())
        self._file.write_text(done.to_state().to_string(), encoding="utf-8")
        seen: dict[str, Seen] = {}
        for item in done.new_items:
            if item.type == "tool_call_output_item":
                failed = dict(item.raw_item).get("status") == "failed"
                seen[_id_of(item.raw_item)] = _seen(str(item.output), failed)
        return Turn(seen=seen, waiting=tuple(_id_of(item.raw_item) for item in done.interruptions))


def _seen(text: str, failed: bool) -> Seen:
    from guardrail.model import NEUTRAL

    return Seen(text=text, ok=not failed and text not in (_NO, *NEUTRAL.values()))


def _id_of(raw: Any) -> str:
    return str(getattr(raw, "call_id", "") or raw["call_id"])


def _agent(kind: Kind, setting: Setting, script: list[Call]) -> Any:
    sdk: Any = importlib.import_module("agents")
    layer, model = setting.layer, _model(kind, script)

    class Around(sdk.Agent):  # type: ignore[misc]
        """What surrounds the guard: an agent that changes the tools that it is given."""

        async def get_all_tools(self, run_context: Any) -> Any:
            given: Any = super()
            tools: list[Any] = await given.get_all_tools(run_context)
            return [_around(layer, tool) for tool in tools]

    if kind == "function tool":

        def bash(command: str) -> str:
            """Run a shell command."""
            return setting.tool(command)

        tool = sdk.function_tool(bash, failure_error_function=None)
    else:

        def shell(request: Any) -> str:
            return setting.tool("\n".join(request.data.action.commands))

        tool = sdk.ShellTool(executor=shell)
    return Around(name="conformance", tools=[tool], model=model)


def _around(layer: Layer, tool: Any) -> Any:
    part = "on_invoke_tool" if hasattr(tool, "on_invoke_tool") else "executor"
    inner = getattr(tool, part)

    async def invoke(ctx: Any, text: str) -> Any:
        command = msgspec.json.decode(text)["command"]
        return await _tried(layer, lambda: inner(ctx, _arguments(layer.rewritten(command))))

    async def execute(request: Any) -> Any:
        def again() -> Any:
            commands = [layer.rewritten(command) for command in request.data.action.commands]
            action = dataclasses.replace(request.data.action, commands=commands)
            return inner(dataclasses.replace(request, data=dataclasses.replace(request.data, action=action)))

        return await _tried(layer, again)

    return dataclasses.replace(tool, **{part: invoke if part == "on_invoke_tool" else execute})


async def _tried(layer: Layer, act: Callable[[], Any]) -> Any:
    for attempt in range(1, layer.attempts + 1):
        try:
            return await act()
        except OSError:
            if attempt == layer.attempts:
                raise
    return None


def _arguments(command: str) -> str:
    return msgspec.json.encode({"command": command}).decode()


def _model(kind: Kind, script: list[Call]) -> Any:
    sdk: Any = importlib.import_module("agents")
    said: Any = importlib.import_module("agents.testing")
    responses: Any = importlib.import_module("openai.types.responses")

    def made(call: Call) -> Any:
        if kind == "function tool":
            return said.function_call("bash", _arguments(call.command), call_id=call.id)
        return responses.ResponseFunctionShellToolCall.model_validate(
            {
                "id": call.id,
                "call_id": call.id,
                "type": "shell_call",
                "status": "completed",
                "action": {"commands": [call.command]},
            }
        )

    class Scripted(sdk.Model):  # type: ignore[misc]
        """Answers a person with the calls of the script, and everything else with `done`."""

        async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> Any:  # noqa: A002, ARG002 - the SDK's names
            asked = isinstance(input, str) or input[-1].get("role") == "user"
            output = [made(call) for call in script] if asked else [said.assistant_message("done")]
            return sdk.ModelResponse(output=output, usage=sdk.Usage(requests=1), response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    return Scripted()
