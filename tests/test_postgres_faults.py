"""The shared ledger when something is gone, stopped, put back or cut off: nothing is lost, nobody waits long."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from guardrail import Guard, ToolCall
from guardrail.audit import verify
from guardrail.audit._verify import read_records
from guardrail.audit.postgres import PostgresTrail, _server
from guardrail.audit.postgres._server import HOLD_SECONDS
from guardrail.cli import main
from guardrail.errors import TrailError
from scripts.shared_trail import grants, kills
from tests.audit_support import child, denial, intent
from tests.ports import free_port
from tests.postgres_support import Cluster, Wire, certify, cluster, heard, let_go, named, open_shared, start_replica

KILLS = 2
GRANTS = 20
QUICK = 2.0
"""A short timeout, in seconds: not so short that a busy machine needs it to write one record."""

SLACK = 20.0
"""What a busy machine may add, in seconds; without a limit it would be for ever."""

KINDS = ("grant", "vote")


@pytest.fixture
def store(postgres: Cluster) -> str:
    """An empty database."""
    return postgres.database()


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A server that may be killed; each test leaves it running."""
    with cluster() as server:
        yield server


@pytest.fixture
def wire(postgres: Cluster, tmp_path: Path) -> Iterator[Wire]:
    """A connection that can lose something."""
    (tmp_path / "wire").mkdir()
    made = Wire(postgres, tmp_path / "wire")
    yield made
    made.close()


def numbers(store: str) -> list[object]:
    """The field `number` of every record in order."""
    return [record.get("number") for _, record in read_records(store)]


# ── an answer that did not come ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("lost", ["answer", "question"])
def test_a_batch_without_an_answer_is_looked_for_and_stands_there_once(
    store: str, wire: Wire, tmp_path: Path, lost: str
) -> None:
    """Whether the server had committed it or never saw it: the append returns its number, and one record is there."""
    with open_shared(wire.url(store), tmp_path / "a") as trail:
        trail.append(denial(0))
        wire.lose = lost
        assert trail.append({**denial(1), "marked": True}) == 1
        assert wire.lose is None
        assert trail.append(denial(2)) == 2
    assert numbers(store) == [0, 1, 2]
    assert verify(store).ok


def test_others_may_write_before_a_lost_batch_is_looked_for(store: str, wire: Wire, tmp_path: Path) -> None:
    """The place of a batch that never arrived is taken by somebody else, and it goes behind."""
    with open_shared(wire.url(store), tmp_path / "a") as trail, open_shared(store, tmp_path / "b") as other:
        with psycopg.connect(store, autocommit=True) as blocker:
            wire.lose = "question"
            writing = threading.Thread(target=trail.append, args=({**denial(1), "marked": True},))
            blocker.execute("begin")
            writing.start()
            blocker.execute("select pg_sleep(0.05)")
            blocker.execute("rollback")
        other.append(denial(2))
        writing.join(10)
        assert trail.append(denial(3)) == 2
    assert sorted(map(str, numbers(store))) == ["1", "2", "3"]
    assert verify(store).ok


@pytest.mark.parametrize(("lost", "there"), [("answer", [0, 1]), ("question", [0])])
def test_a_turn_without_an_answer_is_either_written_or_an_error(
    store: str, wire: Wire, tmp_path: Path, lost: str, there: list[int]
) -> None:
    """Compare and set is not tried again by itself: what it rested on may be old."""
    with open_shared(wire.url(store), tmp_path / "a") as trail:
        trail.append({"kind": "grant", "number": 0})
        ledger = trail.ledger(KINDS)
        wire.lose = lost
        record = {"kind": "grant", "number": 1, "marked": True}
        if lost == "answer":
            with ledger.turn() as turn:
                assert list(turn.append([record])) == [1]
        else:
            with pytest.raises(TrailError, match="lost before the records were written"), ledger.turn() as turn:
                turn.append([record])
        with ledger.turn() as turn:
            assert [found["number"] for _, found in turn.news(-1)] == there
        ledger.close()
    assert verify(store).ok


