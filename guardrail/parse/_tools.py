"""Tool names and arguments -> operations; the mapping itself is data, in `tools/*.toml` and in guardrail.toml.

Not concerned with what an operation does, nor with taking arguments apart (`_arguments`). A tool that is not listed,
or a listed one with a missing, ill-typed or unknown argument, becomes `Unmapped` with every string in its arguments:
it is never left out and never guessed at.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from guardrail.errors import ConfigError
from guardrail.model import ToolCall
from guardrail.parse._arguments import Form
from guardrail.parse._operations import Operation, Unmapped, describe
from guardrail.parse._selectors import Mismatch, is_list, is_table, strings
from guardrail.patterns import lazy
from guardrail.toolspec import ToolSpec, problems

_CODE_TOOL: Final = frozenset(
    "bash shell sh zsh powershell python terminal repl exec interpreter notebook jupyter".split()
)
_CODE_ARGUMENT: Final = frozenset("command commands cmd cmdline code script shell bash source_code python".split())

MAX_TEXTS: Final = 4096
"""Most strings taken from the arguments of a tool that is not understood."""

MAX_PIECES: Final = 4096
"""Most items of a list that are read as the pieces of one text."""

MAX_NESTED_CALLS: Final = 4
"""Deepest nesting of calls in the arguments of a tool that makes other calls."""

MAX_CALLS: Final = 64
"""Most calls in the arguments of one that makes other calls."""

MAX_NAMES: Final = 4096
"""Most tool names of which the entries are remembered; agents choose names."""

_NAMESPACES: Final = ("functions.", "default_api.", "multi_tool_use.", "tools.")
"""What some models put before the names of the tools that they were given."""


class _ToolFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One family: `servers` are the MCP servers whose short tool names mean these tools."""

    servers: tuple[str, ...] = ()
    tool: tuple[ToolSpec, ...]


# INVARIANT: msgspec works a type out when it is first used, and the process crashes if two threads do that at once;
# while a module is imported there is one.
msgspec.json.Decoder(_ToolFile)


class _Source:
    """One entry: its text until it is needed, then what was made of it.

    Args:
        text: the entry as it stands in its file.
    """

    __slots__ = ("_form", "_text")

    def __init__(self, text: str, form: Form | None = None) -> None:
        self._text = text
        self._form = form

    def form(self) -> Form:
        """The entry, read."""
        if self._form is None:
            (spec,) = msgspec.toml.decode(self._text, type=_ToolFile).tool
            self._form = Form(spec)
        return self._form


_Sources = tuple[_Source, ...]


class ToolTable:
    """Which entries a tool's name has.

    Args:
        own: entries of this table, with the servers whose tools they are.
    """

    __slots__ = ("_exact", "_found", "_lock", "_plain", "_served")

    def __init__(self, own: Iterable[tuple[ToolSpec, Sequence[str]]] = ()) -> None:
        self._exact: dict[str, _Sources] = {}
        self._plain: dict[str, _Sources] = {}
        self._served: dict[str, dict[str, _Sources]] = {}
        self._found: dict[str, tuple[Form, ...]] = {}
        self._lock = threading.Lock()
        for spec, servers in own:
            self.add(_Source("", Form(spec)), spec.names, servers, bare=spec.bare)

    def forms(self, name: str) -> tuple[Form, ...]:
        """The entries of a name, none if it is not known."""
        found = self._found.get(name)
        if found is None:
            found = self._look_up(name)
            if len(self._found) >= MAX_NAMES:
                self._found.clear()
            self._found[name] = found
        return found

    def extended(self, specs: Sequence[ToolSpec]) -> ToolTable:
        """A table in which a user's entries go before these."""
        return _Extended(specs, self)

    def _look_up(self, name: str) -> tuple[Form, ...]:
        found = self._exact.get(name) or self._plain.get(plain_name(name)) or self._of_server(name) or ()
        # INVARIANT: one thread at a time reads entries: msgspec works their type out when it is first used.
        with self._lock:
            return tuple(source.form() for source in found)

    def _of_server(self, name: str) -> _Sources | None:
        """The name as `mcp__SERVER__TOOL`, or with the two joined by `_`, `.`, `/` or `:`."""
        if name.startswith("mcp__"):
            server, _, short = name[5:].partition("__")
            return self._served.get(plain_name(server), {}).get(plain_name(short))
        for space in _NAMESPACES:
            if name.startswith(space):
                return self._exact.get(name[len(space) :]) or self._plain.get(plain_name(name[len(space) :]))
        text = name.removeprefix("mcp_")
        for mark in (".", "/", ":", "__", "_", "-"):
            start = text.find(mark)
            while start > 0:
                tools = self._served.get(plain_name(text[:start]))
                found = tools.get(plain_name(text[start + len(mark) :])) if tools else None
                if found is not None:
                    return found
                start = text.find(mark, start + 1)
        return None

    def add(self, source: _Source, names: Iterable[str], servers: Iterable[str], *, bare: bool) -> None:
        """Give an entry its names."""
        for name in names:
            plain = plain_name(name)
            if bare:
                self._exact[name] = (*self._exact.get(name, ()), source)
                self._plain[plain] = (*self._plain.get(plain, ()), source)
            for server in servers:
                tools = self._served.setdefault(plain_name(server), {})
                tools[plain] = (*tools.get(plain, ()), source)


