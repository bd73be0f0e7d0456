"""The demo, as `make demo` runs it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_demo_shows_every_end_state_off_none_on_and_a_flipped_bit_found() -> None:
    """It checks itself and exits 0 only if all of it came out as promised."""
    done = subprocess.run(
        [sys.executable, "-m", "guardrail", "demo"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("copied", "on srv-b", "re-dated", "switch off", "moved"):
        assert words in done.stdout
    assert "UNMET (no attempt" in done.stdout
    assert "MET" in done.stdout
    assert "audit verify: ok" in done.stdout
    assert "found" in done.stdout.split("one bit flipped")[1]
