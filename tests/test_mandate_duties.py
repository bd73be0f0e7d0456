"""What is owed under orders stays owed: over restarts, past the window, until it is met or taken back."""

from __future__ import annotations

import shutil
from pathlib import Path

from guardrail.audit._verify import read_records
from guardrail.mandates import MandateLedger
from guardrail.model import Subject, ToolCall
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
        # A long directory of the test leaves no room for all of its new name.
        assert any("moved to `" in line for line in duty.evidence), duty.evidence


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
    place = Place(tmp_path)
    place.order(obligations=GONE)
    with place.guard() as guard:
        guard.begin(AGENT)
    before = (tmp_path / "trail.orders.db").read_bytes()
    with place.guard(record=False) as guard:
        assert guard.obligations.open
        assert guard.settle()[0].id == "m1/gone"
    assert (tmp_path / "trail.orders.db").read_bytes() == before
    assert MandateLedger().duties() == ()


DELETE = [{"effects": ["delete", "api_delete"], "assets": ["model:beta"]}]


def states(place: Place) -> list[tuple[str, list[str]]]:
    """What the trail says of duties, each time that something changed."""
    found = [record for _, record in read_records(place.root / "trail") if record["kind"] == "obligation"]
    return [(record["state"], record["evidence"]) for record in found]


def test_a_deletion_in_part_is_on_record_as_soon_as_it_is_done(tmp_path: Path) -> None:
    """And so is the rest of it; from then on nothing is owed, and unknown programs run again."""
    place = Place(tmp_path)
    place.order(obligations=GONE, grants=DELETE)

    def carry_out(call: ToolCall) -> None:
        (tmp_path / str(call.args["command"]).split()[-1]).unlink()

    with place.guard() as guard:
        guard.run(place.bash("rm models/beta.safetensors"), carry_out)
        assert [state for state, _ in states(place)] == ["open", "unmet"]
        assert "only in part deleted: 1 of 2 files are gone" in states(place)[-1][1]
        assert rules(guard.check(place.bash("./unknown-program"))) == ["opaque.while_labelled"]
        guard.run(place.bash("rm models/beta-2.safetensors"), carry_out)
        (tmp_path / "models").rmdir()
        assert guard.check(place.bash("./unknown-program"))
        assert [state for state, _ in states(place)] == ["open", "unmet", "unmet", "met"]
    with place.guard() as guard:
        assert guard.begin(AGENT) == ()


def test_a_deletion_that_somebody_else_carries_out_is_seen_at_the_next_call(tmp_path: Path) -> None:
    """A harness that only asks, and then runs the tool itself."""
    place = Place(tmp_path)
    place.order(obligations=GONE, grants=DELETE)
    with place.guard() as guard:
        assert guard.check(place.bash("rm -r models"))
        assert guard.check(place.bash("ls"))
        assert [state for state, _ in states(place)] == ["open", "unmet"]
        shutil.rmtree(tmp_path / "models")
        assert guard.check(place.bash("./unknown-program"))
        assert [state for state, _ in states(place)] == ["open", "unmet", "met"]


def test_what_lives_at_an_address_only_is_not_gone_before_a_deletion_was_released(tmp_path: Path) -> None:
    """Nothing can be looked at there, which is no evidence that nothing is there."""
    place = Place(tmp_path)
    place.toml.write_text(place.toml.read_text().replace('paths = ["models"]\n', ""))
    place.order(obligations=GONE, grants=DELETE)
    with place.guard() as guard:
        guard.begin(AGENT)
        (duty,) = guard.settle()
        assert (duty.state, duty.evidence[0]) == ("unmet", "no deletion at `server://a/beta.bin` was released")
        deletion = place.tool("delete_server_file", server="a", filename="beta.bin")
        guard.run(deletion, lambda _: None)
        (duty,) = guard.settle()
        assert duty.state == "met"
        assert "cannot be seen from here" in duty.evidence[0]


def test_a_copy_is_held_whoever_owes_the_deletion_and_after_its_window(tmp_path: Path) -> None:
    """An older order for another agent lets it copy; the model is condemned all the same, until that is taken back."""
    place = Place(tmp_path)
    copying = [{"effects": ["copy"], "assets": ["model:beta"], "targets": [f"{tmp_path}/backup/**"]}]
    place.order("old", subject="helper", grants=copying)
    order = place.order(obligations=GONE, grants=DELETE)
    helper = Subject(id="helper")
    copy = place.bash("cp models/beta.safetensors backup/", subject=helper)
    with place.guard() as guard:
        assert guard.check(copy)
        guard.begin(AGENT)
        assert rules(guard.check(copy)) == ["sequence.copy_under_delete_order"]
    place.order(obligations=GONE, grants=DELETE, not_after="2021-01-01T00:00:00Z")
    with place.guard() as guard:
        assert rules(guard.check(copy)) == ["sequence.copy_under_delete_order"]
        place.revocation(order=order.read_bytes())
        assert guard.check(copy)


def test_a_service_that_has_to_be_called_is_owed_until_it_is(tmp_path: Path) -> None:
    """Starting it is not calling it; unknown programs run meanwhile; a restart remembers that it was called."""
    place = Place(tmp_path, more='[[asset]]\nid = "service:off"\nclass = "control"\nuris = ["systemd:off.service"]\n')
    grants = [{"effects": ["service"], "assets": ["service:off"]}]
    place.order(grants=grants, obligations=[{"id": "call", "effect": "service", "asset": "service:off"}])
    with place.guard() as guard:
        assert guard.begin(AGENT) == ("m1/call",)
        assert guard.check(place.bash("./unknown-program"))
        guard.run(place.bash("systemctl start off.service"), lambda _: None)
        assert [duty.state for duty in guard.settle()] == ["unmet"]
        guard.run(place.bash("systemctl stop off.service"), lambda _: None)
        assert states(place)[-1] == ("met", ["`service` was released by the guard"])
    with place.guard() as guard:
        assert guard.begin(AGENT) == ()
        assert [duty.state for duty in guard.settle()] == ["met"]
