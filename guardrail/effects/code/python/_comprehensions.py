"""Comprehensions and generator expressions of Python."""

from __future__ import annotations

import abc
import ast
from typing import Any

from guardrail.effects.code.python._defined import Scope
from guardrail.effects.code.python._items import MAX_ROUNDS, grown
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._operators import Operators
from guardrail.effects.code.python._texts import any_of, one_of, truth
from guardrail.effects.code.python._values import (
    MAX_ITEMS,
    Dict,
    Seq,
    Unknown,
    Value,
)


class Comprehensions(Operators):
    """Evaluates comprehensions."""

    passing: list[Scope]

    @abc.abstractmethod
    def eval(self, node: ast.expr) -> Value:
        """The value of any expression.

        Args:
            node: the expression.

        Raises:
            TooMuch: if no step is left.
        """

    def generator(self, node: ast.GeneratorExp) -> Value:
        """`(x for …)`: worked out when something goes through it."""
        scope = self.scope

        def make() -> Value:
            saved, self.scope = self.scope, scope
            try:
                return self.comprehension(node)
            finally:
                self.scope = saved

        return self.lazily(make, [(node, scope)])

    def comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Value:
        """`[x for …]` and its like, in a scope of its own."""
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
            items = [one_of(items, rest)]
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
            self.assign(part.target, one_of(source.items, source.rest))
            with self.undecided():
                self._generate(node, index + 1, out)
        return certain

    @abc.abstractmethod
    def assign(self, target: ast.expr, value: Value) -> None:
        """`target = value`.

        Args:
            target: any target of an assignment.
            value: what it is given.
        """
