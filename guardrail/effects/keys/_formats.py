"""The formats of config files: text -> nested tables, for as far as all readers of a format agree.

Not concerned with changes (`_config`). Whatever two readers of a file could understand differently raises `Unclear`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeGuard

import msgspec
import yaml

from guardrail.effects.keys._regex import Unclear
from guardrail.patterns import lazy

MAX_CONFIG_NESTING: Final = 50
"""Deepest nesting of a config file that is compared, in levels."""

MAX_DOCUMENTS: Final = 200
"""Most documents of one YAML file."""

MAX_CONFIG_LINES: Final = 20_000
"""Most lines of a file of plain assignments."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says.

    Args:
        tables: each document by its name; the only one of most files has the name "".
        typed: values have types; without, every value is a text that its reader interprets.
    """

    tables: Mapping[str, Any]
    typed: bool = True


def read_document(path: str, data: bytes) -> Document:
    """Read a config file by the format that its name says, or the only one that it can be.

    Args:
        path: name of the file.
        data: its content.

    Raises:
        Unclear: if it has no single meaning.
        ValueError: if it is not written in that format.
    """
    text = _text(data)
    read = _READERS.get(format_of(path))
    if read is None:
        raise Unclear("a format that is not known")
    return read(text)


def format_of(path: str) -> str:
    """The name of a file's format: an extension, `env`, `guess`, or empty for what is no config."""
    name = path.rpartition("/")[2].lower()
    stem, dot, extension = name.rpartition(".")
    if name == ".env" or name.startswith(".env.") or extension == "env":
        return "env"
    if dot and stem and extension in _KEPT and "." in stem:
        return format_of(stem)
    if dot and extension in _READERS:
        return extension
    if (not dot or not stem or extension in _KEPT) and not _NO_CONFIG.search(stem or extension):
        return "guess"
    return ""


_KEPT: Final = frozenset("bak local override dist example default sample orig new tmp in".split())
_NO_CONFIG: Final = lazy(r"file$|^(?:readme|license|notice|changelog|authors|version)$")


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """A list, of anything."""
    return isinstance(value, list)


def is_table(value: Any) -> TypeGuard[dict[Any, Any]]:
    """A table, of anything."""
    return isinstance(value, dict)


def _text(data: bytes) -> str:
    text = data.decode("utf-8")
    if text.startswith("\ufeff"):
        raise Unclear("byte order mark")
    return text


# -- JSON and TOML


