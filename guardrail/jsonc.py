"""Editing JSON as text, comments and trailing commas included: what is not touched stays as it was, byte for byte.

Not concerned with what is edited. Grammar: RFC 8259, and the comments and trailing commas that settings files of
editors and harnesses allow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from guardrail.errors import ConfigError

MAX_DEPTH: Final = 64
"""Deepest nesting that is read, in levels."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]++|//[^\n]*+|/\*.*?\*/)*+", re.DOTALL)
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SCALAR: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null')


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A value and where it stands.

    Args:
        start: its first character.
        end: one past its last.
        value: as Python has it.
        items: of an array.
        members: of an object: key, where the key starts, value.
    """

    start: int
    end: int
    value: Any
    items: tuple[Node, ...] = ()
    members: tuple[tuple[str, int, Node], ...] = ()

    def member(self, key: str) -> Node | None:
        """The value of a key, if there is one."""
        return next((node for name, _, node in self.members if name == key), None)


def read(text: str) -> Node:
    """The tree of a text.

    Raises:
        ConfigError: if it is no JSON, with or without comments; the message says where.
    """
    node = _value(text, _skip(text, 0), 0)
    if _skip(text, node.end) != len(text):
        raise _wrong(text, node.end, "something follows the value")
    return node


def append(text: str, path: tuple[str, ...], value: Any) -> str:
    """Put a value at the end of an array, making it and the objects above it if they are missing.

    Args:
        text: the whole text.
        path: keys down to the array.
        value: what to add.

    Raises:
        ConfigError: if something on the way is there and is no object, or no array at the end.
    """
    node = read(text)
    for depth, key in enumerate(path):
        if not isinstance(node.value, dict):
            raise ConfigError(f"`{'.'.join(path[:depth]) or 'the file'}` is no object: mend the file by hand")
        below = node.member(key)
        if below is None:
            for name in reversed(path[depth + 1 :]):
                value = {name: value} if name != path[-1] else {name: [value]}
            wrapped = value if depth < len(path) - 1 else [value]
            return _insert(text, node, f"{json.dumps(key)}: {_written(text, wrapped, depth + 1)}", depth + 1)
        node = below
    if not isinstance(node.value, list):
        raise ConfigError(f"`{'.'.join(path)}` is no array: mend the file by hand")
    return _insert(text, node, _written(text, value, len(path) + 1), len(path) + 1)


def remove(text: str, path: tuple[str, ...], unwanted: Callable[[Any], bool]) -> str:
    """Take values out of an array, and then what is empty of the path to it.

    Args:
        text: the whole text.
        path: keys down to the array.
        unwanted: whether a value goes.
    """
    removed = False
    while (node := _at(read(text), path)) is not None:
        index = next((i for i, item in enumerate(node.items) if unwanted(item.value)), None)
        if index is None:
            break
        spans = [(item.start, item.end) for item in node.items]
        text, removed = _cut(text, node, spans, index), True
    while removed and path:
        parent, node = _at(read(text), path[:-1]), _at(read(text), path)
        if parent is None or node is None or node.value or _has_comment(text, node):
            break
        index = next(i for i, (key, _, _) in enumerate(parent.members) if key == path[-1])
        text = _cut(text, parent, [(start, value.end) for _, start, value in parent.members], index)
        path = path[:-1]
    return text


def exchange(text: str, path: tuple[str, ...], gone: Collection[str], name: str, value: Any) -> str:
    """Take members out of an object, and put one in at its end, in the place of any of that name.

    Args:
        text: the whole text.
        path: keys down to the object.
        gone: keys of what goes.
        name: key of what comes.
        value: what comes.

    Raises:
        ConfigError: if there is no object.
    """
    for key in (*gone, name):
        node = _object_at(text, path)
        index = next((i for i, (known, _, _) in enumerate(node.members) if known == key), None)
        if index is not None:
            text = _cut(text, node, [(start, below.end) for _, start, below in node.members], index)
    depth = len(path) + 1
    return _insert(text, _object_at(text, path), f"{json.dumps(name)}: {_written(text, value, depth)}", depth)


def _object_at(text: str, path: tuple[str, ...]) -> Node:
    node = _at(read(text), path)
    if node is None or not isinstance(node.value, dict):
        raise ConfigError(f"`{'.'.join(path)}` is no object: mend the file by hand")
    return node


def _at(node: Node, path: tuple[str, ...]) -> Node | None:
    for key in path:
        below = node.member(key)
        if below is None:
            return None
        node = below
    return node


def _has_comment(text: str, node: Node) -> bool:
    return bool(text[node.start + 1 : node.end - 1].strip())


def _insert(text: str, node: Node, written: str, depth: int) -> str:
    unit = _unit(text)
    last = node.items[-1].end if node.items else node.members[-1][2].end if node.members else None
    if last is not None:
        return f"{text[:last]},\n{unit * depth}{written}{text[last:]}"
    at = node.start + 1
    # What stands between the brackets, such as a comment, stays before the closing one.
    inside = text[at : node.end - 1].rstrip()
    return f"{text[:at]}{inside}\n{unit * depth}{written}\n{unit * (depth - 1)}{text[node.end - 1 :]}"


def _cut(text: str, node: Node, spans: list[tuple[int, int]], index: int) -> str:
    """Take one item or member out, with the comma that belongs to it and the blanks before it."""
    start, end = spans[index]
    after = _skip(text, end)
    if index > 0:
        # The comma that came with it stands right behind its neighbour.
        comma = text.index(",", _skip(text, spans[index - 1][1]))
        between = text[comma + 1 : start].rstrip(" \t\r\n")
        return f"{text[:comma]}{between}{text[end:]}"
    if text[after] == ",":
        return f"{text[:start]}{text[_skip_blanks(text, after + 1) :]}"
    inside = text[node.start + 1 : start].rstrip(), text[end : node.end - 1].strip(" \t\r\n")
    return f"{text[: node.start + 1]}{''.join(inside)}{text[node.end - 1 :]}"


def _skip_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _unit(text: str) -> str:
    found = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    return found[1] if found else "  "


def _written(text: str, value: Any, depth: int) -> str:
    unit = _unit(text)
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", f"\n{unit * depth}")


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _value(text: str, at: int, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise _wrong(text, at, f"it is nested deeper than {MAX_DEPTH} levels")
    match text[at : at + 1]:
        case "{":
            return _object(text, at, depth)
        case "[":
            return _array(text, at, depth)
        case _:
            found = _SCALAR.match(text, at)
            if found is None:
                raise _wrong(text, at, "a value is missing")
            return Node(start=at, end=found.end(), value=json.loads(found[0]))


def _array(text: str, start: int, depth: int) -> Node:
    items: list[Node] = []
    at = _skip(text, start + 1)
    while text[at : at + 1] != "]":
        item = _value(text, at, depth + 1)
        items.append(item)
        at = _next(text, item.end, "]")
    return Node(start=start, end=at + 1, value=[item.value for item in items], items=tuple(items))


def _object(text: str, start: int, depth: int) -> Node:
    members: list[tuple[str, int, Node]] = []
    at = _skip(text, start + 1)
    while text[at : at + 1] != "}":
        found = _STRING.match(text, at)
        colon = _skip(text, found.end()) if found else at
        if found is None or text[colon : colon + 1] != ":":
            raise _wrong(text, at, "a key is missing")
        key = json.loads(found[0])
        if any(key == name for name, _, _ in members):
            raise _wrong(text, at, f"the key `{key}` is there twice")
        node = _value(text, _skip(text, colon + 1), depth + 1)
        members.append((key, at, node))
        at = _next(text, node.end, "}")
    value = {key: node.value for key, _, node in members}
    return Node(start=start, end=at + 1, value=value, members=tuple(members))


def _next(text: str, at: int, closing: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] == ",":
        return _skip(text, at + 1)
    if text[at : at + 1] != closing:
        raise _wrong(text, at, f"`,` or `{closing}` is missing")
    return at


def _wrong(text: str, at: int, what: str) -> ConfigError:
    return ConfigError(f"line {text.count(chr(10), 0, at) + 1}: {what}")
