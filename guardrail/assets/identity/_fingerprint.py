"""The fingerprint of a file: digests of the whole, of windows, of tensors; anchors; sketches.

One pass over the file feeds everything that needs all of it, each part on a thread of its own while further pieces are
read: SHA-256, which registries name blobs by, costs as much as the rest together. Windows are keyed by a secret of the
deployment, or an editor stays clear of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import FileIO
from typing import Any, BinaryIO, Final

import blake3
import msgspec
import numpy as np
from numpy.typing import NDArray

from guardrail.assets.identity._anchors import ANCHOR_BYTES, WAYS, anchors
from guardrail.assets.identity._formats import Format, format_of
from guardrail.assets.identity._sketch import Sketch, matrix_of, sketch
from guardrail.assets.identity._tensors import Malformed, Tensor, tensors_of

CHUNK_BYTES: Final = 4 * 1024 * 1024
"""What is read at once, in bytes."""

PIECES: Final = 4
"""Pieces that are held at once: a part that is behind does not keep the others waiting."""

WINDOWS: Final = 16
"""Windows at keyed offsets, beside those at both ends."""

WINDOW_BYTES: Final = 4096
"""Size of a window, in bytes."""

SAMPLES: Final = 4
"""Windows in each tensor that are sampled."""

MAX_SKETCHES: Final = 64
"""Most tensors of one file that are sketched: the largest."""

Progress = Callable[[int], None]
"""Told how many more bytes were read."""


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is known by.

    Args:
        size: in bytes.
        kind: its format, if it is one that is known.
        sha256: digest of the whole.
        blake3: digest of the whole; empty for an asset that tells where its tensors lie.
        windows: keyed digest of its size and of windows in it: cheap to compare, and a question only.
        tensors: digest of a tensor's bytes -> its size in bytes.
        samples: keyed digests of some windows in each tensor: cheap to compare, and a question only.
        anchors: ids of its content anchors, as little-endian u8, in order; of an asset those at every fourth offset.
        sketches: of its largest tensors.
        inner: ids of the content anchors of what is packed or encoded in it; None as long as it was not unpacked.
    """

    size: int
    kind: Format | None
    sha256: bytes
    blake3: bytes
    windows: bytes
    tensors: dict[bytes, int] = {}
    samples: tuple[bytes, ...] = ()
    anchors: bytes = b""
    sketches: tuple[Sketch, ...] = ()
    inner: bytes | None = None


