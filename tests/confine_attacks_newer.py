"""Attacks by interfaces of the kernel that the first ones left out: what carries bytes between processes without a
file, what names a process without a signal, what a number of a thread stands for, and names that do not exist yet.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import resource
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable

from confine_attack_kit import (
    CONF,
    LATER,
    LIBC,
    MODELS,
    NEWER,
    OLD,
    VICTIM,
    WS,
    W,
    call,
    check,
    entered,
    executor,
    memory_goes_into_cores,
    ran,
    threads,
    took,
)  # fmt: skip

newer = entered(NEWER)

AT_FDCWD, EMPTY_PATH = -100, 0x1000
RACES = 1500
"""Tries of each race."""


# ── what carries bytes without a file ─────────────────────────────────────────────────────────────────────────────────


@newer
def shared_memory() -> object:
    segment = check(LIBC.shmget(0, 4096, 0o1600))
    LIBC.shmctl(segment, 0, None)
    return True


@newer
def message_queue() -> object:
    queue = check(LIBC.msgget(0, 0o1600))
    LIBC.msgctl(queue, 0, None)
    return True


@newer
def posix_message_queue() -> object:
    name = f"/guardrail-{os.getpid()}".encode()
    call(240, name[1:], os.O_CREAT | os.O_RDWR, 0o600, None)
    call(241, name[1:])
    return True


@newer
def semaphores() -> object:
    found = check(LIBC.semget(0, 8, 0o1600))
    LIBC.semctl(found, 0, 0, None)
    return True


@newer
def listening_without_a_bind() -> object:
    """The kernel chooses a port by itself, and no rule on binding is asked."""
    end = socket.socket()
    end.listen(1)
    return end.getsockname()[1]


@newer
def other_families_of_sockets() -> object:
    """Between processes (netlink), machines (vsock), on the wire (packet), with the kernel (alg), and further ones."""
    kinds = ((16, 3, 2), (40, 1, 0), (17, 3, 0), (38, 5, 0), (43, 1, 0), (30, 1, 0), (31, 3, 1), (44, 3, 0), (21, 5, 0))
    return [kind for kind in kinds if took(lambda one=kind: socket.socket(*one))]


# ── what names a process ──────────────────────────────────────────────────────────────────────────────────────────────


@newer
def victim_limited() -> object:
    """A limit of processor time ends a process as well as a signal does."""
    resource.prlimit(VICTIM, resource.RLIMIT_RSS, resource.prlimit(VICTIM, resource.RLIMIT_RSS))
    return True


@newer
def supervisor_limited() -> object:
    kind = resource.RLIMIT_RSS
    return [pid for pid in executor() if took(lambda one=pid: resource.prlimit(one, kind, resource.prlimit(one, kind)))]


@newer
def supervisor_scheduled() -> object:
    """To run when nobody else wants to, or on one processor, or after everybody else."""
    hit: list[object] = []
    for pid in executor():
        for tid in threads(pid):
            hit += [tid] * took(lambda one=tid: os.sched_setaffinity(one, os.sched_getaffinity(one)))
            hit += [tid] * took(lambda one=tid: os.sched_setscheduler(one, os.SCHED_OTHER, os.sched_param(0)))
            hit += [tid] * took(lambda one=tid: os.setpriority(os.PRIO_PROCESS, one, 0))
            hit += [tid] * took(lambda one=tid: call(251, 1, one, 0))
    return hit


@newer
def everybody_scheduled() -> object:
    os.setpriority(os.PRIO_USER, 0, 0)
    return True


@newer
def victim_signalled_by_a_descriptor() -> object:
    """The owner of a descriptor is sent a signal of one's choice when there is something to read."""
    one, other = socket.socketpair()
    fcntl.fcntl(one, fcntl.F_SETOWN, VICTIM)
    fcntl.fcntl(one, 10, signal.SIGSTOP)
    fcntl.fcntl(one, fcntl.F_SETFL, os.O_ASYNC)
    other.send(b"x")
    with open(f"/proc/{VICTIM}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


@newer
def supervisor_owns_a_descriptor() -> object:
    one, _ = socket.socketpair()
    pairs = array.array("i", [1, executor()[0]])
    return [
        what
        for what, attempt in {
            "F_SETOWN": lambda: fcntl.fcntl(one, fcntl.F_SETOWN, executor()[0]),
            "F_SETOWN_EX": lambda: fcntl.fcntl(one, 15, pairs.tobytes()),
            "FIOSETOWN": lambda: fcntl.ioctl(one, 0x8901, pairs[1:].tobytes()),
            "SIOCSPGRP": lambda: fcntl.ioctl(one, 0x8902, pairs[1:].tobytes()),
        }.items()
        if took(attempt)
    ]


@newer
def victim_signalled_by_a_pidfd() -> object:
    return call(424, os.pidfd_open(VICTIM), 0, None, 0) == 0


@newer
def victim_written_to() -> object:
    buffer = ctypes.create_string_buffer(8)
    part = struct.pack("=QQ", ctypes.addressof(buffer), 8)
    return call(311, VICTIM, part, 1, part, 1, 0) or call(440, os.pidfd_open(VICTIM), part, 1, 20, 0)


@newer
def victim_compared() -> object:
    return call(312, os.getpid(), VICTIM, 2, 0, 0) >= 0


# ── the supervisor, by the number of one of its threads ───────────────────────────────────────────────────────────────


def opened(*names: str) -> list[str]:
    """Those that open, one way or another; O_CREAT sends an open that reads to the supervisor."""
    ways = (os.O_RDONLY, os.O_RDONLY | os.O_CREAT, os.O_WRONLY, os.O_RDWR)
    return [name for name in names for way in ways if took(lambda one=name, how=way: os.open(one, how | os.O_NONBLOCK))]


@newer
def supervisor_memory_by_a_thread() -> object:
    return opened(*(f"/proc/{tid}/{what}" for tid in threads(executor()[0]) for what in ("mem", "maps", "environ")))


@newer
def supervisor_descriptors_by_a_thread() -> object:
    return opened(*(f"/proc/{tid}/fd/{fd}" for tid in threads(executor()[0]) for fd in range(3, 30)))


@newer
def supervisor_memory_through_a_directory() -> object:
    names = [f"/proc/{tid}" for tid in threads(executor()[0])]
    fds = [os.open(name, os.O_PATH) for name in names if os.path.exists(name)]
    return [fd for fd in fds if took(lambda one=fd: os.open("mem", os.O_RDONLY | os.O_CREAT, dir_fd=one))]


@newer
def supervisor_by_odd_names() -> object:
    """Other ways to write /proc/self, none of which may mean the supervisor."""
    odd = ("//proc/self", "/proc/./self", "/proc/self/../self", "/proc/thread-self/../..", "/./proc/thread-self")
    for name in odd:
        try:
            fd = os.open(f"{name}/environ", os.O_RDONLY | os.O_CREAT)
        except OSError:
            continue
        if b"VICTIM=" not in os.read(fd, 1 << 16):
            return name
    return False


def filtered(flags: int) -> int:
    """A filter of one's own that allows every call."""
    LIBC.prctl(38, 1, 0, 0, 0)
    code = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000), 8)
    return call(317, 1, flags, struct.pack("=HxxxxxxQ", 1, ctypes.addressof(code)))


