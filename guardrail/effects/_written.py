"""What a text in the arguments of a tool that is not known may stand for: addresses, encodings, marks around it.

Not concerned with whether there is anything of that name. A reading that is wrong names nothing.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from guardrail.effects.domain._addresses import aliases, remote
from guardrail.effects.domain._paths import local_path
from guardrail.model import Resource
from guardrail.patterns import lazy

MAX_WRITTEN: Final = 8192
"""Longest text that is read in other ways, in characters."""

_ESCAPED: Final = lazy(r"\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})")
_BASE64: Final = lazy(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_HEX: Final = lazy(r"(?:[0-9A-Fa-f]{2}){4,}")
_BEHIND: Final = lazy(r"[a-z][a-z0-9+.-]{0,31}://[^/]*(/.+)", re.IGNORECASE | re.DOTALL)
_BUCKET: Final = lazy(r"arn:[\w-]*:s3:[^:]*:[^:]*:(.+)", re.DOTALL)
_WEB: Final = ("http", "ws", "ftp", "ssh", "git", "s3", "gs", "az", "hf")
_EDGES: Final = " \t\r\n@<>'\"`()[]{}"


def written(text: str) -> Iterator[str]:
    """Every other text that may be meant, each once.

    Args:
        text: as it stands in the arguments.
    """
    if len(text) > MAX_WRITTEN:
        return
    seen = {text}
    for reading in _readings(text):
        if reading and reading not in seen:
            seen.add(reading)
            yield reading


def _readings(text: str) -> Iterator[str]:
    yield text.strip(_EDGES)
    yield text.partition("\0")[0]
    path = local_path(text.strip(_EDGES))
    if path is not None:
        yield path
    elif (match := _BEHIND.match(text)) is not None and not text.lower().startswith(_WEB):
        yield match[1]
    if "%" in text:
        yield unquote(text, errors="surrogateescape")
    if "&" in text:
        yield html.unescape(text)
    if "\\" in text:
        yield _ESCAPED.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
        yield text.replace("\\\\?\\", "").replace("\\", "/")
    if not text.isascii():
        plain = unicodedata.normalize("NFKC", text)
        yield "".join(char for char in plain if unicodedata.category(char) != "Cf")
    yield from _decoded(text.strip())


def _decoded(text: str) -> Iterator[str]:
    """The name of a file in base64 or in hexadecimal digits."""
    found: list[bytes] = []
    if _HEX.fullmatch(text):
        found.append(bytes.fromhex(text))
    if _BASE64.fullmatch(text):
        plain = text.rstrip("=").replace("-", "+").replace("_", "/")
        try:
            found.append(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
        except (binascii.Error, ValueError):
            pass
    for data in found:
        try:
            name = data.decode("utf-8")
        except UnicodeDecodeError:
            continue
        if "/" in name and name.isprintable():
            yield name


def elsewhere(text: str) -> Iterator[Resource]:
    """What the address of a hub or a store leads to, by its own address.

    Args:
        text: an address on the web, or Amazon's name of what is in a bucket.
    """
    if (match := _BUCKET.fullmatch(text)) is not None:
        yield Resource(kind="object", uri=f"s3://{match[1]}")
    elif "://" in text:
        yield from aliases(remote(text))
