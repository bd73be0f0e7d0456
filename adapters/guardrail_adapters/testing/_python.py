"""Our plain Python adapter in the suite: a guarded function, a guarded coroutine, and a guarded `subprocess`.

A program cannot pause: a call that needs a person raises, and the program makes it again once somebody has answered.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from guardrail_adapters.testing._again import CALLED_AGAIN, Program
from guardrail_adapters.testing._protocol import Seen
from guardrail_adapters.testing._setting import Setting

if TYPE_CHECKING:
    from guardrail_adapters.testing._protocol import Conversation

Kind = Literal["@guarded", "@guarded, async", "subprocess"]


class PythonAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """One way of guarding plain Python.

    Args:
        kind: which.
    """

    kind: Kind

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"Python: {self.kind}"

    @property
    def cannot(self) -> Mapping[str, str]:
        """A subprocess really runs, so its failures are its own."""
        return CALLED_AGAIN

    def missing(self) -> str:
        """The core is enough."""
        return ""

    def open(self, setting: Setting) -> Conversation:
        """A program that calls the setting's tool."""
        use = _tool(self.kind, setting)
        return Program(setting, lambda _, command: _attempt(use, command))


def adapters() -> tuple[PythonAdapter, ...]:
    """Every way."""
    kinds: tuple[Kind, ...] = ("@guarded", "@guarded, async", "subprocess")
    return tuple(PythonAdapter(kind=kind) for kind in kinds)


def _attempt(use: Callable[[str], str], command: str) -> Seen | None:
    from guardrail import Blocked, Escalated

    try:
        return Seen(text=use(command), ok=True)
    except Escalated:
        return None
    except Blocked as error:
        return Seen(text=str(error), ok=False)


def _tool(kind: Kind, setting: Setting) -> Callable[[str], str]:
    from guardrail_adapters.python import Host, guarded

    options: Any = {"subject": setting.subject, "session": setting.session, "cwd": str(setting.cwd)}
    if kind == "subprocess":
        host = Host(setting.guard, **options)

        def run(command: str) -> str:
            # The cases' commands are shell text, and each is judged as such.
            done = host.subprocess.run(command, shell=True, capture_output=True, text=True)  # noqa: S604
            return f"exit code {done.returncode}: {done.stdout}"

        return run
    if kind == "@guarded":

        @guarded(setting.guard, tool="bash", **options)
        def bash(command: str) -> str:
            return setting.tool(command)

        return bash

    @guarded(setting.guard, tool="bash", **options)
    async def abash(command: str) -> str:
        return setting.tool(command)

    def use(command: str) -> str:
        with asyncio.Runner() as runner:
            answer: str = runner.run(abash(command), context=contextvars.copy_context())
            return answer

    return use
