"""What shells that live on from call to call know: directory, variables, options.

Kept in memory: a restart forgets it, and then nothing about such a shell is known. Not concerned with shells that a
tool starts anew for each call. Blind spot: a call that was released and then timed out, or was run out of turn, leaves
another state behind than the one kept here; a call that is known to have failed forgets its shell (`forget`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from guardrail.effects.domain._values import State

MAX_VARIABLES: Final = 256
"""Most variables that are kept for one shell; with more, nothing about it is known."""


class ShellMemory:
    """One shell, before a call and after it.

    Args:
        before: what is known as the call begins; None for nothing.
    """

    __slots__ = ("after", "before")

    def __init__(self, before: State | None = None) -> None:
        self.before = before
        self.after: State | None = None


class ShellMemories:
    """The shells of every session.

    Args:
        shells: most shells kept; the longest unused is dropped first.
    """

    def __init__(self, shells: int = 10_000) -> None:
        self._limit = shells
        self._states: OrderedDict[tuple[str, str], State] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, session: str, tool: str) -> ShellMemory:
        """The shell behind a tool in a session, to be handed to `analyse`."""
        with self._lock:
            return ShellMemory(self._states.get((session, tool)))

    def keep(self, session: str, tool: str, shell: ShellMemory) -> None:
        """The call was released: its shell goes on from what the analysis left."""
        key = (session, tool)
        with self._lock:
            self._states.pop(key, None)
            if shell.after is not None and len(shell.after.vars) <= MAX_VARIABLES:
                self._states[key] = shell.after
                while len(self._states) > self._limit:
                    self._states.popitem(last=False)

    def forget(self, session: str, tool: str) -> None:
        """The call failed: nothing is known about its shell any more."""
        with self._lock:
            self._states.pop((session, tool), None)
