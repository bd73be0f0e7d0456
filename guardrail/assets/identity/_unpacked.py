"""The content of compressed containers, piece by piece and within bounds.

Not concerned with archives that store their members as they are: content anchors see through those.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, Any, Final

from guardrail.assets.identity._formats import Format

MAX_UNPACKED_BYTES: Final = 1 << 40
"""Most bytes that one container is unpacked to."""

MAX_RATIO: Final = 1000
"""Most bytes that one byte of a container is believed to stand for: weights hardly shrink, bombs do."""

PIECE_BYTES: Final = 8 * 1024 * 1024
"""Size of a piece, in bytes."""


class Unreadable(Exception):
    """The container cannot be unpacked here; the message says why."""


def unpacked(path: str, kind: Format | None, size: int) -> Iterator[bytes]:
    """What a compressed container holds, all members one after the other.

    Args:
        path: of the container.
        kind: its format.
        size: its size, in bytes.

    Raises:
        Unreadable: if it is damaged, locked, grows beyond the bounds, or there is nothing here to unpack it.
    """
    most = min(MAX_UNPACKED_BYTES, size * MAX_RATIO + PIECE_BYTES)
    try:
        for piece in _pieces(path, kind):
            most -= len(piece)
            if most < 0:
                raise Unreadable("it unpacks to more than is believed of weights")
            yield piece
    except (OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        # RuntimeError: a member with a password; NotImplementedError: a method of compression.
        raise Unreadable(f"it cannot be unpacked: {error}") from None


def _pieces(path: str, kind: Format | None) -> Iterator[bytes]:
    opener = _OPENERS.get(kind or "")
    if opener is not None:
        with opener(path) as file:
            yield from _of_file(file)
    elif kind == "zip":
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.compress_type != zipfile.ZIP_STORED and not info.is_dir():
                    with archive.open(info) as member:
                        yield from _of_file(member)


def _of_file(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield piece


def _zstd(path: str) -> Any:
    for module in ("compression.zstd", "zstandard"):
        try:
            return importlib.import_module(module).open(path, "rb")
        except ImportError:
            continue
    raise Unreadable("nothing here unpacks zstd: install `zstandard`")


_OPENERS: Final[dict[str, Callable[[str], Any]]] = {
    "gzip": gzip.open,
    "bzip2": bz2.open,
    "xz": lzma.open,
    "zstd": _zstd,
}

COMPRESSED: Final = frozenset((*_OPENERS, "zip"))
"""Formats that are unpacked."""