@newer
def second_listener() -> object:
    """Whoever has a listener of its own answers in the supervisor's place."""
    return filtered(8)


@newer
def filter_that_allows_everything() -> object:
    filtered(0)
    os.unlink(CONF)
    return True


@newer
def inner_sandbox_ignored() -> object:
    """A tool that confines itself, and is told that it did, is confined: also where somebody acts in its place."""
    rules = call(444, struct.pack("=Q", 1 << 8), 8, 0)  # no new files
    LIBC.prctl(38, 1, 0, 0, 0)
    call(446, rules, 0)
    with open(f"{WS}/made_all_the_same", "w") as file:
        return file.write("x")


@newer
def core_dump() -> object:
    """A core goes to a program outside wherever /proc/sys/kernel/core_pattern names one, whatever its size may be."""
    return memory_goes_into_cores()


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def planted() -> bool:
    return os.path.exists(LATER)


@newer
def missing_config_written() -> object:
    os.mkdir(f"{WS}/later")
    with open(LATER, "w") as file:
        return file.write("x")


@newer
def missing_config_by_a_link_above() -> object:
    os.mkdir(f"{WS}/mine")
    with open(f"{WS}/mine/site.yaml", "w") as file:
        file.write("x")
    os.symlink("mine", f"{WS}/later")
    return planted()


@newer
def missing_config_by_a_directory_moved() -> object:
    os.mkdir(f"{WS}/mine")
    with open(f"{WS}/mine/site.yaml", "w") as file:
        file.write("x")
    os.rename(f"{WS}/mine", f"{WS}/later")
    return planted()


@newer
def missing_config_as_a_link() -> object:
    os.mkdir(f"{WS}/later")
    os.symlink("/etc/hostname", LATER)
    return os.path.lexists(LATER)


@newer
def directories_exchanged() -> object:
    os.mkdir(f"{WS}/mine")
    return call(316, AT_FDCWD, f"{WS}/mine".encode(), AT_FDCWD, f"{WS}/conf".encode(), 2) == 0


@newer
def renamed_leaving_a_whiteout() -> object:
    return call(316, AT_FDCWD, CONF.encode(), AT_FDCWD, f"{WS}/x".encode(), 4) == 0


