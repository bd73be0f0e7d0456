"""Control flow: lists, pipelines, branches, loops and functions; every one joins what may be the case.

Not concerned with single commands.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from guardrail.effects.domain._environment import set_variable
from guardrail.effects.domain._values import NOTHING, NUM, SOMETHING, TOP, Field, State, Stream, Value, merge
from guardrail.effects.shell._redirects import redirections, write_out
from guardrail.effects.shell._streams import Done, concatenated, joined, perhaps, sometimes
from guardrail.model import Resource
from guardrail.parse.ir import (
    AndOr,
    Arithmetic,
    Case,
    For,
    Function,
    Group,
    If,
    Loop,
    Negated,
    Pipeline,
    Redirected,
    Test,
    Text,
)

if TYPE_CHECKING:
    from guardrail.effects.shell._interpreter import Interpreter

MAX_ROUNDS: Final = 64
"""Most rounds of a `for` loop over a known list that are walked one by one."""

MAX_WIDENINGS: Final = 4
"""Most trial rounds of a loop until its state no longer changes; then all of it is unknown."""


def group(shell: Interpreter, node: Group, state: State, stdin: Stream) -> Done:
    """`{ …; }` in this shell, `( … )` and a background command in a copy of it."""
    if not node.subshell:
        return shell.block(node.body, state, stdin)
    mark = shell.contents.mark()
    _, _, out = shell.block(node.body, state.copy(), stdin)
    if node.background:
        shell.contents.lose(mark, lasting=True)
    else:
        shell.contents.weaken(mark)
    return state, state, out


def negated(shell: Interpreter, node: Negated, state: State, stdin: Stream) -> Done:
    """`! a`: success and failure trade places."""
    ok, bad, out = shell.statement(node.body, state, stdin)
    return bad, ok, out


def and_or(shell: Interpreter, node: AndOr, state: State, stdin: Stream) -> Done:
    """`a && b || c`: what stands to the right runs where the left side ended that way."""
    ok, bad, out = shell.statement(node.first, state, stdin)
    outputs = [out]
    mark = shell.contents.mark()
    for operator, statement in node.rest:
        if operator == "&&":
            # The right side changes a copy: after a failure on the left the state is what it was there.
            ok, failed, out = shell.statement(statement, ok.copy(), stdin)
            bad = bad.join(failed)
        else:
            shell.emit.maybe += 1
            second, bad, out = shell.statement(statement, bad.copy(), stdin)
            shell.emit.maybe -= 1
            ok = ok.join(second)
        outputs.append(perhaps(out))
    shell.contents.weaken(mark)
    return ok, bad, concatenated(outputs)


def pipeline(shell: Interpreter, node: Pipeline, state: State, stdin: Stream) -> Done:
    """`a | b`: every stage in a shell of its own, and what one says the next one reads."""
    out = stdin
    first = shell.stages + 1
    for index, stage in enumerate(node.stages):
        shell.stages += 1
        shell.contents.enter_stage(shell.stages)
        inner = state.copy()
        if index < len(node.stages) - 1:
            inner.sinks = ()
        if index and shell.diverted:
            out = Stream(text=out.text, sources=merge(out.sources, shell.diverted), names=out.names, flow=out.flow)
        _, _, out = shell.statement(stage, inner, out.through("pipe") if index else stdin)
        shell.contents.leave_stage()
    shell.contents.end_pipeline(range(first, shell.stages + 1))
    return state, state, out


def redirected(shell: Interpreter, node: Redirected, state: State, stdin: Stream) -> Done:
    """A compound command with redirections of its own."""

    def once(inner: State, cwd: str | None) -> Done:
        call = shell.call("redirection", (), inner, cwd, stdin, (0, 0))
        outs, source = redirections(shell, node.redirects, call, stdin)
        ok, bad, out = shell.statement(node.body, inner, source)
        return ok, bad, write_out(shell, outs, out, call)

    return each_directory(shell, state, once)


def each_directory(shell: Interpreter, state: State, once: Callable[[State, str | None], Done]) -> Done:
    """Run something in each directory the shell may be in, and join what comes of it."""
    if len(state.cwds) == 1:
        return once(state, state.cwds[0])
    oks: list[State] = []
    bads: list[State] = []
    outputs: list[Stream] = []
    shell.emit.maybe += 1
    for cwd in state.cwds:
        inner = state.copy()
        inner.cwds = (cwd,)
        ok, bad, out = once(inner, cwd)
        oks.append(ok)
        bads.append(bad)
        outputs.append(out)
    shell.emit.maybe -= 1
    return joined(oks), joined(bads), sometimes(outputs)


def if_(shell: Interpreter, node: If, state: State, stdin: Stream) -> Done:
    """`if`: each branch may be the one; afterwards any of them was."""
    ends: list[State] = []
    outputs: list[Stream] = []
    rest = state
    for index, (condition, body) in enumerate(node.branches):
        ok, bad, out = shell.block(condition, rest, stdin)
        outputs.append(out)
        shell.emit.maybe += 1
        done, failed, out = shell.block(body, ok.copy(), stdin)
        shell.emit.maybe -= 1
        ends += [done, failed]
        outputs.append(out)
        rest = bad
        if index == 0 and len(node.branches) > 1:
            shell.emit.maybe += 1
    if node.otherwise is not None:
        shell.emit.maybe += 1
        done, failed, out = shell.block(node.otherwise, rest.copy(), stdin)
        shell.emit.maybe -= 1
        ends += [done, failed]
        outputs.append(out)
    else:
        ends.append(rest)
    if len(node.branches) > 1:
        shell.emit.maybe -= 1
    end = joined(ends)
    return end, end, sometimes(outputs)


def case(shell: Interpreter, node: Case, state: State, stdin: Stream) -> Done:
    """`case`: each body may be the one; afterwards any of them was, or none."""
    shell.expand.value(node.word, state)
    end = state
    outputs: list[Stream] = []
    for patterns, body in node.items:
        for pattern in patterns:
            shell.expand.value(pattern, end)
        shell.emit.maybe += 1
        ok, bad, out = shell.block(body, end.copy(), stdin)
        shell.emit.maybe -= 1
        end = end.join(ok).join(bad)  # also covers `;&`, which falls into the next body
        outputs.append(out)
    return end, end, sometimes(outputs)


def loop(shell: Interpreter, node: Loop, state: State, stdin: Stream) -> Done:
    """`while`, `until` and `for ((…))`: the body from a state that holds before every round."""
    shell.expand.arithmetic(node.names, state, (0, 0))
    for name in node.assigns:
        state.vars[name] = Value(alternatives=(NUM,))

    def once(inner: State) -> tuple[State, Stream]:
        ok, bad, first = shell.block(node.condition, inner, stdin)
        ok, bad, out = shell.block(node.body, ok.join(bad), stdin)
        return ok.join(bad), sometimes([first, out])

    wide = _widened(shell, state, once)
    shell.emit.maybe += 1
    end, out = once(wide.copy())
    shell.emit.maybe -= 1
    end = end.join(wide)
    return end, end, out


def _widened(shell: Interpreter, state: State, once: Callable[[State], tuple[State, Stream]]) -> State:
    """A state that holds before every round of a loop: what a round changes is unknown."""
    wide = state.copy()
    shell.emit.muted += 1
    try:
        for _ in range(MAX_WIDENINGS):
            after, _out = once(wide.copy())
            both = wide.join(after)
            if both.same(wide):
                return wide
            for name, value in both.vars.items():
                if value != wide.vars.get(name):
                    both.vars[name] = Value(alternatives=(NUM,)) if _numeric(value) else Value(sources=value.sources)
            if both.cwds != wide.cwds:
                both.cwds = (None,)
            wide = both
    finally:
        shell.emit.muted -= 1
    wide.forget()
    return wide


def for_(shell: Interpreter, node: For, state: State, stdin: Stream) -> Done:
    """`for`: round by round over a known list, else as any loop."""
    values, handed = _values_of(shell, node, state)
    if values is None or len(values) > MAX_ROUNDS or node.select:
        sources = handed

        def once(inner: State) -> tuple[State, Stream]:
            set_variable(shell, inner, node.name, Value(sources=sources))
            ok, bad, out = shell.block(node.body, inner, stdin)
            return ok.join(bad), out

        wide = _widened(shell, state, once)
        shell.emit.maybe += 1
        end, out = once(wide.copy())
        shell.emit.maybe -= 1
        end = end.join(wide)
        return end, end, out.through("loop")
    ends: list[State] = [] if values else [state]
    outputs: list[Stream] = []
    current = state
    mark = shell.contents.mark()
    for field in values:
        text = TOP if field.glob is not None or field.many else field.text
        inner = current.copy()
        set_variable(shell, inner, node.name, Value(alternatives=(text,), sources=field.sources))
        ok, bad, out = shell.block(node.body, inner, stdin)
        current = ok.join(bad)
        ends.append(current)
        outputs.append(out)
    end = joined(ends)  # `break` may leave after any round
    shell.contents.weaken(mark)
    return end, end, concatenated(outputs)


def _values_of(shell: Interpreter, node: For, state: State) -> tuple[list[Field] | None, tuple[Resource, ...]]:
    """The list of a `for` loop, None if it is not known how many there are; and whose content is in it."""
    if node.words is None:
        known = state.args is not None
        fields = [Field(text=text, sources=state.handed) for text in state.args or ()]
        return fields if known else None, state.handed
    values: list[Field] = []
    for vector in shell.expand.alternatives(node.words, state):
        values.extend(vector)
    sources = merge((), tuple(source for field in values for source in field.sources))
    return None if any(field.many for field in values) else values, sources


def function(shell: Interpreter, node: Function, state: State, _stdin: Stream) -> Done:
    """A definition, which runs nothing yet."""
    state.functions[node.name] = (node.body,)
    shell.defined[node.name] = (*shell.defined.get(node.name, (None,)), node.body)
    if node.name == "command_not_found_handle":
        # bash calls it on its own, for any name that it does not find.
        shell.emit.maybe += 1
        shell.statement(node.body, state.copy(), SOMETHING)
        shell.emit.maybe -= 1
    return state, state, NOTHING


def test(shell: Interpreter, node: Test, state: State, _stdin: Stream) -> Done:
    """`[[ … ]]`."""
    for word in node.words:
        value = shell.expand.value(word, state)
        unsafe = any(TOP in text or "[" in text for text in value.alternatives)
        if all(isinstance(part, Text) for part in word.parts):
            unsafe = any("[" in text and ("$" in text or "`" in text) for text in value.alternatives)
        if node.arithmetic and unsafe:
            shell.dynamic("arithmetic on text that is not known", (word.start, word.end))
    return state, state, NOTHING


def arithmetic(shell: Interpreter, node: Arithmetic, state: State, _stdin: Stream) -> Done:
    """`(( … ))`."""
    shell.expand.arithmetic(node.names, state, (0, 0))
    for name in node.assigns:
        set_variable(shell, state, name, Value(alternatives=(NUM,)))
    return state, state, NOTHING


def _numeric(value: Value) -> bool:
    return not value.sources and all(re.fullmatch(rf"-?[0-9{NUM}]+", text) for text in value.alternatives)
