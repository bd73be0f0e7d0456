"""The tools of the OpenAI Agents SDK behind the guard, each kind in its own way; changed where they are, and once.

The SDK knows a tool by the object that it is, so no copy takes its place.
Not concerned with where tools come from (`openai_agents`).
"""

from __future__ import annotations

import abc
import asyncio
import copy
import dataclasses
import importlib
import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypedDict

import msgspec

from guardrail import ConfigError, InvalidCall, Outcome, Subject, ToolCall
from guardrail_adapters._caller import Caller
from guardrail_adapters._guard import GuardLike
from guardrail_adapters._pausing import NotCarriedOut, Pausing

_tool: Any = importlib.import_module("agents.tool")

_log: Final = logging.getLogger("guardrail.adapters")

_HOSTED: Final = (
    "FileSearchTool", "WebSearchTool", "HostedMCPTool", "ImageGenerationTool", "CodeInterpreterTool", "ToolSearchTool",
    "ProgrammaticToolCallingTool",
)  # fmt: skip
"""Tools that OpenAI runs, where no guard of ours is."""


class Options(TypedDict, total=False):
    """Keyword arguments of `instrument` and `duties`.

    Args:
        subject: the agent, as mandates name it; `unknown` by default. It must never come from the agent.
        session: name of the conversation, or a function that finds it in the run's context wrapper.
        cwd: working directory of the tools: a path, or a function called for each call; the process's own by default.
        approver: names who is answering, when an answer is taken.
    """

    subject: Subject | str
    session: str | Callable[[Any], str]
    cwd: str | Callable[[], str]
    approver: Callable[[], str]


class Door:
    """What stands before tools.

    Args:
        guard: what judges and runs.
        options: see `Options`.
    """

    def __init__(self, guard: GuardLike, options: Options) -> None:
        self._pausing = Pausing(guard, options.get("approver"))
        self._caller = Caller.by(options.get("subject"), options.get("cwd"))
        self._session = options.get("session", "default")
        self._named: set[str] = set()

    def stand_before(self, tools: Iterable[Any]) -> None:
        """Put the guard before tools that it is not before yet.

        Raises:
            ConfigError: if there is one that runs here and cannot be judged.
        """
        for tool in tools:
            kind: str = type(tool).__name__
            if isinstance(tool, _tool.FunctionTool):
                if getattr(tool, "_is_agent_tool", None) is not True:
                    self._before(tool, "on_invoke_tool", _Function)
            elif isinstance(tool, _tool.ShellTool) and tool.executor is not None:
                self._before(tool, "executor", _Shell)
            elif isinstance(tool, _tool.LocalShellTool):
                self._before(tool, "executor", _LocalShell)
            elif isinstance(tool, _tool.ApplyPatchTool):
                self._before(tool, "editor", _Editor)
            elif isinstance(tool, _tool.CustomTool):
                self._before(tool, "on_invoke_tool", _Custom)
            elif isinstance(tool, _tool.ShellTool) or kind in _HOSTED:
                self._tell_of(tool)
            else:
                raise ConfigError(
                    f"what the tool `{tool.name}` does cannot be judged: leave it out of the agent's tools, because a"
                    f" `{kind}` acts here past the guard"
                )

    def _before(self, tool: Any, part: str, made: Any) -> None:
        inner = getattr(tool, part)
        if isinstance(inner, _Guarded):
            if inner.door is self:
                return
            inner = inner.inner  # of a guard that was undone
        guarded = made(self, tool, inner)
        setattr(tool, part, guarded)
        if hasattr(tool, "needs_approval"):
            asked = tool.needs_approval
            tool.needs_approval = _Needs(guarded, asked.theirs if isinstance(asked, _Needs) else asked)

    def _tell_of(self, tool: Any) -> None:
        if tool.name not in self._named:
            self._named.add(tool.name)
            _log.warning("the tool `%s` runs at the provider, where nothing judges it", tool.name)

    async def take_rejections(self, context: Any) -> None:
        """Record what people have rejected in the run that goes on."""
        await self._pausing.rejected(
            self.session_of(context), lambda review: context.is_tool_approved(review.tool, review.key.call) is False
        )

    async def tell(self, told: Callable[[Subject, str], None], context: Any) -> None:
        """Tell of who runs in which conversation, in a thread, because it may have to wait for the disk."""
        await asyncio.to_thread(told, self._caller.subject, self.session_of(context))

    def session_of(self, context: Any) -> str:
        """Name of the conversation that a run belongs to."""
        return self._session if isinstance(self._session, str) else self._session(context)

    def call(self, context: Any, tool: str, args: dict[str, Any], name: str) -> ToolCall:
        """One call.

        Raises:
            InvalidCall: if it cannot be judged.
        """
        return self._caller.within(self.session_of(context)).call(tool, args, id=name)

    async def asks(self, call: ToolCall) -> bool:
        """Whether a call waits for a person."""
        return bool(await self._pausing.asks(call))

    async def carry_out(self, call: ToolCall, execute: Callable[[ToolCall], Any], *, approved: bool) -> Any:
        """Run a call if it may be.

        Raises:
            NotCarriedOut: if it may not.
        """

        async def run(own: ToolCall) -> Any:
            return await _awaited(execute(own))

        return await self._pausing.carry_out(call, run, approved=approved)


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


