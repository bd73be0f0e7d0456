"""The trail is the truth: a crash in any state, or the loss of the index, changes nothing of what is owed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from benchmarks.obligations import measure
from guardrail import Guard
from guardrail.audit._verify import read_records
from guardrail.config import load
from guardrail.errors import Fault
from guardrail.obligations._duty import Duty
from guardrail.obligations._reading import read_duties
from guardrail.obligations._replay import Folded
from tests.duty_support import AGENT, DUTY, Retirement, duty_of, only
from tests.mandate_support import AGENT as HELPER
from tests.mandate_support import Place

FIRST = "models/beta/model-00001-of-00002.safetensors"


@pytest.fixture(autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores of models are looked for in the home, which is nobody's here."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


def nothing(place: Retirement, guard: Guard) -> None:
    """The duty is taken up and that is all."""


def refused(place: Retirement, guard: Guard) -> None:
    guard.end(AGENT, claim="refused")


def asked(place: Retirement, guard: Guard) -> None:
    place.order(grants=[{"effects": ["delete"], "assets": ["model:beta"], "approval": True}])
    assert not guard.check(place.bash("rm -r models/beta"))


def allowed(place: Retirement, guard: Guard) -> None:
    assert guard.check(place.bash("rm -r models/beta"))


def in_part(place: Retirement, guard: Guard) -> None:
    guard.run(place.bash(f"rm {FIRST}"), lambda call: place.sh(str(call.args["command"])))


def moved(place: Retirement, guard: Guard) -> None:
    place.sh(f"mv {FIRST} elsewhere/x")
    guard.settle()


def deleted(place: Retirement, guard: Guard) -> None:
    place.delete(guard)


def searched(place: Retirement, guard: Guard) -> None:
    place.delete(guard)
    guard.settle()


def unproven(place: Retirement, guard: Guard) -> None:
    searched(place, guard)

    def fails(*_: object) -> None:
        raise Fault("the key cannot be read")

    prove, guard.obligations.prove = guard.obligations.prove, fails  # type: ignore[method-assign]
    with pytest.raises(Fault):
        guard.settle()
    guard.obligations.prove = prove  # type: ignore[method-assign]
    assert duty_of(guard).stage == "absent_2"


def discharged(place: Retirement, guard: Guard) -> None:
    searched(place, guard)
    guard.settle()


def erased(place: Retirement, guard: Guard) -> None:
    place.word()
    guard.settle()


def back(place: Retirement, guard: Guard) -> None:
    place.sh(f"cp -r models/beta {place.away}/kept")
    discharged(place, guard)
    place.sh(f"cp -r {place.away}/kept models/beta")
    guard.settle()


STATES: list[tuple[Callable[[Retirement, Guard], None], str]] = [
    (nothing, "open"), (refused, "open"), (asked, "attempted"), (allowed, "attempted"), (in_part, "attempted"),
    (moved, "open"), (deleted, "effect_seen"), (searched, "absent_1"), (unproven, "absent_2"),
    (discharged, "discharged"), (erased, "absent_1"), (back, "attempted"),
]  # fmt: skip


def crash(place: Retirement, guard: Guard) -> None:
    """End a guard as a crash would: what it writes when it is closed is not there afterwards."""
    image = place.root.with_name("image")
    image.mkdir()
    for name in place.root.glob("trail*"):
        (shutil.copytree if name.is_dir() else shutil.copy)(name, image / name.name)
    guard.close()
    for name in place.root.glob("trail*"):
        shutil.rmtree(name) if name.is_dir() else name.unlink()
    for name in image.iterdir():
        name.rename(place.root / name.name)


ENDINGS = [
    pytest.param(deed, stage, ending, id=f"{deed.__name__}-{ending}")
    for deed, stage in STATES
    for ending in ("crash", "no index", *(["closed"] if deed in (in_part, searched, back) else []))
]


@pytest.mark.parametrize(("deed", "stage", "ending"), ENDINGS)
def test_a_restart_in_any_state_loses_nothing(
    tmp_path: Path, deed: Callable[[Retirement, Guard], None], stage: str, ending: str
) -> None:
    """Killed, closed, or with the index thrown away: the duty is the same, to the last field."""
    place = Retirement(tmp_path / "place")
    guard = place.guard()
    guard.begin(AGENT)
    deed(place, guard)
    known = duty_of(guard)
    assert known.stage == stage
    if ending == "crash":
        crash(place, guard)
    else:
        guard.close()
    if ending == "no index":
        for file in place.root.glob("trail.orders.db*"):
            file.unlink()
    assert plain(read_duties(load(place.toml))[DUTY]) == plain(known)
    with place.guard() as guard:
        assert plain(duty_of(guard)) == plain(known)
        guard.begin(AGENT)
        # It goes on from there.
        if known.is_owed and stage != "open" and place.model.exists():
            place.sh("rm -rf models/beta elsewhere/*")
        if place.model.exists() or list(place.elsewhere.iterdir()):
            assert only(guard.settle()).state == "unmet"
        else:
            assert only(guard.settle()).state == "met"
            for _ in range(2):
                guard.settle()
            assert duty_of(guard).stage == "discharged"


def plain(duty: Duty) -> object:
    """All of it; of two records about an attempt and a look that raced, which was last does not matter."""
    return msgspec.to_builtins(msgspec.structs.replace(duty, last_seq=0))


def test_what_was_withdrawn_stays_so(tmp_path: Path) -> None:
    """Also where the index is lost, and the file of the revocation as well: it is in the trail."""
    place = Place(tmp_path)
    order = place.order(obligations=[{"id": "gone", "effect": "delete", "asset": "model:beta"}])
    with place.guard() as guard:
        guard.begin(HELPER)
        revocation = place.revocation(order=order.read_bytes())
        assert [duty.state for duty in guard.settle()] == ["withdrawn"]
    revocation.unlink()
    for file in tmp_path.glob("trail.orders.db*"):
        file.unlink()
    with place.guard() as guard:
        assert guard.begin(HELPER) == ()
        assert guard.settle() == ()
        assert not guard.check(place.bash("rm -r models"))


def test_uses_that_were_counted_are_counted_again_from_the_trail(tmp_path: Path) -> None:
    """Whoever removes the index has not got another use."""
    place = Place(tmp_path)
    place.order(grants=[{"effects": ["delete"], "assets": ["model:beta"], "uses": 2}])
    with place.guard() as guard:
        assert guard.check(place.bash("rm models/beta.safetensors"))
    for file in tmp_path.glob("trail.orders.db*"):
        file.unlink()
    with place.guard() as guard:
        (use,) = guard.check(place.bash("rm models/beta.safetensors")).mandates
        assert (use.use, use.of) == (2, 2)
        assert not guard.check(place.bash("rm models/beta.safetensors"))


def test_a_duty_that_the_trail_does_not_know_is_owed_all_the_same(tmp_path: Path) -> None:
    """A trail that was begun anew is no way out."""
    place = Retirement(tmp_path)
    with place.guard() as guard:
        guard.begin(AGENT)
    shutil.rmtree(tmp_path / "trail")
    for _ in range(2):
        with place.guard() as guard:
            assert only(guard.settle()).state == "unmet"


def test_a_record_that_makes_no_sense_is_counted_and_left(tmp_path: Path) -> None:
    """A trail of another version, or damaged where nobody looked yet."""
    place = Retirement(tmp_path)
    with place.guard() as guard:
        guard.begin(AGENT)
        assert guard.trail is not None
        for what in ({"event": "nonsense"}, {"event": "looked"}, 7):
            guard.trail.append({"kind": "obligation", "obligation": "x/y", "n": 1, "what": what})
        guard.trail.append({"kind": "order", "mandate": "m"})
        known = duty_of(guard)
        folded = Folded().take_all(read_records(tmp_path / "trail"))
        assert (folded.unread, set(folded.duties)) == (4, {DUTY})
        assert plain(folded.duties[DUTY]) == plain(known)


def test_a_clean_start_reads_nothing_of_a_long_trail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash it reads from the oldest duty that is not ended, and no segment before."""
    place = Retirement(tmp_path)
    with place.guard() as guard:
        assert guard.trail is not None
        for _ in range(50):
            guard.trail.append({"kind": "note"}, durable=False)
        guard.begin(AGENT)
        opened = duty_of(guard).opened_seq
    from guardrail.audit import _verify

    asked: list[int] = []
    read = _verify.read_records

    def reading(directory: Path, first: int = 0) -> object:
        asked.append(first)
        return read(directory, first)

    monkeypatch.setattr(_verify, "read_records", reading)
    guard = place.guard()
    assert asked == []
    guard.check(place.bash("ls"))
    crash(place, guard)
    with place.guard():
        assert asked == [opened]


