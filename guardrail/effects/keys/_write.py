"""A changed document as text of its format: with the same meaning as what the tools write, not with the same bytes."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import yaml

from guardrail.effects.keys._filters import write_json
from guardrail.effects.keys._formats import format_of, is_list, is_table, load_json, load_yaml
from guardrail.effects.keys._regex import Unclear
from guardrail.patterns import lazy

_BARE: Final = lazy(r"[A-Za-z0-9_-]+")
_SECTION: Final = lazy(r"\[(.*)\]\s*")


def load_all(path: str, text: str, form: str = "") -> list[Any]:
    """The documents of a file.

    Args:
        path: its name.
        text: its content.
        form: its format, where an option says it.

    Raises:
        Unclear: if it has no single meaning.
        ValueError: if it is not written in that format.
    """
    kind = form or format_of(path)
    if kind == "json":
        return [load_json(text)]
    if kind == "toml":
        import tomllib

        return [tomllib.loads(text)]
    if kind in ("yaml", "yml"):
        return load_yaml(text) or [None]
    raise Unclear("a format that is not written here")


def dump_all(path: str, documents: list[Any], form: str = "") -> str:
    """The text of a file that holds these documents.

    Raises:
        Unclear: if they cannot be written in that format.
    """
    kind = form or format_of(path)
    if kind == "json" and len(documents) == 1:
        return write_json(documents[0])
    if kind == "toml" and len(documents) == 1 and is_table(documents[0]):
        return _toml_table(documents[0])
    if kind in ("yaml", "yml"):
        return str(yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True))
    raise Unclear("a format that is not written here")


def _toml_table(table: dict[Any, Any]) -> str:
    return "".join(f"{_toml_key(name)} = {_toml(value)}\n" for name, value in table.items())


def _toml_key(name: Any) -> str:
    return str(name) if _BARE.fullmatch(str(name)) else json.dumps(str(name), ensure_ascii=False)


def _toml(value: Any) -> str:
    if is_table(value):
        return "{" + ", ".join(f"{_toml_key(name)} = {_toml(item)}" for name, item in value.items()) + "}"
    if is_list(value):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool | int | float | str):
        return json.dumps(value, ensure_ascii=False)
    raise Unclear("a value that TOML has in another form")


def set_ini(text: str, section: str, key: str | None, value: str | None) -> str:
    """A file of sections after `key = value`, or without the key, or without the section.

    Raises:
        Unclear: if the section or the key stands there twice, or in another case.
    """
    lines = text.split("\n")
    if any(line.lstrip()[:1] == "[" and not _SECTION.fullmatch(line) for line in lines):
        raise Unclear("a section with more in its line")
    heads = [i for i, line in enumerate(lines) if _SECTION.fullmatch(line)]
    named = [i for i in heads if _heading(lines[i]).lower() == section.lower()]
    if len(named) > 1 or (named and _heading(lines[named[0]]) != section):
        raise Unclear("a section that stands twice")
    if section and not named:
        if value is None or key is None:
            return text
        return text.rstrip("\n") + f"\n[{section}]\n{key} = {value}\n"
    start = named[0] + 1 if section else 0
    end = next((i for i in heads if i >= start), len(lines))
    if key is None:
        return "\n".join([*lines[: max(start - 1, 0)], *lines[end:]])
    matches = [i for i in range(start, end) if re.match(rf"\s*{re.escape(key)}\s*[=:]", lines[i], re.IGNORECASE)]
    if len(matches) > 1 or (matches and not lines[matches[0]].lstrip().startswith(key)):
        raise Unclear("a key that stands twice")
    if value is None:
        return "\n".join(line for i, line in enumerate(lines) if i not in matches)
    if matches:
        lines[matches[0]] = f"{key} = {value}"
    else:
        lines.insert(start, f"{key} = {value}")
    return "\n".join(lines)


def _heading(line: str) -> str:
    match = _SECTION.fullmatch(line)
    return match[1].strip() if match else ""
