"""Statements of Python: every construct joins what may be the case, or ends the analysis explicitly."""

from __future__ import annotations

import abc
import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from guardrail.effects.code.python._core import Snapshot
from guardrail.effects.code.python._definitions import Definitions
from guardrail.effects.code.python._expressions import MAX_ROUNDS
from guardrail.effects.code.python._texts import any_of, truth
from guardrail.effects.code.python._values import (
    NONE,
    Args,
    Bound,
    Const,
    Dict,
    Either,
    Handle,
    Instance,
    Klass,
    Ref,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    can_act,
    carried,
    join,
    options,
    widened,
)

MAX_TRIALS: Final = 4
"""Most trial rounds of a loop until nothing changes; then all that it assigns is unknown."""


class Statements(Definitions):
    """Runs statements. Each handler says whether what follows is reached."""

    def block(self, body: Sequence[ast.stmt]) -> bool:
        """Statements one after the other."""
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
        return True

    def _augmented(self, node: ast.AugAssign) -> bool:
        target = node.target
        load: ast.expr
        if isinstance(target, ast.Name):
            load = ast.copy_location(ast.Name(target.id, ast.Load()), target)
        else:
            load = target
        old, right = self.eval(load), self.eval(node.value)
        if isinstance(node.op, ast.Add) and isinstance(old, Seq) and old.kind == "list":
            self.call_method(old, "extend", Args([right]))
            return True
        self.assign(target, self.binary(node.op, old, right))
        return True

    def assign(self, target: ast.expr, value: Value) -> None:
        """`target = value` for every kind of target."""
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
        """`owner[key] = value`, also into what is no dictionary."""
        if isinstance(owner, Dict | Seq):
            self.store_item(owner, key, value)
        elif isinstance(owner, Ref):
            self.store_ref(owner, key, value)
        elif isinstance(owner, Unknown) and owner.hidden:
            self.opaque("a change of something that is not known", "inline", value)
        elif isinstance(owner, Instance):
            self.call_value(Bound(owner, "__setitem__"), Args([key, value]))
        elif isinstance(owner, Thing):
            lose_text(owner)
            self.tell(owner, value)
            owner.held = tuple(dict.fromkeys((*owner.held, *carried(value))))
            target = owner.facts.get("to")
            if target is not None:
                self.put("write", self.places(target), carried(value))
        elif isinstance(owner, Unknown):
            self.mention_names(value)
            owner.sources = tuple(dict.fromkeys((*owner.sources, *carried(value))))

    @abc.abstractmethod
    def store_ref(self, owner: Ref, key: Value, value: Value) -> None:
        """`os.environ[key] = value`."""

    def set_attribute(self, owner: Value, name: str, value: Value) -> None:
        """`owner.name = value`."""
        if isinstance(owner, Instance):
            old = owner.names.get(name)
            certain = self.branch <= owner.born or old is None
            owner.names[name] = value if certain else join(old, value)
        elif isinstance(owner, Klass):
            owner.names[name] = join(owner.names.get(name), value)
        elif isinstance(owner, Ref):
            self.patch_ref(owner, name, value)
        elif isinstance(owner, Thing):
            lose_text(owner)
            self.tell(owner, value)
            owner.facts[name] = join(owner.facts.get(name), value)
        elif (isinstance(owner, Unknown) and owner.hidden) or (name.startswith("__") and can_act(value)):
            self.opaque("a change of something that is not known", "inline", value)
        elif can_act(value):
            self.escape(value)
        else:
            self.mention_names(value)

    def tell(self, owner: Thing, value: Value) -> None:
        """Something of a library that is not known gets a value: what it does with it is not known."""
        if owner.kind.startswith("?"):
            self.mention(value)
            self.escape(value)

    @abc.abstractmethod
    def patch_ref(self, owner: Ref, name: str, value: Value) -> None:
        """An attribute of a module is changed."""

    def _unpack(self, targets: Sequence[ast.expr], value: Value) -> None:
        items, rest = self.items_of(value)
        star = next((i for i, target in enumerate(targets) if isinstance(target, ast.Starred)), None)
        if rest is not None or (star is None and len(items) != len(targets)):
            each = any_of([*items, *([rest] if rest is not None else [])])
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

    def _delete(self, node: ast.Delete) -> bool:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.scope.names.pop(target.id, None)
            elif isinstance(target, ast.Subscript):
                self._delete_item(self.eval(target.value), self.eval(target.slice))
            elif isinstance(target, ast.Attribute):
                owner = self.eval(target.value)
                if isinstance(owner, Ref):
                    self.patch_ref(owner, target.attr, NONE)
        return True

    def _delete_item(self, owner: Value, key: Value) -> None:
        for option in options(owner):
            if isinstance(option, Dict):
                self.call_method(option, "pop", Args([key, NONE]))
            elif isinstance(option, Seq):
                option.scrambled = True
            elif isinstance(option, Ref):
                self.store_ref(option, key, NONE)
            elif isinstance(option, Thing) and "<text>" in option.facts:
                lose_text(option)
            elif isinstance(option, Thing) and option.facts.get("to") is not None:
                self.put("write", self.places(option.facts["to"]), ())

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
        """Go on from whichever end was reached, if any was."""
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
        ends: list[Snapshot] = [before]
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
                if self.block(case.body):
                    ends.append(self.snapshot())
        return self.meet(ends)

    def _try(self, node: ast.Try) -> bool:
        before = self.snapshot()
        alive = self.block(node.body)
        after = self.snapshot()
        middle = self.both(before, after)
        ends: list[Snapshot] = []
        if alive and self.block(node.orelse):
            ends.append(self.snapshot())
        for handler in node.handlers:
            self.restore(middle)
            with self.undecided():
                if handler.name:
                    self.assign_name(handler.name, Unknown())
                if self.block(handler.body):
                    ends.append(self.snapshot())
        if not self.meet(ends):
            self.restore(middle)
            self.block(node.finalbody)
            return False
        return self.block(node.finalbody)

    def _with(self, node: ast.With | ast.AsyncWith) -> bool:
        managers: list[Value] = []
        for item in node.items:
            manager = self.eval(item.context_expr)
            managers.append(manager)
            value = self.enter(manager)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value)
        alive = self.block(node.body)
        for manager in managers:
            if isinstance(manager, Instance):
                self.call_value(Bound(manager, "__exit__"), Args([NONE, NONE, NONE]))
        return alive

    def enter(self, manager: Value) -> Value:
        """What `with manager as value` gives."""
        if isinstance(manager, Instance):
            return self.call_value(Bound(manager, "__enter__"), Args())
        if isinstance(manager, Thing) and "entered" in manager.facts:
            return manager.facts["entered"]
        return manager

    # -- loops

    def _for(self, node: ast.For | ast.AsyncFor) -> bool:
        iterable = self.eval(node.iter)
        items, rest = self.items_of(iterable)
        if rest is None and len(items) <= MAX_ROUNDS:
            return self._rounds(node, items)
        item = any_of([*items, *([rest] if rest is not None else [])])

        def once() -> bool:
            self.assign(node.target, item)
            return self.block(node.body)

        return self._repeat(once, node.orelse)

    def _rounds(self, node: ast.For | ast.AsyncFor, items: Sequence[Value]) -> bool:
        """A loop over known items, round by round."""
        left: list[Snapshot] = []
        self.breaks.append(left)
        self.continues.append([])
        alive = True
        for item in items:
            self.assign(node.target, item)
            self.continues[-1] = []
            alive = self.block(node.body)
            again = [*self.continues[-1], *([self.snapshot()] if alive else [])]
            alive = self.meet(again)
            if not alive:
                break
        self.continues.pop()
        self.breaks.pop()
        ended = self.snapshot() if alive and self.block(node.orelse) else None
        return self.meet([*([ended] if ended is not None else []), *left])

    def _while(self, node: ast.While) -> bool:
        endless = truth(self.eval(node.test)) is True and isinstance(node.test, ast.Constant)
        if truth(self.eval(node.test)) is False:
            return self.block(node.orelse)

        def once() -> bool:
            self.eval(node.test)
            return self.block(node.body)

        return self._repeat(once, node.orelse, endless=endless)

    def _repeat(self, once: Callable[[], bool], otherwise: Sequence[ast.stmt], *, endless: bool = False) -> bool:
        """A loop whose number of rounds is not known: what a round changes is widened until nothing changes."""
        start = self.snapshot()
        with self.muted():
            for trial in range(MAX_TRIALS):
                before = self.snapshot()
                after = self._round(once, [])
                if not self._widen(before, after, hard=trial == MAX_TRIALS - 1):
                    break
        left: list[Snapshot] = []
        wide = self.snapshot()
        after = self._round(once, left)
        self.restore(self.both(self.both(start, wide), after))
        if endless and not left:
            return False
        alive = not endless and self.block(otherwise)
        return self.meet([*([self.snapshot()] if alive or not endless else []), *left])

    def _round(self, once: Callable[[], bool], left: list[Snapshot]) -> Snapshot:
        """One round, which may not happen; how it ends."""
        self.breaks.append(left)
        self.continues.append([])
        before = self.snapshot()
        with self.undecided():
            alive = once()
        again = [*self.continues.pop(), *([self.snapshot()] if alive else [])]
        self.breaks.pop()
        if not self.meet(again):
            self.restore(before)
        return self.snapshot()

    def _widen(self, before: Snapshot, after: Snapshot, *, hard: bool) -> bool:
        """Join the names after a round with those before it; whether any of them changed."""
        changed = False
        merged = self.both(before, after)
        old = {id(scope): names for scope, names in before}
        for scope, names in merged:
            for name, value in list(names.items()):
                earlier = old[id(scope)].get(name)
                if earlier is value or _same(earlier, value):
                    continue
                if earlier is not None and _same(earlier, widened(value)):
                    names[name] = earlier
                    continue
                changed = changed or earlier is not None
                names[name] = widened(value) if hard or (earlier is not None and _grows(value)) else value
        self.restore(merged)
        return changed

    def _break(self, _node: ast.Break) -> bool:
        if self.breaks:
            self.breaks[-1].append(self.snapshot())
        return False

    def _continue(self, _node: ast.Continue) -> bool:
        if self.continues:
            self.continues[-1].append(self.snapshot())
        return False


def lose_text(owner: Thing) -> None:
    """What a thing would be as text is not known any more."""
    if "<text>" in owner.facts:
        owner.facts["<text>"] = Unknown()


def _same(left: Value | None, right: Value) -> bool:
    from guardrail.effects.code.python._values import equal

    return left is not None and equal(left, right)


def _grows(value: Value) -> bool:
    """It may be another value in each round, without end."""
    return isinstance(value, Text | Const | Seq | Either) and not isinstance(value, Handle)


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
