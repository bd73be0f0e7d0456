"""What an expansion asks of the shell that it is part of."""

from __future__ import annotations

from typing import Protocol

from guardrail.effects.domain._contents import Contents
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import Stream
from guardrail.model import Resource
from guardrail.parse.ir import Script


class Runner(Protocol):
    """What expansion needs of the interpreter: run the commands of a substitution."""

    contents: Contents
    handed: tuple[str, ...]
    spoken: tuple[Resource, ...]

    def substitute(self, script: Script, state: State, *, beside: bool = False) -> Stream:
        """Effects of the commands in a subshell, and their output."""
        ...

    def dynamic(self, reason: str, span: tuple[int, int]) -> None:
        """Code that is not known may run here."""
        ...

    def defer(self, script: Script, state: State) -> None:
        """Commands that read what the command at hand will write."""
        ...

    def noticed(self, name: str, state: State) -> None:
        """A variable was given a value by an expansion."""
        ...

    def jump(self, name: str, state: State) -> None:
        """The shell may end here, as by a command of this name."""
        ...

    def abort(self, state: State) -> None:
        """What is worked out here may be an error, which ends the line."""
        ...
