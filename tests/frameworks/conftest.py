"""Tests that import the frameworks themselves: they run in `.venv-frameworks`, where tests/adapters/test_frameworks.py
starts them, and are not collected anywhere else.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail import Guard
from guardrail.config import parse

collect_ignore_glob = [] if importlib.util.find_spec("inspect_ai") else ["test_*.py"]

CONFIG = """
[[asset]]
id = "model:beta"
class = "weights"
paths = ["weights"]

[trail]
directory = "trail"

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
    with Guard.open(parse(CONFIG, base=str(place))) as opened:
        yield opened
