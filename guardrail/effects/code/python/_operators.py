"""Operators on abstract values, and the methods behind them that classes of the code have.

Not concerned with syntax (`_expressions`), nor with the text and numbers that come out (`_texts`).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Final

from guardrail.effects.code.python._carried import can_act, carried
from guardrail.effects.code.python._defined import Function, Instance
from guardrail.effects.code.python._items import Items
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._texts import any_of, binary, unary
from guardrail.effects.code.python._values import Args, Bound, Either, Seq, Text, Thing, Unknown, Value, options
from guardrail.effects.domain._values import TOP, merge

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


class Operators(Items):
    """Applies operators to values."""

    def binary(self, op: ast.operator, left: Value, right: Value) -> Value:
        """`left op right`, with `/` on paths and operators of classes of the code.

        Args:
            op: the operator.
            left: the value on its left.
            right: the value on its right.
        """
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
        """`left.__name__(right)` or `right.__rname__(left)`, if an object of a class of the code has it.

        Args:
            name: the method's name without underscores, such as `add`.
            left: the value on the left of the operator.
            right: the value on its right.

        Returns:
            What the method gives; None if no side is such an object.
        """
        if isinstance(left, Instance) and left.klass.find(f"__{name}__") is not None:
            return self.call_value(Bound(left, f"__{name}__"), Args([right]))
        other = _REFLECTED.get(name, f"r{name}")
        if isinstance(right, Instance) and right.klass.find(f"__{other}__") is not None:
            return self.call_value(Bound(right, f"__{other}__"), Args([left]))
        if isinstance(left, Instance) or isinstance(right, Instance):
            return Unknown(merge(carried(left), carried(right)), hidden=True)
        return None

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

    def _compared(self, op: ast.cmpop, left: Value, right: Value) -> Value | None:
        if isinstance(op, ast.In | ast.NotIn):
            if isinstance(right, Instance) and right.klass.find("__contains__") is not None:
                return self.call_value(Bound(right, "__contains__"), Args([left]))
            if isinstance(right, Instance):
                self.items_of(right)
            return None
        name = _COMPARED.get(type(op))
        return self.operated(name, left, right) if name is not None else None

    def spoken(self, value: Value, *names: str) -> Value:
        """What an object of a class of the code gives for `str`, `len` and their like; anything else as it is.

        Args:
            value: any value.
            names: methods to look for, the first that the class has is called.
        """
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
