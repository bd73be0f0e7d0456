"""Toys for the adapter tests: a chat model that plays a script, tools that only note that they ran, a guard with rules.

`ToyGuard` has the methods of `guardrail.Guard` over the real `ReviewStore`, so that a test can change its rules,
slow it down or break it; `tests/adapters/test_real_guard.py` runs the same adapters over the real one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool, tool
from langgraph.types import interrupt

from guardrail.config import Config
from guardrail.errors import Denied, Escalated
from guardrail.model import Decision, Outcome, Reason, ToolCall, new_id
from guardrail.review import Grant, Holder, Refused, ReviewStore

Ran = list[tuple[str, ...]]


class Scripted(BaseChatModel):
    """Plays `script` by counting the AI turns already in the history, so that it goes on after a restart."""

    script: list[Any]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Scripted:
        return self

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        turn = sum(isinstance(message, AIMessage) for message in messages)
        reply = self.script[turn] if turn < len(self.script) else AIMessage("done")
        return ChatResult(generations=[ChatGeneration(message=reply.model_copy(deep=True))])


def turn(*calls: dict[str, Any]) -> AIMessage:
    """One turn of the model."""
    return AIMessage("", tool_calls=list(calls))


def read(call_id: str, path: str = "/etc/hosts") -> dict[str, Any]:
    """A call that the toy rules allow."""
    return {"name": "read_file", "args": {"path": path}, "id": call_id, "type": "tool_call"}


def write(call_id: str, path: str = "/cfg", content: str = "v") -> dict[str, Any]:
    """A call that the toy rules escalate; below `/forbidden` they deny it whatever anybody says."""
    return {"name": "write_file", "args": {"path": path, "content": content}, "id": call_id, "type": "tool_call"}


def copy(call_id: str, source: str = "/weights/m") -> dict[str, Any]:
    """A call that the toy rules deny."""
    args = {"source": source, "destination": "/tmp/x"}
    return {"name": "copy_file", "args": args, "id": call_id, "type": "tool_call"}


def tools(ran: Ran, *, failures: int = 0, question: bool = False) -> list[BaseTool]:
    """Three tools that note what they did.

    Args:
        ran: where they note it.
        failures: how many times `write_file` raises before it works.
        question: `write_file` asks a question of its own before it works.
    """
    left = [failures]

    @tool
    def read_file(path: str) -> str:
        """Read a file."""
        ran.append(("read_file", path))
        return f"contents of {path}"

    @tool
    def copy_file(source: str, destination: str) -> str:
        """Copy a file."""
        ran.append(("copy_file", source, destination))
        return "copied"

    @tool
    def write_file(path: str, content: str) -> str:
        """Write a file."""
        said = (interrupt({"question": "change ticket?"}),) if question else ()
        ran.append(("write_file", path, content, *said))
        if left[0]:
            left[0] -= 1
            raise OSError("disk on fire")
        return f"wrote {content}"

    return [read_file, copy_file, write_file]


def rules(call: ToolCall) -> Outcome:
    """The toy policy."""
    if str(call.args.get("path", "")).startswith("/forbidden") or "/weights" in str(call.args):
        return Outcome.DENY
    return Outcome.ESCALATE if call.tool == "write_file" else Outcome.ALLOW


@dataclass
class ToyGuard:
    """What adapters need of `Guard`, with rules that a test can change.

    Args:
        reviews: the real store.
        policy: the rules.
        delay: seconds to wait before a call is judged, by call id.
        records: what a trail would hold: `(kind, tool, call id)`.
    """

    reviews: ReviewStore = field(default_factory=ReviewStore)
    policy: Callable[[ToolCall], Outcome] = rules
    delay: dict[str, float] = field(default_factory=dict)
    records: list[tuple[str, str, str]] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def preview(self, call: ToolCall) -> Decision:
        """Judge; an allowed call leaves no record."""
        time.sleep(self.delay.get(call.id, 0))
        return self._decide(call, None, preview=True)

    async def apreview(self, call: ToolCall) -> Decision:
        """`preview`."""
        return self.preview(call)

    def check(self, call: ToolCall, *, grant: Grant | None = None) -> Decision:
        """Judge, redeeming the grant if it is needed."""
        return self._decide(call, grant, preview=False)

    async def acheck(self, call: ToolCall, *, grant: Grant | None = None) -> Decision:
        """`check`."""
        return self.check(call, grant=grant)

    def run(self, call: ToolCall, execute: Callable[[ToolCall], Any], *, grant: Grant | None = None) -> Any:
        """Judge and run."""
        decision = _released(self.check(call, grant=grant))
        try:
            value = execute(call)
        except BaseException as error:
            self._record(getattr(error, "guardrail_result", "failed"), call)
            raise
        self._record("completed" if decision else "", call)
        return value

    async def arun(
        self, call: ToolCall, execute: Callable[[ToolCall], Awaitable[Any]], *, grant: Grant | None = None
    ) -> Any:
        """Judge and run."""
        _released(await self.acheck(call, grant=grant))
        try:
            value = await execute(call)
        except BaseException as error:
            self._record(getattr(error, "guardrail_result", "failed"), call)
            raise
        self._record("completed", call)
        return value

    def _decide(self, call: ToolCall, grant: Grant | None, *, preview: bool) -> Decision:
        outcome = self.policy(call)
        leave = None
        if grant is not None and outcome is Outcome.ESCALATE:
            try:
                leave = self.reviews.desk.reserve(grant, call.digest)
            except Refused:
                leave = None
            outcome = Outcome.ALLOW if leave is not None else outcome
        decision = Decision(
            decision_id=new_id(),
            outcome=outcome,
            reasons=(Reason(rule="toy.rule", outcome=outcome, message="a control file needs an approval"),),
            id=call.id,
            digest=call.digest,
            grant=leave.grant.id if leave else None,
        )
        if outcome is Outcome.ESCALATE:
            desk = self.reviews.desk
            desk.open(
                Holder(Config()).escalation(
                    call,
                    decision,
                    binding="",
                    bound=True,
                    now_us=desk.clock(),
                    class_of=lambda _: None,
                    severe=lambda _: False,
                )
            )
        if not (preview and outcome):
            self._record("intent" if outcome else "decision", call)
        with self.lock:
            self.calls.append(call)
        return decision

    def _record(self, kind: str, call: ToolCall) -> None:
        with self.lock:
            self.records.append((kind, call.tool, call.id))


def _released(decision: Decision) -> Decision:
    if decision.outcome is Outcome.ESCALATE:
        raise Escalated(decision)
    if decision.outcome is Outcome.DENY:
        raise Denied(decision)
    return decision