class _Extended(ToolTable):
    """A user's entries, and behind them the shipped ones."""

    __slots__ = ("_base",)

    def __init__(self, specs: Sequence[ToolSpec], base: ToolTable) -> None:
        super().__init__([(spec, spec.servers) for spec in specs])
        self._base = base

    def _look_up(self, name: str) -> tuple[Form, ...]:
        return super()._look_up(name) or self._base.forms(name)


@functools.cache
def shipped_tools() -> ToolTable:
    """The table of the tools that are known from the start; each entry is read when its name is first met."""
    table = ToolTable()
    for file in family_names():
        head, *pieces = _PIECES.split(_text(file))
        shared = _listed(head, "servers")
        for piece in pieces:
            servers = (*shared, *_listed(piece, "servers"))
            bare = _NOT_BARE.search(piece) is None
            table.add(_Source(_HEADER + piece), _listed(piece, "names"), servers, bare=bare)
    return table


_HEADER: Final = "[[tool]]\n"
_PIECES: Final = lazy(r"^\[\[tool\]\]\n", re.MULTILINE)
_QUOTED: Final = lazy(r'"([^"]*)"')
_NOT_BARE: Final = lazy(r"^bare = false$", re.MULTILINE)
_LISTS: Final = {key: lazy(rf"^{key} = \[(.*?)\]", re.MULTILINE | re.DOTALL) for key in ("names", "servers")}


def _listed(text: str, key: str) -> tuple[str, ...]:
    """The strings of one list of an entry, without reading all of it."""
    found = _LISTS[key].search(text)
    return tuple(_QUOTED.findall(found[1])) if found else ()


def tool_table(specs: Sequence[ToolSpec]) -> ToolTable:
    """The table for a configuration.

    Args:
        specs: its own `[[tool]]` entries, which go before the shipped ones.

    Returns:
        The table; the shipped one itself if there are none.

    Raises:
        ConfigError: if an entry cannot be used, or one of its examples does not come out as it says.
    """
    if not specs:
        return shipped_tools()
    table = shipped_tools().extended(specs)
    for spec in specs:
        wrong = next(iter((*problems(spec), *failures(spec))), None)
        if wrong is not None:
            raise ConfigError(f"tool `{spec.names[0] if spec.names else ''}`: {wrong}")
    return table


def family_names() -> list[str]:
    """The files of the shipped families."""
    folder = importlib.resources.files("guardrail.parse").joinpath("tools")
    return sorted(str(file.name) for file in folder.iterdir() if file.name.endswith(".toml"))


def _text(file: str) -> str:
    return importlib.resources.files("guardrail.parse").joinpath("tools", file).read_text(encoding="utf-8")


def family(file: str) -> tuple[ToolSpec, ...]:
    """The entries of one shipped family."""
    return msgspec.toml.decode(_text(file), type=_ToolFile).tool


def failures(spec: ToolSpec) -> Iterator[str]:
    """Examples of an entry that do not come out as they say, one sentence each."""
    form = Form(spec)
    for example in spec.match:
        given, arrow, want = example.partition(" => ")
        try:
            found = "; ".join(describe(operation) for operation in _from_form(form, _example(given)))
        except (Mismatch, ValueError) as error:
            yield f"its example `{given}` is not understood: {error}"
            continue
        if arrow and found != want.strip():
            yield f"its example `{given}` gives `{found}`, not `{want}`"
    for example in spec.not_match:
        try:
            found = "; ".join(describe(operation) for operation in _from_form(form, _example(example)))
        except Mismatch:
            continue
        except ValueError as error:
            yield f"its example `{example}` is not JSON: {error}"
            continue
        yield f"its example `{example}` gives `{found}`, and should not match"


