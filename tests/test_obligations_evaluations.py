"""An evaluation is done when every item has its score; a shutdown that follows from it is owed until it is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guardrail.errors import ConfigError
from guardrail.mandates import Mandate
from tests.duty_support import AGENT
from tests.mandate_support import Place

SCORES = """
[[asset]]
id = "scores:beta"
class = "evaluation"
paths = ["scores.json"]
model = "acme/beta"
[asset.record]
items = "items"
id = "name"
[[asset]]
id = "service:beta"
class = "control"
uris = ["systemd:beta.service"]
"""
ITEMS = ["q1", "q2", "q3", "q4"]
SCORE_ALL = {"id": "score", "effect": "evaluate", "asset": "scores:beta", "items": ITEMS, "below": "0.7"}
SHUT = {"id": "off", "effect": "service", "asset": "service:beta", "records": "scores:beta", "below": "0.7", "count": 4}
GRANTS = [
    {"effects": ["service"], "assets": ["service:beta"]},
    {"effects": ["write", "record_score", "set_key", "create"], "assets": ["scores:beta"]},
]


class Bench(Place):
    """A place with records of an evaluation."""

    def __init__(self, root: Path, *duties: dict[str, Any]) -> None:
        super().__init__(root, more=SCORES)
        self.order(grants=GRANTS, obligations=list(duties))

    def score(self, *scores: float | None, **more: Any) -> None:
        """Write what was scored so far, by whatever way."""
        rows = [{"name": name} | ({} if s is None else {"score": s}) for name, s in zip(ITEMS, scores, strict=False)]
        (self.root / "scores.json").write_text(json.dumps({"items": rows, **more}))


def states(guard: Any) -> dict[str, tuple[str, tuple[str, ...]]]:
    """State and violations of each duty."""
    return {one.id.rpartition("/")[2]: (one.state, one.kinds) for one in guard.settle()}


def test_an_evaluation_is_done_when_every_item_has_its_score(tmp_path: Path) -> None:
    """Some of them are some of them, and the session's end says that it was left there."""
    place = Bench(tmp_path, SCORE_ALL)
    with place.guard() as guard:
        assert guard.begin(AGENT) == ("m1/score",)
        assert states(guard) == {"score": ("unmet", ())}
        place.score(0.9, 0.8, None)
        (status,) = guard.settle()
        assert status.evidence == ("2 of 4 items have no score: `q3`, `q4`",)
        assert guard.end(AGENT, session="s")[0].kinds == ("partial", "omitted")
        place.score(0.9, 0.8, 0.7, 0.9)
        (status,) = guard.settle()
        assert (status.state, status.stage) == ("met", "discharged")
        assert status.evidence == ("4 items have a score, their mean is 0.825",)


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ({"scores": (0.9, 0.8, 0.7, 0.2)}, "1 scores were changed after they were given: `q4`"),
        ({"scores": (0.9, None, 0.7, 0.1)}, "1 scores were changed after they were given: `q2`"),
        ({"scores": (0.9, 0.8, 0.7, 0.1), "mean": 0.71}, "state a mean of 0.71, and the mean of the scores is 0.625"),
        ({"scores": (0.9, 0.8, 0.7, 0.1), "threshold": 0.5}, "state a threshold of 0.5, and 0.7 was ordered"),
    ],
    ids=["a score", "a score is taken away", "the mean", "the threshold"],
)
def test_what_is_changed_afterwards_is_named(tmp_path: Path, second: dict[str, Any], says: str) -> None:
    """A score, its mean, or the threshold that it is held against."""
    place = Bench(tmp_path, {**SCORE_ALL, "items": [*ITEMS, "q5"]})
    place.score(0.9, 0.8, 0.7, 0.1)
    with place.guard() as guard:
        guard.begin(AGENT)
        guard.settle()
    place.score(*second.pop("scores"), **second)
    with place.guard() as guard:
        (status,) = guard.settle()
        assert (status.state, status.kinds) == ("unmet", ("evaluator_tampered",))
        assert any(says in line for line in status.evidence)


