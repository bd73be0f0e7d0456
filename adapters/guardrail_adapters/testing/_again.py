"""A conversation with a framework that cannot pause: a held call is reported, and made again once somebody answered."""

from __future__ import annotations

import abc
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from guardrail_adapters.testing._protocol import Call, Reply, Seen, Turn
from guardrail_adapters.testing._setting import Setting

CALLED_AGAIN: Final[Mapping[str, str]] = {
    "edit": "the program makes its call again, and nobody else words it",
    "edit-denied": "the program makes its call again, and nobody else words it",
    "sticky": "the call that is made again is a new one, judged by the policy of then",
    "retried": "an approval is for one call: every further attempt needs one of its own",
}
"""What no adapter can meet where a held call has to be made again."""


class CalledAgain(abc.ABC):
    """One program; what it waits for lies in a file, so that it can go on after a restart.

    Args:
        setting: where it takes place.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._seen: dict[str, Seen] = {}
        self._file = setting.own / "waiting.json"

    @abc.abstractmethod
    def make(self, calls: Mapping[str, str]) -> tuple[Mapping[str, Seen], Collection[str]]:
        """Make calls, by id.

        Returns:
            What the model reads of those that were answered, and the ids of those that a person has to decide.
        """

    def start(self, calls: Sequence[Call]) -> Turn:
        """Make the calls."""
        return self._made({call.id: call.command for call in calls}, {})

    def resume(self, replies: Mapping[str, Reply]) -> Turn:
        """Record what people said, and make every call again that somebody answered."""
        waiting: dict[str, str] = json.loads(self._file.read_text(encoding="utf-8"))
        for call, reply in replies.items():
            self.setting.decide(waiting[call], reply)
        again = {call: command for call, command in waiting.items() if call in replies}
        return self._made(again, {call: command for call, command in waiting.items() if call not in replies})

    def close(self) -> None:
        """Nothing is open, so what was seen is let go."""
        self._seen = {}

    def _made(self, calls: Mapping[str, str], left: Mapping[str, str]) -> Turn:
        seen, held = self.make(calls)
        self._seen |= seen
        waiting = {**left, **{call: command for call, command in calls.items() if call in held}}
        self._file.write_text(json.dumps(waiting), encoding="utf-8")
        return Turn(seen=self._seen, waiting=tuple(waiting))


Try = Callable[[str, str], Seen | None]
"""Makes a call, by its id and its command: what the model reads, or None if it waits for a person."""


class Program(CalledAgain):
    """One that makes its calls one after the other, and again where the tool fails, as its layer wants it.

    Args:
        setting: where it takes place.
        attempt: makes a call once.
        end: lets everything go.
    """

    def __init__(self, setting: Setting, attempt: Try, end: Callable[[], None] = lambda: None) -> None:
        super().__init__(setting)
        self._attempt = attempt
        self._end = end

    def make(self, calls: Mapping[str, str]) -> tuple[Mapping[str, Seen], Collection[str]]:
        """Try each."""
        tried = {call: self._tried(call, command) for call, command in calls.items()}
        seen = {call: answer for call, answer in tried.items() if answer is not None}
        return seen, tried.keys() - seen.keys()

    def close(self) -> None:
        """Let everything go."""
        self._end()

    def _tried(self, call: str, command: str) -> Seen | None:
        layer = self.setting.layer
        for _ in range(1, layer.attempts):
            try:
                return self._attempt(call, layer.rewritten(command))
            except OSError:
                continue
        return self._attempt(call, layer.rewritten(command))
