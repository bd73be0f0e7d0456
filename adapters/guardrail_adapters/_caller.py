"""Who calls, from where and in which conversation: what an adapter adds to a tool's name and arguments.

Not concerned with any framework; the LangGraph adapters read the same from a graph's configuration (`_calls`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

from guardrail import InvalidCall, Subject, ToolCall


class Options(TypedDict, total=False):
    """Keyword arguments of the adapters that have no graph to read them from.

    Args:
        subject: the agent, as mandates name it; `unknown` by default. It must never come from the agent.
        session: name of the conversation or run.
        cwd: working directory of the tools: a path, or a function called for each call; the process's own by default.
    """

    subject: Subject | str
    session: str
    cwd: str | Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Makes ToolCalls the way the operator set it up.

    Args:
        subject: the agent.
        session: name of the conversation or run.
        cwd: working directory of the tools, or how to find it.
    """

    subject: Subject = field(default_factory=Subject)
    session: str = "default"
    cwd: str | Callable[[], str] = field(default=os.getcwd)

    @classmethod
    def of(cls, options: Options) -> Caller:
        """The caller for an adapter's keyword arguments."""
        return cls.by(options.get("subject"), options.get("cwd"), options.get("session", "default"))

    @classmethod
    def by(cls, subject: Subject | str | None, cwd: str | Callable[[], str] | None, session: str = "default") -> Caller:
        """The caller for what an operator said, None being what was left unsaid."""
        who = Subject(id=subject) if isinstance(subject, str) else subject
        return cls(subject=who or Subject(), session=session, cwd=cwd or os.getcwd)

    def within(self, session: str) -> Caller:
        """The same caller in another conversation."""
        return replace(self, session=session)

    def call(self, tool: str, args: Mapping[str, Any], *, id: str = "", cwd: str | None = None) -> ToolCall:  # noqa: A002 - the record's own name
        """One call.

        Args:
            tool: name of the tool.
            args: its arguments, as JSON has them, or paths.
            id: the caller's own id for it.
            cwd: where it runs, if not where the caller says.

        Raises:
            InvalidCall: if an argument is nothing that JSON can carry.
        """
        here = self.cwd if isinstance(self.cwd, str) else self.cwd()
        plain = {name: plain_value(value, name) for name, value in args.items()}
        call = ToolCall(tool=tool, args=plain, id=id, cwd=cwd or here, subject=self.subject, session=self.session)
        call.validate()
        return call


def plain_value(value: Any, name: str) -> Any:
    """An argument as JSON has it: a path is its text, a tuple a list.

    Raises:
        InvalidCall: if it is anything else that JSON cannot carry, because then nobody could say what was judged.
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    kind = type(value).__name__
    if isinstance(value, os.PathLike):
        path: Any = value  # pyright: ignore[reportUnknownVariableType]
        return plain_value(os.fspath(path), name)
    if isinstance(value, list | tuple):
        items: Any = value  # pyright: ignore[reportUnknownVariableType]
        return [plain_value(item, name) for item in items]
    if isinstance(value, Mapping):
        pairs: Any = value  # pyright: ignore[reportUnknownVariableType]
        if all(isinstance(key, str) for key in pairs):
            return {key: plain_value(item, name) for key, item in pairs.items()}
    raise InvalidCall(f"the argument `{name}` is a `{kind}`: pass text, numbers, paths, lists or tables")
