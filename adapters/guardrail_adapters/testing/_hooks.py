"""Our harness hooks in the suite: a harness that asks before each tool and tells what came of it, as its contract says.

What answers is what answers behind `guardrail hook` and behind the service, in this process, because the cases of the
failing guard flip a switch in front of its engine.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from guardrail_adapters.testing._again import CALLED_AGAIN, CalledAgain
from guardrail_adapters.testing._protocol import Seen
from guardrail_adapters.testing._setting import Setting

if TYPE_CHECKING:
    from guardrail_adapters.testing._protocol import Conversation

Kind = Literal["claude-code", "gemini-cli", "opencode"]

_PENDING: Final = " is pending: "
"""What the agent reads of a call that a person has to decide."""


class HookAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """The hook of one harness; Codex keeps part of a call in a transcript of its own, and has tests instead.

    Args:
        kind: which harness.
    """

    kind: Kind

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"Hooks: {self.kind}"

    @property
    def cannot(self) -> Mapping[str, str]:
        """A harness is told that a call is pending, and makes it again."""
        return CALLED_AGAIN

    def missing(self) -> str:
        """The core is enough."""
        return ""

    def open(self, setting: Setting) -> Conversation:
        """A harness with the setting's tool."""
        return _Harness(self.kind, setting)


def adapters() -> tuple[HookAdapter, ...]:
    """Every harness whose events say all of a call."""
    kinds: tuple[Kind, ...] = ("claude-code", "gemini-cli", "opencode")
    return tuple(HookAdapter(kind=kind) for kind in kinds)


class _Harness(CalledAgain):
    """One session of one harness."""

    def __init__(self, kind: Kind, setting: Setting) -> None:
        from guardrail.hooks import Agent, HookDesk

        super().__init__(setting)
        self._kind: Kind = kind
        self._desk = HookDesk(setting.guard)
        self._agent = Agent(id=setting.subject.id)

    def make(self, calls: Mapping[str, str]) -> tuple[Mapping[str, Seen], Collection[str]]:
        """Ask before each call, run what is not stopped, and tell."""
        seen: dict[str, Seen] = {}
        held: list[str] = []
        for call, command in calls.items():
            command = self.setting.layer.rewritten(command)
            answer = self._tell("before", call, command)
            if not answer.exit_code:
                seen[call] = Seen(text=self.setting.tool(command), ok=True)
                self._tell("after", call, command)
            elif _PENDING in (text := answer.stderr.decode()):
                held.append(call)
            else:
                seen[call] = Seen(text=text, ok=False)
        return seen, held

    def _tell(self, when: Literal["before", "after"], call: str, command: str) -> Any:
        event = _EVENTS[self._kind](when, call, command, self.setting)
        return self._desk.answer(self._kind, msgspec.json.encode(event), self._agent)


def _claude(when: str, call: str, command: str, setting: Setting) -> dict[str, Any]:
    return {
        "session_id": setting.session,
        "hook_event_name": "PreToolUse" if when == "before" else "PostToolUse",
        "cwd": str(setting.cwd),
        "tool_name": "Bash",
        "tool_input": {"command": command},
        "tool_use_id": call,
    }


def _gemini(when: str, _: str, command: str, setting: Setting) -> dict[str, Any]:
    return {
        "session_id": setting.session,
        "hook_event_name": "BeforeTool" if when == "before" else "AfterTool",
        "cwd": str(setting.cwd),
        "tool_name": "run_shell_command",
        "tool_input": {"command": command},
    }


def _opencode(when: str, call: str, command: str, setting: Setting) -> dict[str, Any]:
    return {
        "event": f"tool.execute.{when}",
        "sessionID": setting.session,
        "tool": "bash",
        "callID": call,
        "args": {"command": command},
        "directory": str(setting.cwd),
    }


_EVENTS: Final = {"claude-code": _claude, "gemini-cli": _gemini, "opencode": _opencode}
"""What each harness sends."""