def _example(text: str) -> dict[str, Any]:
    value: Any = json.loads(text)
    if not is_table(value):
        raise ValueError("it is no object")
    return dict(value)


def _from_form(form: Form, args: Mapping[str, Any]) -> tuple[Operation, ...]:
    if not form.applies(args):
        raise Mismatch("`when` does not hold")
    return form.read(args, form.spec.names[0], _nested)


def parse(call: ToolCall, tools: ToolTable | None = None) -> tuple[Operation, ...]:
    """What a tool call asks for.

    Args:
        call: the call; its arguments may be anything JSON can hold.
        tools: the tools that are known; those that are shipped by default.

    Returns:
        Its operations, never none: what is not understood is `Unmapped`. Never raises for odd arguments.
    """
    return _parse(call.tool, call.args, tools if tools is not None else shipped_tools(), 0)


def _parse(name: str, args: Mapping[str, Any], table: ToolTable, depth: int) -> tuple[Operation, ...]:
    forms = table.forms(name)
    if not forms:
        reason = "a tool that may run code" if _names_code(name, args) else ""
        return (Unmapped(tool=name, texts=_texts(args), reason=reason),)
    reason = "no known form of this tool"
    parts: tuple[Operation, ...] = ()
    for form in forms:
        if form.needed and form.needed.isdisjoint(args):
            continue
        if form.lines and (line := form.line(args)) is not None:
            return line
        if not form.conditional or form.applies(args):
            try:
                return form.read(args, name, functools.partial(_nested, table=table, depth=depth))
            except Mismatch as mismatch:
                reason = str(mismatch)
                parts = (*parts, *(part for part in mismatch.parts if part not in parts))
    return (Unmapped(tool=name, texts=_texts(args), reason=reason, parts=parts),)


def _nested(
    calls: Sequence[tuple[str, Any]], *, table: ToolTable | None = None, depth: int = 0
) -> tuple[Operation, ...]:
    """What calls in the arguments of a call ask for."""
    if depth >= MAX_NESTED_CALLS or len(calls) > MAX_CALLS:
        raise Mismatch("too many calls in one")
    found: list[Operation] = []
    for name, args in calls:
        if not name or not is_table(args):
            raise Mismatch("a call in the call has no name or no arguments")
        found.extend(_parse(name, args, table if table is not None else shipped_tools(), depth + 1))
    return tuple(found)


def plain_name(name: str) -> str:
    """`Run-Bash` and `run.bash` are `run_bash`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower())


def _names_code(name: str, args: Any) -> bool:
    """The tool's name, or the name of one of its arguments, says that it runs code."""
    if not _CODE_TOOL.isdisjoint(plain_name(name).split("_")):
        return True
    return any(plain_name(key) in _CODE_ARGUMENT for key in _keys(args))


def _keys(value: Any) -> Iterator[str]:
    """Every key of every object in a value."""
    stack = [value]
    while stack:
        item = stack.pop()
        if is_table(item):
            yield from (str(key) for key in item)
            stack.extend(item.values())
        elif is_list(item):
            stack.extend(item)


def _texts(value: Any) -> tuple[str, ...]:
    """Every string in the arguments; at the bound one more that can name anything."""
    found: list[str] = []
    for text in (*strings(value, keys=True), *_joined(value)):
        if len(found) >= MAX_TEXTS:
            return (*found, "/*")
        found.append(text)
    return tuple(found)


def _joined(value: Any) -> Iterator[str]:
    """What the lists in a value may be pieces of: the parts of a path, the letters of a text, or its bytes."""
    stack = [value]
    while stack:
        item = stack.pop()
        if is_table(item):
            stack.extend(item.values())
        elif is_list(item):
            stack.extend(item)
            if 1 < len(item) <= MAX_PIECES and all(isinstance(piece, str) for piece in item):
                yield "/".join(item)
                yield "".join(item)
            elif 1 < len(item) <= MAX_PIECES and all(type(piece) is int and 0 <= piece < 256 for piece in item):
                text = bytes(item).decode("utf-8", "replace")
                if "/" in text and text.isprintable():
                    yield text
