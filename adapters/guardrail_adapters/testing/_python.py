"""Our plain Python adapter in the suite: a guarded function, a guarded coroutine, and a guarded `subprocess`.

A program cannot pause: a call that needs a person raises, and the program makes it again once somebody has answered.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from guardrail_adapters.testing._again import CALLED_AGAIN, CalledAgain
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
        return _Program(self.kind, setting)


def adapters() -> tuple[PythonAdapter, ...]:
    """Every way."""
    kinds: tuple[Kind, ...] = ("@guarded", "@guarded, async", "subprocess")
    return tuple(PythonAdapter(kind=kind) for kind in kinds)


class _Program(CalledAgain):
    """One program, which makes its calls one after the other."""

    def __init__(self, kind: Kind, setting: Setting) -> None:
        super().__init__(setting)
        self._use = _tool(kind, setting)

    def make(self, calls: Mapping[str, str]) -> tuple[Mapping[str, Seen], Collection[str]]:
        """Use the tool."""
        from guardrail import Blocked, Escalated

        seen: dict[str, Seen] = {}
        held: list[str] = []
        for call, command in calls.items():
            try:
                seen[call] = Seen(text=self._tried(command), ok=True)
            except Escalated:
                held.append(call)
            except Blocked as error:
                seen[call] = Seen(text=str(error), ok=False)
        return seen, held

    def _tried(self, command: str) -> str:
        layer = self.setting.layer
        for attempt in range(1, layer.attempts + 1):
            try:
                return self._use(layer.rewritten(command))
            except OSError:
                if attempt == layer.attempts:
                    raise
        return ""


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