@newer
def linked_by_an_empty_path() -> object:
    fds = [os.open(CONF, os.O_PATH), os.open(W, os.O_PATH), os.open(CONF, os.O_RDONLY)]
    return [fd for fd in fds if took(lambda one=fd: call(265, one, b"", AT_FDCWD, f"{WS}/l{one}".encode(), EMPTY_PATH))]


@newer
def mode_and_owner_by_an_empty_path() -> object:
    fds = [os.open(CONF, os.O_PATH), os.open(W, os.O_PATH)]
    hit = [fd for fd in fds if took(lambda one=fd: call(260, one, b"", -1, os.getgid(), EMPTY_PATH))]
    return hit + [fd for fd in fds if took(lambda one=fd: call(452, one, b"", 0o777, EMPTY_PATH))]


@newer
def times_without_a_path() -> object:
    fd, old = os.open(CONF, os.O_RDONLY), struct.pack("=4q", OLD, 0, OLD, 0)
    return any((took(lambda: call(280, fd, None, old, 0)), took(lambda: call(261, fd, None, old))))


@newer
def newest_calls_on_attributes() -> object:
    value = ctypes.create_string_buffer(b"1")
    given = struct.pack("=QII", ctypes.addressof(value), 1, 0)
    hit = took(lambda: call(463, AT_FDCWD, CONF.encode(), 0, b"user.x", given, len(given)))
    return hit or took(lambda: call(469, AT_FDCWD, CONF.encode(), struct.pack("=QIIII", 0x40, 0, 0, 0, 0), 24, 0))


@newer
def generation_of_a_file() -> object:
    """A second number for an old ioctl, which ext4 takes on a descriptor that may only be read."""
    fcntl.ioctl(os.open(CONF, os.O_RDONLY), 0x40086604, struct.pack("=q", 1))
    return True


@newer
def reopened_by_a_stream() -> object:
    fd = os.open(CONF, os.O_RDONLY)
    os.dup2(fd, 0)
    return [name for name in (f"/dev/fd/{fd}", "/dev/stdin") if took(lambda one=name: os.open(one, os.O_WRONLY))]


@newer
def removed_from_inside() -> object:
    os.fchdir(os.open(f"{WS}/conf", os.O_PATH))
    os.unlink("shutdown.yaml")
    return True


def raced(flip: Callable[[int], object], attempt: Callable[[], object]) -> bool:
    """Whether the configuration is gone after so many tries of an attempt whose meaning another thread flips."""
    done = threading.Event()

    def flipping() -> None:
        turn = 0
        while not done.is_set():
            turn += 1
            flip(turn & 1)

    os.mkdir(f"{WS}/mine")
    sys.setswitchinterval(1e-5)
    thread = threading.Thread(target=flipping)
    thread.start()
    try:
        for _ in range(RACES):
            if not os.path.exists(f"{WS}/mine/shutdown.yaml"):
                os.mknod(f"{WS}/mine/shutdown.yaml")
            took(attempt)
    finally:
        done.set()
        thread.join()
    return not os.path.exists(CONF)


@newer
def working_directory_raced() -> object:
    where = (f"{WS}/mine", f"{WS}/conf")
    return raced(lambda turn: took(lambda: os.chdir(where[turn])), lambda: os.unlink("shutdown.yaml"))


@newer
def descriptor_of_a_directory_raced() -> object:
    os.makedirs(f"{WS}/mine2")
    fds: list[int] = []

    def flip(turn: int) -> None:
        if not fds:
            fds.extend(os.open(f"{WS}/{name}", os.O_RDONLY) for name in ("mine", "conf", "mine"))
        os.dup2(fds[turn], fds[2])

    return raced(flip, lambda: fds and os.unlink("shutdown.yaml", dir_fd=fds[2]))


# ── code, mounts and old entries ──────────────────────────────────────────────────────────────────────────────────────


@newer
def sealed_memory_file_executed() -> object:
    fd = os.memfd_create("x", 8)
    with open("/bin/true", "rb") as file:
        os.write(fd, file.read())
    took(lambda: os.fchmod(fd, 0o700))
    return ran(f"/proc/self/fd/{fd}")


@newer
def mounts_by_descriptors() -> object:
    hit = took(lambda: call(430, b"tmpfs", 0)) or took(lambda: call(428, AT_FDCWD, MODELS.encode(), 1))
    return hit or took(lambda: call(467, AT_FDCWD, MODELS.encode(), 1, None, 0))


@newer
def x32_open() -> object:
    return call(0x40000000 | 2, W.encode(), os.O_RDONLY) >= 0


@newer
def page_faults_handled() -> object:
    """Whoever can stall a page stalls whoever reads it."""
    return call(323, 1) >= 0
