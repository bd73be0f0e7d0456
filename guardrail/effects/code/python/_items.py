"""Containers and iterators: what an item is, what storing one changes, and what going through them gives.

Not concerned with syntax (`_expressions`), nor with what containers do under the names of their methods (`_methods`).
"""

from __future__ import annotations

import abc
import ast
from collections.abc import Callable, Sequence
from typing import Any, Final

from guardrail.effects.code.python._carried import can_act, carried, is_model, part_of, store_of
from guardrail.effects.code.python._concrete import concrete, is_key
from guardrail.effects.code.python._core import Core
from guardrail.effects.code.python._defined import Function, Instance, Klass, Scope
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._texts import any_of, one_of, subscript
from guardrail.effects.code.python._values import (
    BASE,
    MAX_ITEMS,
    Args,
    Bound,
    Const,
    Dict,
    Either,
    Handle,
    Later,
    Native,
    Partial,
    Ref,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
)
from guardrail.effects.code.python._walk import MAX_KEPT, TooMuch
from guardrail.effects.domain._values import TOP, merge

MAX_ROUNDS: Final = 128
"""Most rounds of a loop over known items that are walked one by one."""


def grown(value: Seq, count: int) -> bool:
    """A list was changed while it was gone through.

    Args:
        value: the list.
        count: how many items it had when going through it began.
    """
    return value.later is None and (len(value.items) != count or value.rest is not None or value.scrambled)