# ── turns ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_turn_tells_the_news_of_its_kinds_in_order_and_from_a_place(store: str, tmp_path: Path) -> None:
    """Other kinds are passed over; the records of other replicas are there."""
    with open_shared(store, tmp_path / "a") as one, open_shared(store, tmp_path / "b") as other:
        one.append({"kind": "vote", "n": 1})
        other.append(denial())
        other.append({"kind": "grant", "n": 2})
        ledger = one.ledger(KINDS)
        with ledger.turn() as turn:
            assert [(seq, record["n"]) for seq, record in turn.news(-1)] == [(0, 1), (2, 2)]
            assert [seq for seq, _ in turn.news(0)] == [2]
            assert list(turn.append([{"kind": "vote", "n": 3}, {"kind": "vote", "n": 4}])) == [3, 4]
        with other.ledger(KINDS).turn() as turn:
            assert [record["n"] for _, record in turn.news(2)] == [3, 4]


def test_a_turn_that_ends_in_an_error_writes_nothing(store: str, tmp_path: Path) -> None:
    """And the next one begins as if it had not been."""
    with open_shared(store, tmp_path / "a") as trail:
        ledger = trail.ledger(KINDS)
        with pytest.raises(ZeroDivisionError), ledger.turn() as turn:
            turn.append([{"kind": "vote"}])
            raise ZeroDivisionError
        with ledger.turn() as turn:
            assert list(turn.news(-1)) == []
        assert trail.append(denial()) == 0


def test_a_turn_keeps_out_everybody_else(store: str, tmp_path: Path) -> None:
    """Nobody adds a record between its news and its own."""
    with open_shared(store, tmp_path / "a") as one, open_shared(store, tmp_path / "b") as other:
        ledger = one.ledger(KINDS)
        written: list[int] = []
        writing = threading.Thread(target=lambda: written.append(other.append(denial())))
        with ledger.turn() as turn:
            writing.start()
            assert list(turn.append([{"kind": "vote"}])) == [0]
            assert written == []
        writing.join(10)
        assert written == [1]


def test_a_closed_ledger_gives_no_turns(store: str, tmp_path: Path) -> None:
    """It says so."""
    with open_shared(store, tmp_path / "a") as trail:
        ledger = trail.ledger(KINDS)
        ledger.close()
        with pytest.raises(TrailError, match="is closed"), ledger.turn():
            pass


# ── where checkpoints go ──────────────────────────────────────────────────────────────────────────────────────────────


def test_checkpoints_go_to_a_second_file_and_to_whoever_is_told(store: str, tmp_path: Path) -> None:
    """The file verifies the ledger later; a ledger that does not fit it is refused at the next start."""
    file, told = tmp_path / "far", []
    with open_shared(store, tmp_path / "a", checkpoint_file=file) as trail:
        trail.append(denial(0))
        trail.tell(lambda checkpoint, note: told.append((checkpoint.size, note)))
        trail.append(denial(1))
        trail.checkpoint()
    assert told[-1][0] == 2
    assert file.read_text().endswith(told[-1][1])
    assert verify(store, checkpoint=file.read_text()).ok
    open_shared(store, tmp_path / "new", checkpoint_file=file).close()
    file.write_text(told[-1][1].replace("\n2\n", "\n3\n"))
    with pytest.raises(TrailError, match="last note in `trail.checkpoint_file` is not a checkpoint of the trail"):
        open_shared(store, tmp_path / "new", checkpoint_file=file)


def test_a_replica_in_an_empty_directory_knows_what_its_second_file_knows(
    postgres: Cluster, store: str, tmp_path: Path
) -> None:
    """A new pod with the old file notices that the database was put back."""
    with open_shared(store, tmp_path / "a", checkpoint_file=tmp_path / "far") as trail:
        trail.append(denial(0))
        _back_up(postgres, store)
        trail.append(denial(1))
    _restore(postgres, store)
    with pytest.raises(TrailError, match="ends after 1 record, but this replica has seen 2"):
        open_shared(store, tmp_path / "new", checkpoint_file=tmp_path / "far")


