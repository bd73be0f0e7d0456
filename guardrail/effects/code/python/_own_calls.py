"""Calls of functions and classes that the code itself defines: each is walked with what it is given.

Not concerned with what a library gives: `_calls` is.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

from guardrail.effects.code.python._carried import can_act, carried
from guardrail.effects.code.python._defined import Frame, Function, Instance, Klass
from guardrail.effects.code.python._escaping import Escaping, all_names, does_something, nodes_of
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._values import (
    BASE,
    Args,
    Bound,
    Const,
    Dict,
    Either,
    Later,
    Native,
    Partial,
    Ref,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    options,
)
from guardrail.effects.code.python._walk import MAX_INLINED, TooMuch
from guardrail.effects.domain._values import TOP

MAX_EXACT: Final = 4
"""Deepest calls of a function by itself that are walked one by one."""


MAX_DECIDED: Final = 64
"""Most items of an argument of such a call."""


_CONTAINERS: Final = frozenset(
    f"builtins.{name}" for name in ("dict", "list", "str", "tuple", "set", "int", "float", "bytes")
) | {"collections.OrderedDict", "collections.UserDict"}

_MADE_BY: Final = frozenset(("__init__", "__new__", "__post_init__", "__init_subclass__", "__class_getitem__"))


def _calls(function: Function) -> bool:
    """It may do something."""
    body = [function.body] if isinstance(function.body, ast.expr) else function.body
    return any(_changes(part) for one in body for part in ast.walk(one))


def _changes(node: ast.AST) -> bool:
    stored = isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load)
    return stored or does_something(node) or isinstance(node, ast.Call | ast.Global | ast.Nonlocal)


def _decided(args: Args) -> bool:
    """Nothing in the arguments of a call is left open."""
    return args.vague is None and all(
        (isinstance(value, Text) and value.exact is not None)
        or isinstance(value, Const | Function | Instance | Klass | Ref | Partial | Native | Bound)
        or (isinstance(value, Seq) and value.known and len(value.items) <= MAX_DECIDED)
        or (isinstance(value, Dict) and value.rest is None and len(value.items) <= MAX_DECIDED)
        for value in args.all()
    )


def _widened_args(args: Args, frames: Sequence[Frame]) -> Args:
    """What the arguments of all deeper calls may be: the same objects as before, or anything of their kind."""
    known = {id(value) for frame in frames for value in frame.args.all()}
    vague = _wide(args.vague, known) if args.vague is not None else None
    return Args([_wide(value, known) for value in args.pos], {n: _wide(v, known) for n, v in args.named.items()}, vague)


def _wide(value: Value, known: set[int]) -> Value:
    if id(value) in known or isinstance(value, Unknown):
        return value
    if isinstance(value, Text):
        return Text((TOP,), value.sources, path=value.path)
    if isinstance(value, Const):
        number = isinstance(value.value, int | float) and not isinstance(value.value, bool)
        return Unknown(value.sources, numeric=number)
    return Either((value, Unknown(carried(value), hidden=can_act(value))))


def _held(wide: Value, value: Value) -> bool:
    """An argument of a deeper call is among those that were walked."""
    if wide is value:
        return True
    choices = options(wide)
    if any(option is value for option in choices):
        return True
    if can_act(value):
        return any(isinstance(option, Unknown) and option.hidden for option in choices)
    if any(isinstance(option, Unknown) and not option.numeric for option in choices):
        return True
    if isinstance(value, Text):
        return any(isinstance(option, Text) and TOP in option.alternatives for option in choices)
    number = isinstance(value, Unknown) and value.numeric
    number = number or (isinstance(value, Const) and isinstance(value.value, int | float))
    return number and any(isinstance(option, Unknown) for option in choices)


class OwnCalls(Escaping):
    """Walks functions, and makes objects of classes."""

    def call_function(self, function: Function, args: Args) -> Value:
        """A function of the code, walked with its arguments; one that waits is walked again when it is asked."""
        if not function.waits:
            return self._walk(function, args)
        values = [*args.all(), *([function.owner] if function.owner is not None else [])]
        later = Later(lambda: self._walk(function, args), len(self.history), nodes_of(function), values)
        with self.tentative():
            made = self._walk(function, args)
        later.position = len(self.history)
        if isinstance(made, Seq) and made.later is None:
            made.later = later
        else:
            later.spent = True
        self.keep(later)
        return made

    def _walk(self, function: Function, args: Args) -> Value:
        frames = [f for f in self.inlined if f.body is function.body and f.scope is function.scope]
        wide = next((frame for frame in frames if frame.wide), None)
        if wide is not None:
            return self._deeper(wide, function, args)
        if not frames or self._exactly(frames, args):
            if len(self.inlined) >= MAX_INLINED:
                raise TooMuch("functions call each other too deep")
            return self.run_body(function, args)
        # It calls itself: the arguments of all deeper calls at once, again and again until nothing changes.
        frame = Frame(function, _widened_args(args, frames), self.branch, wide=True)

        def once() -> bool:
            frame.result = join(frame.result, self.run_body(function, frame.args, frame))
            return True

        self._repeat(once, ())
        return frame.result if frame.result is not None else Unknown()

    def _exactly(self, frames: Sequence[Frame], args: Args) -> bool:
        """A call of a function by itself is walked as it is: the first of a few, with all of it known."""
        first = not frames[-1].again
        frames[-1].again = True
        return first and len(frames) < MAX_EXACT and frames[-1].branch == self.branch and _decided(args)

    def _deeper(self, wide: Frame, function: Function, args: Args) -> Value:
        """A call in which the function is walked for all deeper calls: nothing new, or the end of the analysis."""
        kept = [wide.args.pos, list(wide.args.named.values())]
        given = [args.pos, list(args.named.values())]
        same = wide.args.named.keys() == args.named.keys() and function.owner is wide.owner
        if wide.args.vague is None and (
            not same
            or args.vague is not None
            or any(len(a) != len(b) for a, b in zip(kept, given, strict=True))
            or not all(_held(a, b) for old, new in zip(kept, given, strict=True) for a, b in zip(old, new, strict=True))
        ):
            return self.opaque("a function that calls itself is not followed to its end", "inline", *args.all())
        found = Unknown(tuple(s for value in args.all() for s in carried(value)))
        return join(wide.result, found) if wide.result is not None else found

    def instantiate(self, klass: Klass, args: Args) -> Value:
        """An object of a class of the code."""
        made = Instance(klass, self.branch)
        other: Value | None = None
        new = klass.find("__new__")
        if isinstance(new, Function):
            other = self.call_function(new.bound(made), args)
        init = klass.find("__init__")
        if isinstance(init, Function):
            if any(name in _CONTAINERS for one in klass.order() for name in one.bases):
                self.make_base(made, klass, Args())
            self.call_method(made, "__init__", args)
        else:
            self._fields(made, klass, args)
        for name, value in all_names(klass).items():
            if isinstance(value, Function) and name.startswith("__") and name not in _MADE_BY and _calls(value):
                self.try_method(made, value)
        return made if other is None or other is made or isinstance(other, Unknown) else Either((made, other))

    def _fields(self, made: Instance, klass: Klass, args: Args) -> None:
        """What a class without `__init__` keeps of its arguments: a dataclass, a named tuple, a child of a library."""
        fields = [name for one in reversed(klass.order()) for name in one.fields]
        fields = list(dict.fromkeys(fields))
        for name in fields:
            default = klass.find(name)
            if isinstance(default, Thing) and default.kind == "<field>":
                made.names[name] = self.call_value(default.facts["factory"], Args())
        made.names.update(zip(fields, args.pos, strict=False))
        for index, value in enumerate(args.pos[len(fields) :]):
            made.names[f"<{index}>"] = value
            if klass.framed or not fields:
                self.escape(value)
        made.names.update(args.named)
        if args.vague is not None:
            for name in fields:
                made.names[name] = join(made.names.get(name), args.vague)
        self.make_base(made, klass, args)
        post = klass.find("__post_init__")
        if isinstance(post, Function):
            self.call_method(made, "__post_init__", Args())

    def make_base(self, made: Instance, klass: Klass, args: Args) -> None:
        """The part of an object that a class of a library makes."""
        for one in klass.order():
            for name in one.bases:
                if not self.plain_base(name) or name in _CONTAINERS:
                    made.names[BASE] = self.call_ref(name, args)
