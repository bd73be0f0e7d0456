"""The table of promises and the tests belong together, both ways; tests are read from source, none is imported."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.promises import PROMISES, Promise

TESTS = Path(__file__).resolve().parent


def _functions(tree: ast.Module) -> set[str]:
    """Names of the tests in one module, `Class::test` for those in a class."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            found |= {
                f"{node.name}::{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and inner.name.startswith("test")
            }
    return found


@cache
def _modules() -> dict[str, set[str]]:
    """Every test module, as `tests/x.py`, with its tests."""
    return {
        path.relative_to(TESTS.parent).as_posix(): _functions(ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(TESTS.rglob("test_*.py"))
    }


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.id)
def test_every_promise_names_tests_that_exist(promise: Promise) -> None:
    """A promise without a test says why in `gap`; a test that was renamed or removed breaks the promise it kept."""
    modules = _modules()
    for node in promise.tests:
        module, _, name = node.partition("::")
        assert name in modules.get(module, set()), f"promise `{promise.id}` names `{node}`, which does not exist"
    assert promise.tests or promise.gap, f"promise `{promise.id}` has neither a test nor a known gap"


def test_every_test_module_keeps_a_promise() -> None:
    """A test module that no promise names is either aimless or keeps a promise nobody wrote down."""
    named = {node.partition("::")[0] for promise in PROMISES for node in promise.tests}
    assert sorted(set(_modules()) - named) == []


def test_promises_are_told_apart() -> None:
    """Ids are unique, and no two promises are the same sentence."""
    for values in ([promise.id for promise in PROMISES], [promise.behaviour for promise in PROMISES]):
        assert sorted(values) == sorted(set(values))


def test_promises_are_sentences_with_a_source() -> None:
    """Each says where it comes from and what holds, so that it can be read without its test."""
    for promise in PROMISES:
        assert promise.source, promise.id
        assert len(promise.behaviour.split()) >= 5, promise.id
        assert promise.gap is None or promise.gap.strip(), promise.id
