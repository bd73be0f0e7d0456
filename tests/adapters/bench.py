"""The five ways to attach the guard, behind one small driver, so that one test runs over all of them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, Interrupt

from guardrail_adapters.langchain import GuardrailMiddleware
from guardrail_adapters.langgraph import GuardedToolNode, instrument
from tests.adapters.toys import Scripted

NODE: Final = "GuardedToolNode in a graph built by hand"
PATCHED_NODE: Final = "plain ToolNode under instrument()"
PATCHED_AGENT: Final = "create_agent under instrument()"
BATCHED: Final = "GuardrailMiddleware, batched"
PER_CALL: Final = "GuardrailMiddleware, per call"
KINDS: Final = (NODE, PATCHED_NODE, PATCHED_AGENT, BATCHED, PER_CALL)

APPROVE: Final = {"type": "approve"}
REJECT: Final = {"type": "reject", "message": "not on a Friday"}


def edit(**args: Any) -> dict[str, Any]:
    """An answer that changes the arguments of `write_file`."""
    return {"type": "edit", "edited_action": {"name": "write_file", "args": args}}


def hand_built(node: ToolNode, script: Sequence[Any], saver: Any) -> Any:
    """Model and tools in a loop: all calls of a turn run in one task."""
    model = Scripted(script=list(script))
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", node)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=saver)


@dataclass(kw_only=True)
class Bench:
    """A compiled agent and the conversation with it.

    Args:
        app: the graph.
        mode: `sync` or `async`.
        configurable: settings of the run, with the thread.
    """

    app: Any
    mode: str
    configurable: dict[str, Any]

    async def send(self, value: Any) -> dict[str, Any]:
        """Run the graph until it ends or pauses."""
        config = {"configurable": self.configurable}
        if self.mode == "sync":
            return self.app.invoke(value, config)
        return await self.app.ainvoke(value, config)

    async def start(self) -> Pause:
        """Say something."""
        return Pause(await self.send({"messages": [("user", "go")]}))

    async def answer(self, pause: Pause, answers: Mapping[str, Any]) -> Pause:
        """Answer every pending question about the calls named, by call id."""
        by_id: dict[str, Any] = {}
        for pending in pause.interrupts:
            ids = calls_of(pending)
            if ids and all(call in answers for call in ids):
                shown = "action_requests" in pending.value
                decisions = [answers[call] for call in ids]
                by_id[pending.id] = {"decisions": decisions} if shown else decisions[0]
        return Pause(await self.send(Command(resume=by_id)))


@dataclass(frozen=True)
class Pause:
    """What a run left: its messages and what it waits for."""

    out: Mapping[str, Any]

    @property
    def interrupts(self) -> list[Interrupt]:
        """Pending interrupts."""
        return list(self.out.get("__interrupt__", ()))

    @property
    def asked(self) -> list[str]:
        """Ids of the calls that people are asked about, in the order shown."""
        return [call for pending in self.interrupts for call in calls_of(pending)]

    @property
    def results(self) -> dict[str, ToolMessage]:
        """Tool messages by call id; of a call id that was used again, the last."""
        return {m.tool_call_id: m for m in self.out["messages"] if isinstance(m, ToolMessage)}

    @property
    def statuses(self) -> dict[str, str]:
        """Status of each tool message by call id."""
        return {call: message.status for call, message in self.results.items()}


def calls_of(pending: Interrupt) -> list[str]:
    """Call ids in one of our interrupts; none for a tool's own."""
    if not isinstance(pending.value, dict) or "guardrail" not in pending.value:
        return []
    return [item["tool_call_id"] for item in pending.value["guardrail"]["escalations"]]


@contextmanager
def attached(
    kind: str,
    guard: Any,
    tools: Sequence[Any],
    script: Sequence[Any],
    *,
    mode: str = "sync",
    saver: Any = "memory",
    outside: Sequence[Any] = (),
    wrap: Any = None,
    node: Mapping[str, Any] | None = None,
    thread: str = "t1",
    **options: Any,
) -> Generator[Bench]:
    """Build an agent with the guard attached one way or another.

    Args:
        kind: one of `KINDS`.
        guard: the guard.
        tools: the agent's tools.
        script: what the model says.
        mode: `sync` or `async`.
        saver: the checkpointer; `memory` makes one.
        outside: middlewares around the guard (agents only).
        wrap: plain tool call wrapper around the guard (hand-built only).
        node: further arguments of the ToolNode (hand-built only).
        thread: thread id.
        options: the adapter's own.
    """
    checkpoints = InMemorySaver() if saver == "memory" else saver
    extra: dict[str, Any] = {} if wrap is None else {"wrap_tool_call": wrap}
    handle = instrument(guard, **options) if kind in (PATCHED_NODE, PATCHED_AGENT) else None
    try:
        if kind == NODE:
            built = GuardedToolNode(tools, guard=guard, node=node, **extra, **options)
            app = hand_built(built, script, checkpoints)
        elif kind == PATCHED_NODE:
            app = hand_built(ToolNode(tools, **extra, **(node or {})), script, checkpoints)
        else:
            middleware = [*outside]
            if handle is None:
                shape = "batched" if kind == BATCHED else "per_call"
                middleware.append(GuardrailMiddleware(guard, interrupt_mode=shape, **options))
            model = Scripted(script=list(script))
            app = create_agent(model, list(tools), middleware=middleware, checkpointer=checkpoints)
    finally:
        if handle is not None:
            handle.undo()
    yield Bench(app=app, mode=mode, configurable={"thread_id": thread})
