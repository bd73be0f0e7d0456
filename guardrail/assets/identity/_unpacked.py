"""What a file holds in packed or encoded form, piece by piece and within bounds.

Packed streams are found by how they begin, wherever that is, so that no container has to be understood: gzip, bzip2,
xz, zstd and the deflated members of a zip, in a tar, in each other, behind one another. In text, runs of base64 and
hexadecimal digits are decoded, at every place where they may have been cut. What comes out is looked through again.

Not concerned with archives that store their members as they are: content anchors see through those.
Blind spots: what is locked, other packings and encodings, more than `MAX_LAYERS` of them, text in lines of fewer than
`MIN_RUN` characters or behind a beginning that is no text, and members that a damaged stream hides.
"""

from __future__ import annotations

import binascii
import bz2
import importlib.util
import lzma
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final, Protocol

from guardrail.assets.identity._anchors import ANCHOR_BYTES
from guardrail.assets.identity._formats import CONTAINERS, HEAD_BYTES, Format

MAX_UNPACKED_BYTES: Final = 1 << 40
"""Most bytes that one file is unpacked to."""

MAX_RATIO: Final = 1000
"""Most bytes that one byte of a file is believed to stand for: weights hardly shrink, bombs do."""

MAX_LAYERS: Final = 3
"""Most packings and encodings inside each other that are taken off."""

MIN_RUN: Final = 40
"""Shortest run of digits of an encoding that is decoded, in characters: words and names are shorter."""

PIECE_BYTES: Final = 8 * 1024 * 1024
"""Size of a piece, in bytes."""

_ZSTD_BYTES: Final = 4096
"""How much of a zstd stream is unpacked at once, in bytes: its reader knows no bound of what comes out."""

_OVERLAP: Final = ANCHOR_BYTES - 1
_DIGITS: Final = rb"[A-Za-z0-9+/_-]"
_RUN: Final = re.compile(_DIGITS + rb"{%d,}" % MIN_RUN)
_BEGUN: Final = re.compile(_DIGITS + rb"+")
_URL: Final = bytes.maketrans(b"-_", b"+/")
_HEX: Final = b"0123456789abcdefABCDEF"
_ALPHABET: Final = bytes(code for code in range(128) if _BEGUN.match(bytes((code,))))
_IS_DIGIT: Final = bytes(code in _ALPHABET for code in range(256))
_LONG: Final = b"\1" * MIN_RUN
_ZIP_HEAD: Final = 30
_ERRORS: Final = (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError)


class Unreadable(Exception):
    """The file cannot be unpacked; the message says why."""


class Codec(Protocol):
    """What unpacks one stream, as the standard library has them."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What lies behind its end."""
        ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """What more comes out, at most so much."""
        ...


def is_worth_it(head: bytes, kind: Format | None) -> bool:
    """Whether a file may hold something packed or encoded: it is a container, or begins as text does.

    Args:
        head: its first bytes.
        kind: its format.
    """
    return kind in CONTAINERS or (kind is None and head.isascii())