# ── killed ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_acknowledged_record_is_lost_when_replicas_are_killed(postgres: Cluster, tmp_path: Path) -> None:
    """Two replicas write, one of them is killed at a random moment, again and again."""
    found = kills(postgres, tmp_path, KILLS)
    assert (found["lost"], found["twice"], found["problems"]) == (0, 0, 0)
    assert found["acknowledged"] > KILLS * 160


@pytest.mark.parametrize("crash", ["kill", "restart"])
def test_no_acknowledged_record_is_lost_when_the_server_is_killed(own: Cluster, tmp_path: Path, crash: str) -> None:
    """All of its processes at once, in the middle of four replicas' writing; they go on when it is back."""
    found = kills(own, tmp_path, 1, crash=crash, replicas=4)
    assert (found["lost"], found["twice"], found["problems"]) == (0, 0, 0)
    assert found["acknowledged"] == found["records"] == 4 * 160


def test_every_grant_is_redeemed_once_whoever_races_for_it(postgres: Cluster, tmp_path: Path) -> None:
    """Sixteen racers in four processes want each; the desks decide under the turn of the shared ledger."""
    found = grants(postgres, tmp_path, GRANTS)
    assert (found["redemptions"], found["different"], found["recorded"]) == (GRANTS, GRANTS, GRANTS)
    assert found["attempts"] == 16 * GRANTS
    assert found["problems"] == 0


# ── gone, and back ────────────────────────────────────────────────────────────────────────────────────────────────────


def waited(act: Callable[[], object], match: str) -> float:
    """How long it took until `act` was refused, in seconds."""
    started = time.monotonic()
    with pytest.raises(TrailError, match=match):
        act()
    return time.monotonic() - started


def test_while_the_server_is_away_appends_are_refused_in_time_and_later_at_once(own: Cluster, tmp_path: Path) -> None:
    """When it is back the ledger goes on, says what it missed, and has no leave that nobody waited for."""
    store = own.database()
    trail = open_shared(store, tmp_path / "a", timeout_seconds=QUICK)
    trail.append(denial(0))
    own.kill()
    with_denial = threading.Thread(target=lambda: waited(lambda: trail.append(denial(1)), "did not answer"))
    with_denial.start()
    assert waited(lambda: trail.append(intent(2)), f"did not answer within {QUICK:g} seconds: ") < QUICK + SLACK
    with_denial.join(10)
    waited(lambda: trail.append(intent(3)), "did not answer")
    at_once = f"did not answer within {QUICK:g} seconds: "
    assert min(waited(lambda: trail.append(intent(3)), at_once) for _ in range(5)) < QUICK
    assert waited(trail.checkpoint, "did not answer") < QUICK + SLACK
    own.start()
    _until_back(trail)
    trail.close()
    records = [record for _, record in read_records(store)]
    assert [record["number"] for record in records if "number" in record] == [0, 1, 4]
    gaps = [record for record in records if record["kind"] == "gap"]
    assert sum(gap["records"] for gap in gaps) >= 3
    assert all(gap["why"] and gap["since_us"] for gap in gaps)
    assert verify(store).ok


def _until_back(trail: PostgresTrail) -> None:
    for _ in range(100):
        try:
            trail.append(denial(4))
            return
        except TrailError:
            threading.Event().wait(0.05)
    pytest.fail("the trail does not go on")


def test_a_server_that_hangs_costs_the_timeout_and_no_more(own: Cluster, tmp_path: Path) -> None:
    """All of its processes are stopped, so that connections live and nothing answers; coroutines and turns as well."""
    store = own.database()
    trail = open_shared(store, tmp_path / "a", timeout_seconds=QUICK)
    ledger = trail.ledger(KINDS)
    with ledger.turn():
        pass
    trail.append(denial(0))
    own.pause()
    try:
        assert waited(lambda: trail.append(intent()), "did not answer") < QUICK + SLACK
        assert waited(lambda: asyncio.run(trail.aappend(intent())), "did not answer") < QUICK + SLACK
        assert waited(lambda: _turn(ledger), "did not answer") < QUICK + SLACK
    finally:
        own.resume()
    _until_back(trail)
    ledger.close()
    trail.close()
    assert verify(store).ok


