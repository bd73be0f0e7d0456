"""Expressions of Python: each kind of node is worked out to an abstract value.

Not concerned with what values do when an operator (`_operators`) or an index (`_items`) meets them.
"""

from __future__ import annotations

import abc
import ast
import builtins
from collections.abc import Callable, Mapping
from typing import Any, Final

from guardrail.effects.code.python._carried import can_act, carried
from guardrail.effects.code.python._comprehensions import Comprehensions
from guardrail.effects.code.python._concrete import concrete
from guardrail.effects.code.python._defined import Function, Instance, Klass, Scope
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._table import table
from guardrail.effects.code.python._texts import any_of, compared, joined_texts, shown, truth, unary
from guardrail.effects.code.python._values import (
    ANY_NAME,
    MAX_ITEMS,
    NONE,
    Args,
    Const,
    Dict,
    Either,
    Ref,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    options,
)
from guardrail.effects.code.python._walk import TooMuch
from guardrail.effects.domain._values import TOP, merge

_BUILTINS: Final = frozenset(dir(builtins)) | {"reveal_type", "exit", "quit"}
_PLAIN_DUNDERS: Final = frozenset(
    "__name__ __doc__ __file__ __version__ __qualname__ __module__ __annotations__ __all__ __init__ __post_init__ "
    "__enter__ __exit__ __len__ __iter__ __next__ __call__ __str__ __repr__ __getitem__ __contains__ __eq__ __hash__ "
    "__future__ __main__ __path__".split()
)
_INSIDES: Final = frozenset("f_globals f_builtins f_locals f_back tb_frame gi_frame cr_frame ag_frame mro".split())
_SHAPE: Final = frozenset("shape dtype ndim nbytes itemsize status_code ok size length".split())


def gives(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> bool:
    """It is a generator.

    Args:
        node: the function; those within it do not count.
    """
    queue: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
    while queue:
        part = queue.pop()
        if isinstance(part, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            queue.extend(ast.iter_child_nodes(part))
    return False


class Expressions(Comprehensions):
    """Evaluates expressions."""

    yields: list[list[Value]]

    def eval(self, node: ast.expr) -> Value:
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
        """What stands behind a name: one further out, of a module whose names were all taken, or a builtin.

        Args:
            scope: where the name is taken away.
            name: the name.

        Returns:
            Its value from then on; None if it has none.
        """
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
        """Give a name a value in the scope that it belongs to.

        Args:
            name: the name, which may be one of an outer scope here.
            value: its value from now on.
        """
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

    def _unary(self, node: ast.UnaryOp) -> Value:
        value = self.eval(node.operand)
        if any(isinstance(option, Instance) for option in options(value)):
            return self._unary_method(node.op, value)
        return unary(node.op, value)

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

    def _subscript(self, node: ast.Subscript) -> Value:
        owner = self.eval(node.value)
        key = self.eval(node.slice)
        return self.item(owner, key)

    def _slice(self, node: ast.Slice) -> Value:
        parts = [self.eval(part) if part is not None else NONE for part in (node.lower, node.upper, node.step)]
        plain = [concrete(part) for part in parts]
        if all(part is not None for part in plain):
            return Const(slice(*(part.value for part in plain if part is not None)))
        return Unknown()

    def _starred(self, node: ast.Starred) -> Value:
        return self.eval(node.value)

    # -- functions and calls

    def _lambda(self, node: ast.Lambda) -> Value:
        made = Function("<lambda>", node.args, node.body, self.scope, self.defaults(node.args))
        made.waits = made.gives = gives(node)
        return made

    def defaults(self, parameters: ast.arguments) -> dict[str, Value]:
        """Values of parameters that need not be given.

        Args:
            parameters: those of a function or lambda.

        Returns:
            Name -> value, worked out where the function is defined.
        """
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
        """Whose content an attribute of a value holds: not its shape.

        Args:
            name: the attribute.
            value: its owner.
        """
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
    ast.Starred: Expressions._starred, ast.ListComp: Expressions.comprehension,
    ast.SetComp: Expressions.comprehension,
    ast.GeneratorExp: Expressions.generator, ast.DictComp: Expressions.comprehension,
    ast.Lambda: Expressions._lambda, ast.Call: Expressions._call, ast.Attribute: Expressions._attribute,
    ast.Await: Expressions._await, ast.Yield: Expressions._yield, ast.YieldFrom: Expressions._yield_from,
}  # fmt: skip
