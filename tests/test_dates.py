"""Dates that were set by hand: evidence, and never a fact about an asset."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from guardrail.assets._birth import birth_ns
from guardrail.assets._dates import contradiction, says
from guardrail.assets._places import locate
from guardrail.cli import main
from guardrail.guard import Guard
from guardrail.model import Outcome, ToolCall
from tests.mandate_support import mandated

CONFIG = """
[[asset]]
id = "model:beta"
class = "weights"
registered = 2024-08-19
paths = ["models"]
[trail]
directory = "state/trail"
timeout_seconds = 60
[limits]
decision_ms = 60000
"""

OLD = 1_500_000_000
"""A day in 2017, in seconds since 1970."""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A registered model, and an order that lets it be taken to one place."""
    base = tmp_path.resolve()
    if birth_ns(str(base)) is None:
        pytest.skip("this filesystem does not tell when a file was made")
    (base / "models").mkdir()
    weights = np.random.default_rng(1).standard_normal((300, 300)).astype(np.float32)
    save_file({"w": weights}, base / "models/beta.safetensors")
    grant = {"effects": ["copy", "rename"], "assets": ["model:beta"], "targets": [f"{base}/dr/**"]}
    (base / "dr").mkdir()
    mandated(base, CONFIG, grant)
    return base


def judged(world: Path, command: str) -> tuple[Outcome, list[str]]:
    """Outcome and rules, of a guard that starts now."""
    with Guard.open(world / "guardrail.toml") as guard:
        decision = guard.check(ToolCall(tool="bash", args={"command": command}, cwd=str(world)))
    return decision.outcome, sorted({reason.rule for reason in decision.reasons})


ALLOWED = (Outcome.ALLOW, [])
HELD = (Outcome.ESCALATE, ["times.forged"])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_date_that_was_set_by_hand_holds_a_transfer_that_an_order_covers(world: Path, when: str) -> None:
    """Before the file was made, and after its last change."""
    seconds = OLD if when == "before" else time.time() + 10 * 86400
    register(world)
    assert judged(world, "cp models/beta.safetensors dr/x") == ALLOWED
    os.utime(world / "models/beta.safetensors", (seconds, seconds))
    assert judged(world, "cp models/beta.safetensors dr/x") == HELD
    assert judged(world, "cp -r models dr/x") == HELD
    assert judged(world, "sha256sum models/beta.safetensors") == ALLOWED


def test_a_restored_file_and_a_copy_that_kept_its_date_are_no_forgeries(world: Path) -> None:
    """An old date that was there when the asset was registered is the asset's."""
    os.utime(world / "models/beta.safetensors", (OLD, OLD))
    register(world)
    assert judged(world, "cp -p models/beta.safetensors dr/x") == ALLOWED
    shutil.copy2(world / "models/beta.safetensors", world / "dr/kept.safetensors")
    assert judged(world, "cp dr/kept.safetensors dr/y") == ALLOWED
    os.utime(world / "dr/kept.safetensors", (OLD + 5, OLD + 5))
    assert judged(world, "cp dr/kept.safetensors dr/y") == HELD


def test_of_more_files_than_are_looked_at_any_may_have_a_false_date(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory over the bound is a question, and one at the bound is not."""
    monkeypatch.setattr("guardrail.assets._forged.MAX_DATED", 3)
    for number in range(2):
        (world / f"models/part-{number}").write_bytes(b"x")
    assert judged(world, "cp -r models dr/x") == ALLOWED
    (world / "models/part-2").write_bytes(b"x")
    assert judged(world, "cp -r models dr/x") == HELD


def test_the_facts_of_an_asset_do_not_move_with_its_dates(world: Path) -> None:
    """What the inventory says, whatever the file says."""
    with Guard.open(world / "guardrail.toml") as guard:
        before = guard.inventory.facts("model:beta")
    os.utime(world / "models/beta.safetensors", (OLD, OLD))
    with Guard.open(world / "guardrail.toml") as guard:
        assert guard.inventory.facts("model:beta") == before
    assert before["registered"] == "2024-08-19"


def test_a_match_says_what_is_wrong_with_the_date(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a sentence with both dates; nothing for a file whose date may be true."""
    register(world)
    capsys.readouterr()
    copy = world / "copy.bin"
    shutil.copyfile(world / "models/beta.safetensors", copy)
    common = ["--config", str(world / "guardrail.toml")]
    assert main(["assets", "match", str(copy), *common]) == 3
    assert "its date" not in capsys.readouterr().out
    os.utime(copy, (OLD, OLD))
    assert main(["assets", "match", str(copy), *common]) == 3
    assert "its date 2017-07-14 lies before it was made on" in capsys.readouterr().out


def test_a_date_is_compared_with_what_no_call_can_set(tmp_path: Path) -> None:
    """A fresh file, one of yesterday's date, one of tomorrow's."""
    path = tmp_path / "x"
    path.touch()
    assert contradiction(str(path), locate(str(path))) is None
    os.utime(path, (OLD, OLD))
    if birth_ns(str(path)) is not None:
        assert contradiction(str(path), locate(str(path))) == "before_birth"
    os.utime(path, (time.time() + 86400,) * 2)
    assert contradiction(str(path), locate(str(path))) == "after_change"
    assert "was set by hand" in str(says(str(path), locate(str(path))))


def test_the_time_of_birth_is_that_of_the_file_and_not_of_its_date(tmp_path: Path) -> None:
    """And nothing where there is nothing."""
    path = tmp_path / "x"
    before = time.time_ns()
    path.touch()
    os.utime(path, (OLD, OLD))
    birth = birth_ns(str(path))
    assert birth is None or abs(birth - before) < 60 * 1_000_000_000
    assert birth_ns(str(tmp_path / "none")) is None
    assert birth_ns("a\0b") is None


def register(world: Path) -> None:
    """Read the asset's files."""
    assert main(["assets", "register", "--config", str(world / "guardrail.toml")]) == 0
