"""A shared ledger read like one in files: shown, handed on and reported, by its address, without its password."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from guardrail.audit.export import export
from guardrail.audit.reading import Selection, leaf_hash, read_leaves, search
from guardrail.cli import main
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


@pytest.mark.parametrize("words", [("prove", "1"), ("index",), ("tail", "-f")], ids=" ".join)
def test_what_needs_files_says_so(store: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, exit code 2."""
    assert main(["audit", *words[:2], store] if words[0] == "prove" else ["audit", words[0], store, *words[1:]]) == 2
    assert "needs a trail in files, and this one is in a database" in capsys.readouterr().err
