"""What library functions do with their arguments, as data read from `tables/*.toml`.

Format:
    [modules]  pure = [...]    modules whose functions only compute
               data = [...]    libraries of which every function that is not in a table only computes
               remote = [...]  libraries and their objects that may send what they are given
               known = [...]   other standard modules: a function that is not in a table ends the analysis
    [alias]    "io.open" = "builtins.open": another name of the same thing
    [calls."module"]  name = "role:argument …  | role:keyword …  -> result"
    [[example]]  code, says = [...], silent = [...]: checked by the tests
A role is taken by position, after `|` only by name; `*role` takes all further positions. Roles:
    text      no path and no content      data     content, which goes into what the same call writes
    read      a path or something open    tree     a directory with all that lies in it, read
    list      looked at, not read         load     read into a model that is then used
    write append create mkdir truncate times security delete   one operation; `rmtree` is a recursive delete
    from/tree … to/into   copied; `move … to`; `target … link`
    url       an address; `send` if content goes there      handle  something open that is written to
    host      a machine that is connected to
    code shell run call   Python text, shell text, argument list or program, a function that is called
    mention   named to something of which nothing more is known
    OP@SCHEME an effect OP on what `SCHEME:<argument>` names, in which `key` says what of it
Results: none num text name content model same `thing KIND` `handle MODE`; `same`, the content of all arguments,
if not given.
`any` is the module of methods whose object is not known. Facts come from the libraries' documentation, 2026-11.
"""

from __future__ import annotations

import functools
import importlib.resources
import sys
import tomllib
from typing import Any, Final, Literal

import msgspec

ROLES: Final = frozenset(
    "text data read tree list load write append create mkdir truncate times security delete rmtree from to into move "
    "target link url host send handle code shell run call mention key".split()
)
"""What an argument may be."""

RESULTS: Final = frozenset("none num text name content model same thing handle".split())
"""What a call may give."""

Kind = Literal["pure", "data", "known", "remote", "unknown"]


class Parameter(msgspec.Struct, frozen=True, gc=False):
    """One argument: its role, its name, whether it has a position, and whether it takes all further ones."""

    role: str
    name: str
    positional: bool
    many: bool = False


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One function."""

    name: str
    parameters: tuple[Parameter, ...]
    result: str
    detail: str = ""

    @property
    def acts(self) -> bool:
        """It does more than compute and look."""
        return any(parameter.role not in ("text", "list", "data", "call") for parameter in self.parameters)


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A snippet and what it must and must not give."""

    code: str
    says: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


class Table:
    """All tables together."""

    __slots__ = ("alias", "data", "entries", "examples", "known", "pure", "remote")

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.alias: dict[str, str] = {}
        self.pure: set[str] = set()
        self.data: set[str] = set()
        self.known: set[str] = set()
        self.remote: set[str] = set()
        self.examples: list[Example] = []

    def add(self, raw: dict[str, Any], file: str) -> None:
        """Take in one file.

        Raises:
            ValueError: if anything in it is not understood.
        """
        unknown = set(raw) - {"modules", "alias", "calls", "example"}
        if unknown:
            raise ValueError(f"table `{file}`: `{min(unknown)}`")
        modules = raw.get("modules", {})
        self.pure.update(modules.get("pure", ()))
        self.data.update(modules.get("data", ()))
        self.known.update(modules.get("known", ()))
        self.remote.update(modules.get("remote", ()))
        self.alias.update(raw.get("alias", {}))
        for module, functions in raw.get("calls", {}).items():
            for names, signature in functions.items():
                for name in names.split():
                    full = f"{module}.{name}"
                    if full in self.entries:
                        raise ValueError(f"table `{file}`: `{full}` stands twice")
                    self.entries[full] = _entry(full, signature)
        self.examples.extend(msgspec.convert(item, Example) for item in raw.get("example", ()))

    def canonical(self, name: str) -> str:
        """The name under which a thing is known."""
        known = self.alias.get(name)
        if known is not None:
            return known
        head = name
        while "." in head:
            head = head.rpartition(".")[0]
            known = self.alias.get(head)
            if known is not None:
                return known + name[len(head) :]
        return name

    def kind(self, name: str) -> Kind:
        """What is known of the module that a name belongs to."""
        head = name
        while head:
            if head in self.pure:
                return "pure"
            if head in self.data:
                return "data"
            if head in self.remote:
                return "remote"
            if head in self.known:
                return "known"
            head = head.rpartition(".")[0]
        return "known" if name.partition(".")[0] in sys.stdlib_module_names else "unknown"


def _entry(name: str, signature: str) -> Entry:
    """Read one signature.

    Raises:
        ValueError: if a role or result is not known.
    """
    roles, _, result = signature.partition("->")
    kind, _, detail = (result.strip() or "same").partition(" ")
    if kind not in RESULTS:
        raise ValueError(f"table: result `{result}` of `{name}`")
    parameters: list[Parameter] = []
    positional = True
    for word in roles.split():
        if word == "|":
            positional = False
            continue
        many = word.startswith("*")
        role, _, argument = word.lstrip("*").partition(":")
        if role.partition("@")[0] not in ROLES and "@" not in role:
            raise ValueError(f"table: role `{role}` of `{name}`")
        parameters.append(Parameter(role, argument, positional, many))
    return Entry(name=name, parameters=tuple(parameters), result=kind, detail=detail)


@functools.cache
def table() -> Table:
    """The tables that come with the package."""
    out = Table()
    folder = importlib.resources.files("guardrail.effects.code.python") / "tables"
    for file in sorted(folder.iterdir(), key=lambda item: item.name):
        if file.name.endswith(".toml"):
            out.add(tomllib.loads(file.read_text(encoding="utf-8")), file.name)
    return out
