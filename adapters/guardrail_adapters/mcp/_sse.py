"""Server-sent events, taken from a stream as they come and passed on as they were. Pure.

Not concerned with HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from guardrail_adapters.mcp._frames import MAX_FRAME_BYTES, Message, RefusedFrame, dump

_END: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_LINE: Final = re.compile(rb"\r\n|\n|\r")
_MARK: Final = b"\xef\xbb\xbf"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event.

    Args:
        raw: its bytes, with the empty line that ends it.
        data: what it carries; empty for a comment or a sign of life.
    """

    raw: bytes
    data: bytes

    def carrying(self, message: Message) -> bytes:
        """The same event, its id included, with another message."""
        kept = [line for line in _LINE.split(self.raw.removeprefix(_MARK)) if line and not line.startswith(b"data")]
        return b"\n".join([*kept, b"data: " + dump(message).rstrip(), b"", b""])


class Events:
    """A stream of events."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Take in bytes, and give the events that end in them.

        Raises:
            RefusedFrame: if an event is too large.
        """
        self._rest += chunk
        while (end := _END.search(self._rest)) is not None:
            raw, self._rest = self._rest[: end.end()], self._rest[end.end() :]
            yield Event(raw=raw, data=_data(raw))
        if len(self._rest) > MAX_FRAME_BYTES:
            raise RefusedFrame(f"an event may have at most {MAX_FRAME_BYTES} bytes")


def event(message: Message) -> bytes:
    """An event of our own."""
    return b"event: message\ndata: " + dump(message) + b"\n"


def _data(raw: bytes) -> bytes:
    found: list[bytes] = []
    for line in _LINE.split(raw.removeprefix(_MARK)):
        name, _, value = line.partition(b":")
        if name == b"data":
            found.append(value.removeprefix(b" "))
    return b"\n".join(found)
