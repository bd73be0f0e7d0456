"""What the database of a centre proves and refuses, and what is said of it before a guard is started."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

import psycopg
import pytest

from guardrail.audit._proof import consistency_path, is_consistent
from guardrail.audit._tree import EMPTY_ROOT, leaf_hash, node_hash
from guardrail.audit._verify import read_records
from guardrail.central import _people
from guardrail.cli import main
from guardrail.cli.findings._central import central_findings
from guardrail.config import load, parse
from guardrail.errors import ConfigError
from guardrail.service._readiness import Readiness
from tests.central_support import DELETE, Fleet, allows, directory_of, fleet, quietly, stands, tables, until, wire
from tests.postgres_support import Cluster, Wire

__all__ = ["fleet", "tables", "wire"]


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
    give_roles(postgres, fleet.store)
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


def give_roles(postgres: Cluster, store: str) -> None:
    """The roles of the documentation, with their rights; the server may know them from another database."""
    text = (Path(__file__).parent.parent / "docs" / "replicas.md").read_text(encoding="utf-8")
    rights = text.partition("```sql\n")[2].partition("```")[0]
    for role in re.findall(r"create role (\w+)[^;]*;", rights):
        if postgres.run(f"select 1 from pg_roles where rolname = '{role}'"):
            rights = re.sub(rf"create role {role}[^;]*;", "", rights)
    postgres.run(rights, store)


def test_doctor_says_what_a_guard_would_find(fleet: Fleet, wire: Wire) -> None:
    """What is there; with what it would begin if nothing is; and that the name of its trail is taken."""
    with fleet.guard("a") as guard:
        assert until(lambda: stands(guard).recorded > 0)
    assert _findings(fleet.root / "a.toml") == [("ok", "0 mandates, 0 revocations, 1 trails")]
    wire.cut()
    cut = fleet.config("a", wire.url(fleet.store))
    ((state, detail),) = _findings(cut)
    assert state == "note"
    assert "would begin with what was seen at 20" in detail
    shutil.rmtree(fleet.root / "a" / "trail")
    with fleet.guard("a") as guard:
        assert until(lambda: "two trails have this name" in stands(guard).refused)
    ((state, detail),) = _findings(fleet.root / "a.toml")
    assert (state, "another trail named `guardrail.test/a`" in detail) == ("problem", True)


def _findings(config: Path) -> list[tuple[str, str]]:
    """State and detail, without the database, of what doctor says of the centre."""
    return [(one.state, one.detail.rpartition("centre: ")[2]) for one in central_findings(load(config))]


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