def test_many_calls_at_once_are_each_counted_once_and_the_trail_agrees(tmp_path: Path) -> None:
    """Eight threads that try it while others look; in memory, in the trail and in the index it is the same."""
    place = Retirement(tmp_path)
    place.order(grants=[{"effects": ["delete"], "assets": ["model:beta"], "approval": True}])
    with place.guard() as guard, ThreadPoolExecutor(10) as pool:
        guard.begin(AGENT)
        running: list[Future[object]] = [
            pool.submit(guard.check, place.bash("rm -r models/beta", session=f"s{number}")) for number in range(24)
        ]
        running += [pool.submit(guard.settle) for _ in range(4)]
        running += [pool.submit(guard.end, AGENT, session=f"t{number}", claim="refused") for number in range(4)]
        for one in running:
            one.result(timeout=120)
        known = duty_of(guard)
        assert known.attempts == {"escalate": 24}
        assert [one.kind for one in known.violations] == ["refused"] * 4
        folded = Folded().take_all(read_records(tmp_path / "trail")).duties[DUTY]
        assert plain(folded) == plain(known)
    with place.guard() as guard:
        assert plain(duty_of(guard)) == plain(known)


def test_the_benchmark_measures_what_it_says(tmp_path: Path) -> None:
    """A small run of `python -m benchmarks.obligations`; it checks that the deletion was proven."""
    rows = measure(tmp_path, files=300, records=100, model_bytes=10_000)
    assert all(value > 0 for value in rows.values())
    assert "search 2 (files/s)" in rows


def test_a_crash_between_the_trail_and_the_index_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is there and the index does not know of it: the next start reads it."""
    place = Retirement(tmp_path / "place")
    guard = place.guard()
    guard.begin(AGENT)

    def fails(duty: object) -> None:
        raise Fault("the disk is full")

    monkeypatch.setattr(guard.obligations._kept, "keep_duty", fails)
    with pytest.raises(Fault, match="the disk is full"):
        guard.end(AGENT, claim="refused")
    monkeypatch.undo()
    crash(place, guard)
    with place.guard() as guard:
        # What could not be noted was not followed by anything: the look is there, the refusal is said again.
        assert duty_of(guard).looked
        assert only(guard.end(AGENT, claim="refused")).kinds == ("refused",)
