"""Our harness hooks in the suite: four harnesses, each with the events that it really sends.

The harness is acted out: before a tool call it hands over its event, obeys the exit code and the standard output as
its contract says, runs the tool, and hands over its end. The guard that answers is the setting's own.
"""

from __future__ import annotations

import contextvars
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardrail_adapters.testing._again import CALLED_AGAIN, Program
from guardrail_adapters.testing._protocol import Seen
from guardrail_adapters.testing._setting import Setting

if TYPE_CHECKING:
    from guardrail.hooks import HookDesk
    from guardrail_adapters.testing._protocol import Conversation

_BEFORE: Final[Mapping[str, tuple[str, str]]] = {
    "claude-code": ("PreToolUse", "PostToolUse"),
    "codex": ("PreToolUse", "PostToolUse"),
    "gemini-cli": ("BeforeTool", "AfterTool"),
    "opencode": ("tool.execute.before", "tool.execute.after"),
}
"""Names of the events before and after a call."""

_CANNOT: Final[Mapping[str, str]] = {
    **CALLED_AGAIN,
    "traced": "no harness tells its hook which trace it is in",
}


class HookAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """The hook of one harness.

    Args:
        harness: which.
    """

    harness: str

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"hook: {self.harness}"

    @property
    def cannot(self) -> Mapping[str, str]:
        """A harness stops its call and tells the model: what was held is sent again."""
        return _CANNOT

    def missing(self) -> str:
        """The core is enough."""
        return ""

    def open(self, setting: Setting) -> Conversation:
        """A harness whose model calls its shell."""
        from guardrail.hooks import HookDesk

        harness = _Harness(self.harness, setting, HookDesk(setting.guard))
        return Program(setting, harness.call)


def adapters() -> tuple[HookAdapter, ...]:
    """Every harness."""
    return tuple(HookAdapter(harness=name) for name in _BEFORE)


class _Harness:
    """One harness with its hook.

    Args:
        name: which.
        setting: the case's world.
        desk: what answers.
    """

    def __init__(self, name: str, setting: Setting, desk: HookDesk) -> None:
        self._name = name
        self._setting = setting
        self._desk = desk
        self._before, self._after = _BEFORE[name]

    def call(self, call: str, command: str) -> Seen | None:
        """Ask the hook, and run the tool unless it says no."""
        code, out, said = self._ask(self._event(self._before, call, command))
        if code != 0 or out:
            return None if "is pending" in said else Seen(text=said, ok=False)
        text = self._setting.tool(command)
        self._ask(self._event(self._after, call, command))
        return Seen(text=text, ok=True)

    def _ask(self, event: Mapping[str, Any]) -> tuple[int, bytes, str]:
        """Exit code, standard output and standard error of the hook, which shares nothing with the harness."""
        from guardrail.hooks import Agent

        body = json.dumps(event).encode()
        agent = Agent(id=self._setting.subject.id)
        said = contextvars.Context().run(self._desk.answer, self._name, body, agent)
        return said.exit_code, said.stdout, said.stderr.decode()

    def _event(self, event: str, call: str, command: str) -> dict[str, Any]:
        cwd, session = str(self._setting.cwd), self._setting.session
        if self._name == "opencode":
            args = {"command": command}
            return {
                "event": event,
                "sessionID": session,
                "callID": call,
                "tool": "bash",
                "args": args,
                "directory": cwd,
            }
        tool = "run_shell_command" if self._name == "gemini-cli" else "Bash"
        found = {"session_id": session, "hook_event_name": event, "cwd": cwd, "tool_name": tool}
        found |= {"tool_input": {"command": command}}  # type: ignore[dict-item]
        if self._name != "gemini-cli":
            found["tool_use_id"] = call
        if self._name == "codex":
            found["transcript_path"] = self._transcript(call, command)
        return found

    def _transcript(self, call: str, command: str) -> str:
        """Codex writes a call down before it asks its hook, which reads there in which directory it will run."""
        arguments = json.dumps({"cmd": command, "workdir": str(self._setting.cwd)})
        line = {"payload": {"type": "function_call", "call_id": call, "arguments": arguments}}
        path = self._setting.own / "rollout.jsonl"
        path.write_text(json.dumps(line) + "\n", encoding="utf-8")
        return str(path)