def _turn(ledger: object) -> None:
    with ledger.turn():  # type: ignore[attr-defined]
        pass


def test_closing_while_the_server_is_away_says_that_something_is_left(own: Cluster, tmp_path: Path) -> None:
    """And ends."""
    trail = open_shared(own.database(), tmp_path / "a", timeout_seconds=QUICK)
    trail.append(denial())
    own.kill()
    try:
        assert waited(trail.close, "closed while its server did not answer") < 3 * QUICK + SLACK
    finally:
        own.start()


def test_a_server_that_does_not_flush_is_refused(own: Cluster, tmp_path: Path) -> None:
    """`fsync = off` loses what was acknowledged when the host goes down."""
    own.stop()
    own.start(fsync="off")
    try:
        with pytest.raises(TrailError, match="`fsync = off`, so it loses records"):
            open_shared(own.database(), tmp_path / "a")
    finally:
        own.stop()
        own.start()


def test_a_server_that_turns_read_only_refuses_until_it_does_not(postgres: Cluster, store: str, tmp_path: Path) -> None:
    """As after a failover, while the address still leads to the old one."""
    trail = open_shared(store, tmp_path / "a", timeout_seconds=QUICK)
    postgres.run(f"alter database {named(store)} set default_transaction_read_only = on")
    _end_sessions(postgres, store)
    waited(lambda: trail.append(intent()), "read-only")
    postgres.run(f"alter database {named(store)} reset default_transaction_read_only")
    _until_back(trail)
    trail.close()


def test_a_session_that_the_server_ends_is_replaced_unnoticed(postgres: Cluster, store: str, tmp_path: Path) -> None:
    """An operator's `pg_terminate_backend`, an idle connection that a firewall forgot: the next append goes through."""
    with open_shared(store, tmp_path / "a") as trail:
        for number in range(3):
            _end_sessions(postgres, store)
            assert trail.append(denial(number)) == number