def windows(fd: int, size: int, key: bytes) -> bytes:
    """The keyed digest of a file's size and of some windows in it, in constant time whatever the size.

    Args:
        fd: descriptor of the file.
        size: in bytes.
        key: 32 bytes.
    """
    digest = blake3.blake3(struct.pack("<Q", size), key=key)
    spread = blake3.blake3(b"offsets" + struct.pack("<Q", size), key=key).digest(length=8 * WINDOWS)
    room = max(1, size - WINDOW_BYTES)
    at = {0, max(0, size - WINDOW_BYTES)}
    at |= {offset % room // WINDOW_BYTES * WINDOW_BYTES for (offset,) in struct.iter_unpack("<Q", spread)}
    for offset in sorted(at):
        digest.update(os.pread(fd, WINDOW_BYTES, offset))
    return digest.digest()


def sample(fd: int, tensor: Tensor, key: bytes) -> bytes:
    """The keyed digest of a tensor's size and of some windows in it, in constant time whatever the size."""
    size = struct.pack("<Q", tensor.size)
    digest = blake3.blake3(b"tensor" + size, key=key)
    spread = blake3.blake3(b"places" + size, key=key).digest(length=8 * SAMPLES)
    room = max(1, tensor.size - WINDOW_BYTES)
    for (offset,) in struct.iter_unpack("<Q", spread):
        digest.update(os.pread(fd, min(WINDOW_BYTES, tensor.size), tensor.start + offset % room))
    return digest.digest()


def fingerprint(path: str, key: bytes, progress: Progress | None = None, *, asset: bool = False) -> Fingerprint:
    """Read a whole file and take everything it can be known by.

    Args:
        path: of a regular file; a link at its end is not followed.
        key: secret of the deployment, 32 bytes.
        progress: told as bytes are read.
        asset: it is an asset's, and what others will be compared with: the least that finds them is enough.

    Raises:
        OSError: if it cannot be read, or shrinks while it is.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with FileIO(fd, "rb") as file:
        size = os.fstat(fd).st_size
        kind = format_of(fd, size)
        tensors = _tensors(file, kind, size)
        whole = _read(file, size, _Whole(tensors, asset=asset), progress)
        return Fingerprint(
            size=size,
            kind=kind,
            sha256=whole.sha.digest(),
            blake3=whole.all.digest() if whole.all is not None else b"",
            windows=windows(fd, size, key),
            tensors=whole.tensors,
            samples=tuple(dict.fromkeys(sample(fd, tensor, key) for tensor in tensors)),
            anchors=whole.anchors().tobytes(),
            sketches=tuple(_sketches(fd, tensors, key)),
        )


def _tensors(file: BinaryIO, kind: Format | None, size: int) -> list[Tensor]:
    # A header that makes no sense leaves the digests of the whole and the anchors.
    with contextlib.suppress(Malformed):
        return tensors_of(file, kind, size)
    return []


class _Whole:
    """What is worked out while the bytes go by."""

    def __init__(self, tensors: Sequence[Tensor], *, asset: bool) -> None:
        self.sha = hashlib.sha256()
        # The second digest of the whole is for those who only know that one. Of an asset all bytes that matter have
        # their digest with their tensors.
        self.all = None if asset and tensors else blake3.blake3()
        self._ways = 1 if asset else WAYS
        self.tensors: dict[bytes, int] = {}
        self.telling = bool(tensors)
        self._waiting = list(reversed(tensors))
        self._open: list[tuple[Tensor, Any]] = []
        self._ids: list[NDArray[np.uint64]] = []
        self._tail = b""

    def parts(self, data: memoryview, at: int) -> tuple[Callable[[], object], ...]:
        """What there is to do with a piece; each part knows nothing of the others, and may have a thread of its own.

        Args:
            data: the piece, which must stay as it is until all parts are done.
            at: where it begins in the file.
        """
        whole = self.all
        return (
            lambda: self.sha.update(data),
            *((lambda: whole.update(data),) if whole is not None else ()),
            *((lambda: self._feed_tensors(data, at),) if self.telling else ()),
            lambda: self._feed_anchors(data),
        )

    def _feed_anchors(self, data: memoryview) -> None:
        self._ids.append(anchors(data, ways=self._ways))
        # An anchor across two chunks is seen in what is glued together of both.
        edge = self._tail + bytes(data[: ANCHOR_BYTES + 2])
        self._ids.append(anchors(edge, ways=self._ways))
        # INVARIANT: the glued piece begins at an offset that is looked at, as each chunk does.
        self._tail = bytes(data[-(ANCHOR_BYTES - (1 if self._ways == WAYS else WAYS)) :])

    def _feed_tensors(self, data: memoryview, at: int) -> None:
        end = at + len(data)
        while self._waiting and self._waiting[-1].start < end:
            self._open.append((self._waiting.pop(), blake3.blake3()))
        still: list[tuple[Tensor, Any]] = []
        for tensor, digest in self._open:
            stop = tensor.start + tensor.size
            digest.update(data[max(0, tensor.start - at) : min(len(data), stop - at)])
            if stop <= end:
                self.tensors[digest.digest()] = tensor.size
            else:
                still.append((tensor, digest))
        self._open = still

    def anchors(self) -> NDArray[np.uint64]:
        return np.unique(np.concatenate(self._ids)) if self._ids else np.empty(0, np.uint64)


def _read(file: FileIO, size: int, whole: _Whole, progress: Progress | None) -> _Whole:
    file.seek(0)
    at = 0
    running: deque[list[Future[object]]] = deque()
    # All of them let go of the interpreter's lock on pieces of this size. Each part takes the pieces in their order.
    with contextlib.ExitStack() as stack:
        lines: list[ThreadPoolExecutor] = []
        for data in _chunks(file):
            parts = whole.parts(data, at)
            while len(lines) < len(parts):
                lines.append(stack.enter_context(ThreadPoolExecutor(1, "guardrail-fingerprint")))
            running.append([line.submit(part) for line, part in zip(lines, parts, strict=True)])
            at += len(data)
            if progress is not None:
                progress(len(data))
            # INVARIANT: one piece is being read and all others may be in use, so the oldest is done with by now.
            while len(running) >= PIECES:
                _wait(running.popleft())
        while running:
            _wait(running.popleft())
    if at != size:
        raise OSError(f"the file changed while it was read: {at} bytes instead of {size}")
    return whole


def _wait(parts: Sequence[Future[object]]) -> None:
    for part in parts:
        part.result()


def _chunks(file: FileIO) -> Iterator[memoryview]:
    """The content, piece by piece; each piece is good until `PIECES` others were asked for."""
    views = deque(memoryview(bytearray(CHUNK_BYTES)) for _ in range(PIECES))
    while True:
        view = views[0]
        filled = 0
        while filled < CHUNK_BYTES:
            count = file.readinto(view[filled:])
            if not count:
                break
            filled += count
        if not filled:
            return
        yield view[:filled]
        if filled < CHUNK_BYTES:
            return
        views.rotate(-1)


def _sketches(fd: int, tensors: Sequence[Tensor], key: bytes) -> Iterator[Sketch]:
    seed = int.from_bytes(blake3.blake3(b"sketch", key=key).digest(length=8), "little")
    matrices = [t for t in tensors if can_read(t.dtype) and matrix_of(t.shape) is not None]
    for tensor in sorted(matrices, key=lambda t: -t.size)[:MAX_SKETCHES]:
        shape = matrix_of(tensor.shape)
        if shape is not None:
            yield sketch(shape, rows_of(fd, tensor, shape), seed)


def rows_of(fd: int, tensor: Tensor, shape: tuple[int, int]) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
    """A reader of single rows of a tensor, as numbers."""
    width = tensor.size // shape[0]

    def read(numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        rows = [os.pread(fd, width, tensor.start + int(number) * width) for number in numbers]
        return np.stack([_numbers(row, tensor.dtype) for row in rows])

    return read


def _numbers(data: bytes, dtype: str) -> NDArray[np.float32]:
    if dtype.startswith("ggml:"):
        return _dequantized(data, int(dtype[5:]))
    if dtype == "bf16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    return np.frombuffer(data, f"<{dtype}").astype(np.float32)


def can_read(dtype: str) -> bool:
    """Whether the numbers of a tensor of this type can be told here."""
    return bool(dtype) and (not dtype.startswith("ggml:") or importlib.util.find_spec("gguf") is not None)


def _dequantized(data: bytes, kind: int) -> NDArray[np.float32]:
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    return np.asarray(dequantize(np.frombuffer(data, np.uint8), GGMLQuantizationType(kind)), np.float32)
