"""What the session changed in a module: the rest of it is code of the project, as it was before.

Not concerned with what either part does. Statements are the same if their lines are; a function that is the same is
called like any other of the project, so what it is handed is named to it.
"""

from __future__ import annotations

import ast
import functools
import threading
import warnings
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec

_PARSING: Final = threading.Lock()

FOREIGN: Final = "<project>"
"""The name that stands for the part of a module that was there before."""

_DEFINED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Changed(msgspec.Struct, frozen=True):
    """A module of which a part is new.

    Args:
        statements: its statements, each with whether it was there before; what was and is a definition is only a name.
        bound: names that anything in it gives a value to.
        rebound: names that are imported from elsewhere now, or meant something else before.
    """

    statements: tuple[tuple[ast.stmt, bool], ...]
    bound: frozenset[str]
    rebound: frozenset[str]

    @property
    def new(self) -> list[ast.stmt]:
        """The statements that were not there before."""
        return [node for node, known in self.statements if not known]


@functools.lru_cache(maxsize=8)
def changed_part(source: str, before: str) -> Changed | None:
    """Keep of a module what was changed; definitions that are the same become names of the project's code.

    Args:
        source: the module as it is now.
        before: as it was before the session touched it.

    Returns:
        The module; None if the whole of it has to count as changed. What it holds MUST NOT be changed: it is kept.
    """
    try:
        new, old = parsed(source), parsed(before)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not isinstance(new, ast.Module) or not isinstance(old, ast.Module):
        return None
    known, now = _segments(old, before), _segments(new, source)
    if not _in_order([text for text, _ in now], [text for text, _ in known]):
        return None
    texts, kept_texts = {text for text, _ in known}, {text for text, _ in now}
    kept = [node for text, node in now if text in texts]
    gone = _definitions(known, kept_texts) - _definitions(now, texts)  # another of that name in its place is no loss
    lost = {name for name, _ in gone} | set(
        _bound([node for text, node in known if text not in kept_texts], plain=True)
    )
    if not lost.isdisjoint(_bound(kept)):
        return None  # what was taken away hid another thing of that name
    bound = frozenset(names_bound(new))
    classes = {node.name: node for _, node in known if isinstance(node, ast.ClassDef)}
    found: list[tuple[ast.stmt, bool]] = []
    for text, node in now:
        if text in texts:
            found.append((_foreign(node) if isinstance(node, _DEFINED) else node, True))
            continue
        if isinstance(node, ast.ClassDef) and node.name in classes:
            _reduce(node, source, classes[node.name], before)
        found.append((node, False))
    return Changed(tuple(found), bound, _rebound(old, [node for node, same in found if not same]))


def _rebound(old: ast.Module, new: Sequence[ast.stmt]) -> frozenset[str]:
    """Names that new imports bind, which the module had for another thing."""
    before, names = dict(_imports([old])), names_bound(old)
    return frozenset(name for name, whole in _imports(new) if name in names and before.get(name) != whole)


def _imports(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, str]]:
    """Names that imports bind, each with what it is."""
    for part in (part for node in nodes for part in ast.walk(node)):
        if isinstance(part, ast.Import):
            yield from ((alias.asname or alias.name.partition(".")[0], alias.name) for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            module = f"{'.' * part.level}{part.module or ''}"
            yield from ((alias.asname or alias.name, f"{module}:{alias.name}") for alias in part.names)


def _segments(tree: ast.Module | ast.ClassDef, source: str) -> list[tuple[str, ast.stmt]]:
    """Each statement with its lines."""
    lines = source.split("\n")
    found: list[tuple[str, ast.stmt]] = []
    for node in tree.body:
        first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
        found.append(("\n".join(lines[first - 1 : node.end_lineno]), node))
    return found


def _in_order(new: Sequence[str], old: Sequence[str]) -> bool:
    """What is the same stands in the same order, each as often as before."""
    common = set(new) & set(old)
    return [text for text in new if text in common] == [text for text in old if text in common]


def _definitions(parts: Sequence[tuple[str, ast.stmt]], others: Collection[str]) -> set[tuple[str, int]]:
    """Functions and classes that stand in one version only, each with how much that is in both comes before it."""
    found: set[tuple[str, int]] = set()
    before = 0
    for text, node in parts:
        if text in others:
            before += 1
        elif isinstance(node, _DEFINED):
            found.add((node.name, before))
    return found


def _bound(nodes: Sequence[ast.stmt], *, plain: bool = False) -> Iterator[str]:
    """Names that some statements give a value to; `plain` leaves out what is a definition itself."""
    for node in nodes:
        if isinstance(node, _DEFINED):
            if not plain:
                yield node.name
            continue
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
                yield part.id
            elif isinstance(part, ast.alias):
                yield (part.asname or part.name).partition(".")[0]
            elif isinstance(part, _DEFINED):
                yield part.name


def _foreign(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> ast.stmt:
    """A definition as a name of the project's code."""
    value = ast.Attribute(ast.Name(FOREIGN, ast.Load()), node.name, ast.Load())
    return ast.copy_location(ast.Assign([ast.Name(node.name, ast.Store())], value), node)


def _reduce(node: ast.ClassDef, source: str, old: ast.ClassDef, before: str) -> None:
    """A class keeps the methods that were changed; all others are the project's."""
    known = {text for text, _ in _segments(old, before)}
    body: list[ast.stmt] = []
    for text, part in _segments(node, source):
        if text not in known or not isinstance(part, _DEFINED):
            body.append(part)
        elif not part.name.startswith("__"):
            body.append(_foreign(part))
    node.body = body or [ast.copy_location(ast.Pass(), node)]


def constants(tree: ast.AST) -> Iterator[object]:
    """The values that stand in a piece of code, in no order: `ast.walk` takes three times as long to find them."""
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        if isinstance(node, ast.Constant):
            yield node.value
            continue
        for name in node._fields:
            part: object = getattr(node, name, None)
            if isinstance(part, ast.AST):
                left.append(part)
            elif isinstance(part, list):
                left.extend(one for one in part if isinstance(one, ast.AST))  # pyright: ignore[reportUnknownVariableType]


def names_bound(tree: ast.AST) -> set[str]:
    """Names that a piece of code gives a value to, anywhere."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
    return found


def parsed(source: str, *, expression: bool = False) -> ast.AST:
    """The tree of some code, without a word about its escapes.

    Raises:
        SyntaxError: as `ast.parse` does; so with the other errors.
    """
    mode = "eval" if expression else "exec"
    if "\\" not in source and " is " not in source:
        return ast.parse(source, mode=mode)
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source, mode=mode)
