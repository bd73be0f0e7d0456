"""Patterns that are compiled when they are first used."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

import guardrail.guard  # noqa: F401 - all modules that have patterns
from guardrail.patterns import Lazy, lazy

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
