"""What kind of file this is, by its structure: the first 4 KiB, and for a directory the names inside.

Not concerned with names of files, nor with what any framework would make of them: nothing is unpickled or imported.
Sources: the formats' own descriptions: huggingface/safetensors README "Format"; ggml-org/ggml docs/gguf.md;
pytorch torch/serialization.py; PKWARE APPNOTE 6.3 section 4.3.7; HDF5 File Format 3.0 section II.A;
numpy.lib.format; onnx/onnx.proto; tensorflow/lite/schema.fbs `file_identifier`; POSIX pax section
"ustar Interchange Format".
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection
from typing import Final, Literal

HEAD_BYTES: Final = 4096
"""What is read of a file to tell its format, in bytes."""

MAX_HEADER_BYTES: Final = 100_000_000
"""Largest header of a safetensors file that counts as one, in bytes; the reference implementation's own bound."""

Format = Literal[
    "safetensors", "gguf", "ggml", "torch", "pickle", "keras", "hdf5", "npy", "npz", "tflite", "onnx", "executorch",
    "tensorrt", "sharded", "adapter", "checkpoint", "saved-model", "transformers", "coreml", "nemo", "ollama",
    "hf-cache", "tokenizer", "tar", "zip", "gzip", "zstd", "xz", "lz4", "bzip2",
]  # fmt: skip
"""A format of files or directories that hold models, or a container that may hold one."""

CONTAINERS: Final[frozenset[str]] = frozenset(("tar", "zip", "gzip", "zstd", "xz", "lz4", "bzip2"))
"""Formats that say nothing of what is in them."""

WEIGHTS: Final[frozenset[str]] = frozenset(
    "safetensors gguf ggml torch keras hdf5 npz tflite onnx executorch tensorrt sharded adapter checkpoint "
    "saved-model transformers coreml nemo ollama hf-cache".split()
)
"""Formats that are made for models; `pickle` and `npy` hold anything."""

_LEGACY_TORCH: Final = bytes.fromhex("8a0a6cfc9c46f9206aa85019")  # LONG1 0x1950a86a20f9469cfc6c
_GGML: Final = (b"lmgg", b"tjgg", b"fmgg", b"algg")
_PACKED: Final[tuple[tuple[bytes, Format], ...]] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"BZh", "bzip2"),
)
_MAGIC: Final[tuple[tuple[int, bytes, Format], ...]] = (
    (0, b"GGUF", "gguf"),
    (0, b"\x89HDF\r\n\x1a\n", "hdf5"),
    (0, b"\x93NUMPY", "npy"),
    (4, b"TFL3", "tflite"),
    (4, b"ET12", "executorch"),
    (4, b"ET11", "executorch"),
    (0, b"ptrt", "tensorrt"),
    (0, b"ftrt", "tensorrt"),
)
_TORCH_MEMBERS: Final = ("data.pkl", ".format_version", ".storage_alignment", "byteorder")
_KERAS_MEMBERS: Final = ("metadata.json", "model.weights.h5")
_ONNX_PRODUCERS: Final = (b"pytorch", b"onnx", b"tf2onnx", b"skl2onnx", b"ai.onnx", b"keras2onnx", b"paddle")

# Tags of `ModelProto` and `GraphProto` in onnx.proto: the number of the field times eight, and 2 for what has a length.
_ONNX_GRAPH: Final = 0x3A
_ONNX_VERSION: Final = 0x28
_ONNX_TEXTS: Final = frozenset((0x12, 0x1A, 0x22, 0x32, 0x42, 0x72))
_ONNX_IN_GRAPH: Final = frozenset(bytes((tag,)) for tag in (0x0A, 0x12, 0x2A, 0x52, 0x5A, 0x62, 0x6A, 0x72, 0x7A))


def format_of(fd: int, size: int) -> Format | None:
    """The format of an open file.

    Args:
        fd: descriptor of a regular file, readable; its position is not used.
        size: of the file, in bytes.

    Returns:
        The format; None for whatever is neither made for models nor a known container.

    Raises:
        OSError: if it cannot be read.
    """
    return format_of_head(os.pread(fd, HEAD_BYTES, 0), size)


