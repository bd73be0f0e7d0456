"""Guardrail as a middleware of LangChain's `create_agent`: explicit, for one agent.

Subagents have middleware of their own, and a middleware that is further in may change a call after this one has looked:
put it last in the list, and use `guardrail_adapters.langgraph.instrument` where either matters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, Unpack, get_args

try:
    from langchain.agents.middleware import AgentMiddleware
    from langchain.agents.middleware.types import TracePolicy, omit_payload
    from langchain_core.messages import AIMessage
    from langgraph.config import get_config
except ImportError as missing:
    raise ImportError(
        f"`{missing.name}` is not installed in a version that can be guarded: install `guardrail-runtime[langchain]`"
    ) from None

from guardrail import ConfigError
from guardrail.review import AnswerKind
from guardrail_adapters._calls import CallReader, Options, Site
from guardrail_adapters._gate import Gate
from guardrail_adapters._guard import GuardLike
from guardrail_adapters._provided import Provided

__all__ = ["AnswerKind", "GuardLike", "GuardrailMiddleware", "InterruptMode", "Options"]

InterruptMode = Literal["batched", "per_call"]
"""One interrupt for a turn, which every user interface shows, or one for each call, resumed by id in any order."""


class GuardrailMiddleware(AgentMiddleware[Any, Any, Any]):
    """Judges the tool calls of one agent, pauses for people, and enforces what they said.

    Args:
        guard: what judges and runs the calls.
        interrupt_mode: `batched` asks once after the model, before any tool runs; `per_call` asks as each call starts,
            so that calls which need nobody run at once.
        subject: the agent, as mandates name it.
        cwd: working directory of the tools, or a function that gives it.
        session: name of the conversation when a run has no thread id.
        allowed_decisions: what a reviewer may answer.
        provider_tools: types of provider-side tools that may be bound to the model if policy allows them too, such as
            `web_search_20250305`; empty takes every one of them away. They run where no guard sees them.

    Raises:
        ConfigError: if `interrupt_mode` is neither, or `guard` or an option cannot be used.
    """

    # Keeps tool arguments out of LangSmith spans, as the framework's own security middlewares do.
    trace_policy = TracePolicy(process_inputs=omit_payload)

    def __init__(
        self,
        guard: GuardLike,
        *,
        interrupt_mode: InterruptMode = "batched",
        provider_tools: Sequence[str] = (),
        **options: Unpack[Options],
    ) -> None:
        super().__init__()
        if interrupt_mode not in get_args(InterruptMode):
            raise ConfigError(f"`interrupt_mode` must be `batched` or `per_call`, not `{interrupt_mode}`")
        self._batched = interrupt_mode == "batched"
        self._gate = Gate(guard, options)
        self._provided = Provided(guard, CallReader.of(options), provider_tools)

    def before_agent(self, state: Any, runtime: Any) -> None:  # noqa: ARG002 - the framework's signature
        """Take up what the agent owes."""
        self._gate.duties.begin(get_config().get("configurable") or {})

    async def abefore_agent(self, state: Any, runtime: Any) -> None:  # noqa: ARG002
        """Take up what the agent owes."""
        await asyncio.to_thread(self._gate.duties.begin, get_config().get("configurable") or {})

    def after_agent(self, state: Any, runtime: Any) -> None:  # noqa: ARG002
        """The agent is through: look at what it owes."""
        self._gate.duties.end(get_config().get("configurable") or {})

    async def aafter_agent(self, state: Any, runtime: Any) -> None:  # noqa: ARG002
        """The agent is through: look at what it owes."""
        await asyncio.to_thread(self._gate.duties.end, get_config().get("configurable") or {})

    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """Take provider-side tools away from the model, unless operator and policy both allow them."""
        kept = self._provided.kept(request.tools, _turn_site(request.state, request.runtime))
        return handler(request if kept is None else request.override(tools=kept))

    async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        """Take provider-side tools away from the model, unless operator and policy both allow them."""
        kept = await self._provided.akept(request.tools, _turn_site(request.state, request.runtime))
        return await handler(request if kept is None else request.override(tools=kept))

    def after_model(self, state: Any, runtime: Any) -> None:
        """Batched: judge the whole turn, and ask about all of it at once."""
        last = state["messages"][-1]
        if self._batched and isinstance(last, AIMessage) and last.tool_calls:
            self._gate.ask([dict(call) for call in last.tool_calls], _turn_site(state, runtime), "turn")

    async def aafter_model(self, state: Any, runtime: Any) -> None:
        """Batched: judge the whole turn, and ask about all of it at once."""
        last = state["messages"][-1]
        if self._batched and isinstance(last, AIMessage) and last.tool_calls:
            await self._gate.aask([dict(call) for call in last.tool_calls], _turn_site(state, runtime), "turn")

    def wrap_tool_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """Per call: ask. Always: enforce."""
        site = _call_site(request)
        if not self._batched:
            # `create_agent` runs each call as a task of its own, so an answer cannot reach another call.
            self._gate.ask([request.tool_call], site, "call")
        return self._gate.enforce(request, handler, site)

    async def awrap_tool_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        """Per call: ask. Always: enforce."""
        site = _call_site(request)
        if not self._batched:
            await self._gate.aask([request.tool_call], site, "call")
        return await self._gate.aenforce(request, handler, site)


def _turn_site(state: Any, runtime: Any) -> Site:
    return Site(state=state, config=get_config(), runtime=runtime)


def _call_site(request: Any) -> Site:
    config: Any = getattr(request.runtime, "config", None) or {}
    return Site(state=request.state, config=config, runtime=request.runtime)
