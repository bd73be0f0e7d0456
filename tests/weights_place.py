"""Fixtures of tests that need no more than weights and a guard over them; import `place` and `guard`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail import Guard

CONFIG = """
[[asset]]
id = "model:beta"
class = "weights"
paths = ["weights"]

[trail]
directory = "trail"
timeout_seconds = 60

[limits]
decision_ms = 60000
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with weights and a configuration that names them."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/w.bin").write_bytes(b"W")
    (tmp_path / "guardrail.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def guard(place: Path) -> Iterator[Guard]:
    """A guard over the weights."""
    with Guard.open(place / "guardrail.toml") as opened:
        yield opened
