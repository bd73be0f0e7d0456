"""A trial run: a call is carried out on a copy of what it may change, and what it changed is a call of its own.

    with on_trial(guard, call, sink) as trial:
        trial.execution        the decision, and what came of the tool
        trial.tried.changes    what it would have changed
        trial.commit()         has that judged, and done

INVARIANT: nothing of it is done without a decision about it, by the same flow as every other call.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from typing import TYPE_CHECKING, Any, Final

from guardrail.confine import CANNOT, Job, JobError, run_job
from guardrail.execution import execute, kernel_confinement
from guardrail.model import Decision, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from guardrail.confine import Stop, Stream
    from guardrail.confine.kernel import Change, Mode, Tried
    from guardrail.execution import Execution
    from guardrail.guard import Guard

TEXT_BYTES: Final = 64 * 1024
"""Longest new text that is judged by what it says, in bytes; longer ones, and what is no text, by path and digest."""

TEXTS_BYTES: Final = 128 * 1024
"""The same of all new texts of one trial together."""


PROBE_SECONDS: Final = 10.0
"""Longest wait for a first trial, of a program that does nothing, in seconds."""


class Trial:
    """A call that was carried out on a copy.

    Args:
        guard: judges what it changed.
        call: the call.
        execution: the decision about it, and what came of it.
        tried: what it would have changed.
    """

    def __init__(self, guard: Guard, call: ToolCall, execution: Execution, tried: Tried) -> None:
        self._guard = guard
        self._call = call
        self.execution = execution
        self.tried = tried

    def commit(self) -> Decision:
        """Have the changes judged, and make them.

        Returns:
            The decision about them.

        Raises:
            Denied: if policy or a fault denied them; nothing was changed.
            Escalated: if a person has to decide first; nothing was changed.
            JobError: if they cannot be made, or not all of them were.
        """
        from guardrail.confine.kernel import commit

        if self.tried.problem is not None:
            raise JobError(f"this trial can only be dropped: {self.tried.problem}")
        decided: list[Decision] = []
        changes = self.tried.changes
        self._guard.run(commit_call(self._call, changes), lambda _: commit(changes), released=decided.append)
        return decided[0]


@contextlib.contextmanager
def on_trial(
    guard: Guard,
    call: ToolCall,
    sink: Callable[[Stream, bytes], None],
    *,
    mode: Mode | None = None,
    stop: Stop | None = None,
    stdin: int | None = None,
) -> Generator[Trial]:
    """Judge a call and, if it is allowed, carry it out on a copy of what it may change, without a network.

    Args:
        guard: judges, and records.
        call: as `execute` takes it.
        sink: is given the output as it comes.
        mode: how much is held; by default as `execute.confine` says, and `default` where that is `off`.
        stop: ends the tool when it is set.
        stdin: descriptor that the tool reads; by default there is nothing to read.

    Yields:
        What came of it; at the end of the context what was not committed is gone.

    Raises:
        JobError: if this host lets nobody work on a copy; and as `execute`.
    """
    with kernel_confinement(guard, call.cwd, mode or _mode(guard), trial=True) as held:
        execution = execute(guard, call, sink, stop=stop, stdin=stdin, confinement=held)
        tried = held.account().tried
        if tried is None:
            raise JobError("nobody knows what it would change", started=True)
        yield Trial(guard, call, execution, tried)


def host_problem() -> str | None:
    """Why this host lets nobody run anything on trial, found by trying; None if it does."""
    import tempfile

    from guardrail.confine.kernel import Bounds, KernelConfinement

    with tempfile.TemporaryDirectory(prefix="guardrail-trial-") as directory:
        bounds = Bounds(mode="floor", write=(os.path.realpath(directory),))
        try:
            with KernelConfinement([], bounds, required=False, trial=True) as held:
                job = held.confine(Job(argv=("/bin/true",), cwd=directory, seconds=PROBE_SECONDS), ())
                run_job(job, lambda _stream, _chunk: None)
                held.seen()
        except JobError as error:
            return str(error)
    return None


def _mode(guard: Guard) -> Mode:
    configured = guard.config.execute.confine
    if configured == "bwrap":
        raise JobError("a trial run is held by `floor`, `default` or `strict`, and not by `bwrap`", code=CANNOT)
    return "default" if configured == "off" else configured


def commit_call(call: ToolCall, changes: Sequence[Change]) -> ToolCall:
    """The call that makes the changes of another: what policy judges, and a person reads.

    Args:
        call: what was tried; the same agent asks for this.
        changes: what it changed.
    """
    lines: list[str] = []
    files: list[dict[str, str]] = []
    left = TEXTS_BYTES
    for change in changes:
        text = _text_of(change) if change.op == "write" and change.size <= min(TEXT_BYTES, left) else None
        if text is None:
            lines.append(_line(change))
        else:
            left -= change.size
            files.append({"path": change.at, "content": text})
    calls: list[dict[str, Any]] = []
    if lines:
        calls.append({"tool": "bash", "parameters": {"command": "\n".join(lines)}})
    if files:
        calls.append({"tool": "write_files", "parameters": {"files": files}})
    return ToolCall(
        tool="batch", args={"tool_calls": calls}, cwd=call.cwd, session=call.session, subject=call.subject, id=call.id
    )


def _line(change: Change) -> str:
    """A command that does the same; for content that is not shown, one that names its digest."""
    at = shlex.quote(change.at)
    match change.op:
        case "write":
            return f"cat > {at} # {change.size} bytes, sha256 {change.sha256}"
        case "mkdir":
            return f"mkdir -m {change.mode:o} -- {at}"
        case "link":
            return f"ln -sT -- {shlex.quote(change.target)} {at}"
        case "delete":
            return f"rm -- {at}"
        case "rmdir":
            return f"rmdir -- {at}"
        case "chmod":
            return f"chmod {change.mode:o} -- {at}"
        case "touch":
            return f"touch -d @{change.mtime_ns / 1e9:.9f} -- {at}"
        case "cannot":
            raise JobError(f"`{change.at}` cannot be done again: {change.why}")


def _text_of(change: Change) -> str | None:
    with open(change.staged, "rb") as file:
        data = file.read(TEXT_BYTES + 1)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
