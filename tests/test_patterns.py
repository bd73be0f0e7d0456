"""Patterns that are compiled when they are first used."""

from __future__ import annotations

import ast
import gc
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import guardrail.guard
from guardrail.patterns import Lazy, lazy
from tests.effects_support import effects_of
from tests.hostile_support import all_of, bounded, hostile

PACKAGE = Path(guardrail.__file__).parent

LENGTH = 1000
"""How long hostile texts are, in characters: what is tried in all ways takes years; what is squared does not show."""

SECONDS = 1.0
"""How much of the processor one question may take, however slow it is."""

TELL = """
import gc, guardrail.guard
from guardrail.patterns import Lazy
print(*("match" in vars(thing) for thing in gc.get_objects() if isinstance(thing, Lazy)))
"""


def test_every_pattern_of_the_analysis_can_be_compiled() -> None:
    """What is compiled late is checked here, since no import would show that an expression is wrong."""
    waiting = [thing for thing in gc.get_objects() if isinstance(thing, Lazy)]
    assert len(waiting) > 500
    for one in waiting:
        assert callable(one.match), one.pattern


def test_importing_the_guard_compiles_hardly_any_of_them() -> None:
    """A process that judges one call pays for the patterns that it uses."""
    done = subprocess.run([sys.executable, "-c", TELL], capture_output=True, text=True, check=True, timeout=60)
    compiled = done.stdout.split()
    assert len(compiled) > 500
    assert compiled.count("True") <= len(compiled) // 20


def test_a_pattern_answers_as_one_that_was_compiled_at_once() -> None:
    """Methods, groups and flags are those of `re`, and a wrong expression is a fault when it is used."""
    word = lazy(r"(?P<head>a+)b", 2)
    match = word.fullmatch("AAb")
    assert match is not None
    assert match["head"] == "AA"
    assert (word.sub("-", "xabx"), word.groups, word.pattern) == ("x-x", 1, r"(?P<head>a+)b")
    with pytest.raises(Exception, match="unterminated"):
        lazy("(").search("")


def _stages() -> Iterator[Any]:
    for stage in ("assets", "effects", "parse"):
        folder = importlib.import_module(f"guardrail.{stage}")
        for found in pkgutil.walk_packages(folder.__path__, f"{folder.__name__}."):
            yield importlib.import_module(found.name)


def _written_out(module: Any) -> Iterator[tuple[str | bytes, int]]:
    """The expressions that stand where they are asked, such as `re.fullmatch(r"…", text)`."""
    for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            owner, first = node.func.value, node.args[0]
            if isinstance(owner, ast.Name) and owner.id == "re" and isinstance(first, ast.Constant):
                yield first.value, 0


def _expressions() -> dict[tuple[str | bytes, int], str]:
    """Every expression that is asked about a text of a call, with the module that has it."""
    found: dict[tuple[str | bytes, int], str] = {}
    for module in _stages():
        for value in vars(module).values():
            if isinstance(value, re.Pattern):
                found.setdefault((value.pattern, value.flags), module.__name__)
        for written in _written_out(module):
            found.setdefault(written, module.__name__)
    for thing in gc.get_objects():
        if isinstance(thing, Lazy):
            found.setdefault((thing.pattern, thing._flags), "lazy")
    return found


def test_no_pattern_tries_all_the_ways_to_split_a_text() -> None:
    """A guard that hangs is off: each is asked about texts that its own repeated parts make, and that do not fit."""
    found = _expressions()
    assert len(found) > 800
    slow = set()
    for (pattern, flags), where in found.items():
        compiled: Any = re.compile(pattern, flags)
        for text in hostile(pattern, flags, LENGTH):
            given: Any = text.encode("latin-1", "replace") if isinstance(pattern, bytes) else text
            for ask in (compiled.fullmatch, all_of(compiled)):
                if not bounded(ask, given, SECONDS):
                    slow.add(f"{where}: {pattern!r} on {text[:60]!r}")
        if len(slow) > 8:
            break
    assert not slow, "\n" + "\n".join(sorted(slow))


@pytest.mark.parametrize("pattern", [r"(a|a)*b", r"(?:\w+\s?)*!", r"s/(?:\\.|[^/])*/", r"(?:a.*?){30}b"])
def test_a_pattern_that_tries_them_is_found(pattern: str) -> None:
    """The search for such texts finds what it is for."""
    compiled = re.compile(pattern)
    assert not all(bounded(all_of(compiled), text, 0.2) for text in hostile(pattern, 0, LENGTH))


@pytest.mark.parametrize(
    "command",
    [
        "psql -c '" + "$" * 120 + "'",
        "duckdb -c '" + "$" * 120 + "'",
        "awk '/" + "[]" * 40 + "'",
        "rename 's/" + r"\a" * 60 + "' *.txt",
        "gdb -batch -ex 'handle SIGa" + " noa" * 40 + "!' ./a",
        "Rscript -e 'testthat::test_dir(" + "0" * 60 + "'",
        "RUSTFLAGS='" + "-Ca" * 40 + "!' cargo build",
        "MAKEFLAGS='" + "j" * 60 + "!' make",
        "JAVA_OPTS='" + "-D." * 60 + "!' mvn test",
        "perl -" + "0" * 60 + "! -e 1",
        "expect -c '" + " " * 3000 + "x'",
        "parallel '{= " + " " * 3000 + "x =}' ::: a",
    ],
)
def test_a_short_command_does_not_hang_the_guard(command: str) -> None:
    """Lines of some hundred characters on which the guard once was at it for ever."""
    assert bounded(effects_of, command, 5.0)
