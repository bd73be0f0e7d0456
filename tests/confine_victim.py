"""A process of the same user, outside: holds the asset open as descriptor 199, and does what it is asked.

`python confine_victim.py BASE TAG` prints its ports of TCP, UDP and netlink and the numbers of a segment, a set of
semaphores and a queue, and ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import sys
import threading

BASE, TAG = sys.argv[1:3]
LIBC = ctypes.CDLL(None)


def daemon(address: str) -> None:
    end = socket.socket(socket.AF_UNIX)
    end.bind(address)
    end.listen(5)
    threading.Thread(target=serve, args=(end,), daemon=True).start()


def serve(end: socket.socket) -> None:
    while True:
        peer = end.accept()[0]
        asked = peer.recv(4096).decode()
        if asked.startswith("FD"):
            socket.send_fds(peer, [b"k"], [199])
        else:
            subprocess.run(["sh", "-c", asked], stderr=subprocess.DEVNULL, check=False)
            with contextlib.suppress(BrokenPipeError):  # an attacker that is held does not wait for it
                peer.sendall(b"ok")
        peer.close()


def sink(end: socket.socket) -> None:
    while True:
        peer = end.accept()[0]
        peer.recv(2000)
        peer.sendall(b"ok")


def main() -> None:
    os.dup2(os.open(f"{BASE}/srv/models/peer/weights.bin", os.O_RDONLY), 199)
    daemon(f"{BASE}/run/daemon.sock")
    daemon(f"\0daemon-{TAG}")
    tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for end in (tcp, udp):
        end.bind(("127.0.0.1", 0))
    tcp.listen(5)
    threading.Thread(target=sink, args=(tcp,), daemon=True).start()
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    netlink.bind((0, 0))
    segments = [LIBC.shmget(0, 4096, 0o1600), LIBC.semget(0, 1, 0o1600), LIBC.msgget(0, 0o1600)]
    print(tcp.getsockname()[1], udp.getsockname()[1], netlink.getsockname()[0], *segments, flush=True)
    sys.stdin.read()
    # Whoever was killed leaves them behind: they outlast everybody.
    LIBC.shmctl(segments[0], 0, None)
    LIBC.semctl(segments[1], 0, 0)
    LIBC.msgctl(segments[2], 0, None)


if __name__ == "__main__":
    main()
