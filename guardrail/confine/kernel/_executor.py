"""The guard's side of the executor: starts it, opens sessions in it, and reads what they tell."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final, Self, cast

from guardrail.confine.execd import BOOT
from guardrail.confine.execd import _wire as wire
from guardrail.confine.execd._host import holdable, refusal
from guardrail.confine.execd._orders import Mode as SessionMode
from guardrail.confine.execd._orders import Profile, ProtectedSet
from guardrail.confine.kernel._records import ConfineError, EnforcementReport, KernelEnded, Mode, observed
from guardrail.enforcement import Observed
from guardrail.printing import printable

START_SECONDS: Final = 30.0
"""Longest wait for an executor or a session to be there, in seconds."""

CLOSE_SECONDS: Final = 20.0
"""Longest wait for an executor to end with all that it started, in seconds; then it is killed."""


FLOOR_LEAVES: Final = ("times", "security", "events")
"""What Landlock and a filter hold of no asset: its times, its mode and the like; and they tell of nothing."""


class Executor:
    """A process in which tools are confined and started; to be kept, for starting it takes far longer than a session.

    Args:
        protected: what is protected; another set needs another executor.
        required: whether a session that this kernel cannot hold as asked is refused. Otherwise it is held as far as
            can be, and its report says what is lacking.
        launcher: what starts Python, for who wants it under another user.

    Raises:
        ConfineError: if it does not start.
    """

    def __init__(
        self, protected: ProtectedSet, *, required: bool = True, launcher: Sequence[str] = (sys.executable,)
    ) -> None:
        self._required = required
        self._protected = protected
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        order = wire.pack(protected.to_plain())
        try:
            self._process = subprocess.Popen(
                # Isolated and without `site`: neither a directory nor the environment decides what it imports.
                [*launcher, "-I", "-S", "-B", BOOT, "executor", str(theirs.fileno()), str(order)],
                pass_fds=(theirs.fileno(), order),
                stdin=subprocess.DEVNULL,
                cwd="/",
                env={},
            )
        except OSError as error:
            self._channel.close()
            raise ConfineError(f"no executor can be started: {(error.strerror or str(error)).lower()}") from None
        finally:
            theirs.close()
            os.close(order)
        try:
            self.host: dict[str, Any] = _receive(self._channel)["host"]
        except (ConfineError, KeyError):
            self.close()
            raise ConfineError("the executor ended before it was ready: see what it wrote to standard error") from None

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def report(self, mode: Mode) -> EnforcementReport:
        """What would be in force in a mode."""
        return report_of(self.host, mode, self._protected.aliases)

    def open(self, profile: Profile) -> Confined:
        """Open a session.

        Args:
            profile: what its tools may reach.

        Raises:
            ConfineError: if it cannot be held so, and it is required to be; or if the profile cannot be used.
        """
        report = report_of(self.host, profile.mode, self._protected.aliases, self._protected.where_written(profile))
        if (why := refusal(self.host, profile.mode, required=self._required)) is not None:
            raise ConfineError(why)
        if self._required:
            check_floor(report.mode, self._protected.where_written(profile))
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Other names of assets turn a session strict by themselves; a kernel can only take away.
        mode = cast("SessionMode", holdable(self.host, profile.mode)[0])
        try:
            order = {"open": asdict(replace(profile, mode=mode))}
            wire.send(self._channel, order, [theirs.fileno()])
        except wire.Closed:
            mine.close()
            raise ConfineError("the executor is gone: start another") from None
        finally:
            theirs.close()
        return Confined(mine, report)

    def close(self) -> None:
        """End it, with all that it started."""
        self._channel.close()
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Confined:
    """An open session, in which tools run one at a time.

    Args:
        channel: to its worker.
        report: what is in force.
    """

    def __init__(self, channel: socket.socket, report: EnforcementReport) -> None:
        self._channel = channel
        self.report = report
        self._opened = False

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        environment: dict[str, str],
        stdin: int,
        stdout: int,
        stderr: int,
        umask: int = 0o022,
        stop: int | None = None,
        told: Callable[[Observed], None] | None = None,
        started: Callable[[int], None] | None = None,
    ) -> KernelEnded:
        """Start a tool and wait until it, and all that it started, is gone.

        Args:
            argv: program and arguments.
            cwd: where it starts.
            environment: all its variables.
            stdin: descriptor that it reads.
            stdout: descriptor that it writes.
            stderr: descriptor for its errors.
            umask: its file mode mask.
            stop: descriptor that is readable when the tool is not wanted any more.
            told: hears of each event as it comes.
            started: hears of its process.

        Raises:
            ConfineError: if it could not be started or, with `started`, if its supervisor died, and the tool with it.
        """
        order = {"argv": list(argv), "cwd": cwd, "environment": environment, "umask": umask}
        try:
            wire.send(self._channel, {"run": order}, [stdin, stdout, stderr])
        except wire.Closed:
            raise ConfineError(self._last_words()) from None
        events: list[Observed] = []
        running = False
        while True:
            message = self._next(stop, running=running)
            if "refused" in message:
                raise ConfineError(f"the tool cannot be confined: {message['refused']}")
            if "failed" in message:
                why = message["failed"]["why"]
                raise ConfineError(f"cannot start `{printable(argv[0])}` in `{printable(cwd)}`: {why}")
            if "started" in message:
                running = True
                if started is not None:
                    started(message["started"])
            for event in map(observed, message.get("events", ())):
                events.append(event)
                if told is not None:
                    told(event)
            if "ended" in message:
                return _ended(message["ended"], events)

    def close(self) -> None:
        """End the session, with all that runs in it."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self, stop: int | None, *, running: bool) -> dict[str, Any]:
        waiting = [self._channel.fileno(), *(() if stop is None else (stop,))]
        ready = select.select(waiting, [], [])[0] if stop is not None else waiting
        if stop is not None and ready == [stop]:
            with contextlib.suppress(wire.Closed):
                wire.send(self._channel, {"stop": True})
        try:
            return _receive(self._channel, wait=None)
        except ConfineError:
            raise ConfineError(
                "nobody knows how the tool ended: its supervisor died, and it was ended with it"
                if running
                else "the session ended before the tool was started",
                started=running,
            ) from None

    def _last_words(self) -> str:
        with contextlib.suppress(ConfineError):
            message = _receive(self._channel)
            if "refused" in message:
                return f"the tool cannot be confined: {message['refused']}"
        return "the session is over: open another"


