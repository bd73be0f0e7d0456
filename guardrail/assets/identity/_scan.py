"""The models below a directory, found by structure, each as one proposal for the inventory.

Not concerned with which of them are worth guarding: a person says that.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

import msgspec

from guardrail.assets.identity._formats import WEIGHTS, Format, format_of, format_of_directory

MIN_ANYTHING_BYTES: Final = 1024 * 1024
"""Smallest file that is proposed if its format may hold anything, such as a pickle, in bytes."""

MAX_ENTRIES: Final = 10_000_000
"""Most directory entries that one scan looks at."""

MAX_MANIFEST_BYTES: Final = 1024 * 1024
"""Largest manifest of a store that is read, in bytes."""

MAX_GRAPH_BYTES: Final = 256 * 1024 * 1024
"""Largest ONNX model that is looked through for files beside it, in bytes: with its tensors elsewhere it is small."""

_WHOLE: Final = frozenset(("sharded", "adapter", "checkpoint", "saved-model", "transformers", "coreml"))
_BESIDE_TOKENIZERS: Final = (".gguf", ".safetensors", ".bin", ".pt", ".pth", ".onnx", ".h5")
"""Endings of files that are weights: what lies beside them is of that model."""

_DEEP: Final = frozenset(("saved-model", "coreml"))
_STORES: Final = frozenset(("hf-cache", "ollama"))
_ANYTHING: Final = frozenset(("pickle", "npy", "npz", "hdf5"))
_OLLAMA_MODEL: Final = "application/vnd.ollama.image.model"

Seen = Callable[[int, str], None]
"""Told now and then how many entries were looked at, and where."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """Something that looks like a model.

    Args:
        name: a short one, from its place.
        asset_class: what sort of asset it would be.
        kind: its format; a `tokenizer` by itself is no weights, and mostly not worth guarding: models share them.
        paths: where it lies, absolute; with the places that other names of the same bytes lead to.
        size: in bytes, of all its files.
    """

    name: str
    asset_class: Literal["weights", "checkpoint", "adapter"]
    kind: Format
    paths: tuple[str, ...]
    size: int


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan saw.

    Args:
        proposals: in order of their paths.
        entries: how many directory entries it looked at.
        unreadable: what it could not look into, each with the reason.
    """

    proposals: tuple[Proposal, ...]
    entries: int
    unreadable: tuple[str, ...]


def scan(root: str, seen: Seen | None = None) -> Scanned:
    """Look for models below a directory, or at one file.

    Args:
        root: an absolute path.
        seen: told about the progress.

    Raises:
        OSError: if there is nothing there.
    """
    walk = _Walk(seen)
    status = os.lstat(root)
    if stat.S_ISDIR(status.st_mode):
        walk.directory(root)
    else:
        walk.file(root, status)
    proposals = tuple(sorted(_once(sorted(walk.found, key=lambda one: one.paths)), key=lambda one: one.paths))
    return Scanned(proposals=proposals, entries=walk.entries, unreadable=tuple(walk.unreadable))


def _once(found: list[Proposal]) -> Iterator[Proposal]:
    """The same, each place once: bytes in a store belong to the first model that names them, and to nobody besides."""
    taken: set[str] = set()
    for stored in (True, False):
        for one in found:
            if (one.kind in _STORES) is stored:
                paths = tuple(path for path in one.paths if path not in taken)
                taken.update(paths)
                if paths:
                    yield msgspec.structs.replace(one, paths=paths)


