"""The ledger in PostgreSQL: the same records and proofs as in files, written by several replicas at once."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from guardrail.audit import Trail, verify
from guardrail.audit._record import MAX_LEAF_BYTES
from guardrail.audit._tree import Frontier, leaf_hash
from guardrail.audit._verify import read_records
from guardrail.audit.postgres import PostgresTrail, migrate_store
from guardrail.audit.postgres._schema import migrations
from guardrail.errors import TrailError
from tests.audit_support import denial, intent
from tests.postgres_support import Cluster, heard, let_go, named, open_shared, rows, start_replica

PROCESSES = 4
WRITERS = 16
RECORDS = 20
"""How many each writer appends."""


@pytest.fixture
def store(postgres: Cluster) -> str:
    """An empty database."""
    return postgres.database()


# ── the same ledger ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_record_has_the_same_fields_and_form_as_in_files(store: str, tmp_path: Path) -> None:
    """Only what differs from one record to the next anyhow differs: id, times."""
    with Trail.open(tmp_path / "files", origin="guardrail.test/a") as files:
        files.append({**denial(7), "id": "one"})
    with open_shared(store, tmp_path / "a", origin="guardrail.test/a") as shared:
        assert shared.append({**denial(7), "id": "one"}) == 0
    (_, in_files), (_, in_tables) = *read_records(tmp_path / "files"), *read_records(store)
    assert list(in_files) == list(in_tables)
    assert {**in_files, "t_us": 0, "mono_us": 0} == {**in_tables, "t_us": 0, "mono_us": 0}


def test_the_root_is_that_of_the_tree_over_the_leaves(store: str, tmp_path: Path) -> None:
    """RFC 6962 over the bytes in the table, folded here a second time."""
    tree = Frontier()
    with open_shared(store, tmp_path / "a") as trail:
        assert [trail.append(denial(number)) for number in range(9)] == list(range(9))
        for _, leaf, digest in rows(store):
            assert digest == leaf_hash(leaf)
            tree.add(digest)
        assert (trail.size, trail.root) == (9, tree.root())
    report = verify(store)
    assert report.ok, report.problems
    assert (report.records, report.signed, report.root) == (9, 9, tree.root().hex())


def test_a_record_that_holds_its_own_stand_in_many_times_keeps_its_bytes(store: str, tmp_path: Path) -> None:
    """What looks like a sequence number inside of a record stays as it was given."""
    odd = {
        "kind": "decision",
        "args": {"seq": 4503599627370496, "text": '"seq":4503599627370496'},
        "seqs": [{"seq": 1}],
    }
    with open_shared(store, tmp_path / "a") as trail:
        trail.append(odd)
    ((_, record),) = read_records(store)
    assert {key: record[key] for key in odd} == odd
    assert record["seq"] == 0
    assert verify(store).ok


def test_what_cannot_be_a_record_is_refused_and_takes_no_number(store: str, tmp_path: Path) -> None:
    """Without a kind, with a stamped field, too large."""
    with open_shared(store, tmp_path / "a") as trail:
        for wrong in ({}, {"kind": "x", "seq": 1}, {"kind": "x", "pad": "y" * MAX_LEAF_BYTES}):
            with pytest.raises(TrailError, match="record"):
                trail.append(wrong)
        assert trail.append(denial()) == 0


def test_coroutines_append_and_many_share_a_commit(store: str, tmp_path: Path) -> None:
    """Three hundred tasks get three hundred numbers, in far fewer transactions."""

    async def all_of_them(trail: PostgresTrail) -> list[int]:
        return await asyncio.gather(*(trail.aappend(denial(number), durable=False) for number in range(300)))

    with open_shared(store, tmp_path / "a") as trail:
        before = _transactions(store)
        numbers = asyncio.run(all_of_them(trail))
        assert sorted(numbers) == list(range(300))
        assert _transactions(store) - before < 100
    assert verify(store).ok


def _transactions(store: str) -> int:
    with psycopg.connect(store, autocommit=True) as connection:
        # Transactions that write take a number each.
        row = connection.execute("select txid_current()").fetchone()
    assert row is not None
    return int(row[0])


# ── several replicas ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_four_processes_with_sixteen_writers_each_make_one_dense_ledger(store: str, tmp_path: Path) -> None:
    """Every number is given once, the root is right, and the whole of it verifies."""
    open_shared(store, tmp_path / "first").close()
    replicas = [start_replica(store, tmp_path / f"r{one}", WRITERS, RECORDS) for one in range(PROCESSES)]
    let_go(*replicas)
    told = [heard(replica) for replica in replicas]
    total = PROCESSES * WRITERS * RECORDS
    assert sorted(seq for one in told for seq in one) == list(range(total))
    records = dict(read_records(store))
    for number, one in enumerate(told):
        for seq, what in one.items():
            record = records[seq]
            assert record["home"] == str(tmp_path / f"r{number}")
            assert record["lane"] * RECORDS + record["number"] == what
    report = verify(store)
    assert report.ok, report.problems
    assert (report.records, report.signed) == (total, total)


def test_two_replicas_that_begin_an_empty_database_at_once_share_it(store: str, tmp_path: Path) -> None:
    """One makes the tables and the key, the other waits, and both write."""
    with ThreadPoolExecutor(2) as pool:
        trails = list(pool.map(lambda name: open_shared(store, tmp_path / name), "ab"))
    assert sorted(trail.append(denial()) for trail in trails) == [0, 1]
    for trail in trails:
        trail.close()
    assert verify(store).ok


def test_a_replica_signs_what_it_wrote_though_others_wrote_in_between(store: str, tmp_path: Path) -> None:
    """Its checkpoint covers the records of others as well."""
    with open_shared(store, tmp_path / "a") as one, open_shared(store, tmp_path / "b") as other:
        for _ in range(3):
            one.append(denial())
            other.append(denial())
        one.checkpoint()
        assert verify(store).signed == 6
        other.append(denial())
        other.checkpoint()
        assert verify(store).signed == 7


def test_checkpoints_come_by_themselves(store: str, tmp_path: Path) -> None:
    """What was written is signed within `checkpoint_seconds`, without being asked for."""
    with open_shared(store, tmp_path / "a", checkpoint_seconds=0.05) as trail:
        trail.append(denial())
        signed, waited = 0, threading.Event()
        for _ in range(3000):
            signed = verify(store).signed
            if signed or waited.wait(0.02):
                break
        assert signed == 1


def test_a_second_guard_in_the_same_directory_is_refused(store: str, tmp_path: Path) -> None:
    """What a replica keeps for itself has one writer."""
    with open_shared(store, tmp_path / "a"), pytest.raises(TrailError, match="in use"):
        open_shared(store, tmp_path / "a")


def test_a_forked_child_cannot_write(store: str, tmp_path: Path) -> None:
    """It says whose trail it is, and leaves the parent's connection alone."""
    with open_shared(store, tmp_path / "a") as trail:
        trail.append(denial())
        pid = os.fork()
        if not pid:
            try:
                trail.append(denial())
            except TrailError as error:
                os._exit(7 if "forked child" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert trail.append(denial()) == 1


def test_a_closed_trail_takes_nothing(store: str, tmp_path: Path) -> None:
    """And closing twice does nothing."""
    trail = open_shared(store, tmp_path / "a")
    trail.close()
    trail.close()
    with pytest.raises(TrailError, match="is closed"):
        trail.append(denial())


# ── keys, names and tables ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_replica_without_the_key_or_with_another_one_is_refused(store: str, tmp_path: Path) -> None:
    """All replicas sign with one key; the sentence says what to do."""
    open_shared(store, tmp_path / "a").close()
    with pytest.raises(TrailError, match="give this replica the `trail.key` of the others"):
        open_shared(store, tmp_path / "b", key=tmp_path / "none.key")
    Trail.open(tmp_path / "files").close()
    with pytest.raises(TrailError, match="has another key"):
        open_shared(store, tmp_path / "b", key=tmp_path / "files" / "trail.key")


def test_a_ledger_of_another_name_is_refused(store: str, tmp_path: Path) -> None:
    """One database holds one ledger."""
    open_shared(store, tmp_path / "a", origin="guardrail.test/a").close()
    with pytest.raises(TrailError, match="has the name `guardrail.test/a`"):
        open_shared(store, tmp_path / "a", origin="guardrail.test/b")


def test_a_key_that_everybody_can_read_is_refused(store: str, tmp_path: Path) -> None:
    """As in files."""
    open_shared(store, tmp_path / "a").close()
    (tmp_path / "trail.key").chmod(0o644)
    with pytest.raises(TrailError, match="can be read by everybody"):
        open_shared(store, tmp_path / "a")


def test_tables_of_a_later_release_are_refused(postgres: Cluster, store: str, tmp_path: Path) -> None:
    """An old replica must not write what it does not understand."""
    open_shared(store, tmp_path / "a").close()
    postgres.run("insert into guardrail.migrations (number, name) values (9999, 'later')", store)
    for attempt in (lambda: open_shared(store, tmp_path / "a"), lambda: migrate_store(store)):
        with pytest.raises(TrailError, match=r"are at step 9999, and this release knows \d+"):
            attempt()


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    """Each has its number and its name, and is applied once."""
    steps = migrations()
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert all(re.fullmatch(r"\d{4}_[a-z_]+\.sql", step.name) for step in steps)


def test_migrating_twice_does_nothing_the_second_time(store: str) -> None:
    """The first call names what it applied."""
    assert migrate_store(store) == [step.name for step in migrations()]
    assert migrate_store(store) == []


# ── rights ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def documented_rights(root: Path) -> str:
    """The statements that the page tells an operator to run."""
    text = (root / "docs" / "postgres.md").read_text(encoding="utf-8")
    return "\n".join(re.findall(r"```sql\n(.*?)```", text, re.DOTALL))


ROLES = ("guardrail_keeper", "guardrail_writer", "guardrail_reader")


@pytest.fixture
def writer(postgres: Cluster, store: str, root: Path) -> Iterator[str]:
    """The ledger, as the role with the documented rights of a replica."""
    migrate_store(store)
    for role in ROLES:
        postgres.run(f"drop role if exists {role}")
    postgres.run(documented_rights(root), store)
    name = named(store)
    yield postgres.url(name, "guardrail_writer")
    for role in ROLES:
        postgres.run(f"drop owned by {role}; drop role {role}", store)


def test_a_replica_needs_no_more_than_the_documented_rights(writer: str, tmp_path: Path) -> None:
    """Begin, write, sign, verify, and go on."""
    for first in (0, 1):
        with open_shared(writer, tmp_path / "a") as trail:
            assert trail.append(denial()) == first
    assert verify(writer).ok


CHANGES = (
    "update guardrail.ledger set leaf = 'x'",
    "delete from guardrail.ledger",
    "truncate guardrail.ledger",
    "update guardrail.checkpoints set note = ''",
    "delete from guardrail.checkpoints",
    "update guardrail.log set vkey = ''",
    "delete from guardrail.frontier",
    "update guardrail.frontier set size = 0, roots = ''",
    "insert into guardrail.migrations values (9, 'x')",
    "alter table guardrail.ledger disable trigger all",
    "drop table guardrail.ledger",
    "create table guardrail.more ()",
)


def test_the_database_refuses_a_replica_that_would_change_what_is_written(writer: str, tmp_path: Path) -> None:
    """A stolen connection can add records, and can take none away."""
    with open_shared(writer, tmp_path / "a") as trail:
        trail.append(denial())
    with psycopg.connect(writer, autocommit=True) as connection:
        for statement in CHANGES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
    assert verify(writer).records == 1


def test_the_owner_is_held_back_from_a_slip(postgres: Cluster, store: str, tmp_path: Path) -> None:
    """Deleting and truncating are refused with a sentence, whoever asks."""
    with open_shared(store, tmp_path / "a") as trail:
        trail.append(denial())
    for table in ("ledger", "checkpoints", "log", "frontier"):
        for statement in (f"delete from guardrail.{table}", f"truncate guardrail.{table}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only takes new rows"):
                postgres.run(statement, store)


def test_a_role_that_may_not_make_the_tables_is_told_who_may(postgres: Cluster, store: str, tmp_path: Path) -> None:
    """An empty database and a role without rights."""
    postgres.run("create role nobody_special login", store)
    try:
        name = named(store)
        with pytest.raises(TrailError, match="run `guardrail audit migrate` as their owner"):
            open_shared(postgres.url(name, "nobody_special"), tmp_path / "a")
    finally:
        postgres.run("drop role nobody_special")


# ── what the connection must be ───────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_would_lose_acknowledged_records_is_refused(
    postgres: Cluster, store: str, tmp_path: Path
) -> None:
    """`synchronous_commit = off` answers before anything is on disk."""
    name = named(store)
    postgres.run(f"alter database {name} set synchronous_commit = off")
    with pytest.raises(TrailError, match="`synchronous_commit = off`, so it loses records"):
        open_shared(store, tmp_path / "a")


