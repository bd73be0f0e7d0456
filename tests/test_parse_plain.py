"""The short way through plain texts gives the trees that the parser gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.effects.catalogue._spec import specs
from guardrail.parse._plain import plain_command
from guardrail.parse._shell import parse_by_grammar
from guardrail.parse.ir import Opaque, Script

CASES = Path(__file__).parent / "cases/effects"


def by_parser(text: str) -> Script | None:
    """The tree that the parser gives; None where it vouches for none."""
    script = parse_by_grammar(text)
    return None if any(isinstance(statement, Opaque) for statement in script.body) else script


def corpus() -> list[str]:
    """Every line of the case files, and the examples of every spec."""
    lines = [line for file in CASES.glob("*.txt") for line in file.read_text(encoding="utf-8").splitlines()]
    lines += [line.replace("{c}", "cp /models/a /tmp/x") for line in lines]
    return [*lines, *(example[0] for spec in specs().values() for example in spec.entry.match)]


def test_the_short_way_gives_the_trees_of_the_parser() -> None:
    """On every text of the corpus that is plain; and many are."""
    known = {text: plain_command(text) for text in corpus() if text.isascii()}
    found = {text: script for text, script in known.items() if script is not None}
    assert len(found) > len(known) / 4
    for text, script in found.items():
        assert by_parser(text) in (script, None), text


PIECE = st.sampled_from(
    [
        "a",
        "ls",
        "-x",
        "/m/a",
        "x=1",
        "'a b'",
        '"c d"',
        "''",
        '""',
        "a'b'",
        "2",
        ":",
        "time",
        "if",
        "in",
        "+",
        "%1",
        "-",
        "echo",
        "$x",
        '"$x"',
        "*.py",
        "~/a",
        "a?",
        ">x",
        "2>&1",
        "2>/dev/null",
        "&>x",
        "<a",
        "A=b",
        "x=",
        "x+=1",
        "3>",
        "a2>x",
    ]
)
GLUE = st.sampled_from([" ", "  ", " | ", "|", " && ", "||", " ; ", ";", " & ", "\n", " > ", "=", "\t", "\\", "$", "*"])


@settings(max_examples=1000)
@given(parts=st.lists(st.tuples(PIECE, GLUE), max_size=8), last=PIECE)
def test_whatever_is_plain_is_read_as_the_parser_reads_it(parts: list[tuple[str, str]], last: str) -> None:
    """Words, quotes and operators in any order, and things that are not plain between them."""
    text = "".join(word + glue for word, glue in parts) + last
    script = plain_command(text)
    if script is not None:
        assert by_parser(text) in (script, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ls",
        "ls >$x",
        "ls >x y",
        "ls ${x}",
        "a=$b ls",
        "a=1",
        "ls > >(cat)",
        "ls <<x",
        "$x a",
        "if a",
        "export A=1",
        "ls # x",
        "ls &",
        "a ;; b",
        "a |& b",
        "ls \\\na",
        "[ a ]",
        "é",
    ],
)
def test_what_is_not_plain_goes_to_the_parser(text: str) -> None:
    """Anything that is expanded, redirected, nested or has a rule of its own."""
    assert plain_command(text) is None


def test_a_text_that_is_not_plain_is_told_in_linear_time() -> None:
    """Quotes without an end, and separators without words."""
    for text in ("a " * 500 + "'", "'a'" * 300 + '"', "a;" * 500 + "&", "a" * 1000 + "$"):
        assert plain_command(text[:1024]) is None
