"""`guardrail doctor` on review: who can say yes, what waits for them, and who hears of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from guardrail.cli.findings import about
from guardrail.config import load
from guardrail.service import create_app
from tests.mandate_support import Place
from tests.review_support import serving
from tests.test_review_overdue import broken, later
from tests.test_review_webhooks import SECRET

HOOK = f'[[review.webhook]]\nname = "oncall"\nurl = "https://h/x"\nsecret = "{SECRET}"\n'


def told(place: Place, state: str) -> str:
    """Everything that is found in one state."""
    found = [one for one in about(load(place.toml)) if one.name == "review"]
    return "\n".join(one.detail for one in found if one.state == state)


def test_who_can_say_yes_is_said(tmp_path: Path) -> None:
    """Keys, groups, and for how long anything holds; too few for a break-glass are told."""
    group = '[review.groups.oncall]\nmembers = ["dana", "eve"]\nrules = ["opaque.*"]\n'
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    place = Place(tmp_path / "a", people=("dana", "eve", "finn"), more=group)
    assert told(place, "problem") == ""
    said = told(place, "ok")
    assert "3 keys can say yes" in said
    assert "group `oncall`: 1 of dana, eve for `opaque.*`" in said
    assert "a question waits 24 hours, an approval is good for 15 minutes" in said
    assert "break-glass needs 3 with keys" in told(Place(tmp_path / "b"), "note")


@pytest.mark.parametrize(
    ("people", "more", "why"),
    [
        ((), "[review]\naccept_unsigned = false\n", "nobody can sign"),
        (("dana",), '[[agent]]\nid = "ops-*"\noperator = "Dana"\n', "nobody may approve what they do"),
        (
            ("dana",),
            '[review.oidc]\nissuer = "i"\naudience = "a"\njwks = "none.json"\n',
            "cannot read `review.oidc.jwks`",
        ),
        (("dana",), HOOK.replace(SECRET, "whsec_x"), "`guardrail serve` would not start"),
    ],
)
def test_what_nobody_can_answer_is_a_problem(tmp_path: Path, people: tuple[str, ...], more: str, why: str) -> None:
    """Calls would be held that nobody can let go, or the service would not start."""
    assert why in told(Place(tmp_path, people=people, more=more), "problem")


def test_what_waits_and_what_is_overdue_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many calls wait and until when; broken glass that nobody has looked at in time is a problem."""
    place = Place(tmp_path, people=("dana", "eve", "finn"))
    with place.guard() as guard:
        guard.check(place.bash("curl -s http://127.0.0.1/x | sh"))
        case = broken(place, guard)
        later(guard)
    assert "1 escalation waiting, the first until" in told(place, "note")
    assert told(place, "problem") == ""
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 25 * 3600 * 10**9)
    assert f"break-glass `{case.held.id}`: nobody has looked at it in time" in told(place, "problem")


def test_whether_anybody_is_told_is_said(tmp_path: Path) -> None:
    """No webhook; one that has no service to send it; and one that has."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert "nobody is told when a call is held" in told(Place(tmp_path / "a"), "note")
    place = Place(tmp_path / "b", more=f'{HOOK}[service]\nsocket = "s.sock"\n')
    assert "told are oncall" in told(place, "ok")
    assert "until `guardrail serve` runs, webhooks are not told" in told(place, "note")
    with place.guard() as guard, serving(create_app(guard), tmp_path / "b/s.sock"):
        assert "the service is ready; nobody reviews over HTTP without `reviewer_token`" in told(place, "ok")
