"""The process of one session: starts its tools one after another, tells what they did, and leaves nothing of them.

Messages that it takes: `{"run": {"argv", "cwd", "environment", "umask"}}` with three descriptors, `{"stop": true}`.
Messages that it gives: `{"opened": …}` once, `{"events": […]}` as they come, `{"started": pid}`, `{"ended": …}`,
`{"failed": …}` for what did not start.
"""

from __future__ import annotations

import collections
import os
import select
import signal
import socket
import threading
from typing import Any, Final

from guardrail.confine.execd import _processes as processes
from guardrail.confine.execd._asks import Asks
from guardrail.confine.execd._kernel import PR_SET_DUMPABLE, prctl
from guardrail.confine.execd._orders import Profile, ProtectedSet, beneath
from guardrail.confine.execd._session import Session
from guardrail.confine.execd._wire import Closed, receive, send

MAX_EVENTS: Final = 1000
"""Most different events of one call that are told; of further ones the number is."""

MAX_KEYS: Final = 10_000
"""Most different events of one call that are told apart at all."""


GATHER_SECONDS: Final = 0.02
"""How long the first of several events waits for the others, in seconds, unless the tool ends before."""


class Events:
    """Takes events on the supervisor's thread, folds repetitions, and hands them over on the main one."""

    def __init__(self) -> None:
        self.wake, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._lock = threading.Lock()
        self.begin()

    def begin(self) -> None:
        """A new call."""
        self._waiting: collections.deque[dict[str, Any]] = collections.deque()
        self._keys: collections.Counter[tuple[Any, ...]] = collections.Counter()
        self.told = self.total = 0

    def notice(self, event: dict[str, Any]) -> None:
        """Take one; what the same process does again in the same way is counted, and not told again."""
        key = (event["pid"], event["op"], event["syscall"], event["path"], event["outcome"])
        with self._lock:
            self.total += 1
            if key in self._keys or len(self._keys) < MAX_KEYS:
                self._keys[key] += 1
            if self._keys[key] != 1 or self.told >= MAX_EVENTS:
                return
            self.told += 1
            self._waiting.append(event)
            first = len(self._waiting) == 1
        if first:  # whoever takes that one takes those after it
            os.write(self._write, b"x")

    def take(self) -> list[dict[str, Any]]:
        """Those that have not been told yet."""
        try:
            os.read(self.wake, 4096)
        except BlockingIOError:
            pass
        with self._lock:
            taken = list(self._waiting)
            self._waiting.clear()
        return taken


