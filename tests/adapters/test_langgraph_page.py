"""The complete agent of docs/langgraph.md, run as a reader would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from guardrail.audit import verify
from guardrail.audit._verify import read_records


@pytest.mark.parametrize("said", ["y", "n"])
def test_the_complete_agent_of_the_page_runs_as_it_stands(tmp_path: Path, root: Path, said: str) -> None:
    """One call runs, one is denied, one waits for the answer; the trail verifies and is closed."""
    section = (root / "docs/langgraph.md").read_text(encoding="utf-8").partition("## A complete agent\n")[2]
    files = {}
    for language, name in (("toml", "guardrail.toml"), ("python", "agent.py")):
        block = re.search(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        assert block is not None
        files[name] = tmp_path / name
        files[name].write_text(block[1], encoding="utf-8")
    (tmp_path / "models/beta").mkdir(parents=True)
    (tmp_path / "models/beta/w.safetensors").write_bytes(b"W")
    # The decision's own bound is for a host that does something else as well.
    files["guardrail.toml"].write_text(
        f"{files['guardrail.toml'].read_text()}[trail]\ntimeout_seconds = 60\n"
        f'directory = "trail"\n[limits]\ndecision_ms = 60000\n'
    )
    done = subprocess.run(
        [sys.executable, "agent.py"],
        cwd=tmp_path,
        input=f"{said}\n",
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "adapters")))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "held: python3 -c " in done.stdout
    assert "call_0 success: w.safetensors" in done.stdout
    assert "call_1 error: This action is not permitted here" in done.stdout
    assert (f"call_2 success: {tmp_path}" if said == "y" else "call_2 error: A reviewer decided") in done.stdout
    report = verify(tmp_path / "trail")
    assert (report.ok, report.unfinished, report.live) == (True, 0, False)
    outcomes = [record["kind"] for _, record in read_records(tmp_path / "trail") if record["kind"] == "intent"]
    assert len(outcomes) == (2 if said == "y" else 1)


def test_the_example_in_plain_python_checks_itself(root: Path) -> None:
    """It ends with an error if anything is not as it says."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.plain_python.example"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "adapters")))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["allowed", "denied", "held", "approved"]
