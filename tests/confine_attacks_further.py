"""Attacks found after the first forty-nine: other names, other descriptors, and the supervisor itself."""

from __future__ import annotations

import fcntl
import os
import socket

from confine_attack_kit import (
    BASE,
    CONF,
    FURTHER,
    MODELS,
    OLD,
    WS,
    call,
    entered,
    executor,
    ran,
    threads,
    took,
)  # fmt: skip

further = entered(FURTHER)


@further
def exchange_names() -> object:
    with open(f"{WS}/mine", "w") as file:
        file.write("shutdown: disabled\n")
    return call(316, -100, f"{WS}/mine".encode(), -100, CONF.encode(), 2) == 0


@further
def tmpfile_linked_over() -> object:
    fd = os.open(WS, os.O_TMPFILE | os.O_RDWR)
    os.write(fd, b"shutdown: disabled\n")
    return call(265, -100, f"/proc/self/fd/{fd}".encode(), -100, f"{MODELS}/new".encode(), 0x400) == 0


@further
def new_file_in_a_protected_tree() -> object:
    return os.open(f"{MODELS}/peer/adapter.bin", os.O_CREAT | os.O_WRONLY)


@further
def conf_through_descriptor() -> object:
    fd = os.open(CONF, os.O_RDONLY)
    return os.write(os.open(f"/proc/self/fd/{fd}", os.O_WRONLY), b"x")


@further
def conf_mode_through_descriptor() -> object:
    os.fchmod(os.open(CONF, os.O_RDONLY), 0o777)
    return True


@further
def conf_times_through_descriptor() -> object:
    os.utime(os.open(CONF, os.O_RDONLY), (OLD, OLD))
    return True


@further
def conf_through_a_symlinked_directory() -> object:
    os.symlink(f"{WS}/conf", f"{WS}/other")
    with open(f"{WS}/other/shutdown.yaml", "a") as file:
        return file.write("x")


@further
def conf_hard_linked() -> object:
    os.link(CONF, f"{WS}/again")
    return True


@further
def memory_file_executed() -> object:
    fd = os.memfd_create("x", 0)
    with open("/bin/true", "rb") as file:
        os.write(fd, file.read())
    return ran(f"/proc/self/fd/{fd}")


@further
def supervisor_signalled() -> object:
    done = [parent for parent in executor() if took(lambda one=parent: os.kill(one, 0))]
    return done or any(took(lambda one=tid: call(200, one, 0)) for pid in executor() for tid in threads(pid))


@further
def supervisor_signalled_through_proc() -> object:
    fds = [os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY) for pid in executor()]
    return any(took(lambda one=fd: call(424, one, 0, None, 0)) for fd in fds)


@further
def supervisor_read() -> object:
    names = [f"/proc/{pid}/task/{tid}/{what}" for pid in executor() for tid in threads(pid)
             for what in ("environ", "mem", "maps")]  # fmt: skip
    return [name for name in names if took(lambda one=name: open(one, "rb").read(1))]


@further
def supervisor_environment_through_a_link() -> object:
    """A supervisor that follows /proc/self as itself is a confused deputy."""
    os.symlink("/proc/self/environ", f"{WS}/self")
    with open(f"{WS}/self", "rb+") as file:
        return b"VICTIM=" not in file.read()


@further
def everybody_killed() -> object:
    os.kill(-1, 0)
    return True


@further
def multipath_tcp() -> object:
    end = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    end.connect(("127.0.0.1", int(os.environ["TCP"])))
    return True


@further
def fast_open() -> object:
    end = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    return end.sendto(b"x" * 100, 0x20000000, ("127.0.0.1", int(os.environ["TCP"])))


@further
def unix_datagram_pair() -> object:
    one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return one.sendto(b"x", f"{BASE}/run/daemon.sock")


@further
def terminal_typed_into() -> object:
    master, slave = os.openpty()
    fcntl.ioctl(slave, 0x540E, 0)  # TIOCSCTTY
    fcntl.ioctl(slave, 0x5412, b"x")
    return master


@further
def namespace_of_time() -> object:
    return call(272, 0x10000080) == 0
