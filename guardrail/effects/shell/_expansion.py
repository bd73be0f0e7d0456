"""`${…}` on what is known of variables, arrays and positional parameters.

Not concerned with splitting and globbing, which `_expand` does with the texts found here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from guardrail.effects.domain._paths import STREAMS, escape
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import (
    MAX_ALTERNATIVES,
    MAX_TEXT,
    NUM,
    TOKEN,
    TOP,
    UNKNOWN,
    Field,
    Value,
    is_known,
    merge,
)
from guardrail.effects.shell import _parameters
from guardrail.effects.shell._arithmetic import evaluate
from guardrail.effects.shell._listings import named_texts
from guardrail.effects.shell._numbers import look_at, look_into, may_fail, operands, subscripted
from guardrail.model import Resource
from guardrail.parse.ir import Assign, Expansion, Text, Word
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.shell._expand import Expander

MAX_ITEMS: Final = 1024
"""Most elements of an array that are followed; a longer one is unknown."""

_VARIABLE: Final = lazy(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]{1,4}")
_PLAIN: Final = lazy(r"[\w.,+:=@%]?[\w,+:=@%-][\w.,+:=@%-]*", re.ASCII)
"""A plain word that is no directory, and no option."""

_INDEX: Final = lazy(r"-?[0-9]{1,9}")

Chosen = dict[str, str]
"""Which of several values of a variable is looked at now."""


class Found(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an expansion gives.

    Args:
        texts: the texts; None for any number of any text.
        sources: whose content is in them.
        listed: there may be another number of texts than one, each of them a word of its own when quoted.
        split: parts of the text were quoted and others not, so where it is split is not certain.
    """

    texts: tuple[str, ...] | None
    sources: tuple[Resource, ...] = ()
    listed: bool = False
    split: bool = False


_Items = Sequence[str] | None


def expansion(ex: Expander, part: Expansion, state: State, chosen: Chosen, span: tuple[int, int]) -> Found:
    """The texts that one expansion gives; what its words run and set is done on the way."""
    if part.index is None or part.numbers:
        look_into(ex, part.names, state, span)
    if part.index is not None:
        chosen.update(indexed(ex, part, state.vars.get(part.name), state, chosen, span))
    if part.prefix == "!":
        return _indirect(ex, part, state, chosen, span)
    items, sources, listed = _base(ex, part, state, chosen)
    if part.prefix == "#":
        return Found(texts=(_length(items, listed),), sources=sources)
    if part.op == "":
        return _found(items, sources, listed)
    if part.op[-1] in "-=+?" and part.op[0] != "@":
        return _default(ex, part, state, chosen, (items, sources, listed))
    if part.op == ":":
        sliced = _sliced(ex, part, items, listed, (state, chosen))
        if sliced is None and (len(part.numbers) > 1 or any(may_fail(ex, one, state, chosen) for one in part.numbers)):
            ex.runner.abort(state)
        return _found(sliced, sources, listed)
    pattern, more = ex.pattern(part.arg, state, chosen) if part.arg is not None else ("", ())
    other, also = ex.text(part.other, state, chosen) if part.other is not None else ("", ())
    sources = merge(merge(sources, more), also)
    if items is None:
        if part.op == "@P":
            ex.runner.dynamic("a prompt may run commands", span)
        return _found(None, sources, listed)
    done = [_operated(part, text, pattern, other) for text in items]
    if part.op == "@P" and any(one is None for one in done):
        ex.runner.dynamic("a prompt may run commands", span)
    return _found([TOP if one is None else one for one in done], sources, listed)


def _found(items: _Items, sources: tuple[Resource, ...], listed: bool) -> Found:
    if items is None and not listed:
        items = (TOP,)
    if items is not None and (len(items) > MAX_ITEMS or sum(map(len, items)) > MAX_TEXT):
        items = None if listed else (TOP,)
    return Found(texts=None if items is None else tuple(items), sources=sources, listed=listed)


# -- what it starts from


