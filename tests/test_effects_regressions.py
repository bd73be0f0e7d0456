"""Commands that were once judged wrongly, each with what it really does."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.effects_support import said

CASES = tomllib.loads((Path(__file__).parent / "cases/effects/regressions.toml").read_text(encoding="utf-8"))["case"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_command_once_judged_wrongly_gives_its_real_effects(case: dict[str, Any]) -> None:
    """Every line of the table, both what must be said and what must not."""
    found = said(case["command"])
    for want in case["says"]:
        assert want in found, found
    for unwanted in case.get("not", []):
        assert unwanted not in found, found
