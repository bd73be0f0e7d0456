"""Attacks by leases and hints, by odd spellings of a name, and by calls that are interrupted, killed or overtaken while
somebody looks at them.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator

from confine_attack_kit import (
    CONF,
    LATEST,
    LIBC,
    OUT,
    SIZE,
    WS,
    W,
    call,
    check,
    entered,
    keep,
    numbered,
    reached,
    took,
)  # fmt: skip

latest = entered(LATEST)

AT_FDCWD = -100
TRIES = 300
"""How often what depends on the moment is tried."""


@contextlib.contextmanager
def reading(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


# ── what holds or marks a file through a descriptor that may only read it ─────────────────────────────────────────────


@latest
def write_lease() -> object:
    """Whoever opens the configuration waits until the holder lets go, at most for `lease-break-time`."""
    with reading(CONF) as fd:
        fcntl.fcntl(fd, 1024, fcntl.F_WRLCK)
    return True


@latest
def read_lease() -> object:
    """The same for whoever wants to change it, such as the person who switches something off."""
    with reading(CONF) as fd:
        fcntl.fcntl(fd, 1024, fcntl.F_RDLCK)
    return True


@latest
def hint_of_how_long_it_lives() -> object:
    with reading(CONF) as fd:
        fcntl.fcntl(fd, 1036, struct.pack("=Q", 2))
    return True


@latest
def holes_without_writing() -> object:
    with reading(CONF) as fd:
        some = ctypes.c_long(0), ctypes.c_long(4)
        hit = [took(lambda how=how: check(LIBC.fallocate(fd, how, *some))) for how in (0, 3, 16)]
        return any(hit) or took(lambda: os.ftruncate(fd, 0)) or took(lambda: os.pwrite(fd, b"x", 0))


@latest
def mapped_and_made_writable() -> object:
    LIBC.mmap.restype = ctypes.c_void_p
    with reading(CONF) as fd:
        place, size = LIBC.mmap(None, ctypes.c_size_t(4096), 1, 1, fd, ctypes.c_long(0)), ctypes.c_size_t(4096)
    hit = took(lambda: check(LIBC.mprotect(ctypes.c_void_p(place), size, 3)))
    return hit or took(lambda: check(LIBC.madvise(ctypes.c_void_p(place), size, 9)))  # MADV_REMOVE: a hole


@latest
def written_by_the_older_asynchronous_calls() -> object:
    context, data = ctypes.c_ulong(0), ctypes.create_string_buffer(b"off")
    call(206, 8, ctypes.byref(context))
    with reading(CONF) as fd:
        block = ctypes.create_string_buffer(
            struct.pack("=QIiHhIQQqQII", 0, 0, 0, 1, 0, fd, ctypes.addressof(data), 3, 0, 0, 0, 0)
        )
        call(209, context, 1, ctypes.byref(ctypes.c_void_p(ctypes.addressof(block))))
        done = ctypes.create_string_buffer(32)
        check(LIBC.syscall(numbered(208), context, 1, 1, done, None))
    return struct.unpack_from("=q", done.raw, 16)[0] == 3


@latest
def encryption_key_taken_away() -> object:
    """Whoever takes the key of an encrypted directory away has locked what lies in it."""
    with reading(os.path.dirname(CONF)) as fd:
        fcntl.ioctl(fd, 0xC0406618, bytes(64))
    return True


@latest
def directory_above_closed() -> object:
    """Nobody but its owner could look into it any more, and so read what is configured there."""
    with reading(f"{WS}/conf") as fd:
        hit = took(lambda: os.fchmod(fd, 0o700)) or took(lambda: os.chmod(f"{WS}/conf", 0))
        return hit or took(lambda: os.setxattr(fd, "user.x", b"1")) or took(lambda: os.fchown(fd, -1, os.getgid()))


@latest
def label_of_ones_own() -> object:
    """Another profile for whatever is started next."""
    given = struct.pack("=QQQQ", 100, 0, 40, 8) + b"whatever"
    return LIBC.syscall(460, 103, given, len(given), 0) >= 0


# ── odd spellings ─────────────────────────────────────────────────────────────────────────────────────────────────────


@latest
def names_through_links_of_proc() -> object:
    os.chdir(WS)
    held, me, thread = os.open(f"{WS}/conf", os.O_PATH), os.getpid(), threading.get_native_id()
    starts = (
        "self/cwd",
        "thread-self/cwd",
        f"{me}/cwd",
        f"{me}/task/{thread}/cwd",
        f"self/root{WS}",
        f"{thread}/root{WS}",
    )
    inside = [f"/proc/{start}/conf/shutdown.yaml" for start in starts]
    return reached(*inside, f"/proc/self/fd/{held}/shutdown.yaml", f"/dev/fd/{held}/shutdown.yaml",
                   f"/proc/{me}/task/{thread}/fd/{held}/shutdown.yaml")  # fmt: skip


@latest
def directory_moved_by_odd_names() -> object:
    """The one that the configuration lies in, from inside and by links of /proc."""
    os.chdir(WS)
    held = os.open(WS, os.O_PATH)
    names = (
        "conf/",
        "/proc/self/cwd/conf",
        f"/proc/self/fd/{held}/conf",
        f"/proc/self/root{WS}/conf",
        "../ws/conf",
        f"/{WS}//conf",
    )
    return [name for name in names if took(lambda one=name: os.rename(one, f"{WS}/elsewhere"))]


@latest
def names_with_more_in_them() -> object:
    os.chdir(f"{WS}/conf")
    up = "../conf/" * 400
    return reached(
        f"{WS}//conf/.//shutdown.yaml", f"{WS}/./conf/../conf/shutdown.yaml", f"{up}shutdown.yaml", "./shutdown.yaml",
        f"{CONF}/", f"{CONF}/.", f"/{CONF}", f"///{CONF}", "/../.." + CONF,
    )  # fmt: skip


@latest
def names_that_are_no_text() -> object:
    os.mkdir(os.fsencode(WS) + b"/\xff\n")
    os.symlink(os.fsencode(f"{WS}/conf"), os.fsencode(WS) + b"/\xfe")
    base = os.fsencode(WS)
    return reached(base + b"/\xff\n/../conf/shutdown.yaml", base + b"/\xfe/shutdown.yaml")


@latest
def name_at_the_end_of_memory() -> object:
    """The text of a path ends where the memory does, and begins on the page before."""
    LIBC.mmap.restype = ctypes.c_void_p
    place = LIBC.mmap(None, ctypes.c_size_t(12288), 3, 0x22, -1, ctypes.c_long(0))
    LIBC.munmap(ctypes.c_void_p(place + 8192), ctypes.c_size_t(4096))
    text = CONF.encode() + b"\0"
    at = place + 8192 - len(text)
    ctypes.memmove(at, text, len(text))
    ctypes.memmove(place + 4096 - 5, text, len(text))
    return [one for one in (at, place + 4096 - 5) if took(lambda where=one: call(87, ctypes.c_void_p(where)))]


@latest
def model_as_an_interpreter() -> object:
    """The kernel itself opens what a program names as its loader."""
    with open("/bin/true", "rb") as file:
        image = bytearray(file.read())
    loader = image.find(b"/ld-linux")
    start, end = image.rfind(b"\0", 0, loader) + 1, image.find(b"\0", loader)
    image[start:end] = (W if len(W) <= end - start else "w").encode().ljust(end - start, b"\0")
    os.chdir(os.path.dirname(OUT))
    for name, data in (("elf", bytes(image)), ("script", f"#!{W}\n".encode())):
        with open(name, "wb") as file:
            file.write(data)
        os.chmod(name, 0o700)
    return [name for name in ("elf", "script") if took(lambda one=name: subprocess.run([f"./{one}"], check=False))]


@latest
def descriptor_without_rights_passed_on() -> object:
    """A descriptor that may only be named, sent to oneself, as something that may be read."""
    ends = socket.socketpair()
    socket.send_fds(ends[0], [b"x"], [os.open(W, os.O_PATH)])
    (fd,) = socket.recv_fds(ends[1], 1, 1)[1]
    hit = took(lambda: keep(os.read(fd, SIZE))) or took(lambda: os.sendfile(ends[0].fileno(), fd, 0, SIZE))
    return hit or took(lambda: keep(open(f"/proc/self/fd/{fd}", "rb").read()))


# ── the moment ────────────────────────────────────────────────────────────────────────────────────────────────────────


@latest
def calls_interrupted() -> object:
    """A signal each tenth of a millisecond, while the same call is made again and again."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    hit = [took(lambda: os.unlink(CONF)) for _ in range(TRIES)]
    signal.setitimer(signal.ITIMER_REAL, 0)
    return any(hit)


