"""Expressions of Python on abstract values."""

from __future__ import annotations

import abc
import ast
import builtins
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from guardrail.effects.code.python._concrete import concrete, is_key
from guardrail.effects.code.python._core import MAX_KEPT, Core, TooMuch
from guardrail.effects.code.python._table import table
from guardrail.effects.code.python._texts import any_of, binary, compared, joined_texts, shown, subscript, truth, unary
from guardrail.effects.code.python._values import (
    ANY_NAME,
    BASE,
    MAX_ITEMS,
    NONE,
    Args,
    Bound,
    Const,
    Dict,
    Either,
    Function,
    Handle,
    Instance,
    Klass,
    Later,
    Native,
    Partial,
    Ref,
    Scope,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    can_act,
    carried,
    is_model,
    join,
    options,
    part_of,
    store_of,
)
from guardrail.effects.domain._values import TOP, merge

MAX_ROUNDS: Final = 128
"""Most rounds of a loop over known items that are walked one by one."""

_BUILTINS: Final = frozenset(dir(builtins)) | {"reveal_type", "exit", "quit"}
_PLAIN_DUNDERS: Final = frozenset(
    "__name__ __doc__ __file__ __version__ __qualname__ __module__ __annotations__ __all__ __init__ __post_init__ "
    "__enter__ __exit__ __len__ __iter__ __next__ __call__ __str__ __repr__ __getitem__ __contains__ __eq__ __hash__ "
    "__future__ __main__ __path__".split()
)
METHODS_OF: Final[Mapping[type[ast.operator], str]] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv", ast.Mod: "mod",
    ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor", ast.LShift: "lshift", ast.RShift: "rshift",
    ast.Pow: "pow", ast.MatMult: "matmul",
}  # fmt: skip
_COMPARED: Final[Mapping[type[ast.cmpop], str]] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge",
}  # fmt: skip
_SIGNS: Final[Mapping[type[ast.unaryop], str]] = {
    ast.USub: "__neg__", ast.UAdd: "__pos__", ast.Invert: "__invert__",
}  # fmt: skip
_REFLECTED: Final = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}
_INSIDES: Final = frozenset("f_globals f_builtins f_locals f_back tb_frame gi_frame cr_frame ag_frame mro".split())
_SHAPE: Final = frozenset("shape dtype ndim nbytes itemsize status_code ok size length".split())


def grown(value: Seq, count: int) -> bool:
    """A list was changed while it was gone through."""
    return value.later is None and (len(value.items) != count or value.rest is not None or value.scrambled)


