"""Guardrail in plain Python: `@guarded` on a function, a shell tool, and `subprocess` and others that ask first.

Owned as far as it goes: the guard carries the call out, with the arguments that it judged. It reaches what is called
through here and nothing else; a program that imports `os` itself is confined by other means, or not at all.
A call that needs a person raises `Escalated`; made again once people have approved it, it finds its leave by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import os
import pathlib
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, Unpack, cast

from guardrail import Blocked, ConfigError, Denied, Escalated, ToolCall
from guardrail_adapters._caller import Caller, Options
from guardrail_adapters._guard import require
from guardrail_adapters._host import GuardedPath, Shutil, Subprocess

__all__ = ["Blocked", "Denied", "Escalated", "GuardLike", "Host", "Options", "Session", "guarded", "session", "shell"]

if TYPE_CHECKING:
    from guardrail import Guard
    from guardrail.confine.kernel import Mode

_F = TypeVar("_F", bound=Callable[..., Any])

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class GuardLike(Protocol):
    """The part of `guardrail.Guard` that is used here."""

    def run(self, call: ToolCall, execute: Callable[[ToolCall], Any]) -> Any:
        """`Guard.run`."""
        ...

    async def arun(self, call: ToolCall, execute: Callable[[ToolCall], Any]) -> Any:
        """`Guard.arun`."""
        ...


def guarded(guard: GuardLike, *, tool: str = "", **options: Unpack[Options]) -> Callable[[_F], _F]:
    """Judge every call of a function before it runs, and record what came of it.

    Args:
        guard: what judges and runs it.
        tool: the name under which policy knows it; the function's own by default.
        options: subject, session and cwd.

    Returns:
        A decorator, for plain and for coroutine functions. The function raises `Denied` or `Escalated` instead of
        running, and `InvalidCall` for an argument that could not be judged.

    Raises:
        ConfigError: if `guard` is no guard, or the function takes `*args` or yields.
    """
    require(guard, "run", "arun")
    caller = Caller.of(options)

    def decorate(function: _F) -> _F:
        signature = _signature(function)
        name = tool or function.__name__

        def judged(args: Any, kwargs: Any) -> tuple[ToolCall, Mapping[str, Any]]:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = _spread(signature, bound.arguments)
            return caller.call(name, given), given

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def arun(*args: Any, **kwargs: Any) -> Any:
                call, given = await asyncio.to_thread(judged, args, kwargs)
                return await guard.arun(call, lambda own: _called(function, signature, own.args, given))

            return cast("_F", arun)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            call, given = judged(args, kwargs)
            return guard.run(call, lambda own: _called(function, signature, own.args, given))

        return cast("_F", run)

    return decorate


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(f"`{function.__name__}` yields, so it runs after it was judged: return a list")
    signature = inspect.signature(function)
    if any(part.kind is inspect.Parameter.VAR_POSITIONAL for part in signature.parameters.values()):
        raise ConfigError(f"`{function.__name__}` takes `*args`, which have no names to be judged by: take a list")
    return signature


def _spread(signature: inspect.Signature, bound: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, those of `**kwargs` among them."""
    given: dict[str, Any] = {}
    for name, value in bound.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            given |= value
        else:
            given[name] = value
    return given


def _called(function: Callable[..., Any], signature: inspect.Signature, own: Any, given: Mapping[str, Any]) -> Any:
    """Call it with what was judged: nobody holds these values but us, whatever became of the caller's own."""
    values = {name: _like(given[name], value) for name, value in own.items()}
    positional = [
        values.pop(part.name)
        for part in signature.parameters.values()
        if part.kind in _POSITIONAL and part.name in values
    ]
    return function(*positional, **values)


def _like(given: Any, judged: Any) -> Any:
    """A judged value in the type in which it was given, where JSON has lost it."""
    if isinstance(given, os.PathLike):
        path: Any = given  # pyright: ignore[reportUnknownVariableType]
        return type(path)(judged)
    return tuple(judged) if isinstance(given, tuple) else judged


def shell(guard: Guard, *, confine: Mode | None = None, **options: Unpack[Options]) -> Callable[[str], str]:
    """A shell tool that the guard carries out itself, within its bounds, for any framework that takes functions.

    It is judged when it is called; a framework's own guard before it would judge it twice.

    Args:
        guard: what judges, starts and records.
        confine: how much the kernel holds each command to what it was judged to do; `execute.confine` by default.
        options: subject, session and cwd.

    Returns:
        A function from a command to what it printed, with its exit code if that is not 0. It raises `Denied` or
        `Escalated` instead of running, and `guardrail.confine.JobError` where the command could not be started.
    """
    caller = Caller.of(options)

    def bash(command: str) -> str:
        """Run a command in a shell, and return what it prints."""
        from guardrail.execution import confining, execute

        printed: list[bytes] = []
        call = caller.call("bash", {"command": command})
        with confining(guard, call.cwd, confine, call=call) as held:
            done = execute(guard, call, lambda _, chunk: printed.append(chunk), confinement=held)
        text = b"".join(printed).decode("utf-8", "replace")
        return text if done.ended.exit_code == 0 else f"{text}\n[exit code {done.ended.exit_code}]"

    return bash


class Host:
    """`subprocess`, `shutil` and paths of this host, each of which asks the guard first.

    Args:
        guard: what judges and runs.
        options: subject, session and cwd.
    """

    def __init__(self, guard: GuardLike, **options: Unpack[Options]) -> None:
        caller = Caller.of(options)
        self.subprocess = Subprocess(guard.run, caller)
        """`run`, `check_call` and `check_output`, as in the standard library."""
        self.shutil = Shutil(guard.run, caller)
        """`copy`, `copy2`, `copyfile`, `copytree`, `move` and `rmtree`, as in the standard library."""
        self._run = guard.run
        self._caller = caller

    def path(self, *parts: str | os.PathLike[str]) -> GuardedPath:
        """A path that asks the guard first; it has the methods of `pathlib.Path` that read, write and delete."""
        return GuardedPath(self._run, self._caller, pathlib.Path(*parts))


class Session:
    """One conversation of one agent: its tools have the same subject, session and cwd. Made by `session`.

    Args:
        guard: what judges, runs and keeps what is owed.
        options: subject, session and cwd.
    """

    def __init__(self, guard: Guard, options: Options) -> None:
        self._guard = guard
        self._options = options
        self.host = Host(guard, **options)
        """Parts of the standard library that ask first; see `Host`."""

    def guarded(self, *, tool: str = "") -> Callable[[_F], _F]:
        """`guarded`, in this conversation."""
        return guarded(self._guard, tool=tool, **self._options)

    def shell(self, *, confine: Mode | None = None) -> Callable[[str], str]:
        """`shell`, in this conversation."""
        return shell(self._guard, confine=confine, **self._options)


@contextlib.contextmanager
def session(guard: Guard, **options: Unpack[Options]) -> Generator[Session]:
    """What an agent owes is taken up before the block, and looked at after it, however it ends: doing nothing is seen.

    Args:
        guard: what judges, runs and keeps what is owed.
        options: subject, session and cwd.

    Yields:
        The conversation, with the tools of this module.

    Raises:
        TrailError: if the trail cannot take the records.
        Fault: if what is owed cannot be kept.
    """
    require(guard, "run", "arun", "session")
    caller = Caller.of(options)
    with guard.session(caller.subject, session=caller.session):
        yield Session(guard, options)
