"""A link that is slow: whatever crosses it, in either direction, comes later, piece by piece and in order."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from typing import Final, Self

_CHUNK: Final = 64 * 1024


class SlowLink:
    """Between somebody who asks and who answers them, over TCP or a Unix socket.

    Args:
        far: where it leads: a port of this host, or the path of a Unix socket.
        near: path of the Unix socket to listen on; a port of this host, `port`, if there is none.
    """

    def __init__(self, far: int | str, near: str | None = None) -> None:
        self._far = far
        self.delay = 0.0
        """How much later each piece arrives, in seconds; what is under way already keeps its own."""
        self._hurried = threading.Event()
        self._ends: list[socket.socket] = []
        if near is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.port = int(self._listener.getsockname()[1])
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(near)
            self._listener.listen()
        self._in(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hurry()
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def hurry(self) -> None:
        """Nothing is late any more, nor what is under way."""
        self.delay = 0.0
        self._hurried.set()

    @staticmethod
    def _in(work: object, *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()  # type: ignore[arg-type]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX if isinstance(self._far, str) else socket.AF_INET)
                far.connect(self._far if isinstance(self._far, str) else ("127.0.0.1", self._far))
                self._ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
                    self._in(self._take, one, under_way)
                    self._in(self._give, other, under_way)

    def _take(self, end: socket.socket, under_way: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        data = b"x"
        while data:
            try:
                data = end.recv(_CHUNK)
            except OSError:  # cut from the other side
                data = b""
            under_way.put((time.monotonic() + self.delay, data))

    def _give(self, end: socket.socket, under_way: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        with contextlib.suppress(OSError):  # nobody waits any more
            while True:
                due, data = under_way.get()
                self._hurried.wait(max(0.0, due - time.monotonic()))
                if not data:
                    end.shutdown(socket.SHUT_WR)
                    return
                end.sendall(data)
