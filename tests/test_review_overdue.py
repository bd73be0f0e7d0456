"""Broken glass that nobody looks at: it is put on record, told, shown and counted, until somebody does."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from guardrail import Guard
from guardrail.analysis import Summary
from guardrail.audit._verify import read_records
from guardrail.audit.reading import Selection
from guardrail.cli import main
from guardrail.review import Case, Refused
from guardrail.review._statements import GlassStatement, ReviewStatement, sign_statement
from guardrail.service._webhooks import Webhooks
from guardrail.telemetry import Telemetry
from tests.mandate_support import AGENT, Place
from tests.review_support import vote
from tests.test_review_webhooks import Outside, endpoint

DAY_US = 24 * 3600 * 1_000_000


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place with three people."""
    return Place(tmp_path, people=("dana", "eve", "finn"))


def broken(place: Place, guard: Guard) -> Case:
    """Glass that two people have broken."""
    said = GlassStatement(
        voter="dana", t_us=guard.desk.clock(), agent=AGENT.id, ops=("exec",), assets=("model:beta",), ticket="INC-1",
        reason="fire",
    )  # fmt: skip
    case = guard.clerk.take(sign_statement(said, place.keys["dana"]))
    return guard.clerk.take(vote(case, "eve", place.keys["eve"]))


def later(guard: Guard, us: int = DAY_US + 1_000_000) -> None:
    """Let that time go by for its desk."""
    now = time.time_ns() // 1000 + us
    vars(guard.desk)["clock"] = lambda: now


def events(place: Place) -> list[str]:
    """What the trail has about broken glass, in order."""
    found = (record.get("event") for _, record in read_records(place.root / "trail") if record["kind"] == "escalation")
    return [event for event in found if event in ("opened", "overdue", "reviewed")]


class Told(Telemetry):
    """Telemetry that remembers what it was told of duties."""

    def __init__(self) -> None:
        super().__init__()
        self.duties: list[tuple[str, list[str]]] = []

    def duty(self, obligation: str, kinds: Sequence[str]) -> None:
        """Remember it, and pass it on."""
        self.duties.append((obligation, list(kinds)))
        super().duty(obligation, kinds)


def test_an_overdue_review_is_put_on_record_once_and_said_aloud(place: Place) -> None:
    """As a record and as an event of telemetry; not before its time, and not twice, after a restart either."""
    told = Told()
    with place.guard(telemetry=told) as guard:
        case = broken(place, guard)
        guard.attend()
        assert (events(place), told.duties) == (["opened"], [])
        later(guard)
        for _ in range(2):
            guard.attend()
    with place.guard(telemetry=told) as guard:
        later(guard)
        guard.attend()
    assert events(place) == ["opened", "overdue"]
    assert told.duties == [(case.held.id, ["review_overdue"])]


def test_an_overdue_review_is_told_to_those_who_want_to_know(place: Place) -> None:
    """Once, with a type of its own, and in a chat in a sentence of its own."""
    with place.guard() as guard:
        case, outside = broken(place, guard), Outside()
        hooks = Webhooks(guard.desk, [], post=outside)
        for at in (endpoint(), endpoint(name="chat", format="slack")):
            hooks.tell(at)
        outside.sent.clear()
        later(guard)
        guard.desk.remind()
        for at in (endpoint(), endpoint(name="chat", format="slack")):
            assert [hooks.tell(at) for _ in range(2)] == [1, 0]
    event, chat = (json.loads(body) for _, _, body in outside.sent)
    assert (event["type"], event["subject"]) == ("guardrail.escalation.review_overdue", case.held.id)
    assert "nobody has looked yet at the break-glass for ops-agent, by dana" in chat["text"]


def test_an_owed_review_is_listed_until_somebody_has_done_it(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Among what waits for people, on the command line; and counted in the report."""
    with place.guard() as guard:
        case = broken(place, guard)
    argv = ["escalations", "list", "--config", str(place.toml)]
    assert main(argv) == 0
    assert "review owed by" in capsys.readouterr().out
    with place.guard() as guard:
        later(guard)
        guard.attend()
        summary = Summary(Selection())
        for seq, record in read_records(place.root / "trail"):
            summary.take(seq, record)
        assert summary.to_dict()["escalations"]["reviews_overdue"] == 1
        said = ReviewStatement(voter="finn", t_us=guard.desk.clock(), escalation=case.held.id)
        guard.clerk.take(sign_statement(said, place.keys["finn"]))
        with pytest.raises(Refused, match="reviewed by `finn` already"):
            guard.clerk.take(sign_statement(said, place.keys["finn"]))
    summary = Summary(Selection())
    for seq, record in read_records(place.root / "trail"):
        summary.take(seq, record)
    assert summary.to_dict()["escalations"]["reviews_overdue"] == 0
    assert events(place) == ["opened", "overdue", "reviewed"]
    assert main(argv) == 0
    assert case.held.id not in capsys.readouterr().out


def test_telling_somebody_of_an_escalation_opens_no_other_one_in_the_report() -> None:
    """A record that a webhook was told is about an escalation that was counted before."""
    summary = Summary(Selection())
    told = {"kind": "escalation", "event": "notified", "escalation": "e", "endpoint": "h", "what": "denied"}
    for seq, event in enumerate(({"event": "opened", "held": {"id": "e"}}, {"event": "closed", "state": "expired"})):
        summary.take(seq, {"kind": "escalation", "escalation": "e", **event})
    summary.take(2, told)
    assert (summary.reviews.opened, summary.reviews.unanswered) == (1, 0)
