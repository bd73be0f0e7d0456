"""Messages between guard and executor: JSON in a memory file, whose descriptor travels with those of a tool.

A message of its own size limit would be a limit on arguments; a file has none worth naming.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Sequence
from typing import Any, Final

MAX_DESCRIPTORS: Final = 5
"""Most descriptors that a message carries: its own and four others."""

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""Longest message, in bytes."""


class Closed(Exception):
    """The other side is gone."""


def pack(message: dict[str, Any]) -> int:
    """A descriptor that a message can be read from."""
    fd = os.memfd_create("guardrail-order", os.MFD_CLOEXEC)
    data = memoryview(json.dumps(message).encode())
    while data:
        data = data[os.write(fd, data) :]
    return fd


def unpack(fd: int) -> dict[str, Any]:
    """What `pack` put there.

    Raises:
        ValueError: if it is too long, or not JSON.
    """
    size = os.fstat(fd).st_size
    if size > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message is longer than {MAX_MESSAGE_BYTES} bytes")
    parts, at = bytearray(), 0
    while at < size and (part := os.pread(fd, size - at, at)):
        parts += part
        at += len(part)
    value: dict[str, Any] = json.loads(parts)
    return value


def send(channel: socket.socket, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one message.

    Raises:
        Closed: if nobody is there to take it.
    """
    fd = pack(message)
    try:
        socket.send_fds(channel, [b"m"], [fd, *fds])
    except (BrokenPipeError, ConnectionResetError):
        raise Closed from None
    finally:
        os.close(fd)


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Take one message.

    Returns:
        It, and the descriptors that came with it, which are the caller's to close.

    Raises:
        Closed: if the other side is gone.
        ValueError: if it is not one.
    """
    try:
        data, fds, _, _ = socket.recv_fds(channel, 1, MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        raise Closed from None
    if not data:
        raise Closed
    if not fds:
        raise ValueError("a message without content")
    try:
        return unpack(fds[0]), fds[1:]
    except BaseException:
        for fd in fds[1:]:
            with contextlib.suppress(OSError):
                os.close(fd)
        raise
    finally:
        os.close(fds[0])
