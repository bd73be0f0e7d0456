"""Outputs and states put together: one after the other, or one or the other.

Not concerned with what makes them.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import (
    MAX_ALTERNATIVES,
    MAX_SAID,
    MAX_TEXT,
    NOTHING,
    SOMETHING,
    Stream,
    merge,
    texts_of,
)
from guardrail.model import Resource
from guardrail.parse.ir import Param, Simple, Statement, Text
from guardrail.patterns import lazy

Done = tuple[State, State, Stream]
"""The state if the statement succeeds, the state if it fails, and its output."""


def joined(states: list[State]) -> State:
    """What holds when any of them may be the case."""
    end = states[0]
    for state in states[1:]:
        end = end.join(state)
    return end


def concatenated(outputs: list[Stream]) -> Stream:
    """Output one after the other."""
    outputs = [out for out in outputs if out is not NOTHING]
    if not outputs:
        return NOTHING
    if len(outputs) == 1 and outputs[0] is SOMETHING:
        return SOMETHING
    sources: tuple[Resource, ...] = ()
    for out in outputs:
        sources = merge(sources, out.sources)
    texts = [out.text for out in outputs]
    size = sum(len(t) for t in texts if t is not None)
    text = None if None in texts or size > MAX_TEXT else "".join(t for t in texts if t is not None)
    flow = next((out.flow for out in outputs if out.flow), ())
    names: tuple[Resource, ...] = ()
    for out in outputs:
        names = merge(names, out.names)
    said = _said(outputs) if text is None or sources else ()
    return Stream(text=text, sources=sources, names=names, listed=_listed(outputs), flow=flow, said=said)


def _listed(outputs: list[Stream]) -> tuple[str, ...]:
    """What every line of some outputs is one of."""
    if not any(out.listed for out in outputs):
        return ()
    said = [out.listed or _own_lines(out) for out in outputs if out.text is None or out.text.strip()]
    found = tuple(dict.fromkeys(text for listed in said for text in listed))
    return found if all(said) and len(found) <= MAX_ALTERNATIVES else ()


def _own_lines(out: Stream) -> tuple[str, ...]:
    """The lines of a text that is known, where each is one plain word; `()` of any other."""
    lines = out.text.split("\n") if out.text is not None else []
    lines = lines[:-1] if lines and not lines[-1] else lines
    plain = len(lines) <= MAX_ALTERNATIVES and all(map(_PLAIN.fullmatch, lines))
    return tuple(dict.fromkeys(lines)) if plain else ()


_PLAIN: Final = lazy(r"[\w./@%+,=][\w./@%+,=-]*", re.ASCII)


def _said(outputs: list[Stream]) -> tuple[str, ...]:
    return tuple(text for out in outputs for text in texts_of(out))[:MAX_SAID]


def sometimes(outputs: list[Stream]) -> Stream:
    """Output of which parts may be missing."""
    both = concatenated(outputs)
    if len(outputs) == 1 or both.text is None:
        return both  # of what is not known, a part may be missing as well
    quiet = all(out.text == "" for out in outputs)
    listed, said = ((), ()) if quiet else (both.listed or _own_lines(both), _said(outputs))
    text = "" if quiet else None
    return Stream(text=text, sources=both.sources, names=both.names, listed=listed, flow=both.flow, said=said)


def perhaps(out: Stream) -> Stream:
    """The same output, or none."""
    if out.text in ("", None):
        return out
    return msgspec.structs.replace(out, text=None, listed=_own_lines(out), connected=False, said=texts_of(out))


def beside(stdin: Stream, sources: tuple[Resource, ...]) -> Stream:
    """The input of a command that may also read what is open at other descriptors."""
    if not sources:
        return stdin
    joined = merge(stdin.sources, sources)
    return msgspec.structs.replace(stdin, sources=joined, listed=(), connected=True)


_SURE: Final = frozenset((":", "true", "echo", "printf", "export", "umask"))


def succeeds(statement: Statement) -> bool:
    """A statement that cannot fail, so that what stands behind its `&&` surely runs."""
    if not isinstance(statement, Simple) or statement.redirects:
        return False
    if statement.words and statement.words[0].plain not in _SURE:
        return False
    plain = all(isinstance(part, Text | Param) for word in statement.words for part in word.parts)
    return plain and all(isinstance(part, Text | Param) for one in statement.assigns for part in one.value.parts)
