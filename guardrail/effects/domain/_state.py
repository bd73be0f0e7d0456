"""What one shell may know at one point, and what it knows where two ways meet.

Not concerned with how it comes to know that: the interpreter is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guardrail.effects.domain._values import (
    DEEP,
    GIVEN_NAMES,
    MAX_ALTERNATIVES,
    SLIM,
    TOP,
    UNKNOWN,
    Field,
    Value,
    merge,
)
from guardrail.model import Resource
from guardrail.parse.ir import Statement

MAX_VARIANTS: Final = 4
"""Most arrays that one variable may be at one point; beyond it nothing is known of its elements."""


MOVING: Final = frozenset(
    "_ BASH_ARGC BASH_ARGV BASH_COMMAND BASH_LINENO BASH_REMATCH BASH_SOURCE BASH_SUBSHELL BASHPID COLUMNS DIRSTACK "
    "EPOCHREALTIME EPOCHSECONDS FUNCNAME HISTCMD LINENO LINES OLDPWD PIPESTATUS PWD RANDOM SECONDS SRANDOM".split()
)
"""Variables that the shell sets itself: what was assigned to one is not what it holds."""


OWN_FILE: Final = frozenset(("0", "BASH_SOURCE"))
"""What a shell that runs a file calls it; no other program is given that."""


class State:
    """Variables, functions, directory and settings of one shell at one point."""

    __slots__ = (
        "args", "cwds", "functions", "globs", "handed", "held", "ifs", "modes", "opened", "path", "sinks", "traits",
        "vars",
    )  # fmt: skip

    def __init__(self, cwds: tuple[str | None, ...]) -> None:
        self.vars: dict[str, Value] = {}
        self.functions: dict[str, tuple[Statement | None, ...]] = {}
        self.cwds = cwds
        self.args: tuple[str, ...] | None = None
        self.path: tuple[str, ...] | None = ()  # directories put before the assumed PATH; None is any
        self.ifs = True  # IFS is blank, tab, newline
        self.globs = True  # globbing works as by default
        self.sinks: tuple[Resource, ...] = ()  # where `exec >f` sent the output of everything after it
        self.opened: tuple[Resource, ...] = ()  # what `exec 3<f` opened
        self.held: tuple[Resource, ...] = ()  # what `exec 3>f` opened, also where standard output goes elsewhere
        self.handed: tuple[Resource, ...] = ()  # whose content may be in the positional parameters
        self.traits: dict[str, str] = {}  # variables -> letters that `put` knows; never changed in place
        self.modes: frozenset[str] = frozenset()  # options of the shell that may be set, of those that matter

    def copy(self) -> State:
        """An independent copy, as for a subshell."""
        other = State.__new__(State)  # `assume` sets everything
        other.assume(self)
        return other

    def assume(self, other: State) -> None:
        """Take over everything from another state."""
        self.vars, self.functions = other.vars.copy(), other.functions.copy()
        self.cwds, self.args = other.cwds, other.args
        self.path, self.ifs, self.globs = other.path, other.ifs, other.globs
        self.sinks, self.opened = other.sinks, other.opened
        self.held, self.handed = other.held, other.handed
        self.traits, self.modes = other.traits, other.modes

    def forget(self) -> None:
        """Unknown code ran in this shell: nothing about it is known any more, not even what a command name means.

        What is assigned afterwards is believed again; whoever lets such code run says so in an effect.
        """
        self.vars = {name: Value(sources=value.sources, plural=True) for name, value in self.vars.items()}
        for name in GIVEN_NAMES:
            self.vars.setdefault(name, UNKNOWN)
        self.functions = {}
        self.cwds, self.args = (None,), None
        self.path, self.ifs, self.globs = None, False, False

    def same(self, other: State) -> bool:
        """Nothing differs."""
        return (
            self.vars == other.vars
            and self.cwds == other.cwds
            and self.functions == other.functions
            and (self.args, self.path, self.ifs, self.globs) == (other.args, other.path, other.ifs, other.globs)
            and (self.sinks, self.opened) == (other.sinks, other.opened)
            and (self.held, self.handed) == (other.held, other.handed)
            and (self.traits, self.modes) == (other.traits, other.modes)
        )

    def put(self, name: str, value: Value) -> None:
        """A variable is given a value, and takes it as it was declared to."""
        if name in MOVING:
            value = Value(sources=value.sources, plural=True)
        elif self.traits and (letters := self.traits.get(name)):
            value = _taken(self.vars.get(name, UNKNOWN), value, letters)
        if "noting" in self.modes:
            self.mark(name, "w")
        self.vars[name] = value

    def mark(self, name: str, letters: str) -> None:
        """A variable may be declared so from here on.

        Args:
            name: the variable.
            letters: `r` if it cannot be assigned to, `R` if so when it was declared again, `l` and `u` for the case of
                its letters, `i` for a number, `v` if it may change at any time, `w` if it was given a value at all.
        """
        old = self.traits.get(name, "")
        new = "".join(sorted({*old, *letters}))
        if new != old:
            self.traits = {**self.traits, name: new}

    def scalar(self, name: str, value: Value) -> Value:
        """What a variable holds when a text is assigned to it: of an array, that is the element 0."""
        old = self.vars.get(name)
        if old is None or (not old.items and not old.plural):
            return value
        if old.items is None or old.keyed or len(value.alternatives) != 1:
            return Value(alternatives=value.alternatives, sources=merge(old.sources, value.sources), plural=True)
        rest = tuple(item for item in old.items if item[0] != "0")
        items = (("0", value.alternatives[0]), *rest)
        return Value(alternatives=value.alternatives, sources=merge(old.sources, value.sources), items=items)

    def contents(self) -> tuple[Resource, ...]:
        """Whose content may be in any variable: what `set`, `env` or a program that is started can see."""
        found = self.handed
        for value in self.vars.values():
            if value.sources:
                found = merge(found, value.sources)
        return found

    def hand(self, fields: Sequence[Field]) -> None:
        """The words become the positional parameters."""
        single = all(
            field.known or (field.glob is None and not field.many and _is_name(field.text)) for field in fields
        )
        self.args = tuple(field.text for field in fields) if single and "shuffling" not in self.modes else None
        self.handed = merge((), tuple(source for field in fields for source in field.sources))

    def join(self, other: State) -> State:
        """What holds when either may be the case."""
        if self is other or self.same(other):
            return self
        joined = State(join_cwds(self.cwds, other.cwds))
        for name in {*self.vars, *other.vars}:
            if name == "OPTIND" and _is_count(self.vars.get(name)) and _is_count(other.vars.get(name)):
                if self.vars.get(name) == other.vars.get(name):
                    joined.vars[name] = self.vars[name]
                continue  # without a value it is some number
            joined.vars[name] = join_values(self.vars.get(name, UNKNOWN), other.vars.get(name, UNKNOWN))
        for name in {*self.functions, *other.functions}:
            both = (*self.functions.get(name, (None,)), *other.functions.get(name, (None,)))
            joined.functions[name] = tuple({id(body): body for body in both}.values())
        joined.args = self.args if self.args == other.args else None
        joined.path = self.path if self.path == other.path else None
        joined.ifs = self.ifs and other.ifs
        joined.globs = self.globs and other.globs
        joined.sinks = merge(self.sinks, other.sinks)
        joined.opened = merge(self.opened, other.opened)
        joined.held = merge(self.held, other.held)
        joined.handed = merge(self.handed, other.handed)
        joined.traits = self.traits
        for name, letters in other.traits.items():
            joined.mark(name, letters)
        joined.modes = self.modes | other.modes
        return joined


def _is_count(value: Value | None) -> bool:
    """Numbers alone; None stands for some number."""
    return value is None or all(text.isascii() and text.isdecimal() for text in value.alternatives)


def _is_name(text: str) -> bool:
    return SLIM in text or DEEP in text


def _taken(old: Value, value: Value, letters: str) -> Value:
    """What a variable may hold that was declared in some way, perhaps, when a value is assigned to it."""
    if "v" in letters:
        return Value(sources=merge(old.sources, value.sources), plural=True)
    if "l" in letters or "u" in letters:
        cases = [case for letter, case in (("l", str.lower), ("u", str.upper)) if letter in letters]
        texts = tuple(
            dict.fromkeys((*value.alternatives, *(case(text) for case in cases for text in value.alternatives)))
        )
        plain = value.items is None and len(texts) <= MAX_ALTERNATIVES
        plain = plain and all(text.isascii() or TOP in text for text in texts)
        value = Value(alternatives=texts if plain else (TOP,), sources=value.sources, plural=value.plural or not plain)
    return join_values(old, value) if "r" in letters else value


def join_values(left: Value, right: Value) -> Value:
    """One value or the other."""
    if left == right:
        return left
    sources = merge(left.sources, right.sources)
    if left.items is not None or right.items is not None or left.plural or right.plural:
        if left.items == right.items and left.alternatives == right.alternatives and left.plural == right.plural:
            return Value(
                alternatives=left.alternatives,
                sources=sources,
                items=left.items,
                keyed=left.keyed,
                declared=left.declared and right.declared,
                plural=left.plural,
                variants=_either(left, right) if left.items is None else (),
            )
        return Value(
            sources=sources,
            keyed=left.keyed or right.keyed,
            declared=left.declared and right.declared,
            plural=True,
            variants=_either(left, right),
            each=_each(left, right),
        )
    alternatives = tuple(dict.fromkeys((*left.alternatives, *right.alternatives)))
    if TOP in alternatives or len(alternatives) > MAX_ALTERNATIVES:
        alternatives = (TOP,)
    return Value(alternatives=alternatives, sources=sources)


def _either(left: Value, right: Value) -> tuple[tuple[tuple[str, str], ...], ...]:
    """What the elements of one array or another may be; `()` if that is not known."""
    both: dict[tuple[tuple[str, str], ...], None] = {}
    for value in (left, right):
        known = value.variants or (() if value.items is None or value.plural else (value.items,))
        if not known or value.keyed:
            return ()
        both.update(dict.fromkeys(known))
    return tuple(both) if len(both) <= MAX_VARIANTS else ()


def _each(left: Value, right: Value) -> tuple[str, ...]:
    """What each element of one array or another is, where that is known of one that is as long as it will."""
    if not (left.each or right.each) or left.keyed or right.keyed:
        return ()
    both: dict[str, None] = {}
    for value in (left, right):
        if not value.each and (value.items is None or value.plural):
            return ()
        both.update(dict.fromkeys(value.each or (text for _, text in value.items or ())))
    return tuple(both) if len(both) <= MAX_ALTERNATIVES else ()


def join_cwds(left: tuple[str | None, ...], right: tuple[str | None, ...]) -> tuple[str | None, ...]:
    """One directory or the other; None is any."""
    both = tuple(dict.fromkeys((*left, *right)))
    return (None,) if None in both or len(both) > MAX_ALTERNATIVES else both
