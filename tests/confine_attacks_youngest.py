"""Attacks by what was not thought of before: who runs when, who watches, names that are sockets, threads that share
less than threads do, and pages that are somebody else's too.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from confine_attack_kit import (
    BASE,
    CONF,
    LATER,
    LIBC,
    LINK,
    SIZE,
    VICTIM,
    WS,
    YOUNGEST,
    W,
    call,
    check,
    entered,
    executor,
    keep,
    reached,
    took,
)  # fmt: skip

youngest = entered(YOUNGEST)

CLONE_FS, CLONE_FILES = 0x200, 0x400
TCP = int(os.environ.get("TCP", "0"))
TRIES = 3000


def got_through(what: Callable[[], object]) -> bool:
    """Whether a call was let through, though it came to nothing by what it was given."""
    try:
        what()
    except OSError as error:
        return error.errno not in {errno.EPERM, errno.EACCES, errno.ENOSYS}
    return True


# ── who runs, and what it has ─────────────────────────────────────────────────────────────────────────────────────────


@youngest
def inherited_descriptors() -> object:
    """A listener, a channel to the guard, rules, or anything else that was open where this was started."""
    return [fd for fd in range(3, 1024) if took(lambda one=fd: os.fstat(one))]


@youngest
def victim_memory_by_its_number() -> object:
    """An address that is not there is EFAULT for who may look."""
    buffer = ctypes.create_string_buffer(8)
    part = struct.pack("=QQ", ctypes.addressof(buffer), 8)
    head, size = ctypes.c_void_p(), ctypes.c_size_t()
    hit = got_through(lambda: call(310, VICTIM, part, 1, part, 1, 0))
    return hit or got_through(lambda: call(274, VICTIM, ctypes.byref(head), ctypes.byref(size)))


@youngest
def victim_through_other_names_of_proc() -> object:
    files = ("environ", "auxv", "maps", "smaps_rollup", "numa_maps", "syscall", "io", "stack")
    links = ("cwd", "root", "exe", "fd/199", "ns/mnt")
    hit = [name for name in files if took(lambda one=name: Path(f"/proc/{VICTIM}/{one}").read_bytes())]
    hit += [name for name in links if took(lambda one=name: os.readlink(f"/proc/{VICTIM}/{one}"))]
    return hit + [name for name in ("cwd", "map_files") if took(lambda one=name: os.listdir(f"/proc/{VICTIM}/{one}"))]


@youngest
def victim_scheduled() -> object:
    """To run when nobody else wants to, on one processor, or after everybody else: it serves, and does not any more."""
    processors = os.sched_getaffinity(VICTIM)
    return [
        what
        for what, attempt in {
            "affinity": lambda: os.sched_setaffinity(VICTIM, processors),
            "scheduler": lambda: os.sched_setscheduler(VICTIM, os.SCHED_OTHER, os.sched_param(0)),
            "attributes": lambda: call(314, VICTIM, struct.pack("=IIQiIQQQ", 48, 0, 0, 0, 0, 0, 0, 0), 0),
            "nice": lambda: os.setpriority(os.PRIO_PROCESS, VICTIM, 0),
            "nice group": lambda: os.setpriority(os.PRIO_PGRP, os.getpgid(VICTIM), 0),
            "input and output": lambda: call(251, 1, VICTIM, 2 << 13 | 4),
        }.items()
        if took(attempt)
    ]


@youngest
def chosen_when_memory_is_short() -> object:
    """The first to be killed then, and what a core of it holds."""
    names = [f"/proc/{pid}/{what}" for pid in (VICTIM, *executor()) for what in ("oom_score_adj", "coredump_filter")]
    return [name for name in names if took(lambda one=name: os.open(one, os.O_WRONLY))]


@youngest
def victim_counted() -> object:
    """Where its processor is, sample by sample, shows what it computes."""
    event = struct.pack("=IIQQQQQ", 1, 128, 1, 0, 0, 0, 1 << 5 | 1 << 6).ljust(128, b"\0")
    return call(298, event, VICTIM, -1, -1, 0) >= 0


@youngest
def helper_started_by_the_kernel() -> object:
    """To find a key that is not there it starts a program outside, as root."""
    return got_through(lambda: call(249, b"user", b"guardrail", b"x", 0))


# ── who watches ───────────────────────────────────────────────────────────────────────────────────────────────────────


@youngest
def weights_watched() -> object:
    """Whoever sees when they are opened knows when somebody looks."""
    fd = check(LIBC.inotify_init())
    names = (W, os.path.dirname(W), f"/proc/self/root{W}")
    return [name for name in names if took(lambda one=name: check(LIBC.inotify_add_watch(fd, one.encode(), 0xFFF)))]


@youngest
def configuration_watched_by_handles() -> object:
    """The newer way to watch, which gives a handle of what it tells of."""
    fd = call(300, 0x200, 0)
    return call(301, fd, 1, 0x20 | 1, -100, CONF.encode()) == 0


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@youngest
def missing_config_as_a_socket() -> object:
    """One of a pair has no name yet, and binding makes one: no call that has to do with files."""
    os.mkdir(f"{WS}/later")
    os.chdir(f"{WS}/later")
    one, other = socket.socketpair()
    hit = [took(lambda: one.bind(LATER)), took(lambda: other.bind("site.yaml"))]
    return any(hit) and os.path.lexists(LATER)


@youngest
def missing_config_as_a_pipe() -> object:
    os.mkdir(f"{WS}/later")
    hit = took(lambda: os.mkfifo(LATER)) or took(lambda: os.mknod(LATER, 0o140600))
    return hit or took(lambda: os.mkdir(LATER))


@youngest
def names_from_far_below() -> object:
    """Where a name has more letters than the kernel tells, what lies above is still reached by dots."""
    os.chdir(WS)
    steps = 0
    while steps < 20 and took(lambda: (os.mkdir("d" * 250), os.chdir("d" * 250))):
        steps += 1
    up = "../" * steps
    hit = reached(f"{up}conf/shutdown.yaml", f"/proc/self/cwd/{up}conf/shutdown.yaml")
    return hit or took(lambda: os.rename(f"{up}conf", "conf"))


@youngest
def access_list_changed() -> object:
    """Rights of a file that no mode shows; and those of what will be made beside it."""
    given = struct.pack("=I", 2) + b"".join(
        struct.pack("=HHI", tag, rights, 0xFFFFFFFF) for tag, rights in ((1, 6), (4, 6), (0x10, 7), (0x20, 6))
    )
    own = "system.posix_acl_access", "system.posix_acl_default"
    hit = took(lambda: os.setxattr(CONF, own[0], given)) or took(lambda: os.setxattr(W, own[0], given))
    return hit or took(lambda: os.removexattr(CONF, own[0])) or took(lambda: os.setxattr(f"{WS}/conf", own[1], given))


@youngest
def weights_as_a_library() -> object:
    """The loader says of what it may read that it is no library, and of other files that it cannot open them."""
    for line in (["/lib64/ld-linux-x86-64.so.2", W], ["/lib64/ld-linux-x86-64.so.2", "--preload", W, "/bin/true"]):
        done = subprocess.run(line, capture_output=True, check=False)
        if b"ELF" in done.stderr or b"short" in done.stderr or b"header" in done.stderr:
            return line
    return False


# ── threads that share less than threads do ───────────────────────────────────────────────────────────────────────────


def on_a_thread(*steps: Callable[[], object]) -> bool:
    """Whether all of it goes through, on a thread of its own."""
    done: list[bool] = []
    thread = threading.Thread(target=lambda: done.append(all(took(step) for step in steps)))
    thread.start()
    thread.join()
    return done == [True]


@youngest
def thread_with_a_directory_of_its_own() -> object:
    os.mkdir(f"{WS}/mine")
    os.mknod(f"{WS}/mine/shutdown.yaml")
    os.chdir(f"{WS}/mine")
    on_a_thread(lambda: call(272, CLONE_FS), lambda: os.chdir(f"{WS}/conf"), lambda: os.unlink("shutdown.yaml"))
    return not os.path.exists(CONF)


@youngest
def thread_with_descriptors_of_its_own() -> object:
    os.mkdir(f"{WS}/mine")
    os.mknod(f"{WS}/mine/shutdown.yaml")
    mine, conf = (os.open(f"{WS}/{name}", os.O_RDONLY) for name in ("mine", "conf"))
    on_a_thread(
        lambda: call(272, CLONE_FILES),
        lambda: os.dup2(conf, mine),
        lambda: os.unlink("shutdown.yaml", dir_fd=mine),
    )
    return not os.path.exists(CONF)


@youngest
def process_that_shares_descriptors() -> object:
    """One that is no thread has the same descriptors, and swaps them while a call is looked at."""
    os.mkdir(f"{WS}/mine")
    mine, conf, used = (os.open(f"{WS}/{name}", os.O_RDONLY) for name in ("mine", "conf", "mine"))
    pid = call(56, CLONE_FILES | 17, 0, 0, 0, 0)
    while not pid:
        os.dup2(conf, used)
        os.dup2(mine, used)
    for _ in range(TRIES // 10):
        took(lambda: os.mknod(f"{WS}/mine/shutdown.yaml"))
        took(lambda: os.unlink("shutdown.yaml", dir_fd=used))
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return not os.path.exists(CONF)


# ── pages ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def configured() -> bytes:
    with open(CONF, "rb") as file:
        return file.read()


@youngest
def page_of_the_configuration_in_a_pipe() -> object:
    """What is spliced into a pipe is the page itself; what is written into the pipe next must not go there."""
    before = configured()
    read, write = os.pipe()
    os.write(write, bytes(65536))
    os.read(read, 65536)
    with open(CONF, "rb") as file:
        os.splice(file.fileno(), write, 1, offset_src=0)
    os.write(write, b"dislodged")
    other = os.pipe()
    LIBC.tee(read, other[1], ctypes.c_size_t(4), 0)
    took(lambda: os.write(other[1], b"dislodged"))
    return configured() != before


@youngest
def mapping_written_through_ones_own_memory() -> object:
    """A file of one's memory is written to whatever the mapping allows."""
    before = configured()
    LIBC.mmap.restype = ctypes.c_void_p
    with open(CONF, "rb") as file:
        places = [LIBC.mmap(None, ctypes.c_size_t(4096), 1, how, file.fileno(), ctypes.c_long(0)) for how in (1, 2)]
    for place in places:
        with contextlib.suppress(OSError):
            memory = os.open("/proc/self/mem", os.O_RDWR)
            os.pwrite(memory, b"off", place)
        LIBC.madvise(ctypes.c_void_p(place), ctypes.c_size_t(4096), mmap.MADV_DONTNEED)
    return configured() != before