def _end_sessions(postgres: Cluster, store: str) -> None:
    postgres.run(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{named(store)}'")


def test_a_record_that_stands_where_the_next_belongs_ends_the_replica(
    postgres: Cluster, store: str, tmp_path: Path
) -> None:
    """Somebody wrote past the frontier: nothing is written over it, and the reason is told."""
    trail = open_shared(store, tmp_path / "a")
    trail.append(denial())
    postgres.run("insert into guardrail.ledger (seq, kind, leaf) values (1, 'x', 'x')", store)
    for _ in range(2):
        with pytest.raises(TrailError, match="is damaged: .*run `guardrail audit verify`"):
            trail.append(denial())
    with pytest.raises(TrailError, match="is damaged"):
        trail.close()
    assert not verify(store).ok


# ── a connection that proves whose server it is ───────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Path, str]]:
    """A server on the network whose certificate for `localhost` is by an authority of its own, and its port."""
    place = tmp_path_factory.mktemp("tls")
    with cluster() as server:
        server.stop()
        certify(place, server.home / "data")
        port = str(free_port())
        server.start(listen_addresses="127.0.0.1", port=port, ssl="on")
        yield server, place, port


def test_a_ledger_behind_a_verified_connection(encrypted: tuple[Cluster, Path, str], tmp_path: Path) -> None:
    """`sslmode=verify-full`: the whole of writing, signing and verifying goes through it."""
    server, place, port = encrypted
    server.database()
    store = f"postgresql://owner@localhost:{port}/ledger?sslmode=verify-full&sslrootcert={place}/ca.pem"
    with open_shared(store, tmp_path / "a") as trail:
        trail.append(denial())
        assert set(
            server.run("select s.ssl from pg_stat_ssl s join pg_stat_activity a using (pid) where client_port > 0")
        ) == {(True,)}
    report = verify(store)
    assert (report.ok, report.signed) == (True, 1)
    assert report.directory == f"postgresql://localhost:{port}/ledger"


@pytest.mark.parametrize(
    ("host", "authority", "why"), [("127.0.0.1", "ca", "does not match"), ("localhost", "other", "verify failed")]
)
def test_a_server_that_is_not_the_one_that_was_meant_gets_no_record(
    encrypted: tuple[Cluster, Path, str], tmp_path: Path, host: str, authority: str, why: str
) -> None:
    """Another name than in its certificate, or a certificate by somebody else: one sentence, nothing is written."""
    _, place, port = encrypted
    store = f"postgresql://owner@{host}:{port}/ledger?sslmode=verify-full&sslrootcert={place}/{authority}.pem"
    with pytest.raises(TrailError, match=f"cannot be used: .*{why}"):
        open_shared(store, tmp_path / "a")
    with pytest.raises(TrailError, match="cannot read the trail in"):
        verify(store)


# ── a replica that stops ──────────────────────────────────────────────────────────────────────────────────────────────

_STOP_WITH_THE_FRONTIER = """
import os, signal, sys
from guardrail.audit.postgres._server import Limits, Server
from guardrail.audit.postgres._tables import Tables
server = Server(sys.argv[1], Limits.within(2.0))
server.prepare()
tables = Tables(server)
before = tables.lock()
if sys.argv[2] == "half":
    connection = server.connection.pgconn
    connection.enter_pipeline_mode()
    connection.send_query_params(b"select 1", [])
    connection.send_flush_request()
    while connection.flush():
        pass
    while not (result := connection.get_result()):
        connection.consume_input()
os.write(1, b"held")
os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.mark.parametrize("how", ["idle", "half"])
def test_a_replica_that_stops_with_the_frontier_holds_up_the_others_for_a_named_time(
    store: str, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between the two messages, or in the middle of the second, where the server has no clock for it."""
    monkeypatch.setattr(_server, "HOLD_SECONDS", HOLD_SECONDS)  # the time that is named, not that of patient tests
    with open_shared(store, tmp_path / "a") as trail:
        trail.append(denial(0))
        holder = child(_STOP_WITH_THE_FRONTIER, store, how)
        try:
            assert holder.stdout is not None
            assert os.read(holder.stdout.fileno(), 4) == b"held"
            started = time.monotonic()
            assert trail.append(denial(1)) == 1
            assert time.monotonic() - started < 1.5 * HOLD_SECONDS + SLACK
        finally:
            holder.kill()
            holder.communicate(timeout=30)


def test_a_replica_that_was_put_out_goes_on_when_it_wakes_up(store: str, tmp_path: Path) -> None:
    """Stopped and woken while it writes: its records are there once, in a ledger that verifies."""
    open_shared(store, tmp_path / "first").close()
    replica = start_replica(store, tmp_path / "a", 8, 60)
    with open_shared(store, tmp_path / "b") as other:
        let_go(replica)
        assert replica.stdout is not None
        os.read(replica.stdout.fileno(), 16)
        replica.send_signal(signal.SIGSTOP)
        other.append(denial())
        replica.send_signal(signal.SIGCONT)
        told = heard(replica)
    found = [record for _, record in read_records(store) if "lane" in record]
    assert len(found) == len({(record["lane"], record["number"]) for record in found}) == 8 * 60
    assert len(told) >= 8 * 60 - 1
    assert verify(store).ok


# ── put back ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_database_that_was_put_back_is_refused_by_a_replica_that_runs(
    postgres: Cluster, store: str, tmp_path: Path
) -> None:
    """An older backup in its place: the replica notices before it writes, and takes nothing any more."""
    with open_shared(store, tmp_path / "a") as early:
        early.append(denial(0))
    _back_up(postgres, store)
    trail = open_shared(store, tmp_path / "a")
    trail.append(denial(1))
    _restore(postgres, store)
    for _ in range(2):
        with pytest.raises(TrailError, match="ends after 1 record, but this replica has seen 2: it was put back"):
            trail.append(denial(2))
    with pytest.raises(TrailError, match="put back"):
        trail.close()
    assert numbers(store) == [0]


