"""Checkpoints on their way out of this host: to telemetry, to a second file, to witnesses.

A thread of its own does this, so that a network or a far disk that hangs costs no call anything. Only the newest
checkpoint matters: one that came while another was on its way replaces any that still waits.
What fails is told and tried again with the next checkpoint; calls go on, because the trail on this host is whole.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from guardrail.audit._files import write_all
from guardrail.audit._note import Checkpoint
from guardrail.errors import TrailError

CLOSE_SECONDS: Final = 5.0
"""Longest wait for the last checkpoint to leave when a trail is closed, in seconds."""

Sink = Callable[[Checkpoint, str], None]
"""Takes a checkpoint and its signed note; raises TrailError or OSError if it could not be handed on."""


class Publisher:
    """Hands the newest checkpoint to each of the places it has to go to.

    Args:
        sinks: the places.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = list(sinks)
        self._news = threading.Condition()
        self._next: tuple[Checkpoint, str] | None = None
        self._ended = False
        self._thread: threading.Thread | None = None
        self.published: Checkpoint | None = None
        """The newest checkpoint that every place took."""
        self.problem = ""
        """Why the newest one did not get everywhere; empty if it did."""

    def add(self, sink: Sink) -> None:
        """Add a place; it gets what comes from now on."""
        self._sinks.append(sink)

    def offer(self, checkpoint: Checkpoint, note: str) -> None:
        """Take a checkpoint; returns at once and never raises."""
        if not self._sinks:
            return
        with self._news:
            if self._ended:
                return
            self._next = checkpoint, note
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="guardrail-checkpoints", daemon=True)
                self._thread.start()
            self._news.notify()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Let what waits go out, and end; after `seconds` it is left behind."""
        with self._news:
            self._ended = True
            self._news.notify()
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            with self._news:
                while self._next is None:
                    if self._ended:
                        return
                    self._news.wait()
                (checkpoint, note), self._next = self._next, None
            self._hand_out(checkpoint, note)

    def _hand_out(self, checkpoint: Checkpoint, note: str) -> None:
        problems: list[str] = []
        for sink in self._sinks:
            try:
                sink(checkpoint, note)
            except Exception as error:  # noqa: BLE001 - one place that fails must not keep the others from their copy
                problems.append(str(error))
        if problems and "; ".join(problems) != self.problem:
            warnings.warn(f"a checkpoint of the trail did not get everywhere: {problems[0]}", RuntimeWarning, 2)
        self.problem = "; ".join(problems)
        if not problems:
            self.published = checkpoint


class SecondFile:
    """A file elsewhere that gets every checkpoint.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, _: Checkpoint, note: str) -> None:
        """Append a note, durably.

        Raises:
            TrailError: if it cannot be written.
        """
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                write_all(fd, note.encode(), os.fstat(fd).st_size)
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise TrailError(f"cannot write `{self._path}`: {(error.strerror or str(error)).lower()}") from None

    def last(self) -> str:
        """The last whole note in it, or empty if there is none.

        Raises:
            TrailError: if it is there and cannot be read.
        """
        try:
            text = self._path.read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise TrailError(f"cannot read `{self._path}`: {(error.strerror or str(error)).lower()}") from None
        lines = text[: text.rfind("\n") + 1].splitlines(keepends=True)
        while lines and not lines[-1].startswith("— "):
            lines.pop()
        signed = len(lines)
        while signed and lines[signed - 1].startswith("— "):
            signed -= 1
        return "".join(lines[max(0, signed - 4) :])