class Items(Core):
    """Takes items out of values and puts them in."""

    # -- one item

    def store_item(self, target: Value, key: Value, value: Value) -> None:
        """`target[key] = value`.

        Args:
            target: a dictionary or a list; of anything else nothing changes here.
            key: the key, the index or a slice.
            value: what is stored.
        """
        self.mutated()
        if isinstance(target, Dict) and key.sources:
            target.sources = merge(target.sources, key.sources)
        if isinstance(target, Dict):
            plain = concrete(key)
            if plain is None or not is_key(plain.value):
                target.rest = join(target.rest, value) if target.rest is not None else value
            elif self.branch > target.born:
                old = target.items.get(plain.value)
                # The key may be missing: what is then found is not known.
                target.items[plain.value] = join(old, value)
                if old is None:
                    target.rest = join(target.rest, Unknown()) if target.rest is not None else Unknown()
            else:
                self._store(target, plain.value, value)
        elif isinstance(target, Seq):
            self._store_at(target, key, value)

    @staticmethod
    def _store(target: Dict, key: Any, value: Value) -> None:
        try:
            if len(target.items) < MAX_ITEMS or key in target.items:
                target.items[key] = value
            else:
                target.rest = join(target.rest, value)
        except TypeError:
            target.rest = join(target.rest, value)

    def _store_at(self, target: Seq, key: Value, value: Value) -> None:
        plain = concrete(key)
        if plain is not None and type(plain.value) is slice:
            items, rest = self.items_of(value)
            target.scrambled = True
            target.rest = any_of([v for v in (target.rest, *items, rest) if v is not None])
            return
        if plain is not None and isinstance(plain.value, int) and target.known:
            try:
                old = target.items[plain.value]
                target.items[plain.value] = value if self.branch <= target.born else join(old, value)
                return
            except IndexError:
                return
        target.scrambled = True
        if plain is None and not isinstance(key, Text):
            items, rest = self.items_of(value)  # the key may be a slice
            value = any_of([value, *items, *([rest] if rest is not None else [])])
        target.rest = join(target.rest, value) if target.rest is not None else value

    def item(self, owner: Value, key: Value) -> Value:
        """`owner[key]`.

        Args:
            owner: any value.
            key: the key, the index or a slice.

        Returns:
            Whatever may be there.
        """
        if isinstance(owner, Either):
            return any_of([self.item(option, key) for option in owner.options])
        if isinstance(owner, Ref):
            return self.ref_item(owner, key)
        if isinstance(owner, Dict | Unknown | Thing):
            self.doubt(key)  # a key that is missing is named
        if isinstance(owner, Unknown) and owner.hidden:
            self.mention(key)  # such as the arguments of a command: `local["rm"]["-rf", path]`
            return owner
        if isinstance(owner, Unknown):
            self.account(key)
            return part_of(owner, owner.sources)
        store = store_of(owner)
        if store is not None:
            return store
        if isinstance(owner, Thing):
            return self._item_of_thing(owner, key)
        if isinstance(owner, Instance):
            return self._item_of_object(owner, key)
        if isinstance(owner, Klass):
            return self._parametrised(owner, key)
        if isinstance(owner, Function | Bound | Partial | Native):
            self.mention(key)
            return owner if is_model(owner) else Unknown(carried(owner), hidden=True)
        return subscript(owner, key, self.branch)

    def _item_of_thing(self, owner: Thing, key: Value) -> Value:
        if owner.kind == "<names>":
            exact = key.exact if isinstance(key, Text) else None
            self.account(key)
            return self.lookup(exact) if exact is not None else Unknown(hidden=True)
        if owner.kind.startswith("?"):
            self.mention_names(key)
            return owner
        if "<text>" in owner.facts:
            owner.facts["<text>"] = Unknown()  # a setting may be changed through what is given
        return part_of(owner, merge(owner.sources, owner.held if owner.kind != "model" else ()))

    def _item_of_object(self, owner: Instance, key: Value) -> Value:
        method = owner.klass.find("__getitem__")
        if method is not None:
            return self.call_value(Bound(owner, "__getitem__"), Args([key]))
        if BASE in owner.names:
            return self.item(owner.names[BASE], key)
        return Unknown(carried(owner), hidden=any(can_act(value) for value in owner.names.values()))

    def _parametrised(self, owner: Klass, key: Value) -> Value:
        """`Class[key]`."""
        method = owner.find("__class_getitem__")
        if method is None:
            return owner
        return self.call_value(method, Args([owner, key] if isinstance(method, Function) else [key]))

    @abc.abstractmethod
    def ref_item(self, owner: Ref, key: Value) -> Value:
        """`os.environ["X"]`, `sys.argv[1]`, `list[int]`.

        Args:
            owner: something of a library, by its name.
            key: the key.
        """

    @abc.abstractmethod
    def lookup(self, name: str) -> Value:
        """What a name stands for here."""

    # -- all of them

    def items_of(self, value: Value) -> tuple[list[Value], Value | None]:
        """The items that iterating over a value gives, and what any further ones may be.

        Args:
            value: any value; an iterator is asked, and may be used up.

        Returns:
            The items that are known, in order; and what any others are, None if there are none.
        """
        if isinstance(value, Seq):
            if value.later is not None:
                self._ask(value, value.later)
            mixed = value.scrambled or (value.kind == "set" and len(value.items) > 1)  # a set has no order
            if mixed:
                return [], one_of(value.items, value.rest)
            return value.items[:], value.rest
        if isinstance(value, Dict):
            own = value.sources
            keys: list[Value] = [Text((key,), own) if isinstance(key, str) else Const(key, own) for key in value.items]
            return keys, Unknown(own) if value.rest is not None else None
        if isinstance(value, Text):
            exact = value.exact
            if exact is not None and not value.path and len(exact) <= MAX_ITEMS:
                return [Text((char,), value.sources) for char in exact], None
            return [], Text((TOP,), value.sources)
        if isinstance(value, Const) and isinstance(value.value, bytes) and len(value.value) <= MAX_ITEMS:
            return [Const(byte, value.sources) for byte in value.value], None
        if isinstance(value, Handle):
            value.used = True  # what is read after that is not the whole
            return [], Text((TOP,), self.contents_of(value)) if not value.binary else Unknown(self.contents_of(value))
        if isinstance(value, Either):
            return [], any_of([any_of([*i, *([r] if r else [])]) for i, r in map(self.items_of, value.options)])
        return [], self._unknown_items(value)

    def _ask(self, value: Seq, later: Later) -> None:
        """An iterator is asked for what it has: worked out again if that may have changed, and only once for sure."""
        if self.changed(later):
            items, rest = self.items_of(self.again(later))
            if not all(a is b for a, b in zip(items, value.items, strict=False)) or len(items) != len(value.items):
                value.rest = any_of([v for v in (value.rest, *items, rest) if v is not None])
                value.scrambled = True
        if later.spent:
            value.scrambled = True
            value.rest = value.rest if value.rest is not None else any_of(value.items)
        later.spent = later.once

    def lazily(
        self,
        make: Callable[[], Value],
        nodes: Sequence[tuple[ast.AST, Scope]] = (),
        values: Sequence[Value] = (),
        *,
        once: bool = True,
    ) -> Value:
        """An iterator: what it gives is worked out now, and again when it is asked for if something changed by then.

        Args:
            make: works out what it gives.
            nodes: the code that runs when it is asked, each with its scope.
            values: what it goes through.
            once: it can be gone through only once.

        Returns:
            A list of what it gives, which knows that it is an iterator.
        """
        with self.tentative():
            made = make()
        if not isinstance(made, Seq) or made.later is not None:
            return made
        later = Later(make, len(self.history), nodes, values, once=once)
        out = Seq(made.items[:], made.kind, made.rest, self.branch)
        out.scrambled, out.sources, out.later = made.scrambled, made.sources, later
        if once:
            self.keep(later)
        return out

    def settled(self, value: Value) -> Value:
        """An iterator as the list of what it gives; anything else as it is."""
        if not isinstance(value, Seq) or value.later is None:
            return value
        items, rest = self.items_of(value)
        made = Seq(items, "list", rest, self.branch)
        made.sources = value.sources
        return made

    def keep(self, later: Later) -> None:
        """Whatever runs later is looked at once more at the end of the code.

        Args:
            later: what runs later.

        Raises:
            TooMuch: past `MAX_KEPT` of them.
        """
        for other in self.later:
            if later.nodes and other.nodes == later.nodes and not later.values and not other.values:
                # The same code in the same scope, such as in each round of a loop.
                other.run, other.spent = later.run, False
                return
        if len(self.later) >= MAX_KEPT:
            raise TooMuch("too many things that run later")
        self.later.append(later)

    def _unknown_items(self, value: Value) -> Value:
        if isinstance(value, Instance):
            return self._items_of_object(value)
        if isinstance(value, Ref):
            return self.ref_items(value)
        if store_of(value) is not None:
            return store_of(value) or value
        if isinstance(value, Bound) and is_model(value):
            return value
        if isinstance(value, Thing):
            inner = value.facts.get("items")
            return inner if inner is not None else Unknown(merge(value.sources, value.held))
        return Unknown(carried(value), hidden=can_act(value))

    def _items_of_object(self, value: Instance) -> Value:
        """What iterating over an object of a class of the code gives."""
        given: list[Value] = []
        with self.undecided():
            if value.klass.find("__iter__") is not None:
                found = self.call_value(Bound(value, "__iter__"), Args())
                if not isinstance(found, Instance):
                    items, rest = self.items_of(found)
                    return one_of(items, rest)
                value = found
            steps = [name for name in ("__next__", "__anext__") if value.klass.find(name) is not None]
            given += [self.every_call(Bound(value, name), Args()) for name in steps]
            if value.klass.find("__getitem__") is not None and not given:
                given.append(self.every_call(Bound(value, "__getitem__"), Args([Unknown(numeric=True)])))
        if given:
            return any_of(given)
        base = value.names.get(BASE)
        if base is not None:
            items, rest = self.items_of(base)
            return one_of(items, rest)
        return Unknown(carried(value), hidden=any(can_act(item) for item in value.names.values()))

    @abc.abstractmethod
    def every_call(self, function: Value, args: Args) -> Value:
        """What a function gives that is called again and again.

        Args:
            function: what is called.
            args: what it is given each time.
        """

    @abc.abstractmethod
    def ref_items(self, value: Ref) -> Value:
        """Iterating over `sys.argv`, `os.environ`, `sys.stdin`."""
