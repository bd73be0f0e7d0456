"""A shared ledger read like one in files: shown, handed on and reported, by its address, without its password."""

from __future__ import annotations

import base64
import io
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from guardrail.audit import verify
from guardrail.audit._tree import leaf_hash
from guardrail.audit.export import export
from guardrail.audit.reading import Place, Selection, follow, read_leaves, search
from guardrail.cli import main
from tests.audit_support import denial
from tests.postgres_support import Cluster, open_shared, rows
from tests.trail_support import everything


@pytest.fixture
def store(postgres: Cluster, tmp_path: Path) -> str:
    """The address of a ledger with one of every kind of record."""
    url = postgres.database()
    with open_shared(url, tmp_path / "a") as trail:
        for record in everything():
            trail.append(record)
    return url


def test_the_leaves_of_a_shared_ledger_are_those_in_its_tables(store: str) -> None:
    """Byte for byte, so that their hashes are those of the tree."""
    expected = [(seq, leaf, digest) for seq, leaf, digest in rows(store)]
    assert [(found.seq, found.leaf, leaf_hash(found.leaf)) for found in read_leaves(store)] == expected
    stream = io.BytesIO()
    assert export(search(store, Selection(agents=("ops-agent",))), stream, "ocsf", check=True).records > 5


def test_a_shared_ledger_is_shown_handed_on_and_reported(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the same commands and choices as one in files; its password stands in nothing that is written."""
    assert main(["audit", "show", store, "--id", "e-2", "--json"]) == 0
    assert [json.loads(line)["kind"] for line in capsys.readouterr().out.splitlines()] == ["escalation", "escalation"]
    assert main(["audit", "tail", store, "--last", "2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    out = tmp_path / "report.html"
    secret = store.replace("postgresql://owner@", "postgresql://owner:s3cr3t-w0rd@")
    assert secret != store
    main(["report", secret, "-o", str(out)])
    page = out.read_text()
    assert "39 records in the period" in page
    assert "s3cr3t-w0rd" not in page + capsys.readouterr().out


def test_a_record_of_a_shared_ledger_is_proven_to_whoever_has_no_guardrail(
    store: str, tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shipped script takes the proof, and takes no changed one; the key comes from the database's verification."""
    out = tmp_path / "7.tlog-proof"
    assert main(["audit", "prove", "7", store, "-o", str(out)]) == 0
    script = [sys.executable, root / "scripts" / "verify_proof.py"]
    key = verify(store).key
    subprocess.run([*script, out, "--key", key], timeout=60, check=True)
    leaf = rows(store)[7][1]
    assert base64.b64encode(leaf).decode() in out.read_text()
    out.write_text(out.read_text().replace("index 7", "index 8"))
    assert subprocess.run([*script, out, "--key", key], timeout=60, capture_output=True, check=False).returncode != 0
    capsys.readouterr()
    assert main(["audit", "prove", "39", store]) == 1
    assert "record 39 is not signed yet, the last signed one is 38" in capsys.readouterr().err


def test_an_index_of_a_shared_ledger_finds_the_same_and_is_no_evidence(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It lies with the user who made it; a record that is not the one that was indexed makes it useless."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    expected = [found.seq for found, _ in search(store, Selection(agents=("ops-agent",)))]
    assert main(["audit", "index", store, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["records"] == 39
    assert made["index"].startswith(str(tmp_path / "state"))
    with open_shared(store, tmp_path / "a") as trail:
        trail.append(denial())
    notes: list[str] = []
    assert [found.seq for found, _ in search(store, Selection(agents=("ops-agent",)), note=notes.append)] == expected
    with sqlite3.connect(made["index"]) as db:
        assert db.execute("select count(*) from record").fetchone() == (40,)
        db.execute("update record set hash = x'00' where seq > 20")
    db.close()
    assert [found.seq for found, _ in search(store, Selection(agents=("ops-agent",)), note=notes.append)] == expected
    assert not notes, "it was made anew, because its last record is not that of the ledger"


def test_a_shared_ledger_is_followed_as_it_grows(store: str, tmp_path: Path) -> None:
    """From a place on, each record once, and a word whenever there is nothing more for now."""
    with open_shared(store, tmp_path / "a") as trail:
        news = follow(store, Place("", 0, 38))
        assert [one.seq if one else None for one in (next(news), next(news))] == [38, None]
        trail.append(denial())
        assert next(one for one in news if one is not None).seq == 39
