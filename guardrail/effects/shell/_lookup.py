"""What a name stands for in a shell: variables, parameters, the directories behind a tilde.

Not concerned with what is done to a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import GIVEN_NAMES, NUM, TOKEN, TOP, merge
from guardrail.effects.shell._runner import Runner
from guardrail.model import Resource

_NUMBERS: Final = frozenset(
    ("?", "#", "$", "!", "RANDOM", "SECONDS", "EPOCHSECONDS", "LINENO", "UID", "EUID", "PPID", "OPTIND")
)


_OWN: Final[Mapping[str, str]] = {
    "BASH_SOURCE": "",  # no file that runs
    "GITHUB_OUTPUT": "/github/file_commands/output",
    "GITHUB_STATE": "/github/file_commands/state",
    "GITHUB_STEP_SUMMARY": "/github/file_commands/step_summary",
}
"""What a shell finds that was started for this call: files of a runner that steps report to, wherever it puts them.

What `GITHUB_ENV` and `GITHUB_PATH` name is read before later steps run, and may change what their commands mean.
"""


_LAST: Final = frozenset(("_", "BASH_REMATCH", "BASH_COMMAND"))
"""Variables that hold parts of words of commands before."""


class Lookup:
    """Looks names up for one call.

    Args:
        environment: variables known to hold.
        runner: the shell that asks.
    """

    __slots__ = ("environment", "runner")

    def __init__(self, environment: Mapping[str, str], runner: Runner) -> None:
        self.environment = environment
        self.runner = runner

    def lookup(self, name: str, state: State, chosen: dict[str, str]) -> tuple[str, tuple[Resource, ...]]:
        """The value of a variable here, and whose content is in it."""
        value = state.vars.get(name)
        if name.startswith("__part") and name in chosen:
            return chosen[name], ()
        if name in _LAST:
            return TOP, merge(state.contents(), self.runner.spoken)
        if value is not None:
            if name in chosen:
                return chosen[name], value.sources
            text = value.alternatives[0] if len(value.alternatives) == 1 else TOP
            return text, value.sources
        if name == "PWD":
            cwd = state.cwds[0] if len(state.cwds) == 1 else None
            return (cwd if cwd is not None else TOP), ()
        if name in _NUMBERS and (name != "#" or state.args is None):
            return NUM, ()
        if name.isdigit() and state.args is not None:
            index = int(name)
            # A shell that was started for this call has its own name there.
            return (state.args[index - 1] if 0 < index <= len(state.args) else "" if index else "bash"), state.handed
        if name in "@*" and state.args is not None:
            return (" ".join(state.args) if state.ifs or len(state.args) < 2 else TOP), state.handed
        if name == "#" and state.args is not None:
            return str(len(state.args)), ()
        if name.isdigit() or name in "@*":
            return TOP, state.handed
        if state.args is not None and name in _OWN and name not in self.environment:
            return _OWN[name], ()
        return self.environment.get(name, TOKEN if name in GIVEN_NAMES else TOP), ()

    def tilde(self, text: str, state: State, *, alone: bool) -> str:
        """A text that may begin with a directory of somebody's, written out."""
        if not text.startswith("~"):
            return text
        head, slash, tail = text.partition("/")
        if not slash and not alone:
            return TOP
        if head == "~":
            home, _ = self.lookup("HOME", state, {})
        elif head == "~+":
            home, _ = self.lookup("PWD", state, {})
        else:
            home = TOP
        return home + slash + tail
