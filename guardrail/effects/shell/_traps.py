"""Traps that may run between any two commands: what their texts change may be something else at any time.

Not concerned with what such a text does to files: `_builtins.trap` says that once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from guardrail.effects.domain._values import UNKNOWN, State, Value, merge
from guardrail.model import Resource
from guardrail.parse import parse_shell
from guardrail.parse.ir import Simple

if TYPE_CHECKING:
    from guardrail.effects.shell._interpreter import Interpreter

_JUMPS: Final = re.compile(r"\b(?:return|break|continue)\b")
_NOWHERE: Final = "/guardrail-probe"


def arm(shell: Interpreter, state: State, text: str) -> None:
    """A text that runs on a signal, after an error or before every command.

    Args:
        shell: the interpreter.
        state: the shell that it may change.
        text: the text.
    """
    shell.armed.append(text)
    if _JUMPS.search(text):
        shell.dynamic("a trap leaves what runs", (0, 0))
    _shake(shell, state, text)


def rearm(shell: Interpreter, state: State) -> None:
    """A function was defined, which texts that are armed may call."""
    for text in shell.armed:
        _shake(shell, state, text)


def _shake(shell: Interpreter, state: State, text: str) -> None:
    """What the text changes is not known from here on; it is found out by running it where nothing is known."""
    if _ends(text):
        return
    probe = state.copy()
    probe.traits, probe.modes = {}, probe.modes | {"noting"}
    probe.cwds, probe.args = (_NOWHERE,), (_NOWHERE,)
    for name in probe.vars:
        # A text that leaves a variable alone leaves this mark on it.
        probe.vars[name] = Value(sources=(Resource(kind="env", uri=f"env:{name}"),))
    before = probe.copy()
    inner = type(shell)(shell.view, shell.limits, shell.expand.environment, shell.start)
    inner.depth, inner.begun, inner.emit.steps = shell.depth, True, shell.emit.steps
    ok, bad, _ = inner.run_here(text, probe)
    shell.emit.steps = inner.emit.steps
    _take_over(shell, state, before, ok.join(bad))


def _take_over(shell: Interpreter, state: State, before: State, end: State) -> None:
    for name, value in end.vars.items():
        if value != before.vars.get(name) or "w" in end.traits.get(name, ""):
            old = state.vars.get(name, UNKNOWN)
            sources = tuple(source for source in value.sources if source.kind != "env")
            state.mark(name, "v")
            state.put(name, Value(sources=merge(old.sources, sources), plural=True))
            if name == "PATH":
                state.path = None
            elif name == "IFS":
                state.ifs = False
    if end.cwds != before.cwds:
        state.cwds, state.modes = (None,), state.modes | {"moving"}
    if end.args != before.args:
        state.args, state.modes = None, state.modes | {"shuffling"}
    if end.functions != before.functions:
        shell.dynamic("a trap changes what a command means", (0, 0))
    state.globs = state.globs and end.globs
    state.modes |= end.modes - {"noting"}
    state.sinks, state.held = merge(state.sinks, end.sinks), merge(state.held, end.held)
    state.opened = merge(state.opened, end.opened)


def _ends(text: str) -> bool:
    """The text ends the shell, so that nothing comes after it."""
    body = parse_shell(text).body
    last = body[-1] if body else None
    return isinstance(last, Simple) and bool(last.words) and last.words[0].plain == "exit" and not last.redirects
