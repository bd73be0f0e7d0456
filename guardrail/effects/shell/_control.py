"""Control flow: lists, pipelines, branches and functions; every one joins what may be the case.

Not concerned with loops, nor with single commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from guardrail.effects.domain._assured import assure
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import NOTHING, SOMETHING, TOP, Stream, is_known, merge
from guardrail.effects.shell._listings import PASSING
from guardrail.effects.shell._numbers import look_at, solve
from guardrail.effects.shell._parameters import matches
from guardrail.effects.shell._reading import consumed
from guardrail.effects.shell._redirects import errors_too, moved, redirections, write_out
from guardrail.effects.shell._streams import Done, concatenated, joined, perhaps, sometimes, succeeds
from guardrail.effects.shell._traps import rearm
from guardrail.parse.ir import (
    AndOr,
    Arithmetic,
    Block,
    Case,
    Function,
    Group,
    If,
    Negated,
    Pipeline,
    Redirected,
    Simple,
    Statement,
    Test,
    Text,
    Word,
)
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.shell._interpreter import Interpreter


def group(shell: Interpreter, node: Group, state: State, stdin: Stream) -> Done:
    """`{ …; }` in this shell, `( … )` and a background command in a copy of it."""
    if not node.subshell:
        return shell.block(node.body, state, stdin)
    mark, jumps = shell.contents.mark(), shell.jumps
    _, _, out = shell.apart(node.body, state.copy(), stdin)
    if node.background:
        shell.contents.lose(mark, lasting=True)
    else:
        shell.contents.weaken(mark, anywhere=shell.jumps != jumps or shell.errexit)
    return state, state, out


def negated(shell: Interpreter, node: Negated, state: State, stdin: Stream) -> Done:
    """`! a`: success and failure trade places."""
    ok, bad, out = shell.statement(node.body, state, stdin)
    return bad, ok, out


def and_or(shell: Interpreter, node: AndOr, state: State, stdin: Stream) -> Done:
    """`a && b || c`: what stands to the right runs where the left side ended that way."""
    since, assured = len(shell.emit.effects), shell.assured
    ok, bad, out = shell.statement(node.first, state, stdin)
    outputs = [out]
    mark = shell.contents.mark()
    left = node.first
    certain, either = True, False
    for operator, statement in node.rest:
        stdin = consumed(left, stdin, shell.defined)
        # What stands behind `&&` may be left out, but after what cannot fail.
        certain = certain and operator == "&&" and succeeds(left)
        if operator == "&&":
            if not either:
                assure(shell, left, since)
            # The right side changes a copy: after a failure on the left the state is what it was there.
            ok, failed, out = shell.statement(statement, ok.copy(), stdin)
            bad = bad.join(failed)
        else:
            either, shell.assured = True, assured
            shell.emit.maybe += 1
            second, bad, out = shell.statement(statement, bad.copy(), stdin)
            shell.emit.maybe -= 1
            ok = ok.join(second)
        outputs.append(out if certain else perhaps(out))
        left = statement
    shell.assured = assured
    # It ends behind any part that another one, which may fail, stands behind.
    stops = len(node.rest) > 1 and not all(succeeds(statement) for _, statement in node.rest[1:])
    shell.contents.weaken(mark, anywhere=stops)
    return ok, bad, concatenated(outputs) if certain else sometimes(outputs)


_TAKERS: Final = frozenset(("xargs", "gxargs", "parallel", "read", "mapfile", "readarray", "cpio", "pax", "tar", "zip"))
"""Commands that make words of the lines they read."""


def _takes_words(stage: Statement) -> bool:
    """Whether a stage of a pipeline may make words of what it reads: only simple commands are known not to."""
    name = stage.words[0].plain if isinstance(stage, Simple) and stage.words else None
    return name is None or name in _TAKERS or name in _WRAPPING


def _keeps_lines(stage: Statement) -> bool:
    """Whether what a stage prints may be lines that it read."""
    return isinstance(stage, Simple) and bool(stage.words) and stage.words[0].plain in PASSING


_WRAPPING: Final = frozenset("sudo env nice nohup timeout time command exec busybox bash sh dash ionice doas".split())
"""Commands that run another one."""


def _heard(stages: Sequence[Statement], listening: bool) -> list[bool]:
    """For each stage, whether a later one may make words of what it prints, or the pipeline's reader does."""
    heard: list[bool] = []
    taken, kept = False, listening
    for stage in reversed(stages):
        heard.append(taken or kept)
        taken, kept = taken or _takes_words(stage), kept and _keeps_lines(stage)
    return heard[::-1]


