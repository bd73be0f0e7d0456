"""Our guarded backend of deepagents in the suite, as its middlewares use it: plain and with coroutines.

A backend cannot pause: a command that needs a person is refused, and is run again once somebody has answered. Tools of
a deep agent are those of LangGraph's instrumented agent.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib.util
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from guardrail_adapters.testing._again import CALLED_AGAIN, Program
from guardrail_adapters.testing._protocol import Seen
from guardrail_adapters.testing._setting import Setting

if TYPE_CHECKING:
    from guardrail_adapters.testing._protocol import Conversation

Mode = Literal["plain", "async"]


class BackendAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """A backend with a shell, behind the guard.

    Args:
        mode: whether it is called plainly or with coroutines.
    """

    mode: Mode

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"deepagents: guarded backend, {self.mode}"

    @property
    def cannot(self) -> Mapping[str, str]:
        """What cannot be met where a held command has to be run again."""
        return CALLED_AGAIN

    def missing(self) -> str:
        """deepagents, where it is not installed."""
        return "" if importlib.util.find_spec("deepagents") else "deepagents"

    def open(self, setting: Setting) -> Conversation:
        """Commands for the backend."""
        execute = _execute(self.mode, setting)
        return Program(setting, lambda _, command: _attempt(execute, command))


def adapters() -> tuple[BackendAdapter, ...]:
    """Both ways."""
    return BackendAdapter(mode="plain"), BackendAdapter(mode="async")


def _attempt(execute: Callable[[str], Any], command: str) -> Seen | None:
    from guardrail import Outcome
    from guardrail.model import NEUTRAL

    answer = execute(command)
    if answer.exit_code and answer.output == NEUTRAL[Outcome.ESCALATE]:
        return None
    return Seen(text=answer.output, ok=not answer.exit_code)


def _execute(mode: Mode, setting: Setting) -> Callable[[str], Any]:
    from deepagents.backends.protocol import ExecuteResponse, SandboxBackendProtocol

    from guardrail_adapters.deepagents import guard_backend

    class Shell(SandboxBackendProtocol):
        """What really runs a command."""

        @property
        def id(self) -> str:
            """Its name."""
            return "shell"

        def execute(self, command: str, *, timeout: int | None = None) -> ExecuteResponse:
            """Run it with the setting's tool."""
            del timeout
            return ExecuteResponse(output=setting.tool(command), exit_code=0, truncated=False)

    options: Any = {"subject": setting.subject, "session": setting.session, "cwd": str(setting.cwd)}
    backend: Any = guard_backend(Shell(), setting.guard, **options)

    def run(command: str) -> Any:
        if mode == "plain":
            return backend.execute(command)
        with asyncio.Runner() as runner:
            return runner.run(backend.aexecute(command), context=contextvars.copy_context())

    return run
