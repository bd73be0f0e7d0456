"""Our LangGraph and LangChain adapters in the suite: five ways of attaching, each plain and with coroutines.

The model is scripted and the checkpointer is SQLite's, so that a conversation can go on after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from guardrail_adapters.testing._protocol import Call, Reply, Seen, Turn
from guardrail_adapters.testing._setting import Layer, Setting

if TYPE_CHECKING:
    from guardrail_adapters.testing._protocol import Conversation

Kind = Literal["node", "instrumented node", "instrumented agent", "middleware, batched", "middleware, per call"]
Mode = Literal["plain", "async"]

_TOGETHER: Final = "one question for the whole turn: its calls are answered together"

_PACKAGES: Final = {
    "langgraph": "langgraph", "langchain": "langchain", "langgraph.checkpoint.sqlite": "langgraph-checkpoint-sqlite",
}  # fmt: skip
"""What has to be importable, and what to install for it."""


class LangGraphAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """One way of attaching the guard to LangGraph.

    Args:
        kind: which.
        mode: whether the graph is invoked by plain calls or by coroutines.
    """

    kind: Kind
    mode: Mode

    @property
    def name(self) -> str:
        """What the table calls it."""
        framework = "LangChain" if self.kind.startswith("middleware") else "LangGraph"
        return f"{framework}: {self.kind}, {self.mode}"

    @property
    def cannot(self) -> Mapping[str, str]:
        """Where all calls of a turn are one task, they are one question."""
        return {} if self.kind in ("instrumented agent", "middleware, per call") else {"order": _TOGETHER}

    def missing(self) -> str:
        """What is not installed."""
        for module, package in _PACKAGES.items():
            try:
                found = importlib.util.find_spec(module)
            except ModuleNotFoundError:
                found = None
            if found is None:
                return package
        return ""

    def open(self, setting: Setting) -> Conversation:
        """A compiled graph over the setting's tool."""
        return _Graph(self.kind, self.mode, setting)


def adapters() -> tuple[LangGraphAdapter, ...]:
    """Every way, plain and with coroutines."""
    kinds: tuple[Kind, ...] = (
        "node", "instrumented node", "instrumented agent", "middleware, batched", "middleware, per call",
    )  # fmt: skip
    modes: tuple[Mode, ...] = ("plain", "async")
    return tuple(LangGraphAdapter(kind=kind, mode=mode) for kind in kinds for mode in modes)


class _Graph:
    """One conversation with one compiled graph."""

    def __init__(self, kind: Kind, mode: Mode, setting: Setting) -> None:
        self._mode = mode
        self._config: Any = {"configurable": {"thread_id": setting.session}}
        self._stack = contextlib.ExitStack()
        self._runner = self._stack.enter_context(asyncio.Runner()) if mode == "async" else None
        self._script: list[Call] = []
        self._app = _build(kind, setting, self._script, self._saver(str(setting.own / "checkpoints.db")))
        self._pending: Sequence[Any] = self._state().interrupts

    def _saver(self, path: str) -> Any:
        if self._runner is None:
            from langgraph.checkpoint.sqlite import SqliteSaver

            return self._stack.enter_context(SqliteSaver.from_conn_string(path))
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        opening = AsyncSqliteSaver.from_conn_string(path)
        runner = self._runner
        saver = runner.run(opening.__aenter__())
        self._stack.callback(lambda: runner.run(opening.__aexit__(None, None, None)))
        return saver

    def start(self, calls: Sequence[Call]) -> Turn:
        """Say something, to which the model answers with these calls."""
        self._script[:] = calls
        return self._send({"messages": [("user", "go on")]})

    def resume(self, replies: Mapping[str, Reply]) -> Turn:
        """Answer every pending question whose calls are all named."""
        from langgraph.types import Command

        answers: dict[str, Any] = {}
        for pending in self._pending:
            ids = _calls_of(pending.value)
            if ids and all(call in replies for call in ids):
                given = [_answer(replies[call]) for call in ids]
                answers[pending.id] = {"decisions": given} if "action_requests" in pending.value else given[0]
        return self._send(Command(resume=answers))

    def close(self) -> None:
        """Close the checkpointer and the event loop."""
        self._stack.close()

    def _send(self, value: Any) -> Turn:
        if self._runner is None:
            out = self._app.invoke(value, self._config)
        else:
            # A runner has a context of its own, and the caller's trace is in the caller's.
            out = self._runner.run(self._app.ainvoke(value, self._config), context=contextvars.copy_context())
        # What the run returns, and not its state: that of langgraph 1.2.12 still has what was answered a moment ago.
        self._pending = out.get("__interrupt__", ())
        messages = self._state().values.get("messages", [])
        seen = {
            message.tool_call_id: Seen(text=str(message.content), ok=message.status == "success")
            for message in messages
            if message.type == "tool"
        }
        return Turn(seen=seen, waiting=tuple(call for pending in self._pending for call in _calls_of(pending.value)))

    def _state(self) -> Any:
        if self._runner is None:
            return self._app.get_state(self._config)
        return self._runner.run(self._app.aget_state(self._config))


