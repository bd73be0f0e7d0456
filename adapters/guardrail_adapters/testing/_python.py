"""Our plain Python adapter in the suite: a guarded function, a guarded coroutine, and a guarded `subprocess`.

A program cannot pause: a call that needs a person raises, and the program makes it again once somebody has answered.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from guardrail_adapters.testing._protocol import Call, Reply, Seen, Turn
from guardrail_adapters.testing._setting import Setting

if TYPE_CHECKING:
    from guardrail_adapters.testing._protocol import Conversation

Kind = Literal["@guarded", "@guarded, async", "subprocess"]

CALLED_AGAIN: Final[Mapping[str, str]] = {
    "edit": "the program makes its call again, and nobody else words it",
    "edit-denied": "the program makes its call again, and nobody else words it",
    "sticky": "the call that is made again is a new one, judged by the policy of then",
    "retried": "an approval is for one call: every further attempt needs one of its own",
}
"""What no adapter can meet where a held call has to be made again."""


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


class _Program:
    """One program; what it waits for lies in a file, so that it can go on after a restart."""

    def __init__(self, kind: Kind, setting: Setting) -> None:
        self._setting = setting
        self._use = _tool(kind, setting)
        self._file = setting.own / "waiting.json"

    def start(self, calls: Sequence[Call]) -> Turn:
        """Make the calls one after the other."""
        return self._make({call.id: call.command for call in calls})

    def resume(self, replies: Mapping[str, Reply]) -> Turn:
        """Record what people said, and make every call again that somebody answered."""
        waiting: dict[str, str] = json.loads(self._file.read_text(encoding="utf-8"))
        for call, reply in replies.items():
            self._setting.decide(waiting[call], reply)
        turn = self._make({call: command for call, command in waiting.items() if call in replies})
        left = {call: command for call, command in waiting.items() if call not in replies}
        self._keep({**left, **{call: waiting[call] for call in turn.waiting}})
        return Turn(seen={**self._seen, **turn.seen}, waiting=(*left, *turn.waiting))

    def close(self) -> None:
        """Nothing is open."""

    def _make(self, calls: Mapping[str, str]) -> Turn:
        from guardrail import Blocked, Escalated

        seen: dict[str, Seen] = {}
        waiting: dict[str, str] = {}
        for call, command in calls.items():
            try:
                seen[call] = Seen(text=self._tried(command), ok=True)
            except Escalated:
                waiting[call] = command
            except Blocked as error:
                seen[call] = Seen(text=str(error), ok=False)
        self._seen: dict[str, Seen] = {**getattr(self, "_seen", {}), **seen}
        self._keep(waiting)
        return Turn(seen=self._seen, waiting=tuple(waiting))

    def _tried(self, command: str) -> str:
        layer = self._setting.layer
        for attempt in range(1, layer.attempts + 1):
            try:
                return self._use(layer.rewritten(command))
            except OSError:
                if attempt == layer.attempts:
                    raise
        return ""

    def _keep(self, waiting: Mapping[str, str]) -> None:
        self._file.write_text(json.dumps(waiting), encoding="utf-8")


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