def pipeline(shell: Interpreter, node: Pipeline, state: State, stdin: Stream) -> Done:
    """`a | b`: every stage in a shell of its own, and what one says the next one reads."""
    out = stdin
    first = shell.stages + 1
    listening = shell.listening
    heard = _heard(node.stages, listening)
    for index, stage in enumerate(node.stages):
        shell.stages += 1
        shell.listening = heard[index]
        shell.contents.enter_stage(shell.stages)
        inner = state.copy()
        if index < len(node.stages) - 1:
            inner.sinks = ()
            if inner.modes:
                inner.modes = inner.modes - {"merged"}
        if index and shell.diverted:
            # Whatever puts messages among the lines has said so by itself.
            sources = merge(out.sources, shell.diverted)
            out = Stream(
                text=out.text,
                sources=sources,
                names=out.names,
                listed=out.listed,
                table=out.table,
                flow=out.flow,
                inert=out.inert,
            )
        mark, jumps = shell.contents.mark(), shell.jumps
        _, _, out = shell.apart((stage,), inner, out.through("pipe") if index else stdin)
        if shell.jumps != jumps or shell.errexit:
            shell.contents.weaken(mark, anywhere=True)
        else:
            shell.contents.keep(mark)
        shell.contents.leave_stage()
    shell.listening = listening
    shell.contents.end_pipeline(range(first, shell.stages + 1))
    return state, state, out


def redirected(shell: Interpreter, node: Redirected, state: State, stdin: Stream) -> Done:
    """A compound command with redirections of its own."""

    def once(inner: State, cwd: str | None) -> Done:
        call = shell.call("redirection", (), inner, cwd, stdin, (0, 0))
        outs, source = redirections(shell, node.redirects, call, stdin)
        before = inner.copy() if call.doubted else None
        mark = shell.contents.mark() if call.doubted else None
        paths = [resource.path for resource, _, _ in outs if resource.path is not None]
        shell.contents.open(paths)
        ok, bad, out = shell.statement(node.body, inner, source)
        shell.contents.close(paths)
        if before is not None:
            # Both are one where the body does not tell them apart.
            ok, bad = (ok.copy() if ok is bad else ok), bad.join(before)
        if errors_too(node.redirects):
            out = msgspec.structs.replace(
                out, text=None, listed=(), table="", sources=merge(out.sources, shell.diverted)
            )
        out = moved(node.redirects, write_out(shell, outs, out, call), merged="merged" in inner.modes)
        if mark is not None:
            shell.contents.weaken(mark)
        return ok, bad, out

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
        for statement in condition:
            stdin = consumed(statement, stdin, shell.defined)
        outputs.append(out)
        shell.emit.maybe += 1
        done, failed, out = shell.block(body, ok.copy(), stdin)
        shell.emit.maybe -= 1
        ends += [] if _leaves(shell, body) else [done, failed]
        outputs.append(out)
        rest = bad
        if index == 0 and len(node.branches) > 1:
            shell.emit.maybe += 1
    if node.otherwise is not None:
        shell.emit.maybe += 1
        done, failed, out = shell.block(node.otherwise, rest.copy(), stdin)
        shell.emit.maybe -= 1
        ends += [] if ends and _leaves(shell, node.otherwise) else [done, failed]
        outputs.append(out)
    else:
        ends.append(rest)
    if len(node.branches) > 1:
        shell.emit.maybe -= 1
    end = joined(ends)
    return end, end, sometimes(outputs)


