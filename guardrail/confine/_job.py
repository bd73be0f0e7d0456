"""The records of owned execution: what is to be started, within which bounds, and what came of it."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any, Final, Literal

import msgspec

from guardrail.enforcement import Observed
from guardrail.errors import GuardrailError

CANNOT: Final = 126
"""What a shell exits with for a program that cannot be run."""

Stream = Literal["stdout", "stderr"]
"""Where output came from."""


MAX_OBSERVED: Final = 16
"""Most records of what the kernel saw of one call; all of it is counted."""


class JobError(GuardrailError):
    """A tool that could not be started, or of which nobody knows how it ended.

    Args:
        message: one sentence.
        code: what a shell would exit with: 127 for a program that is not there, 126 for one that cannot be run.
        started: whether it ran at all.
    """

    def __init__(self, message: str, *, code: int = 1, started: bool = False) -> None:
        super().__init__(message)
        self.code = code
        # What ran and was lost sight of may have done anything; the trail says `unknown` then and not `failed`.
        self.guardrail_result = "unknown" if started else "failed"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A process to start.

    Args:
        argv: program and arguments; no shell reads them.
        cwd: directory it starts in.
        environment: all variables that it is given; nothing is inherited.
        seconds: how long it may run, in seconds.
        grace_seconds: how long it has to end by itself when its time is over, in seconds.
        output_bytes: most that is passed on of each of its two outputs, in bytes; the rest is read and dropped.
        processes: most processes and threads that it may have at one time, or 0 for no bound; with more it is ended.
    """

    argv: tuple[str, ...]
    cwd: str
    environment: dict[str, str] = {}
    seconds: float = 600.0
    grace_seconds: float = 2.0
    output_bytes: int = 1024 * 1024
    processes: int = 0


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a job.

    Args:
        exit_code: its exit code, or 128 and the number of the signal that ended it, as shells say it.
        signal: that signal, if one ended it.
        why: what ended it: itself, its time, somebody who did not want it any more, or that it had more processes than
            it may.
        stdout_bytes: what it wrote to standard output, in bytes, what was dropped included.
        stderr_bytes: the same of standard error.
        cut: outputs of which a part was dropped.
        strays: processes that it left behind and that were ended.
        survivors: processes that it left behind and that could not be ended, such as another user's.
        seconds: how long it ran, in seconds.
        confined: name of the confinement that it ran in.
        seen: what was in force of it, what it held in all, and what it lacked here; nothing without one.
        observed: what it held, or saw, one by one.
    """

    exit_code: int
    signal: int | None = None
    why: Literal["exited", "timeout", "stopped", "processes"] = "exited"
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    cut: tuple[Stream, ...] = ()
    strays: int = 0
    survivors: int = 0
    seconds: float = 0.0
    confined: str = "none"
    seen: dict[str, str | int] = {}
    observed: tuple[Observed, ...] = ()

    @property
    def guardrail_facts(self) -> dict[str, Any]:
        """What the record of the call says of it, besides that it is over."""
        facts = {
            "exit_code": self.exit_code,
            "ended_by": self.why,
            "stdout_bytes": self.stdout_bytes,
            "stderr_bytes": self.stderr_bytes,
            "confined": self.confined,
        }
        for name in ("strays", "survivors"):
            if getattr(self, name):
                facts[name] = getattr(self, name)
        return facts | self.seen

    @property
    def guardrail_observed(self) -> tuple[Observed, ...]:
        """What the trail says of the kernel's part, one record each: what bears on an asset, surprises first."""
        on_assets = {(one.op, one.outcome, one.asset, one.resources): one for one in self.observed if one.asset}
        return tuple(sorted(on_assets.values(), key=lambda one: not one.is_surprise)[:MAX_OBSERVED])


class Stop:
    """Says from another thread, or from a signal handler, that a job is not wanted any more."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # Reentrant: a signal handler may say it in the thread that is just letting go.
        self._lock = threading.RLock()

    def set(self) -> None:
        """Say it; saying it twice, or when the job is over, does nothing."""
        with self._lock:
            if self._writer >= 0:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._writer, b"x")

    def close(self) -> None:
        """Let go of it, once the job is over."""
        with self._lock:
            # INVARIANT: a late `set` never writes into a descriptor that is somebody else's by now.
            writer, self._writer = self._writer, -1
            os.close(self.reader)
            os.close(writer)
