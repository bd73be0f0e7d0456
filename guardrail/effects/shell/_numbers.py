"""Arithmetic of the shell in a call: the numbers its variables hold, and those it gives them.

Not concerned with the sums themselves, which `_arithmetic` does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from guardrail.effects.domain._values import NUM, TOP, State, Value, merge
from guardrail.effects.shell._arithmetic import evaluate
from guardrail.model import Resource
from guardrail.parse.ir import Arithmetic, Computed, Expansion, Part

if TYPE_CHECKING:
    from guardrail.effects.shell._expand import Expander

MAX_NAMES: Final = 64
"""Most variables that one expression is followed through."""

_INTEGER = re.compile(rf"-?[0-9{NUM}]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SAFE_NUMBER = re.compile(r"[\s0-9A-Za-z_+\-*/%]*")


def operands(
    ex: Expander, parts: Sequence[Part], state: State, chosen: dict[str, str], span: tuple[int, int]
) -> tuple[dict[str, str], tuple[Resource, ...]]:
    """The numbers that expansions and substitutions in arithmetic give, and whose content is in them."""
    given: dict[str, str] = {}
    sources: tuple[Resource, ...] = ()
    for index, part in enumerate(parts):
        text, more = ex.joined(part, state, chosen)
        sources = merge(sources, more)
        text = NUM if _is_defaulted(part, state) else text.strip()
        if not _INTEGER.fullmatch(text):
            # The text is an expression itself, and a subscript in it may run commands.
            ex.runner.dynamic("arithmetic on text that is not known", span)
            text = NUM
        given[f"__part{index}__"] = text
    return given, sources


def _is_defaulted(part: Part, state: State) -> bool:
    """`${X:-0}` of a variable that the call was given: as `X` itself, which arithmetic takes for a number."""
    return (
        isinstance(part, Expansion)
        and part.op in ("-", ":-")
        and part.index is None
        and part.arg is not None
        and part.arg.plain is not None
        and _INTEGER.fullmatch(part.arg.plain) is not None
        and _VARIABLE.fullmatch(part.name) is not None
        and part.name not in state.vars
    )


def solve(ex: Expander, node: Computed | Arithmetic, state: State) -> None:
    """Arithmetic as a command: only what it runs and sets counts."""
    given, _ = operands(ex, node.parts, state, {}, (0, 0))
    calculate(ex, node.text, node.names, node.assigns, state, (0, 0), given)


def calculate(
    ex: Expander,
    text: str,
    names: Sequence[str],
    assigns: Sequence[str],
    state: State,
    span: tuple[int, int],
    chosen: dict[str, str] | None = None,
) -> int | None:
    """The value of an arithmetic expression, whose assignments are made; None if it is not known."""
    look_into(ex, names, state, span)
    found = evaluate(text, lambda name: ex.lookup(name, state, chosen or {})[0])
    for name in assigns:
        sources = state.vars[name].sources if name in state.vars else ()
        new = NUM if found is None else str(found[1][name]) if name in found[1] else None
        if new is not None:
            state.vars[name] = state.scalar(name, Value(alternatives=(new,), sources=sources))
            if chosen is not None:
                chosen.pop(name, None)
    return None if found is None else found[0]


def look_into(ex: Expander, names: Sequence[str], state: State, span: tuple[int, int]) -> None:
    """Arithmetic evaluates the text of a variable again, and a subscript in it may run commands."""
    waiting = list(names)
    for name in waiting:
        value = state.vars.get(name)
        if name[0] in "0123456789@*" and name != "0":
            value = Value(alternatives=state.args if state.args is not None else (TOP,))
        for text in value.alternatives if value else ():
            if TOP in text or not _SAFE_NUMBER.fullmatch(text.replace(NUM, "0")) or len(waiting) > MAX_NAMES:
                ex.runner.dynamic("arithmetic on text that is not known", span)
                return
            # A name in that text is evaluated in turn.
            waiting += [one for one in _VARIABLE.findall(text) if one not in waiting]
