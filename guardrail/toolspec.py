"""How a tool's arguments are described: the records of `[[tool]]`, shipped and in guardrail.toml, and their checks.

Not concerned with calls: `parse` reads the arguments of one by such a description.

A selector leads to a value in the arguments: `path`, `options.path` (an object in an object), `files[].path` (one for
each item of a list), `files{}.#key` and `files{}.#value` (one for each entry of an object), `items[].#value` (the item
itself). Where several selectors are given, exactly one of them may lead to something; one that ends in `?` says that
none need do so.
A template is text with selectors in braces: `s3://{bucket}/{key|path}`; `{name|=default}` has text for when none leads
anywhere, and `*` in the result stands for anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from guardrail.model import Kind, Op

Verb = Literal[
    "shell", "stdin", "code", "patch", "run", "sql",
    "read", "list", "write", "append", "edit", "copy", "move", "delete", "mkdir", "stat",
    "api", "agent", "calls", "nothing",
]  # fmt: skip
"""What a tool does: `ToolSpec` says which roles belong to which."""

Scalar = str | bool | int
"""A value that an argument is compared with."""

MAX_LISTS: Final = 3
"""Deepest nesting of lists that a selector may go through."""

FILE_VERBS: Final = frozenset("read list write append edit copy move delete mkdir stat".split())
"""Verbs about one file or directory."""

_SELECTOR: Final = re.compile(r"[^.\[\]{}|#=?]+(?:\[\]|\{\})?(?:\.(?:[^.\[\]{}|#=?]+(?:\[\]|\{\})?|#key|#value))*\??")
_PLACE: Final = re.compile(r"\{([^{}]*(?:\{\}[^{}]*)*)\}")

_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "shell": ("text",), "stdin": ("text",), "code": ("text",), "patch": ("text",), "run": ("words",), "sql": ("text",),
    "read": ("path",), "list": ("path",), "write": ("path",), "append": ("path",), "edit": ("path",),
    "copy": ("path", "target"), "move": ("path", "target"), "delete": ("path",), "mkdir": ("path",), "stat": ("path",),
    "api": ("op", "uri"), "agent": (), "calls": ("tool", "arguments"), "nothing": (),
}  # fmt: skip

_TAKES: Final[dict[str, frozenset[str]]] = {
    "shell": frozenset(("text", "cwd", "env", "persistent")),
    "stdin": frozenset(("text",)),
    "code": frozenset(("text", "cwd", "env", "first", "packages", "language", "languages", "persistent")),
    "patch": frozenset(("text", "cwd", "path", "target", "mode")),
    "run": frozenset(("words", "cwd", "env")),
    "sql": frozenset(("text", "uri")),
    "api": frozenset(("op", "kind", "uri", "to", "path", "into", "text", "mention", "facts")),
    "agent": frozenset(("text",)),
    "calls": frozenset(("tool", "arguments")),
    "nothing": frozenset(),
    **{
        verb: frozenset(
            ("path", "target", "beside", "text", "old", "all", "append", "cwd", "default", "globs", "recursive", "part")
        )
        for verb in FILE_VERBS
    },
}


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[tool]]`: the names of a tool, what it does, and which argument is what.

    Args:
        names: the tool's names.
        verb: what it does: one of the verbs below.
        servers: MCP servers whose tool of that name is meant, as in `mcp__SERVER__NAME`.
        bare: the name alone is meant too, without a server.
        when: selector -> the value, or list of values, it must have for the entry to apply; `""` is for none.
        text: shell text, code, a patch, SQL, new content of a file, or what is sent.
        path: the local file or directory; a list of strings gives one operation for each.
        target: the new name, for `copy` and `move`.
        beside: for `copy` and `move`, a new name that may be meant in the directory of `path`.
        old: the text that an edit replaces.
        all: the flag that makes an edit replace every occurrence.
        append: the flag that turns a write into an append.
        part: only a part of a file is read or replaced, whatever the other arguments say.
        cwd: the directory it runs in, or that paths are relative to.
        env: an object of environment variables.
        globs: arguments that select files, of which one that is absolute is read or listed itself.
        default: path to use when none is given.
        recursive: what lies below the path is meant too.
        persistent: a shell or an interpreter that outlives the call.
        first: for `code`, text that a new interpreter runs before it.
        packages: for `code`, packages that are installed for it.
        language: for `code`, the language when no argument says it.
        languages: for `code`, the argument that names the language.
        mode: for `patch`, `envelope` for a whole patch, else what is done to `path`: `add`, `update` or `delete`, or
            `blocks` for lines to search and their replacements.
        words: for `run`, a program and its arguments, each a template; a list gives several words, none gives none.
        op: for `api`, the effect's operation.
        kind: for `api`, what sort of thing it is done to; taken from the scheme by default.
        uri: for `api`, template of the thing's address.
        to: for `api`, template of the other side's address, for copies, moves and uploads.
        into: for `api`, the local file or directory that is written with what is received.
        mention: for `api`, text that is carried out elsewhere, such as a manifest: assets named in it are named here.
        facts: for `api`, name -> argument: what rules may want to know.
        tool: for `calls`, the name of each inner call.
        arguments: for `calls`, the arguments of each inner call.
        alarm: selector -> values that ask for more than the tool: the call waits for a person.
        said: arguments that are text and nothing else, whatever it looks like, such as what to search for.
        ignore: arguments that change nothing we look at; a path in one of them is named all the same.
        match: examples, each `JSON => operations` or JSON alone for one that is only understood.
        not_match: examples whose arguments the entry must not take, each JSON.
    """

    names: tuple[str, ...]
    verb: Verb
    servers: tuple[str, ...] = ()
    bare: bool = True
    when: dict[str, Scalar | tuple[Scalar, ...]] = {}
    text: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    old: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    append: tuple[str, ...] = ()
    part: bool = False
    cwd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    default: str = ""
    recursive: bool = False
    persistent: bool = False
    first: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    language: str = ""
    languages: tuple[str, ...] = ()
    mode: Literal["envelope", "add", "update", "delete", "blocks"] = "envelope"
    words: tuple[str, ...] = ()
    op: Op | Literal[""] = ""
    kind: Kind | Literal[""] = ""
    uri: str = ""
    to: str = ""
    into: tuple[str, ...] = ()
    mention: tuple[str, ...] = ()
    facts: dict[str, str] = {}
    tool: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    alarm: dict[str, tuple[Scalar, ...]] = {}
    said: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    not_match: tuple[str, ...] = ()

    def selectors(self) -> Iterator[str]:
        """Every selector in the entry."""
        yield from self.when
        yield from self.alarm
        for role in ROLES:
            yield from getattr(self, role)
        for text in (*self.words, self.uri, self.to):
            for choices in _PLACE.findall(text):
                yield from (choice for choice in choices.split("|") if not choice.startswith("="))
        yield from self.facts.values()


