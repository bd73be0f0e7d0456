"""What the walk through a piece of Python has to keep in mind: names, branches, what runs later, and bounds.

Not concerned with effects: `_core` is.
"""

from __future__ import annotations

import abc
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final

from guardrail.effects.code.python._defined import Frame, Scope
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._values import CWD_MARK, NONE, Const, Dict, Later, Seq, Text, Value
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import TOP, Field
from guardrail.model import Resource

MAX_STEPS: Final = 40_000
"""Most expressions and statements that are worked out for one piece of code."""

MAX_INLINED: Final = 12
"""Deepest nesting of calls of functions that the code defines."""

MAX_KEPT: Final = 1024
"""Most functions and iterators that may run later which are told apart; beyond it the analysis ends."""

MAX_CHANGES: Final = 4096
"""Most changes that are looked through for those that matter to what runs later."""

NAMES: Final = 64
"""Names whose keeping counts as one step."""

MAX_CHARGED: Final = 64
"""Most items of a container whose size counts."""

WORK: Final = 256
"""Characters of text, or items, whose handling counts as one step."""

Snapshot = list[tuple[Scope, dict[str, Value]]]


class TooMuch(Exception):
    """A bound on the analysis of one piece of code was reached."""


class Walk(abc.ABC):
    """The state of one Python process, at the point that has been reached.

    Args:
        call: the command that runs the code.
        argv: `sys.argv`.
        file: the script, if the code is in one.
    """

    def __init__(self, call: Call, argv: Sequence[Field], file: str | None = None) -> None:
        self.call = call
        self.argv = argv
        self.file = file
        self.state = call.state.copy()
        self.globals = Scope()
        self.globals.names[CWD_MARK] = Text((call.cwd if call.cwd is not None else TOP,))
        self.scope = self.globals
        self.scopes: list[Scope] = [self.globals]
        self.branch: int = 0
        self.steps: int = MAX_STEPS
        self.inlined: list[Frame] = []
        self.out_sources: tuple[Resource, ...] = ()
        self.out_text: str | None = ""
        self.ended = False
        self.hidden = False
        self.reasons: set[str] = set()
        self.programs: set[str] = set()
        self.accounted: set[str] = set()
        self.stars: list[str] = []
        self.attempts: int = 0
        self.history: list[tuple[Scope | None, str, Value]] = []
        self.escaped: dict[tuple[int, ...], tuple[Later, Value]] = {}
        self.later: list[Later] = []
        self.finishing = False
        self.folders: list[Value] = []
        self.texts: list[str] = []
        self.redirected: Value | None = None
        self.thrown: list[Value] = []  # what errors say, and what they hold
        self.complaints: dict[tuple[Resource, ...], Value] = {}
        self.trusted = False
        self.tops: tuple[str, ...] = ("",)  # what `/` may be
        self.environment: list[Value] = []  # values that the code gives to variables of its environment

    @abc.abstractmethod
    def unbound(self, scope: Scope, name: str) -> Value | None:
        """What a name stands for that a scope gives no value; None if for nothing, which is an error."""

    def step(self, count: int = 1) -> None:
        """Count work."""
        self.steps -= count
        if self.steps < 0:
            raise TooMuch("too many steps")

    def charge(self, *values: Value | None, deep: bool = True) -> None:
        """Count the work that long texts make."""
        size = 0
        for value in values:
            if isinstance(value, Text):
                size += sum(map(len, value.alternatives))
            elif isinstance(value, Const) and isinstance(value.value, bytes):
                size += len(value.value)
            elif isinstance(value, Seq | Dict):
                size += len(value.items)
                if deep:
                    items = list(value.items.values()) if isinstance(value, Dict) else value.items
                    self.charge(*items[:MAX_CHARGED], deep=False)
        if size >= WORK:
            self.step(size // WORK)

    def set_name(self, scope: Scope, name: str, value: Value) -> None:
        """Give a name a value. INVARIANT: every value that a name ever had is in the history."""
        scope.names[name] = value
        self.history.append((scope, name, value))

    def mutated(self) -> None:
        """A container or an object was changed."""
        self.history.append((None, "", NONE))

    def changed(self, later: Later) -> bool:
        """Something that it may see has changed since it was last done."""
        since = self.history[later.position :]
        if not since:
            return False
        names, acts = self.reads(later)
        if len(since) > MAX_CHANGES:
            return True
        return any((scope is None and acts) or name in names for scope, name, _ in since)

    @abc.abstractmethod
    def reads(self, later: Later) -> tuple[set[str], bool]:
        """The names that some code reads, with those of the functions that it names; and whether it may do more."""

    def anything_since(self, position: int, before: Snapshot) -> Snapshot:
        """Every name as it was at some point since then."""
        kept = {id(scope): dict(names) for scope, names in before}
        scopes = [scope for scope in self.scopes if id(scope) not in kept]
        kept.update((id(scope), dict(scope.names)) for scope in scopes)
        for scope, name, value in self.history[position:]:
            names = kept.get(id(scope))
            if names is not None and scope is not None:
                old = names.get(name)
                names[name] = join(old if old is not None else self.unbound(scope, name), value)
        return [(scope, kept[id(scope)]) for scope in (*(scope for scope, _ in before), *scopes)]

    def again(self, later: Later) -> Value:
        """Do it once more, with what the names are now; only what is new counts."""
        effects = self.call.shell.emit.effects
        start = len(effects)
        later.position = len(self.history)
        with self.undecided(), self.tentative():
            value = later.run()
        known = {(effect.op, effect.resource, effect.target) for effect in effects[:start]}
        fresh = [effect for effect in effects[start:] if (effect.op, effect.resource, effect.target) not in known]
        effects[start:] = fresh
        return value

    @contextmanager
    def undecided(self) -> Generator[None, None, None]:
        """What happens inside may not happen."""
        self.branch += 1
        try:
            with self.call.perhaps():
                yield
        finally:
            self.branch -= 1

    @contextmanager
    def tentative(self) -> Generator[None, None, None]:
        """What happens inside happens at some time, or in part: names and containers may still be as they were."""
        before, position = self.snapshot(), len(self.history)
        self.branch += 1
        self.attempts += 1
        try:
            yield
        finally:
            self.branch -= 1
            self.attempts -= 1
        if len(self.history) > position:
            self.restore(self.anything_since(position, before))

    @contextmanager
    def muted(self) -> Generator[None, None, None]:
        """A trial: no effect of it counts."""
        emit = self.call.shell.emit
        emit.muted += 1
        saved = self.out_sources, self.out_text, self.ended, self.hidden, set(self.accounted)
        said = set(self.reasons), set(self.programs), dict(self.escaped), self.later[:]
        try:
            yield
        finally:
            emit.muted -= 1
            self.out_sources, self.out_text, self.ended, self.hidden, self.accounted = saved
            # What was said in a trial has to be said again.
            self.reasons, self.programs, self.escaped, self.later = said

    def snapshot(self) -> Snapshot:
        """Every name, as it is now."""
        self.step(sum(len(scope.names) for scope in self.scopes) // NAMES)
        return [(scope, dict(scope.names)) for scope in self.scopes]

    def restore(self, snapshot: Snapshot) -> None:
        """Every name as it was then."""
        for scope, names in snapshot:
            # In place: a dictionary that code was run with is the scope of that code.
            if scope.names != names:
                scope.names.clear()
                scope.names.update(names)

    def both(self, left: Snapshot, right: Snapshot) -> Snapshot:
        """Every name as it is in one or in the other."""
        others = {id(scope): names for scope, names in right}
        out: Snapshot = []
        for scope, names in left:
            other = others.get(id(scope))
            if other is None or other == names:
                out.append((scope, names))
                continue
            merged = dict(names)
            for name, value in other.items():
                old = names.get(name)
                merged[name] = join(old if old is not None else self.unbound(scope, name), value)
            for name in names.keys() - other.keys():
                merged[name] = join(merged[name], self.unbound(scope, name))
            out.append((scope, merged))
        return out
