"""What real commands really do, as strace sees it, beside what was said of them before they ran."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from tests import truth_support
from tests.corpus_support import CASES, known
from tests.truth_support import Truth

pytestmark = pytest.mark.slow

FAULTS: Final = known(CASES / "truth/known_faults.txt")

EXACT: Final = {
    "admin": 0.95,
    "archives": 0.97,
    "coreutils": 0.97,
    "languages": 0.83,
    "repository": 0.95,
    "system": 0.85,
    "text": 0.88,
}
"""Least share of the commands of a file of which everything is said by name: nothing opaque, and no guess."""

LEAST_EXACT: Final = 0.90
"""The same, of all files together."""

MOST_FAULTY: Final = 0.015
"""Largest share of the commands of which something wrong is said."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree that every command starts from; without strace or a program these tests say so, and in CI they fail."""
    missing = truth_support.absent([case for path in truth_support.corpora() for case in truth_support.cases(path)])
    ready = truth_support.traces() and not {"git", "tar", "zip", "sqlite3", "cpio", "ar"} & set(missing)
    if os.environ.get("CI") == "true" and (missing or not ready):
        pytest.fail(f"cannot run every command: strace works: {truth_support.traces()}, missing: {missing}")
    if not ready:
        pytest.skip(f"needs strace and a few programs: missing {missing}")
    root = tmp_path_factory.mktemp("truth-template")
    truth_support.plant(root)
    return root


def test_the_corpus_is_large_and_varied() -> None:
    """Enough real commands, of enough programs, each once."""
    cases = [case for path in truth_support.corpora() for case in truth_support.cases(path)]
    assert len(cases) >= 1000
    assert len({case.id for case in cases}) == len(cases)
    assert len({case.text.split()[0] for case in cases}) >= 150


def test_the_floors_of_the_files_make_that_of_the_whole() -> None:
    """Each file is run on its own, so that they can be run side by side."""
    counts = {path.stem: len(truth_support.cases(path)) for path in truth_support.corpora()}
    assert set(counts) == set(EXACT)
    assert sum(EXACT[name] * count for name, count in counts.items()) >= LEAST_EXACT * sum(counts.values())
    assert len(FAULTS) <= MOST_FAULTY * sum(counts.values())


@pytest.mark.parametrize("path", truth_support.corpora(), ids=lambda path: path.stem)
def test_what_a_command_does_was_said_before(path: Path, template: Path, tmp_path: Path) -> None:
    """Every write, deletion, renaming and change of attributes; and nothing certain that did not happen."""
    todo = [case for case in truth_support.cases(path) if not truth_support.absent([case])]
    truths = truth_support.run_all(todo, template, tmp_path)
    wrong = [truth for truth in truths if truth.faults and truth.case.id not in FAULTS]
    assert not wrong, "\n" + "\n".join(_shown(truth) for truth in wrong)
    exact, covered = sum(truth.exact for truth in truths), sum(truth.covered for truth in truths)
    opaque = sum(bool(truth.opaque) for truth in truths)
    print(f"{path.stem}: {len(truths)} commands, {covered} covered, {exact} exact, {opaque} with an opaque part")
    assert exact >= EXACT[path.stem] * len(truths)


def _shown(truth: Truth) -> str:
    return f"{truth.case.id} {truth.case.text!r} exit {truth.status}\n    {truth.faults}\n    said {truth.said[:8]}"
