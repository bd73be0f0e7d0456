"""Statements of Python: every construct joins what may be the case, or ends the analysis explicitly.

Not concerned with what a target of an assignment holds afterwards (`_targets`), nor with rounds (`_loops`).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from guardrail.effects.code.python._carried import can_act, carried, store_of
from guardrail.effects.code.python._defined import Instance
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._loops import Loops
from guardrail.effects.code.python._operators import METHODS_OF
from guardrail.effects.code.python._texts import any_of, truth
from guardrail.effects.code.python._values import (
    CWD_MARK,
    NONE,
    Args,
    Bound,
    Dict,
    Either,
    Handle,
    Seq,
    Thing,
    Unknown,
    Value,
    options,
)
from guardrail.effects.code.python._walk import Snapshot

_LETTING: Final = frozenset(("pool", "<chdir>", "archive", "thread", "response", "session", "socket"))
"""Kinds of objects of libraries that let an error out of their `with` block."""


class Statements(Loops):
    """Runs statements. Each handler says whether what follows is reached."""

    def block(self, body: Sequence[ast.stmt]) -> bool:
        """Statements one after the other.

        Args:
            body: the statements.

        Returns:
            Whether what follows them is reached.
        """
        for statement in body:
            self.step()
            handler = _HANDLERS.get(type(statement))
            if handler is None:
                self.opaque(f"{type(statement).__name__} is not followed")
            elif not handler(self, statement):
                return False
        return True

    def _expression(self, node: ast.Expr) -> bool:
        value = self.eval(node.value)
        if isinstance(node.value, ast.Constant | ast.JoinedStr):
            self.account(value)
        # A call that never returns ends the block.
        return not (isinstance(value, Thing) and value.kind == "<exit>")

    def _pass(self, _node: ast.stmt) -> bool:
        return True

    # -- assignment

    def _assign(self, node: ast.Assign) -> bool:
        value = self.eval(node.value)
        for target in node.targets:
            self.assign(target, value)
        return True

    def _annotated(self, node: ast.AnnAssign) -> bool:
        if node.value is not None:
            self.assign(node.target, self.eval(node.value))
        self.annotate(node.annotation)
        return True

    def _augmented(self, node: ast.AugAssign) -> bool:
        target = node.target
        load: ast.expr
        if isinstance(target, ast.Name):
            load = ast.copy_location(ast.Name(target.id, ast.Load()), target)
        else:
            load = target
        old, right = self.eval(load), self.eval(node.value)
        choices = options(old)
        if len(choices) == 1:
            self.assign(target, self._in_place(node.op, old, right))
            return True
        with self.undecided():
            found = [self._in_place(node.op, option, right) for option in choices]
        self.assign(target, any_of(found))
        return True

    def _in_place(self, op: ast.operator, old: Value, right: Value) -> Value:
        """`old op= right`: lists, sets and dictionaries change themselves, and so do objects that know how."""
        if isinstance(old, Instance):
            name = f"__i{METHODS_OF.get(type(op), '')}__"
            if old.klass.find(name) is not None:
                return self.call_value(Bound(old, name), Args([right]))
        if store_of(old) is not None:
            self.store(old, NONE, right)
            return old
        if isinstance(old, Seq) and old.kind == "list" and isinstance(op, ast.Add):
            self.call_method(old, "extend", Args([right]))
            return old
        if isinstance(old, Dict) and isinstance(op, ast.BitOr):
            self.call_method(old, "update", Args([right]))
            return old
        if isinstance(old, Seq) and old.kind in ("set", "list"):
            if isinstance(op, ast.BitOr):
                self.call_method(old, "update", Args([right]))
            else:
                self.disturb(old, (right,) if isinstance(op, ast.BitXor) else ())
            return old
        return self.binary(op, old, right)

    def _delete(self, node: ast.Delete) -> bool:
        for target in node.targets:
            self.delete(target)
        return True

    # -- branches

    def _if(self, node: ast.If) -> bool:
        known = truth(self.eval(node.test))
        if known is not None:
            return self.block(node.body if known else node.orelse)
        return self._fork([node.body, node.orelse])

    def _fork(self, bodies: Sequence[Sequence[ast.stmt]]) -> bool:
        """One of several blocks runs."""
        before = self.snapshot()
        ends: list[Snapshot] = []
        for body in bodies:
            self.restore(before)
            with self.undecided():
                if self.block(body):
                    ends.append(self.snapshot())
        return self.meet(ends)

    def meet(self, ends: Sequence[Snapshot]) -> bool:
        """Go on from whichever end was reached, if any was.

        Args:
            ends: the states in which one of several ways ends.

        Returns:
            Whether there is any.
        """
        if not ends:
            return False
        met = ends[0]
        for end in ends[1:]:
            met = self.both(met, end)
        self.restore(met)
        return True

    def _match(self, node: ast.Match) -> bool:
        subject = self.eval(node.subject)
        before = self.snapshot()
        ends: list[Snapshot] = []
        for case in node.cases:
            self.restore(before)
            with self.undecided():
                for part in ast.walk(case.pattern):
                    name = getattr(part, "name", None) or getattr(part, "rest", None)
                    if isinstance(name, str):
                        self.assign_name(name, Unknown(carried(subject), hidden=can_act(subject)))
                if isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.pattern.name:
                    self.assign_name(case.pattern.name, subject)
                if case.guard is not None:
                    self.eval(case.guard)
                # A case that does not match may have given its names their values all the same.
                before = self.both(before, self.snapshot())
                if self.block(case.body):
                    ends.append(self.snapshot())
        return self.meet([before, *ends])

    def _try(self, node: ast.Try | ast.TryStar) -> bool:
        before, position, thrown = self.snapshot(), len(self.history), len(self.thrown)
        left = [(ends, len(ends)) for ends in self._ways_out()]
        alive = self._attempted(node.body)
        ends: list[Snapshot] = []
        middle = self.anything_since(position, before)
        if alive and self.block(node.orelse):
            ends.append(self.snapshot())
        for handler in node.handlers:
            self.restore(middle)
            with self.undecided():
                self._handler(handler, thrown)
                if self.block(handler.body):
                    ends.append(self.snapshot())
        if node.handlers:
            self.out_text = None if self.out_text else self.out_text
        return self._finally(node.finalbody, ends, self.anything_since(position, before), left)

    def _attempted(self, body: Sequence[ast.stmt]) -> bool:
        """A block that an error may leave: that it runs is certain, and what it changes may be changed or not."""
        self.branch += 1
        self.attempts += 1
        try:
            return self.block(body)
        finally:
            self.branch -= 1
            self.attempts -= 1

    def _handler(self, handler: ast.ExceptHandler, thrown: int) -> None:
        if handler.type is not None:
            self.account(self.eval(handler.type))
        if handler.name:
            self.assign_name(handler.name, any_of([Unknown(), *dict.fromkeys(self.thrown[thrown:])]))

    def _ways_out(self) -> list[list[Any]]:
        """Where what leaves this block by `return`, `break` or `continue` is kept."""
        return [*self.returns[-1:], *self.breaks[-1:], *self.continues[-1:]]

    def _finally(
        self, body: Sequence[ast.stmt], ends: Sequence[Snapshot], middle: Snapshot, left: list[tuple[list[Any], int]]
    ) -> bool:
        """What runs in the end: also after an error that nobody caught, and on the way out."""
        if not body:
            return self.meet(ends)
        self.restore(middle)
        position = len(self.history)
        with self.undecided():
            self.block(body)
        changes = self.history[position:]
        for kept, count in left:
            for index in range(count, len(kept)):
                kept[index] = self._later_values(kept[index], changes)
        return self.meet(ends) and self.block(body)

    def _later_values(self, end: Any, changes: Sequence[tuple[Any, str, Value]]) -> Any:
        given = cast("tuple[Value, Snapshot]", end) if isinstance(end, tuple) else None
        snapshot = given[1] if given is not None else cast("Snapshot", end)
        kept = {id(scope): (scope, dict(names)) for scope, names in snapshot}
        for scope, name, new in changes:
            if id(scope) in kept:
                names = kept[id(scope)][1]
                names[name] = join(names.get(name), new)
        joined = list(kept.values())
        return (given[0], joined) if given is not None else joined

    def _with(self, node: ast.With | ast.AsyncWith) -> bool:
        before, position = self.snapshot(), len(self.history)
        managers: list[Value] = []
        for item in node.items:
            manager = self.eval(item.context_expr)
            managers.append(manager)
            value = self.enter(manager)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value)
        swallows = any(self._swallows(manager) for manager in managers)
        if not swallows:
            alive = self.block(node.body)
            self._leave(managers)
            return alive
        alive = self._attempted(node.body)
        # An error in the block may be swallowed: what follows is reached from anywhere in it.
        self.restore(self.anything_since(position, before))
        self._leave(managers)
        return True

    @staticmethod
    def _swallows(manager: Value) -> bool:
        """Leaving it may swallow an error."""
        return not all(
            isinstance(option, Handle) or (isinstance(option, Thing) and option.kind in _LETTING) or option is NONE
            for option in options(manager)
        )

    def _leave(self, managers: Sequence[Value]) -> None:
        for manager in reversed(managers):
            for option in options(manager):
                if isinstance(option, Instance):
                    for name in ("__exit__", "__aexit__", "close", "aclose"):
                        if option.klass.find(name) is not None:
                            self.call_value(Bound(option, name), Args([NONE] * 3 if "exit" in name else []))
                            break
                elif isinstance(option, Thing) and option.kind == "<chdir>":
                    self.set_name(self.globals, CWD_MARK, option.facts["before"])

    def enter(self, manager: Value) -> Value:
        """What `with manager as value` gives.

        Args:
            manager: what stands behind `with`.
        """
        if isinstance(manager, Either):
            with self.undecided():
                return any_of([self.enter(option) for option in manager.options])
        if isinstance(manager, Instance):
            name = "__aenter__" if manager.klass.find("__enter__") is None else "__enter__"
            return self.call_value(Bound(manager, name), Args())
        if isinstance(manager, Thing) and manager.kind == "<chdir>":
            manager.facts["before"] = self.globals.names[CWD_MARK]
            self.call_ref("os.chdir", Args([manager.facts["to"]]))
            return NONE
        if isinstance(manager, Thing) and "entered" in manager.facts:
            return manager.facts["entered"]
        return manager


_HANDLERS: Final[Mapping[type[ast.stmt], Callable[[Statements, Any], bool]]] = {
    ast.Expr: Statements._expression, ast.Assign: Statements._assign, ast.AnnAssign: Statements._annotated,
    ast.AugAssign: Statements._augmented, ast.If: Statements._if, ast.For: Statements._for,
    ast.AsyncFor: Statements._for, ast.While: Statements._while, ast.With: Statements._with,
    ast.AsyncWith: Statements._with, ast.Try: Statements._try, ast.TryStar: Statements._try,
    ast.FunctionDef: Statements._function, ast.AsyncFunctionDef: Statements._function, ast.ClassDef: Statements._class,
    ast.Return: Statements._return, ast.Raise: Statements._raise, ast.Assert: Statements._assert,
    ast.Global: Statements._global, ast.Nonlocal: Statements._nonlocal, ast.Import: Statements._import,
    ast.ImportFrom: Statements._import_from, ast.Pass: Statements._pass, ast.Break: Statements._break,
    ast.Continue: Statements._continue, ast.Delete: Statements._delete, ast.Match: Statements._match,
}  # fmt: skip
