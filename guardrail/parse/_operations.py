"""What was asked for, one record an operation; nothing here says what it would do."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from guardrail.model import Edit, Kind, Op

Verb = Literal["read", "list", "write", "append", "edit", "copy", "move", "delete", "mkdir", "stat"]


class ShellText(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A shell command line.

    Args:
        text: the command line, as a shell would get it.
        persistent: it is typed into a shell that outlives the call, so directory and variables are not known.
        cwd: directory the tool was told to run it in; relative ones are relative to the call's own.
        env: variables that the tool was told to set for it.
    """

    text: str
    persistent: bool = False
    cwd: str | None = None
    env: tuple[tuple[str, str], ...] = ()


class CodeText(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Source text for an interpreter.

    Args:
        language: its name, in small letters; empty if only the running program knows.
        text: the source.
        persistent: the interpreter outlives the call, so what its names mean is not known.
        cwd: as for `ShellText`.
        env: as for `ShellText`.
    """

    language: str
    text: str
    persistent: bool = False
    cwd: str | None = None
    env: tuple[tuple[str, str], ...] = ()


class Command(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A program with its arguments, and no shell between.

    Args:
        words: the program's name and its arguments, as they stand.
        cwd: as for `ShellText`.
        env: as for `ShellText`.
    """

    words: tuple[str, ...]
    cwd: str | None = None
    env: tuple[tuple[str, str], ...] = ()


class PatchText(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Changes of files, written as a patch.

    Args:
        text: a whole patch, or for one file its hunks.
        mode: `envelope` when the patch itself names its files, `blocks` for lines to search in `path` and their
            replacements, else what is done to `path`.
        path: the file, where the patch does not name it.
        target: its new name, if it also gets one.
        cwd: as for `ShellText`.
    """

    text: str
    mode: Literal["envelope", "add", "update", "delete", "blocks"] = "envelope"
    path: str = ""
    target: str | None = None
    cwd: str | None = None


class SqlText(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Statements for a database.

    Args:
        text: the statements.
        uri: the database, such as `sql:postgres`.
    """

    text: str
    uri: str = "sql:*"


class FileOperation(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One thing that a file tool does.

    Args:
        verb: what is done.
        path: the file or directory, as given.
        target: for `copy` and `move`, the new name.
        edit: for `write`, `append` and `edit`, the new content; a replacement of nothing is text put somewhere.
        recursive: what lies below is meant too.
        cwd: directory that the path is relative to, if the tool was told one.
    """

    verb: Verb
    path: str
    target: str | None = None
    edit: Edit | None = None
    recursive: bool = False
    cwd: str | None = None


class ApiOperation(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One thing done to what is no local file: on a host, a hub, a cluster, an account.

    Args:
        op: what is done, in the words of effects.
        uri: to what; `*` in it is any text.
        kind: what sort of thing; empty to take it from the scheme.
        to: the other side of a copy, a move or an upload.
        paths: local files or directories that are read and sent along.
        into: local files or directories that are written with what comes back.
        text: content that is sent or stored.
        mention: text that is carried out elsewhere.
        facts: what rules may want to know.
    """

    op: Op
    uri: str
    kind: Kind | Literal[""] = ""
    to: str | None = None
    paths: tuple[str, ...] = ()
    into: tuple[str, ...] = ()
    text: str | None = None
    mention: tuple[str, ...] = ()
    facts: dict[str, Any] = {}


class Delegation(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Work handed to another agent, whose own calls are judged when it makes them."""

    tool: str
    text: str = ""


class Named(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Paths in arguments of a known tool that should have none: what is done to them is not known."""

    tool: str
    texts: tuple[str, ...]


class Nothing(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A tool that touches nothing outside the conversation."""

    tool: str


class Unmapped(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A tool that is not known, or a known one with arguments that are not understood.

    Args:
        tool: its name.
        texts: every string in its arguments, keys included.
        reason: why a known tool is not understood; empty for a tool that is not known at all.
        parts: what was understood of it, which it does besides what was not.
    """

    tool: str
    texts: tuple[str, ...]
    reason: str = ""
    parts: tuple[Operation, ...] = ()


Operation = (
    ShellText | CodeText | Command | PatchText | SqlText | FileOperation | ApiOperation | Delegation | Named | Nothing
    | Unmapped
)  # fmt: skip
"""One thing that a tool call asks for."""


def describe(operation: Operation) -> str:
    """An operation in one line, as the examples of `[[tool]]` have it."""
    return _described(operation).strip().replace("\n", "\\n")


def _described(operation: Operation) -> str:
    match operation:
        case ShellText():
            return f"shell {operation.text}"
        case CodeText():
            return f"code {operation.language or '?'} {operation.text}"
        case Command():
            return f"run {' '.join(operation.words)}"
        case PatchText():
            return f"patch {operation.mode} {operation.path}".rstrip()
        case SqlText():
            return f"sql {operation.text}"
        case FileOperation():
            return f"{operation.verb} {operation.path}" + _arrow(operation.target)
        case ApiOperation():
            moved = [f"send {path}" for path in operation.paths] + [f"save {path}" for path in operation.into]
            return ", ".join((f"{operation.op} {operation.uri}{_arrow(operation.to)}", *moved))
        case Delegation():
            return "agent"
        case Named():
            return f"named {' '.join(operation.texts)}"
        case Nothing():
            return "nothing"
        case Unmapped():
            return "unmapped"


def _arrow(target: str | None) -> str:
    return f" -> {target}" if target is not None else ""
