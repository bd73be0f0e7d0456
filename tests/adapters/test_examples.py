"""The examples of LangChain and deepagents, run as a reader would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("name", "needs", "told"),
    [
        ("langchain_agent", "langchain", ["allowed", "denied", "held", "approved"]),
        ("deep_agent", "deepagents", ["allowed", "denied", "refused"]),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_the_example_of_an_agent_checks_itself(name: str, needs: str, told: list[str], root: Path) -> None:
    """It ends with an error if anything is not as it says."""
    pytest.importorskip(needs)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"examples.{name}.example"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "adapters")))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == told
