"""What an edit makes of a config file, key by key."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.effects import KeyChange, apply, key_changes
from guardrail.model import Edit


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