class _Walk:
    def __init__(self, seen: Seen | None) -> None:
        self.found: list[Proposal] = []
        self.entries = 0
        self.unreadable: list[str] = []
        self._seen = seen

    def directory(self, root: str) -> None:
        """Everything below a directory; links are not gone through."""
        waiting = [(root, False)]
        while waiting:
            path, spoken_for = waiting.pop()
            try:
                with os.scandir(path) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                self.unreadable.append(f"{path}: {error.strerror}")
                continue
            self._count(len(entries), path)
            if self.entries > MAX_ENTRIES:
                self.unreadable.append(f"{path}: not looked at, there are more than {MAX_ENTRIES} entries")
                return
            waiting.extend(self._one(path, entries, spoken_for))

    def _count(self, more: int, path: str) -> None:
        self.entries += more
        if self._seen is not None:
            self._seen(self.entries, path)

    def _one(self, path: str, entries: list[os.DirEntry[str]], spoken_for: bool) -> Iterator[tuple[str, bool]]:
        """Look at one directory; gives those below it that are to be looked at, and whether they are of this one."""
        kind = None if spoken_for else format_of_directory([entry.name for entry in entries])
        if kind == "ollama":
            self._ollama(path)
            return
        if kind == "hf-cache":
            self._hub(path)
            return
        whole = kind in _WHOLE
        if kind is not None and whole:
            size = _size_below(path) if kind in _DEEP else sum(_size(entry) for entry in entries)
            self._propose(path, kind, (path,), size)
        elif kind == "tokenizer" and not any(entry.name.endswith(_BESIDE_TOKENIZERS) for entry in entries):
            self._propose(path, kind, (path,), sum(_size(entry) for entry in entries))
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield entry.path, spoken_for or kind in _DEEP
                elif not whole and not spoken_for and entry.is_file(follow_symlinks=False):
                    self.file(entry.path, entry.stat(follow_symlinks=False))
            except OSError as error:
                self.unreadable.append(f"{entry.path}: {error.strerror}")

    def file(self, path: str, status: os.stat_result) -> None:
        """One file by itself."""
        if not stat.S_ISREG(status.st_mode) or status.st_size < 16:
            return
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self.unreadable.append(f"{path}: {error.strerror}")
            return
        try:
            kind = format_of(fd, status.st_size)
        except OSError as error:
            self.unreadable.append(f"{path}: {error.strerror}")
            return
        finally:
            os.close(fd)
        if kind is None or (kind not in WEIGHTS and kind not in _ANYTHING):
            return
        if kind in _ANYTHING and status.st_size < MIN_ANYTHING_BYTES:
            return
        beside = tuple(_beside(path, status.st_size)) if kind == "onnx" else ()
        self._propose(path, kind, (path, *beside), status.st_size + sum(map(_size_at, beside)))

    def _propose(self, path: str, kind: Format, paths: tuple[str, ...], size: int, name: str = "") -> None:
        sort: Literal["weights", "checkpoint", "adapter"] = "weights"
        if kind in ("adapter", "checkpoint"):
            sort = kind
        self.found.append(
            Proposal(
                name=name or _name(path), asset_class=sort, kind=kind, paths=tuple(dict.fromkeys(paths)), size=size
            )
        )

    # -- stores in which names and bytes lie apart

    def _hub(self, path: str) -> None:
        """A repository in the cache of Hugging Face: its blobs may be links into a store that repositories share."""
        folder = os.path.basename(path)
        name = folder.removeprefix("models--").replace("--", "/")
        blobs: list[str] = []
        size = 0
        for entry in _listed(os.path.join(path, "blobs")):
            real = os.path.realpath(entry.path)
            if not real.startswith(f"{path}/"):
                blobs.append(real)
            size += _size_at(real)
        self._count(len(blobs), path)
        if folder.startswith("models--"):
            self._propose(path, "hf-cache", (path, *sorted(blobs)), size, name)

    def _ollama(self, path: str) -> None:
        """A store of Ollama: each model is a manifest that names its blobs."""
        for manifests in ("manifests", "manifests-v2"):
            top = os.path.join(path, manifests)
            for folder, _, files in os.walk(top):
                for file in files:
                    self._ollama_model(path, top, os.path.join(folder, file))

    def _ollama_model(self, store: str, top: str, manifest: str) -> None:
        try:
            with open(manifest, "rb") as file:
                layers = _manifest.decode(file.read(MAX_MANIFEST_BYTES)).layers
        except (OSError, msgspec.DecodeError) as error:
            self.unreadable.append(f"{manifest}: {error}")
            return
        self._count(1, manifest)
        paths = [manifest]
        size = 0
        for layer in layers:
            digest = str(layer.get("digest", ""))
            blob = os.path.join(store, "blobs", digest.replace(":", "-"))
            if layer.get("mediaType") == _OLLAMA_MODEL and "/" not in digest:
                paths.append(blob)
                size += _size_at(blob)
        if len(paths) > 1:
            name = os.path.relpath(manifest, top).rpartition("library/")[2]
            self._propose(manifest, "ollama", tuple(paths), size, name.replace("/", ":"))


def _beside(path: str, size: int) -> Iterator[str]:
    """The files beside an ONNX model that its tensors lie in, as its entries named `location` say."""
    if size > MAX_GRAPH_BYTES:
        return
    folder = os.path.dirname(path)
    with open(path, "rb") as file:
        data = file.read(MAX_GRAPH_BYTES)
    names = {data[found.end() : found.end() + found[1][0]] for found in _LOCATION.finditer(data)}
    for name in sorted(names):
        # Below the model, as the format says; what is not there is no file of it, and no link is gone through.
        other = os.path.normpath(os.path.join(folder, os.fsdecode(name)))
        if other.startswith(f"{folder}/") and b"\0" not in name and os.path.isfile(other) and not os.path.islink(other):
            yield other


_LOCATION: Final = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])", re.DOTALL)


class _Manifest(msgspec.Struct):
    layers: list[dict[str, Any]] = []


_manifest: Final = msgspec.json.Decoder(_Manifest)


def _listed(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as listing:
            return sorted(listing, key=lambda entry: entry.name)
    except OSError:
        return []


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size if entry.is_file(follow_symlinks=False) else 0
    except OSError:
        return 0


def _size_below(path: str) -> int:
    return sum(_size_at(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


def _size_at(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _name(path: str) -> str:
    parent, _, name = path.rstrip("/").rpartition("/")
    stem = name.partition(".")[0] or name
    return stem if stem not in ("model", "pytorch_model", "weights", "consolidated") else os.path.basename(parent)
