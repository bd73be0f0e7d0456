"""What people do to a shared ledger while replicas write: prune it by an order, hold it, replace its key."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from guardrail.audit import verify
from guardrail.audit._note import Checkpoint
from guardrail.audit._proof import inclusion_proof, root_of_inclusion, tree_root
from guardrail.audit._tree import Frontier, leaf_hash
from guardrail.audit.postgres._beside import connected
from guardrail.audit.postgres._server import Limits
from guardrail.audit.postgres._tables import Tables
from guardrail.audit.reading import Selection, search
from guardrail.cli import main
from guardrail.errors import TrailError
from tests.audit_support import child, denial
from tests.postgres_support import PATIENTLY, Cluster, named, open_shared, rows
from tests.test_postgres_beside import House

OLD = 600
"""Records from years ago: two whole tiles and a part of one."""

THEN_NS = int(dt.datetime(2020, 1, 1, tzinfo=dt.UTC).timestamp() * 1e9)
"""When they were written."""


@pytest.fixture
def house(postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A ledger of old records, and a few of today."""
    made = House(tmp_path, postgres.database())
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: THEN_NS)
        with open_shared(made.store, tmp_path / "a") as trail, trail.ledger(()).turn() as turn:
            turn.append([denial(number) for number in range(OLD)])
    with open_shared(made.store, tmp_path / "a") as trail:
        trail.append(denial())
    return made


def order(house: House, *signers: str) -> Path:
    """An order to take away what is older than 2021, signed by these."""
    path = house.root / "order.json"
    assert house.run("prune", "--before", "2021-01-01", "--reason", "their time is over", "--draft", path) == 0
    for name in signers:
        assert house.run("prune", "--sign", path, "--key", house.root / f"{name}.pem", "--by", name) == 0
    return path


# ── pruning ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_shared_ledger_is_pruned_by_two_people_while_replicas_write(house: House, tmp_path: Path) -> None:
    """Whole tiles of old records go; every proof, every replica and whoever comes later finds the same tree."""
    before = inclusion_proof(house.store, OLD, OLD + 1), tree_root(house.store, OLD + 1), rows(house.store)[OLD][1]
    order(house, "dana", "eli")
    with open_shared(house.store, tmp_path / "b") as running:
        running.append(denial())
        assert house.run("prune", "--order", house.root / "order.json") == 0
        running.append(denial())
    assert rows(house.store)[0][0] == 512
    report = verify(house.store)
    assert report.ok, report.problems
    assert report.pruned is not None
    assert (report.pruned["minimum"], report.pruned["by"], report.signed) == (512, ["dana", "eli"], OLD + 4)
    assert (inclusion_proof(house.store, OLD, OLD + 1), tree_root(house.store, OLD + 1)) == before[:2]
    assert root_of_inclusion(leaf_hash(before[2]), OLD, OLD + 1, before[0]) == before[1]
    # One that has seen all of it, one that has seen the beginning, and one that has seen nothing.
    for name in ("b", "a", "new"):
        with open_shared(house.store, tmp_path / name) as trail:
            trail.append(denial())
    assert verify(house.store).ok
    notes: list[str] = []
    assert len(list(search(house.store, Selection(), note=notes.append))) == OLD + 7 - 512
    assert notes == []


