"""Calls that wait for a person: asked of the guard, and carried out on its word on what was pinned when they were made.

Messages that it gives: `{"ask": number, "words": […], "seconds": s}`, and `{"did": number, "errno": e}` once the word
was carried out. Messages that it takes: `{"go": number}` and `{"no": number}`.

INVARIANT: everything but a `go` in time is a no: a guard that is gone, a time that is over, a question too many, a deed
that was refused before.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from guardrail.confine.execd._wire import Closed, receive, send

MAX_ASKED: Final = 16
"""Most calls of one tool that wait for a person at a time; further ones are refused."""

Answer = Literal["approved", "refused", "expired"]
"""How a question ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A call that waits.

    Args:
        words: a command that does the same, for those who have to judge it.
        act: carries it out, in the tool's place, and answers it; gives the number of its error, or 0.
        refuse: answers it with a no.
    """

    words: tuple[str, ...]
    act: Callable[[], int]
    refuse: Callable[[Answer], None]


class Asks:
    """The questions of one tool.

    Args:
        channel: to the guard.
        seconds: how long each may wait, in seconds.
    """

    def __init__(self, channel: socket.socket, seconds: float) -> None:
        self._channel = channel
        self._seconds = seconds
        self._lock = threading.Lock()
        self._open: dict[int, tuple[float, Question]] = {}
        self._refused: set[tuple[str, ...]] = set()
        self._asked = 0

    def fileno(self) -> int:
        """Of the channel; -1 once the guard is gone."""
        return self._channel.fileno()

    def ask(self, question: Question) -> bool:
        """Ask, on the supervisor's thread; whether it waits now, and is answered later."""
        with self._lock:
            if self.fileno() < 0 or len(self._open) >= MAX_ASKED or question.words in self._refused:
                return False
            self._asked += 1
            number = self._asked
            self._open[number] = time.monotonic() + self._seconds, question
        try:
            send(self._channel, {"ask": number, "words": question.words, "seconds": self._seconds})
        except (Closed, OSError):
            with self._lock:
                # Whoever noticed first that the guard is gone has answered it.
                return self._open.pop(number, None) is None
        return True

    def left(self) -> float | None:
        """Seconds until the next question is over; None without one."""
        with self._lock:
            ends = [end for end, _ in self._open.values()]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def hear(self) -> None:
        """Take one word of the guard, on the main thread."""
        try:
            word, _ = receive(self._channel)
        except (Closed, OSError, ValueError):
            self.close()
            return
        number: int = word["go"] if "go" in word else word["no"]
        with self._lock:
            found = self._open.pop(number, None)
        if "go" in word:
            self._tell_done(number, errno.ETIMEDOUT if found is None else found[1].act())
        elif found is not None:
            self._refuse(found[1], "refused")

    def expire(self) -> None:
        """Refuse whatever has waited too long."""
        now = time.monotonic()
        with self._lock:
            over = [number for number, (end, _) in self._open.items() if end <= now]
            questions = [self._open.pop(number)[1] for number in over]
        for question in questions:
            self._refuse(question, "expired")

    def close(self) -> None:
        """Refuse everything that waits, and ask nothing any more."""
        with self._lock:
            questions = [question for _, question in self._open.values()]
            self._open.clear()
            self._channel.close()
        for question in questions:
            self._refuse(question, "refused")

    def _refuse(self, question: Question, how: Answer) -> None:
        self._refused.add(question.words)
        question.refuse(how)

    def _tell_done(self, number: int, failed: int) -> None:
        try:
            send(self._channel, {"did": number, "errno": failed})
        except (Closed, OSError):
            self.close()
