"""Models small enough for a test, and the copies of them that somebody would hide."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf.quants import quantize
from numpy.typing import NDArray
from safetensors.numpy import save_file

Tensors = dict[str, NDArray[Any]]

SHAPES = ((1024, 2048), (2048, 2048), (512, 2048), (2048,))


def weights(seed: int, count: int = 8) -> Tensors:
    """Tensors with the heavy tails of trained weights, in half precision: 8 of them make about 26 MB."""
    rng = np.random.default_rng(seed)
    made: Tensors = {}
    for index in range(count):
        shape = SHAPES[index % len(SHAPES)]
        made[f"layers.{index}.weight"] = (rng.standard_t(6, size=shape) * 0.02).astype(np.float16)
    return made


def safetensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> Path:
    """As the reference library writes them."""
    save_file(dict(tensors), path)
    return path


def in_gguf(path: Path, tensors: Mapping[str, NDArray[Any]], kind: gguf.GGMLQuantizationType | None = None) -> Path:
    """As the reference library writes them; matrices only if they are quantised."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("llama.block_count", 2)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "c"])
    for name, tensor in tensors.items():
        if kind is None:
            writer.add_tensor(name, tensor)
        elif tensor.ndim == 2:
            writer.add_tensor(name, quantize(tensor.astype(np.float32), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def in_torch_zip(path: Path, tensors: Mapping[str, NDArray[Any]]) -> Path:
    """As `torch.save` lays a file out: a pickle that is never read here, and one stored member a storage."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("archive/byteorder", b"little")
        for number, tensor in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{number}", tensor.tobytes())
    return path


def npz(path: Path, tensors: Mapping[str, NDArray[Any]]) -> Path:
    """As numpy writes them."""
    np.savez(path, **tensors)  # type: ignore[arg-type]
    return path


def npy_bytes() -> bytes:
    """One array."""
    file = io.BytesIO()
    np.save(file, np.zeros(4))
    return file.getvalue()


HEADS: dict[str, bytes] = {
    "safetensors": struct.pack("<Q", 60) + b'{"w":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}}     ' + bytes(9),
    "gguf": b"GGUF" + struct.pack("<IQQ", 3, 0, 0),
    "ggml": b"lmgg" + bytes(12),
    "pickle": b"\x80\x04\x95" + bytes(13),
    "torch": b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19." + bytes(4),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(8),
    "npy": npy_bytes(),
    "tflite": b"\x1c\0\0\0TFL3" + bytes(8),
    "executorch": b"\x1c\0\0\0ET12" + bytes(8),
    "onnx": b"\x08\x08\x12\x07pytorch\x1a\x052.5.1" + bytes(4),
    "gzip": b"\x1f\x8b\x08\0" + bytes(12),
    "zstd": b"\x28\xb5\x2f\xfd" + bytes(12),
    "xz": b"\xfd7zXZ\0" + bytes(12),
    "lz4": b"\x04\x22\x4d\x18" + bytes(12),
    "bzip2": b"BZh9" + bytes(12),
    "tar": b"w/a.bin".ljust(257, b"\0") + b"ustar\x0000" + bytes(200),
    "nemo": b"./model_config.yaml".ljust(257, b"\0") + b"ustar\x0000" + bytes(200),
}
"""The beginning of a file of each format that has a fixed one."""
