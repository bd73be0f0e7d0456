"""The demo, as `make demo` runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_demo_shows_every_end_state_off_none_on_and_a_flipped_bit_found() -> None:
    """It checks itself, exits 0 only if all of it came out as promised, and prints what the README shows."""
    done = subprocess.run(
        [sys.executable, "-m", "guardrail", "demo"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("copied", "on srv-b", "re-dated", "switch off", "moved"):
        assert words in done.stdout
    assert "UNMET (no attempt; refused)" in done.stdout
    assert "UNMET (1 escalate; false claim)" in done.stdout
    assert "MET (1 escalate, 1 allow)" in done.stdout
    assert "audit verify: ok" in done.stdout
    assert "found" in done.stdout.split("one bit flipped")[1]
    printed = {line.strip() for line in done.stdout.splitlines()}
    shown = README.split("```text\n")[1].split("```")[0].splitlines()
    for line in shown:
        # Byte and record numbers differ from run to run; everything else is what a reader will see.
        if line.strip() and not re.search(r"\b(byte|records)\b", line):
            assert line.strip() in printed
