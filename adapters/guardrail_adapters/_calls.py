"""LangChain tool calls as ToolCalls, and the sticky key under which each is judged.

Not concerned with what becomes of them (`_gate`) or how people are asked (`_wire`).
Everything here comes from the graph's own configuration and state, except name and arguments, which the agent chose.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict

import msgspec
from langchain_core.messages import AIMessage

from guardrail import Subject, ToolCall
from guardrail.review import AnswerKind, CallKey, TurnKey

UNVERIFIED: Final = "unverified:thread"
"""The approver's name when nothing is known but that somebody could resume the thread."""

SUBJECT_KEY: Final = "guardrail_subject"
"""`config["configurable"]` key with the agent's name, used when the operator gave none to the adapter."""

APPROVER_KEY: Final = "guardrail_approver"
"""`config["configurable"]` key with the name of the person who answers, set by the application that resumes."""

DEFAULT_DECISIONS: Final[tuple[AnswerKind, ...]] = ("approve", "edit", "reject")
"""What a reviewer may answer, unless the operator says otherwise."""

# Private in langgraph. If the name changes, every run looks as if it had no checkpointer, and held calls are blocked.
_CHECKPOINTER: Final = "__pregel_checkpointer"


class Options(TypedDict, total=False):
    """Keyword arguments that all three ways of attaching take.

    Args:
        subject: the agent, as mandates name it; without it `configurable["guardrail_subject"]`, else `unknown`.
        cwd: working directory of the tools: a path, or a function called for each call; the process's own by default.
        session: name of the conversation when the run has no thread id.
        allowed_decisions: what a reviewer may answer: any of approve, edit, reject, respond; never empty.
    """

    subject: Subject | str | None
    cwd: str | Callable[[], str] | None
    session: str
    allowed_decisions: Sequence[AnswerKind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where in a running graph calls are looked at.

    Args:
        state: the graph's state.
        config: the RunnableConfig of the running node.
        runtime: langgraph's Runtime or ToolRuntime, for the server's own facts; None outside of a graph.
        messages_key: key of the messages in the state.
    """

    state: Any
    config: Mapping[str, Any]
    runtime: Any = None
    messages_key: str = "messages"

    @property
    def configurable(self) -> Mapping[str, Any]:
        """The run's own settings: the thread, and what the application put there."""
        return self.config.get("configurable") or {}

    @property
    def resumable(self) -> bool:
        """Whether a pause could ever be resumed: there is a checkpointer, and a thread to find it under."""
        return bool(self.configurable.get("thread_id")) and self.configurable.get(_CHECKPOINTER) not in (None, False)

    @property
    def turn(self) -> TurnKey:
        """The turn that the calls at hand belong to."""
        info = getattr(self.runtime, "execution_info", None)
        thread = self.configurable.get("thread_id")
        namespace = str(self.configurable.get("checkpoint_ns") or "")
        return TurnKey(
            thread=str(thread) if thread else f"unthreaded:{getattr(info, 'run_id', None) or 'run'}",
            # The last part names the running node; what comes before is the (sub)agent and stays the same on a re-run.
            scope="|".join(namespace.split("|")[:-1]),
            message=self._message() or f"task:{getattr(info, 'task_id', None) or namespace}",
        )

    @property
    def approver(self) -> str:
        """Who is answering, with the source of that knowledge in front: a graph resume by itself proves nobody."""
        server = getattr(self.runtime, "server_info", None)
        identity = getattr(getattr(server, "user", None), "identity", None)
        if identity:
            return f"server:{identity}"
        claimed = self.configurable.get(APPROVER_KEY)
        return f"config:{claimed}" if isinstance(claimed, str) and claimed else UNVERIFIED

    def _message(self) -> str | None:
        state = self.state
        if isinstance(state, Mapping):
            messages: Any = state.get(self.messages_key)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        else:
            messages = getattr(state, self.messages_key, state)
        if not isinstance(messages, list):
            return None
        turns: list[Any] = messages  # pyright: ignore[reportUnknownVariableType]
        for index in range(len(turns) - 1, -1, -1):
            if isinstance(turns[index], AIMessage):
                # A reducer that gives no ids only ever appends, so the place in the list is as good as one.
                return turns[index].id or f"#{index}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One tool call of one turn: as LangChain has it, as the guard sees it, and the key that a decision sticks to."""

    raw: Mapping[str, Any]
    call: ToolCall
    key: CallKey

    def with_args(self, args: Mapping[str, Any]) -> Asked:
        """The same call with other arguments, under the key of those."""
        call = msgspec.structs.replace(self.call, args=dict(args))
        key = msgspec.structs.replace(self.key, digest=call.digest)
        return Asked(raw={**self.raw, "args": call.args}, call=call, key=key)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReader:
    """Reads tool calls the way the operator set it up.

    Args:
        subject: the agent; None takes it from the run's configuration.
        cwd: working directory of the tools, or how to find it.
        session: name of the conversation when the run has no thread id.
    """

    subject: Subject | None = None
    cwd: str | Callable[[], str] = field(default=os.getcwd)
    session: str = "default"

    @classmethod
    def of(cls, options: Options) -> CallReader:
        """The reader for an adapter's keyword arguments."""
        subject = options.get("subject")
        return cls(
            subject=Subject(id=subject) if isinstance(subject, str) else subject,
            cwd=options.get("cwd") or os.getcwd,
            session=options.get("session", "default"),
        )

    def read(self, raw: Mapping[str, Any], site: Site) -> Asked:
        """One tool call.

        Raises:
            InvalidCall: if it cannot be a ToolCall; the caller turns this and every other error into a denial.
        """
        call = ToolCall(
            tool=raw["name"],
            args=raw["args"],
            id=raw.get("id") or "",
            cwd=self.cwd if isinstance(self.cwd, str) else self.cwd(),
            subject=self._subject(site),
            session=str(site.configurable.get("thread_id") or self.session),
        )
        call.validate()
        return Asked(raw=raw, call=call, key=CallKey(turn=site.turn, call=call.id, digest=call.digest))

    def _subject(self, site: Site) -> Subject:
        if self.subject is not None:
            return self.subject
        named = site.configurable.get(SUBJECT_KEY)
        return Subject(id=named) if isinstance(named, str) and named else Subject()
