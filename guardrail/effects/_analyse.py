"""Operations of one call -> its effects; the one entry of this package."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

import msgspec

from guardrail.config import LimitConfig
from guardrail.effects.domain._contents import as_edit
from guardrail.effects.domain._emit import Bound, Code, as_code
from guardrail.effects.domain._paths import place
from guardrail.effects.domain._values import State, Stream, Value
from guardrail.effects.domain._view import FileView
from guardrail.effects.keys._edit import apply
from guardrail.effects.shell._interpreter import Interpreter
from guardrail.model import Edit, Effect, Origin, Resource
from guardrail.parse import FileOperation, Operation, ShellText, Unmapped

_NO_VARIABLES: Mapping[str, str] = {}


def analyse(
    operations: Sequence[Operation],
    *,
    cwd: str | None,
    view: FileView,
    limits: LimitConfig,
    variables: Mapping[str, str] = _NO_VARIABLES,
) -> tuple[Effect, ...]:
    """Work out what operations would do.

    Args:
        operations: what the call asks for.
        cwd: its absolute working directory; None if unknown, and then no relative path is known.
        view: the live filesystem.
        limits: bounds; at a bound one `exec_opaque` effect with code `unparsed` is added.
        variables: environment variables known to hold; all others are unknown.

    Returns:
        The effects, in order. Nothing at all means that the call provably touches nothing. Never raises for odd input.
    """
    shell = Interpreter(view, limits, variables, cwd)
    try:
        _Operations(shell, cwd).run(operations)
        shell.finish()
    except (Bound, RecursionError) as bound:
        _over(shell, str(bound) if isinstance(bound, Bound) else "nested too deep", cwd)
    return tuple(shell.emit.effects)


def _over(shell: Interpreter, reason: str, cwd: str | None) -> None:
    """The rest is not analysed: it may be anything, anywhere."""
    attrs = {"code": "unparsed", "reason": reason, "bound": True}
    shell.emit.effects.append(
        Effect(
            op="exec_opaque",
            resource=as_code("shell"),
            attrs=attrs,
            precision="opaque",
            origin=Origin(spec="limits"),
        )
    )
    here = Resource(kind="dir", path=cwd) if cwd is not None else Resource(kind="any", pattern="**")
    shell.emit.effects.append(
        Effect(op="mention", resource=here, modality="may", precision="opaque", origin=Origin(spec="limits"))
    )


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


class _Operations:
    """Applies operations one after the other."""

    def __init__(self, shell: Interpreter, cwd: str | None) -> None:
        self.shell = shell
        self.cwd = cwd

    def run(self, operations: Sequence[Operation]) -> None:
        index = 0
        while index < len(operations):
            operation = operations[index]
            if isinstance(operation, ShellText):
                self._shell(operation)
            elif isinstance(operation, Unmapped):
                self._unmapped(operation)
            else:
                edits = self._same_file(operations, index)
                self._file(operation, edits)
                index += max(len(edits) - 1, 0)
            index += 1

    def _shell(self, operation: ShellText) -> None:
        cwd = self.cwd
        if operation.cwd is not None:
            cwd = place(operation.cwd, self.cwd).path if not operation.cwd.startswith("~") else None
        state = State((None if operation.persistent else cwd,))
        if operation.persistent:
            state.vars = {name: Value() for name in ("HOME", *self.shell.expand.environment)}
        self.shell.run_text(operation.text, state)
        if operation.persistent and (state.functions or state.path != ()):
            self.shell.dynamic("a shell that lives on has new meanings for commands", (0, 0))

    def _unmapped(self, operation: Unmapped) -> None:
        call = self.shell.call(f"tool:{operation.tool}"[:200], (), State((self.cwd,)), self.cwd, Stream(), (0, 0))
        code: Code = "unparsed" if operation.reason else "program"
        resource = Resource(kind="code", uri=f"tool:{operation.tool}")
        call.opaque(code, resource=resource, reason=operation.reason)
        for text in operation.texts:
            call.mention_text(text)
            if len(text) <= 4096:
                call.name_text(text)

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
        data = self.shell.contents.read(resource.path, self.shell.limits.script_bytes) if resource.path else None
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
        # Each reading starts from the same file, so all results come before the first effect.
        results = [self._combined(self._place(path), edits) if edits else None for path in paths]
        for path, edit in zip(paths, results, strict=True):
            for target in targets:
                self._one_file(msgspec.structs.replace(operation, path=path, target=target), edit)

    def _one_file(self, operation: FileOperation, edit: Edit | None) -> None:
        spec = f"tool:{operation.verb}"
        emit = self.shell.emit
        verb = operation.verb
        resource = self._place(operation.path, recursive=operation.recursive or verb == "copy")
        if verb == "read":
            emit.add("read", resource, spec=spec, attrs={"reveals": "content"})
        elif verb in ("list", "stat"):
            emit.add("list", resource, spec=spec)
        elif verb == "write":
            emit.add("write", resource, spec=spec, edit=edit)
        elif verb == "append":
            emit.add("append", resource, spec=spec, edit=edit)
        elif verb == "edit":
            emit.add("write", resource, spec=spec, edit=edit)
        elif verb == "mkdir":
            emit.add("create", msgspec.structs.replace(resource, kind="dir"), spec=spec)
        elif verb == "delete":
            gone = self._place(operation.path, recursive=operation.recursive, nofollow=True)
            emit.add("delete", gone, spec=spec)
        else:
            self._to_target(operation, resource, spec)

    def _to_target(self, operation: FileOperation, resource: Resource, spec: str) -> None:
        """`copy` and `move`."""
        target = self._place(operation.target) if operation.target is not None else None
        moved = self._place(operation.path, recursive=True, nofollow=True)
        for name in self._names(resource, target):
            if operation.verb == "copy":
                self.shell.emit.add("copy", resource, name, spec=spec)
                self.shell.emit.add("write", name, spec=spec)
                continue
            self.shell.emit.add("rename", moved, name, spec=spec)
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

    def _place(self, text: str, *, recursive: bool = False, nofollow: bool = False) -> Resource:
        # A tool may or may not expand `~`; the home directory is where it leads if it does.
        if text.startswith("~/"):
            home = self.shell.expand.environment.get("HOME")
            if home is None:
                return Resource(kind="file", pattern=f"**/{text[2:]}", recursive=recursive, nofollow=nofollow)
            text = home + text[1:]
        return place(text, self.cwd, recursive=recursive, nofollow=nofollow)
