"""What a shared ledger has beside its records, as a trail in files has it: tiles, witnesses, disclosures."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from guardrail import Guard, ToolCall
from guardrail.audit import verify
from guardrail.audit._note import new_private_key
from guardrail.audit._proof import consistency_proof, inclusion_proof, is_consistent, root_of_inclusion, tree_root
from guardrail.audit._tree import Frontier, leaf_hash
from guardrail.audit._verify import read_records
from guardrail.audit.disclosure import opened
from guardrail.audit.witness import Witness
from guardrail.cli import main
from guardrail.errors import TrailError
from guardrail.mandates import new_key
from tests.audit_support import denial
from tests.duty_support import AGENT, DUTY, Retirement, only
from tests.postgres_support import Cluster, open_shared, rows
from tests.test_audit_witness import serving

SECRET = "hunter2Correct9"
MANY = 256 * 256 + 700
"""Enough records for a tile of the second level."""


@pytest.fixture
def store(postgres: Cluster) -> str:
    """An empty database."""
    return postgres.database()


# ── tiles and proofs ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_proofs_come_from_tiles_that_are_those_of_the_tree(postgres: Cluster, store: str, tmp_path: Path) -> None:
    """Two levels of them, made by a replica in passing; proofs lead to the right root, and a wrong tile is found."""
    open_shared(store, tmp_path / "a").close()
    postgres.run(
        "insert into guardrail.ledger (seq, kind, leaf)"
        f" select n, 'x', convert_to('{{\"n\":' || n || '}}', 'UTF8') from generate_series(0, {MANY - 1}) n",
        store,
    )
    tree = Frontier()
    for _, _, digest in rows(store):
        tree.add(digest)
    postgres.run(f"update guardrail.frontier set size = {MANY}, roots = '\\x{b''.join(tree.roots).hex()}'", store)
    with open_shared(store, tmp_path / "b") as trail:
        trail._lease.look()
        trail.checkpoint()
    assert postgres.run("select level, count(*) from guardrail.tiles group by level order by level", store) == [
        (0, MANY // 256),
        (1, 1),
    ]
    root = tree.root()
    assert tree_root(store, MANY) == root
    leaf = leaf_hash(b'{"n":300}')
    assert root_of_inclusion(leaf, 300, MANY, inclusion_proof(store, 300, MANY)) == root
    assert is_consistent(1000, MANY, tree_root(store, 1000), root, consistency_proof(store, 1000, MANY))
    with psycopg.connect(store) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("update guardrail.tiles set hashes = sha256('x') || substr(hashes, 33) where tile = 7")
    (problem,) = verify(store, deep=False).problems
    assert (problem.file, problem.what[:24]) == ("tile/0/007", "does not fit the records")


# ── witnesses ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_witness_cosigns_a_shared_ledger_and_notices_one_that_was_written_anew(
    postgres: Cluster, store: str, tmp_path: Path
) -> None:
    """Whichever replica asks; the verifier can insist on it, and a history with the same key is not cosigned."""
    open_shared(store, tmp_path / "a").close()
    key = verify(store).key
    witness = Witness("witness.example/w", new_private_key(), [key], tmp_path / "seen.json")
    with serving(witness) as url:
        for name, records in (("a", 300), ("b", 5)):
            with open_shared(store, tmp_path / name, witnesses=[(url, witness.vkey)]) as trail:
                for number in range(records):
                    trail.append(denial(number)) if number % 50 == 0 else None
                trail.checkpoint()
        report = verify(store, vkey=key, witnesses=[witness.vkey])
        assert report.ok, report.problems
        assert (report.witnessed, report.records) == (7, 7)
        other = Witness("witness.example/other", new_private_key(), [key], tmp_path / "other.json")
        assert "is cosigned by 1 of the given witnesses" in verify(store, witnesses=[other.vkey]).problems[0].what
        postgres.database()
        with pytest.warns(RuntimeWarning, match="has seen another trail of this name"):
            _write_anew(store, tmp_path / "c", (url, witness.vkey))
    assert not verify(store, witnesses=[witness.vkey]).ok


def _write_anew(store: str, home: Path, witness: tuple[str, str]) -> None:
    with open_shared(store, home, witnesses=[witness]) as trail:
        for number in range(9):
            trail.append(denial(number + 1))
        trail.checkpoint()


def test_a_changed_cosignature_of_a_shared_ledger_is_found(postgres: Cluster, store: str, tmp_path: Path) -> None:
    """Whatever the owner puts in its place."""
    open_shared(store, tmp_path / "a").close()
    witness = Witness("witness.example/w", new_private_key(), [verify(store).key], tmp_path / "seen.json")
    with serving(witness) as url, open_shared(store, tmp_path / "a", witnesses=[(url, witness.vkey)]) as trail:
        trail.append(denial())
        trail.checkpoint()
    assert verify(store, witnesses=[witness.vkey]).ok
    ((note,),) = postgres.run("select note from guardrail.cosigned order by number desc limit 1", store)
    changed = note[:-30] + ("A" if note[-30] != "A" else "B") + note[-29:]
    postgres.run(f"set session_replication_role = replica; update guardrail.cosigned set note = '{changed}'", store)
    assert not verify(store, witnesses=[witness.vkey]).ok


# ── disclosures ───────────────────────────────────────────────────────────────────────────────────────────────────────


class House:
    """A guard on a shared ledger that keeps what calls say, and people who may order."""

    def __init__(self, root: Path, store: str, *, disclose: str = '["args", "output"]') -> None:
        self.root, self.store = root, store
        people = [(name, new_key(root / f"{name}.pem")) for name in ("dana", "eli")]
        (root / "w").write_bytes(b"weights")
        self.toml = root / "guardrail.toml"
        self.toml.write_text(
            '[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["w"]\n'
            + "".join(f'[[person]]\nname = "{name}"\nkey = "{key}"\n' for name, key in people)
            + "[limits]\ndecision_ms = 60000\n"
            "[trail]\ntimeout_seconds = 60\n"
            f'directory = "t"\nstore = "{store}"\nkey = "trail.key"\ndisclose = {disclose}\n'
        )

    def run(self, *words: object) -> int:
        """A command on this configuration."""
        return main(["audit", *map(str, words), "--config", str(self.toml)])


def test_what_is_disclosed_lies_in_a_table_of_its_own_and_is_redacted_for_good(
    postgres: Cluster, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Salted, without secrets; one of two is deleted, the other can still be opened, and the tree still verifies."""
    house, left = House(tmp_path, store), {"/call/args/timeout": 5}
    call = ToolCall(tool="bash", args={"command": f"echo password={SECRET}", "timeout": 5}, cwd="/")
    with Guard.open(house.toml) as guard:
        guard.run(call, lambda _: "two files")
        record = next(record for _, record in read_records(store) if "disclosures" in record)
        assert opened(store, record) == {"/call/args/command": "echo password=***", **left}
        # The guard need not stop for it.
        words = (
            "redact",
            "--seq",
            record["seq"],
            "--pointer",
            "/call/args/command",
            "--reason",
            "asked",
            "--by",
            "dana",
        )
        assert house.run(*words) == 0
    assert opened(store, record) == left
    everything = postgres.run("select string_agg(text, ' ') from guardrail.disclosures", store)[0][0]
    assert SECRET not in everything + "".join(leaf.decode() for _, leaf, _ in rows(store))
    assert "two files" not in "".join(leaf.decode() for _, leaf, _ in rows(store))
    capsys.readouterr()
    assert house.run("show", "--open", "--json", "--seq", record["seq"]) == 0
    assert json.loads(capsys.readouterr().out)["opened"] == left
    report = verify(store)
    assert report.ok, report.problems
    assert (report.disclosures, report.disclosures_missing, report.redactions) == (2, 0, 1)


