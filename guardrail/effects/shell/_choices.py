"""Which variables in some words may have one of several values.

Not concerned with what the words become.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import TOP
from guardrail.effects.shell._certainty import names_in
from guardrail.parse.ir import Word

MAX_COMBINATIONS: Final = 16
"""Most combinations of values of variables tried for one command; beyond it they are TOP."""


def array_in(words: Sequence[Word], state: State) -> str | None:
    """An array in the words that is one of several; None if there is not exactly one."""
    names = {
        name
        for word in words
        if word.plain is None
        for name in names_in(word.parts)
        if name in state.vars and state.vars[name].variants
    }
    return next(iter(names)) if len(names) == 1 else None


def choices_in(words: Sequence[Word], state: State) -> list[tuple[str, tuple[str, ...]]]:
    """The variables in the words that may have several values, each with those."""
    names = {
        name
        for word in words
        if word.plain is None
        for name in names_in(word.parts)
        if name in state.vars and len(state.vars[name].alternatives) > 1
    }
    if not names:
        return []
    choices: list[tuple[str, tuple[str, ...]]] = []
    count = 1
    for name in sorted(names):
        alternatives = state.vars[name].alternatives
        if count * len(alternatives) > MAX_COMBINATIONS:
            alternatives = (TOP,)
        count *= len(alternatives)
        choices.append((name, alternatives))
    return choices