ROLES: Final = (
    "text", "path", "target", "beside", "old", "all", "append", "cwd", "env", "first", "packages",
    "languages", "into", "mention", "tool", "arguments", "globs", "said", "ignore",
)  # fmt: skip
"""Fields of a `ToolSpec` that are selectors."""


def pieces(template: str) -> Iterator[str | tuple[str, ...]]:
    """A template as literal text and, for each place in it, the choices."""
    last = 0
    for place in _PLACE.finditer(template):
        if place.start() > last:
            yield template[last : place.start()]
        yield tuple(place[1].split("|"))
        last = place.end()
    if last < len(template):
        yield template[last:]


def problems(spec: ToolSpec, *, served: bool = False) -> Iterator[str]:
    """What is wrong with an entry, one sentence each; nothing if it can be used.

    Args:
        spec: the entry.
        served: its family has servers, so it needs none of its own.
    """
    if not spec.names or not all(spec.names):
        yield "it needs a name"
    if not spec.bare and not (served or spec.servers):
        yield "`bare = false` needs `servers`"
    for need in _NEEDS[spec.verb]:
        if not getattr(spec, need) and not (need == "path" and spec.default):
            yield f"the verb `{spec.verb}` needs `{need}`"
    taken = _TAKES[spec.verb]
    for name in sorted(frozenset[str]().union(*_TAKES.values()) - taken):
        value = getattr(spec, name)
        if value and not (name == "mode" and value == "envelope"):
            yield f"the verb `{spec.verb}` takes no `{name}`"
    lists: set[tuple[str, ...]] = set()
    for selector in spec.selectors():
        if not _SELECTOR.fullmatch(selector):
            yield f"`{selector}` is no selector: write it as `name`, `object.name`, `list[].name` or `object{{}}.#key`"
            continue
        lists.add(tuple(lists_of(selector.rstrip("?"))))
    longest = max(lists, key=len, default=())
    if any(longest[: len(chain)] != chain for chain in lists):
        yield "its selectors go through two different lists: that needs two entries"
    if len(longest) > MAX_LISTS:
        yield f"its selectors go through more than {MAX_LISTS} lists"


def lists_of(selector: str) -> Iterator[str]:
    """The prefixes of a selector that end in a list or in the entries of an object."""
    parts = selector.split(".")
    for index, part in enumerate(parts):
        if part.endswith(("[]", "{}")):
            yield ".".join(parts[: index + 1])
