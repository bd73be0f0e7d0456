"""What the session changed in a module: the rest of it is code of the project, as it was before.

Not concerned with what either part does. Statements are the same if their lines are; a function that is the same is
called like any other of the project, so what it is handed is named to it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Final

FOREIGN: Final = "<project>"
"""The name that stands for the part of a module that was there before."""

_DEFINED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def changed_part(new: ast.Module, source: str, before: str) -> set[int] | None:
    """Keep of a module what was changed; definitions that are the same become names of the project's code.

    Args:
        new: the module as it is now; it is changed in place.
        source: its text.
        before: its text before the session touched it.

    Returns:
        Which of its statements, by `id`, were there before; None if the whole of it has to count as changed.
    """
    try:
        old = ast.parse(before)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    known = _segments(old, before)
    now = _segments(new, source)
    if not _in_order([text for text, _ in now], [text for text, _ in known]):
        return None
    texts = {text for text, _ in known}
    gone = [node for text, node in known if text not in {text for text, _ in now}]
    kept = [node for text, node in now if text in texts]
    if set(_bound(gone)) & set(_bound(kept)):
        return None  # what was taken away hid another thing of that name
    classes = {node.name: (text, node) for text, node in known if isinstance(node, ast.ClassDef)}
    same: set[int] = set()
    body: list[ast.stmt] = []
    for text, node in now:
        if text in texts:
            node = _foreign(node) if isinstance(node, _DEFINED) else node
            same.add(id(node))
        elif isinstance(node, ast.ClassDef) and node.name in classes:
            _reduce(node, source, classes[node.name][1], before)
        body.append(node)
    new.body = body
    return same


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


def _bound(nodes: Sequence[ast.stmt]) -> Iterator[str]:
    """Names that some statements give a value to."""
    for node in nodes:
        if isinstance(node, _DEFINED):
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
    found = ast.Assign([ast.Name(node.name, ast.Store())], value)
    return ast.fix_missing_locations(ast.copy_location(found, node))


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
