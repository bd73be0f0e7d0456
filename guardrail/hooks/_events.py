"""What a harness sends, as one of five events; strict about what decides, indifferent to what harnesses add.

Not concerned with answers. Contracts: Claude Code 2.1.330, Codex 0.163, Gemini CLI 0.61, OpenCode 1.18 by our plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from guardrail.canonical import check_depth, check_names
from guardrail.errors import InvalidCall
from guardrail.hooks._transcript import call_in_transcript
from guardrail.model import MAX_CALL_DEPTH, Subject, ToolCall
from guardrail.printing import printable

MAX_EVENT_BYTES: Final = 8 * 1024 * 1024
"""Largest event that is read, in bytes; one that says what a tool returned may be long, its call may not."""

T = TypeVar("T")


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """Who a hook stands for, as whoever installed it says.

    Args:
        id: the agent, as mandates name it; the harness's name by default.
        model: its model, where the harness does not say it.
    """

    id: str = ""
    model: str | None = None


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """A call that is to be judged.

    Args:
        call: the call.
        attended: whether the harness says that it asks people at all.
    """

    call: ToolCall
    attended: bool = True


class After(msgspec.Struct, frozen=True, kw_only=True):
    """A call that has run.

    Args:
        call: as it ran, so far as the harness says it.
        failed: the tool failed.
    """

    call: ToolCall
    failed: bool = False


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation begins, pauses for its person, or is over."""

    subject: Subject
    session: str
    state: str


Event = Before | After | Session


class Malformed(InvalidCall):
    """What was sent is not an event of this harness."""


class Harness(msgspec.Struct, frozen=True, kw_only=True):
    """One harness.

    Args:
        name: what it is called on the command line.
        events: its events, by what they are to us.
        read: an event of it, read.
        asks: it can ask the person who sits there.
    """

    name: str
    events: Mapping[str, str]
    read: Callable[[Harness, bytes, Agent], Event]
    asks: bool = False


class _Wire(msgspec.Struct, frozen=True, kw_only=True):
    """Claude Code, Codex and Gemini CLI send these; whatever else they send is not needed to judge."""

    session_id: str
    hook_event_name: str
    cwd: str | None = None
    tool_name: str | None = None
    tool_input: dict[str, Any] | None = None
    tool_use_id: str = ""
    transcript_path: str | None = None
    model: str | None = None
    permission_mode: str = "default"
    mcp_context: dict[str, Any] | None = None
    tool_response: Any = None


class _PluginWire(msgspec.Struct, frozen=True, kw_only=True, rename={"session": "sessionID", "call": "callID"}):
    """What our plugin sends for OpenCode."""

    event: str
    session: str
    tool: str | None = None
    call: str = ""
    args: dict[str, Any] | None = None
    directory: str | None = None
    failed: bool = False


# INVARIANT: msgspec works a type out when it is first used, and the process crashes if two threads do that at once.
_wire: Final = msgspec.json.Decoder(_Wire)
_plugin: Final = msgspec.json.Decoder(_PluginWire)


def read_event(name: str, body: bytes, agent: Agent) -> Event:
    """One event of a harness.

    Args:
        name: the harness.
        body: what it sent.
        agent: whom the hook stands for.

    Returns:
        The event.

    Raises:
        Malformed: if this is no event of it, names anything twice, or its call is none.
    """
    harness = HARNESSES.get(name)
    if harness is None:
        raise Malformed(f"`{printable(name)}` is no harness that is known: one of {', '.join(HARNESSES)}")
    if len(body) > MAX_EVENT_BYTES:
        raise Malformed(f"an event may have at most {MAX_EVENT_BYTES} bytes")
    try:
        check_depth(body, MAX_CALL_DEPTH)
        check_names(body)
        return harness.read(harness, body, agent)
    except Malformed:
        raise
    except InvalidCall as error:
        raise Malformed(f"not an event of {name}: {error}") from None


def _read(harness: Harness, body: bytes, agent: Agent) -> Event:
    wire = _decoded(_wire, harness, body)
    subject = Subject(id=agent.id or harness.name, model=wire.model or agent.model)
    kind = _kind(harness, wire.hook_event_name)
    if kind not in ("before", "after", "failed"):
        return Session(subject=subject, session=_session(harness, wire.session_id), state=kind)
    if wire.tool_name is None or wire.tool_input is None:
        raise Malformed(f"not an event of {harness.name}: `tool_name` and `tool_input` say what is called")
    tool, args, cwd = _as_called(harness, wire)
    call = _call(tool, args, wire.tool_use_id, cwd, subject, _session(harness, wire.session_id))
    if kind == "before":
        return Before(call=call, attended=wire.permission_mode in _ATTENDED)
    return After(call=call, failed=kind == "failed" or _has_failed(wire))


