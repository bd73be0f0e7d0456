"""The operations of one call, applied one after the other: shell text and code to the interpreter, files directly.

Not concerned with things behind an API, which are in `_remote`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from guardrail.effects._remote import api, sql
from guardrail.effects._shells import ShellMemory, directory_left
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._contents import as_edit
from guardrail.effects.domain._emit import Code, as_code
from guardrail.effects.domain._environment import set_variable
from guardrail.effects.domain._paths import place
from guardrail.effects.domain._startup import is_of_machine
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import GIVEN_NAMES, Field, Stream, Value
from guardrail.effects.keys._blocks import Block, apply_blocks, parse_blocks
from guardrail.effects.keys._edit import apply
from guardrail.effects.keys._patch import FilePatch, parse_patch
from guardrail.effects.shell._interpreter import Interpreter
from guardrail.model import Edit, Op, Resource
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


class Operations:
    """Applies operations one after the other.

    Args:
        shell: where effects are collected.
        cwd: the call's working directory; None if unknown.
        memory: the shell that outlives the call, if one is remembered.
    """

    def __init__(self, shell: Interpreter, cwd: str | None, memory: ShellMemory | None = None) -> None:
        self.shell = shell
        self.cwd = cwd
        self.memory = memory

    def run(self, operations: Sequence[Operation]) -> None:
        """The effects of all of them, in order."""
        index = 0
        while index < len(operations):
            operation = operations[index]
            if isinstance(operation, FileOperation):
                edits = self._same_file(operations, index)
                self._file(operation, edits)
                index += max(len(edits) - 1, 0)
            else:
                _HANDLERS[type(operation)](self, operation)
            index += 1

    # -- text that runs

    def _directory(self, cwd: str | None) -> str | None:
        """The directory that a tool was told to work in."""
        if cwd is None:
            return self.cwd
        where = self._place(_readings(cwd)[-1] if cwd[:5].lower() == "file:" else cwd)
        # Whatever runs there may look around, and that it runs there at all is worth a word.
        self.shell.emit.add("list", msgspec.structs.replace(where, kind="dir"), spec="tool:cwd")
        return where.path

    def _state(self, cwd: str | None, env: Sequence[tuple[str, str]], *, persistent: bool) -> State:
        where = self.cwd if cwd is None else self._directory(cwd)
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

    def _call(self, name: str, state: State | None = None) -> Call:
        state = state if state is not None else State((self.cwd,))
        return self.shell.call(name[:200], (), state, state.cwds[0], Stream(), (0, 0))

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
        call = self._call(operation.words[0], state)
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
            call = self._call(f"code:{language}", self._state(operation.cwd, operation.env, persistent=False))
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
                call = self._call("notebook")
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
        call = self._call("stdin", State((None,)))
        call.mention_text(text)
        self.shell.emit.maybe += 1
        try:
            self._shell(ShellText(text=text, persistent=True))
        finally:
            self.shell.emit.maybe -= 1

    # -- things elsewhere

    def _api(self, operation: ApiOperation) -> None:
        api(self._call(f"api:{operation.op}"), operation, self._places)

    def _sql(self, operation: SqlText) -> None:
        sql(self._call("sql"), operation)

    def _places(self, text: str, recursive: bool) -> tuple[Resource, ...]:
        """The files that a local path may mean."""
        return tuple(self._place(reading, recursive=recursive) for reading in _readings(text))

    def _delegation(self, operation: Delegation) -> None:
        self.shell.emit.add("exec", Resource(kind="code", uri=f"agent:{operation.tool}"), spec="tool:agent")

    def _nothing(self, operation: Nothing) -> None:
        """A conversation is not touched by what it says."""

    def _named(self, operation: Named) -> None:
        call = self._call(f"tool:{operation.tool}")
        for text in operation.texts:
            for reading in _readings(text):
                call.name_text(reading)

    def _unmapped(self, operation: Unmapped) -> None:
        call = self._call(f"tool:{operation.tool}")
        code: Code = "unparsed" if operation.reason else "program"
        resource = Resource(kind="code", uri=f"tool:{operation.tool}")
        call.opaque(code, resource=resource, reason=operation.reason)
        for text in operation.texts:
            call.mention_text(text)
            if len(text) <= 4096:
                call.name_text(text)
            if len(text) <= MAX_NAME:
                name_elsewhere(call, text)
        self.run(operation.parts)

    # -- patches

    def _patch(self, operation: PatchText) -> None:
        cwd = self._directory(operation.cwd)
        blocks = parse_blocks(operation.text) if operation.mode == "blocks" else None
        if blocks is not None:
            self._blocks(operation.path, blocks, cwd)
            return
        changes = _changes(operation)
        if changes is None:
            call = self._call("patch", self._state(operation.cwd, (), persistent=False))
            call.opaque("unparsed", resource=as_code("patch"), reason="a patch that is not understood")
            call.mention_text(operation.text)
            if operation.path:
                self._file(FileOperation(verb="edit", path=operation.path, cwd=operation.cwd), [])
            return
        for change in changes:
            self._change(change, cwd)
        if operation.mode == "blocks":
            # A patch where blocks belong: for the files that it names, or for the one that the call names.
            self._file(FileOperation(verb="edit", path=operation.path, cwd=operation.cwd), [])

    def _blocks(self, path: str, blocks: Sequence[Block], cwd: str | None) -> None:
        """An edit in blocks, for every way a tool may read the path."""
        places = [self._place(reading, cwd=cwd) for reading in _readings(path)]
        edits = [as_edit(apply_blocks(blocks, self._content(there))) for there in places]
        for there, edit in zip(places, edits, strict=True):
            self._write("write", there, "tool:edit", edit)

    def _change(self, change: FilePatch, cwd: str | None) -> None:
        """One file of a patch; a patch that does not fit fails as a whole, and its effects stay possible."""
        for path in _patched(change.path):
            here = self._place(path, cwd=cwd)
            moved = self._place(path, cwd=cwd, nofollow=True)
            if change.op == "delete":
                self.shell.emit.add("delete", moved, spec="tool:patch")
                continue
            after = as_edit(change.apply(None if change.op == "add" else self._content(here)))
            if not change.new_path or change.new_path == change.path:
                self._write("write", here, "tool:patch", after)
                continue
            for target in _patched(change.new_path):
                there = self._place(target, cwd=cwd)
                self.shell.emit.add("rename", moved, there, spec="tool:patch")
                self._write("write", there, "tool:patch", after)

    def _content(self, resource: Resource) -> bytes | None:
        return self.shell.contents.read(resource.path, self.shell.limits.script_bytes) if resource.path else None

    # -- files

    def _same_file(self, operations: Sequence[Operation], index: int) -> list[Edit]:
        """The edits of one call to one file, which build on each other."""
        first = operations[index]
        edits: list[Edit] = []
        for operation in operations[index:]:
            if not isinstance(operation, FileOperation) or not isinstance(first, FileOperation):
                break
            if operation.verb != "edit" or operation.path != first.path or operation.edit is None:
                break
            edits.append(operation.edit)
        return edits

    def _combined(self, resource: Resource, edits: Sequence[Edit]) -> Edit | None:
        """Edits that build on each other, as the one that gives the file its last content."""
        if len(edits) == 1 and edits[0].kind == "whole":
            return edits[0]
        data = self._content(resource)
        if data is None and resource.path is not None and edits[0].kind == "append":
            data = b"" if self.shell.contents.missing(resource.path) else None
        for edit in edits:
            data = apply(edit, data) if data is not None else None
        return as_edit(data)

    def _file(self, operation: FileOperation, edits: Sequence[Edit]) -> None:
        """The operation, for every way a tool may read its path."""
        targets = _readings(operation.target) if operation.target is not None else (None,)
        edits = edits or ([operation.edit] if operation.edit is not None else [])
        paths = _readings(operation.path)
        cwd = self._directory(operation.cwd)
        # Each reading starts from the same file, so all results come before the first effect.
        results = [self._combined(self._place(path, cwd=cwd), edits) if edits else None for path in paths]
        for path, edit in zip(paths, results, strict=True):
            for target in targets:
                self._one_file(msgspec.structs.replace(operation, path=path, target=target), edit, cwd)

    def _one_file(self, operation: FileOperation, edit: Edit | None, cwd: str | None) -> None:
        spec = f"tool:{operation.verb}"
        emit = self.shell.emit
        verb = operation.verb
        resource = self._place(operation.path, cwd=cwd, recursive=operation.recursive or verb == "copy")
        if verb in ("read", "list", "stat"):
            for looked in (resource, *self._matching(operation.path, cwd)):
                if verb == "read":
                    emit.add("read", looked, spec=spec, attrs={"reveals": "content"})
                else:
                    emit.add("list", looked, spec=spec)
        elif verb in ("write", "edit", "append"):
            self._write("append" if verb == "append" else "write", resource, spec, edit)
        elif verb == "mkdir":
            emit.add("create", msgspec.structs.replace(resource, kind="dir"), spec=spec)
        elif verb == "delete":
            gone = self._place(operation.path, cwd=cwd, recursive=operation.recursive, nofollow=True)
            emit.add("delete", gone, spec=spec)
        else:
            self._to_target(operation, resource, spec, cwd)

    def _write(self, op: Op, there: Resource, spec: str, edit: Edit | None) -> None:
        """A file gets a new content; of one that is run later, what is new in it is judged now."""
        news = None
        if edit is not None and there.path is not None and is_of_machine(there.path):
            before = self._content(there) if edit.kind == "whole" else None
            news = msgspec.structs.replace(edit, text=_new_lines(edit.text, before))
        self.shell.emit.add(op, there, spec=spec, edit=edit)
        if news is not None:
            self._call(spec).put_for_later(there, (), news)

    def _matching(self, text: str, cwd: str | None) -> tuple[Resource, ...]:
        """What a path means to a tool that takes patterns: the tree that `**` goes into, or the names that match."""
        if not any(char in text for char in "*?["):
            return ()
        if "**" in text:
            base = text.partition("**")[0].rpartition("/")[0] or ("/" if text.startswith("/") else ".")
            return (self._place(base, cwd=cwd, recursive=True),)
        return (place(text, cwd, glob=text),)

    def _to_target(self, operation: FileOperation, resource: Resource, spec: str, cwd: str | None) -> None:
        """`copy` and `move`."""
        target = self._place(operation.target, cwd=cwd) if operation.target is not None else None
        moved = self._place(operation.path, cwd=cwd, recursive=True, nofollow=True)
        for name in self._names(resource, target):
            if operation.verb == "copy":
                self.shell.emit.add("copy", resource, name, spec=spec)
                self.shell.emit.add("write", name, spec=spec)
            else:
                self.shell.emit.add("rename", moved, name, spec=spec)
            if is_of_machine(name.path or ""):
                self._call(spec).put_for_later(name, (resource,), None)
            if operation.verb == "copy":
                continue
            if name.path is not None and self.shell.view.kind(name.path) == "file":
                self.shell.emit.add("write", name, spec=spec)

    def _names(self, source: Resource, target: Resource | None) -> tuple[Resource, ...]:
        """Tools that copy and move differ on whether a directory is gone into: then both names count."""
        if target is None:
            return (Resource(kind="any", pattern="**"),)
        if target.path is None or self.shell.view.kind(target.path) != "dir":
            return (target,)
        name = posixpath.basename((source.path or "").rstrip("/")) or "**"
        inside = (
            place(f"{target.path.rstrip('/')}/{name}", None)
            if name != "**"
            else Resource(kind="any", pattern=f"{target.path.rstrip('/')}/**")
        )
        return (target, inside)

    def _place(
        self, text: str, *, cwd: str | Any | None = ..., recursive: bool = False, nofollow: bool = False
    ) -> Resource:
        # A tool may or may not expand `~`; the home directory is where it leads if it does.
        if text.startswith("~/"):
            home = self.shell.expand.environment.get("HOME")
            if home is None:
                return Resource(kind="file", pattern=f"**/{text[2:]}", recursive=recursive, nofollow=nofollow)
            text = home + text[1:]
        return place(text, self.cwd if cwd is ... else cwd, recursive=recursive, nofollow=nofollow)


_HANDLERS: Final[Mapping[type[Any], Callable[[Operations, Any], None]]] = {
    ShellText: Operations._shell,  # pyright: ignore[reportPrivateUsage]
    CodeText: Operations._code,  # pyright: ignore[reportPrivateUsage]
    Command: Operations._command,  # pyright: ignore[reportPrivateUsage]
    PatchText: Operations._patch,  # pyright: ignore[reportPrivateUsage]
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
        call.emit("mention", Resource(kind="object", uri=text), precision="opaque", may=True)
    elif ("/" in text or "." in text) and text[0] not in "/." and _NAMELIKE.fullmatch(text):
        call.emit("mention", Resource(kind="object", uri=f"name:{text}"), precision="opaque", may=True)


def _changes(operation: PatchText) -> tuple[FilePatch, ...] | None:
    """What a patch does to each file; hunks without names get those that the call gives beside them."""
    if operation.mode in ("envelope", "blocks"):
        return parse_patch(operation.text)
    kind = {"add": "Add", "update": "Update", "delete": "Delete"}[operation.mode]
    if any("\n" in name for name in (operation.path, operation.target or "")):
        return None
    head = [f"*** {kind} File: {operation.path}"]
    if operation.target:
        head.append(f"*** Move to: {operation.target}")
    body = [] if operation.mode == "delete" else operation.text.rstrip("\n").split("\n")
    return parse_patch("\n".join(("*** Begin Patch", *head, *body, "*** End Patch", "")))


def _patched(name: str) -> tuple[str, ...]:
    """The files that a name in a patch may mean: a unified diff puts `a/` and `b/` before them."""
    return tuple(dict.fromkeys((*_readings(name), *(_readings(name[2:]) if name[:2] in ("a/", "b/") else ()))))


def _new_lines(text: str, before: bytes | None) -> str:
    """The lines of a text that were not there before."""
    old = frozenset(before.decode("utf-8", "surrogateescape").split("\n")) if before is not None else frozenset[str]()
    return "\n".join(line for line in text.split("\n") if line not in old)


def _readings(text: str) -> tuple[str, ...]:
    """A path as it stands, and what a tool makes of it that takes URLs, trims blanks or folds `..` as text."""
    found = [text, text.strip() or text]
    if text.strip()[:5].lower() == "file:":
        rest = text.strip()[5:]
        if rest.startswith("//"):
            rest = "/" + rest[2:].lstrip("/") if rest.startswith("///") else "/" + rest[2:].partition("/")[2]
        found.append(unquote(rest, errors="surrogateescape") or "/")
    parts = text.split("/")
    if ".." in parts[next((i for i, part in enumerate(parts) if part not in ("..", ".", "")), len(parts)) :]:
        found.append(posixpath.normpath(text))
    return tuple(dict.fromkeys(found))
