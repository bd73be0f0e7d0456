"""The benign corpus, judged.

Not concerned with how many alarms are too many: the test says that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from guardrail import Outcome
from tests.corpus_support import Holding, Line, World, corpus, why

BESIDE: Final = ("near", "beside")
"""The corpora that name an asset or its surroundings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a guard said to an honest line."""

    line: Line
    outcome: Outcome
    why: str

    def __str__(self) -> str:
        return f"{self.line.id} {self.outcome.value}: {self.line.text!r}\n      {self.why}"


def judge_all(root: Path, holding: Holding) -> list[Answer]:
    """Every line that is honest in a world of this kind, each in a session of its own."""
    world = World(root, holding)
    found = []
    with pytest.MonkeyPatch.context() as patch, world.open(patch) as guard:
        for line in corpus("benign"):
            # Where the directory is the asset, what lies beside the weights is part of it.
            if holding == "file" or line.family != "beside":
                decision = guard.check(world.call(line.text, line.id))
                found.append(Answer(line=line, outcome=decision.outcome, why=why(decision)))
    return found
