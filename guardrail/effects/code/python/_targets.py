"""What is given a value, or loses it: names, items and attributes, and what holds them.

Not concerned with which statement does it (`_statements`), nor with what is stored in a container (`_items`).
"""

from __future__ import annotations

import abc
import ast
from collections.abc import Sequence
from typing import Final

from guardrail.effects.code.python._carried import base_of, can_act, carried, hold, store_of
from guardrail.effects.code.python._defined import Function, Instance, Klass, Property
from guardrail.effects.code.python._definitions import Definitions
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._table import table
from guardrail.effects.code.python._texts import any_of, one_of
from guardrail.effects.code.python._values import (
    BASE,
    NONE,
    Args,
    Bound,
    Dict,
    Ref,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    options,
)
from guardrail.model import Resource

_NAMING: Final = frozenset(("__wrapped__", "__signature__", "__slots__", "__test__"))


def _lose_text(owner: Thing) -> None:
    """What a thing would be as text is not known any more."""
    if "<text>" in owner.facts:
        owner.facts["<text>"] = Unknown()


class Targets(Definitions):
    """Gives a value to whatever may stand left of `=`, and takes it away again."""

    # -- given

    def disturb(self, value: Value, given: Sequence[Value] = ()) -> None:
        """A container is changed by something that is not known in detail: it may hold what was given as well.

        Args:
            value: the container, or what may be one.
            given: what may be in it from now on.
        """
        self.mutated()
        for option in options(value):
            if not isinstance(option, Seq | Dict):
                continue
            more: list[Value] = []
            for one in given:
                if one is option:
                    continue
                items, rest = self.items_of(one) if isinstance(one, Seq | Dict) else ([], None)
                more += [one, *items, *([rest] if rest is not None else [])]
            if isinstance(option, Seq):
                option.scrambled = True
                found = [*option.items, *([option.rest] if option.rest is not None else []), *more]
                option.rest = any_of(found) if found else Unknown()
            else:
                kept = option.rest if option.rest is not None else Unknown()
                option.rest = any_of([kept, *more])
                for key, item in option.items.items():
                    option.items[key] = any_of([item, *more])

    def assign(self, target: ast.expr, value: Value) -> None:
        """`target = value` for every kind of target.

        Args:
            target: a name, an item, an attribute, or several of them.
            value: what it is given.
        """
        if isinstance(target, ast.Name):
            self.assign_name(target.id, value)
        elif isinstance(target, ast.Tuple | ast.List):
            self._unpack(target.elts, value)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value)
        elif isinstance(target, ast.Subscript):
            owner, key = self.eval(target.value), self.eval(target.slice)
            for option in options(owner):
                self.store(option, key, value)
        elif isinstance(target, ast.Attribute):
            for option in options(self.eval(target.value)):
                self.set_attribute(option, target.attr, value)

    def store(self, owner: Value, key: Value, value: Value) -> None:
        """`owner[key] = value`, also into what is no dictionary.

        Args:
            owner: any value.
            key: the key, the index or a slice.
            value: what is stored.
        """
        self.mutated()
        owner = store_of(owner) or owner
        if isinstance(owner, Dict | Seq):
            self.store_item(owner, key, value)
        elif isinstance(owner, Ref):
            self.store_ref(owner, key, value)
        elif isinstance(owner, Unknown) and owner.hidden:
            self.opaque("a change of something that is not known", "inline", value)
        elif isinstance(owner, Instance) and BASE in owner.names and owner.klass.find("__setitem__") is None:
            self.store(owner.names[BASE], key, value)
        elif isinstance(owner, Instance):
            self.call_value(Bound(owner, "__setitem__"), Args([key, value]))
        elif isinstance(owner, Thing) and owner.kind == "<names>":
            self._set_global(key, value)
        elif isinstance(owner, Thing):
            _lose_text(owner)
            self.tell(owner, value)
            owner.held = tuple(dict.fromkeys((*owner.held, *carried(value))))
            if "to" in owner.facts:
                self.sink(owner, carried(value), None)
            if can_act(value):
                self.escape(value)
        elif isinstance(owner, Unknown):
            self.mention_names(value)
            owner.hidden = owner.hidden or can_act(value)
            hold(owner, carried(value))
        elif isinstance(owner, Bound):
            self._store_part(owner, value)

    def _store_part(self, owner: Bound, value: Value) -> None:
        """A part of something of a library gets a value: the whole holds it."""
        self.mention_names(value)
        self.keep_content(owner, carried(value))

    def keep_content(self, owner: Value, sources: tuple[Resource, ...]) -> None:
        """An object has some content from now on: one that reaches elsewhere may send it by itself.

        Args:
            owner: the object.
            sources: whose content it has.
        """
        hold(owner, sources)
        base = base_of(owner)
        if isinstance(base, Thing) and table().kind(base.kind) == "remote" and not self.trusted:
            self.mention(Unknown(sources))

    def _set_global(self, key: Value, value: Value) -> None:
        """`globals()["name"] = value`."""
        exact = key.exact if isinstance(key, Text) else None
        self.account(key)
        if exact is None or self.scope.local:
            self.opaque("a name that is not known is set", "dynamic", value)
        if exact is not None:
            self.set_name(self.scope.globals, exact, value)

    @abc.abstractmethod
    def store_ref(self, owner: Ref, key: Value, value: Value) -> None:
        """`os.environ[key] = value`."""

    def set_attribute(self, owner: Value, name: str, value: Value) -> None:
        """`owner.name = value`.

        Args:
            owner: any value.
            name: the attribute.
            value: what it is given.
        """
        self.mutated()
        owner = store_of(owner) or owner
        if self.hides(name) and isinstance(owner, Function | Klass | Instance) and name not in _NAMING:
            self.opaque("a change of something that is not known", "inline", value)
        if isinstance(owner, Instance):
            if self._hooked(owner, name, value):
                return
            old = owner.names.get(name)
            certain = self.branch <= owner.born or old is None
            owner.names[name] = value if certain else join(old, value)
        elif isinstance(owner, Klass):
            owner.names[name] = join(owner.names.get(name), value)
        elif isinstance(owner, Ref):
            self.patch_ref(owner, name, value)
        elif isinstance(owner, Unknown | Function) and not can_act(value):
            self.mention_names(value)
            hold(owner, carried(value))
        elif isinstance(owner, Bound) and not can_act(value):
            self._store_part(owner, value)
        elif isinstance(owner, Thing):
            _lose_text(owner)
            self.tell(owner, value)
            if owner.kind in ("<map>", "archive"):
                self.sink(owner, carried(value), None)
            owner.facts[name] = join(owner.facts.get(name), value)
        elif (isinstance(owner, Unknown) and owner.hidden) or (name.startswith("__") and can_act(value)):
            self.opaque("a change of something that is not known", "inline", value)
        elif can_act(value):
            self.escape(value)
        else:
            self.mention_names(value)

    def tell(self, owner: Thing, value: Value) -> None:
        """Something of a library that is not known gets a value: what it does with it is not known.

        Args:
            owner: the thing.
            value: what it is given.
        """
        if owner.kind.startswith("?"):
            self.mention(value)
            self.escape(value)

    def _hooked(self, owner: Instance, name: str, value: Value) -> bool:
        """Setting the attribute calls a function of the class."""
        found = owner.klass.find(name)
        if isinstance(found, Property):
            if found.setter is not None:
                self.call_value(found.setter, Args([owner, value]))
            return True
        if isinstance(found, Instance) and found.klass.find("__set__") is not None:
            self.call_value(Bound(found, "__set__"), Args([owner, value]))
            return True
        setter = owner.klass.find("__setattr__")
        if isinstance(setter, Function) and not any(frame.body is setter.body for frame in self.inlined):
            self.call_value(Bound(owner, "__setattr__"), Args([Text((name,)), value]))
        return False

    @abc.abstractmethod
    def patch_ref(self, owner: Ref, name: str, value: Value) -> None:
        """An attribute of a module is changed.

        Args:
            owner: the module, or something in it.
            name: the attribute.
            value: what it is given.
        """

    def _unpack(self, targets: Sequence[ast.expr], value: Value) -> None:
        items, rest = self.items_of(value)
        star = next((i for i, target in enumerate(targets) if isinstance(target, ast.Starred)), None)
        if rest is not None or (star is None and len(items) != len(targets)):
            each = one_of(items, rest)
            for target in targets:
                inner = Seq([], "list", each, self.branch) if isinstance(target, ast.Starred) else each
                self.assign(target, inner)
            return
        if star is None:
            for target, item in zip(targets, items, strict=True):
                self.assign(target, item)
            return
        after = len(targets) - star - 1
        for target, item in zip(targets[:star], items[:star], strict=False):
            self.assign(target, item)
        self.assign(targets[star], Seq(items[star : len(items) - after], "list", born=self.branch))
        if after:
            for target, item in zip(targets[-after:], items[-after:], strict=False):
                self.assign(target, item)

    # -- taken away

    def delete(self, target: ast.expr) -> None:
        """`del target` for every kind of target."""
        if isinstance(target, ast.Name):
            scope = self.scope.shared.get(target.id, self.scope)
            scope.names.pop(target.id, None)
            behind = self.unbound(scope, target.id)
            if behind is not None:
                self.history.append((scope, target.id, behind))
        elif isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                self.delete(part)
        elif isinstance(target, ast.Subscript):
            self._delete_item(self.eval(target.value), self.eval(target.slice))
        elif isinstance(target, ast.Attribute):
            for option in options(self.eval(target.value)):
                self.delete_attribute(option, target.attr)

    def delete_attribute(self, owner: Value, name: str) -> None:
        """`del owner.name`."""
        self.mutated()
        if isinstance(owner, Ref):
            self.patch_ref(owner, name, NONE)
        elif isinstance(owner, Instance):
            found = owner.klass.find(name)
            if isinstance(found, Property):
                if found.remover is not None:
                    self.call_value(found.remover, Args([owner]))
            elif isinstance(found, Instance) and found.klass.find("__delete__") is not None:
                self.call_value(Bound(found, "__delete__"), Args([owner]))
            elif name in owner.names and found is not None:
                owner.names[name] = join(owner.names[name], found)  # the class may have one of that name
        elif isinstance(owner, Klass):
            behind = owner.find(name, owner)
            if name in owner.names and behind is not None:
                owner.names[name] = join(owner.names[name], behind)

    def _delete_item(self, owner: Value, key: Value) -> None:
        self.mutated()
        for part in options(owner):
            option = store_of(part) or part
            if isinstance(option, Instance):
                self.call_value(Bound(option, "__delitem__"), Args([key]))
            elif isinstance(option, Unknown) and option.hidden:
                self.opaque("a change of something that is not known", "inline", key)
            elif isinstance(option, Dict):
                self.doubt(key)
                self.call_method(option, "pop", Args([key, NONE]))
            elif isinstance(option, Seq):
                self.disturb(option)
            elif isinstance(option, Ref):
                self.store_ref(option, key, NONE)
            elif isinstance(option, Thing) and "<text>" in option.facts:
                _lose_text(option)
            elif isinstance(option, Thing) and option.facts.get("to") is not None:
                self.put("write", self.places(option.facts["to"]), ())
