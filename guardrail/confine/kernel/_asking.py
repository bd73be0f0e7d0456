"""The guard's side of calls that wait for a person: takes the questions of one tool, and gives the word to go on.

Not concerned with how it is decided: whoever is asked for a `Word` is.
INVARIANT: without a word there is a no, also when deciding fails.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from guardrail.confine.execd import _wire as wire
from guardrail.confine.kernel._records import ConfineError

DONE_SECONDS: Final = 10.0
"""Longest wait for what became of a call that was given the word, in seconds."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A system call that waits.

    Args:
        words: a command that does the same, by real paths.
        seconds: how long it waits, in seconds.
    """

    words: tuple[str, ...]
    seconds: float


class Word(Protocol):
    """Decides about one call, on a thread of its own."""

    def __call__(self, asked: Asked, go: Callable[[], None], gone: Callable[[], bool]) -> None:
        """Decide.

        Args:
            asked: the call.
            go: has it carried out, once; raises OSError if that failed, ETIMEDOUT if it does not wait any more, and
                ConfineError if nobody knows.
            gone: whether nobody waits any more.
        """
        ...


class Asking:
    """Takes questions at a socket.

    Args:
        at: path of the socket; whoever connects first is the tool's supervisor.
        word: decides.

    Raises:
        OSError: if there can be no such socket.
    """

    def __init__(self, at: str, word: Word) -> None:
        self._at = at
        self._word = word
        self._done: dict[int, queue.SimpleQueue[int]] = {}
        self._gone = threading.Event()
        self._channel: socket.socket | None = None
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._listener.bind(at)
            self._listener.listen(1)
        except OSError:
            self._listener.close()
            raise
        self._thread = threading.Thread(target=self._serve, name="guardrail-asking", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more; who still waits for a person is told that nobody does any more."""
        self._gone.set()
        for end in (self._listener, self._channel):
            with contextlib.suppress(OSError):
                if end is not None:
                    end.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        try:
            channel, _ = self._listener.accept()
        except OSError:
            return  # closed before anybody came
        self._channel = channel
        os.unlink(self._at)
        deciding: list[threading.Thread] = []
        with channel:
            with contextlib.suppress(wire.Closed, OSError):
                while True:
                    message = wire.receive(channel)[0]
                    if "did" in message:
                        self._done[message["did"]].put(message["errno"])
                        continue
                    self._done[message["ask"]] = queue.SimpleQueue()
                    deciding.append(threading.Thread(target=self._decide, args=(channel, message), daemon=True))
                    deciding[-1].start()
            self._gone.set()
            for thread in deciding:
                thread.join()

    def _decide(self, channel: socket.socket, message: dict[str, Any]) -> None:
        number: int = message["ask"]
        gave = False

        def go() -> None:
            nonlocal gave
            gave = True
            try:
                wire.send(channel, {"go": number})
                failed = self._done[number].get(timeout=DONE_SECONDS)
            except (wire.Closed, OSError, queue.Empty):
                raise ConfineError("nobody knows whether it was done: its supervisor was ended", started=True) from None
            if failed:
                raise OSError(failed, os.strerror(failed))

        try:
            self._word(Asked(words=tuple(message["words"]), seconds=message["seconds"]), go, self._gone.is_set)
        finally:
            if not gave:
                with contextlib.suppress(wire.Closed, OSError):
                    wire.send(channel, {"no": number})
