"""Guardrail in LangGraph: `GuardedToolNode` for graphs built by hand, `instrument` for every ToolNode of a process.

Not covered by either: tools that never pass a ToolNode (provider-side tools, `RemoteGraph`, code that calls a tool or
its function itself) and ToolNodes that were built before `instrument` ran.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, Unpack, cast

try:
    from langchain_core.tools import BaseTool
    from langgraph.prebuilt import ToolNode
    from langgraph.prebuilt.tool_node import ToolCallRequest
except ImportError as missing:
    raise ImportError(
        f"`{missing.name}` is not installed in a version that can be guarded: install `guardrail-runtime[langgraph]`"
    ) from None

from guardrail import ConfigError
from guardrail.review import AnswerKind
from guardrail_adapters._calls import Options, Site
from guardrail_adapters._duties import Duties, DutiesHandler, everywhere
from guardrail_adapters._gate import Gate
from guardrail_adapters._guard import GuardLike
from guardrail_adapters._tripwire import Tripwire, Unguarded, tripwire
from guardrail_adapters._undo import Undoable

__all__ = [
    "AnswerKind",
    "GuardLike",
    "GuardedToolNode",
    "Instrumented",
    "Options",
    "Tripwire",
    "Unguarded",
    "check_langgraph",
    "duties",
    "instrument",
    "tripwire",
]

_F = TypeVar("_F", bound=Callable[..., Any])

_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "__init__": ("self", "tools", "wrap_tool_call", "awrap_tool_call", "messages_key"),
    "_func": ("self", "input", "config", "runtime"),
    "_afunc": ("self", "input", "config", "runtime"),
    "_parse_input": ("self", "input"),
    "_extract_state": ("self", "input", "config"),
}
"""Methods of ToolNode that are used although most are private, with the parameters that are relied on."""


def check_langgraph() -> None:
    """Make sure that the installed langgraph has what the guard is attached to.

    Raises:
        ConfigError: if a name or a parameter is missing, because then calls could pass unseen.
    """
    problems: list[str] = []
    for name, needed in _REQUIRED.items():
        method = getattr(ToolNode, name, None)
        if not callable(method):
            problems.append(f"`ToolNode.{name}` is missing")
            continue
        found = inspect.signature(method).parameters
        problems += [f"`ToolNode.{name}` takes no `{part}`" for part in needed if part not in found]
    fields = getattr(ToolCallRequest, "__dataclass_fields__", {})
    problems += [
        f"`ToolCallRequest.{part}` is missing" for part in ("tool_call", "state", "runtime") if part not in fields
    ]
    if not callable(getattr(ToolCallRequest, "override", None)):
        problems.append("`ToolCallRequest.override` is missing")
    if problems:
        raise ConfigError(
            f"this langgraph cannot be guarded: {'; '.join(problems)}: install a version that"
            " `guardrail-runtime[langgraph]` allows"
        )


# ── the two hooks in a ToolNode ──────────────────────────────────────────────────────────────────────────────────────


class _Hooks:
    """One gate, as ToolNode wants it: wrappers around each call, and a look at all calls before the first runs."""

    def __init__(self, guard: GuardLike, options: Options) -> None:
        self.gate = Gate(guard, options)

    def wrappers(self, wrap: Any, awrap: Any, messages_key: str) -> tuple[Any, Any]:
        """Ours innermost, inside whatever wrappers a graph has, so that ours sees the final arguments."""

        def inner(request: Any, execute: Callable[[Any], Any]) -> Any:
            return self.gate.enforce(request, execute, _call_site(request, messages_key))

        async def ainner(request: Any, execute: Callable[[Any], Awaitable[Any]]) -> Any:
            return await self.gate.aenforce(request, execute, _call_site(request, messages_key))

        def outer(request: Any, execute: Callable[[Any], Any]) -> Any:
            if wrap is None:
                return inner(request, execute)
            return wrap(request, lambda changed: inner(changed, execute))  # pyright: ignore[reportUnknownLambdaType]

        async def aouter(request: Any, execute: Callable[[Any], Awaitable[Any]]) -> Any:
            if awrap is None:
                return await ainner(request, execute)

            async def guarded(changed: Any) -> Any:
                return await ainner(changed, execute)

            return await awrap(request, guarded)

        # A node with only a plain wrapper runs it on the async path too, with a plain `execute`: that has to stay so.
        return outer, None if wrap is not None and awrap is None else aouter

    def ask(self, node: Any, value: Any, config: Any, runtime: Any) -> None:
        self.gate.ask(node._parse_input(value)[0], _node_site(node, value, config, runtime), "node")

    async def aask(self, node: Any, value: Any, config: Any, runtime: Any) -> None:
        await self.gate.aask(node._parse_input(value)[0], _node_site(node, value, config, runtime), "node")


def _node_site(node: Any, value: Any, config: Any, runtime: Any) -> Site:
    state = node._extract_state(value, config)
    return Site(state=state, config=config or {}, runtime=runtime, messages_key=node._messages_key)


def _call_site(request: Any, messages_key: str) -> Site:
    config: Any = getattr(request.runtime, "config", None) or {}
    return Site(state=request.state, config=config, runtime=request.runtime, messages_key=messages_key)


def _with_signature_of(method: Callable[..., Any]) -> Callable[[_F], _F]:
    """Langgraph reads a node's signature to know what to pass, so it has to be that of the method underneath."""

    def mark(replacement: _F) -> _F:
        replacement.__wrapped__ = method  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
        return replacement

    return mark


