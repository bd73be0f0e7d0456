"""One confined session: the two threads, and the loop that answers what the tool's filter sends.

INVARIANT: the supervisor acts inside the tool's own domain (T1), so what it hands out is nothing that the tool could
not have opened; and it is out of the tool's reach, because the tool's domain lies one layer below (T2), because the
process is undumpable, and because its numbers are shielded in the filter.

INVARIANT: nothing that is called between vfork and exec is trapped: T2 holds the interpreter while it waits for that.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import queue
import select
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from guardrail.confine.execd import _landlock as landlock
from guardrail.confine.execd import _seccomp as seccomp
from guardrail.confine.execd import _syscalls as calls
from guardrail.confine.execd._connect import Refused, plan_connect
from guardrail.confine.execd._judge import Found, Verdict, judge
from guardrail.confine.execd._kernel import drop_capabilities
from guardrail.confine.execd._orders import DEVICES, WRITABLE_DEVICES, Profile, ProtectedSet, beneath
from guardrail.confine.execd._plans import Again, Plan, Planner, Trapped

MAX_WAITING: Final = 64
"""Most calls of one session that wait for somebody at a time, such as for the other end of a FIFO."""

Notice = Callable[[dict[str, Any]], None]
"""Takes one event."""


class Session:
    """A domain, a filter and a supervisor, in which tools are started one after another.

    Args:
        profile: what they may reach.
        protected: what they may not.
        notice: is told of each thing that was denied or is to be observed, on the supervisor's thread.

    Raises:
        OSError: if the kernel refuses a part of it.
        ValueError: if the profile would open what is protected.
    """

    def __init__(self, profile: Profile, protected: ProtectedSet, notice: Notice) -> None:
        self._profile = profile
        self._protected = protected
        self._notice = notice
        self._names = calls.machine().names
        self._abi = landlock.version()
        aliased = profile.mode == "default" and profile.strict_on_aliases and bool(protected.aliases)
        self.mode = "strict" if aliased else profile.mode
        self.traps = 0
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._rules = self._ruleset() if self._abi else None
        self._listener = -1
        ready: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        threading.Thread(target=self._t1, args=(ready,), daemon=True).start()
        error = ready.get()
        if error is not None:
            raise error

    def start(self, argv: list[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a tool inside.

        Raises:
            OSError: if it cannot be started.
        """
        result: queue.SimpleQueue[subprocess.Popen[bytes] | BaseException] = queue.SimpleQueue()

        def job() -> None:
            try:
                # A session of its own: no terminal, and one group to begin with.
                result.put(subprocess.Popen[bytes](argv, start_new_session=True, **options))
            except Exception as error:  # noqa: BLE001 - it is raised by the thread that asked
                result.put(error)

        self._jobs.put(job)
        started = result.get()
        if isinstance(started, BaseException):
            raise started
        return started

    # ── the threads ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _ruleset(self) -> landlock.Ruleset:
        rules = landlock.Ruleset(abi=self._abi)
        profile = self._profile
        try:
            for paths, rights in (
                ((*profile.read, *DEVICES), landlock.READ),
                (WRITABLE_DEVICES, landlock.WRITE_FILE),
                (profile.write, landlock.WRITE),
                (profile.sockets, landlock.SOCKETS),
            ):
                for path in paths:
                    self._check_rule(path, rights)
                    rules.allow(path, rights)
            for ports, rights in ((profile.connect, landlock.CONNECT_TCP), (profile.bind, landlock.BIND_TCP)):
                for port in ports:
                    rules.allow_port(port, rights)
        except BaseException:
            rules.close()
            raise
        return rules

    def _check_rule(self, path: str, rights: int) -> None:
        """A rule on a file follows what the file is, so one on another name of an asset would open the asset."""
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            return
        asset = self._protected.at(path, (found.st_dev, found.st_ino))
        reads = asset in self._profile.reads or asset in self._protected.readable
        if asset is not None and (rights & ~landlock.READ or not reads):
            raise ValueError(f"`{path}` is the asset `{asset}`, or another name of it: take it out of the profile")

    def _t1(self, ready: queue.SimpleQueue[BaseException | None]) -> None:
        try:
            drop_capabilities()
            if self._rules is not None:
                self._rules.enter()
                self._rules.close()
            up: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
            threading.Thread(target=self._t2, args=(threading.get_native_id(), up), daemon=True).start()
            error = up.get()
        except Exception as failure:  # noqa: BLE001 - it is raised by the thread that asked
            error = failure
        ready.put(error)
        if error is None and self._listener >= 0:
            self._planner = Planner(self._give)
            self._serve()

    def _t2(self, t1: int, up: queue.SimpleQueue[BaseException | None]) -> None:
        try:
            drop_capabilities()
            if self._abi:
                self._nest()
            plan = self._filter_plan((os.getpid(), t1, threading.get_native_id()))
            fd = seccomp.install(seccomp.own_program(plan), listener=plan.notify)
            if plan.notify:
                self._listener = fd
            up.put(None)
        except Exception as error:  # noqa: BLE001 - it is raised by the thread that asked
            up.put(error)
            return
        while True:
            self._jobs.get()()

    def _nest(self) -> None:
        """One layer below T1, whose scoping hides T1 from the tool.

        A layer that does not handle REFER forbids every rename and link across directories: it is handled, and allowed.
        """
        rights = landlock.EXECUTE | (landlock.REFER if self._abi >= 2 else 0)
        rules = landlock.Ruleset(landlock.Handled(files=rights, net=0), abi=self._abi)
        try:
            rules.allow("/", rights)
            rules.enter()
        finally:
            rules.close()

    def _filter_plan(self, shield: tuple[int, ...]) -> seccomp.FilterPlan:
        profile = self._profile
        directories = [root for root in self._protected.roots if os.path.isdir(root)]
        return seccomp.FilterPlan(
            notify=self.mode != "floor",
            every_open=self.mode == "strict",
            # New names in a protected directory of the workspace: a drop-in configuration, say.
            new_names=any(beneath(root, profile.write) for root in directories) or not self._abi,
            unix=profile.has_unix,
            shield=shield,
            groups=(os.getpgid(0),),
        )

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _serve(self) -> None:
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
            self._answer(Trapped(ident=ident, pid=pid, name=name, args=tuple(args)))
        os.close(self._listener)

    def _answer(self, trapped: Trapped) -> None:
        try:
            value = self._handled(trapped)
        except Again:
            self._respond(trapped, 0, seccomp.FLAG_CONTINUE)
            return
        except OSError as error:
            value = -(error.errno or errno.EACCES)
        except Exception as error:  # noqa: BLE001 - the one place where a fault becomes an answer, and it is no
            self._tell(trapped, "fault", b"", (), Verdict("deny", None, "fault"), {"error": repr(error)})
            value = -errno.EACCES
        if value is not None:
            self._respond(trapped, value, 0)

    def _handled(self, trapped: Trapped) -> int | None:
        """The value to answer, or nothing if it has been, or will be, answered elsewhere."""
        if trapped.name == "socket":
            # Registers alone, so nothing can change behind them: a socket of this host, where none is allowed.
            self._tell(trapped, "net_send", b"unix:", (), Verdict("deny", None, "socket"))
            return -errno.EACCES
        may_continue = False
        if trapped.name == "connect":
            try:
                held = self._abi >= landlock.NET_SINCE
                plan, may_continue = plan_connect(trapped, self._planner.memory, self._profile, ports_held=held)
            except Refused as refused:
                self._tell(trapped, "net_send", os.fsencode(refused.where), (), Verdict("deny", None, "address"))
                return -errno.EACCES
        else:
            plan = self._planner.plan(trapped)
        later = False
        try:
            # Pins came from /proc/PID, and numbers are used again: was it the same process all along?
            fcntl.ioctl(self._listener, seccomp.ID_VALID, seccomp.ID.pack(trapped.ident))
            if not self._passes(trapped, plan):
                return -errno.EACCES
            if may_continue:
                raise Again
            if plan.blocks:
                later = self._later(trapped, plan)
                return None
            return plan.act()
        finally:
            if not later:
                _close(plan.fds)

    def _passes(self, trapped: Trapped, plan: Plan) -> bool:
        verdict = judge(
            self._profile,
            self._protected,
            plan.op,
            plan.objects,
            entry=plan.entry,
            explicit_times=plan.times is not None,
        )
        if verdict.answer != "allow":
            self._tell(trapped, plan.op, plan.path, plan.objects, verdict, plan.times)
        return verdict.answer != "deny"

    def _later(self, trapped: Trapped, plan: Plan) -> bool:
        """On a thread started from T1, and so inside its domain; the other processes of the tool go on meanwhile."""

        def act() -> None:
            try:
                value = plan.act()
            except OSError as error:
                value = -(error.errno or errno.EACCES)
            finally:
                _close(plan.fds)
                self._waiting.release()
            if value is not None:
                self._respond(trapped, value, 0)

        if not self._waiting.acquire(blocking=False):
            raise OSError(errno.EAGAIN, "too many calls wait")
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


def _printable(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
    fds.clear()
