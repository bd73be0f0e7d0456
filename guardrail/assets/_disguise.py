"""What bytes a text may stand for: itself, and what the usual encodings, packings and cuts of it give.

Not concerned with whose bytes they are. A decoding that is wrong gives bytes that are found nowhere.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

MAX_VIEWS: Final = 96
"""Most readings of one text."""

MAX_PIECE: Final = 4096
"""Longest piece of an encoded run that is decoded, in characters; a long run is decoded in several places."""

MAX_UNPACKED: Final = 256 * 1024
"""Most bytes that one packed piece is unpacked to."""

MAX_LAYERS: Final = 2
"""Most encodings of one text inside each other that are taken off."""

_SEPARATORS: Final = str.maketrans("", "", " \t\r\n\"'`,;|&()[]{}<>\\")
_JOINS = re.compile(r"[\"'`]\s*+[+.&|,]*+\s*+[\"'`]")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{64,}|[A-Za-z0-9_-]{64,}")
_BASE32 = re.compile(r"[A-Z2-7]{77,}|[a-z2-7]{77,}")
_HEX = re.compile(r"[0-9A-Fa-f]{96,}")
_BASE85 = re.compile(r"[!-~]{60,}")
_DUMP = re.compile(r"^\s*(?:[0-9A-Fa-f]{4,16}[:|]?\s+)((?:[0-9A-Fa-f]{2,8}[ \t]+)*[0-9A-Fa-f]{2,8})", re.MULTILINE)
_ESCAPE = re.compile(r"\\x([0-9A-Fa-f]{2})|\\u00([0-9A-Fa-f]{2})|\\([0-3][0-7]{2})")
_BYTE_LIST = re.compile(r"(?:\b\d{1,3}\b[\s,;]+){47,}\d{1,3}\b|(?:0x[0-9A-Fa-f]{1,2}[\s,;]+){47,}0x[0-9A-Fa-f]{1,2}")

_NUMBER = re.compile(r"0x[0-9A-Fa-f]{1,2}|\d+")


def readable(data: bytes) -> bool:
    """Plain text, of which any file may hold the same."""
    return data.isascii() and not any(byte < 32 and byte not in (9, 10, 13) for byte in data[:512])


def disguised(text: str) -> list[bytes]:
    """Every reading of a text, itself first, those that read it backwards last; none twice."""
    found: dict[bytes, None] = {}
    layer = [text]
    for depth in range(MAX_LAYERS):
        following: list[str] = []
        for view in layer:
            for data in _views(view, whole=depth == 0):
                if data in found:
                    continue
                if len(found) >= MAX_VIEWS:
                    break
                found[data] = None
                if data.isascii() and len(data) >= 64:
                    following.append(data.decode("ascii"))
        layer = [view for view in following if view != text]
    backwards = [data[::-1] for data in found]
    backwards += [data for data in _decoded(_compact(text)[::-1]) if data not in found][:MAX_VIEWS]
    return [*found, *backwards]


def _views(text: str, *, whole: bool) -> Iterator[bytes]:
    if whole:
        raw = text.encode("utf-8", "surrogatepass")
        yield raw
        latin = _latin(text)
        if latin is not None and latin != raw:
            yield latin
    yield from _escaped(text)
    for data in _decoded(text):
        yield data
        yield from _unpacked(data)


def _latin(text: str) -> bytes | None:
    if text.isascii():
        return None
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return None


def _escaped(text: str) -> Iterator[bytes]:
    r"""Text with `\x41`, `\101`, `%41`, `=41` or a list of numbers in it."""
    if len(_ESCAPE.findall(text[:MAX_PIECE])) >= 8:
        yield re.sub(
            rb"\\x([0-9A-Fa-f]{2})|\\u00([0-9A-Fa-f]{2})|\\([0-3][0-7]{2})", _byte, text.encode("utf-8", "replace")
        )
        yield b"".join(_byte_of(match) for match in _ESCAPE.finditer(text))
    if text.count("%") >= 8:
        yield unquote_to_bytes(text)
    if text.count("=") >= 8:
        yield quopri.decodestring(text.encode("utf-8", "replace"))
    for match in _BYTE_LIST.finditer(text):
        numbers = [int(part, 16 if part[1:2] == "x" else 10) for part in _NUMBER.findall(match[0])[:MAX_PIECE]]
        yield bytes(number for number in numbers if number < 256)


def _byte(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1] or match[2], 16) if match[1] or match[2] else int(match[3], 8),))


def _byte_of(match: re.Match[str]) -> bytes:
    return bytes((int(match[1] or match[2], 16) if match[1] or match[2] else int(match[3], 8),))


def _compact(text: str) -> str:
    """Without what stands between pieces of one text: blanks, quotes, commas, and the signs that join strings."""
    return _JOINS.sub("", text).translate(_SEPARATORS)


def _decoded(text: str) -> Iterator[bytes]:
    """What the runs of each alphabet decode to, wherever in the encoding they were cut."""
    compact = _compact(text)
    for pattern, decode, fits in _DECODERS:
        seen: set[str] = set()
        for source in (text, compact) if decode is not _base85 else (text, "".join(text.split())):
            for match in pattern.finditer(source):
                if fits(match[0][:MAX_PIECE]):
                    for piece in _pieces(match[0]):
                        if piece not in seen:
                            seen.add(piece)
                            yield from decode(piece)
    dumped = "".join("".join(row.split()) for row in _DUMP.findall(text))
    if len(dumped) >= 96:
        yield from _hex(dumped[: 4 * MAX_PIECE])
    for mark in (":", "-", "0x", "_", "."):
        if text.count(mark) >= 40:
            for match in _HEX.finditer(compact.replace("\\x", "").replace(mark, "")):
                yield from _hex(match[0][: 4 * MAX_PIECE])


def _shares(run: str) -> tuple[float, float, float]:
    """The shares of digits, capital letters and small letters: bytes that were encoded have some of each, words not."""
    digits = sum(map(run.count, "0123456789"))
    upper = sum(map(run.count, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    lower = sum(map(run.count, "abcdefghijklmnopqrstuvwxyz"))
    return digits / len(run), upper / len(run), lower / len(run)


def _fits_base64(run: str) -> bool:
    digits, upper, lower = _shares(run)
    return digits >= 0.03 and upper >= 0.05 and lower >= 0.05


def _fits_base32(run: str) -> bool:
    return _shares(run)[0] >= 0.03


def _fits_base85(run: str) -> bool:
    digits, upper, lower = _shares(run)
    return digits >= 0.03 and upper >= 0.1 and digits + upper + lower < 0.97


def _fits(_run: str) -> bool:
    return True


def _pieces(run: str) -> Iterator[str]:
    if len(run) <= MAX_PIECE:
        yield run
        return
    for start in (0, len(run) // 2, len(run) - MAX_PIECE):
        # Cut where groups of 3, 4, 5 and 8 characters begin, so that one alignment fits all.
        yield run[start - start % 120 :][:MAX_PIECE]


def _base64(run: str) -> Iterator[bytes]:
    plain = run.replace("-", "+").replace("_", "/")
    for skip in range(4):
        part = plain[skip:]
        part = part[: len(part) - len(part) % 4]
        yield binascii.a2b_base64(part)


def _base32(run: str) -> Iterator[bytes]:
    plain = run.upper()
    for skip in range(8):
        part = plain[skip:]
        yield base64.b32decode(part[: len(part) - len(part) % 8])


def _hex(run: str) -> Iterator[bytes]:
    for skip in range(2):
        part = run[skip:]
        yield binascii.unhexlify(part[: len(part) - len(part) % 2])


def _base85(run: str) -> Iterator[bytes]:
    for decode in (base64.b85decode, base64.a85decode):
        for skip in range(5):
            part = run[skip:].removeprefix("<~").removesuffix("~>")
            part = part[: min(len(part) - len(part) % 5, 1000)]
            try:
                yield decode(part)
            except (ValueError, OverflowError):
                break


_Decoder = tuple[re.Pattern[str], Callable[[str], Iterator[bytes]], Callable[[str], bool]]
_DECODERS: Final[tuple[_Decoder, ...]] = (
    (_HEX, _hex, _fits),
    (_BASE64, _base64, _fits_base64),
    (_BASE32, _base32, _fits_base32),
    (_BASE85, _base85, _fits_base85),
)


def _unpacked(data: bytes) -> Iterator[bytes]:
    if data[:2] == b"\x1f\x8b" or (data[:1] == b"\x78" and len(data) > 8):
        unpack = zlib.decompressobj(47)
        try:
            yield unpack.decompress(data, MAX_UNPACKED)
        except zlib.error:
            return