def test_what_a_crash_leaves_of_pruned_records_is_told_and_goes_with_the_next_prune(
    postgres: Cluster, house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """The record is written first, so that nothing is gone without a word; the rest is taken away later."""
    (seq, leaf, _), *_ = rows(house.store)
    assert house.run("prune", "--order", order(house, "dana", "eli")) == 0
    postgres.run(
        f"insert into guardrail.ledger (seq, kind, leaf) values ({seq}, 'decision', '\\x{leaf.hex()}')", house.store
    )
    (problem,) = verify(house.store).problems
    assert "1 records were pruned and are still there: prune again" in problem.what
    assert house.run("prune", "--order", house.root / "order.json") == 1
    assert "nothing was taken away" in capsys.readouterr().err
    assert verify(house.store).ok


def test_an_order_that_does_not_count_takes_nothing_away(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One signature, a legal hold in force; a hold needs no stopped guard either."""
    assert house.run("prune", "--order", order(house, "dana")) == 1
    assert "2 different people have to" in capsys.readouterr().err
    with open_shared(house.store, tmp_path / "running"):
        assert house.run("hold", "add", "--name", "case-7", "--reason", "asked", "--by", "dana") == 0
        assert house.run("prune", "--order", order(house, "dana", "eli")) == 1
        assert "legal hold `case-7`" in capsys.readouterr().err
        assert house.run("hold", "list") == 0
        assert "case-7  asked" in capsys.readouterr().out
    assert verify(house.store).holds == ("case-7",)
    assert rows(house.store)[0][0] == 0


def test_records_that_were_taken_away_without_an_order_are_missed(
    postgres: Cluster, house: House, tmp_path: Path
) -> None:
    """Whoever can switch triggers off, tiles or not; and a wrong tile in their place is found by the root."""
    with open_shared(house.store, tmp_path / "a") as trail:
        trail._lease.look()
    postgres.run("set session_replication_role = replica; delete from guardrail.ledger where seq < 256", house.store)
    assert "records 0 to 255 are missing" in str(verify(house.store).problems[0])


def test_tiles_that_stand_for_pruned_records_must_make_the_signed_root(postgres: Cluster, house: House) -> None:
    """Another history cannot be put in the place of one that is gone."""
    assert house.run("prune", "--order", order(house, "dana", "eli")) == 0
    postgres.run(
        "set session_replication_role = replica;"
        "update guardrail.tiles set hashes = sha256('x') || substr(hashes, 33) where level = 0 and tile = 1",
        house.store,
    )
    assert any("are not those that were signed" in problem.what for problem in verify(house.store).problems)


def test_only_the_role_that_keeps_a_ledger_can_take_records_away(
    postgres: Cluster, house: House, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the documented rights: a replica's role is told so, and the keeper's prunes."""
    from tests.test_postgres import documented_rights

    roles = ("guardrail_keeper", "guardrail_writer", "guardrail_reader")
    for role in roles:
        postgres.run(f"drop role if exists {role}")
    postgres.run(documented_rights(root), house.store)
    path, text = order(house, "dana", "eli"), house.toml.read_text()
    try:
        for role, code in (("guardrail_writer", 1), ("guardrail_keeper", 0)):
            house.toml.write_text(text.replace(house.store, postgres.url(named(house.store), role)))
            assert house.run("prune", "--order", path) == code
        assert "this role may not take records away" in capsys.readouterr().err
    finally:
        for role in roles:
            postgres.run(f"drop owned by {role}; drop role {role}", house.store)
    assert verify(house.store).ok


def test_what_signs_a_shared_ledger_needs_its_configuration(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """An address alone has no key; one sentence, exit code 2."""
    assert main(["audit", "hold", "add", house.store, "--name", "x", "--reason", "y", "--by", "z"]) == 2
    assert "needs the key of the shared trail: name its configuration by --config" in capsys.readouterr().err


# ── another key ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_key_of_a_shared_ledger_is_replaced_while_replicas_write(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever trusts the first key can follow; the old one is retired when every replica signs with the new one."""
    first = verify(house.store).key
    slow = tmp_path / "slow.key"
    slow.write_bytes((tmp_path / "trail.key").read_bytes())
    slow.chmod(0o600)
    running = open_shared(house.store, tmp_path / "b", key=slow)
    capsys.readouterr()
    assert house.run("rotate-key", "--json") == 0
    new = json.loads(capsys.readouterr().out)["next"]
    running.append(denial())
    assert house.run("rotate-key", "--finish") == 1
    assert "does not sign with the new key yet" in capsys.readouterr().err
    running.close()
    with open_shared(house.store, tmp_path / "b") as both:
        both.append(denial())
        assert house.run("rotate-key", "--finish") == 0
        both.append(denial())
    with open_shared(house.store, tmp_path / "a") as late:
        late.append(denial())  # its own checkpoint is by the old key alone, and fits
    with pytest.raises(TrailError, match="was retired: give this replica the `trail.key` of the others"):
        open_shared(house.store, tmp_path / "c", key=slow)
    report = verify(house.store, vkey=first)
    assert report.ok, report.problems
    assert report.keys == (first, new)
    assert report.signed == report.records


def test_a_replica_with_a_retired_key_signs_nothing_any_more(postgres: Cluster, house: House, tmp_path: Path) -> None:
    """Though nobody waited for it: it takes no more records, and says what to do."""
    slow = tmp_path / "slow.key"
    slow.write_bytes((tmp_path / "trail.key").read_bytes())
    slow.chmod(0o600)
    running = open_shared(house.store, tmp_path / "b", key=slow)
    assert house.run("rotate-key") == 0
    postgres.run("update guardrail.runs set lease = now()", house.store)
    assert house.run("rotate-key", "--finish") == 0
    running.append(denial())
    for _ in range(2):
        with pytest.raises(TrailError, match="was retired: give it the `trail.key` of the others"):
            running.checkpoint()
    with pytest.raises(TrailError, match="was retired"):
        running.close()
    assert verify(house.store).ok


def test_whoever_trusts_the_first_key_follows_it_past_pruned_rows(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of the records about keys are gone, and the records themselves are beside the ledger."""
    house = House(tmp_path, postgres.database())
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: THEN_NS)
        with open_shared(house.store, tmp_path / "a") as trail:
            assert house.run("rotate-key") == 0
            first = verify(house.store).key
            with trail.ledger(()).turn() as turn:
                turn.append([denial(number) for number in range(OLD)])
    with open_shared(house.store, tmp_path / "a") as trail:
        trail.append(denial())
        keys = verify(house.store, vkey=first).keys
    assert house.run("prune", "--order", order(house, "dana", "eli")) == 0
    assert rows(house.store)[0][0] == 512
    report = verify(house.store, vkey=first)
    assert report.ok, report.problems
    assert (report.keys, len(keys)) == (keys, 2)
    postgres.run("alter table guardrail.keys disable trigger all", house.store)
    postgres.run('update guardrail.keys set leaf = convert_to(\'{"kind":"key","seq":0}\', \'UTF8\')', house.store)
    assert "is not a record that was pruned" in verify(house.store, vkey=first).problems[0].what


_STALE = """
import os, sys
from guardrail.audit.postgres import PostgresTrail
from guardrail.audit.postgres._tables import Tables
from guardrail.errors import TrailError
store, home, key = sys.argv[1:]
keep = Tables.keep_checkpoint
def stopped(self, tree, note):
    os.write(1, b"signed, not kept")
    os.read(0, 1)
    keep(self, tree, note)
trail = PostgresTrail.open(store, directory=home, key=key, checkpoint_seconds=1e6, lease_seconds=0.2,
                           timeout_seconds=30)
trail.append({"kind": "decision"})
Tables.keep_checkpoint = stopped
try:
    trail.checkpoint()
except TrailError as error:
    os.write(1, str(error).encode())
os._exit(0)
"""


def test_a_replica_that_stood_still_while_its_key_was_retired_keeps_no_checkpoint(
    postgres: Cluster, house: House, tmp_path: Path
) -> None:
    """Another process signed and was stopped; its lease ended, the key was retired, and the database compares."""
    (slow := tmp_path / "slow.key").write_bytes((tmp_path / "trail.key").read_bytes())
    slow.chmod(0o600)
    stale = child(PATIENTLY + _STALE, house.store, tmp_path / "stale", slow, stdin=subprocess.PIPE)
    assert stale.stdout is not None
    assert os.read(stale.stdout.fileno(), 16) == b"signed, not kept"
    assert house.run("rotate-key") == 0
    stale.send_signal(signal.SIGSTOP)
    postgres.run("update guardrail.runs set lease = now() where not ended", house.store)
    assert house.run("rotate-key", "--finish") == 0
    before = postgres.run("select size, note from guardrail.checkpoints order by size", house.store)
    stale.send_signal(signal.SIGCONT)
    said, error = stale.communicate(b"g", timeout=60)
    assert b"the key of this checkpoint was retired" in said, error.decode()
    assert postgres.run("select size, note from guardrail.checkpoints order by size", house.store) == before
    assert verify(house.store).ok


@pytest.mark.parametrize("lie", ["beyond the end", "another tree", "a second head"])
def test_the_database_keeps_no_checkpoint_that_is_not_of_its_ledger(
    postgres: Cluster, house: House, tmp_path: Path, lie: str
) -> None:
    """Whoever holds the key and the rights of a writer: a larger tree, another one, or another one of a signed size."""
    with open_shared(house.store, tmp_path / "a") as trail:
        size, signer = trail.size, trail._writer._known._signer
    signed = [row[0] for row in postgres.run("select size from guardrail.checkpoints order by size", house.store)]
    assert signed == [0, OLD, size]
    if lie == "another tree":
        postgres.run("alter table guardrail.checkpoints disable trigger append_only", house.store)
        postgres.run(f"delete from guardrail.checkpoints where size = {size}", house.store)
    other = Frontier()
    for number in range({"beyond the end": size + 1, "another tree": size, "a second head": OLD}[lie]):
        other.add(leaf_hash(b"%d" % number))
    note = signer.sign(Checkpoint(other.size, other.root()))
    with connected(house.store, Limits.within(10)) as server, pytest.raises(TrailError, match="are not those of the"):
        Tables(server).keep_checkpoint(other, note)


def test_a_key_that_no_record_names_is_found(postgres: Cluster, house: House) -> None:
    """The owner lists another key of theirs: the verifier says so, and trusts it in nothing."""
    from guardrail.audit._note import SigningKey, new_private_key

    stranger = SigningKey("guardrail.local/trail", new_private_key()).vkey
    postgres.run(f"insert into guardrail.keys values (3, 'added', 'x', '{stranger}')", house.store)
    assert "lists a key that no record of the trail names" in verify(house.store).problems[0].what
