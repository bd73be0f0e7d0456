"""Loops: round by round where that is known, else from a state that holds before every round.

Not concerned with branches, nor with what single commands do.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from guardrail.effects.domain._environment import set_variable
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import NOTHING, NUM, TOP, Field, Stream, Value, merge
from guardrail.effects.shell._arithmetic import evaluate
from guardrail.effects.shell._letters import next_letter
from guardrail.effects.shell._listings import named_texts
from guardrail.effects.shell._numbers import calculate, look_into, operands
from guardrail.effects.shell._reading import Draining, line_reader, lines_of, reads_any, unread
from guardrail.effects.shell._streams import Done, concatenated, joined, perhaps, sometimes
from guardrail.model import Resource
from guardrail.parse.ir import Arithmetic, For, Loop, Param, Simple, Statement, Test, Text
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.shell._interpreter import Interpreter

MAX_ROUNDS: Final = 64
"""Most rounds of a loop that are walked one by one."""

MAX_WIDENINGS: Final = 4
"""Most trial rounds of a loop until its state no longer changes; then all of it is unknown."""

_NUMBER: Final = lazy(rf"-?[0-9{NUM}]+")

Known = Callable[[State], int | None]
"""Whether another round of a loop comes: 0 if not, None if that is not known."""

Round = Callable[[State], tuple[State, Stream]]
"""One round of a loop: the state before it -> the state after it, and its output."""


def loop(shell: Interpreter, node: Loop, state: State, stdin: Stream) -> Done:
    """`while`, `until` and `for ((…))`."""
    if node.clauses is not None:
        return _c_style(shell, node, state, stdin)
    reader = line_reader(node.condition, shell.defined)
    if reader is not None and not node.until:
        lines, _ = lines_of(stdin)
        if lines is not None and len(lines) <= MAX_ROUNDS and not reads_any(node.body, Draining(shell.defined)):
            return _lines(shell, node, state, stdin, lines)
    condition = node.condition[0] if len(node.condition) == 1 else None
    if isinstance(condition, Arithmetic) and not condition.parts and not node.until:
        text = condition.text
        return _counted(shell, node, state, stdin, lambda inner: _value(shell, node, text, inner))
    left = _arguments_left(condition, shell.defined) if condition is not None and not node.until else None
    # Which arguments a text is given that is kept as a script, or sent somewhere, is for those to say who start it.
    if left is not None and (state.args or shell.locals):
        return _counted(shell, node, state, stdin, left)
    return _any_rounds(shell, node, state, stdin)


def _any_rounds(shell: Interpreter, node: Loop, state: State, stdin: Stream) -> Done:
    """Any number of rounds."""
    rest = unread(stdin) if reads_any((*node.condition, *node.body), shell.defined) else stdin
    reading = not node.until and len(node.condition) == 1 and isinstance(node.condition[0], Simple)

    def once(inner: State) -> tuple[State, Stream]:
        ok, bad, first = shell.block(node.condition, inner, rest)
        # What a condition leaves behind that is one `read`, the body finds where it succeeded.
        before = ok if ok is not bad and reading else ok.join(bad)
        ok, bad, out = shell.block(node.body, before, rest)
        if node.clauses is not None:
            look_into(shell.expand, node.names, ok, (0, 0))
            operands(shell.expand, node.parts, ok, {}, (0, 0))
            for name in node.assigns:
                for end in (ok, bad):
                    end.put(name, Value(alternatives=(NUM,)))
        return ok.join(bad), sometimes([first, out])

    end, out = _widely(shell, state, once)
    # The condition has the last word.
    shell.emit.muted += 1
    ok, bad, _ = shell.block(node.condition, end.copy(), rest)
    shell.emit.muted -= 1
    end = end.join(ok).join(bad)
    return end, end, out


def _widely(shell: Interpreter, state: State, once: Round) -> tuple[State, Stream]:
    """What holds after any number of rounds, and their output."""
    wide = _widened(shell, state, once)
    shell.emit.maybe += 1
    end, out = _round(shell, once, wide.copy())
    shell.emit.maybe -= 1
    return end.join(wide), Stream(
        text="" if out.text == "" else None,
        sources=out.sources,
        names=out.names,
        listed=() if out.text == "" else out.listed,
        flow=out.flow,
    )


def _round(shell: Interpreter, once: Round, state: State) -> tuple[State, Stream]:
    """One round, also where `break` or `continue` leaves it."""
    shell.loops.append(None)
    end, out = once(state)
    left = shell.loops.pop()
    return (end if left is None else end.join(left)), out


def _widened(shell: Interpreter, state: State, once: Round) -> State:
    """A state that holds before every round of a loop: what a round changes is unknown."""
    wide = state.copy()
    shell.emit.muted += 1
    try:
        for _ in range(MAX_WIDENINGS):
            after, _out = _round(shell, once, wide.copy())
            both = wide.join(after)
            for name, value in both.vars.items():
                if value != wide.vars.get(name):
                    both.vars[name] = _any_value(value)
            if both.cwds != wide.cwds:
                both.cwds = (None,)
            if both.same(wide):
                return wide
            wide = both
    finally:
        shell.emit.muted -= 1
    wide.forget()
    return wide


def _any_value(value: Value) -> Value:
    if (
        value.items is None
        and not value.plural
        and not value.sources
        and all(map(_NUMBER.fullmatch, value.alternatives))
    ):
        return Value(alternatives=(NUM,))
    plural = value.plural or value.items is not None
    return Value(sources=value.sources, keyed=value.keyed, declared=value.declared, plural=plural)


# -- rounds that are known


def _walked(shell: Interpreter, state: State, rounds: Sequence[Round], *, drained: bool = False) -> Done:
    """Known rounds, one after the other; `break` may leave after any, and a round that reads the rest is the last."""
    ends: list[State] = []
    outputs: list[Stream] = []
    current = state
    jumps = shell.jumps
    mark = shell.contents.mark()
    for once in rounds:
        jumped = shell.jumps
        current, out = _round(shell, once, current)
        if shell.jumps != jumped or drained:
            ends.append(current.copy())  # the next round goes on with this one
        outputs.append(out)
    end = joined([current, *ends])
    left = shell.jumps != jumps or drained
    shell.contents.weaken(mark, anywhere=left)
    return end, end, sometimes(outputs) if left else concatenated(outputs)


def _lines(shell: Interpreter, node: Loop, state: State, stdin: Stream, lines: Sequence[str]) -> Done:
    """`while read -r l; do …; done` over an input that is known."""

    def of(line: str) -> Round:
        given = Stream(text=line, sources=stdin.sources, names=stdin.names, flow=stdin.flow, connected=True)

        def once(inner: State) -> tuple[State, Stream]:
            # Where `read` meets a variable that cannot be assigned to, it fails, and there is no such round.
            before = inner.copy() if any("r" in letters for letters in inner.traits.values()) else None
            ok, bad, _ = shell.block(node.condition, inner, given)
            ok, bad, out = shell.block(node.body, ok.join(bad), unread(stdin))
            end = ok.join(bad)
            return (end, out) if before is None else (end.join(before), perhaps(out))

        return once

    drained = reads_any(node.body, shell.defined)
    end, _, out = _walked(shell, state, [of(line) for line in lines], drained=drained)
    empty = Stream(text="", sources=stdin.sources, flow=stdin.flow, connected=True)
    ok, bad, _ = shell.block(node.condition, end.copy(), empty)
    end = ok.join(bad).join(end)
    return end, end, out


def _value(shell: Interpreter, node: Loop, text: str, state: State) -> int | None:
    given, _ = operands(shell.expand, node.parts, state.copy(), {}, (0, 0)) if "__part" in text else ({}, ())
    found = evaluate(text, lambda name: shell.expand.lookup(name, state, given)[0])
    return None if found is None else found[0]


def _arguments_left(condition: Statement, functions: Container[str]) -> Known | None:
    """For `[ $# -gt 0 ]` and `getopts`, whether the positional parameters call for another round."""
    if not isinstance(condition, Simple | Test):
        return None
    words = condition.words
    if isinstance(condition, Simple):
        if condition.assigns or condition.redirects or not words or not words[0].parts:
            return None
        (head,) = words[0].parts if len(words[0].parts) == 1 else (None,)
        name = head.text if isinstance(head, Text) else ""
        if name in functions or name not in ("[", "test", "getopts"):
            return None
        if name == "getopts":
            return partial(_options_left, words[1].plain) if len(words) == len(("getopts", "OPTIONS", "NAME")) else None
        words = words[1:-1] if name == "[" else words[1:]
    if [word.plain for word in words[1:]] not in _SOME_LEFT:
        return None
    first = words[0].parts
    counts = len(first) == 1 and isinstance(first[0], Param) and first[0].name == "#"
    return (lambda state: None if state.args is None else len(state.args)) if counts else None


_SOME_LEFT: Final = (["-gt", "0"], ["-ne", "0"], ["-ge", "1"])


def _options_left(options: str | None, state: State) -> int | None:
    """None where there may be an option."""
    found = next_letter(state, options) if options is not None else None
    if found is not None:
        return int(not found.ended)
    return None if state.args is None or any(text[:1] in ("-", "+", TOP, NUM) for text in state.args) else 0


def _counted(shell: Interpreter, node: Loop, state: State, stdin: Stream, left: Known) -> Done:
    """`while ((…))`, and its like, while it is known whether another round comes."""

    def asked(before: State) -> State:
        ok, bad, _ = shell.block(node.condition, before, NOTHING)
        return ok.join(bad)

    def once(inner: State) -> tuple[State, Stream]:
        ok, bad, out = shell.block(node.body, asked(inner), rest)
        return ok.join(bad), out

    rest = unread(stdin) if reads_any(node.body, shell.defined) else stdin
    return _while_known(shell, node, state, stdin, left, asked, once)


def _while_known(
    shell: Interpreter,
    node: Loop,
    state: State,
    stdin: Stream,
    left: Known,
    asked: Callable[[State], State],
    once: Round,
) -> Done:
    """Round by round while it is known whether another one comes, and from there on any number of them.

    Args:
        shell: the interpreter.
        node: the loop.
        state: the shell's state before it.
        stdin: what it reads.
        left: how many rounds are left, as far as is known.
        asked: what the condition itself leaves behind.
        once: one round, its condition included.
    """
    outputs: list[Stream] = []
    current = state
    for _ in range(MAX_ROUNDS):
        known = left(current)
        if known is None:
            break
        if known == 0:
            end = asked(current)
            return end, end, concatenated(outputs)
        jumps = shell.jumps
        current, out = _round(shell, once, current)
        outputs.append(out)
        if shell.jumps != jumps:
            break
    end, bad, out = _any_rounds(shell, node, current, stdin)
    return end, bad, sometimes([*outputs, out])


def _c_style(shell: Interpreter, node: Loop, state: State, stdin: Stream) -> Done:
    """`for ((first; condition; after))`."""
    first, condition, after = node.clauses or ("", "", "")

    def clause(text: str, before: State) -> State:
        given, _ = operands(shell.expand, node.parts, before, {}, (0, 0))
        calculate(shell.expand, text, node.names, node.assigns, before, (0, 0), given)
        return before

    def left_over(before: State) -> int | None:
        return _value(shell, node, condition, before) if condition.strip() else 1

    def once(inner: State) -> tuple[State, Stream]:
        ok, bad, out = shell.block(node.body, clause(condition, inner), rest)
        end = ok.join(bad)
        left = shell.loops[-1]
        if left is not None:  # `continue` goes on with what comes after each round
            end = end.join(left)
        clause(after, end)
        return end, out

    rest = unread(stdin) if reads_any(node.body, shell.defined) else stdin
    return _while_known(
        shell, node, clause(first, state), stdin, left_over, lambda before: clause(condition, before), once
    )


# -- for


def for_(shell: Interpreter, node: For, state: State, stdin: Stream) -> Done:
    """`for`: round by round over a known list, else as any loop; none where its variable cannot be assigned to."""
    if "r" in state.traits.get(node.name, ""):
        before = state.copy()
        end, _, out = _for(shell, node, state, stdin)
        end = end.join(before)
        return end, end, out
    return _for(shell, node, state, stdin)


def _for(shell: Interpreter, node: For, state: State, stdin: Stream) -> Done:
    vectors, handed, named = _vectors(shell, node, state)
    rest = unread(stdin) if reads_any(node.body, shell.defined) else stdin
    if vectors is None or node.select:

        def once(inner: State) -> tuple[State, Stream]:
            set_variable(shell, inner, node.name, Value(alternatives=named or (TOP,), sources=handed))
            ok, bad, out = shell.block(node.body, inner, unread(stdin))
            return ok.join(bad), out

        end, out = _widely(shell, state, once)
        return end, end, out.through("loop")
    if len(vectors) == 1:
        return _over(shell, node, state, rest, vectors[0])
    shell.emit.maybe += 1
    done = [_over(shell, node, state.copy(), rest, vector) for vector in vectors]
    shell.emit.maybe -= 1
    end = joined([one[0] for one in done])
    return end, end, sometimes([one[2] for one in done])


def _over(shell: Interpreter, node: For, state: State, stdin: Stream, values: Sequence[Field]) -> Done:
    def of(field: Field) -> Round:
        def once(inner: State) -> tuple[State, Stream]:
            inner = inner.copy()
            value = Value(alternatives=(field.text,), sources=field.sources)
            set_variable(shell, inner, node.name, inner.scalar(node.name, value))
            ok, bad, out = shell.block(node.body, inner, stdin)
            return ok.join(bad), out

        return once

    return _walked(shell, state, [of(field) for field in values])


def _vectors(
    shell: Interpreter, node: For, state: State
) -> tuple[list[Sequence[Field]] | None, tuple[Resource, ...], tuple[str, ...]]:
    """The lists that a `for` loop may go over, None if not known; whose content is in them; what each word is then."""
    if node.words is None:
        fields = [Field(text=text, sources=state.handed) for text in state.args or ()]
        known = state.args is not None and len(fields) <= MAX_ROUNDS
        return [fields] if known else None, state.handed, ()
    vectors: list[Sequence[Field]] = list(shell.expand.alternatives(node.words, state))
    sources = merge((), tuple(source for vector in vectors for field in vector for source in field.sources))
    # A pattern that matches nothing now may match any number of files by then.
    vague = any(field.many or field.glob is not None for vector in vectors for field in vector)
    if not vague and all(len(vector) <= MAX_ROUNDS for vector in vectors):
        return vectors, sources, ()
    return None, sources, named_texts([field for vector in vectors for field in vector])
