"""Frameworks that live in an environment of their own: their tests are started there."""

from __future__ import annotations

import importlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import CI


@pytest.fixture
def python(root: Path) -> str:
    """Python of the environment with the frameworks."""
    found = root / ".venv-frameworks/bin/python"
    if not found.exists():
        assert not CI, "CI makes .venv-frameworks"
        pytest.skip("the frameworks are not set up here: `make .venv-frameworks/.ready` does it")
    return str(found)


@pytest.mark.slow
@pytest.mark.parametrize("tests", ["tests/frameworks", "tests/control_arena"])
def test_the_frameworks_own_tests_pass_in_their_environment(tests: str, python: str, root: Path) -> None:
    """All of a directory, with its example, and none of it is skipped."""
    done = subprocess.run(
        [
            python,
            "-m",
            "pytest",
            "-q",
            "-W",
            "ignore",
            "-p",
            "no:cacheprovider",
            "tests/frameworks",
            "tests/control_arena",
        ],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "adapters")))},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("name", ["control_arena", "inspect", "openai_agents", "pydantic_ai"])
def test_without_its_framework_an_adapter_says_what_to_install(name: str) -> None:
    """The environment of the other tests has none of them."""
    with pytest.raises(ImportError, match=rf"install `guardrail-runtime\[{name.replace('_', '-')}\]`"):
        importlib.import_module(f"guardrail_adapters.{name}")
