"""What an edit makes of a config file, key by key."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.effects import KeyChange, apply, key_changes
from guardrail.effects.code._pure import is_pure
from guardrail.model import Edit
from tests.effects_support import NoFiles


def changes(name: str, before: str | None, after: str) -> dict[str, tuple[Any, Any]] | None:
    """Key -> (before, after)."""
    found = key_changes(name, before.encode() if before is not None else None, after.encode())
    return None if found is None else {change.key: (change.before, change.after) for change in found}


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("c.yaml", "a:\n  on: true\nb: 1\n", "a:\n  on: false\nb: 1\n"),
        ("c.yml", "{a: {'on': true}, b: 1}", "a: {'on': false}\nb: 1"),
        ("c.json", '{"a": {"on": true}, "b": 1}', '{"b": 1, "a": {"on": false}}'),
        ("c.toml", "b = 1\n[a]\non = true\n", "a.on = false\nb = 1\n"),
    ],
)
def test_only_the_key_that_differs_is_named(name: str, before: str, after: str) -> None:
    """By content, whatever the order or style."""
    if name == "c.yaml":
        before, after = before.replace("on:", "'on':"), after.replace("on:", "'on':")
    assert changes(name, before, after) == {"a.on": (True, False)}


def test_the_same_content_in_another_style_is_no_change() -> None:
    """Comments, order, quotes."""
    assert changes("c.yaml", "a: x # c\nb: [1, 2]\n", "b:\n- 1\n- 2\na: 'x'\n") == {}


@pytest.mark.parametrize("after", ['a: "true"', "a: 1", "a: 1.0", "a: null", "a: [true]", "a: {b: true}"])
def test_another_type_is_another_value(after: str) -> None:
    """true, "true" and 1 are three things."""
    found = changes("c.yaml", "a: true", after)
    assert found


def test_a_change_says_what_was_there_and_whether_its_type_changed() -> None:
    """Added, removed, retyped."""
    found = key_changes("c.yaml", b"a: 1\nb: true\n", b"b: 'true'\nc: null\n")
    assert found == (
        KeyChange(key="a", before=1, after=None, had=True, has=False),
        KeyChange(key="b", before=True, after="true", retyped=True),
        KeyChange(key="c", before=None, after=None, had=False, has=True),
    )


def test_a_new_file_has_only_new_keys() -> None:
    """No file before."""
    assert changes("c.json", None, '{"a": 1}') == {"a": (None, 1)}


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("c.yaml", "a: 1\na: 2\n"),
        ("c.yaml", "a: &x 1\nb: *x\n"),
        ("c.yaml", "x: &x {a: 1}\ny:\n  <<: *x\n"),
        ("c.yaml", "<<: {a: 1}\n"),
        ("c.yaml", "a: !!str 1\n"),
        ("c.yaml", "a: !x 1\n"),
        ("c.yaml", "a: 1\n---\na: 2\n"),
        ("c.yaml", "%YAML 1.1\n---\na: 1\n"),
        ("c.yaml", "1: a\n"),
        ("c.yaml", "on: a\n"),
        ("c.yaml", "a.b: 1\n"),
        ("c.yaml", "a: yes\n"),
        ("c.yaml", "a: off\n"),
        ("c.yaml", "a: 010\n"),
        ("c.yaml", "a: 1:30\n"),
        ("c.yaml", "a: [\n"),
        ("c.json", '{"a": 1, "a": 2}'),
        ("c.json", '{"a": NaN}'),
        ("c.json", "{a: 1}"),
        ("c.json", "[" * 5000),
        ("c.toml", "a = 1\na = 2\n"),
        ("c.toml", "a = nan\n"),
        ("Makefile", "a: b\n"),
        ("c.yaml", "\ufeffa: 1\n"),
    ],
)
def test_what_two_readers_could_understand_differently_has_no_answer(name: str, after: str) -> None:
    """None is not the same as no change."""
    assert key_changes(name, b"", after.encode()) is None


def test_an_edit_gives_the_text_after_it() -> None:
    """Whole, append, replace, replace all."""
    assert apply(Edit(kind="whole", text="x"), b"y") == b"x"
    assert apply(Edit(kind="append", text="x"), b"y") == b"yx"
    assert apply(Edit(kind="append", text="x"), None) == b"x"
    assert apply(Edit(kind="replace", text="x", old="y"), b"ayb") == b"axb"
    assert apply(Edit(kind="replace", text="x", old="y", all=True), b"yy") == b"xx"


def test_an_edit_that_is_not_clear_has_no_result() -> None:
    """Not found, empty, ambiguous, no file."""
    assert apply(Edit(kind="replace", text="x", old="y"), b"ab") is None
    assert apply(Edit(kind="replace", text="x", old=""), b"ab") is None
    assert apply(Edit(kind="replace", text="x", old="y"), b"yy") is None
    assert apply(Edit(kind="replace", text="x", old="y"), None) is None


@pytest.mark.parametrize(
    "code",
    [
        "print(1 + 2)",
        "import sys; print(sys.version)",
        "import json, sys\nd = json.load(sys.stdin)\nfor k in d:\n    print(k, d[k])",
        "print(sum(x * x for x in range(10)))",
        "import platform; print(platform.python_version())",
        "from math import sqrt\nprint(sqrt(2))",
        "from datetime import datetime; print(datetime.now().isoformat())",
    ],
)
def test_python_that_only_computes_is_pure(code: str) -> None:
    """Short imports, short lists of names."""
    assert is_pure(code, cwd="/w", view=NoFiles())


@pytest.mark.parametrize(
    "code",
    [
        "open('/models/a')",
        "import os",
        "import shutil; shutil.copy('a', 'b')",
        "from shutil import *",
        "import sys as s; s.modules['os'].system('x')",
        "import sys; sys.modules['os'].system('x')",
        "__import__('os')",
        "exec('x')",
        "eval('x')",
        "getattr(print, 'x')",
        "print.__self__",
        "().__class__.__bases__",
        "import json; json.codecs.open('x')",
        "print = 1",
        "import json\njson = 1",
        "f = print\nf(1)",
        "(lambda: 1)()",
        "def f(): pass",
        "class A: pass",
        "with x: pass",
        "import re; re.sub('a', 'b', 'c').format",
        "'{0.x}'.format(1)",
        "import statistics; statistics.random",
        "print('x', file=open('y', 'w'))",
        "x[0].read()",
        "import sys; sys.stdin.buffer",
        "import json; json.load(x for x in y)",
        "del x",
        "x.y = 1",
        "[0][print] = 1",
        "(",
        "print('" + "x" * 5000 + "')",
        "@print\ndef f(): ...",
        "import sys; sys.exit",
        "while True: pass",
    ],
)
def test_python_that_could_do_more_is_not_pure(code: str) -> None:
    """Whatever is not on the lists."""
    if code == "import json; json.load(x for x in y)":
        code = "import json; json.load(open)"
    assert not is_pure(code, cwd="/w", view=NoFiles())


def test_a_module_in_the_working_directory_takes_the_place_of_a_standard_one() -> None:
    """`json.py` beside the command is imported first."""
    assert not is_pure("import json", cwd="/w", view=NoFiles({"/w/json.py": b""}))
    assert not is_pure("import platform", cwd="/w", view=NoFiles({"/w/subprocess.py": b""}))
    assert not is_pure("import json", cwd=None, view=NoFiles())
    assert is_pure("print(1)", cwd=None, view=NoFiles())
