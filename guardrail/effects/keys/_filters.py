"""Assignments of jq and yq: `.a.b = false | del(.c)`, worked out on a document.

Not concerned with filters that select or compute: whatever is not an assignment of plain values raises `Unclear`.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from guardrail.effects.keys._formats import is_list, load_json, no_constant, once_each
from guardrail.effects.keys._places import (
    MAX_INTEGER,
    Dialect,
    Path,
    Step,
    Update,
    arithmetic,
    copying,
    deleted,
    merging,
    updating,
)
from guardrail.effects.keys._regex import Unclear
from guardrail.patterns import lazy

MAX_FILTER: Final = 4096
"""Longest filter that is read, in characters."""

_TOKEN = lazy(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*")
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?![\w.]))
    | (?P<variable>\$[A-Za-z_]\w*)
    | (?P<field>\.[A-Za-z_]\w*)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<operator>\|=|\+=|-=|\*=|//=|==|[|=,()\[\]{}:.?+*;-])
    )""",
    re.VERBOSE,
)
_YQ_FIELD = lazy(r"\s*(?P<field>\.[A-Za-z_][\w-]*)")


def edit(program: str, document: Any, *, dialect: Dialect = "jq", variables: Mapping[str, Any] | None = None) -> Any:
    """Apply the assignments of a filter.

    Args:
        program: the filter.
        document: what it is applied to; it is not changed.
        dialect: whose filter it is.
        variables: values of `--arg` and `--argjson`.

    Returns:
        The document afterwards.

    Raises:
        Unclear: if the filter is more than assignments of plain values, or does not fit the document.
    """
    if len(program) > MAX_FILTER:
        raise Unclear("a long filter")
    parser = _Parser(_tokens(program, dialect), variables or {}, dialect)
    value = copy.deepcopy(document)
    for change in parser.pipe():
        value = change(value)
    return value


def literal(program: str, variables: Mapping[str, Any] | None = None) -> Any:
    """The value of a filter that is one: `{"a": 1}`.

    Raises:
        Unclear: if it is more.
    """
    parser = _Parser(_tokens(program, "jq"), variables or {}, "jq")
    value = parser.value()
    parser.end()
    return value


def _tokens(program: str, dialect: Dialect) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    at = 0
    while program[at:].strip():
        match = (_YQ_FIELD.match(program, at) if dialect == "yq" else None) or _TOKEN.match(program, at)
        if match is None or match.lastgroup is None:
            raise Unclear("a filter that is not understood")
        out.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return out


