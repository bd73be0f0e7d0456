"""Tool names and arguments -> operations; the mapping itself is data, in `tools.toml`.

Not concerned with what an operation does. A tool that is not listed, or a listed one with a missing, ill-typed or
unknown argument, becomes `Unmapped` with every string in its arguments: it is never left out and never guessed at.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeGuard

import msgspec

from guardrail.model import Edit, ToolCall
from guardrail.parse._operations import FileOperation, Operation, ShellText, Unmapped, Verb

_CODE_TOOL: Final = frozenset(
    "bash shell sh zsh powershell python terminal repl exec interpreter notebook jupyter".split()
)
_CODE_ARGUMENT: Final = frozenset("command commands cmd cmdline code script shell bash source_code python".split())

MAX_TEXTS: Final = 4096
"""Most strings taken from the arguments of a tool that is not understood."""


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of `tools.toml`: argument names for each part; of several names exactly one must be given.

    Args:
        names: the tool's names; `mcp__SERVER__NAME` is looked up as `NAME` for servers in `servers`.
        verb: `shell`, or what a file tool does.
        when: arguments that must have these values for the entry to apply.
        text: shell text (for `shell`), or new content.
        path: the file; a list of strings gives one operation for each.
        target: the new name, for copy and move.
        old: the text that an edit replaces.
        all: the flag that makes an edit replace every occurrence.
        edits: a list of edits, each with `old` and `text`.
        append: the flag that turns a write into an append.
        cwd: the directory for a shell tool, or the default path for a listing.
        default: path to use when none is given.
        recursive: what lies below the path is meant too.
        persistent: a shell that outlives the call.
        ignore: arguments that change nothing we look at.
    """

    names: tuple[str, ...]
    verb: Literal["shell"] | Verb
    when: dict[str, str] = {}
    text: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    old: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    edits: str = ""
    append: str = ""
    cwd: tuple[str, ...] = ()
    default: str = ""
    recursive: bool = False
    persistent: bool = False
    ignore: tuple[str, ...] = ()


class _ToolFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    servers: tuple[str, ...]
    tool: tuple[ToolSpec, ...]


class _Mismatch(Exception):
    """The arguments are not those of the entry."""


def parse(call: ToolCall) -> tuple[Operation, ...]:
    """What a tool call asks for.

    Args:
        call: the call; its arguments may be anything JSON can hold.

    Returns:
        Its operations, never none: what is not understood is `Unmapped`. Never raises for odd arguments.
    """
    specs, servers = _table()
    name = call.tool
    if name.startswith("mcp__"):
        _, _, rest = name.partition("__")
        server, _, short = rest.partition("__")
        name = short if server in servers else name
    entries = specs.get(name) or specs.get(_plain_name(name))
    if entries is None:
        reason = "a tool that may run code" if _names_code(name, call.args) else ""
        return (Unmapped(tool=call.tool, texts=_texts(call.args), reason=reason),)
    reason = "no known form of this tool"
    for entry in entries:
        if all(call.args.get(key) == value for key, value in entry.when.items()):
            try:
                return _Reader(entry, call.args).operations()
            except _Mismatch as mismatch:
                reason = str(mismatch)
    return (Unmapped(tool=call.tool, texts=_texts(call.args), reason=reason),)


def _plain_name(name: str) -> str:
    """`Run-Bash` and `run.bash` are `run_bash`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower())


def _names_code(name: str, args: Any) -> bool:
    """The tool's name, or the name of one of its arguments, says that it runs code."""
    if not _CODE_TOOL.isdisjoint(_plain_name(name).split("_")):
        return True
    return any(_plain_name(key) in _CODE_ARGUMENT for key in _keys(args))


def _keys(value: Any) -> Iterator[str]:
    if _is_table(value):
        for key, item in value.items():
            yield str(key)
            yield from _keys(item)
    elif _is_list(value):
        for item in value:
            yield from _keys(item)