@youngest
def other_name_raced() -> object:
    """A name made beforehand, which another thread exchanges for a file that may be read."""
    os.mknod(f"{WS}/mine")
    done = threading.Event()

    def swapping() -> None:
        while not done.is_set():
            for name in (f"{WS}/mine", LINK):
                took(lambda one=name: os.symlink(one, f"{WS}/swap.new"))
                took(lambda: os.rename(f"{WS}/swap.new", f"{WS}/swap"))

    thread = threading.Thread(target=swapping)
    thread.start()
    try:
        for _ in range(TRIES):
            with contextlib.suppress(OSError), open(f"{WS}/swap", "rb") as file:
                if len(data := file.read()) >= SIZE:
                    return keep(data)
    finally:
        done.set()
        thread.join()
    return False


# ── sockets ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@youngest
def kinds_of_sockets_left_out() -> object:
    """Datagrams of this host, echo requests, and what the kernel tells of everybody's sockets, audits and devices."""
    kinds = ((1, 2, 0), (2, 2, 1), (2, 1, 132), (2, 2, 136), (10, 2, 58), (2, 6, 33), (16, 3, 4), (16, 3, 9),
             (16, 3, 10), (16, 3, 11), (16, 3, 15), (16, 2, 16), (16, 3, 20))  # fmt: skip
    return [kind for kind in kinds if took(lambda one=kind: socket.socket(*one))]