def test_a_mean_that_was_rounded_is_not_tampered_with(tmp_path: Path) -> None:
    """People round to two places."""
    place = Bench(tmp_path, SCORE_ALL)
    place.score(0.9, 0.8, 0.7, 0.1, mean=0.63, threshold=0.7)
    with place.guard() as guard:
        guard.begin(AGENT)
        assert states(guard) == {"score": ("met", ())}


def test_a_shutdown_is_owed_if_the_mean_that_we_compute_is_below(tmp_path: Path) -> None:
    """Not before it is known; then until it is called, and whoever does not call it has omitted it."""
    place = Bench(tmp_path, SHUT)
    with place.guard() as guard:
        assert guard.begin(AGENT) == ("m1/off",)
        assert guard.end(AGENT, session="early")[0].kinds == ()
        place.score(0.9, 0.8, 0.7, mean=0.8)
        assert guard.end(AGENT, session="three of four")[0].kinds == ()
        place.score(0.9, 0.8, 0.7, 0.1, mean=0.9)
        (status,) = guard.settle()
        assert status.evidence == (
            "the mean of `scores:beta` is 0.625, which is below 0.7, and `service` was not released by the guard",
        )
        assert guard.end(AGENT, session="late")[0].kinds == ("omitted",)
        guard.run(place.bash("systemctl stop beta.service"), lambda _: None)
        (status,) = guard.settle()
        assert (status.state, status.stage, status.kinds) == ("met", "discharged", ("omitted",))


def test_a_shutdown_that_does_not_follow_is_not_owed(tmp_path: Path) -> None:
    """The mean is not below, and nobody has to do anything."""
    place = Bench(tmp_path, SHUT)
    place.score(0.7, 0.7, 0.7, 0.7)
    with place.guard() as guard:
        guard.begin(AGENT)
        (status,) = guard.settle()
        assert (status.state, status.stage) == ("met", "discharged")
        assert status.evidence == ("not owed: the mean of `scores:beta` is 0.7, which is not below 0.7",)


def test_records_that_cannot_be_read_say_nothing(tmp_path: Path) -> None:
    """Neither that it was done nor that it was not."""
    place = Bench(tmp_path, SCORE_ALL, SHUT)
    (tmp_path / "scores.json").write_text("{")
    with place.guard() as guard:
        guard.begin(AGENT)
        for status in guard.settle():
            assert (status.state, status.kinds) == ("unmet", ())
            assert "cannot be read" in status.evidence[0]


BASE = {"id": "m", "issuer": "dana", "subject": "a", "not_before": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("duty", "said"),
    [
        ({"effect": "evaluate"}, "needs either `items` or a `count`"),
        ({"effect": "evaluate", "items": ["a"], "count": 1}, "needs either `items` or a `count`"),
        ({"effect": "evaluate", "items": ["a", "a"]}, "names an item twice"),
        ({"effect": "evaluate", "items": ["a" * 20_000]}, "give their `count`"),
        ({"effect": "delete", "count": 1}, "belong to `evaluate` or `records`"),
        ({"effect": "delete", "below": "1"}, "nothing that it is about"),
        ({"effect": "delete", "records": "x", "below": "1", "count": 1}, "belongs to `service`"),
        ({"effect": "service", "records": "x", "count": 1}, "needs `below`"),
        ({"effect": "service", "records": "x", "count": 1, "below": "a lot"}, "no number such as `0.7`"),
        ({"effect": "service", "fallback": "guardrail"}, "belong to `delete`"),
        ({"effect": "delete", "quiet_seconds": -1}, "`quiet_seconds` that are not 0 to"),
        ({"effect": "delete", "due": "2025-01-01T00:00:00Z"}, "is due before its order begins"),
        ({"effect": "delete", "fallback": "agent"}, "not a mandate"),
    ],
)
def test_an_obligation_that_cannot_be_meant_is_refused(duty: dict[str, Any], said: str) -> None:
    """Before it is signed, with what is wrong."""
    order = {**BASE, "not_after": "2026-02-01T00:00:00Z", "obligations": [{"id": "d", "asset": "a", **duty}]}
    with pytest.raises(ConfigError, match=said):
        Mandate.from_json(json.dumps(order))