def gives(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> bool:
    """It is a generator."""
    queue: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
    while queue:
        part = queue.pop()
        if isinstance(part, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            queue.extend(ast.iter_child_nodes(part))
    return False


class Expressions(Core):
    """Evaluates expressions."""

    yields: list[list[Value]]
    passing: list[Scope]

    def eval(self, node: ast.expr) -> Value:
        """The value of any expression."""
        self.steps -= 1
        if self.steps < 0:
            raise TooMuch("too many steps")
        return _EVAL[type(node)](self, node)

    # -- names and constants

    def _constant(self, node: ast.Constant) -> Value:
        if isinstance(node.value, str):
            return Text((node.value,))
        return Const(node.value)

    def _name(self, node: ast.Name) -> Value:
        return self.lookup(node.id)

    def lookup(self, name: str) -> Value:
        """What a name stands for here."""
        scope: Scope | None = self.scope.shared.get(name, self.scope)
        while scope is not None:
            found = scope.names.get(name)
            if found is not None:
                return found
            scope = scope.outer
        found = self.scope.globals.names.get(name)
        return found if found is not None else self._not_defined(name)

    def _not_defined(self, name: str) -> Value:
        for module in reversed(self.stars):
            full = table().canonical(f"{module}.{name}")
            if full in table().entries or name not in _BUILTINS:
                return Ref(full)
        if name == "__name__":
            return Text(("__main__",))
        if name == "__file__":
            return Text((self.file if self.file is not None else TOP,))
        if name in ("__builtins__", "builtins"):
            return Ref("builtins")
        if name in ("__loader__", "__spec__"):
            return Unknown(hidden=True)
        if name in _BUILTINS:
            return Ref(f"builtins.{name}")
        return self.undefined(name)

    @abc.abstractmethod
    def undefined(self, name: str) -> Value:
        """A name that nothing has given a value so far."""

    def unbound(self, scope: Scope, name: str) -> Value | None:
        """What stands behind a name: one further out, of a module whose names were all taken, or a builtin."""
        if scope.local or name.startswith("<"):
            return None
        outer = scope.outer
        while outer is not None:
            found = outer.names.get(name)
            if found is not None:
                return found
            outer = outer.outer
        for module in reversed(self.stars):
            full = table().canonical(f"{module}.{name}")
            if full in table().entries or name not in _BUILTINS:
                return Ref(full)
        return Ref(f"builtins.{name}") if name in _BUILTINS else None

    def assign_name(self, name: str, value: Value) -> None:
        """Give a name a value in the scope that it belongs to."""
        self.set_name(self.scope.shared.get(name, self.scope), name, value)

    def _walrus(self, node: ast.NamedExpr) -> Value:
        value = self.eval(node.value)
        scope = self.scope
        while scope in self.passing and scope.outer is not None:
            scope = scope.outer  # a comprehension has names of its own, but not this one
        self.set_name(scope.shared.get(node.target.id, scope), node.target.id, value)
        return value

    # -- operators

    def _binary(self, node: ast.BinOp) -> Value:
        # A long chain of `+` is walked without recursion on its left side.
        chain: list[tuple[ast.operator, ast.expr]] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp):
            chain.append((left.op, left.right))
            left = left.left
        value = self.eval(left)
        for op, right in reversed(chain):
            value = self.binary(op, value, self.eval(right))
        return value

    def binary(self, op: ast.operator, left: Value, right: Value) -> Value:
        """`left op right`, with `/` on paths and operators of classes of the code."""
        if isinstance(op, ast.Div) and any(isinstance(o, Text) and o.path for o in (*options(left), *options(right))):
            return self.call_ref("pathlib.Path", Args([left, right]))
        if isinstance(left, Either) and len(left.options) <= 8:
            found: Value | None = None
            for option in left.options:
                found = join(found, self.binary(op, option, right))
            return found if found is not None else Unknown()
        text = isinstance(op, ast.Mod) and isinstance(left, Text)
        if (isinstance(left, Instance) or isinstance(right, Instance | Either)) and not text:
            found = self._overloaded(METHODS_OF.get(type(op), ""), left, right)
            if found is not None:
                return found
        if isinstance(op, ast.Mod) and isinstance(left, Text):
            right = self._spoken_fields(right)
        if isinstance(left, Thing | Bound) or isinstance(right, Thing | Bound):
            return Unknown(merge(left.sources, right.sources), hidden=can_act(left) or can_act(right))
        self.charge(left, right)
        made = binary(op, left, right, self.branch)
        self.charge(made)
        return made

    def _spoken_fields(self, value: Value) -> Value:
        if isinstance(value, Seq) and value.known and any(isinstance(item, Instance) for item in value.items):
            return Seq([self.spoken(item, "__str__", "__repr__") for item in value.items], value.kind)
        return self.spoken(value, "__str__", "__repr__") if isinstance(value, Instance) else value

    def _overloaded(self, name: str, left: Value, right: Value) -> Value | None:
        """An operator of a class of the code: its method, or that of the other side; None if neither has one."""
        if isinstance(right, Either) and any(isinstance(option, Instance) for option in right.options):
            with self.undecided():
                return any_of([self.operated(name, left, option) or Unknown() for option in right.options])
        return self.operated(name, left, right)

    def operated(self, name: str, left: Value, right: Value) -> Value | None:
        """`left.__name__(right)` or `right.__rname__(left)`, if an object of a class of the code has it."""
        if isinstance(left, Instance) and left.klass.find(f"__{name}__") is not None:
            return self.call_value(Bound(left, f"__{name}__"), Args([right]))
        other = _REFLECTED.get(name, f"r{name}")
        if isinstance(right, Instance) and right.klass.find(f"__{other}__") is not None:
            return self.call_value(Bound(right, f"__{other}__"), Args([left]))
        if isinstance(left, Instance) or isinstance(right, Instance):
            return Unknown(merge(carried(left), carried(right)), hidden=True)
        return None

    def _unary(self, node: ast.UnaryOp) -> Value:
        value = self.eval(node.operand)
        if any(isinstance(option, Instance) for option in options(value)):
            return self._unary_method(node.op, value)
        return unary(node.op, value)

    def _unary_method(self, op: ast.unaryop, value: Value) -> Value:
        """`-x` and its like of an object of a class of the code."""
        name = _SIGNS.get(type(op), "__bool__")
        found: list[Value] = []
        with self.undecided():
            for option in options(value):
                if isinstance(option, Instance) and option.klass.find(name) is not None:
                    found.append(self.call_value(Bound(option, name), Args()))
                elif not isinstance(option, Instance):
                    found.append(unary(op, option))
        return Unknown(carried(value)) if name == "__bool__" or not found else any_of(found)

    def _boolean(self, node: ast.BoolOp) -> Value:
        stop = isinstance(node.op, ast.Or)
        found: Value | None = None
        for index, part in enumerate(node.values):
            if found is None:
                value = self.eval(part)
            else:
                before = self.snapshot()
                with self.undecided():
                    value = self.eval(part)
                self.restore(self.both(before, self.snapshot()))
            known = truth(value)
            if known is stop:
                return join(found, value)
            if known is None or index == len(node.values) - 1:
                found = join(found, value)
        return found if found is not None else NONE

    def _compare(self, node: ast.Compare) -> Value:
        values = [self.eval(node.left), *(self.eval(part) for part in node.comparators)]
        foreign = Unknown | Thing if self.programs else ()
        # `is` asks none of them.
        asked = not all(isinstance(op, ast.Is | ast.IsNot) for op in node.ops)
        alien = [can_act(value) or any(isinstance(one, foreign) for one in options(value)) for value in values]
        for value, itself in zip(values, alien, strict=True):
            # An object of a library that is not known may do anything: `command > "file"` writes in some.
            self.mention_names(value) if asked and any(alien) and not itself else self.account(value)
        for value in values:
            if isinstance(value, Seq) and value.later is not None and value.later.once:
                self.items_of(value)  # to look for something in an iterator is to use it up
                value.scrambled = True
        known = compared(node.ops, values)
        if known is not None:
            return Const(known)
        found: Value | None = None
        for op, left, right in zip(node.ops, values, values[1:], strict=False):
            if any(isinstance(side, Instance | Either) for side in (left, right)):
                with self.undecided():
                    for one in options(left):
                        for other in options(right):
                            found = join(found, self._compared(op, one, other) or Unknown())
        return found if found is not None else Unknown()

    def _compared(self, op: ast.cmpop, left: Value, right: Value) -> Value | None:
        if isinstance(op, ast.In | ast.NotIn):
            if isinstance(right, Instance) and right.klass.find("__contains__") is not None:
                return self.call_value(Bound(right, "__contains__"), Args([left]))
            if isinstance(right, Instance):
                self.items_of(right)
            return None
        name = _COMPARED.get(type(op))
        return self.operated(name, left, right) if name is not None else None

    def _conditional(self, node: ast.IfExp) -> Value:
        known = truth(self.eval(node.test))
        if known is not None:
            return self.eval(node.body if known else node.orelse)
        before = self.snapshot()
        with self.undecided():
            first = self.eval(node.body)
        after = self.snapshot()
        self.restore(before)
        with self.undecided():
            second = self.eval(node.orelse)
        self.restore(self.both(after, self.snapshot()))
        return join(first, second)

    # -- text

    def spoken(self, value: Value, *names: str) -> Value:
        """What an object of a class of the code gives for `str`, `len` and their like; anything else as it is."""
        found: list[Value] = []
        for option in options(value):
            if not isinstance(option, Instance):
                found.append(option)
                continue
            name = next((name for name in names if isinstance(option.klass.find(name), Function)), None)
            if name is None:
                found.append(Text((TOP,), carried(option)))
            else:
                given = [Text((TOP,))] if name == "__format__" else []
                found.append(self.call_value(Bound(option, name), Args(given)))
        return any_of(found)

    def _fstring(self, node: ast.JoinedStr) -> Value:
        parts: list[Value] = []
        sources: tuple[Any, ...] = ()
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                value = self.spoken(self.eval(part.value), "__format__", "__str__", "__repr__")
                sources = merge(sources, value.sources if not isinstance(value, Seq | Dict) else carried(value))
                spec = self.eval(part.format_spec) if part.format_spec is not None else Text(("",))
                exact = spec.exact if isinstance(spec, Text) else None
                conversion = chr(part.conversion) if part.conversion > 0 else ""
                found = shown(value, conversion, exact) if exact is not None else (TOP,)
                parts.append(Text(found))
            else:
                parts.append(self.eval(part))
        self.charge(*parts)
        return joined_texts(parts, sources)

    # -- containers

    def _items(self, nodes: list[ast.expr]) -> tuple[list[Value], Value | None]:
        """Items of a display; those after a star that is not known are joined with it."""
        items: list[Value] = []
        rest: Value | None = None
        for node in nodes:
            if isinstance(node, ast.Starred):
                more, vague = self.items_of(self.eval(node.value))
                if rest is None:
                    items.extend(more)
                elif more:
                    rest = join(rest, any_of(more))
                rest = join(rest, vague) if vague is not None else rest
            elif rest is not None:
                rest = join(rest, self.eval(node))
            else:
                items.append(self.eval(node))
        if len(items) > MAX_ITEMS:
            return [], join(rest, any_of(items))
        return items, rest

    def _sequence(self, node: ast.List | ast.Tuple | ast.Set) -> Value:
        items, rest = self._items(node.elts)
        kind = "list" if isinstance(node, ast.List) else "tuple" if isinstance(node, ast.Tuple) else "set"
        return Seq(items, kind, rest, self.branch)

    def _dictionary(self, node: ast.Dict) -> Value:
        out = Dict({}, None, self.branch)
        for key, item in zip(node.keys, node.values, strict=True):
            value = self.eval(item)
            if key is None:
                if isinstance(value, Dict):
                    out.items.update(value.items)
                    out.rest = join(out.rest, value.rest) if value.rest is not None else out.rest
                else:
                    out.rest = join(out.rest, Unknown(carried(value)))
                continue
            self.store_item(out, self.eval(key), value)
        return out

    def store_item(self, target: Value, key: Value, value: Value) -> None:
        """`target[key] = value`."""
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

    def _subscript(self, node: ast.Subscript) -> Value:
        owner = self.eval(node.value)
        key = self.eval(node.slice)
        return self.item(owner, key)

    def item(self, owner: Value, key: Value) -> Value:
        """`owner[key]`."""
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
        """`os.environ["X"]`, `sys.argv[1]`, `list[int]`."""

    def _slice(self, node: ast.Slice) -> Value:
        parts = [self.eval(part) if part is not None else NONE for part in (node.lower, node.upper, node.step)]
        plain = [concrete(part) for part in parts]
        if all(part is not None for part in plain):
            return Const(slice(*(part.value for part in plain if part is not None)))
        return Unknown()

    def _starred(self, node: ast.Starred) -> Value:
        return self.eval(node.value)

    # -- iteration

    def items_of(self, value: Value) -> tuple[list[Value], Value | None]:
        """The items that iterating over a value gives, and what any further ones may be."""
        if isinstance(value, Seq):
            if value.later is not None:
                self._ask(value, value.later)
            mixed = value.scrambled or (value.kind == "set" and len(value.items) > 1)  # a set has no order
            if mixed:
                return [], any_of([*value.items, *([value.rest] if value.rest is not None else [])])
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
        """An iterator: what it gives is worked out now, and again when it is asked for if something changed by then."""
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
        """Whatever runs later is looked at once more at the end of the code."""
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
                    return any_of([*items, *([rest] if rest is not None else [])])
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
            return any_of([*items, *([rest] if rest is not None else [])])
        return Unknown(carried(value), hidden=any(can_act(item) for item in value.names.values()))

    @abc.abstractmethod
    def every_call(self, function: Value, args: Args) -> Value:
        """What a function gives that is called again and again."""

    @abc.abstractmethod
    def ref_items(self, value: Ref) -> Value:
        """Iterating over `sys.argv`, `os.environ`, `sys.stdin`."""

    def _generator(self, node: ast.GeneratorExp) -> Value:
        scope = self.scope

        def make() -> Value:
            saved, self.scope = self.scope, scope
            try:
                return self._comprehension(node)
            finally:
                self.scope = saved

        return self.lazily(make, [(node, scope)])

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Value:
        out: list[tuple[Value | None, Value]] = []
        inner = Scope(self.scope, self.scope.globals)
        inner.shared = dict(self.scope.shared)
        inner.local = True
        outer = self.scope
        self.scope = inner
        self.scopes.append(inner)
        self.passing.append(inner)
        try:
            certain = self._generate(node, 0, out)
        finally:
            self.scope = outer
            self.scopes.pop()
            self.passing.pop()
        if isinstance(node, ast.DictComp):
            made = Dict({}, None, self.branch)
            for key, value in out:
                if certain and key is not None:
                    self.store_item(made, key, value)
                else:
                    made.rest = join(made.rest, value) if made.rest is not None else value
            return made
        kind = "set" if isinstance(node, ast.SetComp) else "list"
        values = [value for _, value in out]
        if certain and len(values) <= MAX_ITEMS:
            return Seq(values, kind, born=self.branch)
        return Seq([], kind, rest=any_of(values) if values else Unknown(), born=self.branch)

    def _generate(self, node: Any, index: int, out: list[tuple[Value | None, Value]]) -> bool:
        if index == len(node.generators):
            if isinstance(node, ast.DictComp):
                out.append((self.eval(node.key), self.eval(node.value)))
            else:
                out.append((None, self.eval(node.elt)))
            return True
        part: ast.comprehension = node.generators[index]
        source = self.eval(part.iter)
        items, rest = self.items_of(source)
        certain = rest is None and len(items) <= MAX_ROUNDS
        if not certain:
            items = [any_of([*items, *([rest] if rest is not None else [])])]
        for item in items:
            self.assign(part.target, item)
            known: bool | None = True
            for test in part.ifs:
                one = truth(self.eval(test))
                known = False if one is False else None if one is None and known is not False else known
            if known is False:
                continue
            if known is None or not certain:
                certain = False
                with self.undecided():
                    self._generate(node, index + 1, out)
            elif not self._generate(node, index + 1, out):
                certain = False
        if certain and isinstance(source, Seq) and grown(source, len(items)):
            certain = False
            self.assign(part.target, any_of([*source.items, *([source.rest] if source.rest is not None else [])]))
            with self.undecided():
                self._generate(node, index + 1, out)
        return certain

    @abc.abstractmethod
    def assign(self, target: ast.expr, value: Value) -> None:
        """`target = value`."""

    # -- functions and calls

    def _lambda(self, node: ast.Lambda) -> Value:
        made = Function("<lambda>", node.args, node.body, self.scope, self.defaults(node.args))
        made.waits = made.gives = gives(node)
        return made

    def defaults(self, parameters: ast.arguments) -> dict[str, Value]:
        """Values of parameters that need not be given."""
        found: dict[str, Value] = {}
        positional = [*parameters.posonlyargs, *parameters.args]
        for parameter, default in zip(reversed(positional), reversed(parameters.defaults), strict=False):
            found[parameter.arg] = self.eval(default)
        for parameter, keyword in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True):
            if keyword is not None:
                found[parameter.arg] = self.eval(keyword)
        return found

    def _call(self, node: ast.Call) -> Value:
        if isinstance(node.func, ast.Attribute):
            owner = self.eval(node.func.value)
            args = self._arguments(node)
            named = isinstance(owner, Ref | Klass) or (isinstance(owner, Instance) and ANY_NAME in owner.names)
            if named and node.func.attr != "__call__":
                return self.call_value(self.attribute(owner, node.func.attr), args)
            return self.call_method(owner, node.func.attr, args)
        function = self.eval(node.func)
        if isinstance(function, Ref) and function.name == "builtins.super" and not node.args:
            return self.lookup("<super>")
        return self.call_value(function, self._arguments(node))

    def _arguments(self, node: ast.Call) -> Args:
        items, rest = self._items(node.args)
        args = Args(items, {}, rest)
        for keyword in node.keywords:
            value = self.eval(keyword.value)
            if keyword.arg is not None:
                args.named[keyword.arg] = value
            elif isinstance(value, Dict) and all(isinstance(key, str) for key in value.items):
                args.named.update(value.items)
                args.vague = join(args.vague, value.rest) if value.rest is not None else args.vague
            else:
                args.vague = join(args.vague, Text((TOP,), carried(value)))
        return args

    def _attribute(self, node: ast.Attribute) -> Value:
        return self.attribute(self.eval(node.value), node.attr)

    def hides(self, name: str) -> bool:
        """An attribute that leads to the inside of Python."""
        return (name.startswith("__") and name.endswith("__") and name not in _PLAIN_DUNDERS) or name in _INSIDES

    @staticmethod
    def without(name: str, value: Value) -> tuple[Any, ...]:
        """Whose content an attribute of a value holds: not its shape."""
        return () if name in _SHAPE else value.sources

    def _await(self, node: ast.Await) -> Value:
        count = len(self.later)
        value = self.eval(node.value)
        if isinstance(node.value, ast.Call) and len(self.later) > count and self.later[-1].spent:
            self.later.pop()  # what was called runs here and not later
        return value

    def _yield(self, node: ast.Yield) -> Value:
        value = self.eval(node.value) if node.value is not None else NONE
        if self.yields:
            self.yields[-1].append(value)
        return Unknown(hidden=True)  # whatever is sent in

    def _yield_from(self, node: ast.YieldFrom) -> Value:
        value = self.eval(node.value)
        items, rest = self.items_of(value)
        if self.yields:
            self.yields[-1].extend([*items, *([rest] if rest is not None else [])])
        return Unknown(carried(value), hidden=True)


_EVAL: Final[Mapping[type[ast.expr], Callable[[Expressions, Any], Value]]] = {
    ast.Constant: Expressions._constant, ast.Name: Expressions._name, ast.NamedExpr: Expressions._walrus,
    ast.BinOp: Expressions._binary, ast.UnaryOp: Expressions._unary, ast.BoolOp: Expressions._boolean,
    ast.Compare: Expressions._compare, ast.IfExp: Expressions._conditional, ast.JoinedStr: Expressions._fstring,
    ast.List: Expressions._sequence, ast.Tuple: Expressions._sequence, ast.Set: Expressions._sequence,
    ast.Dict: Expressions._dictionary, ast.Subscript: Expressions._subscript, ast.Slice: Expressions._slice,
    ast.Starred: Expressions._starred, ast.ListComp: Expressions._comprehension,
    ast.SetComp: Expressions._comprehension,
    ast.GeneratorExp: Expressions._generator, ast.DictComp: Expressions._comprehension,
    ast.Lambda: Expressions._lambda, ast.Call: Expressions._call, ast.Attribute: Expressions._attribute,
    ast.Await: Expressions._await, ast.Yield: Expressions._yield, ast.YieldFrom: Expressions._yield_from,
}  # fmt: skip