def test_a_read_only_server_is_refused(postgres: Cluster, store: str, tmp_path: Path) -> None:
    """Such as a standby that was not promoted."""
    name = named(store)
    postgres.run(f"alter database {name} set default_transaction_read_only = on")
    with pytest.raises(TrailError, match="cannot be used: .*read-only"):
        open_shared(store, tmp_path / "a")


def test_a_password_is_in_no_message(tmp_path: Path) -> None:
    """Whatever is wrong: the host, the port, the form of the address."""
    for store in (
        f"postgresql://me:tops3cret@/db?host={tmp_path}",
        "postgresql://me:tops3cret@127.0.0.1:1/db",
        "postgresql://me:tops3cret@h/db?nonsense=tops3cret",
        "service=tops3cret password",
    ):
        with pytest.raises(TrailError) as caught:
            open_shared(store, tmp_path / "a", timeout_seconds=0.5)
        with pytest.raises(TrailError) as read:
            verify(store)
        for error in (caught, read):
            assert "tops3cret" not in str(error.value)
            assert "\n" not in str(error.value)


def test_a_server_that_is_not_there_is_told_in_one_sentence(tmp_path: Path) -> None:
    """Where it was looked for, and what was wrong."""
    with pytest.raises(TrailError, match=r"the server of the trail `postgresql://.*` cannot be used: .*No such file"):
        open_shared(f"postgresql:///db?host={tmp_path}", tmp_path / "a")


def test_an_intent_is_on_record_before_it_is_acted_on(postgres: Cluster, store: str, tmp_path: Path) -> None:
    """Another connection finds it when the append returns."""
    with open_shared(store, tmp_path / "a") as trail:
        seq = trail.append(intent())
        assert postgres.run("select seq, kind from guardrail.ledger", store) == [(seq, "intent")]