def _base(ex: Expander, part: Expansion, state: State, chosen: Chosen) -> tuple[_Items, tuple[Resource, ...], bool]:
    """Texts, whose content is in them, and whether they are a list."""
    name, index = part.name, part.index
    if name in "@*":
        return state.args, state.handed, True
    text, sources = ex.lookup(name, state, chosen)
    value = state.vars.get(name)
    if index is None:
        return (text,), sources, False
    if index in "@*":
        if value is None or value.plural:
            return None, sources, True
        return ([one for _, one in value.items] if value.items is not None else (text,)), sources, True
    if value is None and (name, index) == ("BASH_SOURCE", "0"):
        return (text,), sources, False
    if value is None or (value.items is None and value.plural):
        return (TOP,), sources, False
    key = subscript(ex, value, index, state, chosen)
    if value.items == () and not value.plural:
        return ("",), sources, False
    if key is None:
        plain = value.items is not None and not value.plural and all(_PLAIN.fullmatch(one) for _, one in value.items)
        return (TOKEN if plain else TOP,), sources, False
    if value.items is None:
        return (text if key == "0" else TOP,), sources, False
    return (dict(value.items).get(key, TOP if value.plural else ""),), sources, False


def indexed(
    ex: Expander, given: Expansion | Assign, value: Value | None, state: State, chosen: Chosen, span: tuple[int, int]
) -> Chosen:
    """What the expansions in a subscript give; whatever its evaluation may run is said."""
    if value is None or not value.declared:
        look_into(ex, given.names, state, span)
        return operands(ex, given.parts, state, chosen, span)[0] if given.parts else {}
    # The key of an associative array is a text, expanded once.
    return {f"__part{index}__": ex.joined(part, state, chosen)[0] for index, part in enumerate(given.parts)}


