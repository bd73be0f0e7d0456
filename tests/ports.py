"""Ports for the servers of tests: of this host, and nobody else's as long as this process lives.

Not concerned with servers that take a port of the kernel's choice and say which: they need nobody to find one.
"""

from __future__ import annotations

import socket
from typing import Final

_HELD: Final[list[socket.socket]] = []


def free_port() -> int:
    """A port of the loopback address on which nobody listens, until whoever asked for it has a server do so.

    It stays bound, without listening: the kernel gives it to nobody who asks for any port, connections to it are
    refused, and a server that sets `SO_REUSEADDR`, as those of Python and Go do, still listens there.
    """
    held = socket.socket()
    _HELD.append(held)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return int(held.getsockname()[1])
