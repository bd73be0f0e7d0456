"""What is surely left of a file, or not, by the time that something runs: a write that has to have been done before it.

Not concerned with what the write puts there.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Final

from guardrail.effects.domain._emit import Replaced
from guardrail.effects.domain._state import State
from guardrail.parse.ir import Simple, Statement
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.shell._interpreter import Interpreter


def note_replaced(shell: Interpreter, path: str, state: State) -> None:
    """A redirection empties a file, if it can open it."""
    plain = shell.depth == 1 and not shell.limited and state.path is not None
    found = Replaced(since=len(shell.emit.effects), span=shell.here, plain=plain)
    shell.emit.replaced[posixpath.normpath(path)] = found


def is_replaced(shell: Interpreter, path: str) -> bool:
    """Whether nothing is left of what a file held before this call, by the time that what is at hand runs.

    A write needs to have been done where `&&` or `set -e` stands between, and is taken as done where the guard
    itself could write there and nothing in the call may change that.
    """
    name = posixpath.normpath(path)
    found = shell.emit.replaced.get(name)
    if found is None or name in shell.assured:
        return found is not None
    return found.plain and shell.view.writable(path) and not shell.emit.hampered(found.since)


def assure(shell: Interpreter, statement: Statement, since: int) -> None:
    """What follows runs only if a simple command did not fail: its own redirections opened their files.

    Args:
        statement: what succeeded.
        since: how many effects there were before it.
    """
    if shell.outer is None and isinstance(statement, Simple) and statement.redirects:
        span = (statement.start, statement.end)
        done = {path for path, at in shell.emit.replaced.items() if at.span == span and at.since >= since}
        shell.assured |= done


def is_steady(text: str) -> bool:
    """A shell text that begins with `set -e`, and leaves it at that."""
    begun = _STRICT.match(text)
    return begun is not None and _UNSTEADY.search(text, begun.end()) is None


_STRICT: Final = lazy(r"\s*(?:#[^\n]*\n\s*)*set -[a-z]*e[a-z]*(?: pipefail| -o pipefail| -[ux])*[ \t]*(?:[;\n]|&&)")
_UNSTEADY: Final = lazy(r"(?<![\w-])(?:set|eval|source|errexit)(?![\w-])|(?<![\w./-])\.(?=\s)")
