"""Text that others chose, made fit to be stored and to be looked at.

Not concerned with secrets: the trail masks those.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import unicodedata
from typing import Final


def printable(text: str) -> str:
    r"""Text that survives UTF-8: bytes that are no UTF-8 (lone surrogates) become `\xNN`, reversibly.

    File names are bytes; engines, JSON and traces take Unicode only.
    A backslash is doubled only in text that needs escaping at all, so ordinary names stay as they are.
    """
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "".join(_escape(char) for char in text)
    return text


def visible(text: str) -> str:
    """Text for a person's eyes: nothing in it moves the cursor, hides, or reorders itself.

    Agents choose names and commands; what they choose must not repaint the verdict about it.
    """
    clean = printable(text)
    if clean.isascii() and clean.isprintable():
        return clean
    return "".join(f"\\u{ord(char):04x}" if unicodedata.category(char) in _HIDDEN else char for char in clean)


def moment(us: int) -> str:
    """A time in microseconds since 1970 as people read it, in UTC; `no time` if no calendar has it."""
    try:
        return dt.datetime.fromtimestamp(us / 1_000_000, dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return "no time"


def shortened(text: str, most: int) -> str:
    """Text of at most so many characters: its middle is left out, and said to be, with what tells it from others.

    A path is told by its end, and a sentence may have one anywhere; so both ends stay, and more of the latter.

    Args:
        text: any text.
        most: how many characters may stay, at least 64.
    """
    if len(text) <= most:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    mark = f"...({len(text)} characters, {digest})..."
    head = (most - len(mark)) // 3
    return f"{text[:head]}{mark}{text[len(text) - (most - len(mark) - head) :]}"


_HIDDEN: Final = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if 0xD800 <= code <= 0xDFFF:
        return f"\\u{code:04x}"
    return "\\\\" if char == "\\" else char
