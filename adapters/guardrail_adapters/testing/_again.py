"""A program that cannot pause: what it was held for is made again, as a call of its own, once somebody has answered.

Not concerned with what judges: `Try` makes one call, and says how it went.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
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

Try = Callable[[str, str], Seen | None]
"""Makes a call, by its id and its command: what the model reads, or None if it waits for a person."""


class Program:
    """One program; what it waits for lies in a file, so that it can go on after a restart.

    Args:
        setting: the case's world.
        attempt: makes a call once.
        end: lets everything go.
    """

    def __init__(self, setting: Setting, attempt: Try, end: Callable[[], None] = lambda: None) -> None:
        self._setting = setting
        self._attempt = attempt
        self._end = end
        self._file = setting.own / "waiting.json"
        self._seen: dict[str, Seen] = {}

    def start(self, calls: Sequence[Call]) -> Turn:
        """Make the calls one after the other."""
        return self._make({call.id: call.command for call in calls})

    def resume(self, replies: Mapping[str, Reply]) -> Turn:
        """Record what people said, and make every call again that somebody answered."""
        waiting: dict[str, str] = json.loads(self._file.read_text(encoding="utf-8"))
        for call, reply in replies.items():
            self._setting.decide(waiting[call], reply)
        turn = self._make({call: command for call, command in waiting.items() if call in replies})
        left = {call: command for call, command in waiting.items() if call not in replies}
        self._keep({**left, **{call: waiting[call] for call in turn.waiting}})
        return Turn(seen=turn.seen, waiting=(*left, *turn.waiting))

    def close(self) -> None:
        """Let everything go."""
        self._end()

    def _make(self, calls: Mapping[str, str]) -> Turn:
        waiting: dict[str, str] = {}
        for call, command in calls.items():
            seen = self._tried(call, command)
            if seen is None:
                waiting[call] = command
            else:
                self._seen[call] = seen
        self._keep(waiting)
        return Turn(seen=dict(self._seen), waiting=tuple(waiting))

    def _tried(self, call: str, command: str) -> Seen | None:
        layer = self._setting.layer
        for _ in range(1, layer.attempts):
            try:
                return self._attempt(call, layer.rewritten(command))
            except OSError:
                continue
        return self._attempt(call, layer.rewritten(command))

    def _keep(self, waiting: Mapping[str, str]) -> None:
        self._file.write_text(json.dumps(waiting), encoding="utf-8")
