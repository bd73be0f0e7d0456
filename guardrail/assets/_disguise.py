"""What bytes a text may stand for: itself, and what the usual encodings, packings and cuts of it give.

Not concerned with whose bytes they are. A decoding that is wrong gives bytes that are found nowhere.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import collections
import lzma
import quopri
import re
import struct
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

MAX_VIEWS: Final = 96
"""Most readings of one text."""

MAX_PIECE: Final = 4096
"""Longest piece of an encoded run that is decoded, in characters; a long run is decoded in several places."""

MAX_UNPACKED: Final = 256 * 1024
"""Most bytes that one packed piece is unpacked to."""

MAX_MEMORY: Final = 64 * 1024 * 1024
"""Most memory that one packed piece may ask for, in bytes."""

MAX_LAYERS: Final = 3
"""Most encodings of one text inside each other that are taken off."""

_SEPARATORS: Final = str.maketrans("", "", " \t\r\n\"'`,;|&()[]{}<>\\")
_JOINS = re.compile(r"[\"'`]\s*+[+.&|,]*+\s*+[\"'`]")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64,}")
_BASE32 = re.compile(r"[A-Z2-7]{77,}|[a-z2-7]{77,}")
_HEX = re.compile(r"[0-9A-Fa-f]{96,}")
_BASE85 = re.compile(r"[!-~]{60,}")
_DUMP = re.compile(r"^\s*(?:[0-9A-Fa-f]{4,16}[:|]?\s+)((?:[0-9A-Fa-f]{2,8}[ \t]+)*[0-9A-Fa-f]{2,8})", re.MULTILINE)
_ESCAPE = re.compile(r"\\x([0-9A-Fa-f]{2})|\\u00([0-9A-Fa-f]{2})|\\([0-3][0-7]{2})")
_BYTE_LIST = re.compile(r"(?:\b\d{1,3}\b[\s,;]+){47,}\d{1,3}\b|(?:0x[0-9A-Fa-f]{1,2}[\s,;]+){47,}0x[0-9A-Fa-f]{1,2}")

_OCTETS = re.compile(r"(?:\b[0-3][0-7]{2}\s+){47,}[0-3][0-7]{2}\b")
_BITS = re.compile(r"(?:[01]{8}\s*+){48,}")
_ONE_NUMBER: Final = r"-?\d++(?:\.\d*+)?(?:e[-+]?\d++)?"
_NUMBERS = re.compile(rf"(?<![\w.]){_ONE_NUMBER}(?:[\s,;]++{_ONE_NUMBER}){{11,}}+")
_ORDERS: Final[Mapping[str, Literal["little", "big"]]] = {"<": "little", ">": "big"}
_ENTITY = re.compile(r"&#(\d{1,6});")
_PIECE = re.compile(r"[A-Za-z0-9+/_=-]{6,}")
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
        yield from _lettered(text)
    yield from _escaped(text)
    for data in _decoded(text):
        yield data
        yield from _unpacked(data)


def _lettered(text: str) -> Iterator[bytes]:
    """Bytes as characters, one for each: as `latin-1` has them, or at any other place that begins a row of Unicode."""
    if not text.isascii():
        yield bytes(ord(char) & 0xFF for char in text if char > "\x7f" or char.isascii())
        rows = collections.Counter(ord(char) >> 8 for char in text)
        row = rows.most_common(1)[0][0]
        yield bytes(ord(char) & 0xFF for char in text if ord(char) >> 8 == row)
        yield text.encode("cp437", "ignore")


def _escaped(text: str) -> Iterator[bytes]:
    r"""Text with `\x41`, `\101`, `%41`, `=41` or a list of numbers in it."""
    if len(_ESCAPE.findall(text[:MAX_PIECE])) >= 8:
        yield re.sub(
            rb"\\x([0-9A-Fa-f]{2})|\\u00([0-9A-Fa-f]{2})|\\([0-3][0-7]{2})", _byte, text.encode("utf-8", "replace")
        )
        yield b"".join(_byte_of(match) for match in _ESCAPE.finditer(text))
    if text.count("&#") >= 8:
        yield bytes(int(number) & 0xFF for number in _ENTITY.findall(text))
    if text.count("%") >= 8:
        yield unquote_to_bytes(text)
    if text.count("=") >= 8:
        yield quopri.decodestring(text.encode("utf-8", "replace"))
    for match in _BYTE_LIST.finditer(text):
        numbers = [int(part, 16 if part[1:2] == "x" else 10) for part in _NUMBER.findall(match[0])[:MAX_PIECE]]
        yield bytes(number for number in numbers if number < 256)
    for match in _OCTETS.finditer(text):
        yield bytes(int(octet, 8) for octet in match[0].split()[:MAX_PIECE])
    for match in _BITS.finditer(text):
        bits = "".join(match[0].split())[: 8 * MAX_PIECE]
        yield bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8))
    for match in _NUMBERS.finditer(text):
        yield from _of_numbers(match[0][: 16 * MAX_PIECE])


def _of_numbers(text: str) -> Iterator[bytes]:
    """What numbers are in memory, in the widths that weights have: whole ones, and those with a fraction."""
    parts = [part for part in re.split(r"[\s,;]+", text) if part]
    try:
        whole = [int(part) for part in parts]
    except ValueError:
        yield from _of_fractions(parts)
        return
    most = max([*whole, -min(whole) - 1])
    width = next((size for size in (1, 2, 4, 8) if most < 1 << 8 * size), 0)
    # Lists of small numbers that have no sign are read as bytes already.
    if width > 1 or (width == 1 and min(whole) < 0):
        for order in ("<", ">"):
            yield b"".join((number % (1 << 8 * width)).to_bytes(width, _ORDERS[order]) for number in whole)


def _of_fractions(parts: Sequence[str]) -> Iterator[bytes]:
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return
    for form in ("f", "e"):
        try:
            data = struct.pack(f"<{len(numbers)}{form}", *numbers)
        except (OverflowError, struct.error):
            continue
        yield data
        if form == "f":
            # The upper half of each is the same number as `bfloat16`.
            yield b"".join(data[at + 2 : at + 4] for at in range(0, len(data), 4))


def _byte(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1] or match[2], 16) if match[1] or match[2] else int(match[3], 8),))


def _byte_of(match: re.Match[str]) -> bytes:
    return bytes((int(match[1] or match[2], 16) if match[1] or match[2] else int(match[3], 8),))


def _compact(text: str) -> str:
    """Without what stands between pieces of one text: blanks, quotes, commas, and the signs that join strings."""
    return _JOINS.sub("", text).translate(_SEPARATORS)


def _plain(text: str) -> str:
    """In letters of ASCII: wide ones are them too, and what has no width or says nothing is left out."""
    if text.isascii() and text.isprintable():
        return text
    wide = unicodedata.normalize("NFKC", text)
    return "".join(char for char in wide if unicodedata.category(char) not in ("Cf", "Cc") or char in "\t\r\n")


def _pieced(text: str) -> str:
    """The words of a text that no language has, in one: pieces of an encoding, with what was said between them."""
    words = _PIECE.findall(text)
    return "".join(word for word in words if not (word.isdigit() or word.islower() or word.isupper() or word.istitle()))


def _decoded(text: str) -> Iterator[bytes]:
    """What the runs of each alphabet decode to, wherever in the encoding they were cut."""
    text = _plain(text)
    compact = _compact(text)
    others = (compact, _pieced(text), *_without_marks(compact))
    for pattern, decode, fits in _DECODERS:
        seen: set[str] = set()
        for source in (text, *others) if decode is not _base85 else (text, "".join(text.split())):
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


def _without_marks(text: str) -> Iterator[str]:
    """Without a sign that stands between most letters of a text."""
    for mark in "-_.:/~*#":
        if text.count(mark) * 3 > len(text):
            yield text.replace(mark, "")


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
        data = binascii.unhexlify(part[: len(part) - len(part) % 2])
        yield data
        # `od -x` shows words of two bytes, the second one first.
        yield b"".join(data[at : at + 2][::-1] for at in range(0, len(data), 2))


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
    elif data[:3] == b"BZh":
        try:
            yield bz2.BZ2Decompressor().decompress(data, MAX_UNPACKED)
        except (OSError, ValueError):
            return
    elif data[:6] == b"\xfd7zXZ\x00":
        try:
            yield lzma.LZMADecompressor(memlimit=MAX_MEMORY).decompress(data, MAX_UNPACKED)
        except (lzma.LZMAError, ValueError):
            return