class GuardedToolNode(ToolNode):
    """A ToolNode whose calls are judged before any of them runs.

    Calls of a turn that need a person are put to one in a single interrupt, in the shape of LangChain's
    human-in-the-loop middleware; the graph needs a checkpointer for that, without one they are blocked.

    Args:
        tools: as for `ToolNode`.
        guard: what judges and runs them.
        subject: the agent, as mandates name it.
        cwd: working directory of the tools, or a function that gives it.
        session: name of the conversation when a run has no thread id.
        allowed_decisions: what a reviewer may answer.
        wrap_tool_call: as for `ToolNode`; it runs around the guard.
        awrap_tool_call: as for `ToolNode`; it runs around the guard.
        node: further keyword arguments of `ToolNode`.

    Raises:
        ConfigError: if the installed langgraph cannot be guarded, or `guard` or an option cannot be used.
    """

    def __init__(
        self,
        tools: Sequence[BaseTool | Callable[..., Any]],
        *,
        guard: GuardLike,
        wrap_tool_call: Any = None,
        awrap_tool_call: Any = None,
        messages_key: str = "messages",
        node: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_langgraph()
        self._guardrail = _Hooks(guard, options)
        wrap, awrap = self._guardrail.wrappers(wrap_tool_call, awrap_tool_call, messages_key)
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            tools, wrap_tool_call=wrap, awrap_tool_call=awrap, messages_key=messages_key, **dict(node or {})
        )

    @_with_signature_of(ToolNode._func)
    def _func(self, input: Any, config: Any, runtime: Any) -> Any:  # noqa: A002 - ToolNode's name
        self._guardrail.ask(self, input, config, runtime)
        return super()._func(input, config, runtime)

    @_with_signature_of(ToolNode._afunc)
    async def _afunc(self, input: Any, config: Any, runtime: Any) -> Any:  # noqa: A002 - ToolNode's name
        await self._guardrail.aask(self, input, config, runtime)
        return await super()._afunc(input, config, runtime)


def duties(guard: GuardLike, **options: Unpack[Options]) -> DutiesHandler:
    """A callback that takes up what an agent owes when its graph starts, and looks at it when the graph is through.

    For graphs with a `GuardedToolNode`: `app.invoke(value, {"callbacks": [duties(guard)], ...})`. With `instrument` and
    with the middleware it is done without.

    Args:
        guard: what keeps the obligations.
        options: as for `GuardedToolNode`; subject and session are used.
    """
    return DutiesHandler(Duties(guard, options))


