"""Shells that outlive a call: what each of them knows after the calls that were let run.

Not concerned with whether a call is let run: the guard keeps what a call left only then. A shell that nothing is
remembered of, because the guard was restarted or its session is too old, is one of which nothing is known.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from guardrail.effects.domain._state import State
from guardrail.effects.domain._view import FileView
from guardrail.parse import parse_shell
from guardrail.parse.ir import Simple

MAX_SHELLS: Final = 10_000
"""Most shells that are remembered; the longest unused is dropped first."""

MAX_VARIABLES: Final = 1_000
"""Most variables and functions that are remembered of one shell; with more nothing is."""

Key = tuple[str, str, str]
"""Session, agent and tool: what one shell belongs to."""


def directory_left(text: str, view: FileView) -> str | None:
    """Where a shell is after a text that plainly goes to a directory that anybody may enter.

    A `cd` may fail, and then the shell stays where it was; where nothing is known of that, nothing would ever be.

    Args:
        text: what was typed into the shell.
        view: the live filesystem.

    Returns:
        The directory; None if it is not certain.
    """
    where: str | None = None
    for statement in parse_shell(text).body:
        words = [word.plain for word in statement.words] if isinstance(statement, Simple) else None
        if words is not None and words and words[0] not in _MOVING:
            continue
        target = words[1] if words is not None and len(words) == 2 and words[0] == "cd" else None
        moves = words is not None or any(name in text for name in ("cd", "pushd", "popd", "eval", "source"))
        if not moves:
            continue
        absolute = target is not None and target.startswith("/") and ".." not in target
        where = target if target is not None and absolute and view.enterable(target) else None
    return where


_MOVING: Final = frozenset(("cd", "chdir", "pushd", "popd", "eval", "source", ".", "builtin", "command", None))
"""Commands after which a shell may be elsewhere; None stands for a name that is not plain."""


class ShellMemory:
    """What one shell is known to be before a call, and after it.

    Args:
        key: which shell.
        state: what is known of it; None if nothing is.
    """

    __slots__ = ("after", "before", "key", "lost")

    def __init__(self, key: Key, state: State | None) -> None:
        self.key = key
        self.before = state
        self.after: State | None = None
        self.lost = False

    def start(self) -> State | None:
        """The state in which the call finds the shell, to be changed at will."""
        return None if self.before is None else self.before.copy()

    def leave(self, state: State) -> None:
        """The state in which the call leaves the shell; of several texts in one call, any may be the last."""
        self.after = state if self.after is None else self.after.join(state)

    def lose(self) -> None:
        """What the call leaves is not known: it was not analysed to its end."""
        self.lost = True


class Shells:
    """Every shell that is remembered."""

    def __init__(self) -> None:
        self._states: OrderedDict[Key, State] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, session: str, agent: str, tool: str) -> ShellMemory:
        """What is known of the shell that a tool keeps for an agent in a session."""
        key = (session, agent, tool)
        if not self._states:
            return ShellMemory(key, None)
        with self._lock:
            return ShellMemory(key, self._states.get(key))

    def forget(self, memory: ShellMemory) -> None:
        """Nothing is known of the shell any more: a call was not carried out to its end, or not analysed to its."""
        with self._lock:
            self._states.pop(memory.key, None)

    def keep(self, memory: ShellMemory) -> None:
        """A call was let run: the shell is now what that call leaves."""
        after = memory.after
        if memory.lost:
            self.forget(memory)
        if after is None or memory.lost:
            return
        with self._lock:
            if len(after.vars) + len(after.functions) > MAX_VARIABLES:
                self._states.pop(memory.key, None)
                return
            self._states[memory.key] = after
            self._states.move_to_end(memory.key)
            while len(self._states) > MAX_SHELLS:
                self._states.popitem(last=False)
