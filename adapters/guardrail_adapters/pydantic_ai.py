"""Guardrail in Pydantic AI: a capability that puts the guard around every tool of an agent, whichever toolset it is of.

    agent = Agent(model, tools=[...], output_type=[str, DeferredToolRequests], capabilities=[Guardrail(guard)])

Owned: the guard carries the tool out. It stands innermost, inside whatever other capabilities rewrite or repeat, and
what needs a person is a deferred call, as with the framework's own `ApprovalRequired`.
Not covered: tools that a provider runs (`native_tools`), output functions, and calls that are carried out elsewhere
(`CallDeferred`, external toolsets).
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, TypedDict, Unpack

try:
    # Where the type checkers run it is not installed, so its parts are looked up and not imported.
    _capabilities: Any = importlib.import_module("pydantic_ai.capabilities")
    _exceptions: Any = importlib.import_module("pydantic_ai.exceptions")
    _tools: Any = importlib.import_module("pydantic_ai.tools")
    _toolsets: Any = importlib.import_module("pydantic_ai.toolsets")
    _core: Any = importlib.import_module("pydantic_core")
except ImportError as missing:
    raise ImportError(
        f"`{missing.name}` is not installed in a version that can be guarded: install `guardrail-runtime[pydantic-ai]`"
    ) from None

from guardrail import InvalidCall, Outcome, Subject, ToolCall
from guardrail_adapters._caller import Caller
from guardrail_adapters._guard import GuardLike
from guardrail_adapters._owed import Owed
from guardrail_adapters._pausing import NotCarriedOut, Pausing

__all__ = ["GuardLike", "Guardrail", "Options"]


class Options(TypedDict, total=False):
    """Keyword arguments of `Guardrail`.

    Args:
        subject: the agent, as mandates name it; `unknown` by default. It must never come from the agent.
        session: name of the conversation; the run's `conversation_id` by default.
        cwd: working directory of the tools: a path, or a function called for each call; the process's own by default.
        approver: names who is answering, when an answer is taken.
    """

    subject: Subject | str
    session: str
    cwd: str | Callable[[], str]
    approver: Callable[[], str]


_GIVEN: Final[ContextVar[Any]] = ContextVar("guardrail_given", default=None)
"""The call that is being carried out, as the model made it or as a person answered it."""


class Guardrail(_capabilities.AbstractCapability):  # type: ignore[misc]
    """Judges every tool call of an agent before it runs, and carries it out.

    Args:
        guard: what judges and runs.
        options: see `Options`.

    Raises:
        ConfigError: if `guard` is no guard.
    """

    def __init__(self, guard: GuardLike, **options: Unpack[Options]) -> None:
        self._pausing = Pausing(guard, options.get("approver"))
        self._owed = Owed(guard)
        self._caller = Caller.by(options.get("subject"), options.get("cwd"))
        self._session = options.get("session", "")

    def get_ordering(self) -> Any:
        """Innermost: what other capabilities make of a call is what is judged."""
        return _capabilities.CapabilityOrdering(position="innermost")

    def get_wrapper_toolset(self, toolset: Any) -> Any:
        """Every toolset of the run behind the guard."""
        return _Guarded(toolset, self)

    async def wrap_run(self, ctx: Any, *, handler: Callable[[], Any]) -> Any:
        """What the agent owes is taken up before the run, and looked at when it is through; a pause is not the end."""
        subject, session = self._caller.subject, self.session_of(ctx)
        await asyncio.to_thread(self._owed.begin, subject, session)
        paused = False
        try:
            answer = await handler()
            paused = isinstance(answer.output, _tools.DeferredToolRequests)
        finally:
            if not paused:
                await asyncio.to_thread(self._owed.end, subject, session)
        return answer

    async def wrap_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any, handler: Any) -> Any:  # noqa: ARG002 - the framework's signature
        """Remember what was asked for, to tell a person's edit from a rewriting capability."""
        token = _GIVEN.set(call)
        try:
            return await handler(args)
        finally:
            _GIVEN.reset(token)

    async def before_model_request(self, ctx: Any, request_context: Any) -> Any:
        """What the model is about to read of people's rejections goes on record."""
        denied = {
            part.tool_call_id
            for part in request_context.messages[-1].parts
            if part.part_kind == "tool-return" and part.outcome == "denied"
        }
        if denied:
            await self._pausing.rejected(self.session_of(ctx), lambda review: review.key.call in denied)
        return request_context

    def session_of(self, ctx: Any) -> str:
        """Name of the conversation that a run belongs to."""
        return self._session or ctx.conversation_id or "default"

    async def call_tool(self, name: str, args: dict[str, Any], ctx: Any, tool: Any, execute: Callable[[], Any]) -> Any:
        """Carry one call out if it may be.

        Raises:
            ApprovalRequired: if a person has to decide first.
            ToolFailed: if it may not be; the text is neutral.
            BaseException: what the tool raised.
        """
        try:
            caller = self._caller.within(self.session_of(ctx))
            call = caller.call(name, _plain(args), id=ctx.tool_call_id or "")
        except InvalidCall:
            raise _exceptions.ToolFailed(str(NotCarriedOut(Outcome.DENY))) from None
        approved: bool = ctx.tool_call_approved
        if escalation := await self._pausing.asks(call, approved=approved):
            raise _exceptions.ApprovalRequired(metadata={"guardrail": {"escalation": escalation}})

        async def run(own: ToolCall) -> Any:
            # INVARIANT: what runs is what was judged, although the tool's own types do not go through JSON.
            if _plain(args) != own.args:
                raise InvalidCall("the arguments changed while they were judged")
            return await execute()

        try:
            edited = approved and _is_edited(ctx, tool, call)
            return await self._pausing.carry_out(call, run, approved=approved, edited=edited)
        except NotCarriedOut as refusal:
            raise _exceptions.ToolFailed(str(refusal)) from None


@dataclasses.dataclass
class _Guarded(_toolsets.WrapperToolset):  # type: ignore[misc]
    """Every tool of a toolset, behind the guard; the framework copies it for each run."""

    door: Guardrail

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: Any, tool: Any) -> Any:
        """Through the guard to the tool."""
        return await self.door.call_tool(
            name, tool_args, ctx, tool, lambda: self.wrapped.call_tool(name, tool_args, ctx, tool)
        )


def _plain(args: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as JSON has them.

    Raises:
        InvalidCall: if an argument is nothing that JSON can carry, because then nobody could say what was judged.
    """
    try:
        plain: dict[str, Any] = _core.to_jsonable_python(args)
    except Exception as error:  # noqa: BLE001 - a type's own serializer may raise anything
        raise InvalidCall(f"an argument cannot be judged: {error}") from None
    return plain


def _is_edited(ctx: Any, tool: Any, call: ToolCall) -> bool:
    """Whether these are arguments that a person gave with the approval (`ToolApproved.override_args`).

    What the framework carries out then is another call than the model's, and nothing around us has changed it since.
    """
    given, made = _GIVEN.get(), _made(ctx)
    if given is None or made is None or given.args_as_dict() == made.args_as_dict():
        return False
    return bool(_plain(tool.args_validator.validate_python(given.args_as_dict())) == call.args)


def _made(ctx: Any) -> Any:
    """The call as the model made it, which the conversation keeps."""
    parts = (part for message in reversed(ctx.messages) for part in message.parts if part.part_kind == "tool-call")
    return next((part for part in parts if part.tool_call_id == ctx.tool_call_id), None)
