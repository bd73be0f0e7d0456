"""Operations on files that a tool is asked for: reads, writes, moves, edits and patches.

Not concerned with what a shell does to files.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import msgspec

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._contents import as_edit
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._paths import place
from guardrail.effects.domain._startup import is_of_machine
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import Stream
from guardrail.effects.keys._blocks import Block, apply_blocks, parse_blocks
from guardrail.effects.keys._edit import apply
from guardrail.effects.keys._patch import FilePatch, parse_patch
from guardrail.effects.shell._interpreter import Interpreter
from guardrail.model import Edit, Op, Resource
from guardrail.parse import FileOperation, Operation, PatchText


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
    return tuple(dict.fromkeys((*readings(name), *(readings(name[2:]) if name[:2] in ("a/", "b/") else ()))))


def _new_lines(text: str, before: bytes | None) -> str:
    """The lines of a text that were not there before."""
    old = frozenset(before.decode("utf-8", "surrogateescape").split("\n")) if before is not None else frozenset[str]()
    return "\n".join(line for line in text.split("\n") if line not in old)


def readings(text: str) -> tuple[str, ...]:
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


class FileOperations:
    """Applies operations on files.

    Args:
        shell: where effects are collected.
        cwd: the call's working directory; None if unknown.
    """

    def __init__(self, shell: Interpreter, cwd: str | None) -> None:
        self.shell = shell
        self.cwd = cwd

    def call(self, name: str, state: State | None = None) -> Call:
        """What says effects in the name of a tool."""
        state = state if state is not None else State((self.cwd,))
        return self.shell.call(name[:200], (), state, state.cwds[0], Stream(), (0, 0))

    def directory(self, cwd: str | None) -> str | None:
        """The directory that a tool was told to work in."""
        if cwd is None:
            return self.cwd
        where = self.place(readings(cwd)[-1] if cwd[:5].lower() == "file:" else cwd)
        # Whatever runs there may look around, and that it runs there at all is worth a word.
        self.shell.emit.add("list", msgspec.structs.replace(where, kind="dir"), spec="tool:cwd")
        return where.path

    def patch(self, operation: PatchText) -> None:
        """The files that a patch changes."""
        cwd = self.directory(operation.cwd)
        blocks = parse_blocks(operation.text) if operation.mode == "blocks" else None
        if blocks is not None:
            self._blocks(operation.path, blocks, cwd)
            return
        changes = _changes(operation)
        if changes is None:
            call = self.call("patch", State((cwd,)))
            call.opaque("unparsed", resource=as_code("patch"), reason="a patch that is not understood")
            call.mention_text(operation.text)
            if operation.path:
                self.file(FileOperation(verb="edit", path=operation.path, cwd=operation.cwd), [])
            return
        for change in changes:
            self._change(change, cwd)
        if operation.mode == "blocks":
            # A patch where blocks belong: for the files that it names, or for the one that the call names.
            self.file(FileOperation(verb="edit", path=operation.path, cwd=operation.cwd), [])

    def _blocks(self, path: str, blocks: Sequence[Block], cwd: str | None) -> None:
        """An edit in blocks, for every way a tool may read the path."""
        places = [self.place(reading, cwd=cwd) for reading in readings(path)]
        edits = [as_edit(apply_blocks(blocks, self._content(there))) for there in places]
        for there, edit in zip(places, edits, strict=True):
            self._write("write", there, "tool:edit", edit)

    def _change(self, change: FilePatch, cwd: str | None) -> None:
        """One file of a patch; a patch that does not fit fails as a whole, and its effects stay possible."""
        for path in _patched(change.path):
            here = self.place(path, cwd=cwd)
            moved = self.place(path, cwd=cwd, nofollow=True)
            if change.op == "delete":
                self.shell.emit.add("delete", moved, spec="tool:patch")
                continue
            after = as_edit(change.apply(None if change.op == "add" else self._content(here)))
            if not change.new_path or change.new_path == change.path:
                self._write("write", here, "tool:patch", after)
                continue
            for target in _patched(change.new_path):
                there = self.place(target, cwd=cwd)
                self.shell.emit.add("rename", moved, there, spec="tool:patch")
                self._write("write", there, "tool:patch", after)

    def _content(self, resource: Resource) -> bytes | None:
        return self.shell.contents.read(resource.path, self.shell.limits.script_bytes) if resource.path else None

    def same_file(self, operations: Sequence[Operation], index: int) -> list[Edit]:
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

    def file(self, operation: FileOperation, edits: Sequence[Edit]) -> None:
        """The operation, for every way a tool may read its path."""
        targets = readings(operation.target) if operation.target is not None else (None,)
        edits = edits or ([operation.edit] if operation.edit is not None else [])
        paths = readings(operation.path)
        cwd = self.directory(operation.cwd)
        # Each reading starts from the same file, so all results come before the first effect.
        results = [self._combined(self.place(path, cwd=cwd), edits) if edits else None for path in paths]
        for path, edit in zip(paths, results, strict=True):
            for target in targets:
                self._one_file(msgspec.structs.replace(operation, path=path, target=target), edit, cwd)

    def _one_file(self, operation: FileOperation, edit: Edit | None, cwd: str | None) -> None:
        spec = f"tool:{operation.verb}"
        emit = self.shell.emit
        verb = operation.verb
        resource = self.place(operation.path, cwd=cwd, recursive=operation.recursive or verb == "copy")
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
            gone = self.place(operation.path, cwd=cwd, recursive=operation.recursive, nofollow=True)
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
            self.call(spec).put_for_later(there, (), news)

    def _matching(self, text: str, cwd: str | None) -> tuple[Resource, ...]:
        """What a path means to a tool that takes patterns: the tree that `**` goes into, or the names that match."""
        if not any(char in text for char in "*?["):
            return ()
        if "**" in text:
            base = text.partition("**")[0].rpartition("/")[0] or ("/" if text.startswith("/") else ".")
            return (self.place(base, cwd=cwd, recursive=True),)
        return (place(text, cwd, glob=text),)

    def _to_target(self, operation: FileOperation, resource: Resource, spec: str, cwd: str | None) -> None:
        """`copy` and `move`."""
        target = self.place(operation.target, cwd=cwd) if operation.target is not None else None
        moved = self.place(operation.path, cwd=cwd, recursive=True, nofollow=True)
        for name in self._names(resource, target):
            if operation.verb == "copy":
                self.shell.emit.add("copy", resource, name, spec=spec)
                self.shell.emit.add("write", name, spec=spec)
            else:
                self.shell.emit.add("rename", moved, name, spec=spec)
            if is_of_machine(name.path or ""):
                self.call(spec).put_for_later(name, (resource,), None)
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

    def place(
        self, text: str, *, cwd: str | Any | None = ..., recursive: bool = False, nofollow: bool = False
    ) -> Resource:
        # A tool may or may not expand `~`; the home directory is where it leads if it does.
        if text.startswith("~/"):
            home = self.shell.expand.environment.get("HOME")
            if home is None:
                return Resource(kind="file", pattern=f"**/{text[2:]}", recursive=recursive, nofollow=nofollow)
            text = home + text[1:]
        return place(text, self.cwd if cwd is ... else cwd, recursive=recursive, nofollow=nofollow)