def case(shell: Interpreter, node: Case, state: State, stdin: Stream) -> Done:
    """`case`: the body that a known word chooses; else each may be the one, and afterwards any of them was, or none."""
    value = shell.expand.value(node.word, state)
    text = value.alternatives[0] if len(value.alternatives) == 1 and state.globs else TOP
    if is_known(text):
        chosen = _chosen(shell, node, text, state)
        if chosen is not None:
            return _bodies(shell, [node.items[index][1] for index in chosen], state, stdin)
    end = state
    ends: list[State] = []
    outputs: list[Stream] = []
    for patterns, body, _ in node.items:
        for pattern in patterns:
            shell.expand.value(pattern, end)
        shell.emit.maybe += 1
        ok, bad, out = shell.block(body, end.copy(), stdin)
        shell.emit.maybe -= 1
        if not _leaves(shell, body):
            end = end.join(ok).join(bad)  # also covers `;&`, which falls into the next body
            ends += [ok, bad]
        outputs.append(out)
    if ends and any(_is_any(pattern) for patterns, _, _ in node.items for pattern in patterns):
        end = joined(ends)  # one of them ran
    return end, end, sometimes(outputs)


def _leaves(shell: Interpreter, body: Block) -> bool:
    """The last command of a block is `exit`, so that this shell gets no further; a trap would still run."""
    last = body[-1] if body else None
    if not isinstance(last, Simple) or last.assigns or last.redirects or "exit" in shell.defined or shell.armed:
        return False
    words = [word.plain or "" for word in last.words]
    return words[:1] == ["exit"] and (len(words) == 1 or (len(words) == 2 and words[1].isdecimal()))


def _is_any(pattern: Word) -> bool:
    """The pattern `*`."""
    only = pattern.parts[0] if len(pattern.parts) == 1 else None
    return isinstance(only, Text) and only.text == "*" and not only.quoted


def _chosen(shell: Interpreter, node: Case, text: str, state: State) -> list[int] | None:
    """Which bodies run for a known word; None if a pattern is not known."""
    found: list[int] = []
    falling = False
    for index, (patterns, _, ending) in enumerate(node.items):
        if not falling:
            answers = [matches(shell.expand.pattern(pattern, state, {})[0], text) for pattern in patterns]
            first = next((answer for answer in answers if answer is not False), False)
            if first is None:
                return None
            falling = first
        if falling:
            found.append(index)
            if ending == ";;":
                return found
            falling = ending == ";&"
    return found


def _bodies(shell: Interpreter, bodies: Sequence[Block], state: State, stdin: Stream) -> Done:
    ok = bad = state
    outputs: list[Stream] = []
    for body in bodies:
        ok, bad, out = shell.block(body, ok if ok is bad else ok.join(bad), stdin)
        outputs.append(out)
    return ok, bad, concatenated(outputs)


def function(shell: Interpreter, node: Function, state: State, _stdin: Stream) -> Done:
    """A definition, which runs nothing yet."""
    state.functions[node.name] = (node.body,)
    shell.defined = {**shell.defined, node.name: (*shell.defined.get(node.name, (None,)), node.body)}
    if shell.armed:
        rearm(shell, state)
    if node.name == "command_not_found_handle":
        # bash calls it on its own, for any name that it does not find.
        shell.emit.maybe += 1
        shell.statement(node.body, state.copy(), SOMETHING)
        shell.emit.maybe -= 1
    return state, state, NOTHING


_OPERATOR: Final = lazy(r"-[a-z]{1,2}|[!=<>]=?|=~|")


def test(shell: Interpreter, node: Test, state: State, _stdin: Stream) -> Done:
    """`[[ … ]]`."""
    for word in node.words:
        value = shell.expand.value(word, state)
        shell.spoken = merge(shell.spoken, value.sources)
        shell.complain(state, value.sources)
        if node.arithmetic:
            look_at(shell.expand, [text for text in value.alternatives if not _OPERATOR.fullmatch(text)], state)
        unsafe = any(TOP in text or "[" in text for text in value.alternatives)
        if all(isinstance(part, Text) for part in word.parts):
            unsafe = any("[" in text and ("$" in text or "`" in text) for text in value.alternatives)
        if node.arithmetic and unsafe:
            shell.dynamic("arithmetic on text that is not known", (word.start, word.end))
    return state, state, NOTHING


def arithmetic(shell: Interpreter, node: Arithmetic, state: State, _stdin: Stream) -> Done:
    """`(( … ))`."""
    solve(shell.expand, node, state)
    return state, state, NOTHING
