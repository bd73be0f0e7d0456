"""The operations of one call, applied one after the other: shell text and code to the interpreter, files directly.

Not concerned with things behind an API, which are in `_remote`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from guardrail.effects._files import FileOperations, readings
from guardrail.effects._remote import api, sql
from guardrail.effects._shells import ShellMemory, directory_left
from guardrail.effects._written import elsewhere, written
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import Code
from guardrail.effects.domain._environment import set_variable
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import GIVEN_NAMES, Field, Value
from guardrail.effects.shell._interpreter import Interpreter
from guardrail.model import Resource
from guardrail.parse import (
    ApiOperation,
    CodeText,
    Command,
    Delegation,
    FileOperation,
    Named,
    Nothing,
    Operation,
    PatchText,
    ShellText,
    SqlText,
    Unmapped,
)
from guardrail.patterns import lazy

MAX_NAME: Final = 512
"""Longest text in the arguments of an unknown tool that may be the name of something elsewhere, in characters."""

_PYTHON: Final = frozenset("python python3 py ipython ipython3 jupyter notebook".split())
_SHELL: Final = frozenset("bash sh shell zsh dash console terminal shell-script".split())
_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "javascript": ("node", "-e"), "js": ("node", "-e"), "node": ("node", "-e"), "nodejs": ("node", "-e"),
    "typescript": ("deno", "eval"), "ts": ("deno", "eval"), "ruby": ("ruby", "-e"), "perl": ("perl", "-e"),
    "php": ("php", "-r"), "r": ("Rscript", "-e"), "lua": ("lua", "-e"), "julia": ("julia", "-e"),
    "powershell": ("pwsh", "-Command"), "pwsh": ("pwsh", "-Command"),
}  # fmt: skip
"""How a program is started that runs a text in a language."""

_CONTROL = lazy(r"[\x00-\x08\x0b-\x1f\x7f]")
_ELSEWHERE = lazy(r"[a-zA-Z][a-zA-Z0-9+.-]*:\S+")
_NAMELIKE = lazy(r"[\w@+.-]+(?:[/:][\w@+.-]+)*")


class Operations(FileOperations):
    """Applies operations one after the other.

    Args:
        shell: where effects are collected.
        cwd: the call's working directory; None if unknown.
        memory: the shell that outlives the call, if one is remembered.
    """

    def __init__(self, shell: Interpreter, cwd: str | None, memory: ShellMemory | None = None) -> None:
        super().__init__(shell, cwd)
        self.memory = memory

    def run(self, operations: Sequence[Operation]) -> None:
        """The effects of all of them, in order."""
        index = 0
        while index < len(operations):
            operation = operations[index]
            if isinstance(operation, FileOperation):
                edits = self.same_file(operations, index)
                self.file(operation, edits)
                index += max(len(edits) - 1, 0)
            else:
                _HANDLERS[type(operation)](self, operation)
            index += 1

    # -- text that runs

    def _state(self, cwd: str | None, env: Sequence[tuple[str, str]], *, persistent: bool) -> State:
        where = self.cwd if cwd is None else self.directory(cwd)
        state = State((None if persistent else where,))
        state.args = None if persistent else ()
        if persistent:
            known = self.memory.start() if self.memory is not None else None
            state = known if known is not None else self._unknown()
        for name, text in env:
            set_variable(self.shell, state, name, Value(alternatives=(text,)))
        return state

    def _unknown(self) -> State:
        """A shell of which nothing is known."""
        state = State((None,))
        state.vars = {name: Value() for name in ("HOME", *GIVEN_NAMES, *self.shell.expand.environment)}
        return state

    def _lost(self, end: State) -> State:
        """The same, but for what it has open, and whose content is in its variables, if it is still there."""
        state = self._unknown()
        state.opened, state.held, state.sinks, state.handed = end.opened, end.held, end.sinks, end.handed
        for name, value in end.vars.items():
            if value.sources:
                state.vars[name] = Value(sources=value.sources, plural=True)
        return state

    def _shell(self, operation: ShellText) -> None:
        state = self._state(operation.cwd, operation.env, persistent=operation.persistent)
        jumps = self.shell.jumps
        ok, bad, _ = self.shell.run_here(operation.text, state)
        if not operation.persistent:
            return
        if self.memory is None:
            if state.functions or state.path != ():
                self.shell.dynamic("a shell that lives on has new meanings for commands", (0, 0))
        elif self.shell.jumps != jumps or self.shell.errexit or self.shell.traps or self.shell.deferred:
            # It may have ended, and another one been started in its place; and a trap runs at times of its own.
            self.memory.leave(self._lost(ok.join(bad)))
        else:
            end = ok.join(bad)
            left = directory_left(operation.text, self.shell.view)
            end.cwds = (left,) if left is not None else end.cwds
            self.memory.leave(end)

    def _command(self, operation: Command) -> None:
        state = self._state(operation.cwd, operation.env, persistent=False)
        call = self.call(operation.words[0], state)
        self.shell.again(call, tuple(Field(text=word) for word in operation.words), external=True)

    def _code(self, operation: CodeText) -> None:
        language, text = operation.language, operation.text
        if language in _PYTHON:
            self._python(operation)
        elif language in _SHELL:
            self._shell(ShellText(text=text, persistent=operation.persistent, cwd=operation.cwd, env=operation.env))
        elif language in _OPTIONS:
            self._command(Command(words=(*_OPTIONS[language], text), cwd=operation.cwd, env=operation.env))
        elif language == "sql":
            self._sql(SqlText(text=text))
        elif language == "":
            self._typed(text)
        else:
            call = self.call(f"code:{language}", self._state(operation.cwd, operation.env, persistent=False))
            call.opaque("inline", reason=f"code in {language[:40]}")
            call.mention_text(text)

    def _python(self, operation: CodeText) -> None:
        """Python, with the lines that a notebook gives to a shell."""
        lines = operation.text.split("\n")
        if lines[0].startswith(("%%bash", "%%sh", "%%script", "%%!", "%%system")):
            rest = "\n".join(lines[1:])
            self._shell(ShellText(text=rest, persistent=operation.persistent, cwd=operation.cwd, env=operation.env))
            return
        for line in lines:
            text = line.strip()
            if text.startswith("!"):
                given = text.lstrip("!")
                self._shell(ShellText(text=given, persistent=operation.persistent, cwd=operation.cwd))
            elif text.startswith("%"):
                call = self.call("notebook")
                call.opaque("inline", reason="a command of the notebook")
                call.mention_text(text)
        code = "\n".join(line for line in lines if not line.strip().startswith(("!", "%")))
        if code.strip():
            self._command(Command(words=("python3", "-c", code), cwd=operation.cwd, env=operation.env))

    def _typed(self, text: str) -> None:
        """Text that is typed into a program that already runs: most often a shell, perhaps another."""
        text = _CONTROL.sub("", text)
        if not text.strip():
            return
        self.shell.dynamic("text is typed into a program that already runs", (0, 0))
        call = self.call("stdin", State((None,)))
        call.mention_text(text)
        self.shell.emit.maybe += 1
        try:
            self._shell(ShellText(text=text, persistent=True))
        finally:
            self.shell.emit.maybe -= 1

    # -- things elsewhere

    def _api(self, operation: ApiOperation) -> None:
        api(self.call(f"api:{operation.op}"), operation, self._places)

    def _sql(self, operation: SqlText) -> None:
        sql(self.call("sql"), operation)

    def _places(self, text: str, recursive: bool) -> tuple[Resource, ...]:
        """The files that a local path may mean."""
        return tuple(self.place(reading, recursive=recursive) for reading in readings(text))

    def _delegation(self, operation: Delegation) -> None:
        self.shell.emit.add("exec", Resource(kind="code", uri=f"agent:{operation.tool}"), spec="tool:agent")

    def _nothing(self, operation: Nothing) -> None:
        """A conversation is not touched by what it says."""

    def _named(self, operation: Named) -> None:
        call = self.call(f"tool:{operation.tool}")
        for text in operation.texts:
            for reading in readings(text):
                call.name_text(reading)

    def _unmapped(self, operation: Unmapped) -> None:
        call = self.call(f"tool:{operation.tool}")
        code: Code = "unparsed" if operation.reason else "program"
        resource = Resource(kind="code", uri=f"tool:{operation.tool}")
        call.opaque(code, resource=resource, reason=operation.reason)
        for text in operation.texts:
            call.mention_text(text)
            if len(text) <= 4096:
                call.name_text(text)
            if len(text) <= MAX_NAME:
                name_elsewhere(call, text)
            for other in written(text):
                call.name_text(other)
                call.mention_text(other)
        self.run(operation.parts)

    # -- patches

    # -- files


_HANDLERS: Final[Mapping[type[Any], Callable[[Operations, Any], None]]] = {
    ShellText: Operations._shell,  # pyright: ignore[reportPrivateUsage]
    CodeText: Operations._code,  # pyright: ignore[reportPrivateUsage]
    Command: Operations._command,  # pyright: ignore[reportPrivateUsage]
    PatchText: Operations.patch,  # pyright: ignore[reportPrivateUsage]
    SqlText: Operations._sql,  # pyright: ignore[reportPrivateUsage]
    ApiOperation: Operations._api,  # pyright: ignore[reportPrivateUsage]
    Delegation: Operations._delegation,  # pyright: ignore[reportPrivateUsage]
    Named: Operations._named,  # pyright: ignore[reportPrivateUsage]
    Nothing: Operations._nothing,  # pyright: ignore[reportPrivateUsage]
    Unmapped: Operations._unmapped,  # pyright: ignore[reportPrivateUsage]
}
"""What applies each kind of operation; a file operation is looked at together with those that follow it."""


def name_elsewhere(call: Call, text: str) -> None:
    """A text that may be the address of a thing, or the name that it goes by there."""
    if _ELSEWHERE.fullmatch(text):
        for named in (Resource(kind="object", uri=text), *elsewhere(text)):
            call.emit("mention", named, precision="opaque", may=True)
    elif ("/" in text or "." in text) and text[0] not in "/." and _NAMELIKE.fullmatch(text):
        call.emit("mention", Resource(kind="object", uri=f"name:{text}"), precision="opaque", may=True)