@latest
def killed_while_it_is_looked_at() -> object:
    """Whoever asked is gone, and another has its number: the answer must not be for that one."""
    os.makedirs(f"{WS}/mine")
    for turn in range(TRIES // 3):
        where = f"{WS}/conf" if turn & 1 else f"{WS}/mine"
        pid = os.fork()
        if not pid:
            os.chdir(where)
            while True:
                took(lambda: os.unlink("shutdown.yaml"))
        time.sleep(turn % 7 * 1e-4)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return not os.path.exists(CONF)


@latest
def overtaken_by_another_program() -> object:
    """A thread makes the call while another becomes a program, which takes over number and directory."""
    for _ in range(TRIES // 15):
        pid = os.fork()
        if not pid:
            os.chdir(f"{WS}/conf")
            for _ in range(3):
                threading.Thread(target=lambda: [took(lambda: os.unlink("shutdown.yaml")) for _ in range(9)]).start()
            os.execv("/bin/true", ["true"])
        os.waitpid(pid, 0)
    return not os.path.exists(CONF)


@latest
def raced_by_another_process() -> object:
    """Two processes share the memory that the path stands in."""
    shared = mmap.mmap(-1, 4096)
    names = [f"{WS}/mine".encode() + b"\0", CONF.encode() + b"\0"]
    names = [name.ljust(max(map(len, names)), b"\0") for name in names]
    pid = os.fork()
    while not pid:
        for name in names:
            shared[: len(name)] = name
    at = ctypes.addressof(ctypes.c_char.from_buffer(shared))
    for _ in range(TRIES):
        with contextlib.suppress(FileExistsError):
            os.mknod(f"{WS}/mine")
        LIBC.syscall(numbered(87), ctypes.c_void_p(at))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return not os.path.exists(CONF)
