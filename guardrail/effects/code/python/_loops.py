"""Loops: round by round over known items, and widened until nothing changes over others.

Not concerned with what a round does (`_statements`), nor with comprehensions, which are expressions.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Final

from guardrail.effects.code.python._items import MAX_ROUNDS, grown
from guardrail.effects.code.python._joined import equal, widened
from guardrail.effects.code.python._targets import Targets
from guardrail.effects.code.python._texts import any_of, truth
from guardrail.effects.code.python._values import Const, Either, Handle, Seq, Text, Value
from guardrail.effects.code.python._walk import Snapshot

MAX_TRIALS: Final = 4
"""Most trial rounds of a loop until nothing changes; then all that it assigns is unknown."""


class Loops(Targets):
    """Runs loops."""

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


def _same(left: Value | None, right: Value) -> bool:
    return left is not None and equal(left, right)


def _grows(value: Value) -> bool:
    """It may be another value in each round, without end."""
    return isinstance(value, Text | Const | Seq | Either) and not isinstance(value, Handle)
