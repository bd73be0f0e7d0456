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

MAX_REASONING_CHARS: Final = 32 * 1024
"""Longest reasoning that is taken along with a call, in characters; of a longer one the beginning is."""

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

    @property
    def reasoning(self) -> str:
        """What the agent said in the turn that made the calls, its thinking as far as the model shows it included."""
        _, last = self._last()
        return _said(last) if last is not None else ""

    def _message(self) -> str | None:
        index, last = self._last()
        # A reducer that gives no ids only ever appends, so the place in the list is as good as one.
        return None if last is None else last.id or f"#{index}"

    def _last(self) -> tuple[int, AIMessage | None]:
        state = self.state
        if isinstance(state, Mapping):
            messages: Any = state.get(self.messages_key)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        else:
            messages = getattr(state, self.messages_key, state)
        turns: list[Any] = messages if isinstance(messages, list) else []  # pyright: ignore[reportUnknownVariableType]
        for index in range(len(turns) - 1, -1, -1):
            if isinstance(turns[index], AIMessage):
                return index, turns[index]
        return -1, None


def _said(message: AIMessage) -> str:
    """Text and reasoning of a message, in their order, as a text of bounded length."""
    content: Any = message.content  # pyright: ignore[reportUnknownMemberType]
    if isinstance(content, str):
        # Some chat models put their thinking beside the content.
        thought = message.additional_kwargs.get("reasoning_content")
        parts = [thought if isinstance(thought, str) else "", content]
    else:
        blocks: list[Any] = content
        texts = (block if isinstance(block, str) else _text_of(block) for block in blocks)
        parts = [text for text in texts if isinstance(text, str)]
    return "\n".join(part for part in parts if part)[:MAX_REASONING_CHARS]


def _text_of(block: Any) -> Any:
    if not isinstance(block, Mapping):
        return None
    fields: Mapping[str, Any] = block  # pyright: ignore[reportUnknownVariableType]
    return next((fields[name] for name in ("text", "reasoning", "thinking") if fields.get(name)), None)


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
            subject=self.subject_of(site.configurable),
            session=self.session_of(site.configurable),
            reasoning=site.reasoning,
        )
        call.validate()
        return Asked(raw=raw, call=call, key=CallKey(turn=site.turn, call=call.id, digest=call.digest))

    def subject_of(self, configurable: Mapping[str, Any]) -> Subject:
        """Who the agent of a run is, by the run's own settings if the operator did not say."""
        if self.subject is not None:
            return self.subject
        named = configurable.get(SUBJECT_KEY)
        return Subject(id=named) if isinstance(named, str) and named else Subject()

    def session_of(self, configurable: Mapping[str, Any]) -> str:
        """Name of the conversation that a run belongs to."""
        return str(configurable.get("thread_id") or self.session)
