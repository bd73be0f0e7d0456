"""What guards have in common through a database, and what each does when the way to it is cut."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from guardrail import Guard, Outcome
from guardrail.audit import verify
from guardrail.audit._verify import read_records
from guardrail.central import _people
from guardrail.central._follower import JITTER, LATE, LONGEST_SECONDS, Follower
from guardrail.cli import main
from guardrail.config import load
from guardrail.service._readiness import Readiness
from guardrail.telemetry import Telemetry
from tests.central_support import (
    AT_ONCE_SECONDS,
    DELETE,
    PATIENT_SECONDS,
    POLL_SECONDS,
    SELDOM_SECONDS,
    Fleet,
    allows,
    directory_of,
    fleet,
    metrics,
    quietly,
    stands,
    tables,
    until,
    wire,
)
from tests.postgres_support import Cluster, Wire

TIMEOUT_SECONDS = 1.0
"""Longest wait of a guard whose centre hangs."""

__all__ = ["fleet", "tables", "wire"]


# ── orders ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_counts_everywhere_at_once_and_so_does_its_revocation(fleet: Fleet) -> None:
    """Nobody copies a file to a guard; a notification wakes each of them."""
    with fleet.guard("a", poll=SELDOM_SECONDS) as a, fleet.guard("b", poll=SELDOM_SECONDS) as b:
        assert not allows(a, fleet)
        for publish, counts in ((fleet.order, True), (fleet.revoke, False)):
            begun = time.monotonic()
            publish()
            assert all(until(lambda one=one, counts=counts: allows(one, fleet) is counts) for one in (a, b))
            assert time.monotonic() - begun < AT_ONCE_SECONDS


def test_a_lost_notification_costs_one_poll(postgres: Cluster, fleet: Fleet) -> None:
    """News that nobody is told of are found all the same."""
    envelope = fleet.signed().hex()
    with fleet.guard("a") as guard:
        quietly(postgres, fleet.store, f"insert into guardrail.mandates (envelope) values ('\\x{envelope}')")
        assert until(lambda: allows(guard, fleet))


def test_an_order_that_is_changed_in_the_database_counts_nowhere(postgres: Cluster, fleet: Fleet) -> None:
    """The rows are transport: what counts is the signature, which is verified where the order is read."""
    fleet.order()
    forged: dict[str, Any] = json.loads(fleet.signed())
    wider = base64.b64decode(forged["payload"]).replace(b'"ops-*"', b'"*"')
    changed = json.dumps({**forged, "payload": base64.b64encode(wider).decode()}).encode()
    with fleet.guard("a") as guard:
        assert until(lambda: allows(guard, fleet))
        quietly(postgres, fleet.store, f"update guardrail.mandates set envelope = '\\x{changed.hex()}'")
        assert until(lambda: not allows(guard, fleet))
        assert [problem.reason for problem in guard.mandates.problems] == [
            "the signature is not that of its issuer `dana`"
        ]
    assert fleet.publish(changed).why == "the signature is not that of its issuer `dana`"


def test_a_revocation_outlives_its_row_and_the_centre(postgres: Cluster, fleet: Fleet, wire: Wire) -> None:
    """Whoever owns the database can hold one back, and take back none that was seen."""
    store = wire.url(fleet.store)
    fleet.order()
    with fleet.guard("a", store) as guard:
        fleet.revoke()
        assert until(
            lambda: bool(guard.mandates.revoked) or guard.mandates.ended(guard.mandates.mandates[0]) is not None
        )
        quietly(postgres, fleet.store, "delete from guardrail.revocations; select pg_notify('guardrail', 'x')")
        seen = stands(guard).contact_us
        assert until(lambda: stands(guard).contact_us > seen)
        assert not allows(guard, fleet)
    wire.cut()
    with fleet.guard("a", store) as guard:
        assert stands(guard).cut
        assert len(guard.mandates.mandates) == 1
        assert not allows(guard, fleet)


def test_an_order_that_is_withdrawn_is_gone_and_one_that_lies_there_by_hand_stays(fleet: Fleet) -> None:
    """The guard takes away only what it has put there."""
    fleet.order()
    orders = fleet.root / "a" / "orders"
    orders.mkdir(parents=True)
    (orders / "own.mandate.json").write_bytes(fleet.signed("own", {"effects": ["copy"], "assets": ["model:beta"]}))
    with fleet.guard("a") as guard:
        assert until(lambda: len(guard.mandates.mandates) == 2)
        assert main(["central", "withdraw", "m1", "--config", str(fleet.people)]) == 0
        assert until(lambda: [one.id for one in guard.mandates.mandates] == ["own"])
    assert main(["central", "withdraw", "m1", "--config", str(fleet.people)]) == 1


def test_a_revocation_that_cannot_be_kept_ends_every_order_of_the_centre(fleet: Fleet) -> None:
    """What was taken back is not known after a restart, so nothing that was ordered there counts."""
    fleet.order()
    envelope = fleet.revocation()
    with fleet.guard("a") as guard:
        assert until(lambda: allows(guard, fleet))
        # A name that cannot be written, as on a disk that is full.
        name = f"central-{hashlib.sha256(envelope).hexdigest()}.revocation.json.new"
        blocked = fleet.root / "a" / "orders" / name
        blocked.mkdir()
        assert fleet.publish(envelope, "revocation").fresh
        assert until(lambda: stands(guard).state == "not up to date")
        assert guard.mandates.mandates == ()
        blocked.rmdir()
        assert until(lambda: stands(guard).state == "in contact")
        assert not allows(guard, fleet)


# ── uses ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_uses_of_an_order_are_counted_over_all_guards(fleet: Fleet) -> None:
    """However many ask at once, it is used as often as it says, and each use has a number of its own."""
    fleet.order("m1", {**DELETE, "uses": 5})
    guards = [fleet.guard(name) for name in "abc"]
    taken: list[int] = []

    def ask(guard: Guard) -> None:
        for number in range(4):
            decision = guard.check(fleet.deletion(number))
            taken.extend(use.use for use in decision.mandates if use.use is not None)

    try:
        assert all(until(lambda one=one: bool(one.mandates.mandates)) for one in guards)
        threads = [threading.Thread(target=ask, args=(guard,)) for guard in guards]
        [thread.start() for thread in threads]
        [thread.join(30) for thread in threads]
    finally:
        [guard.close() for guard in guards]
    assert sorted(taken) == [1, 2, 3, 4, 5]


def test_a_common_count_that_was_put_back_gives_nothing_back(postgres: Cluster, fleet: Fleet) -> None:
    """A guard remembers the highest number that it saw."""
    fleet.order("m1", {**DELETE, "uses": 5})
    with fleet.guard("a") as guard:
        assert until(lambda: bool(guard.mandates.mandates))
        assert guard.check(fleet.deletion(0))
        assert guard.check(fleet.deletion(1))
        quietly(postgres, fleet.store, "update guardrail.uses set used = 0")
        refused = guard.check(fleet.deletion(2))
    assert refused.outcome is Outcome.DENY
    assert "the common count was put back" in refused.reasons[0].message


# ── the way is cut ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_guard_that_is_cut_off_goes_on_with_what_it_has_seen_and_counts_no_use(fleet: Fleet, wire: Wire) -> None:
    """It says so, in its trail too, and catches up when the way is back; nothing of its trail is missing there."""
    fleet.order("plain")
    fleet.order("counted", {"effects": ["rename"], "assets": ["model:beta"], "targets": ["/**"], "uses": 5})
    logs = InMemoryLogRecordExporter()
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(logs))
    store, telemetry = wire.url(fleet.store), Telemetry(logger_provider=provider)
    with fleet.guard("a", store, telemetry=telemetry) as guard:
        assert until(lambda: len(guard.mandates.mandates) == 2)
        wire.cut()
        assert until(lambda: bool(stands(guard).cut))
        assert Readiness(guard).notes()["central"].startswith("cut since 20")
        assert metrics(guard)["guardrail_central_cut"] == 1
        assert guard.check(fleet.deletion(0))
        move = fleet.deletion(1)
        move.args["command"] = str(move.args["command"]).replace("rm ", "mv ") + f" {fleet.root}/elsewhere"
        refused = guard.check(move)
        assert refused.outcome is Outcome.DENY
        assert (
            "the uses of `counted` are counted in common, and the centre cannot be asked" in refused.reasons[0].message
        )
        fleet.order("later", {"effects": ["copy"], "assets": ["model:beta"]})
        wire.mend()
        assert until(lambda: stands(guard).state == "in contact")
        assert metrics(guard)["guardrail_central_cut"] == 0
        assert len(guard.mandates.mandates) == 3
        assert until(lambda: bool(guard.check(move)))
        assert guard.trail is not None
        size = guard.trail.size
        assert until(lambda: stands(guard).recorded >= size)
        directory = directory_of(guard)
    (origin,) = _people.origins(load(fleet.people))
    assert (origin.size, origin.wrong) == (verify(directory, deep=True).records, "")
    told = [str(record.get("event")) for _, record in read_records(str(directory))]
    assert [event for event in told if event.startswith("central_")] == ["central_cut", "central_back"]
    names = [str(one.log_record.event_name) for one in logs.get_finished_logs()]
    assert [name for name in names if "central" in name] == ["guardrail.central.cut", "guardrail.central.back"]


def test_a_guard_that_never_reached_the_centre_starts_with_no_order(fleet: Fleet, wire: Wire) -> None:
    """No state is no leave: it judges, and denies what only an order would allow."""
    wire.cut()
    fleet.order()
    with fleet.guard("a", wire.url(fleet.store)) as guard:
        assert stands(guard).state == "never reached"
        assert not allows(guard, fleet)


def test_a_centre_that_hangs_costs_one_wait_and_then_none(fleet: Fleet, wire: Wire) -> None:
    """A network that swallows everything looks like a slow one until the time is up."""
    fleet.order("m1", {**DELETE, "uses": 1000})  # an answer that comes too late has cost a use
    with fleet.guard("a", wire.url(fleet.store), timeout=TIMEOUT_SECONDS) as guard:
        assert until(lambda: bool(guard.check(fleet.deletion(0))))
        wire.swallows = True
        waited: list[float] = []
        for number in range(4):
            begun = time.monotonic()
            assert not guard.check(fleet.deletion(number))
            waited.append(time.monotonic() - begun)
        assert waited[0] >= TIMEOUT_SECONDS
        assert min(waited) < TIMEOUT_SECONDS / 2
        assert until(lambda: bool(stands(guard).cut))
        wire.mend()
        assert until(lambda: bool(guard.check(fleet.deletion(2))))


def test_a_long_time_without_the_centre_ends_no_thread_and_silence_is_no_contact(fleet: Fleet, wire: Wire) -> None:
    """However often it failed, it tries again before long; a thread that hangs does not pass for one that hears."""
    wire.cut()
    with fleet.guard("a", wire.url(fleet.store)) as guard:
        follower = _follower(guard)
        follower._failures = 100_000
        assert follower._pause() <= LONGEST_SECONDS * (1 + JITTER)
        follower._failures = 0
        wire.mend()
        assert until(lambda: stands(guard).state == "in contact")
        follower.close(10)
        follower._heard_at -= LATE * (POLL_SECONDS + PATIENT_SECONDS)
        assert stands(guard).state.startswith("cut since")


def _follower(guard: Guard) -> Follower:
    assert guard.central is not None
    found = guard.central._follower
    assert found is not None
    return found
