"""What became of the files that have to go: pins, and what they show after a rename, a link, a decoy or a restart.

A pin is an `O_PATH` descriptor: it opens no content to reading, and still knows its inode under whatever name.
Not concerned with files that nobody knew of: `_sweep` looks for those.

An inode that was not pinned, because there are more files than descriptors or because the guard was restarted, is
asked for by its handle (`_handles`).

Blind spots: a copy of which no inode was known, memory, and other hosts. Where the filesystem has no handles, or the
guard may not ask for them, an inode that is not pinned is known by number and time of birth only: that its name is gone
does not tell that it was not given another, so nothing is proven of it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import FileIO
from typing import BinaryIO, Final

import msgspec

from guardrail.assets import Asset, Inventory, birth_ns
from guardrail.obligations._events import Finding, Looked, Pinned
from guardrail.obligations.world._handles import Unanswered, handle_of, reopened

MAX_PINS: Final = 256
"""Most inodes of one asset that are pinned, hence most descriptors one obligation holds open: its largest files."""

MAX_FILES: Final = 4096
"""Most files of one asset that are noted: its largest."""

MAX_FINDINGS: Final = 64
"""Most findings of one look; the rest are counted."""

HASHED_BYTES: Final = 64 * 1024 * 1024
"""Most bytes that are read for digests when a duty is taken up, in bytes; more takes longer than a call may wait."""

CHUNK_BYTES: Final = 4 * 1024 * 1024
"""What is read at once, in bytes."""


def snapshot(
    inventory: Inventory, asset_id: str, digests: Mapping[str, tuple[str, str]]
) -> tuple[tuple[Pinned, ...], int]:
    """The files of an asset as they are now, the largest first, and how many there are besides.

    Args:
        inventory: where the asset lies.
        asset_id: which.
        digests: path -> SHA-256 and BLAKE3, where they are known; small assets are read for theirs.
    """
    found: list[tuple[int, Pinned]] = []
    for path in inventory.files_of(asset_id):
        try:
            status = os.lstat(path)
            found.append((status.st_blocks, _pinned(path, status, *digests.get(path, ("", "")))))
        except OSError:
            continue  # it went while it was looked at, so there is nothing of it to go
    # What is known comes first, then what takes the most room: a file that is large and empty crowds nothing out.
    found.sort(key=lambda one: (not one[1].sha256, -one[0], one[1].path))
    kept, more = [file for _, file in found[:MAX_FILES]], len(found[MAX_FILES:])
    if sum(file.size for file in kept if not file.sha256) <= HASHED_BYTES:
        kept = [file if file.sha256 else with_digest(file) for file in kept]
    return tuple(kept), more


def _pinned(path: str, status: os.stat_result, sha256: str, blake3: str) -> Pinned:
    born = birth_ns(path)
    return Pinned(
        path=path,
        inode=inode_of(status),
        size=status.st_size,
        links=status.st_nlink,
        mtime_us=status.st_mtime_ns // 1000,
        birth_us=None if born is None else born // 1000,
        sha256=sha256,
        blake3=blake3,
        handle=handle_of(path),
    )


def with_digest(file: Pinned, path: str = "") -> Pinned:
    """The same with the digest of its content, if it is still that file and can be read.

    Args:
        file: which.
        path: where it lies now; where it lay by default.
    """
    try:
        fd = os.open(path or file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return file
    with open(fd, "rb", buffering=0) as stream:
        before = os.fstat(fd)
        if inode_of(before) != file.inode or not stat.S_ISREG(before.st_mode):
            return file
        try:
            return msgspec.structs.replace(file, sha256=digest_of(stream))
        except OSError:
            return file


def digest_of(stream: BinaryIO | FileIO) -> str:
    """SHA-256 of what is left to read, in hexadecimal.

    Raises:
        OSError: if it cannot be read.
    """
    digest = hashlib.sha256()
    while data := stream.read(CHUNK_BYTES):
        digest.update(data)
    return digest.hexdigest()


def inode_of(status: os.stat_result) -> str:
    """Device and inode number as one text: as numbers they do not fit into JSON everywhere."""
    return f"{status.st_dev}:{status.st_ino}"


def is_file(file: Pinned, path: str, status: os.stat_result) -> bool:
    """Whether what lies at a path is that file, and not another one that was given its number.

    Where the filesystem does not say when a file was made, it has to be as it was: what was changed is not known again.
    """
    if inode_of(status) != file.inode:
        return False
    born = birth_ns(path)
    if born is None or file.birth_us is None:
        return (status.st_size, status.st_mtime_ns // 1000) == (file.size, file.mtime_us)
    return born // 1000 == file.birth_us


class Pins:
    """Descriptors that hold inodes, each of one file.

    INVARIANT: they keep the blocks of a deleted file alive, so whoever has seen that it is gone closes them.
    """

    def __init__(self, files: Iterable[Pinned] = ()) -> None:
        self._held: dict[str, int] = {}
        for file in files:
            if len(self._held) >= MAX_PINS:
                return
            self._take(file)

    def _take(self, file: Pinned) -> None:
        try:
            fd = os.open(file.path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        if file.inode not in self._held and is_file(file, file.path, os.fstat(fd)):
            self._held[file.inode] = fd
        else:
            os.close(fd)

    def __len__(self) -> int:
        return len(self._held)

    def of(self, file: Pinned) -> int | None:
        """The descriptor of a file, if it is pinned."""
        return self._held.get(file.inode)

    @property
    def descriptors(self) -> frozenset[int]:
        """Their numbers."""
        return frozenset(self._held.values())

    def close(self) -> None:
        """Let every one of them go."""
        for fd in self._held.values():
            try:
                os.close(fd)
            except OSError:  # closed by somebody else: nothing is left to let go
                continue
        self._held.clear()


def look(asset: Asset, files: Sequence[Pinned], pins: Pins, now_us: int) -> Looked:
    """What the places and the inodes show that are known.

    Args:
        asset: what has to go.
        files: its files, as they were.
        pins: those of them that are held.
        now_us: the time, in microseconds since 1970.
    """
    found: list[Finding] = []
    gone, unlinked = 0, True
    for file in files:
        pin = pins.of(file)
        alive, asked = (pin, True) if pin is not None else _asked(file)
        try:
            here = list(examine(file, alive))
        finally:
            if alive is not None and pin is None:
                os.close(alive)
        # Of one that cannot be asked for, while others are pinned, only a search tells whether it went or was moved.
        gone += not here and (asked or not len(pins))
        unlinked = unlinked and asked
        found.extend(here)
    if found and gone:
        says = f"only in part deleted: {gone} of {len(files)} files are gone"
        found.insert(0, Finding(kind="partial", says=says))
    roots = [root for root in asset.roots if os.path.lexists(root)]
    found[:0] = [Finding(kind="present", says=f"`{root}` is still there", path=root) for root in roots]
    told = tuple(dict.fromkeys(found))
    if told:
        return Looked(result="present", at_us=now_us, evidence=_sentences(told), findings=told[:MAX_FINDINGS])
    evidence = (_absence(asset, files, pins),)
    return Looked(result="absent", at_us=now_us, evidence=evidence, unlinked=unlinked and bool(files))


def _asked(file: Pinned) -> tuple[int | None, bool]:
    """A descriptor of a file that is not pinned, if anything is left of it, and whether that could be told."""
    here = status_at(file.path)
    if here is not None and is_file(file, file.path, here):
        return None, True  # it lies in its place
    try:
        return reopened(file), True
    except Unanswered:
        return None, False


def examine(file: Pinned, fd: int | None) -> Iterator[Finding]:
    """What is left of one file; nothing if it has no name any more.

    Args:
        file: as it was.
        fd: a descriptor that holds it, if there is one.
    """
    here = status_at(file.path)
    ours = here is not None and (inode_of(here) == file.inode if fd is not None else is_file(file, file.path, here))
    if fd is None:
        if here is not None and ours:
            yield from _in_place(file, here)
        elif here is not None:
            yield _decoy(file, here)
        return
    try:
        held, name = os.fstat(fd), os.readlink(f"/proc/self/fd/{fd}")
    except OSError as error:
        yield Finding(kind="unknown", says=f"`{file.path}` cannot be looked at: {error.strerror}", path=file.path)
        return
    if ours:
        yield from _in_place(file, held)
    elif held.st_nlink and name == file.path:
        says = f"`{file.path}` is covered by something that was mounted over it, and is there below"
        yield Finding(kind="decoyed", says=says, path=file.path)
    elif held.st_nlink and not _is_at(name, held):
        says = f"`{file.path}` was unlinked but the file has {held.st_nlink} other names"
        yield Finding(kind="hardlinked", says=says, path=file.path)
    elif held.st_nlink:
        yield Finding(kind="moved", says=f"`{file.path}` was not deleted but moved to `{name}`", path=name)
    if here is not None and not ours:
        yield _decoy(file, here)


def _is_at(name: str, held: os.stat_result) -> bool:
    """Whether the name of a descriptor is one that its file has now: of a deleted or unknown one it is not."""
    there = status_at(name)
    return there is not None and inode_of(there) == inode_of(held)


def _in_place(file: Pinned, status: os.stat_result) -> Iterator[Finding]:
    path = file.path
    if status.st_size < file.size:
        says = f"`{path}` is still there, cut from {file.size} to {status.st_size} bytes"
        yield Finding(kind="truncated", says=says, path=path)
    else:
        yield Finding(kind="present", says=f"`{path}` is still there", path=path)
    if status.st_nlink > file.links:
        says = f"`{path}` has {status.st_nlink} names, and had {file.links} when its deletion was ordered"
        yield Finding(kind="hardlinked", says=says, path=path)
    if status.st_mtime_ns // 1000 < file.mtime_us:
        says = f"`{path}` was given an earlier date than it had when its deletion was ordered"
        yield Finding(kind="retimestamped", says=says, path=path)


def _decoy(file: Pinned, status: os.stat_result) -> Finding:
    what = "a link" if stat.S_ISLNK(status.st_mode) else "another file"
    return Finding(kind="decoyed", says=f"{what} stands where `{file.path}` was", path=file.path)


def status_at(path: str) -> os.stat_result | None:
    """What is at a path, a link itself; None if nothing is, or it cannot be told."""
    try:
        return os.lstat(path)
    except OSError:
        return None


def _sentences(findings: Sequence[Finding]) -> tuple[str, ...]:
    # Longer ones are cut where they are recorded.
    told = tuple(dict.fromkeys(one.says for one in findings))
    more = len(told) - MAX_FINDINGS
    return told if more <= 0 else (*told[:MAX_FINDINGS], f"and {more} more")


def _absence(asset: Asset, files: Sequence[Pinned], pins: Pins) -> str:
    looked = f"{len(asset.roots)} paths absent, {len(pins)} pinned inodes without a name"
    if not len(pins):
        looked = f"{len(asset.roots)} paths absent; no inode was pinned, so only names were looked at"
    elif len(pins) < len(files):
        looked += "; not every file could be pinned"
    return looked