def subscript(ex: Expander, value: Value | None, index: str, state: State, chosen: Chosen) -> str | None:
    """Key of the element that a subscript means; None if it cannot be told."""
    if value is not None and value.keyed:
        if "__part" in index:
            text = chosen.get(index, TOP)  # of several pieces nothing is put together
            return text if is_known(text) else None
        if index[:1] in "'\"" or "$" not in index:
            return index.strip("'\"") if index[:1] in "'\"" else index
        match = re.fullmatch(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?", index)
        text = ex.lookup(match[1], state, chosen)[0] if match is not None else TOP
        return text if is_known(text) else None
    found = evaluate(index.strip("'\""), lambda name: ex.lookup(name, state, chosen)[0])
    if found is None or found[1]:
        subscripted(ex, index.strip("'\""), state)
        return None
    if found[0] < 0:
        keys = [int(key) for key, _ in value.items] if value is not None and value.items else []
        return str(max(keys) + 1 + found[0]) if keys and max(keys) + 1 + found[0] >= 0 else None
    return str(found[0])


def _length(items: _Items, listed: bool) -> str:
    if items is None:
        return NUM
    if listed:
        return str(len(items))
    text = items[0]
    return NUM if not text.isascii() else str(len(text))


def _indirect(ex: Expander, part: Expansion, state: State, chosen: Chosen, span: tuple[int, int]) -> Found:
    """`${!x}`, `${!x[@]}`, `${!x*}`."""
    if part.op == "names":
        return Found(texts=None, listed=True)
    value = state.vars.get(part.name)
    if part.index is not None and part.index in "@*":
        keys = None if value is None or value.items is None or value.plural else tuple(key for key, _ in value.items)
        return Found(texts=keys, sources=value.sources if value is not None else (), listed=True)
    name, sources = ex.lookup(part.name, state, chosen)
    if part.index is not None or part.name in "@*" or not _VARIABLE.fullmatch(name):
        ex.runner.dynamic("which variable is meant is not known", span)
        return Found(texts=(TOP,), sources=sources)
    text, more = ex.lookup(name, state, chosen)
    return Found(texts=(text,), sources=merge(sources, more))


# -- operators


def _default(
    ex: Expander,
    part: Expansion,
    state: State,
    chosen: Chosen,
    base: tuple[_Items, tuple[Resource, ...], bool],
) -> Found:
    """`${x:-d}` and its like."""
    items, sources, listed = base
    arg, more = ex.text(part.arg, state, chosen) if part.arg is not None else ("", ())
    mixed = part.arg is not None and not part.quoted and any(_quoted(one) for one in part.arg.parts)
    sources = merge(sources, more)
    sign, colon = part.op[-1], part.op[0] == ":"
    given = part.name in state.vars or part.name in "@*" or (part.name.isdigit() and state.args is not None)
    empty = _is_empty(items, listed)
    if sign == "?" and (not given or empty is not False):
        ex.runner.jump("exit", state)
    # INVARIANT: a variable never assigned here may be set by the environment, so its default is only one reading;
    # and one that is empty may have been unset, which is another thing without the colon.
    if not given or empty is None or (empty and not colon):
        if sign == "=":
            if part.name in state.traits:
                ex.runner.abort(state)
            old = state.vars.get(part.name, UNKNOWN)
            state.put(part.name, Value(sources=merge(old.sources, sources), plural=old.plural))
            ex.runner.noticed(part.name, state)
            chosen.pop(part.name, None)
        if (sign == "?" or (sign == "-" and arg in STREAMS)) and items is not None:
            return _found(items, sources, listed)
        return _found(None, sources, listed)
    if sign == "+":
        return Found(texts=("",) if empty else (arg,), sources=sources, split=mixed)
    if sign == "=" and empty:
        if part.name in state.traits:
            ex.runner.abort(state)
            state.put(part.name, Value(sources=sources, plural=True))
            ex.runner.noticed(part.name, state)
            chosen.pop(part.name, None)
            return _found(None, sources, listed)
        state.put(part.name, Value(alternatives=(arg,), sources=sources))
        ex.runner.noticed(part.name, state)
        chosen.pop(part.name, None)
    if sign in "-=" and empty:
        return Found(texts=(arg,), sources=sources, split=mixed)
    return _found(items, sources, listed)


def _is_empty(items: _Items, listed: bool) -> bool | None:
    """Whether there is no text; None if that cannot be told."""
    if items is None:
        return None
    if listed and len(items) != 1:
        return not items if not items or any(text.strip(TOP) for text in items) else None
    text = items[0]
    if text.strip(TOP):
        return False
    return None if text else True


def _quoted(part: object) -> bool:
    return not isinstance(part, Text) or part.quoted


def _operated(part: Expansion, text: str, pattern: str, other: str) -> str | None:
    """One text under a pattern, a replacement or a transformation; None if it cannot be worked out."""
    op = part.op
    if not is_known(text):
        return None if TOP in pattern or op[0] == "@" else _parameters.of_name(op, text, pattern, other)
    if op[0] in "#%":
        return _parameters.trimmed(op, text, pattern)
    if op[0] == "/":
        return _parameters.replaced(op, text, pattern, other) if is_known(other) else None
    if op[0] in "^,":
        return _parameters.cased(op, text) if pattern == "" else None
    return _parameters.transformed(op, text)


def _sliced(ex: Expander, part: Expansion, items: _Items, listed: bool, where: tuple[State, Chosen]) -> _Items:
    """`${x:offset:length}`."""
    numbers: list[int] = []
    for text in part.numbers:
        found = evaluate(text, lambda name: ex.lookup(name, *where)[0])
        if found is None or items is None:
            return None
        numbers.append(found[0])
    if items is None:
        return None
    length = numbers[1] if len(numbers) > 1 else None
    if not listed:
        text = items[0]
        known = is_known(text)
        one = _parameters.part(text, numbers[0], length) if known else None
        return None if one is None else (one,)
    if part.name in "@*":
        return _parameters.slice_of((TOP, *items), numbers[0], length)
    value = where[0].vars.get(part.name)
    if value is None or value.keyed or [key for key, _ in value.items or ()] != [str(i) for i in range(len(items))]:
        return None
    return _parameters.slice_of(items, numbers[0], length)


# -- patterns and arrays


def pattern_of(ex: Expander, word: Word, state: State, chosen: Chosen) -> tuple[str, tuple[Resource, ...]]:
    """A word as a pattern: what is quoted stands for itself, what an expansion gives does not."""
    pieces: list[str] = []
    sources: tuple[Resource, ...] = ()
    for index, part in enumerate(word.parts):
        if isinstance(part, Text):
            tilde = not part.quoted and index == 0 and part.text.startswith("~")
            pieces.append(escape(part.text) if part.quoted else TOP if tilde else part.text.replace("\\", "?"))
        else:
            text, more = ex.text(Word(parts=(part,), start=word.start, end=word.end), state, chosen)
            sources = merge(sources, more)
            # A backslash in an expanded pattern quotes what follows it: not followed.
            loose = TOP if "\\" in text else text
            known = is_known(loose)
            pieces.append(TOP if not known else escape(text) if getattr(part, "quoted", False) else loose)
    return "".join(pieces), sources


def elements(ex: Expander, words: Sequence[tuple[str | None, Word]], state: State, old: Value | None) -> Value:
    """The value of `name=(…)`.

    Args:
        ex: the expander.
        words: the words between the parentheses, with their subscripts.
        state: the shell's state.
        old: what the array holds before, if it is appended to or declared with names for keys.
    """
    keyed = old is not None and old.keyed
    items: dict[str, str] = dict(old.items or ()) if old is not None and not old.plural else {}
    sources: tuple[Resource, ...] = old.sources if old is not None else ()
    certain = old is None or not old.plural
    given: list[Field] = []
    position = max((int(key) + 1 for key in items), default=0) if not keyed else 0
    for key, word in words:
        if key is not None:
            text, more = ex.text(word, state, {})
            sources = merge(sources, more)
            if old is None or not old.declared:
                look_at(ex, (key.strip("'\""),), state)
            place = subscript(ex, Value(items=tuple(items.items()), keyed=keyed), key, state, {})
            if place is None:
                certain = False
            else:
                items[place] = text
                position = int(place) + 1 if not keyed else 0
            continue
        vectors = list(ex.alternatives((word,), state))
        for vector in vectors:
            sources = merge(sources, tuple(source for field in vector for source in field.sources))
        certain = certain and len(vectors) == 1 and not keyed
        given += (field for vector in vectors for field in vector)
        for field in vectors[0]:
            certain = certain and not field.many and field.glob is None
            items[str(position)] = field.text
            position += 1
    size = sum(map(len, items.values()))
    if not certain or len(items) > MAX_ITEMS or size > MAX_TEXT:
        each = () if keyed or any(key is not None for key, _ in words) else _elements(old, given)
        return Value(sources=sources, keyed=keyed, declared=old is not None and old.declared, plural=True, each=each)
    ordered = items.items() if keyed else sorted(items.items(), key=_number)
    return array(tuple(ordered), sources, like=old)


def _elements(old: Value | None, given: Sequence[Field]) -> tuple[str, ...]:
    """What each element is of an array whose length is not known, which is added to what it held before."""
    texts = named_texts(given)
    if old is None or not texts:
        return texts
    if not old.each and (old.items is None or old.plural):
        return ()
    both = tuple(dict.fromkeys((*(old.each or (text for _, text in old.items or ())), *texts)))
    return both if len(both) <= MAX_ALTERNATIVES else ()


def array(items: tuple[tuple[str, str], ...], sources: tuple[Resource, ...], *, like: Value | None = None) -> Value:
    """An array that is known, and of the kind of another one: its value without a subscript is the element 0."""
    first = dict(items).get("0", "")
    keyed, declared = (like.keyed, like.declared) if like is not None else (False, False)
    return Value(alternatives=(first,), sources=sources, items=items, keyed=keyed, declared=declared)


def with_element(value: Value | None, key: str | None, text: str, sources: tuple[Resource, ...]) -> Value:
    """`name[key]=text`."""
    known = value is not None and (value.items is not None or not value.plural) and key is not None
    both = merge(value.sources if value is not None else (), sources)
    if value is None and key is not None:
        return Value(sources=both, plural=True)
    if not known or value is None or key is None or TOP in value.alternatives:
        keyed, declared = (value.keyed, value.declared) if value is not None else (False, False)
        return Value(sources=both, keyed=keyed, declared=declared, plural=True)
    items = dict(value.items) if value.items is not None else {"0": value.alternatives[0]}
    if len(value.alternatives) > 1 or len(items) >= MAX_ITEMS or sum(map(len, items.values())) + len(text) > MAX_TEXT:
        return Value(sources=both, keyed=value.keyed, declared=value.declared, plural=True)
    items[key] = text
    ordered = items.items() if value.keyed else sorted(items.items(), key=_number)
    return array(tuple(ordered), both, like=value)


def _number(item: tuple[str, str]) -> int:
    return int(item[0]) if _INDEX.fullmatch(item[0]) else 0
