"""The script that breaks a trail, and the benchmark that measures one: a small run of each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_a_small_run_loses_nothing_and_finds_everything(tmp_path: Path) -> None:
    """Kills, power-loss images, cuts, flips and failing calls; the whole run is `python scripts/trail_faults.py`."""
    if shutil.which("strace") is None:
        if os.environ.get("CI"):
            pytest.fail("strace is needed in CI")
        pytest.skip("strace is not installed: install the package of that name")
    command = [sys.executable, ROOT / "scripts/trail_faults.py", "--json", "--in", tmp_path]
    command += ["--kills", "2", "--images", "5", "--cuts", "197", "--flips", "1999", "--calls", "1"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=240, check=False)
    found = json.loads(done.stdout)
    assert done.returncode == 0, found
    assert found["ok"]
    assert found["kills"]["kills"] == 2
    assert found["kills"]["acknowledged records"] > 1
    assert found["images"]["images"] == 5
    assert found["cuts"]["cuts"] > 5
    assert found["flips"]["flips"] > 20
    assert found["calls"]["calls that failed"] > 8


def test_the_benchmark_measures_what_it_says(tmp_path: Path) -> None:
    """A short run of `python -m benchmarks.trail`: both stores, two lengths, verifications that hold."""
    from benchmarks import trail as bench

    rows = bench.lengths(tmp_path, [0, 1_000_000], batches=20)
    assert [row["leaves"] for row in rows] == [0, 1_000_000]
    assert all(row["batch_us"] > row["tree_us"] > 0 for row in rows)
    verified = bench.verifying(tmp_path, 2_000)
    assert [row["deep"] for row in verified][:2] == [True, False]
    assert all(row["records"] == 2_000 and row["rate"] > 0 for row in verified)
    appended = bench.appends(tmp_path, 0.05)
    assert [row["writers"] for row in appended] == [1, 8, 64]
    assert "durable appends" in bench.table({"appends": appended, "lengths": rows, "verify": verified})
