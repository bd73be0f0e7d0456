"""After a crash: intents without a result are answered, and the assets they named are looked at again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from guardrail import Guard, ToolCall
from guardrail.audit import _unfinished as unfinished
from guardrail.audit import verify
from guardrail.audit._unfinished import Unfinished, read_again
from guardrail.audit._verify import read_records
from tests.audit_support import denial, flip, intent, make_trail, open_trail, segments


def configured(root: Path) -> Path:
    """A guard's configuration with one asset of two files."""
    weights = root / "models/beta"
    weights.mkdir(parents=True)
    for name in ("one.safetensors", "two.safetensors"):
        (weights / name).write_bytes(name.encode() * 50)
    toml = root / "guardrail.toml"
    toml.write_text(
        f'[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["{weights}"]\n[limits]\ndecision_ms = 60000\n'
        '[trail]\ntimeout_seconds = 60\ndirectory = "trail"\n'
    )
    return toml


def looked(trail: Path) -> list[dict[str, Any]]:
    """The results that say `unknown`."""
    return [record for _, record in read_records(trail) if record.get("result") == "unknown"]


def test_an_intent_without_a_result_is_answered_at_the_next_start(tmp_path: Path) -> None:
    """The record says unknown, and what was found at the place that the call named; a second start adds nothing."""
    toml = configured(tmp_path)
    one, two = (tmp_path / "models/beta" / name for name in ("one.safetensors", "two.safetensors"))
    with Guard.open(toml) as guard:
        decisions = [
            guard.check(ToolCall(tool="bash", args={"command": f"sha256sum {path}"}, cwd="/")) for path in (one, two)
        ]
        plain = guard.check(ToolCall(tool="bash", args={"command": "ls /tmp"}, cwd="/"))
        assert all(decisions)
        done = ToolCall(tool="bash", args={"command": f"stat {one}"}, cwd="/")
        guard.run(done, lambda call: None)
    one.unlink()
    shutil.copy(two, tmp_path / "other")
    (tmp_path / "other").replace(two)
    with Guard.open(toml):
        pass
    found = looked(tmp_path / "trail")
    answers = {record["intent"]: record["found"] for record in found if "intent" in record}
    states = {place["place"]: place["state"] for places in answers.values() for place in places}
    assert set(answers) == {decision.seq for decision in decisions}
    assert states[str(one)] == "absent"
    assert states[str(two)] == "replaced"
    assert states[str(one.parent)] == "present"
    assert [record["intents"] for record in found if "intents" in record] == [[plain.seq]]
    with Guard.open(toml):
        pass
    assert len(looked(tmp_path / "trail")) == len(found)
    report = verify(tmp_path / "trail")
    assert report.ok, report.problems
    assert report.unfinished == 0


def test_what_is_open_is_the_same_with_and_without_the_saved_frontier(tmp_path: Path) -> None:
    """Over many segments: the saved list is a short cut, and a lost one is made again."""
    directory = tmp_path / "t"
    with open_trail(directory) as trail:
        opened = [trail.append(intent(number)) for number in range(40)]
        for seq in opened[::2]:
            trail.append({"kind": "result", "intent": seq, "result": "completed"})
    assert len(segments(directory)) > 2
    with open_trail(directory) as trail:
        assert trail.unfinished == tuple(opened[1::2])
    (directory / "frontier").unlink()
    with open_trail(directory) as trail:
        assert trail.unfinished == tuple(opened[1::2])
        trail.append({"kind": "result", "intents": opened[1::2], "result": "unknown"})
    with open_trail(directory) as trail:
        assert trail.unfinished == ()
    assert verify(directory).unfinished == 0


def test_a_start_reads_the_last_segment_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The open intents of older segments come from the saved frontier: their bytes are not looked at."""
    directory = tmp_path / "t"
    with open_trail(directory) as trail:
        first = trail.append(intent())
        for number in range(60):
            trail.append(denial(number))
    read: list[Path] = []
    monkeypatch.setattr(Path, "read_bytes", lambda path, real=Path.read_bytes: (read.append(path), real(path))[1])
    with open_trail(directory) as trail:
        assert trail.unfinished == (first,)
    assert [path for path in read if path.suffix == ".seg"] == segments(directory)[-1:]


def test_a_list_of_open_intents_that_does_not_fit_is_found(tmp_path: Path) -> None:
    """Whoever edits the saved list, so that a lost result is never looked for, is found by a deep verification."""
    directory = tmp_path / "t"
    with open_trail(directory) as trail:
        trail.append(intent())
        for number in range(60):
            trail.append(denial(number))
    assert verify(directory).ok
    saved = directory / "frontier"
    saved.write_text(saved.read_text().replace('"open": [\n  0\n ]', '"open": []'))
    assert [problem.file for problem in verify(directory).problems] == ["frontier"]


def test_what_is_kept_in_mind_and_read_again_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest open intents, from the newest segments; one that cannot be read is left out."""
    monkeypatch.setattr(unfinished, "MAX_OPEN", 5)
    known = Unfinished()
    for seq in range(9):
        known.take({"kind": "intent"}, seq)
    assert known.seqs == [4, 5, 6, 7, 8]
    directory = make_trail(tmp_path / "t", 60)
    monkeypatch.setattr(unfinished, "MAX_READ", 50)
    monkeypatch.setattr(unfinished, "MAX_SEGMENTS_READ", 1)
    last = int(segments(directory)[-1].stem)
    assert sorted(read_again(directory, range(60))) == list(range(last, 60))
    flip(segments(directory)[-1], 40)
    assert sorted(read_again(directory, range(60))) == list(range(last + 1, 60))
