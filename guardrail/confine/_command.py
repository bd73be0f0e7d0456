"""From a call that was judged to the process that carries it out; pure, but for the environment that it is given.

INVARIANT: everything that decides what runs is in the call that was judged: the words or the text, the directory, and
every variable that is not on the operator's list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from guardrail.config import ExecuteConfig
from guardrail.confine._job import Job
from guardrail.errors import InvalidCall
from guardrail.model import ToolCall
from guardrail.printing import printable

EXECUTABLE_TOOL: Final = "bash"
"""The one tool that the guard carries out itself: a program with its arguments, or a text for a shell."""

SHELL: Final = "/bin/bash"
"""What runs a text: the shell whose language the analysis reads."""

_TAKES: Final = frozenset({"command", "env"})


def job_of(call: ToolCall, settings: ExecuteConfig, variables: Mapping[str, str]) -> Job:
    """The process for a call.

    Args:
        call: the call as it was judged.
        settings: bounds, and the names of variables that are passed on.
        variables: the environment that those are taken from.

    Returns:
        What is to be started.

    Raises:
        InvalidCall: if this is no call that can be carried out here; the message says what is.
    """
    if call.tool != EXECUTABLE_TOOL:
        raise InvalidCall(
            f"`{printable(call.tool)}` cannot be carried out here: send tool `{EXECUTABLE_TOOL}` with a `command`"
        )
    unknown = sorted(set(call.args) - _TAKES)
    if unknown:
        raise InvalidCall(f"`{printable(unknown[0])}` is no argument here: send `command`, and `env` if it is needed")
    if call.cwd is None:
        raise InvalidCall("`cwd` is missing: say in which directory the command runs")
    given = _environment(call.args.get("env", {}))
    passed = {name: variables[name] for name in settings.environment if name in variables}
    return Job(
        argv=_argv(call.args.get("command")),
        cwd=call.cwd,
        environment={**passed, **given},
        seconds=settings.seconds,
        grace_seconds=settings.grace_seconds,
        output_bytes=settings.output_bytes,
        processes=settings.processes,
    )


def _argv(command: object) -> tuple[str, ...]:
    if isinstance(command, str) and command.strip():
        words: tuple[str, ...] = (SHELL, "-c", command)
    elif isinstance(command, list) and command and all(isinstance(word, str) for word in cast("list[object]", command)):
        words = tuple(cast("list[str]", command))
    else:
        raise InvalidCall("`command` must be a text for the shell, or a list of words: a program and its arguments")
    if not words[0] or any("\0" in word for word in words):
        raise InvalidCall("`command` has an empty program or a NUL character, and no program can be started with that")
    return words


def _environment(given: object) -> dict[str, str]:
    if not isinstance(given, dict):
        raise InvalidCall("`env` must be an object of variables")
    found: dict[str, str] = {}
    for name, value in cast("dict[object, object]", given).items():
        if (
            not isinstance(value, str)
            or not isinstance(name, str)
            or not name
            or set(name) & {"=", "\0"}
            or "\0" in value
        ):
            raise InvalidCall(f"`{printable(str(name))}` is no variable: `env` has names and texts")
        found[name] = value
    return found