def host_report(mode: Mode = "strict", launcher: Sequence[str] = (sys.executable,)) -> EnforcementReport:
    """What this host could hold, found by trying.

    Args:
        mode: what would be asked for.
        launcher: what starts Python.

    Raises:
        ConfineError: if no executor starts.
    """
    with Executor(ProtectedSet(roots={}, identities={}), required=False, launcher=launcher) as executor:
        return executor.report(mode)


def check_floor(mode: Mode, written: Mapping[str, str]) -> None:
    """Refuse a mode that cannot hold what it would have to.

    Args:
        mode: what is, or would be, in force.
        written: assets that lie where the tool may write, and where they do.

    Raises:
        ConfineError: if Landlock alone would have to take one of them out of a directory.
    """
    if mode != "floor" or not written:
        return
    asset, path = min(written.items())
    raise ConfineError(
        f"`floor` cannot hold `{asset}`, because `{printable(path)}` lies where the tool may write: "
        "use `default` or `strict`, or accept best effort (`execute.confine_required = false`)"
    )


def report_of(
    host: dict[str, Any], mode: Mode, aliases: Sequence[str], written: Iterable[str] = ()
) -> EnforcementReport:
    """What a host holds in a mode.

    Args:
        host: what the executor found by trying.
        mode: what is asked for.
        aliases: other names of assets.
        written: ids of assets that lie where the tool may write.
    """
    possible, lacking = holdable(host, mode)
    if possible == "default" and aliases:
        possible = "strict"
    return EnforcementReport(
        asked=mode,
        mode=cast("Mode", possible),
        kernel=host["kernel"],
        machine=host["machine"],
        landlock_abi=host["landlock_abi"],
        listener=host["listener"],
        lacking=lacking,
        aliases=tuple(aliases),
        unheld=(*FLOOR_LEAVES, *sorted(written)) if possible == "floor" else (),
    )


def _receive(channel: socket.socket, wait: float | None = START_SECONDS) -> dict[str, Any]:
    channel.settimeout(wait)
    try:
        message, fds = wire.receive(channel)
    except (wire.Closed, TimeoutError):
        raise ConfineError("the executor does not answer") from None
    for fd in fds:
        os.close(fd)
    return message


def _ended(facts: dict[str, Any], events: list[Observed]) -> KernelEnded:
    status = facts["status"]
    signalled = os.WIFSIGNALED(status)
    return KernelEnded(
        exit_code=128 + os.WTERMSIG(status) if signalled else os.WEXITSTATUS(status),
        why=facts["why"],
        strays=facts["strays"],
        survivors=facts["survivors"],
        traps=facts["traps"],
        events=facts["events"],
        untold=facts["untold"],
        observed=tuple(events),
    )
