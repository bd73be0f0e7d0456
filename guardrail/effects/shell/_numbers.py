"""Arithmetic of the shell in a call: the numbers its variables hold, and those it gives them.

Not concerned with the sums themselves, which `_arithmetic` does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from guardrail.effects.domain._state import State, join_values
from guardrail.effects.domain._values import NUM, TOP, UNKNOWN, Value, is_known, merge
from guardrail.effects.shell._arithmetic import evaluate
from guardrail.model import Resource
from guardrail.parse import Misparse, arithmetic_names
from guardrail.parse.ir import Arithmetic, Computed, Expansion, Part
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.shell._expand import Expander

MAX_NAMES: Final = 64
"""Most variables that one expression is followed through."""

_INTEGER = lazy(rf"-?[0-9{NUM}]*")
_NUMBER = lazy(rf"-?[0-9{NUM}]+|")
_CANONICAL = lazy(rf"-?(?:0|[1-9{NUM}][0-9{NUM}]*)|")
_WHOLE = lazy(r"[0-9]+")
_IDENTIFIER = lazy(r"(?<![0-9A-Za-z_])[A-Za-z_][A-Za-z0-9_]*")
_DOLLAR = lazy(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*|[0-9]+)\}|([A-Za-z_][A-Za-z0-9_]*|[0-9]))")
_CONDITION = lazy(r"\?|&&|\|\|")
_DIVIDING = lazy(r"[/%]|\*\*")
_VARIABLE = lazy(r"[A-Za-z_][A-Za-z0-9_]*")
_SAFE_NUMBER = lazy(r"[\s0-9A-Za-z_+\-*/%]*")


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
    if "$" in text:
        inserted = _inserted(text, state, chosen or {})
        if inserted != text:
            try:
                text, (names, assigns) = inserted, arithmetic_names(inserted)
            except Misparse:
                ex.runner.dynamic("arithmetic that is not modelled", span)
                return None
            look_into(ex, names, state, span)
    found = evaluate(text, lambda name: ex.lookup(name, state, chosen or {})[0])
    # An error, or a condition, may leave out what is assigned behind it.
    doubted = bool(assigns) and (
        (bool(state.traits) and any("r" in state.traits.get(name, "") for name in assigns))
        or (found is None and (_CONDITION.search(text) is not None or may_fail(ex, text, state, chosen or {})))
    )
    for name in assigns:
        old = state.vars.get(name, UNKNOWN)
        new = NUM if found is None else str(found[1][name]) if name in found[1] else None
        if new is not None:
            value = state.scalar(name, Value(alternatives=(new,), sources=old.sources))
            state.put(name, join_values(old, value) if doubted else value)
            if chosen is not None:
                chosen.pop(name, None)
    return None if found is None else found[0]


def _inserted(text: str, state: State, chosen: dict[str, str]) -> str:
    """An expression with the texts put in that `$name` stands for, where they are no plain numbers."""

    def put_in(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        given = _texts(name, state)
        texts = (chosen[name],) if name in chosen and len(given) > 1 else given
        if all(_WHOLE.fullmatch(text) for text in texts) or not all(map(is_known, texts)):
            return match[0]
        # One of several: what they do to variables is done to all of them, in any case.
        return texts[0] if len(texts) == 1 else "".join(f",{text}++" for text in texts if text)

    return _DOLLAR.sub(put_in, text)


def _texts(name: str, state: State) -> tuple[str, ...]:
    """The texts that a variable or a positional parameter may have."""
    if name in "@*":
        return state.args if state.args is not None else (TOP,)
    if name.isdigit() and name != "0":
        if state.args is None:
            return (TOP,)
        return (state.args[int(name) - 1] if 0 < int(name[:4]) <= len(state.args) else "",)
    value = state.vars.get(name)
    return value.alternatives if value is not None else ()


def look_into(ex: Expander, names: Sequence[str], state: State, span: tuple[int, int]) -> None:
    """Arithmetic evaluates the text of a variable again, and a subscript in it may run commands."""
    for name in names:
        look_at(ex, _texts(name, state), state, span)


def look_at(ex: Expander, texts: Sequence[str], state: State, span: tuple[int, int] = (0, 0)) -> None:
    """Some texts are evaluated, and the variables that they name are, too."""
    seen: set[str] = set()
    waiting = list(texts)
    while waiting:
        text = waiting.pop()
        if _NUMBER.fullmatch(text):
            continue
        if TOP in text or not _SAFE_NUMBER.fullmatch(text.replace(NUM, "0")) or len(seen) > MAX_NAMES:
            ex.runner.dynamic("arithmetic on text that is not known", span)
            return
        for name in _IDENTIFIER.findall(text):
            value = state.vars.get(name)
            if "++" in text or "--" in text:
                old = value if value is not None else UNKNOWN
                state.put(name, join_values(old, Value(alternatives=(NUM,), sources=old.sources)))
            if name not in seen and value is not None:
                seen.add(name)
                waiting += value.alternatives


def as_number(ex: Expander, value: Value, state: State) -> Value:
    """What a variable holds that was declared to be a number, when a text is assigned to it."""
    found: list[str] = []
    for text in value.alternatives:
        if _CANONICAL.fullmatch(text):
            found.append(text or "0")
            continue
        look_at(ex, (text,), state)
        try:
            names, assigns = arithmetic_names(text)
            number = calculate(ex, text, names, assigns, state, (0, 0))
        except Misparse:
            ex.runner.dynamic("arithmetic that is not modelled", (0, 0))
            number = None
        found.append(NUM if number is None else str(number))
    return Value(alternatives=tuple(dict.fromkeys(found)), sources=value.sources)


def may_fail(ex: Expander, text: str, state: State, chosen: dict[str, str]) -> bool:
    """Whether an expression whose value is not known may be an error, and not only a number that is not known."""

    def one(name: str) -> str:
        if name not in state.vars and name not in chosen:
            return "1"
        held = ex.lookup(name, state, chosen)[0]
        if not held and f"${name}" not in text and f"${{{name}" not in text:
            return "0"
        return held if not _NUMBER.fullmatch(held) else held.replace(NUM, "1")

    if _DIVIDING.search(text):
        return True
    return evaluate(text, one) is None


def subscripted(ex: Expander, index: str, state: State) -> None:
    """What a subscript sets."""
    if "=" not in index and "++" not in index and "--" not in index:
        return
    try:
        _, assigns = arithmetic_names(index)
    except Misparse:
        ex.runner.dynamic("a subscript that is not modelled", (0, 0))
        return
    for name in assigns:
        old = state.vars.get(name, UNKNOWN)
        state.put(name, Value(alternatives=(NUM,), sources=old.sources))
