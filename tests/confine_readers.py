"""Attacks by a process that may read the weights, and nothing more, to bring them where others find them.

Whoever reads can always show a little: in its standard output, which the guard bounds, in its command line, in locks,
or by how long it takes. What is tried here carries weights at their own size, and stays when the reader is gone.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import socket
import subprocess

from confine_attack_kit import BASE, LIBC, READERS, SIZE, WS, W, call, check, entered, memory_goes_into_cores, ran

reader = entered(READERS)


def weights() -> bytes:
    with open(W, "rb") as file:
        return file.read()


@reader
def reader_writes() -> object:
    return os.write(os.open(f"{WS}/kept", os.O_CREAT | os.O_WRONLY), weights())


@reader
def reader_shares_memory() -> object:
    segment = check(LIBC.shmget(0, SIZE, 0o1600))
    LIBC.shmat.restype = ctypes.c_void_p
    at = LIBC.shmat(segment, None, 0)
    ctypes.memmove(at, weights(), SIZE)
    LIBC.shmctl(segment, 0, None)
    return True


@reader
def reader_queues_messages() -> object:
    queue = check(LIBC.msgget(0, 0o1600))
    sent = LIBC.msgsnd(queue, b"\1" + bytes(7) + weights()[:8000], 8000, 0o4000)
    LIBC.msgctl(queue, 0, None)
    return sent == 0


@reader
def reader_queues_posix_messages() -> object:
    name = f"reader-{os.getpid()}".encode()
    queue = call(240, name, os.O_CREAT | os.O_RDWR, 0o600, None)
    call(241, name)
    return call(242, queue, weights()[:8000], 8000, 0, None) == 0


@reader
def reader_listens() -> object:
    end = socket.socket()
    end.listen(1)
    return end.getsockname()[1]


@reader
def reader_is_reached_by_an_abstract_name() -> object:
    end = socket.socket(socket.AF_UNIX)
    end.bind("\0reader")
    end.listen(1)
    return True


@reader
def reader_hands_its_descriptor_over() -> object:
    end = socket.socket(socket.AF_UNIX)
    end.connect(f"{BASE}/run/daemon.sock")
    return socket.send_fds(end, [b"x"], [os.open(W, os.O_RDONLY)])


@reader
def reader_clones_the_file() -> object:
    to = os.open(f"{WS}/kept", os.O_CREAT | os.O_RDWR)
    fcntl.ioctl(to, 0x40049409, os.open(W, os.O_RDONLY))
    return True


@reader
def reader_links_the_file() -> object:
    os.link(f"/proc/self/fd/{os.open(W, os.O_RDONLY)}", f"{WS}/kept", follow_symlinks=True)
    return True


@reader
def reader_makes_names() -> object:
    os.mkdir(f"{WS}/{weights()[:100].hex()}")
    return True


@reader
def reader_makes_links() -> object:
    os.symlink(weights()[:1000].hex(), f"{WS}/kept")
    return True


@reader
def reader_sets_an_attribute() -> object:
    os.setxattr(f"{WS}/conf/shutdown.yaml", "user.kept", weights()[:1000])
    return True


@reader
def reader_sets_times() -> object:
    os.utime(f"{WS}/conf/shutdown.yaml", ns=(int.from_bytes(weights()[:7], "little") >> 2,) * 2)
    return True


@reader
def reader_maps_and_splices() -> object:
    held = mmap.mmap(os.open(W, os.O_RDONLY), 0, prot=mmap.PROT_READ)
    read, write = os.pipe()
    os.splice(os.open(W, os.O_RDONLY), write, 4096)
    return os.splice(read, os.open(f"{WS}/kept", os.O_CREAT | os.O_WRONLY), 4096) and held


@reader
def reader_starts_another_program() -> object:
    return ran("/bin/cp", W, f"{WS}/kept")


@reader
def reader_keeps_a_key() -> object:
    data = weights()[:4000]
    return call(248, b"user", b"kept", data, len(data), ctypes.c_int(-4)) > 0


@reader
def reader_dumps_core() -> object:
    return bool(weights()) and memory_goes_into_cores()


@reader
def reader_writes_through_its_input() -> object:
    """The file that it was given to read, opened again to write."""
    with open("/proc/self/fd/0", "wb") as file:
        return os.fstat(file.fileno()).st_rdev != os.stat(os.devnull).st_rdev and file.write(b"x")


@reader
def reader_changes_into_the_victim() -> object:
    return subprocess.run(["nsenter", "-t", os.environ["VICTIM"], "-a", "true"], check=False).returncode == 0
