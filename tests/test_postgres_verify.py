"""The verifier over tables: whatever is not as it was written is found, though the owner of the database changed it."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from guardrail.audit import verify
from guardrail.audit.postgres._schema import migrations
from guardrail.cli import main
from guardrail.config import parse
from guardrail.errors import ConfigError
from tests.audit_support import denial, intent
from tests.postgres_support import Cluster, open_shared

RECORDS = 12


@pytest.fixture
def store(postgres: Cluster, tmp_path: Path) -> str:
    """A ledger of twelve records in two checkpoints."""
    url = postgres.database()
    with open_shared(url, tmp_path / "a") as trail:
        for number in range(RECORDS):
            trail.append(denial(number))
            if number == 6:
                trail.checkpoint()
    return url


def change(store: str, statement: str) -> None:
    """What the owner of a database can do: switch the triggers off first."""
    with psycopg.connect(store) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(statement.encode())


def problems(store: str, **how: object) -> list[str]:
    """What a verification says."""
    report = verify(store, **how)  # type: ignore[arg-type]
    assert report.ok is not bool(report.problems)
    return [str(problem) for problem in report.problems]


@pytest.mark.parametrize("deep", [True, False])
def test_a_ledger_as_it_was_written_verifies(store: str, deep: bool) -> None:
    """With the number of records and checkpoints, and the bytes of the leaves."""
    report = verify(store, deep=deep)
    assert report.ok, report.problems
    assert (report.records, report.signed, report.segments, report.live) == (RECORDS, RECORDS, 0, False)
    assert report.checkpoints == 3  # that of the empty tree as well
    assert report.size > RECORDS * 100


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            """update guardrail.ledger set leaf = replace(encode(leaf, 'escape'), '"number":3', '"number":8')::bytea
            where seq = 3""",
            "record 0, checkpoints, byte 1: the first 7 records are not those that were signed",
        ),
        ("delete from guardrail.ledger where seq = 5", "record 6, ledger: record 5 is missing before this one"),
        ("delete from guardrail.ledger where seq between 2 and 4", "record 5, ledger: records 2 to 4 are missing"),
        ("delete from guardrail.ledger where seq = 0", "record 1, ledger: record 0 is missing before this one"),
        ("delete from guardrail.ledger where seq > 8", "12 records were signed, but the trail ends after 9"),
        (
            """update guardrail.ledger set seq = seq + 100 where seq in (3, 4);
            update guardrail.ledger set seq = 107 - seq where seq > 100""",
            "record 3, ledger: the record calls itself record 4",
        ),
        (
            "insert into guardrail.ledger (seq, kind, leaf) values (12, 'x', '{}')",
            "the record calls itself record None",
        ),
        ("update guardrail.ledger set kind = 'vote' where seq = 2", "record 2, ledger: lies under the kind `vote`"),
        (
            """alter table guardrail.ledger alter hash drop expression;
            update guardrail.ledger set hash = sha256('x') where seq = 1""",
            "record 1, ledger: its hash is not that of its leaf",
        ),
        (
            "update guardrail.frontier set roots = sha256('x') || sha256('y')",
            "frontier: is not the right edge of the tree",
        ),
        ("update guardrail.frontier set size = 3", "frontier: says that the ledger ends after 3 records, not 12"),
        ("delete from guardrail.frontier", "frontier: is missing"),
        (
            "update guardrail.checkpoints set note = replace(note, E'\\n7\\n', E'\\n6\\n') where size = 7",
            "the signature of the checkpoint is wrong",
        ),
        (
            "update guardrail.checkpoints set size = 8, roots = sha256('x') where size = 7",
            "the checkpoint over 7 records lies under the size 8",
        ),
        (
            "update guardrail.checkpoints set roots = sha256('x') || sha256('y') || sha256('z') where size = 7",
            "the right edge kept with the checkpoint over 7 records is not that of its tree",
        ),
        ("delete from guardrail.checkpoints", "checkpoints: holds no good checkpoint"),
        ("update guardrail.log set vkey = 'nonsense'", "the key is not of the form"),
        ("delete from guardrail.log", "log: the trail has no verifier key"),
    ],
)
def test_whatever_the_owner_changes_is_found_and_named(store: str, statement: str, found: str) -> None:
    """Records, their order, their hashes and kinds, the frontier, the checkpoints, the key."""
    change(store, statement)
    assert any(found in problem for problem in problems(store)), problems(store)


def test_a_ledger_that_was_made_anew_is_found_by_the_key_and_by_a_kept_checkpoint(
    postgres: Cluster, store: str, tmp_path: Path
) -> None:
    """The owner begins another history under the same name; what was kept elsewhere does not fit it."""
    key, kept = verify(store).key, (tmp_path / "a" / "checkpoint").read_text()
    assert problems(store, vkey=key, checkpoint=kept) == []
    postgres.database()
    with open_shared(store, tmp_path / "b", key=tmp_path / "another.key") as trail:
        for number in range(RECORDS + 1):
            trail.append(denial(number))
    assert problems(store) == []
    assert any("is not the key that was given" in problem for problem in problems(store, vkey=key))
    assert any("another ledger or key" in problem for problem in problems(store, checkpoint=kept))


@pytest.mark.parametrize(
    "statement",
    [
        "select 1",
        "delete from guardrail.ledger where seq in (4, 6); update guardrail.ledger set kind = 'vote' where seq = 9",
    ],
)
def test_many_processes_find_what_one_finds(store: str, monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    """Parts of the rows, read elsewhere from the same snapshot, make the same report."""
    monkeypatch.setattr("guardrail.audit.postgres._verify.WORTH_ROWS", 1)
    monkeypatch.setattr("guardrail.audit.postgres._verify.PART_ROWS", 4)
    change(store, statement)
    one, many = verify(store), verify(store, jobs=2)
    assert many.to_dict() | {"seconds": 0} == one.to_dict() | {"seconds": 0}
    assert many.ok is (statement == "select 1")


def test_results_are_paired_with_their_intents(postgres: Cluster, tmp_path: Path) -> None:
    """One intent is open, one result has none."""
    url = postgres.database()
    with open_shared(url, tmp_path / "a") as trail:
        first = trail.append(intent())
        trail.append(intent())
        trail.append({"kind": "result", "intent": first, "result": "completed"})
        trail.append({"kind": "result", "intent": 77, "result": "completed"})
    report = verify(url)
    assert report.unfinished == 1
    assert [str(problem) for problem in report.problems] == [
        "record 3, ledger: the result of `77`, which is no intent before it"
    ]


def test_reading_goes_on_while_others_write(store: str, tmp_path: Path) -> None:
    """One snapshot: what comes after its beginning is not in it, and nothing in it is half there."""
    with open_shared(store, tmp_path / "a", checkpoint_seconds=0.001) as trail:
        for _ in range(5):
            trail.append(denial())
            assert problems(store) == []


# ── the command line ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_line_takes_an_address_for_a_trail(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`verify` and `show`; a damaged ledger exits 1, a database without one 1 and a sentence."""
    assert main(["audit", "verify", store]) == 0
    assert f"records     {RECORDS} in the database, " in capsys.readouterr().out
    assert main(["audit", "verify", store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == RECORDS
    assert main(["audit", "show", store, "--last", "2", "--json"]) == 0
    assert [json.loads(line)["number"] for line in capsys.readouterr().out.splitlines()] == [10, 11]
    change(store, "delete from guardrail.ledger where seq = 5")
    assert main(["audit", "verify", store]) == 1
    assert "record 5 is missing" in capsys.readouterr().out


def test_an_address_without_a_ledger_is_told_in_one_sentence(
    postgres: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No table, no database, no server, no right to read."""
    assert main(["audit", "verify", postgres.url()]) == 1
    assert "there is no trail in `postgresql://" in capsys.readouterr().err
    for url in (postgres.url("missing"), f"postgresql://me:tops3cret@/x?host={tmp_path}"):
        for action in ("verify", "show"):
            assert main(["audit", action, url]) == 1
            said = capsys.readouterr().err
            assert said.startswith("guardrail: cannot read the trail in `postgresql://")
            assert said.count("\n") == 1
            assert "tops3cret" not in said


def test_migrate_makes_the_tables_and_says_which_steps(postgres: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """The second time there is nothing to do; a directory is no database."""
    url = postgres.database()
    assert main(["audit", "migrate", url]) == 0
    assert capsys.readouterr().out == "".join(f"applied {step.name}\n" for step in migrations())
    assert main(["audit", "migrate", url]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert main(["audit", "migrate", "here"]) == 2
    assert main(["audit", "migrate", postgres.url("missing")]) == 1


def test_doctor_says_whether_a_replica_could_go_on(
    postgres: Cluster, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The number of records, or the reason why it would be refused; nothing is changed."""
    (tmp_path / "m").mkdir()
    toml = tmp_path / "guardrail.toml"

    def finding(url: str, key: str = "trail.key") -> tuple[str, str]:
        toml.write_text(
            f'[[asset]]\nid = "model:m"\nclass = "weights"\npaths = ["{tmp_path}/m"]\n'
            f'[trail]\nstore = "{url}"\nkey = "{tmp_path}/{key}"\ndirectory = "{tmp_path}/d"\n'
        )
        main(["doctor", "--config", str(toml), "--json"])
        (found,) = [one for one in json.loads(capsys.readouterr().out) if one["name"] == "trail"]
        return found["state"], found["detail"]

    assert finding(store)[0] == "ok"
    assert f", {RECORDS} records, shared, signed with" in finding(store)[1]
    state, why = finding(store, "none.key")
    assert state == "problem"
    assert why.endswith(f"there is none at `{tmp_path}/none.key`: give this replica the `trail.key` of the others")
    assert "cannot be used: " in finding(postgres.url("missing"))[1]
    postgres.database()
    assert f"{len(migrations())} of its steps are to be applied" in finding(store)[1]
    assert postgres.run("select count(*) from pg_namespace where nspname = 'guardrail'", store) == [(0,)]


# ── the settings ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('store = "mysql://h/d"', "`trail.store` must be"),
        ('store = "host=h dbname=d"', "`trail.store` must be"),
        ('store = "postgresql://me:tops3cret@h/d"', "has a password"),
        ('store = "postgresql://h/d?password=tops3cret"', "has a password"),
        ('key = "k"', "`trail.key` belongs to `trail.store`"),
    ],
)
def test_a_store_that_cannot_be_meant_is_refused(text: str, match: str) -> None:
    """And a password is not repeated."""
    with pytest.raises(ConfigError, match=match) as caught:
        parse(f"[trail]\n{text}")
    assert "tops3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "store", ["postgresql://h/d", "postgresql://u@h:5433/d?sslmode=verify-full", "service=trail", "${GUARDRAIL_STORE}"]
)
def test_a_store_without_a_password_is_taken(store: str) -> None:
    """As an address, a service, or a variable."""
    assert parse(f'[trail]\nstore = "{store}"').trail.store == store
