"""Short pieces of what is not text, as a call carries them: each too short to say anything, and together they do.

Not concerned with whose they are, nor with how many of them a session has carried away.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import Final

from guardrail.assets._disguise import readable

MIN_PIECE_BYTES: Final = 8
"""Shortest piece that is looked for, in bytes: fewer stand somewhere in any large file."""

MAX_PIECE_BYTES: Final = 47
"""Longest one; what is longer is a piece by itself."""

MIN_PIECE_DISTINCT: Final = 6
"""Fewest different bytes in a piece: runs of zeros and ones stand in any file of numbers."""

MAX_PIECES: Final = 32
"""Most pieces of one call that are looked for."""

_HEX: Final = re.compile(r"(?<![0-9A-Za-z])(?:0x)?([0-9A-Fa-f]{16,94})(?![0-9A-Za-z])")
_SPACED: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:\\x|0x)?[0-9A-Fa-f]{2}(?:(?:[ :,-]|\\x|, ?0x)[0-9A-Fa-f]{2}){7,46}(?![0-9A-Za-z])"
)
_WORDS: Final = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{4}(?: [0-9a-f]{4}){3,22}(?![0-9A-Za-z])")
_BASE64: Final = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{12,63}(?==|(?![A-Za-z0-9+/_=-]))")
_MIXED: Final = re.compile(r"(?=.*[A-Z])(?=.*[a-z])(?:.*[0-9+/]|.*[A-Z]{2}.*[a-z][A-Z])")
_BASE32: Final = re.compile(r"(?<![A-Za-z0-9])[A-Z2-7]{16,76}(?![A-Za-z0-9])")
_NUMBERS: Final = re.compile(r"(?<![\w.])\d{1,3}(?:[,;]? ?(?<=[,; ])\d{1,3}){7,46}(?![\w.])")


def short_pieces(text: str) -> list[bytes]:
    """What words and lists of numbers in a text stand for, where that is short and no text.

    Args:
        text: what a call carries, or a part of it.
    """
    found: dict[bytes, None] = {}
    for pattern, decode in _KINDS:
        for match in pattern.finditer(text):
            for data in decode(match):
                long = MIN_PIECE_BYTES <= len(data) <= MAX_PIECE_BYTES
                if long and len(set(data)) >= MIN_PIECE_DISTINCT and not readable(data):
                    found[data] = None
            if len(found) >= MAX_PIECES:
                return list(found)[:MAX_PIECES]
    return list(found)


def _hex(match: re.Match[str]) -> Iterator[bytes]:
    digits = match[1]
    if not (digits.isdigit() or digits.isalpha()):
        yield binascii.unhexlify(digits[: len(digits) & ~1])


def _spaced(match: re.Match[str]) -> Iterator[bytes]:
    yield binascii.unhexlify(re.sub(r"0x|[^0-9A-Fa-f]", "", match[0]))


def _words(match: re.Match[str]) -> Iterator[bytes]:
    data = binascii.unhexlify(match[0].replace(" ", ""))
    yield data
    # `od -x` shows words of two bytes, the second one first.
    yield b"".join(data[at : at + 2][::-1] for at in range(0, len(data), 2))


def _base64(match: re.Match[str]) -> Iterator[bytes]:
    run = match[0].replace("-", "+").replace("_", "/")
    if _MIXED.match(run) is None:
        return  # names of things are words of one case, or of both in a row
    for skip in range(4):
        part = run[skip:]
        yield base64.b64decode(part[: len(part) & ~3])
        whole = part + "=" * (-len(part) % 4)
        if len(part) % 4 > 1:
            yield base64.b64decode(whole)


def _base32(match: re.Match[str]) -> Iterator[bytes]:
    run = match[0]
    if any(map(str.isdigit, run)):
        for skip in range(8):
            part = run[skip:]
            yield base64.b32decode(part[: len(part) & ~7])


def _numbers(match: re.Match[str]) -> Iterator[bytes]:
    numbers = [int(one) for one in re.findall(r"\d+", match[0])]
    if max(numbers) < 256:
        yield bytes(numbers)


_KINDS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Iterator[bytes]]], ...]] = (
    (_HEX, _hex),
    (_SPACED, _spaced),
    (_WORDS, _words),
    (_BASE64, _base64),
    (_BASE32, _base32),
    (_NUMBERS, _numbers),
)