def test_a_database_that_was_put_back_is_refused_at_the_next_start(
    postgres: Cluster, store: str, tmp_path: Path
) -> None:
    """Also when it has grown past what was known: the records are others."""
    with open_shared(store, tmp_path / "a") as early:
        early.append(denial(0))
    _back_up(postgres, store)
    with open_shared(store, tmp_path / "a") as trail:
        trail.append(denial(1))
    _restore(postgres, store)
    with pytest.raises(TrailError, match="ends after 1 record, but this replica has seen 2"):
        open_shared(store, tmp_path / "a")
    with open_shared(store, tmp_path / "new") as unaware:
        for number in (7, 8, 9):
            unaware.append(denial(number))
    with pytest.raises(TrailError, match="first 2 records .* are not those that this replica has seen"):
        open_shared(store, tmp_path / "a")
    kept = (tmp_path / "a" / "checkpoint").read_text()
    assert not verify(store, checkpoint=kept).ok


def test_a_history_that_was_changed_behind_a_running_replica_is_not_signed(
    postgres: Cluster, store: str, tmp_path: Path
) -> None:
    """The owner rewrites what others wrote, frontier and all: whoever has folded something else does not sign it."""
    trail = open_shared(store, tmp_path / "a")
    trail.append(denial(0))
    trail.checkpoint()
    with open_shared(store, tmp_path / "b") as other:
        other.append(denial(1))
    postgres.run(
        "set session_replication_role = replica;"
        "update guardrail.frontier set size = 4, roots = sha256('forged');"
        "insert into guardrail.ledger (seq, kind, leaf) values (2, 'x', 'x'), (3, 'x', 'y')",
        store,
    )
    trail.append(denial(4))
    for _ in range(2):
        with pytest.raises(TrailError, match="are not those that this replica has seen"):
            trail.checkpoint()
    with pytest.raises(TrailError, match="are not those"):
        trail.close()
    assert verify(store).signed < 5


def _back_up(postgres: Cluster, store: str) -> None:
    postgres.run("drop database if exists backup; ")
    _end_sessions(postgres, store)
    postgres.run(f"create database backup template {named(store)}")


def _restore(postgres: Cluster, store: str) -> None:
    _end_sessions(postgres, store)
    postgres.run(f"drop database {named(store)} with (force)")
    postgres.run(f"alter database backup rename to {named(store)}")


# ── the guard ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def guard_of(store: str, root: Path, name: str) -> Guard:
    """A guard with one asset, one of several replicas."""
    (root / "models").mkdir(exist_ok=True)
    (root / "models" / "a.safetensors").write_bytes(b"\0" * 64)
    (root / f"{name}.toml").write_text(
        f'[[asset]]\nid = "model:a"\nclass = "weights"\npaths = ["{root}/models"]\n'
        f'[trail]\ndirectory = "{root}/{name}"\nstore = "{store}"\nkey = "{root}/trail.key"\n'
        f"timeout_seconds = {QUICK}\n[limits]\ndecision_ms = 60000\n"
    )
    return Guard.open(root / f"{name}.toml")


def test_two_guards_record_into_one_ledger_and_deny_without_it(own: Cluster, tmp_path: Path) -> None:
    """A call on an asset runs only if its intent is in the shared ledger; when the server is back it runs again."""
    store = own.database()
    call = ToolCall(tool="bash", args={"command": "sha256sum models/a.safetensors"}, cwd=str(tmp_path))
    with guard_of(store, tmp_path, "one") as one, guard_of(store, tmp_path, "two") as two:
        assert one.run(call, lambda _: 7) == 7
        assert two.check(call).outcome.value == "allow"
        own.kill()
        denied = one.check(call)
        assert denied.outcome.value == "deny"
        assert denied.reasons[0].rule == "guardrail.fault"
        assert f"did not answer within {QUICK:g} seconds" in denied.reasons[0].message
        own.start()
        for _ in range(100):
            if one.check(call) or threading.Event().wait(0.05):
                break
        assert one.check(call)
    assert main(["audit", "verify", "--config", str(tmp_path / "one.toml")]) == 0
    (tmp_path / "trail.key").unlink()
    with pytest.raises(TrailError, match="give this replica the `trail.key` of the others"):
        guard_of(store, tmp_path, "three")