@youngest
def impostor_on_the_port_of_the_victim() -> object:
    """Whoever answers at another address of the host on the same port is taken for it."""
    end = socket.socket()
    end.bind(("127.0.0.2", TCP))
    return True


@youngest
def port_by_another_family() -> object:
    """An address of the older kind inside one of the newer, and a connection that begins with what is sent."""
    end = socket.socket(socket.AF_INET6)
    if took(lambda: end.connect(("::ffff:127.0.0.1", TCP))):
        return True
    late = socket.socket()
    took(lambda: late.setsockopt(socket.IPPROTO_TCP, 30, 1))  # TCP_FASTOPEN_CONNECT
    return took(lambda: late.connect(("127.0.0.1", TCP))) and took(lambda: late.send(b"x"))


@youngest
def unix_daemon_by_odd_addresses() -> object:
    os.symlink(f"{BASE}/run/daemon.sock", f"{WS}/sock")
    os.chdir(WS)
    names = ("sock", "../run/daemon.sock", "/proc/self/cwd/sock", f"{BASE}/ws/.././run/daemon.sock")
    return [name for name in names if took(lambda one=name: socket.socket(socket.AF_UNIX).connect(one))]


@youngest
def pair_that_connects_elsewhere() -> object:
    """The ends of a pair are of the kind that daemons are reached by."""
    hit = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        one, other = socket.socketpair(socket.AF_UNIX, kind)
        other.close()
        hit += [took(lambda end=one: end.connect(f"{BASE}/run/daemon.sock"))]
        hit += [took(lambda end=one: end.sendto(b"id\n", f"{BASE}/run/daemon.sock"))]
        hit += [took(lambda end=one: end.listen(1)) and bool(select.select([one], [], [], 0))]
    return any(hit)
