"""Functions and classes that the code defines, and its imports."""

from __future__ import annotations

import abc
import ast
from collections.abc import Sequence
from typing import Any

from guardrail.effects.code.python._carried import can_act, carried
from guardrail.effects.code.python._defined import Frame, Function, Instance, Klass, Property, Scope
from guardrail.effects.code.python._expressions import Expressions, gives
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._texts import any_of
from guardrail.effects.code.python._values import (
    NONE,
    Args,
    Bound,
    Dict,
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
from guardrail.effects.code.python._walk import Snapshot, TooMuch


def _nests(function: Function) -> bool:
    """It defines functions, which keep its names alive."""
    if isinstance(function.body, ast.expr):
        return any(isinstance(node, ast.Lambda) for node in ast.walk(function.body))
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef)
        for statement in function.body
        for node in ast.walk(statement)
    )


def _inside(value: Value) -> Sequence[Value | None]:
    """The functions that a decorator of a class body has wrapped."""
    if isinstance(value, Property):
        return (value.getter, value.setter, value.remover)
    return (value.function,) if isinstance(value, Partial) else ()


class Definitions(Expressions):
    """Defines functions and classes, and runs the bodies of functions."""

    breaks: list[list[Snapshot]]
    continues: list[list[Snapshot]]
    returns: list[list[tuple[Value, Snapshot]]]

    @abc.abstractmethod
    def block(self, body: Sequence[ast.stmt]) -> bool:
        """Statements one after the other; whether what follows is reached."""

    @abc.abstractmethod
    def meet(self, ends: Sequence[Snapshot]) -> bool:
        """Go on from whichever end was reached, if any was."""

    # -- definitions

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        function = Function(node.name, node.args, node.body, self.scope, self.defaults(node.args))
        function.gives = gives(node)
        function.waits = function.gives or isinstance(node, ast.AsyncFunctionDef)
        parameters = node.args
        every = [*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs, parameters.vararg, parameters.kwarg]
        for annotation in (*(part.annotation for part in every if part is not None), node.returns):
            self.annotate(annotation)
        made: Value = function
        for decorator in reversed(node.decorator_list):
            made = self.decorate(decorator, made)
        self.assign_name(node.name, made)
        return True

    def annotate(self, annotation: ast.expr | None) -> None:
        """An annotation is an expression; one that only names types is left alone, as they may be defined later."""
        if annotation is None:
            return
        for part in ast.walk(annotation):
            if isinstance(part, ast.Call | ast.NamedExpr) or (
                isinstance(part, ast.Name) and isinstance(self.scope.names.get(part.id), Klass | Instance)
            ):
                with self.undecided():
                    self.eval(annotation)
                return

    @abc.abstractmethod
    def decorate(self, decorator: ast.expr, made: Value) -> Value:
        """What a decorator makes of a function or class."""

    def _class(self, node: ast.ClassDef) -> bool:
        parents: list[Klass] = []
        framed = bool(node.keywords)
        bases: list[str] = []
        for base in node.bases:
            value = self.eval(base)
            if isinstance(value, Klass):
                parents.append(value)
                framed = framed or value.framed
            elif isinstance(value, Ref):
                framed = framed or not self.plain_base(value.name)
                bases.append(value.name)
            else:
                framed = True
        inner = Scope(self.scope, self.scope.globals)
        outer, self.scope = self.scope, inner
        self.scopes.append(inner)
        self.block(node.body)
        self.scope = outer
        self.scopes.pop()
        klass = Klass(node.name, inner.names, tuple(parents), framed=framed)
        klass.fields = [
            name.id
            for part in node.body
            if isinstance(part, ast.AnnAssign) and isinstance(name := part.target, ast.Name)
        ]
        klass.bases = bases
        made: Value = klass
        for value in inner.names.values():
            for part in (value, *_inside(value)):
                if isinstance(part, Function) and part.scope is inner:
                    part.scope, part.home = self.scope, klass
        if any(name.startswith("enum.") for one in klass.order() for name in one.bases):
            self._members(klass)
        self._hooks(klass, node)
        if node.keywords:
            for keyword in node.keywords:
                self.escape(self.eval(keyword.value))
        for decorator in reversed(node.decorator_list):
            made = self.decorate(decorator, made)
        self.assign_name(node.name, made)
        if isinstance(made, Klass) and framed:
            self.escape(made)
        return True

    def _members(self, klass: Klass) -> None:
        """What stands in an enumeration are objects of it."""
        for name, value in list(klass.names.items()):
            if name.startswith("_") or isinstance(value, Function | Native):
                continue
            member = Instance(klass, self.branch)
            member.names.update({"value": value, "_value_": value, "name": Text((name,)), "_name_": Text((name,))})
            init = klass.find("__init__")
            if isinstance(init, Function):
                items, rest = self.items_of(value) if isinstance(value, Seq) else ([value], None)
                self.call_value(init.bound(member), Args(items, {}, rest))
            klass.names[name] = member

    def _hooks(self, made: Klass, node: ast.ClassDef) -> None:
        """What runs when a class is made: of its parents, and of the objects in it."""
        for parent in made.parents:
            hook = parent.find("__init_subclass__")
            if hook is not None:
                named = {part.arg: self.eval(part.value) for part in node.keywords if part.arg is not None}
                self.call_value(hook, Args([made] if isinstance(hook, Function) else [], named))
        for name, value in list(made.names.items()):
            if isinstance(value, Instance) and value.klass.find("__set_name__") is not None:
                self.call_value(Bound(value, "__set_name__"), Args([made, Text((name,))]))

    @abc.abstractmethod
    def plain_base(self, name: str) -> bool:
        """A base class that calls no method of its children by itself."""

    def _return(self, node: ast.Return) -> bool:
        value = self.eval(node.value) if node.value is not None else NONE
        if self.returns:
            self.returns[-1].append((value, self.snapshot()))
        return False

    def _raise(self, node: ast.Raise) -> bool:
        for part in (node.exc, node.cause):
            if part is not None:
                value = self.eval(part)
                if any(isinstance(option, Klass) for option in options(value)):
                    value = self.call_value(value, Args())  # to raise a class makes an object of it
                # The text of an error goes to standard error.
                self.account(value)
                self.complain(value)
                if (can_act(value) and not isinstance(value, Ref)) or carried(value):
                    self.thrown.append(value)
        return False

    def _assert(self, node: ast.Assert) -> bool:
        self.eval(node.test)
        if node.msg is not None:
            with self.undecided():
                said = self.eval(node.msg)
                self.account(said)
                self.complain(said)
        return True

    def _global(self, node: ast.Global) -> bool:
        for name in node.names:
            self.scope.shared[name] = self.scope.globals
        return True

    def _nonlocal(self, node: ast.Nonlocal) -> bool:
        for name in node.names:
            scope = self.scope.outer
            while scope is not None and (name not in scope.names or not scope.local):
                scope = scope.outer
            if scope is None and self.scope.outer is not None and self.scope.outer.local:
                scope = self.scope.outer  # it gets its value later, or here
            if scope is not None:
                self.scope.shared[name] = scope
        return True

    # -- imports

    def _import(self, node: ast.Import) -> bool:
        for alias in node.names:
            value = self.import_module(alias.name)
            if alias.asname is not None:
                self.assign_name(alias.asname, value)
            else:
                head = alias.name.partition(".")[0]
                self.assign_name(head, value if head == alias.name else self.import_module(head))
        return True

    def _import_from(self, node: ast.ImportFrom) -> bool:
        name = "." * node.level + (node.module or "")
        module = self.import_module(name)
        for alias in node.names:
            if alias.name == "*":
                self.import_star(module)
                continue
            self.assign_name(alias.asname or alias.name, self.imported(name, module, alias.name))
        return True

    @abc.abstractmethod
    def import_module(self, name: str) -> Value:
        """A module by its name."""

    @abc.abstractmethod
    def imported(self, name: str, module: Value, member: str) -> Value:
        """`from name import member`."""

    @abc.abstractmethod
    def import_star(self, module: Value) -> None:
        """`from module import *`."""

    # -- functions

    def run_body(self, function: Function, args: Args, frame: Frame | None = None) -> Value:
        """Call a function of the code."""
        inner = Scope(function.scope, function.scope.globals)
        inner.local = True
        self.bind(function, args, inner)
        this = function.owner if function.owner is not None else args.pos[0] if function.home and args.pos else None
        if this is not None:
            facts: dict[str, Value] = {"self": this}
            if function.home is not None:
                facts["home"] = function.home
            inner.names["<super>"] = Thing("<super>", facts)
        saved = self.scope, self.breaks, self.continues
        self.scope, self.breaks, self.continues = inner, [], []
        self.scopes.append(inner)
        position = len(self.scopes)
        self.inlined.append(frame if frame is not None else Frame(function, args, self.branch))
        self.returns.append([])
        self.yields.append([])
        try:
            result = self._run_inner(function)
        finally:
            self.inlined.pop()
            self.scope, self.breaks, self.continues = saved
            if len(self.scopes) > 200:
                raise TooMuch("too many scopes")
            if position == len(self.scopes) and not _nests(function):
                self.scopes.pop()
        return result

    def _run_inner(self, function: Function) -> Value:
        if isinstance(function.body, ast.expr):
            value = self.eval(function.body)
            self.returns.pop()
            given = self.yields.pop()
            return Seq([], "list", any_of(given), self.branch) if given else value
        alive = self.block(function.body)
        ends = self.returns.pop()
        given = self.yields.pop()
        values = [value for value, _ in ends]
        states = [state for _, state in ends]
        if alive:
            values.append(NONE)
            states.append(self.snapshot())
        self.meet(states)
        if given or function.gives:
            # An error tells what it returned, and so does `yield from`.
            self.thrown.extend(value for value in values if can_act(value) or carried(value))
            out = Seq([], "list", any_of(given) if given else None, self.branch)
            out.sources = carried(Seq(values))
            return out
        if not values:
            return Unknown() if function.waits else Thing("<exit>")
        return any_of(values) if len(values) > 1 else values[0]

    def bind(self, function: Function, args: Args, scope: Scope) -> None:
        """Give the parameters of a function their values."""
        parameters = function.parameters
        given = args.pos[:]
        if function.owner is not None:
            given.insert(0, function.owner)
        named = dict(args.named)
        for parameter in (*parameters.posonlyargs, *parameters.args):
            name = parameter.arg
            if given:
                scope.names[name] = given.pop(0)
            elif name in named:
                scope.names[name] = named.pop(name)
            else:
                default = function.defaults.get(name)
                scope.names[name] = join(default, args.vague) if args.vague is not None else default or Unknown()
        if parameters.vararg is not None:
            scope.names[parameters.vararg.arg] = Seq(given, "tuple", args.vague, self.branch)
        for parameter in parameters.kwonlyargs:
            value = named.pop(parameter.arg, None) or function.defaults.get(parameter.arg)
            scope.names[parameter.arg] = join(value, args.vague) if args.vague is not None else value or Unknown()
        if parameters.kwarg is not None:
            items: dict[Any, Value] = dict(named)
            scope.names[parameters.kwarg.arg] = Dict(items, args.vague, self.branch)