def load_json(text: str) -> Any:
    """JSON without duplicate keys, comments and constants of JavaScript."""
    return json.loads(text, object_pairs_hook=once_each, parse_constant=no_constant)


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A table of JSON in which no key stands twice.

    Args:
        pairs: its keys and values, in order.

    Raises:
        Unclear: if one does: readers differ on which of them counts.
    """
    table = dict(pairs)
    if len(table) != len(pairs):
        raise Unclear("a key that stands twice")
    return table


def no_constant(name: str) -> Any:
    """Refuse a constant of JavaScript.

    Args:
        name: `NaN`, `Infinity` or `-Infinity`.

    Raises:
        Unclear: always.
    """
    raise Unclear(f"{name} is not JSON")


def _read_json(text: str) -> Document:
    return Document(tables={"": load_json(text)})


def _read_toml(text: str) -> Document:
    return Document(tables={"": tomllib.loads(text)})


# -- YAML

_YAML_BOOLEANS: Final = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
_YAML_BREAKS: Final = "\x85\u2028\u2029"
_YAML_INTEGER: Final = lazy(r"[-+]?(?:0|[1-9][0-9]*)")


def load_yaml(text: str) -> list[Any]:
    """The documents of a YAML text, of plain mappings, lists and scalars."""
    if any(char in text for char in _YAML_BREAKS):
        raise Unclear("a character that ends a line in YAML 1.1 only")
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken | yaml.DirectiveToken):
            raise Unclear("anchor, alias, tag or directive")
    nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    if len(nodes) > MAX_DOCUMENTS:
        raise Unclear("too many documents")
    for node in nodes:
        _check_yaml(node, 0)
    return list(yaml.safe_load_all(text))


def _check_yaml(node: yaml.Node, depth: int) -> None:
    if depth > MAX_CONFIG_NESTING:
        raise Unclear("nested too deep")
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode) or name.tag != "tag:yaml.org,2002:str" or name.value in names:
                raise Unclear("a key that is no text, or stands twice")
            names.add(name.value)
            _check_yaml(value, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_yaml(item, depth + 1)
    elif node.tag == "tag:yaml.org,2002:bool" and node.value not in _YAML_BOOLEANS:
        # `yes` is true to readers of YAML 1.1 and a text to those of 1.2.
        raise Unclear("a boolean of YAML 1.1 only")
    elif node.tag == "tag:yaml.org,2002:int" and not _YAML_INTEGER.fullmatch(node.value):
        raise Unclear("a number of YAML 1.1 only")


def _read_yaml(text: str) -> Document:
    documents = [document for document in load_yaml(text) if document is not None]
    if not documents:
        return Document(tables={"": {}})
    if all(object_name(document) for document in documents):
        tables: dict[str, Any] = {}
        for document in documents:
            name = object_name(document)
            if name in tables:
                raise Unclear("an object that stands twice")
            tables[name] = with_data(document)
        return Document(tables=tables)
    if len(documents) > 1:
        raise Unclear("several documents")
    return Document(tables={"": documents[0]})


def object_name(document: Any) -> str:
    """`kind/name` of a Kubernetes object; empty for what is none."""
    if not is_table(document) or not isinstance(document.get("kind"), str) or "apiVersion" not in document:
        return ""
    metadata = document.get("metadata")
    name = metadata.get("name") if is_table(metadata) else None
    return f"{document['kind']}/{name}" if isinstance(name, str) and name else ""


def with_data(document: dict[str, Any]) -> dict[str, Any]:
    """A ConfigMap holds files: where they can be read, their keys count and not their text."""
    data = document.get("data")
    if document["kind"] != "ConfigMap" or not is_table(data):
        return document
    files: dict[str, Any] = {}
    for name, text in data.items():
        files[name] = text
        if isinstance(text, str) and "\n" in text:
            try:
                inner = read_document(name, text.encode())
            except (Unclear, ValueError, RecursionError, OverflowError, yaml.YAMLError):
                continue
            files[name] = inner.tables.get("", text) if set(inner.tables) == {""} else dict(inner.tables)
    return {**document, "data": files}


# -- plain assignments

# Some readers take a name up to the last bracket of the line.
_SECTION = lazy(r"\[([^\[\]\n]+)\]\s*(?:[#;][^\]]*)?")
_ASSIGNMENT = lazy(r"([^=:\s#;\[](?:[^=:]*[^=:\s])?)\s*[=:]\s*(.*)")
_EQUALS = lazy(r"([^=\s#;\[](?:[^=]*[^=\s])?)\s*=\s*(.*)")
_NAMED = lazy(r"([\w.-]++)\s*+=\s*(.*)")
_ENV = lazy(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)=(.*)")
_ENV_PLAIN = lazy(r"[^\s'\"`$\\#;&|<>()*?\[\]{}~!]*")


def _lines(text: str) -> Iterator[str]:
    lines = text.split("\n")
    if len(lines) > MAX_CONFIG_LINES or "\r" in text or "\0" in text:
        raise Unclear("too many lines, or lines that end in another way")
    yield from lines


def _read_ini(text: str, *, repeats: bool = False, pattern: re.Pattern[str] = _ASSIGNMENT) -> Document:
    """Sections of assignments; a name that stands twice, in whatever case, has no single meaning."""
    sections: dict[str, dict[str, Any]] = {}
    seen: set[str] = set()
    section = ""
    for line in _lines(text):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if stripped.endswith("\\") or (line[0] in " \t" and section and sections.get(section)):
            raise Unclear("a line that goes on")
        if match := _SECTION.fullmatch(stripped):
            section = match[1].strip()
            if section in sections and not repeats:
                raise Unclear("a section that stands twice")
            sections.setdefault(section, {})
            continue
        match = pattern.fullmatch(stripped)
        if match is None:
            raise ValueError("a line that is no assignment")
        table = sections.setdefault(section, {})
        name, value = match[1], match[2]
        full = f"{section}\0{name}".lower()
        if repeats:
            # Of a systemd unit, each assignment counts; an empty one takes back those before it.
            table[name] = [*table.get(name, []), value]
        elif full in seen:
            raise Unclear("a name that stands twice")
        else:
            table[name] = value
        seen.add(full)
    tables = {name: table for name, table in sections.items() if name}
    return Document(tables={"": {**sections.get("", {}), **tables}}, typed=False)


def _read_unit(text: str) -> Document:
    return _read_ini(text, repeats=True, pattern=_EQUALS)


def _read_properties(text: str) -> Document:
    table: dict[str, Any] = {}
    for line in _lines(text):
        stripped = line.strip()
        if not stripped or stripped[0] in "#!":
            continue
        match = _ASSIGNMENT.fullmatch(stripped)
        if match is None or "\\" in stripped or stripped[0] == "[":
            raise ValueError("a line that is no plain assignment")
        if match[1] in table:
            raise Unclear("a name that stands twice")
        table[match[1]] = match[2]
    return Document(tables={"": table}, typed=False)


def _read_env(text: str) -> Document:
    """`NAME=value`, as a shell and as the libraries that read such files both take it."""
    table: dict[str, Any] = {}
    for line in _lines(text):
        stripped = line.strip()
        if not stripped or stripped[0] == "#":
            continue
        match = _ENV.fullmatch(stripped)
        if match is None:
            raise ValueError("a line that is no assignment")
        if match[1] in table:
            raise Unclear("a name that stands twice")
        table[match[1]] = _env_value(match[2])
    return Document(tables={"": table}, typed=False)


def _env_value(text: str) -> str:
    if text[:1] in ("'", '"'):
        inner = text[1:-1]
        if len(text) < 2 or text[-1] != text[0] or text[0] in inner or any(c in inner for c in "$`\\"):
            raise Unclear("a value with more than text in its quotes")
        return inner
    value = text.partition(" #")[0].rstrip()
    if not _ENV_PLAIN.fullmatch(value):
        raise Unclear("a value that a shell would expand")
    return value


# -- files without a format


def _guess(text: str) -> Document:
    """The only meaning that a text can have; two readers that accept it must agree."""
    found: list[Document] = []
    for read in (_read_json, _read_toml, _guess_yaml, _guess_ini, _read_env):
        try:
            document = read(text)
        except (ValueError, yaml.YAMLError):
            continue
        if all(is_table(table) for table in document.tables.values()):
            found.append(document)
    first = found[0] if found else None
    if first is None or any(other.tables != first.tables or other.typed != first.typed for other in found[1:]):
        raise Unclear("no format, or more than one")
    return first


def _guess_ini(text: str) -> Document:
    return _read_ini(text, pattern=_NAMED)


def _guess_yaml(text: str) -> Document:
    try:
        return _read_yaml(text)
    except Unclear:
        if "=" in text.partition("\n")[0] or text.lstrip().startswith(("[", "{")):
            raise ValueError("not YAML") from None
        raise


_READERS: Final[Mapping[str, Callable[[str], Document]]] = {
    "json": _read_json,
    "toml": _read_toml,
    "yaml": _read_yaml,
    "yml": _read_yaml,
    "ini": _read_ini,
    "cfg": _read_ini,
    "cnf": _read_ini,
    "properties": _read_properties,
    "env": _read_env,
    "conf": _guess,
    "config": _guess,
    "guess": _guess,
    **dict.fromkeys(("service", "timer", "socket", "mount", "path", "slice", "target"), _read_unit),
}
