"""The supervisor: the loop that answers what the tool's filter sends, one call after another.

INVARIANT: it runs on a thread inside the tool's own domain, so what it hands out is nothing that the tool could not
have opened. Calls are answered one after another, which is what makes looking at a name and then acting on it safe.
What a person approved is wider than the tool's domain, so it is done on the main thread, in a turn of its own.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from guardrail.confine.execd import _landlock as landlock
from guardrail.confine.execd import _seccomp as seccomp
from guardrail.confine.execd import _syscalls as calls
from guardrail.confine.execd._asks import Answer, Asks, Question
from guardrail.confine.execd._judge import Found, Verdict, judge
from guardrail.confine.execd._orders import Profile, ProtectedSet
from guardrail.confine.execd._others import let_schedule, plan_watch
from guardrail.confine.execd._pins import Ours
from guardrail.confine.execd._plans import Again, Plan, Planner, Trapped
from guardrail.confine.execd._reads import Reads
from guardrail.confine.execd._sockets import Refused, plan_connect, plan_listen

MAX_WAITING: Final = 64
"""Most calls of one session that wait for somebody at a time, such as for the other end of a FIFO."""

_SCHEDULES: Final = frozenset({*calls.SCHEDULE, *calls.RANK_PROCESSES})

Notice = Callable[[dict[str, Any]], None]
"""Takes one event."""


class Supervisor:
    """Answers trapped calls; made and run on one thread.

    Args:
        listener: of the tool's filter; closed when nobody is left under it.
        profile: what the tool may reach.
        protected: what it may not.
        notice: is told of each thing that was denied or is to be observed.
        abi: version of Landlock that is in force.
        every_open: whether opens that only read are carried out here, and not by the kernel.
        asks: takes what a person may decide; without it nobody is asked.
    """

    def __init__(
        self,
        listener: int,
        profile: Profile,
        protected: ProtectedSet,
        notice: Notice,
        *,
        abi: int,
        every_open: bool,
        asks: Asks | None = None,
    ) -> None:
        self._listener = listener
        self._profile = profile
        self._protected = protected
        self._notice = notice
        self._ports_held = abi >= landlock.NET_SINCE
        self._names = calls.machine().names
        self._asks = asks
        self._turn = threading.Lock()
        self._planner = Planner(self._give)
        self._reads = Reads(protected, self._planner.memory)
        self._sees_all = every_open
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)
        self.traps = 0
        self.handed_on = False

    def serve(self) -> None:
        """Answer until nobody is left."""
        blank, poll = bytes(seccomp.NOTIFICATION.size), select.poll()
        # It does no harm where the kernel does not know it (before 6.6).
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._listener, seccomp.SET_FLAGS, seccomp.SYNC_WAKE_UP)
        poll.register(self._listener, select.POLLIN)
        while poll.poll()[0][1] & select.POLLIN:
            try:
                taken = fcntl.ioctl(self._listener, seccomp.RECV, blank)
            except OSError as error:
                if error.errno in {errno.EINTR, errno.ENOENT}:
                    continue
                break
            ident, pid, _, number, _, _, *args = seccomp.NOTIFICATION.unpack(taken)
            self.traps += 1
            name = self._names.get(number, str(number))
            with self._turn:
                self._answer(Trapped(ident=ident, pid=pid, name=name, args=tuple(args)))
        os.close(self._listener)

    def _answer(self, trapped: Trapped) -> None:
        try:
            value = self._handled(trapped)
        except Again:
            self._respond(trapped, 0, seccomp.FLAG_CONTINUE)
            return
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the answer is no
            value = self._failed(trapped, error)
        if value is not None:
            self._respond(trapped, value, 0)

    def _failed(self, trapped: Trapped, error: Exception) -> int:
        """The one place where what went wrong becomes an answer: as the call fails, or no."""
        if isinstance(error, Refused):
            self._tell(trapped, error.op, os.fsencode(error.where), (), Verdict("deny", None, error.why))
        elif isinstance(error, Ours):
            self._tell(trapped, "read", error.real, (), Verdict("deny", None, "supervisor"))
        elif isinstance(error, OSError):
            return -(error.errno or errno.EACCES)
        else:
            self._tell(trapped, "fault", b"", (), Verdict("deny", None, "fault"), {"error": repr(error)})
        return -errno.EACCES

    def _handled(self, trapped: Trapped) -> int | None:
        """The value to answer, or nothing if it has been, or will be, answered elsewhere."""
        plan = self._plan(trapped)
        later = False
        try:
            # Pins came from /proc/PID, and numbers are used again: was it the same process all along?
            self._check_waits(trapped)
            verdict = self._verdict(plan)
            if verdict.answer == "deny" and (later := self._ask(trapped, plan, verdict)):
                return None
            if verdict.answer != "allow":
                self._tell(trapped, plan.op, plan.path, plan.objects, verdict, plan.times)
            if verdict.answer == "deny":
                return -errno.EACCES
            if plan.blocks:
                later = self._later(trapped, plan)
                return None
            return plan.act()
        finally:
            if not later:
                _close(plan.fds)

    def _plan(self, trapped: Trapped) -> Plan:
        if trapped.name == "socket":
            # Registers alone, so nothing can change behind them: a socket of this host, where none is allowed.
            raise Refused("unix:", why="socket")
        if trapped.name in _SCHEDULES:
            return let_schedule(trapped)
        if trapped.name == "inotify_add_watch":
            return plan_watch(trapped, self._planner.memory, self._profile, self._protected)
        if trapped.name == "listen":
            return plan_listen(trapped, self._profile)
        if trapped.name == "umask":
            self._planner.forget_masks()
            raise Again
        if not self._sees_all and self._reads.is_one(trapped):
            return self._read(trapped)
        if trapped.name == "connect":
            return plan_connect(trapped, self._planner.memory, self._profile, ports_held=self._ports_held)
        return self._planner.plan(trapped)

    def _read(self, trapped: Trapped) -> Plan:
        """The plan of an open that only reads, which the kernel carries out itself where it is not refused here.

        INVARIANT: what holds it is Landlock, whatever the path says by then; it is looked at to tell of it.
        """
        if not self._reads.may_bear(trapped):
            raise Again
        try:
            plan = self._planner.plan(trapped)
        except Ours:
            raise
        except OSError:
            raise Again from None  # as the call fails, so the kernel has it fail
        plan.act, plan.blocks = _again, False
        return plan

    def _check_waits(self, trapped: Trapped) -> None:
        fcntl.ioctl(self._listener, seccomp.ID_VALID, seccomp.ID.pack(trapped.ident))

    def _verdict(self, plan: Plan) -> Verdict:
        return judge(
            self._profile,
            self._protected,
            plan.op,
            plan.objects,
            entry=plan.entry,
            explicit_times=plan.times is not None,
        )

    def _ask(self, trapped: Trapped, plan: Plan, verdict: Verdict) -> bool:
        """Have a person decide about what is done to an asset; whether the call waits for that now."""
        if self._asks is None or plan.words is None or verdict.why != "asset":
            return False

        def end(value: int, answered: Verdict, how: Answer) -> None:
            _close(plan.fds)
            detail = {**(plan.times or {}), "asked": how, "errno": -min(value, 0)}
            self._tell(trapped, plan.op, plan.path, plan.objects, answered, detail)
            self._respond(trapped, value, 0)

        def act() -> int:
            # INVARIANT: no other call is answered between the second look at the names and the act.
            with self._turn:
                value = self._again(trapped, plan)
                end(value, Verdict("observe", verdict.asset, "approved"), "approved")
            return -value

        def refuse(how: Answer) -> None:
            end(-errno.EACCES, verdict, how)

        return self._asks.ask(Question(words=plan.words, act=act, refuse=refuse))

    def _again(self, trapped: Trapped, plan: Plan) -> int:
        """Do what was approved, if it is still what was asked about; the value to answer."""
        try:
            self._check_waits(trapped)
            return (plan.act() or 0) if plan.same() else -errno.ESTALE
        except Exception as error:  # noqa: BLE001 - as in `_answer`
            return self._failed(trapped, error)

    def _later(self, trapped: Trapped, plan: Plan) -> bool:
        """On a thread started from T1, and so inside its domain; the other processes of the tool go on meanwhile."""

        def act() -> None:
            try:
                value = plan.act()
            except Exception as error:  # noqa: BLE001 - as in `_answer`
                value = self._failed(trapped, error)
            finally:
                _close(plan.fds)
                self._waiting.release()
            if value is not None:
                self._respond(trapped, value, 0)

        if not self._waiting.acquire(blocking=False):
            raise OSError(errno.EAGAIN, "too many calls wait")
        self.handed_on = True
        try:
            threading.Thread(target=act, daemon=True).start()
        except RuntimeError:
            self._waiting.release()
            raise OSError(errno.EAGAIN, "no thread") from None
        return True

    def _give(self, trapped: Trapped, fd: int, flags: int) -> None:
        """Put a descriptor into the tool as the answer, which closes the call."""
        try:
            order = seccomp.ADDITION.pack(trapped.ident, seccomp.ADDFD_SEND, fd, 0, flags & os.O_CLOEXEC)
            fcntl.ioctl(self._listener, seccomp.ADDFD, order)
        finally:
            os.close(fd)

    def _respond(self, trapped: Trapped, value: int, flags: int) -> None:
        answer = seccomp.RESPONSE.pack(trapped.ident, max(value, 0), min(value, 0), flags)
        # Whoever asked may be gone.
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._listener, seccomp.SEND, answer)

    def _tell(
        self,
        trapped: Trapped,
        op: str,
        path: bytes,
        objects: tuple[Found, ...],
        verdict: Verdict,
        detail: dict[str, Any] | None = None,
    ) -> None:
        self._notice(
            {
                "t": time.time(),
                "pid": trapped.pid,
                "syscall": trapped.name,
                "op": op,
                "path": path.decode("utf-8", "backslashreplace"),
                "objects": [[_printable(found.real), *(found.identity or (None, None))] for found in objects],
                "asset": verdict.asset,
                "outcome": verdict.answer,
                "why": verdict.why,
                "detail": detail or {},
            }
        )


def _again() -> int:
    raise Again


def _printable(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
    fds.clear()
