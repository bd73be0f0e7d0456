"""Our parser beside bash and shfmt, over every line of every corpus: what is accepted, and which words it has."""

from __future__ import annotations

import collections
import os
from typing import Final

import pytest

from guardrail.parse import parse_shell
from guardrail.parse.ir import Script
from tests import shfmt_support as peers
from tests import truth_support
from tests.corpus_support import CASES, World, corpus, encoded, lines_of
from tests.threat_support import threats

pytestmark = pytest.mark.slow

MOST_REJECTED: Final = 0.012
"""Largest share of the valid texts that may be opaque."""

DIFFERENT: Final = {
    "a `b \\`c d\\`` e": "shfmt ends the inner word with the backslash of the inner backtick",
}
"""Texts of which shfmt and we have other words, and who is right."""


def _texts() -> list[str]:
    found = [line.text for line in corpus("benign")]
    found += [encoded(call) for threat in threats() for call in threat.calls]
    found += [case.text for path in truth_support.corpora() for case in truth_support.cases(path)]
    for name in ("places", "quiet"):
        path = CASES / f"effects/{name}.txt"
        found += [line.text.replace("{c}", "cp /models/a /tmp/x") for line in lines_of(path)]
    found += [line.text for line in lines_of(CASES / "parse/odd.txt")]
    return list(dict.fromkeys(_placed(text) for text in found))


def _placed(text: str) -> str:
    """A line of a corpus with a plain path for each place, and without its own directory."""
    if text.startswith("@{"):
        text = text.partition(" ")[2]
    for mark in World.MARKS:
        text = text.replace(mark, f"/srv/{mark[1:-1]}")
    return text


TEXTS: Final = _texts()


@pytest.fixture(scope="module")
def trees() -> dict[str, Script]:
    """What our parser makes of every text."""
    return {text: parse_shell(text) for text in TEXTS}


@pytest.fixture(scope="module")
def shfmt() -> str:
    """The other parser; where there is none these tests say so, and in CI that is a failure."""
    program = peers.shfmt()
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("shfmt is not installed: it comes with requirements/test.txt")
        pytest.skip("shfmt is not installed: it comes with requirements/test.txt")
    return program


def test_there_is_enough_to_compare() -> None:
    """Thousands of texts, among them hundreds of oddities."""
    assert len(TEXTS) >= 4500
    assert len(lines_of(CASES / "parse/odd.txt")) >= 280


def test_a_text_is_accepted_exactly_if_bash_would_run_it(trees: dict[str, Script]) -> None:
    """But for a few that are valid, and opaque: they say that they are not understood."""
    valid = dict(zip(TEXTS, peers.valid_in_bash(TEXTS), strict=True))
    reasons = {text: peers.opaque(tree) for text, tree in trees.items()}
    wrong = [text for text in TEXTS if not valid[text] and not reasons[text]]
    assert wrong == [], "accepted, and bash would not run them"
    rejected = collections.Counter(reasons[text] for text in TEXTS if valid[text] and reasons[text])
    print(f"opaque: {rejected.total()} of {sum(valid.values())} valid texts:", dict(rejected))
    assert rejected.total() <= MOST_REJECTED * sum(valid.values())


def test_the_words_of_every_command_are_those_of_another_parser(trees: dict[str, Script], shfmt: str) -> None:
    """A text whose words differ has to be opaque: none is wrong in silence."""
    theirs = dict(zip(TEXTS, peers.commands_by_shfmt(shfmt, TEXTS), strict=True))
    compared = [text for text in TEXTS if theirs[text] is not None and not peers.opaque(trees[text])]
    different = {text for text in compared if peers.commands_of_ours(trees[text]) != theirs[text]}
    print(f"compared {len(compared)} texts, different {len(different)}")
    assert len(compared) >= 0.95 * len(TEXTS)
    assert sorted(different - set(DIFFERENT)) == []
    assert sorted(set(DIFFERENT) - different) == [], "no longer different: take it out of the list"


def test_a_word_without_expansions_is_what_bash_makes_of_it(trees: dict[str, Script]) -> None:
    """Quotes, escapes and `$'…'`, in every plain word of every text."""
    plain = {raw: value for tree in trees.values() for raw, value in peers.plain_words(tree)}
    words = list(plain)
    printed = peers.printed_by_bash(words)
    assert len(words) >= 3000
    assert [(raw, plain[raw], said) for raw, said in zip(words, printed, strict=True) if plain[raw] != said] == []
