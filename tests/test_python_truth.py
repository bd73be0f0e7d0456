"""What Python snippets are predicted to do is compared with what the kernel saw them do."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from tests.truth_support import run_python, traces

CASES = Path(__file__).parent / "cases/effects"


def snippets(name: str) -> list[str]:
    """The snippets of a file, which lines of three dashes part."""
    return [part.strip("\n") for part in (CASES / name).read_text(encoding="utf-8").split("\n---\n")]


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def tracer() -> None:
    """`strace` has to be there where it counts."""
    if not traces():
        if os.environ.get("CI"):
            pytest.fail("strace does not work here, and CI compares predictions with what the kernel saw")
        pytest.skip("strace does not work here, so predictions cannot be compared with what the kernel saw")


def scratch(root: Path) -> None:
    """The files that every snippet finds."""
    (root / "d").mkdir()
    (root / "tree/sub").mkdir(parents=True)
    (root / "empty").mkdir()
    for name in ("a.txt", "c.txt", "d/b.txt", "tree/m.py", "tree/sub/n.py"):
        (root / name).write_text("x = 1\n")
    (root / "c.json").write_text('{"a": 1}')
    with zipfile.ZipFile(root / "in.zip", "w") as archive:
        archive.writestr("inner.txt", "x")


@pytest.mark.parametrize("code", [*snippets("python_truth.txt"), *snippets("python_ways.txt")])
def test_every_change_that_a_snippet_makes_was_foretold(code: str, tmp_path: Path) -> None:
    """Each by an effect of its kind on its place, or by one that says that the analysis ended. A mention is neither."""
    root = tmp_path / "tree"
    root.mkdir()
    scratch(root)
    truth = run_python(code, root)
    assert truth.changes, "the snippet changed nothing: it is no test"
    assert truth.faults == (), truth.said


@pytest.mark.parametrize(
    ("done", "read", "fault"),
    [
        ("import os; os.remove('a.txt')", "print('a.txt')", "missed: delete a.txt"),
        ("import os; os.remove('a.txt')", "open('a.txt', 'w')", "missed: delete a.txt"),
        ("import shutil; shutil.rmtree('d')", "open('d/b.txt', 'w')", "missed: delete d"),
        ("open('n.txt', 'w')", "import os; os.remove('n.txt')", "missed: write n.txt"),
        ("import os; os.rename('a.txt', 'd/a.txt')", "import os; os.remove('a.txt')", "missed: create d/a.txt"),
        ("open('a.txt').read()", "import os; os.stat('a.txt')", "unread: read a.txt"),
        ("import os; os.stat('a.txt')", "import os; os.remove('a.txt')", "wrong: delete /a.txt"),
    ],
)
def test_the_comparison_sees_another_operation_and_another_place(
    done: str, read: str, fault: str, tmp_path: Path
) -> None:
    """A name that is only mentioned, another operation on it, or a place below it, foretell nothing."""
    root = tmp_path / "tree"
    root.mkdir()
    scratch(root)
    assert fault in run_python(done, root, read=read).faults
