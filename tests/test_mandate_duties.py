"""What is owed under orders stays owed: over restarts, past the window, until it is met or taken back."""

from __future__ import annotations

import shutil
from pathlib import Path

from guardrail.mandates import MandateLedger
from guardrail.mandates._ledger import Duty
from tests.mandate_support import AGENT, Place, rules

GONE = [{"id": "gone", "effect": "delete", "asset": "model:beta"}]


def test_a_duty_outlives_a_restart_and_the_window_of_its_order(tmp_path: Path) -> None:
    """Whoever waits until the order is over has still not done it."""
    place = Place(tmp_path)
    place.order(obligations=GONE)
    with place.guard() as guard:
        assert guard.begin(AGENT) == ("m1/gone",)
    place.order(obligations=GONE, not_after="2021-01-01T00:00:00Z")
    with place.guard() as guard:
        assert guard.begin(AGENT) == ()
        ((duty,), pinned) = (guard.settle(), guard.obligations.open)
        assert (duty.id, duty.state, pinned) == ("m1/gone", "unmet", True)
        (tmp_path / "models/beta.safetensors").rename(tmp_path / "elsewhere/kept")
        (duty,) = guard.settle()
        assert any("elsewhere/kept" in line for line in duty.evidence)


def test_a_duty_that_was_met_is_not_owed_again_after_a_restart(tmp_path: Path) -> None:
    """Unless what had to go is back."""
    place = Place(tmp_path)
    place.order(obligations=GONE, grants=[{"effects": ["delete"], "assets": ["model:beta"]}])
    with place.guard() as guard:
        assert guard.check(place.bash("rm -r models"))
        shutil.rmtree(tmp_path / "models")
        assert [duty.state for duty in guard.settle()] == ["met"]
    with place.guard() as guard:
        assert guard.begin(AGENT) == ()
        assert [duty.state for duty in guard.settle()] == ["met"]
    (tmp_path / "models").mkdir()
    with place.guard() as guard:
        assert guard.begin(AGENT) == ("m1/gone",)


def test_what_was_revoked_is_owed_no_more(tmp_path: Path) -> None:
    """And the record says that it was withdrawn, and not that it was met."""
    place = Place(tmp_path)
    order = place.order(obligations=GONE)
    with place.guard() as guard:
        guard.begin(AGENT)
        assert rules(guard.check(place.bash("mv models x"))) == ["evasion.moved", "move.unsanctioned"]
        place.revocation(order=order.read_bytes())
        assert rules(guard.check(place.bash("mv models x"))) == ["move.unsanctioned"]
        (duty,) = guard.settle()
        assert (duty.state, duty.evidence) == ("withdrawn", ("its mandate was revoked",))
    with place.guard() as guard:
        assert guard.settle() == ()


def test_a_guard_without_a_trail_knows_what_is_owed_and_writes_nothing(tmp_path: Path) -> None:
    """It reads what those with one have kept."""
    ledger = MandateLedger(tmp_path / "orders.db")
    assert ledger.owe(Duty("m/d", "delete", "a", "m", "*")) == "open"
    ledger.close()
    reader = MandateLedger(tmp_path / "orders.db", readonly=True)
    reader.settle(Duty("m/d", "delete", "a", "m", "*", "met"))
    assert [duty.id for duty in reader.owed()] == ["m/d"]
    assert MandateLedger().owed() == ()
    reader.close()