class _Reader:
    """Takes the arguments apart; whatever is left over at the end is a mismatch."""

    def __init__(self, spec: ToolSpec, args: Mapping[str, Any]) -> None:
        self.spec = spec
        self.args = args
        self.used: set[str] = {*spec.when, *spec.ignore}

    def operations(self) -> tuple[Operation, ...]:
        found = self._shell() if self.spec.verb == "shell" else self._files(self.spec.verb)
        for name in self.spec.ignore:
            if isinstance(self.args.get(name), dict):
                raise _Mismatch(f"argument {name} is not understood")
        extra = set(self.args) - self.used
        if extra:
            raise _Mismatch(f"argument {min(extra)} is not understood")
        return found

    def _shell(self) -> tuple[Operation, ...]:
        value = self._value(self.spec.text)
        cwd = self._string(self.spec.cwd, optional=True)
        persistent = self.spec.persistent
        if isinstance(value, str):
            return (ShellText(text=value, persistent=persistent, cwd=cwd),)
        texts = _strings_only(value)
        if texts:
            lines = self._commands(texts)
            if len(lines) > 1:
                lines = ["\n".join(lines), *lines]  # one shell for all of them, or one for each
            return tuple(ShellText(text=item, persistent=persistent, cwd=cwd) for item in lines)
        raise _Mismatch("the command is not text")

    def _commands(self, value: list[str]) -> list[str]:
        """`commands` is a list of command lines, `command` as a list is one argument vector."""
        return value if "commands" in self.args else [shlex.join(value)]

    def _files(self, verb: Verb) -> tuple[Operation, ...]:
        spec = self.spec
        paths = self._paths()
        target = self._string(spec.target) if spec.target else None
        edits = self._edits(verb)
        if spec.append and self._flag((spec.append,)) and edits[0] is not None:
            verb, edits = "append", [Edit(kind="append", text=edits[0].text)]
        return tuple(
            FileOperation(verb=verb, path=path, target=target, edit=edit, recursive=spec.recursive)
            for path in paths
            for edit in edits
        )

    def _paths(self) -> list[str]:
        if self.spec.default and not any(name in self.args for name in self.spec.path):
            return [self.spec.default]
        value = self._value(self.spec.path)
        values = [value] if isinstance(value, str) else _strings_only(value)
        if not values or not all(item and "\0" not in item for item in values):
            raise _Mismatch("the path is not text")
        return values

    def _edits(self, verb: Verb) -> list[Edit | None]:
        spec = self.spec
        if spec.edits:
            items = self._value((spec.edits,))
            if not _is_list(items) or not items:
                raise _Mismatch("the edits are not a list")
            return [self._one_edit(item) for item in items]
        if not spec.text:
            return [None]
        text = self._string(spec.text) or ""
        if spec.old:
            old = self._string(spec.old) or ""
            return [Edit(kind="replace", text=text, old=old, all=self._flag(spec.all))]
        return [Edit(kind="append" if verb == "append" else "whole", text=text)]

    def _one_edit(self, fields: Any) -> Edit:
        if not _is_table(fields):
            raise _Mismatch("an edit is not an object")
        old = next((fields[name] for name in self.spec.old if name in fields), None)
        text = next((fields[name] for name in self.spec.text if name in fields), None)
        if not isinstance(old, str) or not isinstance(text, str) or len(fields) != 2:
            raise _Mismatch("an edit has other fields than the old and the new text")
        return Edit(kind="replace", text=text, old=old)

    def _value(self, names: tuple[str, ...]) -> Any:
        given = [name for name in names if name in self.args]
        if len(given) != 1:
            raise _Mismatch(f"exactly one of {', '.join(names)} is needed")
        self.used.add(given[0])
        return self.args[given[0]]

    def _string(self, names: tuple[str, ...], *, optional: bool = False) -> str | None:
        if optional and not any(self.args.get(name) is not None for name in names):
            self.used.update(names)
            return None
        value = self._value(names)
        if not isinstance(value, str):
            raise _Mismatch(f"{names[0]} is not text")
        return value

    def _flag(self, names: tuple[str, ...]) -> bool:
        self.used.update(names)
        values = [self.args[name] for name in names if name in self.args]
        if any(value is not None and not isinstance(value, bool) for value in values):
            raise _Mismatch(f"{names[0]} is neither true nor false")
        return any(values)


def _texts(value: Any) -> tuple[str, ...]:
    """Every string in the arguments; at the bound one more that can name anything."""
    found: list[str] = []
    for text in _strings(value):
        if len(found) >= MAX_TEXTS:
            return (*found, "/*")
        found.append(text)
    return tuple(found)


def _strings_only(value: Any) -> list[str]:
    """A list of nothing but strings, else an empty one."""
    return value if _is_list(value) and all(isinstance(item, str) for item in value) else []


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_table(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif _is_table(value):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif _is_list(value):
        for item in value:
            yield from _strings(item)


@functools.cache
def _table() -> tuple[Mapping[str, tuple[ToolSpec, ...]], frozenset[str]]:
    data = importlib.resources.files("guardrail.parse").joinpath("tools.toml").read_bytes()
    file = msgspec.toml.decode(data, type=_ToolFile)
    table: dict[str, tuple[ToolSpec, ...]] = {}
    for spec in file.tool:
        for name in spec.names:
            table[name] = (*table.get(name, ()), spec)
    return table, frozenset(file.servers)