class _Guarded(abc.ABC):
    """A part of a tool that does something, behind the guard.

    Args:
        door: the guard's.
        tool: whose part it is.
        inner: the part.
    """

    def __init__(self, door: Door, tool: Any, inner: Any) -> None:
        self.door = door
        self.name: str = tool.name
        self.inner = inner

    @abc.abstractmethod
    def call(self, context: Any, asked: Any, name: str) -> ToolCall:
        """What is asked for, as a ToolCall."""

    def approved(self, context: Any, name: str) -> bool:
        """Whether people have approved it, by what the SDK knows."""
        return context.is_tool_approved(self.name, name) is True


class _Function(_Guarded):
    """A function tool: its arguments are an object in JSON. A refusal is the tool's answer."""

    def call(self, context: Any, asked: Any, name: str) -> ToolCall:
        return self.door.call(context, self.name, asked, name)

    async def __call__(self, ctx: Any, input: str) -> Any:  # noqa: A002 - the SDK's name
        try:
            call = self.call(ctx, _object(input), ctx.tool_call_id)
            return await self.door.carry_out(
                call,
                # INVARIANT: the tool reads what was judged: of two members of one name both see the same.
                lambda own: self.inner(ctx, json.dumps(own.args)),
                approved=self.approved(ctx, call.id),
            )
        except InvalidCall:
            return str(NotCarriedOut(Outcome.DENY))
        except NotCarriedOut as refusal:
            return str(refusal)


def _object(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise InvalidCall("the arguments are no object in JSON") from None


class _Custom(_Guarded):
    """A custom tool: its input is any text."""

    def call(self, context: Any, asked: Any, name: str) -> ToolCall:
        return self.door.call(context, self.name, {"input": asked}, name)

    async def __call__(self, ctx: Any, text: str) -> Any:
        call = self.call(ctx, text, ctx.tool_call_id)
        return await self.door.carry_out(
            call, lambda own: self.inner(ctx, own.args["input"]), approved=self.approved(ctx, call.id)
        )


class _Shell(_Guarded):
    """The shell tool: several commands at once, of which nobody but the executor knows whether one shell runs them."""

    def call(self, context: Any, asked: Any, name: str) -> ToolCall:
        return self.door.call(context, "shell", {"action": {"commands": list(asked.commands)}}, name)

    async def __call__(self, request: Any) -> Any:
        data = request.data
        call = self.call(request.ctx_wrapper, data.action, data.call_id)

        def execute(own: ToolCall) -> Any:
            action = dataclasses.replace(data.action, commands=list(own.args["action"]["commands"]))
            return self.inner(dataclasses.replace(request, data=dataclasses.replace(data, action=action)))

        approved = self.approved(request.ctx_wrapper, call.id)
        return await self.door.carry_out(call, execute, approved=approved)


class _LocalShell(_Guarded):
    """The older shell tool, which has no way to pause: what needs a person is refused, and may be made again."""

    def call(self, context: Any, asked: Any, name: str) -> ToolCall:
        action = {key: value for key, value in asked.model_dump().items() if value is not None}
        return self.door.call(context, "local_shell", {"action": action}, name)

    async def __call__(self, request: Any) -> Any:
        # INVARIANT: what runs is what was judged, whatever becomes of the SDK's own object meanwhile.
        own = dataclasses.replace(request, data=copy.deepcopy(request.data))
        call = self.call(own.ctx_wrapper, own.data.action, own.data.call_id)
        try:
            return await self.door.carry_out(call, lambda _: self.inner(own), approved=False)
        except NotCarriedOut as refusal:
            return str(refusal)  # the SDK lets an exception end the run


class _Editor(_Guarded):
    """The editor behind patches; an operation does not say which call it belongs to, so it is its own name."""

    def call(self, context: Any, asked: Any, name: str) -> ToolCall:  # noqa: ARG002 - it cannot be known later
        args = {"type": asked.type, "path": asked.path, "diff": asked.diff, "move_to": asked.move_to}
        args = {key: value for key, value in args.items() if value is not None}
        call = self.door.call(context, "apply_patch", args, "")
        return self.door.call(context, "apply_patch", args, f"patch:{call.digest}")

    async def create_file(self, operation: Any) -> Any:
        """A file that is new."""
        return await self._through(operation, self.inner.create_file)

    async def update_file(self, operation: Any) -> Any:
        """A file that changes, and perhaps moves."""
        return await self._through(operation, self.inner.update_file)

    async def delete_file(self, operation: Any) -> Any:
        """A file that goes."""
        return await self._through(operation, self.inner.delete_file)

    async def _through(self, operation: Any, act: Callable[[Any], Any]) -> Any:
        call = self.call(operation.ctx_wrapper, operation, "")
        own = dataclasses.replace(operation)
        # Whoever was asked about it has approved it: the SDK comes here with a call that waited for nothing else.
        return await self.door.carry_out(call, lambda _: act(own), approved=True)


class _Needs:
    """The SDK's question whether a call needs a person: as the guard says, or as whoever made the tool says.

    Args:
        guarded: the part that the call goes to.
        theirs: what the tool said before.
    """

    def __init__(self, guarded: _Guarded, theirs: Any) -> None:
        self._guarded = guarded
        self.theirs = theirs

    async def __call__(self, context: Any, asked: Any, name: str) -> bool:
        try:
            waits = await self._guarded.door.asks(self._guarded.call(context, asked, name))
        except InvalidCall:
            waits = False  # it is refused when it comes to run
        return waits or (bool(await self._said(context, asked, name)) if callable(self.theirs) else self.theirs)

    async def _said(self, context: Any, asked: Any, name: str) -> Any:
        answer: Awaitable[Any] | Any = self.theirs(context, asked, name)
        return await _awaited(answer)
