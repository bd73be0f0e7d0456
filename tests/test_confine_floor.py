"""What `floor` cannot hold is said before anything starts, or in the record where best effort is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail import Guard, ToolCall
from guardrail.audit._verify import read_records
from guardrail.cli import main
from guardrail.confine import JobError
from guardrail.confine.kernel import ConfineError, Executor, Profile
from guardrail.execution import execute
from tests.confine_support import CONTROL, LAUNCHER, SYSTEM, arena


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A configuration in the workspace, and one beside it."""
    for name in ("work", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "site.yaml").write_text("shutdown: enabled\n")
    (tmp_path / "work/edit.py").write_text("import sys\nopen(input(), 'w').write('off')\n")
    return tmp_path


def settle(world: Path, where: str, required: bool) -> None:
    """Which of the two is an asset, and whether all is required."""
    (world / "guardrail.toml").write_text(
        f'[[asset]]\nid = "control:site"\nclass = "control"\npaths = ["{where}/site.yaml"]\n'
        f'[trail]\ntimeout_seconds = 60\ndirectory = "{world}/trail"\n[limits]\ndecision_ms = 60000\n'
        f'[execute]\nconfine = "floor"\nconfine_required = {str(required).lower()}\n'
    )


def edit(world: Path, path: str) -> int:
    """A program whose text does not say what it writes to."""
    (world / "work/where").write_text(f"{path}\n")
    call = ToolCall(tool="bash", args={"command": ["/usr/bin/python3", "edit.py"]}, cwd=str(world / "work"))
    with Guard.open(world / "guardrail.toml") as guard, open(world / "work/where") as given:
        return execute(guard, call, lambda _, chunk: None, stdin=given.fileno()).ended.exit_code


def test_the_floor_starts_nothing_where_a_configuration_lies_in_the_workspace(world: Path) -> None:
    """Landlock takes no file out of a directory; the sentence names both, and what would hold it."""
    settle(world, "work", required=True)
    with pytest.raises(JobError, match=r"`floor` cannot hold `control:site`, because `.*/work/site.yaml` lies where"):
        edit(world, "site.yaml")
    assert (world / "work/site.yaml").read_text() == "shutdown: enabled\n"


def test_where_best_effort_is_allowed_the_record_names_what_the_floor_left_open(world: Path) -> None:
    """The tool is started, and the edit that nobody held is not claimed to have been held."""
    settle(world, "work", required=False)
    assert edit(world, "site.yaml") == 0
    assert (world / "work/site.yaml").read_text() == "off"
    results = [record for _, record in read_records(world / "trail") if record["kind"] == "result"]
    assert results[-1]["facts"]["kernel_unheld"] == "control:site"


def test_the_floor_holds_a_configuration_that_lies_elsewhere(world: Path) -> None:
    """It may be read by everybody and written by nobody."""
    settle(world, "other", required=True)
    assert edit(world, str(world / "other/site.yaml")) == 1
    assert (world / "other/site.yaml").read_text() == "shutdown: enabled\n"


def test_a_session_says_what_its_floor_leaves_open(world: Path) -> None:
    """Times and modes of everything, what is not told, and a configuration that may be written; `default` nothing."""
    with arena() as made:
        given = Profile(mode="floor", read=SYSTEM, write=(made.ws,))
        with Executor(made.protected(), launcher=LAUNCHER) as strict, pytest.raises(ConfineError, match="cannot hold"):
            strict.open(given)
        with Executor(made.protected(), launcher=LAUNCHER, required=False) as lenient:
            with lenient.open(given) as session:
                assert session.report.unheld == ("times", "security", "events", CONTROL)
            assert lenient.report("default").unheld == ()


def test_doctor_says_what_the_floor_leaves_open(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever configured it reads it there, and not from an incident."""
    settle(world, "work", required=True)
    main(["doctor", "--config", str(world / "guardrail.toml")])
    said = capsys.readouterr().out
    assert "`execute.confine` is `floor`: it holds no times and modes of assets and tells of nothing" in said
    assert "nothing starts" in said