def unpacked(path: str, kind: Format | None, size: int) -> Iterator[bytes]:
    """What a file holds beside its own bytes; a piece repeats the end of the one before it.

    Args:
        path: of the file.
        kind: its format.
        size: its size, in bytes.

    Raises:
        Unreadable: if it is damaged, grows beyond the bounds, or there is nothing here to unpack it.
    """
    if kind == "zstd" and importlib.util.find_spec("zstandard") is None:
        raise Unreadable("nothing here unpacks zstd: install `zstandard`")
    top = _Layer(_Budget(min(MAX_UNPACKED_BYTES, size * MAX_RATIO + PIECE_BYTES)))
    try:
        with open(path, "rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield from top.feed(piece)
    except OSError as error:
        raise Unreadable(f"it cannot be unpacked: {error}") from None
    if top.packed.damage and kind in CONTAINERS:
        raise Unreadable(f"it cannot be unpacked: {top.packed.damage}")


class _Budget:
    """How much more may come out of one file."""

    def __init__(self, left: int) -> None:
        self._left = left

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise Unreadable("it unpacks to more than is believed of weights")


class _Layer:
    """One stream of bytes: the file itself, or what came out of it."""

    def __init__(self, budget: _Budget, depth: int = 0) -> None:
        self._budget = budget
        self._depth = depth
        self._end = b""
        self.packed = _Packed(self._inside)
        self._encoded = _Encoded(self._inside)

    def _inside(self) -> _Layer:
        return _Layer(self._budget, self._depth + 1)

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._depth:
            self._budget.spend(len(data))
            whole = self._end + data
            yield whole
            self._end = whole[-_OVERLAP:]
        if self._depth < MAX_LAYERS:
            yield from self._encoded.feed(data)
            yield from self.packed.feed(data)


class _Packed:
    """The packed streams in a stream, one after the other."""

    def __init__(self, inside: Callable[[], _Layer]) -> None:
        self._inside = inside
        self._codec: Codec | None = None
        self._layer: _Layer | None = None
        self._rest: bytes = b""
        self._first = True
        self.damage = ""
        """What is wrong with the stream that the whole begins with; empty if nothing is."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        data, self._rest = self._rest + data, b""
        while data:
            start = 0
            if self._codec is None:
                begins, start, make = _next_member(data)
                if make is None:
                    self._rest = data[begins:]  # what may be the beginning of one
                    self._first = False
                    return
                self._codec, self._layer = make(), self._inside()
                self._first = self._first and begins == 0
                self.damage = "it ends too early" if self._first else self.damage
            try:
                behind = yield from self._unpack(data[start:])
            except _ERRORS as error:
                self._codec = None
                self.damage = str(error) if self._first else self.damage
                self._first = False
                data = data[start + 1 :]
                continue
            if behind is None:
                return
            self._codec = None
            self.damage = "" if self._first else self.damage
            self._first, data = False, behind

    def _unpack(self, data: bytes) -> Generator[bytes, None, bytes | None]:
        """What comes out, and then what lies behind the end; None if that is not reached."""
        codec, layer = self._codec, self._layer
        if codec is None or layer is None:
            return data
        while True:
            out = codec.decompress(data, PIECE_BYTES)
            if out:
                yield from layer.feed(out)
            if codec.eof:
                return codec.unused_data
            data = getattr(codec, "unconsumed_tail", b"")
            if not data and len(out) < PIECE_BYTES and getattr(codec, "needs_input", True):
                return None


class _Zstd:
    """A reader of zstd that takes a little at a time."""

    def __init__(self) -> None:
        import zstandard

        self._codec: Any = zstandard.ZstdDecompressor().decompressobj()
        self._wrong = zstandard.ZstdError
        self.unconsumed_tail = b""
        self.unused_data = b""
        self.eof = False

    def decompress(self, data: bytes, _most: int, /) -> bytes:
        self.unconsumed_tail = data[_ZSTD_BYTES:]
        try:
            out: bytes = self._codec.decompress(data[:_ZSTD_BYTES])
        except self._wrong as error:
            raise ValueError(str(error)) from None
        self.eof = bool(self._codec.eof)
        self.unused_data = self._codec.unused_data + self.unconsumed_tail
        return out


def _deflated() -> Codec:
    return zlib.decompressobj(-15)


def _gzip() -> Codec:
    return zlib.decompressobj(31)


_BEGINNINGS: Final[tuple[tuple[bytes, int, Callable[[], Codec]], ...]] = (
    (b"\x1f\x8b\x08", 0, _gzip),
    (b"1AY&SY", 4, bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", 0, lzma.LZMADecompressor),
    *(((b"\x28\xb5\x2f\xfd", 0, _Zstd),) if importlib.util.find_spec("zstandard") is not None else ()),
    (b"PK\x03\x04", 0, _deflated),
)
"""How packed streams begin, how many bytes before that, and what unpacks them."""


def _next_member(data: bytes) -> tuple[int, int, Callable[[], Codec] | None]:
    """Where the next packed stream begins, where its data does, and what unpacks it.

    Without one, the first is where the beginning of one may stand that goes on in the next piece.
    """
    at = 0
    while True:
        places = ((data.find(mark, at), before, make) for mark, before, make in _BEGINNINGS)
        found = [(place - before, make) for place, before, make in places if place >= before]
        if not found:
            return max(at, len(data) - 10), 0, None
        begins, make = min(found, key=lambda one: one[0])
        if make is not _deflated:
            return begins, begins, make
        if begins + _ZIP_HEAD > len(data):
            return begins, 0, None
        head = data[begins : begins + _ZIP_HEAD]
        start = begins + _ZIP_HEAD + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
        if head[8:10] == b"\x08\x00" and not head[6] & 1:
            return (begins, start, make) if start < len(data) else (begins, 0, None)
        at = begins + 4  # stored as it is, packed in another way, or locked


class _Encoded:
    """What the runs of digits in a text stand for, as one stream for each place where they may have been cut."""

    def __init__(self, inside: Callable[[], _Layer]) -> None:
        self._inside = inside
        self._layers: dict[tuple[int, int], tuple[_Layer, bytes]] = {}
        self._held = b""
        self._in_run = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not data[:HEAD_BYTES].isascii():
            return
        digits = self._digits(data)
        if not digits:
            return
        width, decode = (4, binascii.a2b_base64) if digits.translate(None, _HEX) else (2, binascii.unhexlify)
        for skip in range(width):
            # The first time, a stream is begun so many digits further on.
            layer, rest = self._layers.get((width, skip)) or (self._inside(), b"")
            fresh = digits if (width, skip) in self._layers else digits[skip:]
            whole = rest + fresh
            end = len(whole) - len(whole) % width
            self._layers[width, skip] = layer, whole[end:]
            yield from layer.feed(decode(whole[:end]))

    def _digits(self, data: bytes) -> bytes:
        """The long runs of a piece, as one; what may go on in the next piece waits for it."""
        data = self._held + data
        begun = _BEGUN.match(data) if self._in_run else None
        first, at = (begun[0], begun.end()) if begun is not None else (b"", 0)
        if not self._in_run and _LONG not in data.translate(_IS_DIGIT):
            # Nearly all text has none, and that is found out ten times as fast as where they are.
            self._held = data[len(data) - _trailing(data) :]
            return b""
        tail = _trailing(data)
        self._in_run = tail >= MIN_RUN
        cut = len(data) if self._in_run else len(data) - tail
        self._held = data[max(at, cut) :]
        return (first + b"".join(_RUN.findall(data, at, max(at, cut)))).translate(_URL)


def _trailing(data: bytes) -> int:
    """How many digits the end of a piece has, up to `MIN_RUN`."""
    end = data[-MIN_RUN:]
    return len(end) - len(end.rstrip(_ALPHABET))
