"""`>(…)`: commands that read what a statement writes, and so are walked after it.

Not concerned with substitutions whose output a command is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import Stream, merge
from guardrail.effects.shell._streams import Done
from guardrail.model import Resource
from guardrail.parse.ir import Script, Simple, Statement

if TYPE_CHECKING:
    from guardrail.effects.shell._interpreter import Interpreter


def run_deferred(shell: Interpreter, statement: Statement, stdin: Stream, done: Done) -> None:
    """The commands of `>(…)`, which are handed whatever the statement had in its hands."""
    waiting, shell.deferred = shell.deferred, ()
    sources = merge(merge(done[2].sources, stdin.sources), shell.diverted)
    if isinstance(statement, Simple) and statement.words and statement.words[0].plain == "exec":
        _all_later(shell, waiting, sources, statement, done)
        return
    for script, state in waiting:
        given = Stream(sources=sources, flow=("process",), connected=True)
        shell.substitute(script, state, given, beside=True)


def _all_later(
    shell: Interpreter,
    waiting: Sequence[tuple[Script, State]],
    sources: tuple[Resource, ...],
    statement: Simple,
    done: Done,
) -> None:
    """`exec > >(…)`: all later output goes to where those commands bring what they read."""
    targets: tuple[Resource, ...] = ()
    plain = True
    for script, state in waiting:
        before = len(shell.emit.effects)
        given = Stream(sources=(*sources, _LATER), flow=("process",), connected=True)
        shell.substitute(script, state, given, beside=True)
        found = shell.emit.effects[before:]
        targets = merge(targets, tuple(e.target for e in found if e.resource == _LATER and e.target is not None))
        shell.emit.effects[before:] = [effect for effect in found if effect.resource != _LATER]
        plain = plain and not shell.deferred and all(effect.op in _BRINGING for effect in found)
    if not plain:
        shell.dynamic("all later output goes into a process substitution", (statement.start, statement.end))
        return
    for state in done[:2]:
        state.sinks = merge(tuple(sink for sink in state.sinks if sink.pattern != "/dev/fd/*"), targets)
        state.held = merge(tuple(sink for sink in state.held if sink.pattern != "/dev/fd/*"), targets)


_LATER: Final = Resource(kind="any", uri="shell:later")
"""What the shell will print; no effect on it is kept."""

_BRINGING: Final = frozenset(("copy", "write", "append", "create", "net_send", "net_recv", "list"))
"""Operations of commands that only bring what they read somewhere."""
