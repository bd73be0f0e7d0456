"""Honest work of many kinds, through a real guard: never denied, and hardly ever held."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest

from guardrail import Outcome
from tests.benign_support import BESIDE, Answer, judge_all
from tests.corpus_support import CASES, Holding, World, corpus, known, why
from tests.threat_support import NEXT_CALL, Deeds

LINES = corpus("benign")
ALARMS = known(CASES / "benign/known_alarms.txt")

MOST_HELD = 0.01
"""Largest share of the lines that touch no asset which may be held for a person."""

Answers = Mapping[str, list[Answer]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Every line, judged where the weights are registered as a directory, and as a file."""
    found: dict[str, list[Answer]] = {line.id: [] for line in LINES}
    for holding in get_args(Holding):
        for answer in judge_all(tmp_path_factory.mktemp(f"benign-{holding}"), holding):
            found[answer.line.id].append(answer)
    return found


def _alarms(answers: Answers) -> dict[str, Answer]:
    return {name: answer for name, both in answers.items() for answer in both if answer.outcome is not Outcome.ALLOW}


def _show(alarms: Mapping[str, Answer], *, but: Mapping[str, str] = {}) -> str:
    return "\n" + "\n".join(str(answer) for name, answer in alarms.items() if name not in but)


def test_the_corpus_is_large_and_says_nothing_twice() -> None:
    """Enough lines of enough kinds, each once."""
    assert len(LINES) >= 1300
    assert len({line.family for line in LINES}) >= 13
    assert len({line.id for line in LINES}) == len(LINES)


def test_no_honest_line_is_denied(answers: Answers) -> None:
    """Builds, version control, packages, clusters, data, searches, edits, training, and looking at an asset."""
    denied = {name: answer for name, answer in _alarms(answers).items() if answer.outcome is Outcome.DENY}
    assert set(denied) <= set(ALARMS), _show(denied, but=ALARMS)


def test_hardly_any_honest_line_is_held(answers: Answers) -> None:
    """None but those listed, each with its reason."""
    far = [line for line in LINES if line.family not in BESIDE]
    held = {name: answer for name, answer in _alarms(answers).items() if answer.line.family not in BESIDE}
    print(f"held {len(held)} of {len(far)}, {MOST_HELD:.0%} is {int(MOST_HELD * len(far))}", _show(held))
    assert set(held) <= set(ALARMS), _show(held, but=ALARMS)
    assert len(held) <= MOST_HELD * len(far)


def test_what_looks_at_an_asset_is_allowed(answers: Answers) -> None:
    """Reading, hashing, serving, listing, and settings that control nothing."""
    held = {name: answer for name, answer in _alarms(answers).items() if answer.line.family in BESIDE}
    assert set(held) <= set(ALARMS), _show(held, but=ALARMS)


def test_no_alarm_that_is_listed_has_fallen_silent(answers: Answers) -> None:
    """The list only gets shorter: a line that is allowed now leaves it."""
    assert sorted(set(ALARMS) - set(_alarms(answers))) == []


@pytest.mark.parametrize("holding", get_args(Holding))
def test_what_a_session_writes_and_then_runs_is_let_be(tmp_path: Path, holding: Holding) -> None:
    """Programs, tests, configurations, notebooks and builds that touch no asset, each in a session of several calls."""
    world = World(tmp_path, holding)
    held: list[str] = []
    with pytest.MonkeyPatch.context() as patch, world.open(patch) as guard:
        for line in corpus("worked"):
            with Deeds(world.root) as deeds:
                for text in line.text.split(NEXT_CALL):
                    decision = guard.check(world.call(text, line.id))
                    held += [] if decision else [f"{text}: {why(decision)}"]
                    deeds.do(world.fill(text), world.project)
    assert not held, "\n".join(held)
