"""Statements of Python: every construct joins what may be the case, or ends the analysis explicitly."""

from __future__ import annotations

import abc
import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from guardrail.effects.code.python._core import Snapshot
from guardrail.effects.code.python._definitions import Definitions
from guardrail.effects.code.python._expressions import MAX_ROUNDS, METHODS_OF, grown
from guardrail.effects.code.python._table import table
from guardrail.effects.code.python._texts import any_of, truth
from guardrail.effects.code.python._values import (
    BASE,
    CWD_MARK,
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
    Property,
    Ref,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    base_of,
    can_act,
    carried,
    hold,
    join,
    options,
    store_of,
    widened,
)
from guardrail.model import Resource

MAX_TRIALS: Final = 4
"""Most trial rounds of a loop until nothing changes; then all that it assigns is unknown."""


_NAMING: Final = frozenset(("__wrapped__", "__signature__", "__slots__", "__test__"))
_LETTING: Final = frozenset(("pool", "<chdir>", "archive", "thread", "response", "session", "socket"))
"""Kinds of objects of libraries that let an error out of their `with` block."""


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

    def disturb(self, value: Value, given: Sequence[Value] = ()) -> None:
        """A container is changed by something that is not known in detail: it may hold what was given as well."""
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
            lose_text(owner)
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
        """An object has some content from now on: one that reaches elsewhere may send it by itself."""
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
        """`owner.name = value`."""
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
            lose_text(owner)
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
        """Something of a library that is not known gets a value: what it does with it is not known."""
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
            self._delete_one(target)
        return True

    def _delete_one(self, target: ast.expr) -> None:
        if isinstance(target, ast.Name):
            scope = self.scope.shared.get(target.id, self.scope)
            scope.names.pop(target.id, None)
            behind = self.unbound(scope, target.id)
            if behind is not None:
                self.history.append((scope, target.id, behind))
        elif isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                self._delete_one(part)
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
        # What it changes may be changed or not when a handler runs; that it runs at all is certain.
        self.branch += 1
        self.attempts += 1
        try:
            alive = self.block(node.body)
        finally:
            self.branch -= 1
            self.attempts -= 1
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
        self.branch += 1
        self.attempts += 1
        try:
            alive = self.block(node.body)
        finally:
            self.branch -= 1
            self.attempts -= 1
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
        """What `with manager as value` gives."""
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

    # -- loops

    def _for(self, node: ast.For | ast.AsyncFor) -> bool:
        iterable = self.eval(node.iter)
        items, rest = self.items_of(iterable)
        if rest is None and len(items) <= MAX_ROUNDS:
            return self._rounds(node, items, iterable)
        return self._any_round(node, [*items, *([rest] if rest is not None else [])])

    def _any_round(self, node: ast.For | ast.AsyncFor, items: Sequence[Value]) -> bool:
        item = any_of(items)

        def once() -> bool:
            self.assign(node.target, item)
            return self.block(node.body)

        return self._repeat(once, node.orelse)

    def _rounds(self, node: ast.For | ast.AsyncFor, items: Sequence[Value], source: Value) -> bool:
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
        if alive and isinstance(source, Seq) and grown(source, len(items)):
            alive = self._any_round(node, [*source.items, *([source.rest] if source.rest is not None else [])])
        elif alive:
            alive = self.block(node.orelse)
        ended = self.snapshot() if alive else None
        return self.meet([*([ended] if ended is not None else []), *left])

    def _while(self, node: ast.While) -> bool:
        known = truth(self.eval(node.test))
        if known is False:
            return self.block(node.orelse)
        endless = known is True and isinstance(node.test, ast.Constant)

        def once() -> bool:
            return self.block(node.body)

        # The test was made once for the first round; it is made again after each.
        test = None if isinstance(node.test, ast.Constant) else node.test
        return self._repeat(once, node.orelse, endless=endless, test=test)

    def _repeat(
        self,
        once: Callable[[], bool],
        otherwise: Sequence[ast.stmt],
        *,
        endless: bool = False,
        test: ast.expr | None = None,
    ) -> bool:
        """A loop whose number of rounds is not known: what a round changes is widened until nothing changes."""
        start = self.snapshot()
        with self.muted():
            for trial in range(MAX_TRIALS):
                before = self.snapshot()
                after = self._round(once, [], test)
                if not self._widen(before, after, hard=trial == MAX_TRIALS - 1):
                    break
        left: list[Snapshot] = []
        wide = self.snapshot()
        after = self._round(once, left, test)
        self.restore(self.both(self.both(start, wide), after))
        if endless and not left:
            return False
        alive = not endless and self.block(otherwise)
        return self.meet([*([self.snapshot()] if alive or not endless else []), *left])

    def _round(self, once: Callable[[], bool], left: list[Snapshot], test: ast.expr | None) -> Snapshot:
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
        elif test is not None:
            with self.undecided():
                self.eval(test)
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
