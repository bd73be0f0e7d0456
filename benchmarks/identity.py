"""A checkpoint of 2 GB in other shapes: is each known again, how long does that take, and how fast is a fingerprint.

    python -m benchmarks.identity [--gigabytes N] [--json]

Files are made below /var/tmp and removed. Throughput is compared with that of SHA-256 alone, taken in turns in the same
run: the budget is 20 % more time. Machines differ, and busy ones do nothing else: quote the ratio.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import load_file, save_file

from guardrail.assets.identity._fingerprint import CHUNK_BYTES, fingerprint
from guardrail.assets.identity._match import match
from guardrail.assets.identity._registry import Registry, state_of

SIDE = 4096
"""Rows and columns of each tensor; as F16 it has 32 MiB."""

FRAGMENT_BYTES = 64 * 1024 * 1024
"""The fragment, in bytes."""

ROUNDS = 3
"""Times that the hash and the fingerprint are taken in turns; the best of each counts."""


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--gigabytes", type=float, default=2.0, help="size of the checkpoint, in GB")
    options.add_argument("--json", action="store_true", help="print JSON")
    args = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="guardrail-identity-", dir="/var/tmp") as scratch:
        told = measure(Path(scratch), args.gigabytes)
    print(json.dumps(told, indent=1) if args.json else table(told))
    return 0 if all(row["right"] for row in told["rows"]) else 1


def measure(root: Path, gigabytes: float) -> dict[str, Any]:
    """Make the checkpoint, register it, and ask of each shape what it is."""
    count = max(2, round(gigabytes * 1e9 / (2 * SIDE * SIDE)))
    original = root / "model.safetensors"
    _make(original, count, seed=1)
    key = b"k" * 32
    busy = os.getloadavg()[0]
    hashed, printed = _throughput(original, key)
    rows: list[dict[str, Any]] = []
    with Registry(root / "identity.db") as registry:
        registry.put(
            "model:beta",
            str(original),
            state_of(os.lstat(original)),
            fingerprint(str(original), registry.key, asset=True),
        )
        for name, wanted, files in _shapes(root, original, count):
            for file in files:
                start = time.perf_counter()
                found = match(str(file), registry)
                seconds = time.perf_counter() - start
                level = found.evidence[0].level if found.evidence else ""
                rows.append(
                    {
                        "what": name,
                        "mb": file.stat().st_size / 1e6,
                        "said": found.conclusion,
                        "level": level,
                        "seconds": seconds,
                        "right": (found.asset == "model:beta") is wanted,
                    }
                )
                if file != original:
                    file.unlink()
    size = original.stat().st_size
    return {"bytes": size, "sha256_gb_s": size / hashed / 1e9, "fingerprint_gb_s": size / printed / 1e9,
            "load": busy, "ratio": printed / hashed, "rows": rows}  # fmt: skip


def _make(path: Path, count: int, seed: int) -> None:
    made = np.random.default_rng(seed)
    save_file(
        {f"layers.{n}.w": made.standard_normal((SIDE, SIDE), np.float32).astype(np.float16) for n in range(count)}, path
    )


def _throughput(path: Path, key: bytes) -> tuple[float, float]:
    """Seconds of the hash alone, and of the whole fingerprint."""
    hashed: list[float] = []
    printed: list[float] = []
    for _ in range(ROUNDS):
        hashed.append(_timed(lambda: _sha256(path)))
        printed.append(_timed(lambda: fingerprint(str(path), key, asset=True)))
    return min(hashed), min(printed)


def _timed(what: Callable[[], object]) -> float:
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


def _sha256(path: Path) -> bytes:
    digest = hashlib.sha256()
    view = memoryview(bytearray(CHUNK_BYTES))
    with open(path, "rb", buffering=0) as file:
        while size := file.readinto(view):
            digest.update(view[:size])
    return digest.digest()


def _shapes(root: Path, original: Path, count: int) -> Iterator[tuple[str, bool, list[Path]]]:
    """One shape after the other, so that the disk holds few at once: its name, whether it is the model, its files."""
    linked = root / "notes.txt"
    linked.hardlink_to(original)
    yield "hard link", True, [linked]
    renamed = root / "renamed.bin"
    renamed.write_bytes(original.read_bytes())
    os.utime(renamed, (1.5e9, 1.5e9))
    yield "copied, renamed, re-dated", True, [renamed]
    yield "re-sharded, tensors renamed", True, list(_shards(root, original, count))
    packed = root / "backup.tar"
    with tarfile.open(packed, "w") as tar:
        tar.add(original, "x/data")
    yield "tar", True, [packed]
    parts = list(_split(root, original))
    yield "split in four", True, parts
    yield "GGUF F16", True, [_gguf(root, original)]
    fragment = root / "fragment"
    with open(original, "rb") as file:
        file.seek(original.stat().st_size // 3 + 1)
        fragment.write_bytes(b"junk" * 99 + file.read(FRAGMENT_BYTES))
    yield "64 MiB of it, behind junk", True, [fragment]
    other = root / "other.safetensors"
    _make(other, count, seed=2)
    yield "another model of that shape", False, [other]


def _shards(root: Path, original: Path, count: int) -> Iterator[Path]:
    tensors = load_file(original)
    names = sorted(tensors)
    for number, half in enumerate((names[: count // 2], names[count // 2 :])):
        path = root / f"shard-{number}.safetensors"
        save_file({f"t{n}": tensors[name] for n, name in enumerate(half)}, path)
        yield path


def _split(root: Path, original: Path) -> Iterator[Path]:
    size = original.stat().st_size // 4 + 1
    with open(original, "rb") as file:
        for number in range(4):
            path = root / f"part-{number}"
            path.write_bytes(file.read(size))
            yield path


def _gguf(root: Path, original: Path) -> Path:
    path = root / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for name, tensor in load_file(original).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def table(told: dict[str, Any]) -> str:
    """The measurement for people."""
    lines = [f"{'what':<30} {'MB':>7} {'it':>10} {'by':>8} {'s':>7}"]
    lines += [
        f"{row['what']:<30} {row['mb']:>7.0f} {row['said']:>10} {row['level']:>8} {row['seconds']:>7.2f}"
        + ("" if row["right"] else "  WRONG")
        for row in told["rows"]
    ]
    lines.append(
        f"fingerprint {told['fingerprint_gb_s']:.2f} GB/s, SHA-256 alone {told['sha256_gb_s']:.2f} GB/s: "
        f"{told['ratio']:.2f} times the time (budget 1.20), with {told['load']:.1f} others at work on "
        f"{os.cpu_count()} cores"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
