"""What guards have in common through a database, and what each does when the way to it is cut."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from guardrail import Guard, Outcome
from guardrail.audit import verify
from guardrail.audit._proof import consistency_path, is_consistent
from guardrail.audit._tree import EMPTY_ROOT, leaf_hash, node_hash
from guardrail.audit._verify import read_records
from guardrail.audit.postgres import migrate_store
from guardrail.central import _people
from guardrail.central._follower import JITTER, LATE, LONGEST_SECONDS, Follower
from guardrail.cli import main
from guardrail.config import ServiceConfig, load, parse
from guardrail.errors import ConfigError
from guardrail.service._metrics import _Counts
from guardrail.service._readiness import Readiness
from guardrail.service._turns import Turns
from guardrail.telemetry import Telemetry
from tests.central_support import DELETE, POLL_SECONDS, TIMEOUT_SECONDS, Fleet, until
from tests.postgres_support import Cluster, Wire

AT_ONCE_SECONDS = 1.0
"""Within this time an order or a revocation is everywhere, unless its notification is lost."""


@pytest.fixture(scope="module")
def tables(postgres: Cluster) -> str:
    """A database with the tables, which are emptied for each test."""
    store = postgres.database("centre")
    migrate_store(store)
    return store


@pytest.fixture
def fleet(postgres: Cluster, tables: str, tmp_path: Path) -> Fleet:
    """Guards to be, with an empty centre."""
    quietly(postgres, tables, "truncate guardrail.mandates, guardrail.revocations, guardrail.uses, guardrail.origins")
    return Fleet(tmp_path, tables)


@pytest.fixture
def wire(postgres: Cluster, tmp_path: Path) -> Iterator[Wire]:
    """A way to the server that can be cut."""
    (tmp_path / "wire").mkdir()
    made = Wire(postgres, tmp_path / "wire")
    yield made
    made.close()


def quietly(postgres: Cluster, store: str, text: str) -> None:
    """What somebody does who owns the database and has switched its triggers off."""
    postgres.run(f"set session_replication_role = replica; {text}", store)


def allows(guard: Guard, fleet: Fleet) -> bool:
    """Whether a deletion would be released."""
    return bool(guard.preview(fleet.deletion()))


def stands(guard: Guard) -> Any:
    """How a guard stands with the centre."""
    assert guard.central is not None
    return guard.central.status


def metrics(guard: Guard) -> dict[str, float]:
    """What Prometheus would read of the centre."""
    families = _Counts(guard, Turns(ServiceConfig())).collect()
    return {sample.name: sample.value for family in families for sample in family.samples if "central" in sample.name}


def directory_of(guard: Guard) -> Path:
    """Where its trail lies."""
    return guard.config.path(guard.config.trail.directory)


# ── orders ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_counts_everywhere_at_once_and_so_does_its_revocation(fleet: Fleet) -> None:
    """Nobody copies a file to a guard; a notification wakes each of them."""
    with fleet.guard("a") as a, fleet.guard("b") as b:
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
        begun = time.monotonic()
        quietly(postgres, fleet.store, f"insert into guardrail.mandates (envelope) values ('\\x{envelope}')")
        assert until(lambda: allows(guard, fleet))
        assert time.monotonic() - begun < 2 * POLL_SECONDS + AT_ONCE_SECONDS


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
    fleet.order("m1", {**DELETE, "uses": 5})
    with fleet.guard("a", wire.url(fleet.store)) as guard:
        assert until(lambda: bool(guard.mandates.mandates))
        assert guard.check(fleet.deletion(0))
        wire.swallows = True
        for most in (TIMEOUT_SECONDS + AT_ONCE_SECONDS, TIMEOUT_SECONDS):
            begun = time.monotonic()
            assert not guard.check(fleet.deletion(1))
            assert time.monotonic() - begun < most
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
        follower._heard_at -= LATE * (POLL_SECONDS + TIMEOUT_SECONDS)
        assert stands(guard).state.startswith("cut since")


def _follower(guard: Guard) -> Follower:
    assert guard.central is not None
    found = guard.central._follower
    assert found is not None
    return found


# ── trails ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_trail_that_was_rewritten_is_not_recorded_any_more_and_both_sides_know(fleet: Fleet) -> None:
    """Its key lies beside it, so only somebody else who has seen it can tell."""
    with fleet.guard("a") as guard:
        assert until(lambda: stands(guard).recorded > 0)
        for number in range(3):
            guard.check(fleet.deletion(number))
    (before,) = _people.origins(load(fleet.people))
    trail = fleet.root / "a" / "trail"
    key = (trail / "trail.key").read_bytes()
    shutil.rmtree(trail)
    trail.mkdir()
    (trail / "trail.key").write_bytes(key)
    (trail / "trail.key").chmod(0o600)
    with fleet.guard("a") as guard:
        assert until(lambda: "put back to an older state" in stands(guard).refused)
        for number in range(2 * before.size):
            guard.check(fleet.deletion(number % 6))
        assert until(lambda: "was rewritten" in stands(guard).refused)
        assert Readiness(guard).notes() == {"central": "trail refused"}
        directory = directory_of(guard)
    told = [record for _, record in read_records(str(directory)) if record.get("event") == "central_refused"]
    assert len(told) == 1
    (after,) = _people.origins(load(fleet.people))
    assert (after.size, after.wrong) == (before.size, "")
    assert main(["central", "forget", "guardrail.test/a", "--config", str(fleet.people)]) == 0
    with fleet.guard("a") as guard:
        assert until(lambda: stands(guard).recorded > before.size)


def test_a_checkpoint_that_its_key_has_not_signed_is_shown(
    postgres: Cluster, fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    """The database knows no signatures; whoever reads it verifies."""
    with fleet.guard("a") as guard:
        assert until(lambda: stands(guard).recorded > 0)
    show = ["central", "show", "--config", str(fleet.people)]
    assert main(show) == 0
    assert "guardrail.test/a: " in capsys.readouterr().out
    quietly(postgres, fleet.store, "update guardrail.origins set note = replace(note, E'\\n\\n— ', E'\\n\\n—  ')")
    assert main(show) == 1
    quietly(
        postgres,
        fleet.store,
        "update guardrail.origins set size = size + 1, note = regexp_replace(note, E'\\n\\\\d+\\n', E'\\n9\\n')",
    )
    assert main([*show, "--json"]) == 1


def test_the_database_proves_consistency_as_the_trail_does(postgres: Cluster, tables: str) -> None:
    """Every pair of trees of up to 20 records, each proof as it is and with something changed."""
    leaves = [leaf_hash(bytes([number])) for number in range(20)]

    def root(low: int, high: int) -> bytes:
        if high - low < 2:
            return leaves[low] if high > low else EMPTY_ROOT
        half = 1 << ((high - low - 1).bit_length() - 1)
        return node_hash(root(low, low + half), root(low + half, high))

    asked: list[tuple[int, int, bytes, bytes, list[bytes]]] = []
    for new in range(21):
        for old in range(new + 1):
            proof = list(consistency_path(root, old, new))
            asked.append((old, new, root(0, old), root(0, new), proof))
            asked.append((old, new, root(0, old), root(0, new), [*proof, leaves[0]]))
            asked.append((old, new, root(0, new), root(0, old), proof))
            if proof:
                at = random.Random(new).randrange(len(proof))
                asked.append((old, new, root(0, old), root(0, new), [*proof[:at], leaves[3], *proof[at + 1 :]]))
                asked.append((old, new, root(0, old), root(0, new), proof[:-1]))
    with psycopg.connect(tables) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "select guardrail.is_consistent(%s, %s, %s, %s, %s)",
            [(old, new, first, second, b"".join(proof)) for old, new, first, second, proof in asked],
            returning=True,
        )
        answers = [cursor.fetchone()]
        while cursor.nextset():
            answers.append(cursor.fetchone())
    assert [row[0] for row in answers if row] == [is_consistent(*one) for one in asked]
    assert {row[0] for row in answers if row} == {True, False}


# ── rights and settings ───────────────────────────────────────────────────────────────────────────────────────────────


FORBIDDEN = (
    "delete from guardrail.revocations",
    "delete from guardrail.uses",
    "delete from guardrail.mandates",
    "insert into guardrail.mandates (envelope) values ('x')",
    "update guardrail.uses set used = used - 1",
    "insert into guardrail.uses values ('m1', 'other', 0)",
    "update guardrail.origins set vkey = 'x'",
    "delete from guardrail.origins",
    "select from guardrail.ledger",
)
"""What a guard has no business to do."""


def test_a_guard_has_no_more_rights_than_it_needs(postgres: Cluster, fleet: Fleet) -> None:
    """The roles of the documentation suffice, and the database refuses what they leave out."""
    text = (Path(__file__).parent.parent / "docs" / "replicas.md").read_text(encoding="utf-8")
    roles = text.partition("```sql\n")[2].partition("```")[0]
    postgres.run(roles, fleet.store)
    fleet.order("m1", {**DELETE, "uses": 1})
    store = fleet.store.replace("owner", "guardrail_sidecar", 1)
    with fleet.guard("a", store) as guard:
        assert until(lambda: bool(guard.mandates.mandates))
        assert guard.check(fleet.deletion())
        assert until(lambda: stands(guard).recorded > 0)
    with psycopg.connect(store, autocommit=True) as connection:
        for wrong in FORBIDDEN:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(wrong.encode())


def test_doctor_says_what_a_guard_would_find(fleet: Fleet, wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    """What is there; with what it would begin if nothing is; and that the name of its trail is taken."""
    with fleet.guard("a") as guard:
        assert until(lambda: stands(guard).recorded > 0)
    assert _findings(fleet.root / "a.toml", capsys) == [("ok", "0 mandates, 0 revocations, 1 trails")]
    wire.cut()
    cut = fleet.config("a", wire.url(fleet.store))
    ((state, detail),) = _findings(cut, capsys)
    assert state == "note"
    assert "would begin with what was seen at 20" in detail
    shutil.rmtree(fleet.root / "a" / "trail")
    with fleet.guard("a") as guard:
        assert until(lambda: "two trails have this name" in stands(guard).refused)
    ((state, detail),) = _findings(fleet.root / "a.toml", capsys)
    assert (state, "another trail named `guardrail.test/a`" in detail) == ("problem", True)


def _findings(config: Path, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    """State and detail, without the database, of what doctor says of the centre."""
    capsys.readouterr()
    main(["doctor", "--json", "--config", str(config)])
    found = [one for one in json.loads(capsys.readouterr().out) if one["name"] == "central"]
    return [(one["state"], one["detail"].rpartition("centre: ")[2]) for one in found]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ('store = "postgresql://h/d"', "`central.store` needs `mandates.directory`"),
        (
            'store = "mysql://h/d"\n[mandates]\ndirectory = "orders"',
            "`central.store` must be `postgresql://host/database`",
        ),
        ('store = "postgresql://u:secret@h/d"\n[mandates]\ndirectory = "orders"', "`central.store` has a password"),
        (
            'store = "postgresql://h/d"\n[mandates]\ndirectory = "orders"',
            "`central.store` needs a `trail.origin` of this guard's own",
        ),
        ("poll_seconds = 0", "`central.poll_seconds` must be greater than 0"),
    ],
)
def test_a_centre_that_cannot_be_meant_is_refused(lines: str, why: str) -> None:
    """Each with the key, and how to mend it; a password is not repeated."""
    with pytest.raises(ConfigError, match=why) as caught:
        parse(f"[central]\n{lines}\n")
    assert "secret" not in str(caught.value)


def test_a_trail_may_have_its_name_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods of one configuration have names of their own; a name that is not there is no name."""
    text = '[trail]\norigin = "${GUARDRAIL_ORIGIN}"'
    monkeypatch.setenv("GUARDRAIL_ORIGIN", "example.com/agents/pod-1")
    assert parse(text).trail.origin == "example.com/agents/pod-1"
    monkeypatch.delenv("GUARDRAIL_ORIGIN")
    with pytest.raises(ConfigError, match="`trail.origin` names the environment variable `GUARDRAIL_ORIGIN`"):
        parse(text)


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


def test_without_a_centre_there_is_nothing_to_publish_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says what is missing."""
    config = tmp_path / "guardrail.toml"
    config.write_text("")
    assert main(["central", "show", "--config", str(config)]) == 2
    assert "set `central.store`" in capsys.readouterr().err


def test_a_trail_is_needed_to_release_anything_in_common(fleet: Fleet) -> None:
    """A guard that only judges has no part in it, and judges by what was last seen."""
    fleet.order()
    with fleet.guard("a") as guard:
        assert until(lambda: allows(guard, fleet))
    with fleet.guard("a", record=False) as guard:
        assert guard.central is None
        assert allows(guard, fleet)
