"""What was asked for, one record an operation; nothing here says what it would do."""

from __future__ import annotations

from typing import Literal

import msgspec

from guardrail.model import Edit

Verb = Literal["read", "list", "write", "append", "edit", "copy", "move", "delete", "mkdir", "stat"]


class ShellText(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A shell command line.

    Args:
        text: the command line, as a shell would get it.
        persistent: it is typed into a shell that outlives the call, so directory and variables are not known.
        cwd: directory the tool was told to run it in; relative ones are relative to the call's own.
    """

    text: str
    persistent: bool = False
    cwd: str | None = None


class FileOperation(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One thing that a file tool does.

    Args:
        verb: what is done.
        path: the file or directory, as given.
        target: for `copy` and `move`, the new name.
        edit: for `write`, `append` and `edit`, the new content.
        recursive: what lies below is meant too.
    """

    verb: Verb
    path: str
    target: str | None = None
    edit: Edit | None = None
    recursive: bool = False


class Unmapped(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A tool that is not known, or a known one with arguments that are not understood.

    Args:
        tool: its name.
        texts: every string in its arguments, keys included.
        reason: why a known tool is not understood; empty for a tool that is not known at all.
    """

    tool: str
    texts: tuple[str, ...]
    reason: str = ""


Operation = ShellText | FileOperation | Unmapped
"""One thing that a tool call asks for."""
