"""Guardrail in the OpenAI Agents SDK: `instrument` puts the guard around every tool that runs here, of every agent.

    with instrument(guard, subject="ops-agent"):
        result = await Runner.run(agent, "clean up", hooks=duties(guard, subject="ops-agent"))

Owned: the guard carries out function tools, those of MCP servers among them, shell commands and patches. What needs a
person is an interruption of the run, as with the SDK's own `needs_approval`, and goes on from its `RunState`.
Not covered: tools that OpenAI runs (web and file search, code interpreter, images, hosted MCP, hosted shells).
A handoff, or an agent that is a tool, is no action by itself: what that agent does passes here.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import threading
from typing import Any, Final, Unpack

try:
    # Where the type checkers run it is not installed, so its parts are looked up and not imported.
    _agents: Any = importlib.import_module("agents")
    _agent: Any = importlib.import_module("agents.agent")
except ImportError as missing:
    raise ImportError(
        f"`{missing.name}` is not installed in a version that can be guarded:"
        " install `guardrail-runtime[openai-agents]`"
    ) from None

from guardrail import ConfigError
from guardrail_adapters._guard import GuardLike
from guardrail_adapters._openai_tools import Door, Options
from guardrail_adapters._owed import Owed
from guardrail_adapters._undo import Undoable

__all__ = ["GuardLike", "Instrumented", "Options", "check_sdk", "duties", "instrument"]

_REQUIRED: Final = {
    "AgentBase.get_all_tools": ("run_context",),
    "FunctionTool": ("name", "on_invoke_tool", "needs_approval"),
    "ShellTool": ("executor", "needs_approval"),
    "LocalShellTool": ("executor",),
    "ApplyPatchTool": ("editor", "needs_approval"),
    "CustomTool": ("name", "on_invoke_tool", "needs_approval"),
    "RunContextWrapper.is_tool_approved": ("tool_name", "call_id"),
}
"""What is used of the SDK, with the parameters that are relied on."""


def check_sdk() -> None:
    """Make sure that the installed SDK has what the guard is attached to.

    Raises:
        ConfigError: if a name or a parameter is missing, because then calls could pass unseen.
    """
    problems: list[str] = []
    for path, needed in _REQUIRED.items():
        found: Any = _agents
        for name in path.split("."):
            found = getattr(found, name, None) or getattr(_agent, name, None)
        if not callable(found):
            problems.append(f"`{path}` is missing")
            continue
        parameters = inspect.signature(found).parameters
        problems += [f"`{path}` takes no `{part}`" for part in needed if part not in parameters]
    if problems:
        raise ConfigError(
            f"this OpenAI Agents SDK cannot be guarded: {'; '.join(problems)}: install a version that"
            " `guardrail-runtime[openai-agents]` allows"
        )


class _Duties(_agents.RunHooks):  # type: ignore[misc]
    """What an agent owes: taken up when it starts, looked at when it has given its answer."""

    def __init__(self, guard: GuardLike, options: Options) -> None:
        self._door = Door(guard, options)
        self._owed = Owed(guard)

    async def on_agent_start(self, context: Any, agent: Any) -> None:  # noqa: ARG002 - the framework's signature
        """An agent starts, or goes on after a pause."""
        await self._door.tell(self._owed.begin, context)

    async def on_agent_end(self, context: Any, agent: Any, output: Any) -> None:  # noqa: ARG002
        """An agent has given its answer; one that pauses, or hands over, is not through."""
        await self._door.tell(self._owed.end, context)


def duties(guard: GuardLike, **options: Unpack[Options]) -> Any:
    """Hooks for `Runner.run(hooks=...)` that look at what an agent owes when it starts and when it is through.

    Args:
        guard: what keeps the obligations.
        options: as for `instrument`; subject and session are used.
    """
    return _Duties(guard, options)


_lock: Final = threading.Lock()
_active: Instrumented | None = None


class Instrumented(Undoable):
    """The handle of `instrument`: `undo` it, or use it as a context manager.

    Tools that an agent used while it was active stay guarded.
    """

    def __init__(self, guard: GuardLike, options: Options) -> None:
        self.guard = guard
        self.options = options
        self._door = Door(guard, options)
        self._original: Any = _agent.AgentBase.get_all_tools

    def undo(self) -> None:
        """Stop guarding tools of agents that run from now on; further calls do nothing.

        Raises:
            ConfigError: if something else has patched the SDK since, because restoring would remove that too.
        """
        global _active  # noqa: PLW0603 - one patch of one class in one process
        with _lock:
            if _active is not self:
                return
            if getattr(_agent.AgentBase.get_all_tools, "guardrail", None) is not self:
                raise ConfigError("`AgentBase.get_all_tools` was patched by something else after the guard: undo that")
            _agent.AgentBase.get_all_tools = self._original
            _active = None

    def _patch(self) -> None:
        original, door = self._original, self._door

        @functools.wraps(original)
        async def get_all_tools(agent: Any, run_context: Any) -> Any:
            # INVARIANT: the SDK asks here for the tools of every turn, of a run that goes on and of an agent within an
            # agent too, and looks no tool up elsewhere.
            tools = await original(agent, run_context)
            door.stand_before(tools)
            await door.take_rejections(run_context)
            return tools

        get_all_tools.guardrail = self  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
        _agent.AgentBase.get_all_tools = get_all_tools


def instrument(guard: GuardLike, **options: Unpack[Options]) -> Instrumented:
    """Guard every tool that an agent of this process uses from now on, those of handoffs and nested agents included.

    Calling it again with the same guard and options returns the same handle.

    Args:
        guard: what judges and runs.
        options: subject, session, cwd, approver; see `Options`.

    Raises:
        ConfigError: if the installed SDK cannot be guarded, `guard` is no guard, or another guard is active.
    """
    global _active  # noqa: PLW0603 - one patch of one class in one process
    with _lock:
        if _active is not None:
            if _active.guard is guard and _active.options == options:
                return _active
            raise ConfigError("the SDK is already instrumented with another guard or other options: undo that first")
        check_sdk()
        handle = Instrumented(guard, options)
        handle._patch()
        _active = handle
        return handle
