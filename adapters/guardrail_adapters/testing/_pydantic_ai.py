"""Our Pydantic AI adapter in the suite: an agent whose model is a function, with the guard as a capability.

The conversation lies in a file between its runs, so that it can go on after a restart.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardrail_adapters.testing._protocol import Call, Reply, Seen, Turn
from guardrail_adapters.testing._setting import Layer, Setting

if TYPE_CHECKING:
    from guardrail_adapters.testing._protocol import Conversation

_REFUSED: Final = ("failed", "denied")
"""How the framework marks an answer to the model that is no success."""


class PydanticAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """An agent with the capability."""

    @property
    def name(self) -> str:
        """What the table calls it."""
        return "Pydantic AI: capability"

    @property
    def cannot(self) -> Mapping[str, str]:
        """Every call may be answered by itself only together with its siblings."""
        return {"order": "a run goes on once every held call of its turn is answered"}

    def missing(self) -> str:
        """What is not installed."""
        return "" if importlib.util.find_spec("pydantic_ai") else "pydantic-ai-slim"

    def open(self, setting: Setting) -> Conversation:
        """An agent with the setting's tool."""
        return _Talk(setting)


def adapters() -> tuple[PydanticAdapter, ...]:
    """The one way."""
    return (PydanticAdapter(),)


class _Talk:
    """One conversation, kept as the framework's own messages."""

    def __init__(self, setting: Setting) -> None:
        self._ai: Any = importlib.import_module("pydantic_ai")
        self._messages: Any = importlib.import_module("pydantic_ai.messages")
        self._runner = asyncio.Runner()
        self._script: list[Call] = []
        self._file = setting.own / "messages.json"
        self._session = setting.session
        self._agent = self._built(setting)

    def start(self, calls: Sequence[Call]) -> Turn:
        """A new turn of the same conversation: what waited in the one before is left behind."""
        self._script[:] = calls
        return self._send("go on")

    def resume(self, replies: Mapping[str, Reply]) -> Turn:
        """Answer the calls that waited."""
        approvals = {call: self._answer(reply) for call, reply in replies.items()}
        return self._send(None, deferred_tool_results=self._ai.DeferredToolResults(approvals=approvals))

    def close(self) -> None:
        """Close the event loop."""
        self._runner.close()

    def _send(self, prompt: str | None, **more: Any) -> Turn:
        adapter = self._messages.ModelMessagesTypeAdapter
        kept = adapter.validate_json(self._file.read_bytes()) if self._file.exists() and prompt is None else None
        run = self._agent.run(prompt, message_history=kept, conversation_id=self._session, **more)
        # A runner has a context of its own, and the caller's trace is in the caller's.
        done = self._runner.run(run, context=contextvars.copy_context())
        self._file.write_bytes(done.all_messages_json())
        output: Any = done.output
        waits: list[Any] = output.approvals if isinstance(output, self._ai.DeferredToolRequests) else []
        seen = {
            part.tool_call_id: Seen(text=part.model_response_str(), ok=part.outcome not in _REFUSED)
            for message in done.all_messages()
            for part in message.parts
            if part.part_kind == "tool-return"
        }
        return Turn(seen=seen, waiting=tuple(part.tool_call_id for part in waits))

    def _answer(self, reply: Reply) -> Any:
        match reply.kind:
            case "approve":
                return self._ai.ToolApproved()
            case "edit":
                return self._ai.ToolApproved(override_args={"command": reply.command})
            case "reject":
                return self._ai.ToolDenied("not today")

    def _built(self, setting: Setting) -> Any:
        from guardrail_adapters.pydantic_ai import Guardrail

        function: Any = importlib.import_module("pydantic_ai.models.function")
        around = Guardrail(setting.guard, subject=setting.subject, cwd=str(setting.cwd))

        def bash(command: str) -> str:
            """Run a shell command."""
            return setting.tool(command)

        return self._ai.Agent(
            function.FunctionModel(self._model),
            tools=[bash],
            output_type=[str, self._ai.DeferredToolRequests],
            capabilities=[_layer(setting.layer), around],
        )

    def _model(self, messages: list[Any], info: Any) -> Any:  # noqa: ARG002 - the framework's signature
        """Answers a person with the calls of the script, and everything else with `done`."""
        asked = any(part.part_kind == "user-prompt" for part in messages[-1].parts)
        parts = (
            [self._messages.ToolCallPart("bash", {"command": call.command}, call.id) for call in self._script]
            if asked
            else [self._messages.TextPart("done")]
        )
        return self._messages.ModelResponse(parts=parts)


def _layer(layer: Layer) -> Any:
    """What surrounds the guard: another capability."""
    capabilities: Any = importlib.import_module("pydantic_ai.capabilities")

    class Around(capabilities.AbstractCapability):  # type: ignore[misc]
        """Rewrites and retries."""

        async def wrap_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any, handler: Any) -> Any:  # noqa: ARG002
            for attempt in range(1, layer.attempts + 1):
                try:
                    return await handler({"command": layer.rewritten(args["command"])})
                except OSError:
                    if attempt == layer.attempts:
                        raise
            return None

    return Around()
