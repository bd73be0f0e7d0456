"""The executor's first process: one thread, from which a worker is forked for each session.

Messages that it takes: `{"open": {profile}}` with the worker's end of a socket pair.
It gives one message, `{"host": {…}}`, as soon as it is there. It ends when its channel does.
A worker whose session is over, and which nothing is left of, says `{"free": true}`, and waits for another session of
the same profile; the last of them is kept, because making one costs three times what a session does.

INVARIANT: whatever falls to this process as a child, and is no worker, was left behind by a worker that died: it is
ended at once, so that no tool outlives the supervisor that held it.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import time
from dataclasses import dataclass
from typing import Any, Final

from guardrail.confine.execd import _processes as processes
from guardrail.confine.execd import _syscalls as calls
from guardrail.confine.execd._host import host
from guardrail.confine.execd._orders import Profile, ProtectedSet
from guardrail.confine.execd._seccomp import warm
from guardrail.confine.execd._wire import Closed, receive, send, unpack
from guardrail.confine.execd._worker import Worker, places

SPARE_SECONDS: Final = 0.03
"""How long after a start the next worker is made, in seconds, if the session is not over before: making it at once
takes the processor away from the tool that starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """A worker that was given a session.

    Args:
        orders: to it.
        profile: of the session.
        places: what that was made for.
    """

    orders: socket.socket
    profile: Profile
    places: list[tuple[int, ...]]


class Zygote:
    """Forks workers, and ends what dead ones leave behind.

    Args:
        channel: to the guard.
        protected: what is protected, for all sessions.
    """

    def __init__(self, channel: socket.socket, protected: ProtectedSet) -> None:
        self._channel = channel
        self._protected = protected
        self._workers: set[int] = set()
        self._lifeline, self._alive = os.pipe2(os.O_CLOEXEC)
        self._signals, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._spare: socket.socket | None = None
        self._likely: Profile | None = None
        self._given: list[_Given] = []
        self._free: _Given | None = None
        self._due = 0.0

    def serve(self) -> None:
        """Work until the guard is gone."""
        processes.take_orphans()
        # Who ends this process by a key or a polite signal means the guard, which says so by its channel.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # A handler, and not to ignore them, which whatever is started would inherit.
            signal.signal(number, _noticed)
        signal.signal(signal.SIGCHLD, _noticed)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        facts = host()
        if facts["listener"] == "ok":
            warm()
            calls.machine().names  # noqa: B018 - made once, for all that are forked from here
        gc.collect()
        gc.freeze()
        self._fork()
        try:
            send(self._channel, {"host": facts})
            while True:
                fds = [self._channel.fileno(), self._signals, *(one.orders.fileno() for one in self._given)]
                ready = select.select(fds, [], [], self._left())[0]
                if not ready:
                    self._fork()
                for one in [one for one in self._given if one.orders.fileno() in ready]:
                    self._hear(one)
                if self._signals in ready:
                    os.read(self._signals, 4096)
                    self._take_in()
                if self._channel.fileno() in ready:
                    self._open(*receive(self._channel))
        except Closed:
            pass
        os.close(self._alive)
        for end in self._ends():
            end.close()
        processes.end_all(frozenset(self._workers))

    def _take_in(self) -> None:
        ended = processes.reap()
        alone = bool(set(ended) - self._workers) or any(ended.values())
        if set(ended) & self._workers and self._spare is None:
            self._fork()
        self._workers -= set(ended)
        # A worker that ended well has left nothing, and looking costs more than a start does.
        if alone:
            processes.end_all(frozenset(self._workers))

    def _left(self) -> float | None:
        """Seconds until the next worker is to be made; None if there is one."""
        return None if self._spare is not None else max(0.0, self._due - time.monotonic())

    def _open(self, order: dict[str, Any], fds: list[int]) -> None:
        profile = Profile.from_plain(order["open"])
        try:
            given = self._worker_for(profile)
            if given is not None:
                send(given.orders, order, fds)
                self._given.append(given)
        except Closed:
            pass  # the guard sees the end of the channel that it gave
        for fd in fds:
            os.close(fd)

    def _worker_for(self, profile: Profile) -> _Given | None:
        """The worker that is free, if it has such a session, or the one that is ready."""
        free, now = self._free, places(profile, self._protected)
        # INVARIANT: rules hold the directories that they were made for, so those have to be there still.
        if free is not None and (free.profile, free.places) == (profile, now):
            self._free = None
            return free
        if self._spare is None:
            self._fork()
        if self._spare is None:
            return None
        orders, self._spare = self._spare, None
        self._likely = profile
        self._due = time.monotonic() + SPARE_SECONDS
        return _Given(orders=orders, profile=profile, places=now)

    def _hear(self, given: _Given) -> None:
        """A worker is free, or gone."""
        self._given.remove(given)
        try:
            receive(given.orders)
        except Closed:
            given.orders.close()
            return
        if self._free is not None:
            self._free.orders.close()  # it sees that, and ends
        self._free = given

    def _ends(self) -> list[socket.socket]:
        """This process's ends to all workers."""
        free = [] if self._free is None else [self._free.orders]
        return [*(one.orders for one in self._given), *free, *([] if self._spare is None else [self._spare])]

    def _fork(self) -> None:
        """Have a worker ready for the next session: forking takes longer than everything else of one."""
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid:
            theirs.close()
            self._workers.add(pid)
            self._spare = mine
            return
        code = 1
        try:
            for end in (self._channel, mine, *self._ends()):
                end.close()
            for fd in (self._alive, self._signals, self._wake):
                os.close(fd)
            signal.set_wakeup_fd(-1)
            _work(theirs, self._lifeline, self._protected, self._likely)
            code = 0
        except Closed:
            code = 0
        finally:
            # The supervisor's threads are in the middle of their work, and the interpreter must not wait for them.
            os._exit(code)


def _work(orders: socket.socket, lifeline: int, protected: ProtectedSet, likely: Profile | None) -> None:
    """The life of a worker: one session, and others like it as long as nothing is left of the last one.

    Args:
        orders: where its orders come from.
        lifeline: descriptor that ends when the zygote does.
        protected: what is protected.
        likely: the profile that it will probably be asked for.
    """
    worker = Worker(lifeline, protected)
    if likely is not None:
        worker.prepare(likely)
    order, fds = receive(orders)
    if not worker.open(socket.socket(fileno=fds[0]), Profile.from_plain(order["open"])):
        return
    while worker.serve():
        send(orders, {"free": True})
        worker.open_again(socket.socket(fileno=receive(orders)[1][0]))


def main(channel: int, protected: int) -> None:
    """Run the executor.

    Args:
        channel: descriptor of the channel to the guard.
        protected: descriptor that the protected set is read from.
    """
    taken = ProtectedSet.from_plain(unpack(protected))
    os.close(protected)
    os.set_inheritable(channel, False)
    Zygote(socket.socket(fileno=channel), taken).serve()


def _noticed(_number: int, _frame: object) -> None:
    """A handler is needed for the wake-up descriptor to be written to."""