def test_a_disclosure_of_a_shared_ledger_that_was_changed_or_lost_is_found(
    postgres: Cluster, store: str, tmp_path: Path
) -> None:
    """Another text is a problem; one that is gone without a record that says so is counted."""
    house = House(tmp_path, store)
    with Guard.open(house.toml) as guard:
        guard.run(ToolCall(tool="bash", args={"command": "ls"}, cwd="/"), lambda _: "two files")
    postgres.run("delete from guardrail.disclosures where pointer = '/output'", store)
    assert (verify(store).ok, verify(store).disclosures_missing) == (True, 1)
    postgres.run(
        "set session_replication_role = replica; update guardrail.disclosures set text = 'WyJhIiwiYiIsImMiXQ'", store
    )
    (problem,) = verify(store).problems
    assert "is not what was disclosed to the record" in problem.what


def test_a_call_whose_words_cannot_be_kept_is_denied(postgres: Cluster, store: str, tmp_path: Path) -> None:
    """As with files: what was asked to be kept is kept before a call runs."""
    house = House(tmp_path, store)
    with Guard.open(house.toml) as guard:
        postgres.run("drop table guardrail.disclosures", store)
        decision = guard.check(ToolCall(tool="bash", args={"command": "ls"}, cwd="/"))
        assert not decision
        assert "cannot write what is disclosed beside the trail" in decision.reasons[0].message
        with pytest.raises(TrailError, match="there is no record 99"):
            from guardrail.audit.redaction import redact

            assert guard.trail is not None
            redact(guard.trail, 99, "/output", reason="x", by="dana")


# ── duties ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_deletion_under_a_shared_ledger_is_proven_from_it(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The certificate comes from the tables with its proof, and they are asked whether it still holds."""
    place = Retirement(tmp_path / "place")
    text = place.toml.read_text().replace('directory = "trail"', f'directory = "trail"\nstore = "{store}"')
    place.toml.write_text(text)
    with place.guard() as guard:
        guard.begin(AGENT)
        place.delete(guard)
        assert [only(guard.settle()).stage for _ in range(2)] == ["absent_1", "discharged"]
    file, vkey = tmp_path / "certificate.json", verify(store).key
    assert main(["obligations", "certificate", DUTY, "--out", str(file), "--config", str(place.toml)]) == 0
    check = ["obligations", "verify-certificate", str(file), "--vkey", vkey, "--config", str(place.toml)]
    assert main(check) == 0
    assert "in the trail as record" in capsys.readouterr().out