class _Parser:
    """Reads a filter as a row of changes."""

    def __init__(self, tokens: list[tuple[str, str]], variables: Mapping[str, Any], dialect: Dialect) -> None:
        self.tokens = tokens
        self.variables = variables
        self.dialect = dialect
        self.at = 0

    def peek(self, ahead: int = 0) -> tuple[str, str]:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ("", "")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self.at += 1
        return token

    def expect(self, text: str) -> None:
        if self.take() != ("operator", text):
            raise Unclear(f"`{text}` is missing")

    def end(self) -> None:
        if self.at < len(self.tokens):
            raise Unclear("more than an assignment")

    def pipe(self) -> list[Update]:
        changes: list[Update] = []
        while True:
            changes += self.change()
            if self.peek() != ("operator", "|"):
                break
            self.at += 1
        self.end()
        return changes

    def change(self) -> list[Update]:
        token = self.peek()
        if token == ("word", "del"):
            return [self._deletion()]
        if token == ("word", "setpath"):
            return [self._setpath()]
        if token == ("operator", "(") and self._wraps():
            self.at += 1
            inner = self.change()
            while self.peek() == ("operator", "|"):
                self.at += 1
                inner += self.change()
            self.expect(")")
            return inner
        paths = self._paths()
        kind, operator = self.take() if self.at < len(self.tokens) else ("", "")
        if kind == "" or operator in ("|", ")"):
            self.at -= 1 if kind else 0
            if paths != [()]:
                raise Unclear("a filter that selects")
            return []
        if operator in ("+", "*") and paths == [()]:
            return [merging(self.value(), deep=operator == "*")]
        return [self._assignment(paths, operator)]

    def _wraps(self) -> bool:
        """Whether a parenthesis holds a whole assignment, and not only paths."""
        depth = 0
        for index in range(self.at, len(self.tokens)):
            text = self.tokens[index][1] if self.tokens[index][0] == "operator" else ""
            depth += (text == "(") - (text == ")")
            if depth == 0:
                following = self.tokens[index + 1][1] if index + 1 < len(self.tokens) else ""
                return following in ("", "|", ")")
        raise Unclear("a parenthesis that is not closed")

    def _assignment(self, paths: list[Path], operator: str) -> Update:
        if operator == "=":
            if self.peek()[0] == "field" or self.peek() == ("operator", "."):
                source = self._paths()
                if len(source) != 1 or None in source[0]:
                    raise Unclear("more than one value")
                return copying(paths, source[0])
            value = self.value()
            return updating(paths, lambda _old: value)
        if operator == "|=":
            if self.peek() == ("word", "not"):
                self.at += 1
                return updating(paths, lambda old: not (old is not None and old is not False))
            value = self.value()
            return updating(paths, lambda _old: value)
        if operator in ("+=", "-=", "*="):
            value = self.value()
            return updating(paths, lambda old: arithmetic(operator[0], old, value))
        if operator == "//=":
            value = self.value()
            return updating(paths, lambda old: value if old is None or old is False else old)
        raise Unclear("a filter that computes")

    def _deletion(self) -> Update:
        self.at += 1
        self.expect("(")
        paths = self._paths_within()
        return lambda document: deleted(document, paths)

    def _setpath(self) -> Update:
        self.at += 1
        self.expect("(")
        steps = self.value()
        self.expect(";")
        value = self.value()
        self.expect(")")
        if not is_list(steps) or not all(type(step) in (str, int) for step in steps):
            raise Unclear("a path that is none")
        return updating([tuple(steps)], lambda _old: value)

    def _paths(self) -> list[Path]:
        if self.peek() == ("operator", "("):
            self.at += 1
            paths = self._paths_within()
            return [path + rest for path in paths for rest in [self._rest()]] if len(paths) == 1 else paths
        kind, text = self.take()
        if kind == "field":
            return [(text[1:], *self._rest())]
        if (kind, text) == ("operator", "."):
            if self.peek()[0] == "string" and self.dialect in ("jq", "yq"):
                return [(load_json(self.take()[1]), *self._rest())]
            return [self._rest()]
        raise Unclear("a path that is not understood")

    def _paths_within(self) -> list[Path]:
        """Paths with commas between them, and the parenthesis that ends them."""
        paths = self._paths()
        while self.peek() == ("operator", ","):
            self.at += 1
            paths += self._paths()
        self.expect(")")
        return paths

    def _rest(self) -> Path:
        steps: list[Step] = []
        while True:
            kind, text = self.peek()
            if kind == "field":
                self.at += 1
                steps.append(text[1:])
            elif (kind, text) == ("operator", "["):
                self.at += 1
                steps.append(self._bracket())
            elif (kind, text) == ("operator", ".") and self.peek(1)[0] == "string":
                self.at += 2
                steps.append(load_json(self.tokens[self.at - 1][1]))
            elif (kind, text) == ("operator", ".") and self.peek(1) == ("operator", "["):
                self.at += 1
            else:
                return tuple(steps)

    def _bracket(self) -> Step:
        if self.peek() == ("operator", "]"):
            self.at += 1
            return None
        step = self.value()
        self.expect("]")
        if type(step) not in (str, int):
            raise Unclear("an index that is none")
        found: str | int = step
        return found

    def value(self) -> Any:
        kind, text = self.take()
        if kind == "string":
            return load_json(text)
        if kind == "number":
            return _number(text)
        if kind == "variable":
            if text[1:] not in self.variables:
                raise Unclear("a variable that is not known")
            return self.variables[text[1:]]
        if kind == "word" and text in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[text]
        if (kind, text) == ("operator", "("):
            value = self.value()
            self.expect(")")
            return value
        if (kind, text) == ("operator", "["):
            return self._array()
        if (kind, text) == ("operator", "{"):
            return self._object()
        raise Unclear("a value that is computed")

    def _array(self) -> list[Any]:
        out: list[Any] = []
        if self.peek() == ("operator", "]"):
            self.at += 1
            return out
        while True:
            out.append(self.value())
            token = self.take()
            if token == ("operator", "]"):
                return out
            if token != ("operator", ","):
                raise Unclear("an array that is computed")

    def _object(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if self.peek() == ("operator", "}"):
            self.at += 1
            return out
        while True:
            kind, text = self.take()
            if kind not in ("string", "word") or (kind == "word" and self.peek() != ("operator", ":")):
                raise Unclear("a key that is computed")
            self.expect(":")
            out[load_json(text) if kind == "string" else text] = self.value()
            token = self.take()
            if token == ("operator", "}"):
                return out
            if token != ("operator", ","):
                raise Unclear("an object that is computed")


def _number(text: str) -> int | float:
    value = float(text) if "." in text else int(text)
    if abs(value) > MAX_INTEGER or (isinstance(value, float) and (repr(value) != text or value.is_integer())):
        raise Unclear("a number that may be printed in another way")
    return value


def read_json(text: str) -> Any:
    """One JSON document whose values every version of jq prints as Python does.

    Raises:
        Unclear: if they may be printed in another way.
    """
    value = json.loads(
        text,
        object_pairs_hook=once_each,
        parse_float=_number,
        parse_int=_number,
        parse_constant=no_constant,
    )
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]|\\u", re.sub(r"[\n\r\t]", "", text)):
        raise Unclear("characters that are printed in another way")
    return value


def write_json(value: Any, *, indent: int | str | None = 2, sort: bool = False, ascii_only: bool = False) -> str:
    """A document as jq prints it, with a newline."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, indent=indent, separators=separators, sort_keys=sort, ensure_ascii=ascii_only) + "\n"
