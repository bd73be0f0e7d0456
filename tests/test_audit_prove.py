"""A proof of one record, and the standalone script that checks it with no code of ours."""

from __future__ import annotations

import ast
import base64
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail.audit.reading._proof_file import prove
from guardrail.audit.rotation import begin, finish
from guardrail.cli import main
from guardrail.errors import TrailError
from tests.audit_support import ROOT, crashed_trail, flip, make_trail, open_trail, segments
from tests.trail_support import cosigned_by

SCRIPT = ROOT / "scripts" / "verify_proof.py"


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("verify_proof", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


verifier = _load()


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed trail of 23 records over several segments."""
    return make_trail(tmp_path_factory.mktemp("prove") / "t", 23)


@pytest.fixture(scope="module")
def vkey(trail: Path) -> str:
    """Its verifier key."""
    return (trail / "trail.vkey").read_text().strip()


def test_every_record_of_every_size_of_tree_is_proven(tmp_path: Path) -> None:
    """Balanced trees and others, the first and the last leaf, a tree of one."""
    for size in (1, 2, 3, 7, 8, 9, 31):
        directory = make_trail(tmp_path / str(size), size)
        key = (directory / "trail.vkey").read_text()
        for seq in range(size):
            record, index, origin, covered = verifier.check(prove(directory, seq).text, key)
            assert (record["seq"], index, origin, covered) == (seq, seq, "guardrail.local/trail", size)


def test_the_script_runs_alone_and_says_what_is_proven(trail: Path, vkey: str, tmp_path: Path) -> None:
    """In a directory of its own, isolated from our package, with the key as text and as a file."""
    proof = tmp_path / "7.tlog-proof"
    assert main(["audit", "prove", "7", str(trail), "-o", str(proof)]) == 0
    for key in (vkey, str(trail / "trail.vkey")):
        command = [sys.executable, "-I", str(SCRIPT), str(proof), "--key", key]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        head, _, record = done.stdout.partition("\n")
        assert head == "proven: record 7 of guardrail.local/trail, in a tree of 23 that its key signed"
        assert json.loads(record)["number"] == 7
    proof.write_text(proof.read_text().replace("index 7", "index 8"))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("NOT PROVEN: ")
    command[3] = str(tmp_path / "missing")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2


def test_the_script_is_small_and_needs_nothing_of_ours() -> None:
    """The standard library and `cryptography`, under 150 lines: an auditor can read all of it."""
    text = SCRIPT.read_text()
    assert text.count("\n") < 150
    roots = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add(str(node.module).partition(".")[0])
    assert roots - set(sys.stdlib_module_names) == {"cryptography"}


def _tampered(proof: str) -> dict[str, str]:
    """The proof with each of its parts changed."""
    head, _, note = proof.partition("\n\n")
    lines, signed = head.split("\n"), note.split("\n")
    leaf = base64.b64decode(lines[1][6:])

    def with_line(place: int, line: str) -> str:
        return "\n".join([*lines[:place], line, *lines[place + 1 :]]) + "\n\n" + note

    def with_note(place: int, line: str) -> str:
        return head + "\n\n" + "\n".join([*signed[:place], line, *signed[place + 1 :]])

    def flipped(text: str) -> str:
        raw = bytearray(base64.b64decode(text))
        raw[-1] ^= 1
        return base64.b64encode(raw).decode()

    name, blob = signed[4].removeprefix("— ").split(" ")
    out = {
        "the header": with_line(0, "c2sp.org/tlog-proof@v2"),
        "the record": with_line(1, "extra " + base64.b64encode(leaf.replace(b'"deny"', b'"alow"')).decode()),
        "the record, left out": "\n".join([lines[0], *lines[2:]]) + "\n\n" + note,
        "the record, with a blank": with_line(1, "extra " + base64.b64encode(leaf + b" ").decode()),
        "the number": with_line(2, "index 6"),
        "the number, written otherwise": with_line(2, "index 07"),
        "the number, beyond the tree": with_line(2, "index 23"),
        "the path, cut": "\n".join(lines[:-1]) + "\n\n" + note,
        "the path, longer": "\n".join([*lines, lines[-1]]) + "\n\n" + note,
        "the path, in another order": "\n".join([*lines[:3], lines[4], lines[3], *lines[5:]]) + "\n\n" + note,
        "the path, not base64": with_line(3, "%" + lines[3][1:]),
        "the origin": with_note(0, signed[0] + "x"),
        "the size": with_note(1, "24"),
        "the size, written otherwise": with_note(1, "023"),
        "the root": with_note(2, flipped(signed[2])),
        "the signature": with_note(4, f"— {name} {flipped(blob)}"),
        "the signature, left out": with_note(4, ""),
        "the signature, of another name": with_note(4, f"— x {blob}"),
        "the dash": with_note(4, f"- {name} {blob}"),
    }
    out |= {f"hash {place} of the path": with_line(place, flipped(lines[place])) for place in range(3, len(lines))}
    return out


def test_a_proof_with_any_part_changed_proves_nothing(trail: Path, vkey: str) -> None:
    """Every line of it, cut, changed, put in another order or written in another way."""
    proof = prove(trail, 7).text
    verifier.check(proof, vkey)
    cases = _tampered(proof)
    assert len(cases) > 20
    for name, changed in cases.items():
        assert changed != proof, name
        with pytest.raises((ValueError, KeyError, TypeError)):
            verifier.check(changed, vkey)


def test_a_proof_under_another_key_proves_nothing(trail: Path, vkey: str, tmp_path: Path) -> None:
    """Of another ledger, of the same name, malformed, or of another type."""
    proof = prove(trail, 7).text
    other = (make_trail(tmp_path / "other", 3) / "trail.vkey").read_text().strip()
    named = (make_trail(tmp_path / "named", 3, origin="x.example/log") / "trail.vkey").read_text().strip()
    for key in (other, named, vkey.replace("+", "-"), vkey[:-4], f"{vkey[:-10]}AAAA{vkey[-6:]}", ""):
        assert key != vkey
        with pytest.raises(ValueError, match="key|signed|base64|padding|ledger"):
            verifier.check(proof, key)
    with pytest.raises(ValueError, match="type"):
        verifier.check(proof, vkey, [vkey])


def test_a_witness_that_is_asked_for_must_have_signed(trail: Path, vkey: str) -> None:
    """Its cosignature counts, its absence or a changed time does not; unknown signatures are passed over."""
    proof = prove(trail, 7).text
    head, _, note = proof.partition("\n\n")
    cosigned, witness = cosigned_by(note, Ed25519PrivateKey.generate())
    both = head + "\n\n" + cosigned
    verifier.check(both, vkey, [witness])
    verifier.check(both, vkey)
    with pytest.raises(ValueError, match="is not signed by `w.example`"):
        verifier.check(proof, vkey, [witness])
    late = both.rstrip("\n").rpartition(" ")
    raw = bytearray(base64.b64decode(late[2]))
    raw[11] ^= 1
    with pytest.raises(ValueError, match="the signature of `w.example` is wrong"):
        verifier.check(f"{late[0]} {base64.b64encode(raw).decode()}\n", vkey, [witness])


def test_what_cannot_be_proven_is_one_sentence(tmp_path: Path, trail: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record that is not there, not signed yet, or damaged; exit code 1, and no file is left behind."""
    with pytest.raises(TrailError, match="record 23 is not signed yet, the last signed one is 22"):
        prove(trail, 23)
    with pytest.raises(TrailError, match="record 0 is not signed yet, none is"):
        prove(crashed_trail(tmp_path / "crashed"), 0)
    damaged = make_trail(tmp_path / "damaged", 5)
    flip(segments(damaged)[0], 40)
    assert main(["audit", "prove", "0", str(damaged), "-o", str(tmp_path / "p")]) == 1
    assert "record 0 cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
    (damaged / "checkpoints").unlink()
    with pytest.raises(TrailError, match="has no checkpoint"):
        prove(damaged, 1)
    assert main(["audit", "prove", "1", str(trail), "-o", str(tmp_path / "no" / "p")]) == 2
    with pytest.raises(SystemExit):
        main(["audit", "prove", "x", str(trail)])


def test_a_proof_carries_the_cosignatures_there_are(tmp_path: Path) -> None:
    """The latest checkpoint that witnesses have signed and that covers the record; else the ledger's own."""
    directory = make_trail(tmp_path / "t", 9)
    early = "".join((directory / "checkpoints").read_text().splitlines(keepends=True)[-5:])
    cosigned, witness = cosigned_by(early, Ed25519PrivateKey.generate())
    (directory / "cosigned").write_text(cosigned)
    with open_trail(directory) as trail:
        trail.append({"kind": "odd"})
    key = (directory / "trail.vkey").read_text()
    assert verifier.check(prove(directory, 3).text, key, [witness])[3] == 9
    assert verifier.check(prove(directory, 9).text, key)[3] == 10


def test_a_proof_after_a_change_of_keys_is_checked_with_all_of_them(tmp_path: Path) -> None:
    """The file of verifier keys has one a line; the first one alone did not sign what came after it retired."""
    directory = make_trail(tmp_path / "t", 3)
    first = (directory / "trail.vkey").read_text()
    with open_trail(directory) as trail:
        begin(trail, "guardrail.local/trail")
    with open_trail(directory) as trail:
        finish(trail, "guardrail.local/trail")
    with open_trail(directory) as trail:
        trail.append({"kind": "odd"})
    keys = (directory / "trail.vkey").read_text()
    assert keys.count("\n") == 2
    proof = prove(directory, 1).text
    assert verifier.check(proof, keys)[3] == 6
    with pytest.raises(ValueError, match="is not signed by"):
        verifier.check(proof, first)
