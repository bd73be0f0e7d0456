"""Assignments of jq and yq: `.a.b = false | del(.c)`, worked out on a document.

Not concerned with filters that select or compute: whatever is not an assignment of plain values raises `Unclear`.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from guardrail.effects.keys._formats import is_list, is_table, load_json, no_constant, once_each
from guardrail.effects.keys._regex import Unclear
from guardrail.patterns import lazy

MAX_FILTER: Final = 4096
"""Longest filter that is read, in characters."""

MAX_PATHS: Final = 300
"""Most places that one assignment may change."""

MAX_INTEGER: Final = 2**53
"""Largest number that every version of jq prints as it was read."""

Dialect = Literal["jq", "yq"]
Step = str | int | None
"""One step of a path: a name, an index, or None for every element."""

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

Path = tuple[Step, ...]
Update = Callable[[Any], Any]


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
            return [_merging(self.value(), deep=operator == "*")]
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
                return _copying(paths, source[0])
            value = self.value()
            return _updating(paths, lambda _old: value)
        if operator == "|=":
            if self.peek() == ("word", "not"):
                self.at += 1
                return _updating(paths, lambda old: not (old is not None and old is not False))
            value = self.value()
            return _updating(paths, lambda _old: value)
        if operator in ("+=", "-=", "*="):
            value = self.value()
            return _updating(paths, lambda old: _arithmetic(operator[0], old, value))
        if operator == "//=":
            value = self.value()
            return _updating(paths, lambda old: value if old is None or old is False else old)
        raise Unclear("a filter that computes")

    def _deletion(self) -> Update:
        self.at += 1
        self.expect("(")
        paths = self._paths_within()
        return lambda document: _deleted(document, paths)

    def _setpath(self) -> Update:
        self.at += 1
        self.expect("(")
        steps = self.value()
        self.expect(";")
        value = self.value()
        self.expect(")")
        if not is_list(steps) or not all(type(step) in (str, int) for step in steps):
            raise Unclear("a path that is none")
        return _updating([tuple(steps)], lambda _old: value)

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


def _arithmetic(operator: str, old: Any, value: Any) -> Any:
    if operator == "+" and old is None:
        return value
    if operator == "+" and type(old) is type(value) and isinstance(old, str):
        return old + value
    if operator == "+" and is_list(old) and is_list(value):
        return old + value
    if is_table(old) and is_table(value) and operator in "+*":
        return _merging(value, deep=operator == "*")(old)
    if type(old) is not int or type(value) is not int:
        raise Unclear("arithmetic on more than whole numbers")
    out = {"+": old + value, "-": old - value, "*": old * value}[operator]
    if abs(out) > MAX_INTEGER:
        raise Unclear("a large number")
    return out


def _merging(value: Any, *, deep: bool) -> Update:
    def merge(left: Any, right: Any) -> Any:
        if not is_table(left) or not is_table(right):
            return right
        out = dict(left)
        for name, item in right.items():
            out[name] = merge(out[name], item) if deep and name in out else item
        return out

    def update(document: Any) -> Any:
        if not is_table(document) or not is_table(value):
            raise Unclear("what is merged is no table")
        return merge(document, value)

    return update


def _copying(paths: list[Path], source: Path) -> Update:
    def update(document: Any) -> Any:
        value = document
        for step in source:
            value = _child(value, step)
        return _updating(paths, lambda _old: copy.deepcopy(value))(document)

    return update


def _child(value: Any, step: Step) -> Any:
    if value is None:
        return None
    if isinstance(step, str) and is_table(value):
        return value.get(step)
    if isinstance(step, int) and is_list(value) and -len(value) <= step < len(value):
        return value[step]
    raise Unclear("the filter does not fit the document")


def _updating(paths: list[Path], update: Update) -> Update:
    def apply(document: Any) -> Any:
        # All places are those of the document as it was, so that none may be made or taken away by another.
        places = [exact for path in paths for exact in _spread(document, path)]
        for index, exact in enumerate(places):
            if any(other[: len(exact)] == exact for other in (*places[:index], *places[index + 1 :])):
                raise Unclear("a place within another")
        for exact in places:
            document = _set(document, exact, update)
        return document

    return apply


def _spread(document: Any, path: Path) -> list[tuple[str | int, ...]]:
    """The places that a path means in a document."""
    found: list[tuple[str | int, ...]] = [()]
    for step in path:
        if step is not None:
            found = [(*exact, step) for exact in found]
            continue
        wider: list[tuple[str | int, ...]] = []
        for exact in found:
            value = document
            for part in exact:
                value = _child(value, part)
            if is_table(value):
                wider += [(*exact, name) for name in value]
            elif is_list(value):
                wider += [(*exact, index) for index in range(len(value))]
            else:
                raise Unclear("the filter does not fit the document")
        found = wider
    if len(found) > MAX_PATHS:
        raise Unclear("too many places")
    return found


def _set(value: Any, path: tuple[str | int, ...], update: Update) -> Any:
    if not path:
        # One value may be put in several places, which go on as values of their own.
        return copy.deepcopy(update(value))
    step, rest = path[0], path[1:]
    if isinstance(step, str):
        table: Any = {} if value is None else value
        if not is_table(table):
            raise Unclear("the filter does not fit the document")
        table[step] = _set(table.get(step), rest, update)
        return table
    if not is_list(value) or not -len(value) <= step < len(value):
        raise Unclear("the filter does not fit the document")
    value[step] = _set(value[step], rest, update)
    return value


def _deleted(document: Any, paths: list[Path]) -> Any:
    places = [exact for path in paths for exact in _spread(document, path)]
    # From the last element on, so that indexes stay what they are.
    for exact in sorted(places, key=lambda one: [(isinstance(step, int), step) for step in one], reverse=True):
        if not exact:
            raise Unclear("the whole document is deleted")
        parent = document
        for step in exact[:-1]:
            parent = _child(parent, step)
        last = exact[-1]
        if parent is None:
            continue
        if isinstance(last, str) and is_table(parent):
            parent.pop(last, None)
        elif isinstance(last, int) and is_list(parent) and last >= 0:
            del parent[last : last + 1]
        else:
            raise Unclear("the filter does not fit the document")
    return document


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