def format_of_head(head: bytes, size: int) -> Format | None:
    """The same, of the first `HEAD_BYTES` bytes of a file."""
    if head[8:9] == b"{" and _is_safetensors(head, size):
        return "safetensors"
    for at, magic, name in _MAGIC:
        if head.startswith(magic, at):
            return name
    if head[:4] in _GGML:
        return "ggml"
    if head.startswith(b"PK\x03\x04"):
        return _zip(head)
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "torch" if head[2:14] == _LEGACY_TORCH else "pickle"
    if head.startswith(b"ustar", 257):
        return "nemo" if head.startswith((b"./model_config.yaml", b"model_config.yaml")) else "tar"
    for magic, name in _PACKED:
        if head.startswith(magic):
            return name
    # Protobuf has no magic: field 1 (ir_version) as a small varint, and a producer that names itself, or a graph.
    if head[:1] == b"\x08" and b"\0" < head[1:2] < b"\x20":
        return "onnx" if any(name in head[:512] for name in _ONNX_PRODUCERS) or _has_graph(head, size) else None
    return None


def _has_graph(head: bytes, size: int) -> bool:
    """Whether the fields of a message lead to one that can be the graph of an ONNX model, whoever wrote it."""
    at = 2
    while at < len(head):
        tag = head[at]
        value, at = _varint(head, at + 1)
        if tag == _ONNX_GRAPH:
            return 0 < value <= size - at and head[at : at + 1] in _ONNX_IN_GRAPH
        if tag in _ONNX_TEXTS:
            at += value
        elif tag != _ONNX_VERSION:
            return False
    return False


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of protobuf, and where it ends."""
    value = shift = 0
    while at < len(data) and shift < 64:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            break
    return value, at


def _is_safetensors(head: bytes, size: int) -> bool:
    (length,) = struct.unpack_from("<Q", head)
    if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
        return False
    return b'"dtype"' in head or b'"__metadata__"' in head[:64] or head[8 : 8 + length].strip() == b"{}"


def _zip(head: bytes) -> Format:
    if len(head) < 30:
        return "zip"
    (length,) = struct.unpack_from("<H", head, 26)
    member = head[30 : 30 + length].decode("utf-8", "replace")
    if member.endswith(".npy"):
        return "npz"
    if member.endswith(_TORCH_MEMBERS):
        return "torch"
    return "keras" if member in _KERAS_MEMBERS else "zip"


def format_of_directory(names: Collection[str]) -> Format | None:
    """The format of a directory that is one model.

    Args:
        names: of the entries in it; no paths.

    Returns:
        The format; None if the names make no model.
    """
    has = frozenset(names)
    ends = tuple(has)

    def any_ends(*suffixes: str) -> bool:
        return any(name.endswith(suffixes) for name in ends)

    if (".metadata" in has and any_ends(".distcp")) or _is_bundle(has):
        return "checkpoint"
    if "saved_model.pb" in has or "saved_model.pbtxt" in has:
        return "saved-model"
    if "adapter_config.json" in has and any_ends(".safetensors", ".bin"):
        return "adapter"
    if {"optimizer.pt", "scheduler.pt", "trainer_state.json"} & has and any_ends(".safetensors", ".bin", ".pt"):
        return "checkpoint"
    if any_ends(".safetensors.index.json", ".bin.index.json"):
        return "sharded"
    if "Manifest.json" in has and any_ends(".mlmodel", "Data"):
        return "coreml"
    if {"blobs", "manifests"} <= has:
        return "ollama"
    # No `refs` where every download was of a commit by its number.
    if {"blobs", "snapshots"} <= has:
        return "hf-cache"
    if "config.json" in has and any_ends(".safetensors", ".bin", ".npz", ".gguf", ".h5", ".msgpack"):
        return "transformers"
    if has & _TOKENIZERS or {"vocab.json", "merges.txt"} <= has:
        return "tokenizer"
    return None


def _is_bundle(names: Collection[str]) -> bool:
    """A checkpoint of TensorFlow: `NAME.index` says what of it lies in which `NAME.data-00000-of-00002`."""
    stems = tuple(f"{name.removesuffix('.index')}.data-" for name in names if name.endswith(".index"))
    return bool(stems) and any(name.startswith(stems) for name in names)


_TOKENIZERS: Final = frozenset(
    "tokenizer.json tokenizer.model spiece.model sentencepiece.bpe.model tokenizer_config.json".split()
)
