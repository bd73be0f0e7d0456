"""Starting a job and reading what it writes, within its bounds; everything below it is gone when this returns."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final, Literal, Self, cast

from guardrail.confine._job import CANNOT, Ended, Job, JobError, Stop, Stream
from guardrail.confine._stdin import only_read
from guardrail.confine.execd import BOOT
from guardrail.printing import printable

REPORT_SECONDS: Final = 10.0
"""Longest wait for the account of how a tool ended, once its time and its grace are over, in seconds."""

_CHUNK: Final = 64 * 1024

Sink = Callable[[Stream, bytes], None]
"""Takes a piece of output as it comes."""


def run_job(
    job: Job, sink: Sink, *, stop: Stop | None = None, stdin: int | None = None, confined: str = "none"
) -> Ended:
    """Start a tool, pass on what it writes, and wait until it and all that it started are gone.

    Args:
        job: what to start.
        sink: is given its output, at most `job.output_bytes` of each stream; what it raises ends the job.
        stop: ends the job when it is set.
        stdin: descriptor that it reads, and can do nothing else with; by default there is nothing to read.
        confined: name of the confinement that the job was prepared for, for the record.

    Returns:
        What came of it; a tool that fails has still run.

    Raises:
        JobError: if it could not be started, or nobody knows how it ended.
    """
    started = time.monotonic()
    with only_read(stdin) as given, _Supervised(job, stop, given) as supervised:
        reports = supervised.pump(sink)
    return _ended(job, reports, supervised, time.monotonic() - started, confined)


class _Supervised:
    """The supervisor of one job, and the pipes to it."""

    def __init__(self, job: Job, stop: Stop | None, stdin: int | None) -> None:
        self._job = job
        self._stop = stop
        self._tool: int | None = None
        self.counts: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        orders, self._orders = os.pipe2(os.O_CLOEXEC)
        self._report, report = os.pipe2(os.O_CLOEXEC)
        try:
            self._process = _spawn(orders, report, subprocess.DEVNULL if stdin is None else stdin)
        except OSError as error:
            for fd in (self._orders, self._report):
                os.close(fd)
            raise JobError(f"no process can be started: {(error.strerror or str(error)).lower()}") from None
        finally:
            os.close(orders)
            os.close(report)

    def __enter__(self) -> Self:
        order = {
            "argv": self._job.argv,
            "cwd": self._job.cwd,
            "environment": self._job.environment,
            "seconds": self._job.seconds,
            "grace_seconds": self._job.grace_seconds,
            "processes": self._job.processes,
        }
        # What is no UTF-8 in a name travels as it is in Python: the other side turns it into the same bytes.
        with contextlib.suppress(BrokenPipeError):
            _write(self._orders, json.dumps(order).encode() + b"\n")
        return self

    def __exit__(self, *_: object) -> None:
        # Whatever happened here: the end of the orders is the order to end everything.
        os.close(self._orders)
        try:
            self._process.wait(REPORT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._tool is not None:
            # Only where the supervisor was ended itself is anything left of the group.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if self._process.returncode:
                    os.killpg(self._tool, signal.SIGKILL)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        os.close(self._report)

    def pump(self, sink: Sink) -> list[dict[str, Any]]:
        """Pass output on until the supervisor has said how it ended, and the outputs have."""
        reports = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(cast("Any", self._process.stdout), selectors.EVENT_READ, "stdout")
            selector.register(cast("Any", self._process.stderr), selectors.EVENT_READ, "stderr")
            selector.register(self._report, selectors.EVENT_READ, "report")
            if self._stop is not None:
                selector.register(self._stop.reader, selectors.EVENT_READ, "stop")
            deadline = time.monotonic() + self._job.seconds + self._job.grace_seconds + REPORT_SECONDS
            waiting = {"stdout", "stderr", "report"}
            while waiting and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    name, fd = str(key.data), key.fd
                    if name == "stop":
                        self._end(selector)
                        continue
                    chunk = os.read(fd, _CHUNK)
                    if not chunk:
                        selector.unregister(key.fileobj)
                        waiting.discard(name)
                        if name == "report":
                            # A process that could not be ended may hold the outputs for ever: what is there now is all.
                            deadline = min(deadline, time.monotonic() + 1.0)
                    elif name == "report":
                        reports += chunk
                        self._learn(reports)
                    else:
                        self._pass_on(cast("Stream", name), chunk, sink)
        return _lines(reports)

    def _end(self, selector: selectors.BaseSelector) -> None:
        if self._stop is not None:
            selector.unregister(self._stop.reader)
        with contextlib.suppress(BrokenPipeError):
            _write(self._orders, b"\n")

    def _learn(self, reports: bytearray) -> None:
        if self._tool is None:
            self._tool = next((line["pid"] for line in _lines(reports) if "pid" in line), None)

    def _pass_on(self, stream: Stream, chunk: bytes, sink: Sink) -> None:
        left = self._job.output_bytes - self.counts[stream]
        self.counts[stream] += len(chunk)
        if left > 0:
            sink(stream, chunk[:left])


def _spawn(orders: int, report: int, stdin: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        # Isolated and without `site`: neither the tool's directory nor the environment decides what it imports.
        [sys.executable, "-I", "-S", BOOT, "watch", str(orders), str(report)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env={},
        pass_fds=(orders, report),
        start_new_session=True,
    )


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _lines(reports: bytearray) -> list[dict[str, Any]]:
    whole = reports[: reports.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines()]


def _ended(job: Job, reports: list[dict[str, Any]], run: _Supervised, seconds: float, confined: str) -> Ended:
    facts: dict[str, Any] = {name: value for report in reports for name, value in report.items()}
    if "errno" in facts:
        code = CANNOT if facts["errno"] == errno.EACCES or facts["errno"] == errno.ENOEXEC else 127
        why = str(facts["strerror"]).lower()
        raise JobError(f"cannot start `{printable(job.argv[0])}` in `{printable(job.cwd)}`: {why}", code=code)
    if "status" not in facts:
        raise JobError(
            f"nobody knows how `{printable(job.argv[0])}` ended: what watched it was ended itself",
            started="pid" in facts,
        )
    status: int = facts["status"]
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    cut: tuple[Stream, ...] = tuple(name for name, count in run.counts.items() if count > job.output_bytes)
    why_ended: Literal["exited", "timeout", "stopped", "processes"] = facts["why"]
    return Ended(
        exit_code=os.WEXITSTATUS(status) if ended_by is None else 128 + ended_by,
        signal=ended_by,
        why=why_ended,
        stdout_bytes=run.counts["stdout"],
        stderr_bytes=run.counts["stderr"],
        cut=cut,
        strays=facts["strays"],
        survivors=facts["survivors"],
        seconds=round(seconds, 3),
        confined=confined,
    )
