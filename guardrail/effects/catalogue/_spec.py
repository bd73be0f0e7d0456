"""Command specs: what each word of a command is, as data read from `specs/*.toml`.

Format, one `[[command]]` a family:
    names      the commands it is for
    operands   one role for each operand; `read*` repeats, and takes all but those that stand after it
    defaults   operands to use when none is given, such as `.`
    options    `"-o --output" = "write"`: a role for the value; "" for a flag, `text?` for a value only after `=`
    modes      `{ when = ["-e"], operands = [...] }`: other operands when one of the options is given
    reveals    what its output tells of what it reads: content, some, digest, none
    digest     options that lower that to a digest
    recursive  options that make the operands recursive; `["always"]`
    stdin      "read" (when it names no file), "none"
    output     "text" when its output does not depend on any file, such as `date`
    stop       options end at the first operand (wrappers)
    numeric    `-5` is an option
    single     long options start with one dash
    raw        the words are not getopt's: the function takes them as they stand
    code       name of the function that knows the rest, see `_families`
    match      command -> effects it must give;  not_match  command -> effects it must not give
Roles: text, read, list, write, append, create, mkdir, delete, truncate, times, security, run, shell, dir, into, opaque.
Facts come from the manuals and `--help` texts of the commands, looked at in 2026-11.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

ROLES: Final = frozenset(
    "text read list write append create mkdir delete truncate times security run shell dir into opaque".split()
)
"""What a word may be. `into` is a directory that files are put into, `dir` one that names are relative to."""

EFFECTFUL: Final = ROLES - {"text", "read", "list", "dir"}
"""Roles that do more than look."""

Reveals = Literal["content", "some", "digest", "none"]


class Mode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Other operands when one of some options is given."""

    when: tuple[str, ...]
    operands: tuple[str, ...]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[command]]`, as written; the module's docstring says what each key means."""

    names: tuple[str, ...]
    operands: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    options: dict[str, str] = {}
    modes: tuple[Mode, ...] = ()
    reveals: Reveals = "content"
    digest: tuple[str, ...] = ()
    recursive: tuple[str, ...] = ()
    stdin: Literal["read", "none"] = "read"
    output: Literal["", "text"] = ""
    stop: bool = False
    numeric: bool = False
    single: bool = False
    raw: bool = False
    code: str = ""
    match: tuple[tuple[str, ...], ...] = ()
    not_match: tuple[tuple[str, ...], ...] = ()


class Option(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One option: its first spelling, the roles of its values, and whether a value needs a `=`."""

    name: str
    roles: tuple[str, ...]
    attached: bool


class Spec:
    """A compiled entry.

    Args:
        entry: as read from the file.
    """

    __slots__ = ("aliases", "effectful", "entry", "longs", "options")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.options: dict[str, Option] = {}
        self.aliases: dict[str, str] = {}
        for spellings, value in entry.options.items():
            names = spellings.split()
            attached = value.endswith("?")
            roles = tuple(value.rstrip("?").split())
            unknown = set(roles).difference(ROLES)
            if unknown or not names or not all(name.startswith(("-", "+")) for name in names):
                raise ValueError(f"spec of `{entry.names[0]}`: option `{spellings}` = `{value}`")
            for name in names:
                if name in self.options:
                    raise ValueError(f"spec of `{entry.names[0]}`: option `{name}` stands twice")
                self.options[name] = Option(name=names[0], roles=roles, attached=attached)
        for operand in (*entry.operands, *(o for mode in entry.modes for o in mode.operands)):
            if operand.rstrip("*") not in ROLES:
                raise ValueError(f"spec of `{entry.names[0]}`: operand `{operand}`")
        for name in (*entry.digest, *entry.recursive, *(w for mode in entry.modes for w in mode.when)):
            if name not in self.options and name != "always":
                raise ValueError(f"spec of `{entry.names[0]}`: `{name}` is not among its options")
        self.longs = tuple(name for name in self.options if name.startswith("--"))
        every = {role for option in self.options.values() for role in option.roles}
        modes = {operand.rstrip("*") for mode in entry.modes for operand in mode.operands}
        # What an operand of which nothing is known could turn out to be, if it is an option.
        self.effectful = tuple(sorted((every | modes) & EFFECTFUL))

    def long(self, name: str) -> Option | None:
        """A long option; GNU commands take any unambiguous prefix."""
        found = self.options.get(name)
        if found is not None:
            return found
        candidates = {self.options[long].name: self.options[long] for long in self.longs if long.startswith(name)}
        return next(iter(candidates.values())) if len(candidates) == 1 else None

    def canonical(self, names: Sequence[str]) -> frozenset[str]:
        """The first spellings of some options."""
        return frozenset(self.options[name].name if name in self.options else name for name in names)


class _SpecFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    command: tuple[Entry, ...]


@functools.cache
def specs() -> Mapping[str, Spec]:
    """Every command's spec by name.

    Raises:
        ValueError: if an entry is not usable, or a command has two.
    """
    table: dict[str, Spec] = {}
    folder = importlib.resources.files("guardrail.effects.catalogue").joinpath("specs")
    for file in sorted(folder.iterdir(), key=_name):
        if not file.name.endswith(".toml"):
            continue
        for entry in msgspec.toml.decode(file.read_bytes(), type=_SpecFile).command:
            spec = Spec(entry)
            for name in entry.names:
                if name in table:
                    raise ValueError(f"spec of `{name}` stands twice")
                table[name] = spec
    return table


def _name(file: Any) -> str:
    return str(file.name)
