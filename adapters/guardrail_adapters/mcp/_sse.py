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
_MILLISECONDS: Final = re.compile(rb"[0-9]{1,9}")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event.

    Args:
        raw: its bytes, with the empty line that ends it.
        data: what it carries; empty for a comment or a sign of life.
        id: what it is called, so that a stream can be taken up behind it; None if it says nothing of that.
        retry: how long to wait before that, in milliseconds; None if it says nothing of that.
    """

    raw: bytes
    data: bytes
    id: str | None = None
    retry: int | None = None

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
            yield _event(raw)
        if len(self._rest) > MAX_FRAME_BYTES:
            raise RefusedFrame(f"an event may have at most {MAX_FRAME_BYTES} bytes")


def event(message: Message) -> bytes:
    """An event of our own."""
    return b"event: message\ndata: " + dump(message) + b"\n"


def _event(raw: bytes) -> Event:
    data: list[bytes] = []
    name, retry = None, None
    for line in _LINE.split(raw.removeprefix(_MARK)):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"id" and value.isascii() and b"\0" not in value:
            # It goes back in a header, where nothing but ASCII is safe.
            name = value.decode()
        elif field == b"retry" and _MILLISECONDS.fullmatch(value):
            retry = int(value)
    return Event(raw=raw, data=b"\n".join(data), id=name, retry=retry)
