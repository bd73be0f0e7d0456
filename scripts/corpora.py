"""Judge the corpora of tests/cases, and say which threats are silent and which honest lines are held.

    python scripts/corpora.py [--write] [--only TEXT] [--truth]

`--write` rewrites the lists of known shortcomings, which the tests hold to: for use when they got shorter.
`--truth` runs the commands of tests/cases/truth under strace instead, and says where the analysis was wrong.
"""

from __future__ import annotations

import argparse
import collections
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "adapters")]

from guardrail import Outcome  # noqa: E402 - the checkout comes first on the path
from tests import benign_support, threat_support, truth_support  # noqa: E402
from tests.corpus_support import CASES, Holding  # noqa: E402


def main() -> int:
    """Judge, print and, if asked, write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", action="store_true", help="rewrite the lists")
    options.add_argument("--only", default="", help="print only rows that contain this text")
    options.add_argument("--truth", action="store_true", help="the commands that are run")
    args = options.parse_args()
    return _truth(args.write, args.only) if args.truth else _judged(args.write, args.only)


def _truth(write: bool, only: str) -> int:
    rows: dict[str, tuple[str, str]] = {}
    counted: list[str] = []
    with tempfile.TemporaryDirectory(prefix="guardrail-truth-") as scratch:
        template = Path(scratch) / "template"
        template.mkdir()
        truth_support.plant(template)
        for path in truth_support.corpora():
            todo = [case for case in truth_support.cases(path) if not truth_support.absent([case])]
            truths = truth_support.run_all(todo, template, Path(scratch) / path.stem)
            for truth in truths:
                if truth.faults:
                    rows[truth.case.id] = ("; ".join(truth.faults[:4])[:160], truth.case.text)
            covered, exact = sum(truth.covered for truth in truths), sum(truth.exact for truth in truths)
            wrong = sum(bool(truth.wrong) for truth in truths)
            counted.append(f"-- {path.stem}: {len(truths)} commands, {covered} covered, {exact} exact, {wrong} wrong")
    text = _list("Commands of which something wrong is said.", rows)
    print("\n".join(row for row in text.splitlines() if only in row))
    print("\n".join(counted))
    if write:
        (CASES / "truth/known_faults.txt").write_text(text, encoding="utf-8")
    return 0


def _judged(write: bool, only: str) -> int:
    gaps: dict[str, tuple[str, str]] = {}
    alarms: dict[str, tuple[str, str]] = {}
    for holding in get_args(Holding):
        with tempfile.TemporaryDirectory(prefix="guardrail-corpora-") as scratch:
            for verdict in threat_support.judge_all(Path(scratch), holding):
                if verdict.gap:
                    gaps[verdict.threat.id] = (_plain(verdict.gap, scratch), " ⇒ ".join(verdict.threat.calls))
        with tempfile.TemporaryDirectory(prefix="guardrail-corpora-") as scratch:
            for answer in benign_support.judge_all(Path(scratch), holding):
                if answer.outcome is not Outcome.ALLOW:
                    cause = _plain(f"{answer.outcome.value}: {answer.why}", scratch)
                    alarms[answer.line.id] = (cause, answer.line.text)
    if faulted := [name for name, (cause, _) in alarms.items() if "guardrail.fault" in cause]:
        print(f"{len(faulted)} faults in judging, such as {faulted[0]}: nothing is written", file=sys.stderr)
        write = False
    for path, rows, head in (
        (
            CASES / "threats/known_gaps.txt",
            gaps,
            "Threats that are silent, or held without a word of the asset.",
        ),
        (CASES / "benign/known_alarms.txt", alarms, "Honest lines that are held."),
    ):
        text = _list(head, rows)
        print("\n".join(row for row in text.splitlines() if only in row))
        _by_family(list(rows))
        if write:
            path.write_text(text, encoding="utf-8")
    return 0


def _plain(text: str, scratch: str) -> str:
    """A cause without the name of this run's directory."""
    return re.sub(r"\S*" + re.escape(Path(scratch).name), "", text)[:160]


def _list(head: str, rows: dict[str, tuple[str, str]]) -> str:
    lines = [f"# {head} Written by scripts/corpora.py; it may only get shorter."]
    for name, (cause, text) in sorted(rows.items()):
        shown = text.replace("\n", "⏎")
        lines.append(f"{name}  {shown}  # {cause}".replace("\n", " "))
    return "\n".join(lines) + "\n"


def _by_family(names: Sequence[str]) -> None:
    counted = collections.Counter(name.partition(":")[0] for name in names)
    print(f"-- {len(names)} in all: " + ", ".join(f"{family} {count}" for family, count in counted.most_common()))


if __name__ == "__main__":
    sys.exit(main())
