"""One confined session: its rules, its filter, and the two threads that live under them.

INVARIANT: the supervisor acts inside the tool's own domain (T1), so what it hands out is nothing that the tool could
not have opened; and it is out of the tool's reach, because the tool's domain lies one layer below (T2), because the
process is undumpable, and because its numbers are shielded in the filter.

INVARIANT: nothing that is called between vfork and exec is trapped: T2 holds the interpreter while it waits for that.
"""

from __future__ import annotations

import _thread
import errno
import os
import queue
import stat
import subprocess
import threading
from collections.abc import Callable
from typing import Any

from guardrail.confine.execd import _landlock as landlock
from guardrail.confine.execd import _seccomp as seccomp
from guardrail.confine.execd._asks import Asks
from guardrail.confine.execd._kernel import drop_capabilities
from guardrail.confine.execd._orders import DEVICES, WRITABLE_DEVICES, Profile, ProtectedSet, beneath
from guardrail.confine.execd._sockets import copies_sockets
from guardrail.confine.execd._supervise import Notice, Supervisor


class Session:
    """A domain, a filter and a supervisor, in which tools are started one after another.

    Args:
        profile: what they may reach.
        protected: what they may not.
        notice: is told of each thing that was denied or is to be observed.
        asks: takes what a person may decide; without it nobody is asked.

    Raises:
        OSError: if the kernel refuses a part of it.
        ValueError: if the profile would open what is protected.
    """

    def __init__(self, profile: Profile, protected: ProtectedSet, notice: Notice, asks: Asks | None = None) -> None:
        self._profile = profile
        self._protected = protected
        self._notice = notice
        self._asks = asks
        self._abi = landlock.version()
        aliased = profile.mode == "default" and profile.strict_on_aliases and bool(protected.aliases)
        self.mode = "strict" if aliased else profile.mode
        if self.mode != "floor" and (profile.bind or profile.has_unix) and not copies_sockets():
            raise OSError(errno.EPERM, "sockets to listen on, or of this host, need pidfd_getfd, which is refused here")
        self._supervisor: Supervisor | None = None
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._rules = self._ruleset() if self._abi else None
        self._listener = -1
        ready: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        _thread.start_new_thread(self._t1, (ready,))
        error = ready.get()
        if error is not None:
            raise error

    def start(self, argv: list[str], *, umask: int, **options: Any) -> subprocess.Popen[bytes]:
        """Start a tool inside.

        Raises:
            OSError: if it cannot be started.
        """
        result: queue.SimpleQueue[subprocess.Popen[bytes] | BaseException] = queue.SimpleQueue()

        def job() -> None:
            try:
                # A session of its own: no terminal, and one group to begin with.
                mask = umask | seccomp.OWN_UMASK
                result.put(subprocess.Popen[bytes](argv, start_new_session=True, umask=mask, **options))
            except Exception as error:  # noqa: BLE001 - it is raised by the thread that asked
                result.put(error)

        self._jobs.put(job)
        started = result.get()
        if isinstance(started, BaseException):
            raise started
        return started

    @property
    def profile(self) -> Profile:
        """What the tools may reach."""
        return self._profile

    @property
    def traps(self) -> int:
        """How many calls were answered."""
        return self._supervisor.traps if self._supervisor is not None else 0

    @property
    def is_clean(self) -> bool:
        """Whether no call of it was ever handed to a thread of its own, which may wait still."""
        return self._supervisor is None or not self._supervisor.handed_on

    # ── the threads ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _ruleset(self) -> landlock.Ruleset:
        rules = landlock.Ruleset(abi=self._abi)
        profile = self._profile
        try:
            for paths, rights in (
                ((*profile.read, *DEVICES), landlock.READ),
                (WRITABLE_DEVICES, landlock.WRITE_FILE),
                (profile.write, landlock.WRITE & ~(landlock.MAKE_SOCK if self._names_no_sockets else 0)),
                (profile.sockets, landlock.SOCKETS),
            ):
                for path in paths:
                    self._allow(rules, path, rights)
            for ports, rights in ((profile.connect, landlock.CONNECT_TCP), (profile.bind, landlock.BIND_TCP)):
                for port in ports:
                    rules.allow_port(port, rights)
        except BaseException:
            rules.close()
            raise
        return rules

    def _allow(self, rules: landlock.Ruleset, path: str, rights: int) -> None:
        """INVARIANT: what was looked at is what the rule is made for: both are the same descriptor."""
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            found = os.fstat(fd)
            if not stat.S_ISDIR(found.st_mode):
                self._check_file(path, found, rights)
                rights &= landlock.ON_A_FILE
            rules.allow(fd, rights)
        finally:
            os.close(fd)

    def _check_file(self, path: str, found: os.stat_result, rights: int) -> None:
        """A rule on a file follows what the file is, so one on another name of an asset would open the asset."""
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
            _thread.start_new_thread(self._t2, (threading.get_native_id(), up))
            error = up.get()
            if error is None and self._listener >= 0:
                self._supervisor = Supervisor(
                    self._listener,
                    self._profile,
                    self._protected,
                    self._notice,
                    abi=self._abi,
                    every_open=self.mode == "strict",
                    asks=self._asks,
                )
        except Exception as failure:  # noqa: BLE001 - it is raised by the thread that asked
            error = failure
        ready.put(error)
        if error is None and self._supervisor is not None:
            self._supervisor.serve()

    def _t2(self, t1: int, up: queue.SimpleQueue[BaseException | None]) -> None:
        try:
            drop_capabilities()
            if self._abi:
                self._nest()
            plan = self._filter_plan((os.getpid(), t1, threading.get_native_id(), *_above()))
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
            self._allow(rules, "/", rights)
            rules.enter()
        finally:
            rules.close()

    @property
    def _protects_names(self) -> bool:
        """Whether what is to be protected may still be made in a write root."""
        write = self._profile.write
        return any(beneath(root, write) and not os.path.isfile(root) for root in self._protected.roots)

    @property
    def _names_no_sockets(self) -> bool:
        """Whether no socket may get a name in a write root: one of a pair is bound to it, and nobody looks at that."""
        return self._protects_names or not self._profile.has_unix

    def _filter_plan(self, shield: tuple[int, ...]) -> seccomp.FilterPlan:
        profile = self._profile
        return seccomp.FilterPlan(
            notify=self.mode != "floor",
            every_open=self.mode == "strict",
            # Where everything that is protected may be read by all, there is nothing to tell of.
            named_reads=not set(self._protected.roots.values()) <= self._protected.readable,
            # New names in a protected directory of the workspace, such as a drop-in configuration, or above a protected
            # name that is not there yet.
            new_names=not self._abi or self._protects_names,
            unix=profile.has_unix,
            listen=bool(profile.bind) or profile.has_unix,
            shield=shield,
            groups=(os.getpgid(0),),
        )


def _above() -> tuple[int, int]:
    """The process above this one, and the one above that: who started it, and who watches or judges."""
    parent = os.getppid()
    try:
        with open(f"/proc/{parent}/stat", "rb") as file:
            return parent, int(file.read().rpartition(b")")[2].split()[1]) or parent
    except OSError:
        return parent, parent