class Worker:
    """The main thread of a session.

    Args:
        lifeline: descriptor that ends when the zygote does.
        protected: what is protected.
    """

    _channel: socket.socket
    _session: Session

    def __init__(self, lifeline: int, protected: ProtectedSet) -> None:
        self._prepared: tuple[Profile, list[tuple[int, ...]], Session] | None = None
        self._lifeline = lifeline
        self._protected = protected
        self._events = Events()
        self._signals, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, _noticed)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def prepare(self, profile: Profile) -> None:
        """Build a session before it is asked for, as the last one was: most of the time of a start goes into that."""
        try:
            self._prepared = profile, places(profile, self._protected), self._session_of(profile)
        except (OSError, ValueError, NotImplementedError):
            pass  # whoever asks for it is told

    def open(self, channel: socket.socket, profile: Profile) -> bool:
        """Open the session, and say so.

        Args:
            channel: to the guard.
            profile: what its tools may reach.
        """
        self._channel = channel
        try:
            # INVARIANT: rules hold the directories that they were made for, so those have to be there still.
            if self._prepared is not None and self._prepared[:2] == (profile, places(profile, self._protected)):
                self._session = self._prepared[2]
            else:
                self._session = self._session_of(profile)
        except (OSError, ValueError, NotImplementedError) as error:
            send(self._channel, {"refused": str(error)})
            self._outlast()
            return False
        send(self._channel, {"opened": {"mode": self._session.mode}})
        return True

    def open_again(self, channel: socket.socket) -> None:
        """Give the session to another who asks for such a one, and say so.

        Args:
            channel: to the guard.
        """
        self._channel = channel
        send(self._channel, {"opened": {"mode": self._session.mode}})

    def _session_of(self, profile: Profile) -> Session:
        return session_of(profile, self._protected, self._events)

    def _outlast(self) -> None:
        """Stay until the guard has let go: an end with orders unread would take away what was said before it."""
        while _ready(self._channel.fileno(), self._lifeline) == [self._channel.fileno()]:
            for fd in receive(self._channel)[1]:
                os.close(fd)

    def serve(self) -> bool:
        """Take calls until the guard, or the zygote, is gone; whether the session may be another's then."""
        try:
            while _ready(self._channel.fileno(), self._lifeline) == [self._channel.fileno()]:
                order, fds = receive(self._channel)
                try:
                    if "run" in order:
                        self._run(order["run"], fds)
                finally:
                    for fd in fds:
                        os.close(fd)
        except Closed:
            pass
        finally:
            strays = processes.end_all()
        self._channel.close()
        # Who was ended in the middle of a call, or waits for somebody, may have left something behind in the session.
        return strays == (0, 0) and self._session.is_clean

    def _run(self, order: dict[str, Any], fds: list[int]) -> None:
        self._events.begin()
        before = self._session.traps
        try:
            started = self._session.start(
                order["argv"],
                cwd=order["cwd"],
                env=order["environment"],
                umask=order["umask"],
                stdin=fds[0],
                stdout=fds[1],
                stderr=fds[2],
            )
        except (OSError, ValueError, IndexError) as error:
            send(self._channel, {"failed": {"errno": getattr(error, "errno", None), "why": str(error)}})
            return
        for fd in fds:
            os.close(fd)
        fds.clear()
        send(self._channel, {"started": started.pid})
        status, why = self._wait(started.pid)
        # Nobody else takes it in: it is known to be over.
        started.returncode = status
        strays, survivors = processes.end_all()
        self._flush()
        send(
            self._channel,
            {
                "ended": {
                    "status": status,
                    "why": why,
                    "strays": strays,
                    "survivors": survivors,
                    "traps": self._session.traps - before,
                    "events": self._events.total,
                    "untold": self._events.total - self._events.told,
                }
            },
        )

    def _wait(self, pid: int) -> tuple[int, str]:
        """Status of the tool, and whether it ended by itself."""
        why = "exited"
        census = processes.Census(self._session.profile.processes)
        while True:
            ended = processes.reap()
            if pid in ended:
                return ended[pid], why
            if census.crowded():
                why = "processes"
                processes.hold_all()
                processes.send(pid, signal.SIGKILL)
            fds = (self._signals, self._events.wake, self._channel.fileno(), self._lifeline)
            ready = _ready(*fds, seconds=census.left())
            if self._signals in ready:
                os.read(self._signals, 4096)
            if self._events.wake in ready:
                # Each turn of this thread takes the interpreter from the supervisor, and events come in swarms.
                _ready(self._signals, self._channel.fileno(), self._lifeline, seconds=GATHER_SECONDS)
                self._flush()
            if self._lifeline in ready:
                raise Closed
            if self._channel.fileno() in ready:
                receive(self._channel)  # the only order that can come now is to stop
                why = "stopped"
                os.kill(pid, signal.SIGKILL)

    def _flush(self) -> None:
        taken = self._events.take()
        if taken:
            send(self._channel, {"events": taken})


def session_of(profile: Profile, protected: ProtectedSet, events: Events, asks: Asks | None = None) -> Session:
    """A session in this process, after which the process is good for nothing else."""
    processes.take_orphans()
    # INVARIANT: the supervisor shares a domain with nobody but itself, and its memory with nobody at all.
    prctl(PR_SET_DUMPABLE, 0)
    # The supervisor applies the tool's umask to what it creates for it.
    os.umask(0)
    if profile.processes:
        processes.keep_to(profile.processes)
    return Session(profile, protected, events.notice, asks)


def places(profile: Profile, protected: ProtectedSet) -> list[tuple[int, ...]]:
    """What a session is made for, besides its profile: the directories that its rules name, and which protected names
    are there. A session is like another only if these are the same, too.

    Args:
        profile: of the session.
        protected: what is protected.
    """
    found: list[tuple[int, ...]] = []
    for path in (*profile.read, *profile.write, *profile.sockets):
        try:
            seen = os.stat(path)
            found.append((seen.st_dev, seen.st_ino))
        except OSError:
            found.append(())
    return [*found, tuple(os.path.isfile(root) for root in protected.roots if beneath(root, profile.write))]


def _ready(*fds: int, seconds: float | None = None) -> list[int]:
    return select.select(fds, [], [], seconds)[0]


def _noticed(_number: int, _frame: object) -> None:
    """A handler is needed for the wake-up descriptor to be written to."""
