"""Where the tensors of a file lie, by the headers of its format: nothing is unpickled, nothing is imported.

Not concerned with what their values are. Names are left out on purpose: renaming a tensor makes no other tensor.
Sources: huggingface/safetensors README "Format"; ggml-org/ggml docs/gguf.md; PKWARE APPNOTE 6.3 sections 4.3.7 and
4.3.12; pytorch torch/serialization.py (each storage is a stored member `…/data/N`); numpy.lib.format.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from guardrail.assets.identity._formats import MAX_HEADER_BYTES, Format

MAX_TENSORS: Final = 200_000
"""Most tensors of one file that are looked at; a file with more has none that are known."""

MIN_TENSOR_BYTES: Final = 4096
"""Smallest tensor that says which model it is of, in bytes: small ones are often constants."""

MAX_GGUF_TEXT: Final = 16 * 1024 * 1024
"""Longest text in the metadata of a GGUF file, in bytes."""

_GGUF_SIZES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
# ggml type -> (elements in a block, bytes of a block); ggml/src/ggml-common.h
_GGML_BLOCKS: Final = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
_DTYPES: Final = {
    "F32": "f4", "F16": "f2", "BF16": "bf16", "F64": "f8",
}  # fmt: skip
_GGML_DTYPES: Final = {0: "f4", 1: "f2", 30: "bf16", 28: "f8"}
_ZIP_LOCAL: Final = struct.Struct("<4s5H3I2H")


HEADER_BUFFER_BYTES: Final = 256 * 1024
"""What is read at once of a header, in bytes."""


class Malformed(ValueError):
    """The file is not what its first bytes say."""


class Tensor(NamedTuple):
    """One tensor of a file.

    Args:
        start: offset of its first byte in the file.
        size: in bytes.
        shape: outermost dimension first; empty if the format does not say.
        dtype: `f2`, `f4`, `f8`, `bf16`, or `ggml:N` for a quantised type; empty for any other.
    """

    start: int
    size: int
    shape: tuple[int, ...] = ()
    dtype: str = ""


def tensors_of(file: BinaryIO, kind: Format | None, size: int) -> list[Tensor]:
    """The tensors of a file, in the order of their offsets.

    Args:
        file: open for reading, unbuffered or not; its position is moved.
        kind: its format.
        size: of the file, in bytes.

    Returns:
        The tensors of at least `MIN_TENSOR_BYTES`; none if the format tells none.

    Raises:
        Malformed: if the header contradicts itself or the file.
        OSError: if it cannot be read.
    """
    reader = _READERS.get(kind or "")
    if reader is None:
        return []
    found: list[Tensor] = []
    # A header may be a hundred thousand small texts.
    buffered = io.BufferedReader(file, HEADER_BUFFER_BYTES) if isinstance(file, io.RawIOBase) else None
    try:
        for tensor in reader(buffered or file, size):
            if tensor.start < 0 or tensor.size < 0 or tensor.start + tensor.size > size:
                raise Malformed("a tensor lies outside the file")
            if tensor.size >= MIN_TENSOR_BYTES:
                found.append(tensor)
            if len(found) > MAX_TENSORS:
                raise Malformed("too many tensors")
    except (struct.error, UnicodeDecodeError, zipfile.BadZipFile, msgspec.DecodeError, OverflowError) as error:
        raise Malformed(str(error) or type(error).__name__) from None
    finally:
        if buffered is not None:
            buffered.detach()
    return sorted(found)


class _Entry(msgspec.Struct):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


_entries: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_entry: Final = msgspec.json.Decoder(_Entry)


def _safetensors(file: BinaryIO, size: int) -> Iterator[Tensor]:
    file.seek(0)
    (length,) = struct.unpack("<Q", file.read(8))
    if length > min(MAX_HEADER_BYTES, size - 8):
        raise Malformed("the header is longer than the file")
    for name, raw in _entries.decode(file.read(length)).items():
        if name != "__metadata__":
            entry = _entry.decode(raw)
            start, end = entry.data_offsets
            yield Tensor(8 + length + start, end - start, entry.shape, _DTYPES.get(entry.dtype, ""))


def _gguf(file: BinaryIO, _size: int) -> Iterator[Tensor]:
    file.seek(4)
    version, count, pairs = struct.unpack("<IQQ", file.read(20))
    if version not in (2, 3) or count > MAX_TENSORS or pairs > MAX_TENSORS:
        raise Malformed("not a GGUF header of version 2 or 3")
    alignment = 32
    for _ in range(pairs):
        key = _gguf_text(file)
        (kind,) = struct.unpack("<I", file.read(4))
        value = _gguf_value(file, kind)
        if key == b"general.alignment" and isinstance(value, int):
            alignment = value
    if not 1 <= alignment <= 1 << 20:
        raise Malformed("an alignment that is none")
    infos: list[tuple[tuple[int, ...], int, int]] = []
    for _ in range(count):
        _gguf_text(file)
        (dimensions,) = struct.unpack("<I", file.read(4))
        if dimensions > 8:
            raise Malformed("a tensor of too many dimensions")
        shape = struct.unpack(f"<{dimensions}Q", file.read(8 * dimensions))
        kind, offset = struct.unpack("<IQ", file.read(12))
        infos.append((shape[::-1], kind, offset))
    base = -(-file.tell() // alignment) * alignment
    for shape, kind, offset in infos:
        block = _GGML_BLOCKS.get(kind)
        if block is not None:
            elements = 1
            for length in shape:
                elements *= length
            yield Tensor(base + offset, elements // block[0] * block[1], shape, _GGML_DTYPES.get(kind, f"ggml:{kind}"))


def _gguf_text(file: BinaryIO) -> bytes:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > MAX_GGUF_TEXT:
        raise Malformed("a text that is too long")
    return file.read(length)


def _gguf_value(file: BinaryIO, kind: int, depth: int = 0) -> int | None:
    """Go past one value; that of an unsigned number is told."""
    if kind == 8:
        _gguf_text(file)
        return None
    if kind == 9:
        inner, count = struct.unpack("<IQ", file.read(12))
        if depth > 4 or count > 1 << 28:
            raise Malformed("an array that is too large")
        if inner in _GGUF_SIZES:
            file.seek(_GGUF_SIZES[inner] * count, os.SEEK_CUR)
        else:
            for _ in range(count):
                _gguf_value(file, inner, depth + 1)
        return None
    if kind not in _GGUF_SIZES:
        raise Malformed("a value of unknown kind")
    data = file.read(_GGUF_SIZES[kind])
    return int.from_bytes(data, "little") if kind in (0, 2, 4, 10) else None


def _zip_members(file: BinaryIO, _size: int) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each member that is stored as it is."""
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.compress_type == zipfile.ZIP_STORED:
                file.seek(info.header_offset)
                header = _ZIP_LOCAL.unpack(file.read(_ZIP_LOCAL.size))
                start = info.header_offset + _ZIP_LOCAL.size + int(header[9]) + int(header[10])
                yield info.filename, start, info.file_size


def _torch(file: BinaryIO, size: int) -> Iterator[Tensor]:
    for name, start, length in _zip_members(file, size):
        folder, _, number = name.rpartition("/")
        if folder.endswith("data") and number.isdigit():
            yield Tensor(start, length)


def _npz(file: BinaryIO, size: int) -> Iterator[Tensor]:
    for name, start, length in _zip_members(file, size):
        if name.endswith(".npy"):
            file.seek(start)
            yield from _array(file, start, length)


def _npy(file: BinaryIO, size: int) -> Iterator[Tensor]:
    file.seek(0)
    yield from _array(file, 0, size)


def _array(file: BinaryIO, start: int, length: int) -> Iterator[Tensor]:
    head = file.read(12)
    if not head.startswith(b"\x93NUMPY"):
        raise Malformed("not an array")
    wide = head[6] > 1
    skip = 12 + struct.unpack_from("<I", head, 8)[0] if wide else 10 + struct.unpack_from("<H", head, 8)[0]
    yield Tensor(start + skip, length - skip)


_READERS: Final[dict[str, Any]] = {
    "safetensors": _safetensors,
    "gguf": _gguf,
    "torch": _torch,
    "npz": _npz,
    "npy": _npy,
}
