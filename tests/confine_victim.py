"""A process of the same user, outside: holds the asset open as descriptor 199, and does what it is asked.

`python confine_victim.py BASE TAG` prints its TCP and its UDP port, and ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading

BASE, TAG = sys.argv[1:3]


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
    print(tcp.getsockname()[1], udp.getsockname()[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