def _read_plugin(harness: Harness, body: bytes, agent: Agent) -> Event:
    wire = _decoded(_plugin, harness, body)
    subject = Subject(id=agent.id or harness.name, model=agent.model)
    kind = _kind(harness, wire.event)
    session = _session(harness, wire.session)
    if kind not in ("before", "after"):
        return Session(subject=subject, session=session, state=kind)
    if wire.tool is None or wire.args is None:
        raise Malformed("not an event of opencode: `tool` and `args` say what is called")
    call = _call(wire.tool, wire.args, wire.call, wire.directory, subject, session)
    return Before(call=call) if kind == "before" else After(call=call, failed=wire.failed)


def _decoded(decoder: msgspec.json.Decoder[T], harness: Harness, body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = str(error) or type(error).__name__
        text = text[:1].lower() + text[1:] if text[1:2].islower() else text
        raise Malformed(f"not an event of {harness.name}: {text}") from None


def _kind(harness: Harness, event: str) -> str:
    kind = harness.events.get(event)
    if kind is None:
        raise Malformed(
            f"`{printable(event)}` is no event that {harness.name}'s hook is for: {', '.join(harness.events)}"
        )
    return kind


def _session(harness: Harness, session: str) -> str:
    if not session:
        raise Malformed(f"not an event of {harness.name}: its session is empty")
    return session


def _call(tool: str, args: dict[str, Any], call_id: str, cwd: str | None, subject: Subject, session: str) -> ToolCall:
    return ToolCall.from_mapping(
        {
            "tool": tool,
            "args": args,
            "id": call_id,
            "cwd": cwd,
            "subject": msgspec.to_builtins(subject),
            "session": session,
        }
    )


def _as_called(harness: Harness, wire: _Wire) -> tuple[str, dict[str, Any], str | None]:
    """Tool, arguments and directory of the call that the harness is about to make."""
    tool, args, cwd = str(wire.tool_name), dict(wire.tool_input or {}), wire.cwd
    if harness.name == "codex":
        return _as_codex_calls(wire, tool, args, cwd)
    if wire.mcp_context is not None:
        # Gemini's own name of a server's tool is no name that says which server it is.
        server, inner = wire.mcp_context.get("server_name"), wire.mcp_context.get("tool_name")
        if not (isinstance(server, str) and isinstance(inner, str) and server and inner):
            raise Malformed("not an event of gemini-cli: `mcp_context` names no server and tool")
        tool = f"mcp__{server}__{inner}"
    return tool, args, cwd


def _as_codex_calls(
    wire: _Wire, tool: str, args: dict[str, Any], cwd: str | None
) -> tuple[str, dict[str, Any], str | None]:
    """Codex's hook sees less than runs: the directory and the shell of a command stand in the transcript only."""
    if tool != "Bash" or "command" not in args:
        return tool, args, cwd
    said = call_in_transcript(wire.transcript_path, wire.tool_use_id) if wire.transcript_path else None
    if said is None:
        # Nobody knows in which directory it would run, so relative paths can be anything.
        return tool, args, None
    if said.get("cmd", said.get("command")) != args["command"]:
        raise Malformed("not an event of codex: its transcript has another command under this call's id")
    workdir = said.pop("workdir", None)
    if isinstance(workdir, str) and workdir:
        cwd = str(Path(cwd, workdir)) if cwd is not None else workdir if workdir.startswith("/") else None
    if said.get("tty") is True:
        # What is typed into it later fires no hook: it is asked about now, like input to a running program.
        said["is_input"] = True
    return "exec_command", said, cwd


def _has_failed(wire: _Wire) -> bool:
    answer = wire.tool_response
    return isinstance(answer, dict) and (bool(answer.get("error")) or answer.get("is_error") is True)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


_ATTENDED: Final = frozenset({"default", "acceptEdits", "plan"})
"""Modes in which Claude Code puts a hook's question to the person who sits there; in any other nobody may be asked."""

_CLAUDE: Final = {
    "PreToolUse": "before",
    "PostToolUse": "after",
    "PostToolUseFailure": "failed",
    "SessionStart": "begin",
    "Stop": "pause",
    "SessionEnd": "over",
}
_CODEX: Final = {"PreToolUse": "before", "PostToolUse": "after", "SessionStart": "begin", "Stop": "pause"}
_GEMINI: Final = {
    "BeforeTool": "before",
    "AfterTool": "after",
    "SessionStart": "begin",
    "AfterAgent": "pause",
    "SessionEnd": "over",
}
_OPENCODE: Final = {
    "tool.execute.before": "before",
    "tool.execute.after": "after",
    "session.created": "begin",
    "session.idle": "pause",
    "session.deleted": "over",
}

HARNESSES: Final[Mapping[str, Harness]] = {
    harness.name: harness
    for harness in (
        Harness(name="claude-code", events=_CLAUDE, read=_read, asks=True),
        Harness(name="codex", events=_CODEX, read=_read),
        Harness(name="gemini-cli", events=_GEMINI, read=_read, asks=True),
        Harness(name="opencode", events=_OPENCODE, read=_read_plugin),
    )
}
"""Every harness that is known, by its name on the command line."""
