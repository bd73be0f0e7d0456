"""Calls of values and methods.

Not concerned with functions of libraries, which are called by their names: those are in `_library_calls`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from guardrail.effects.code.python._carried import base_of, can_act, carried, part_of, store_of
from guardrail.effects.code.python._defined import Function, Instance, Klass
from guardrail.effects.code.python._handlers import HANDLERS, run_handler
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._library import apply
from guardrail.effects.code.python._methods import method_of
from guardrail.effects.code.python._stores import store_method, write_by_name
from guardrail.effects.code.python._table import table
from guardrail.effects.code.python._values import (
    ANY_NAME,
    BASE,
    NONE,
    Args,
    Bound,
    Const,
    Dict,
    Either,
    Native,
    Partial,
    Ref,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
)
from guardrail.effects.code.python._verbs import by_verb
from guardrail.effects.domain._values import merge

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine
from guardrail.effects.code.python._library_calls import LibraryCalls

_COMPUTING: Final = frozenset(
    "add append extend update load_state_dict copy_ dot matmul mm bmm mul div sub eq ne equal allclose "
    "index_select gather where isin merge join concat fit predict transform fit_transform encode decode format "
    "replace split startswith endswith find count generate forward to apply map assign insert remove pop get "
    "setdefault union intersection difference compare digest feed put view reshape masked_fill astype fillna drop "
    "sort_values search match findall sub finditer fullmatch loads load parse validate items keys values rstrip "
    "strip lower upper head tail mean sum std max min argmax topk softmax log_softmax chat "
    "batch_decode tokenize".split()
)
"""Methods of unknown objects that compute with what they are given, or use it as a model uses its weights."""

_OF_FILES: Final = frozenset(("load", "remove", "parse", "validate"))
"""Those among them that may take a file by its name."""


_STORING: Final = frozenset(
    "put put_nowait append appendleft add insert extend update push set setdefault feed write writelines send store "
    "execute executemany load_state_dict".split()
)
"""Methods after which an object holds what it was given."""


_OF_FUNCTIONS: Final = frozenset(("cache_clear", "cache_info", "cache_parameters", "setter", "getter", "deleter"))

_LOOKING: Final = frozenset("__getitem__ __contains__ __iter__ __len__ __eq__ index count most_common total".split())


def _is_of_library(value: Bound) -> bool:
    """An attribute that only a base class of a library can have given to an object."""
    while isinstance(value.owner, Bound):
        value = value.owner
    owner = value.owner
    return isinstance(owner, Instance) and owner.klass.framed and owner.klass.find(value.name) is None


def _is_function(value: Value) -> bool:
    """A function, or a method of something of the code: not an attribute of an object of a library."""
    inner = value
    while isinstance(inner, Bound):
        inner = inner.owner
    return isinstance(value, Function | Partial | Native | Bound) and not isinstance(inner, Thing | Unknown)


class Calling(LibraryCalls):
    """Calls functions, methods and classes."""

    # -- calls

    def call_value(self, function: Value, args: Args) -> Value:
        """`function(*args)`."""
        if isinstance(function, Either):
            return self._call_either(function, args)
        if isinstance(function, Ref):
            return self.call_ref(function.name, args)
        if isinstance(function, Function):
            return self.call_function(function, args)
        if isinstance(function, Klass):
            return self.instantiate(function, args)
        if isinstance(function, Bound):
            return self.call_method(function.owner, function.name, args)
        if isinstance(function, Partial):
            both = Args([*function.args.pos, *args.pos], {**function.args.named, **args.named}, args.vague)
            return self.call_value(function.function, both)
        if isinstance(function, Native):
            return function.run(args)
        if isinstance(function, Instance):
            return self.call_method(function, "__call__", args)
        return self._call_unknown(function, args)

    def _call_either(self, function: Either, args: Args) -> Value:
        found: Value | None = None
        before = self.snapshot()
        end = before
        for option in function.options:
            self.restore(before)
            with self.undecided():
                found = join(found, self.call_value(option, args))
            end = self.both(end, self.snapshot())
        self.restore(end)
        return found if found is not None else Unknown()

    def _call_unknown(self, function: Value, args: Args) -> Value:
        self._read_to_the_end(args)
        if isinstance(function, Unknown) and function.hidden:
            for value in args.all():
                self.escape(value)
            return self.opaque("a function that is not known is called", "dynamic", *args.all())
        if isinstance(function, Thing) and function.kind.startswith("?"):
            return self.program(function.kind[1:], args)
        if isinstance(function, Thing):
            for value in args.all():
                self.account(value)
                self.escape(value)
            return Unknown(function.sources)
        for value in args.all():
            self.mention(value)
            self.escape(value)
        return Unknown(function.sources)

    def call_method(self, owner: Value, name: str, args: Args) -> Value:
        """`owner.name(*args)`."""
        if isinstance(owner, Either):
            return self._method_of_either(owner, name, args)
        if isinstance(owner, Ref):
            return self.call_value(self.attribute(owner, name), args)
        if isinstance(owner, Instance):
            return self._instance_method(owner, name, args)
        if isinstance(owner, Klass):
            return self.call_value(self.attribute(owner, name), args)
        if isinstance(owner, Bound) and _is_of_library(owner):
            return self._method_of_library(owner, name, args)
        if _is_function(owner) and name not in _OF_FUNCTIONS:
            return self._method_of_function(owner, name, args)
        if isinstance(owner, Thing) and owner.kind == "<super>":
            return self.call_value(self.attribute(owner, name), args)
        if isinstance(owner, Unknown) and owner.hidden:
            return self._call_unknown(owner, args)
        if self.hides(name):
            return self.opaque(f"`{name[:40]}` leads to the inside of Python", "inline", *args.all())
        if isinstance(owner, Thing) and name in owner.facts:
            return self.call_value(owner.facts[name], args)
        return self._builtin_method(owner, name, args)

    def _method_of_library(self, owner: Bound, name: str, args: Args) -> Value:
        """A method of something that a class of a library keeps, such as `self.client.get(path)` in a test."""
        for value in args.all():
            self.mention_names(value)
        return self._builtin_method(owner, name, args)

    def _method_of_function(self, owner: Value, name: str, args: Args) -> Value:
        if name == "__call__":
            return self.call_value(owner, args)
        if name == "__get__":
            return Partial(owner, Args(args.pos[:1]))
        self.escape(owner)
        return self.opaque(f"`{name[:40]}` of a function is not followed", "inline", *args.all())

    def _method_of_either(self, owner: Either, name: str, args: Args) -> Value:
        found: Value | None = None
        with self.undecided():
            for option in owner.options:
                if not (isinstance(option, Const) and option.value is None):
                    found = join(found, self.call_method(option, name, args))
        return found if found is not None else NONE

    def _instance_method(self, owner: Instance, name: str, args: Args) -> Value:
        if owner.klass.find("__getattribute__") is not None and not name.startswith("__"):
            found = self.attribute(owner, name)
            if not isinstance(found, Bound) or found.owner is not owner:
                return self.call_value(found, args)
        own = owner.names.get(name)
        if own is not None:
            return self.call_value(own, args)
        method = owner.klass.find(name)
        if isinstance(method, Function):
            return self.call_function(method.bound(owner), args)
        if method is not None:
            return self.call_value(self.attribute(owner, name), args)
        if ANY_NAME in owner.names or (owner.klass.find("__getattr__") is not None and not name.startswith("__")):
            found = self.attribute(owner, name)
            if not isinstance(found, Bound):
                return self.call_value(found, args)
        if owner.klass.framed or BASE in owner.names:
            return self._framed_method(owner, name, args)
        for value in args.all():
            self.escape(value)
        # Of a class of the library that calls nothing by itself, such as `_replace` of a named tuple.
        return Unknown(carried(Seq([owner, *args.all()])), hidden=True)

    def _framed_method(self, owner: Instance, name: str, args: Args) -> Value:
        """A method that a class of a library gives to an object of a class of the code."""
        base = owner.names.get(BASE)
        if base is not None:
            return self.call_method(base, name, args)
        found = self._by_name(owner, name, args, Unknown(carried(owner)))
        return found if found is not None else Unknown(carried(owner))

    def _by_name(self, owner: Value, name: str, args: Args, this: Value) -> Value | None:
        """A method of which only the name is known; None if nothing knows it, and what it is given got away."""
        handler = HANDLERS.get(f"any.{name}")
        if handler is not None:
            return run_handler(handler, self, Args([this, *args.pos], args.named, args.vague))
        entry = table().entries.get(f"any.{name}")
        if entry is not None:
            return apply(self, entry, args, owner)
        for value in args.all():
            self.mention(value)
            self.escape(value)
        return None

    def _builtin_method(self, owner: Value, name: str, args: Args) -> Value:
        found = method_of(self, owner, name, args)
        if found is not None:
            return found
        store = store_of(owner)
        if store is not None:
            return store_method(cast("Machine", self), store, name, args)
        tables = table()
        base = base_of(owner)
        if isinstance(base, Thing) and base.kind == "model":
            owner = base  # a part of a model is one
        if isinstance(owner, Thing):
            handler = HANDLERS.get(f"{owner.kind}.{name}")
            if handler is not None:
                return run_handler(handler, self, Args([owner, *args.pos], args.named, args.vague))
            if table().kind(owner.kind) == "remote" and f"{owner.kind}.{name}" not in tables.entries:
                return self._remote_method(owner, name, args)
            entry = tables.entries.get(f"{owner.kind}.{name}")
            if entry is not None:
                return apply(self, entry, args, owner)
        if isinstance(owner, Text | Const | Seq | Dict):
            return self._other_method(owner, name, args)
        handler = HANDLERS.get(f"any.{name}")
        if handler is not None:
            return run_handler(handler, self, Args([owner, *args.pos], args.named, args.vague))
        entry = tables.entries.get(f"any.{name}")
        if entry is not None:
            return self.apply_any(entry, args, owner)
        return self._other_method(owner, name, args)

    def _remote_method(self, owner: Thing, name: str, args: Args) -> Value:
        """A method of a library that reaches elsewhere, of which no table knows: it may send what it is given."""
        by_verb(self, name, args)
        found = self._by_name(owner, name, args, owner)
        return found if found is not None else Thing(owner.kind, dict(owner.facts))

    def _other_method(self, owner: Value, name: str, args: Args) -> Value:
        """A method of which no table knows."""
        if isinstance(owner, Thing) and "<text>" in owner.facts:
            owner.facts["<text>"] = Unknown()
        if isinstance(owner, Seq | Dict):
            return self._method_of_container(owner, name, args)
        if name in _STORING:
            self.keep_content(owner, carried(Seq(list(args.all()))))
        sources = owner.sources
        returned, self.returned = self.returned, ()
        for value in args.all():
            sources = (*sources, *(s for s in carried(value) if s not in sources))
            if isinstance(owner, Text | Const):
                self.account(value)
            self.escape(value)
        sources = merge(sources, self.returned)
        self.returned = merge(returned, self.returned)
        base = base_of(owner)
        if isinstance(base, Thing) and base.kind.startswith("?"):
            by_verb(self, name, args)
            self.program(base.kind[1:], args)
            return base
        if name in ("hexdigest", "digest"):
            return Unknown()
        if not isinstance(owner, Text | Const):
            onto = isinstance(base, Thing) and "to" in base.facts and name in ("write", "writelines")
            if not onto and write_by_name(cast("Machine", self), name, owner, args):
                return Unknown(sources)
            self._name_files(name, args)
            self._hand_over(owner, name, args)
        if isinstance(owner, Thing) and owner.kind == "model":
            return Unknown()
        return part_of(owner, self.without(name, Unknown(sources)))

    def _name_files(self, name: str, args: Args) -> None:
        for value in args.all() if name in _OF_FILES else ():
            self.mention_names(value)

    def _method_of_container(self, owner: Seq | Dict, name: str, args: Args) -> Value:
        if name not in _LOOKING:
            self.disturb(owner, tuple(args.all()))
        sources = carried(owner)
        for value in args.all():
            self.account(value)
            self.escape(value)
        return Unknown(sources, hidden=can_act(owner))

    def _hand_over(self, owner: Value, name: str, args: Args) -> None:
        """Content is given to a method of something that is not known."""
        if name in ("write", "writelines"):
            self.sink(owner, tuple(s for value in args.all() for s in carried(value)), None)
        elif name not in _COMPUTING and not (isinstance(owner, Thing) and owner.kind in ("model", "weights")):
            for value in args.all():
                self.mention_names(value)
                for source in carried(value):
                    self.call.emit("mention", source, flow=("argument",), precision="opaque", may=True)