def _answer(reply: Reply) -> dict[str, Any]:
    match reply.kind:
        case "approve":
            return {"type": "approve"}
        case "edit":
            return {"type": "edit", "edited_action": {"name": "bash", "args": {"command": reply.command}}}
        case "reject":
            return {"type": "reject", "message": "not today"}


def _calls_of(value: Any) -> list[str]:
    return [str(item["tool_call_id"]) for item in value["guardrail"]["escalations"]]


def _build(kind: Kind, setting: Setting, script: list[Call], saver: Any) -> Any:
    from guardrail_adapters.langchain import GuardrailMiddleware
    from guardrail_adapters.langgraph import GuardedToolNode, instrument

    options: dict[str, Any] = {"subject": setting.subject, "cwd": str(setting.cwd)}
    model, tool = _model(script), _tool(setting)
    if kind in ("middleware, batched", "middleware, per call"):
        mode: Any = "batched" if kind.endswith("batched") else "per_call"
        ours = GuardrailMiddleware(setting.guard, interrupt_mode=mode, **options)
        return _agent(model, tool, [_layer(setting.layer), ours], saver)
    wrap, awrap = _wrappers(setting.layer)
    if kind == "node":
        node = GuardedToolNode([tool], guard=setting.guard, wrap_tool_call=wrap, awrap_tool_call=awrap, **options)
        return _hand_built(node, model, saver)
    with instrument(setting.guard, **options):
        if kind == "instrumented agent":
            return _agent(model, tool, [_layer(setting.layer)], saver)
        from langgraph.prebuilt import ToolNode

        return _hand_built(ToolNode([tool], wrap_tool_call=wrap, awrap_tool_call=awrap), model, saver)


def _model(script: list[Call]) -> Any:
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGeneration, ChatResult

    class Scripted(BaseChatModel):
        """Answers a person with the calls of the script, and everything else with `done`."""

        @property
        def _llm_type(self) -> str:
            return "scripted"

        def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:  # noqa: ARG002 - the framework's names
            return self

        def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
            asked = messages[-1].type == "human"
            calls: list[Any] = [{"name": "bash", "args": {"command": call.command}, "id": call.id} for call in script]
            reply = AIMessage("", tool_calls=calls) if asked else AIMessage("done")
            return ChatResult(generations=[ChatGeneration(message=reply)])

    return Scripted()


def _tool(setting: Setting) -> Any:
    from langchain_core.tools import tool

    @tool
    def bash(command: str) -> str:
        """Run a shell command."""
        return setting.tool(command)

    return bash


def _wrappers(layer: Layer) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What surrounds the guard in a ToolNode."""

    def wrap(request: Any, execute: Callable[[Any], Any]) -> Any:
        for attempt in range(1, layer.attempts + 1):
            try:
                return execute(_rewritten(layer, request))
            except OSError:
                if attempt == layer.attempts:
                    raise
        return None

    async def awrap(request: Any, execute: Callable[[Any], Any]) -> Any:
        for attempt in range(1, layer.attempts + 1):
            try:
                return await execute(_rewritten(layer, request))
            except OSError:
                if attempt == layer.attempts:
                    raise
        return None

    return wrap, awrap


def _rewritten(layer: Layer, request: Any) -> Any:
    call = request.tool_call
    return request.override(tool_call={**call, "args": {"command": layer.rewritten(call["args"]["command"])}})


def _layer(layer: Layer) -> Any:
    """What surrounds the guard in an agent."""
    from langchain.agents.middleware import AgentMiddleware

    wrap, awrap = _wrappers(layer)

    class Around(AgentMiddleware[Any, Any, Any]):
        """Rewrites and retries."""

        def wrap_tool_call(self, request: Any, handler: Any) -> Any:
            return wrap(request, handler)

        async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
            return await awrap(request, handler)

    return Around()


def _agent(model: Any, tool: Any, middleware: Sequence[Any], saver: Any) -> Any:
    from langchain.agents import create_agent  # pyright: ignore[reportUnknownVariableType]

    build: Any = create_agent  # pyright: ignore[reportUnknownVariableType]
    return build(model, [tool], middleware=list(middleware), checkpointer=saver)


def _hand_built(node: Any, model: Any, saver: Any) -> Any:
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.prebuilt import tools_condition

    def answer(state: Any) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    graph: Any = StateGraph(MessagesState)
    graph.add_node("model", answer)
    graph.add_node("tools", node)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=saver)
