"""The approver and the reviewer in Inspect AI itself, with its mock model, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

CONFIG = '[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["weights"]\n[trail]\ndirectory = "trail"\n'

FAULT = """
import asyncio, sys
from types import SimpleNamespace
from guardrail_adapters import inspect as guarded

approve = guarded.guardrail(config=sys.argv[1], cwd="/")
if sys.argv[2] == "closed":
    guarded._guard(sys.argv[1]).trail.close()
call = SimpleNamespace(id="c1", function="bash", arguments={"command": object() if sys.argv[2] == "odd" else "ls"})
answer = asyncio.run(approve("", call, None, []))
print(answer.decision, "|", answer.explanation)
"""


@pytest.fixture
def python(root: Path) -> str:
    """Python of the environment that `make adapters` sets up."""
    found = root / ".venv-inspect/bin/python"
    if not found.exists():
        pytest.skip("Inspect AI is not set up here: `make adapters` does it")
    return str(found)


def run(python: str, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A process in that environment."""
    return subprocess.run(
        [python, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "adapters")))},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_example_on_inspects_mock_model_checks_itself(python: str, root: Path) -> None:
    """One call runs, one is rejected, one goes on to the next approver; the sample goes on to its end."""
    done = run(python, root, "-m", "examples.inspect_approver.example")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["ran", "approval", "approval", "approvals"]
    assert "guardrail approve, guardrail reject, guardrail escalate, nobody reject" in done.stdout


@pytest.mark.parametrize("broken", ["closed", "odd"])
def test_a_failure_in_judging_is_a_rejection_and_no_exception(
    broken: str, python: str, root: Path, tmp_path: Path
) -> None:
    """An exception in an approver would end the whole sample."""
    (tmp_path / "guardrail.toml").write_text(CONFIG)
    done = run(python, root, "-c", FAULT, str(tmp_path / "guardrail.toml"), broken)
    assert done.stdout.strip() == "reject | This action is not permitted here and was not carried out.", done.stderr


def test_without_inspect_the_error_says_what_to_install(root: Path) -> None:
    """The environment of the other tests has no Inspect."""
    with pytest.raises(ImportError, match=r"install `inspect-ai>=0.3.285,<0.4`"):
        import guardrail_adapters.inspect  # noqa: F401