# ── every ToolNode of the process ────────────────────────────────────────────────────────────────────────────────────

_lock: Final = threading.Lock()
_active: Instrumented | None = None


class Instrumented(Undoable):
    """The handle of `instrument`: `undo` it, or use it as a context manager.

    Nodes that were built while it was active stay guarded.
    """

    def __init__(self, guard: GuardLike, options: Options) -> None:
        self.guard = guard
        self.options = options
        self._hooks = _Hooks(guard, options)
        self._originals: dict[str, Any] = {}

    @property
    def active(self) -> bool:
        """Whether ToolNodes built now are guarded by this."""
        return _active is self

    def undo(self) -> None:
        """Stop guarding ToolNodes that are built from now on; further calls do nothing.

        Raises:
            ConfigError: if something else has patched ToolNode since, because restoring would remove that too.
        """
        global _active  # noqa: PLW0603 - one patch of one class in one process
        with _lock:
            if _active is not self:
                return
            if any(getattr(ToolNode, name).__dict__.get("_guardrail") is not self for name in self._originals):
                raise ConfigError("ToolNode was patched by something else after the guard: undo that first")
            for name, original in self._originals.items():
                setattr(ToolNode, name, original)
            _active = None
            everywhere(None)

    def _patch(self) -> None:
        originals = {name: getattr(ToolNode, name) for name in ("__init__", "_func", "_afunc")}
        for name, replacement in _replacements(originals, self._hooks).items():
            replacement._guardrail = self
            setattr(ToolNode, name, replacement)
        self._originals = originals


def instrument(guard: GuardLike, **options: Unpack[Options]) -> Instrumented:
    """Guard every ToolNode that is built from now on in this process, those of deepagents' subagents included.

    Call it before any graph is built. Calling it again with the same guard and options returns the same handle.

    Args:
        guard: what judges and runs the calls.
        options: as for `GuardedToolNode`: subject, cwd, session, allowed_decisions.

    Returns:
        The handle to undo it.

    Raises:
        ConfigError: if the installed langgraph cannot be guarded, or another guard is active.
    """
    global _active  # noqa: PLW0603 - one patch of one class in one process
    with _lock:
        if _active is not None:
            if _active.guard is guard and _active.options == options:
                return _active
            raise ConfigError("ToolNode is already instrumented with another guard or other options: undo that first")
        check_langgraph()
        handle = Instrumented(guard, options)
        handle._patch()
        everywhere(Duties(guard, options))
        _active = handle
        return handle


def _replacements(originals: Mapping[str, Any], hooks: _Hooks) -> dict[str, Any]:
    original_init, original_func, original_afunc = (originals[name] for name in ("__init__", "_func", "_afunc"))

    @functools.wraps(original_init)
    def init(self: Any, tools: Any, *args: Any, **kwargs: Any) -> None:
        if not isinstance(self, GuardedToolNode):
            key = kwargs.get("messages_key", "messages")
            wrap, awrap = hooks.wrappers(kwargs.get("wrap_tool_call"), kwargs.get("awrap_tool_call"), key)
            kwargs.update(wrap_tool_call=wrap, awrap_tool_call=awrap)
        original_init(self, tools, *args, **kwargs)

    @functools.wraps(original_func)
    def func(self: Any, input: Any, config: Any, runtime: Any) -> Any:  # noqa: A002 - ToolNode's name
        if not isinstance(self, GuardedToolNode):
            hooks.ask(self, input, config, runtime)
        return original_func(self, input, config, runtime)

    @functools.wraps(original_afunc)
    async def afunc(self: Any, input: Any, config: Any, runtime: Any) -> Any:  # noqa: A002 - ToolNode's name
        if not isinstance(self, GuardedToolNode):
            await hooks.aask(self, input, config, runtime)
        return await original_afunc(self, input, config, runtime)

    return cast("dict[str, Any]", {"__init__": init, "_func": func, "_afunc": afunc})
