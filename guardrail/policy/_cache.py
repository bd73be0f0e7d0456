"""Compiled modules kept on disk, so that a start takes a millisecond and not a third of a second.

A compiled module is native code: loading a hostile one is running it.
So the directory and the file must belong to this user and be writable by nobody else, and any doubt means to compile.
It does not protect against the user's own processes; the guard registers the directory as an asset of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import wasmtime

MAX_MODULE_BYTES: Final = 64 * 1024 * 1024
"""Largest compiled module that is read from the cache, in bytes."""


def cache_directory() -> Path:
    """`$XDG_CACHE_HOME/guardrail`: where compiled policies are kept."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification says that a relative path is invalid and to be ignored.
    root = Path(base) if base.startswith("/") else Path(os.path.expanduser("~"), ".cache")
    return root / "guardrail"


def load_module(engine: wasmtime.Engine, wasm: bytes, *, settings: str) -> wasmtime.Module:
    """A module, from the cache if it is there and safe to load, else compiled and put there.

    Args:
        engine: the engine it will run on.
        wasm: the portable module.
        settings: everything in the engine's configuration that changes the code.

    Raises:
        wasmtime.WasmtimeError: if it is not a valid module.
    """
    import wasmtime

    path = cache_directory() / f"{_key(wasm, settings)}.cwasm"
    cached = _read(path)
    if cached is not None:
        with contextlib.suppress(wasmtime.WasmtimeError):  # of another CPU or version, or torn: compile instead
            return wasmtime.Module.deserialize(engine, cached)
    module = wasmtime.Module(engine, wasm)
    with contextlib.suppress(OSError, wasmtime.WasmtimeError):  # a read-only home costs time at start, nothing else
        _write(path, bytes(module.serialize()))
    return module


def _key(wasm: bytes, settings: str) -> str:
    import importlib.metadata

    version = importlib.metadata.version("wasmtime")
    parts = (hashlib.sha256(wasm).hexdigest(), version, settings, platform.system(), platform.machine(), _cpu())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _cpu() -> str:
    """What this CPU can do; a home directory may be shared by machines of different make."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
            lines = [line for line in stream.read(64 * 1024).splitlines() if line.startswith(("flags", "Features"))]
    except OSError:
        return platform.processor()
    return " ".join(sorted(lines[0].split())) if lines else platform.processor()


def _read(path: Path) -> bytes | None:
    try:
        if not _private(os.lstat(path.parent), stat.S_ISDIR):
            return None
        # Checked and read through one descriptor, so that nothing can be put in its place in between.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with open(descriptor, "rb") as stream:
        if not _private(os.fstat(descriptor), stat.S_ISREG):
            return None
        content = stream.read(MAX_MODULE_BYTES + 1)
    return content if len(content) <= MAX_MODULE_BYTES else None


def _private(info: os.stat_result, kind: Callable[[int], bool]) -> bool:
    return kind(info.st_mode) and info.st_uid == os.geteuid() and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _write(path: Path, content: bytes) -> None:
    import tempfile

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _private(os.lstat(path.parent), stat.S_ISDIR):
        return
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # 0600 from the start
    try:
        with open(descriptor, "wb") as stream:
            stream.write(content)
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise
