"""The members of a bundle: out of a tar.gz, out of a directory, and back into a tar.gz.

Not concerned with what the members say; everything here is untrusted until its signature was verified.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from guardrail.errors import ConfigError

MAX_ARCHIVE_BYTES: Final = 16 * 1024 * 1024
"""Largest bundle as it is fetched, in bytes."""

MAX_MEMBER_BYTES: Final = 16 * 1024 * 1024
"""Largest member of a bundle, in bytes; OPA's own limit is a gigabyte."""

MAX_UNPACKED_BYTES: Final = 64 * 1024 * 1024
"""Largest bundle when it is unpacked, headers and padding included, in bytes."""

MAX_MEMBERS: Final = 4096
"""Most members of a bundle."""

MAX_NAME_CHARS: Final = 512
"""Longest name of a member, in characters."""

_CHUNK: Final = 256 * 1024


def unpack(archive: bytes, where: str) -> dict[str, bytes]:
    """Take a bundle apart, in memory: nothing is written anywhere, so no name can lead out of a directory.

    Args:
        archive: the tar.gz.
        where: its address, for messages.

    Returns:
        The members by name, without a leading slash.

    Raises:
        ConfigError: if it is truncated, no tar.gz, over a limit, or has members that are no plain files, that come
            twice, or whose names climb.
    """
    text = _inflate(archive, where)
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(text), mode="r:") as tar:
            for info in tar:
                if info.isdir():
                    continue
                if not info.isreg():
                    raise ConfigError(f"the policy bundle `{where}` has `{info.name[:80]}`, which is no plain file")
                name = member_name(info.name, where)
                if name in members:
                    # The signature lists names: of two members with one name only one would have been verified.
                    raise ConfigError(f"the policy bundle `{where}` has two members `{name}`: build it again")
                stream = tar.extractfile(info)
                members[name] = b"" if stream is None else stream.read()
                _check_sizes(members, name, where)
    except (tarfile.TarError, EOFError, ValueError, OSError) as error:
        raise ConfigError(f"the policy bundle `{where}` is no tar archive, or a truncated one: {error}") from None
    if not members:
        raise ConfigError(f"the policy bundle `{where}` is empty: build it again")
    return members


def read_directory(directory: Path) -> dict[str, bytes]:
    """The members of a bundle that lies unpacked in a directory.

    Args:
        directory: its root.

    Raises:
        ConfigError: if it cannot be read or is over a limit.
    """
    members: dict[str, bytes] = {}
    where = str(directory)
    try:
        for path in _files(directory):
            name = member_name(path.relative_to(directory).as_posix(), where)
            with path.open("rb") as stream:
                members[name] = stream.read(MAX_MEMBER_BYTES + 1)
            _check_sizes(members, name, where)
    except OSError as error:
        raise ConfigError(
            f"cannot read the policy bundle `{where}`: {(error.strerror or str(error)).lower()};"
            " name a bundle in `policy.bundle`"
        ) from None
    return members


def pack(members: Mapping[str, bytes]) -> bytes:
    """A tar.gz of these members: the same members give the same bytes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in sorted(members.items()):
            info = tarfile.TarInfo(f"/{name}")  # OPA writes the slash, and its own reader takes both
            info.size, info.mode, info.mtime = len(content), 0o600, 0
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=0)


def member_name(name: str, where: str) -> str:
    """The name as signatures have it: relative to the root, without a leading slash or dot.

    Raises:
        ConfigError: if it climbs, hides characters or is too long.
    """
    clean = name.removeprefix("./").lstrip("/")
    steps = clean.split("/")
    if not clean or len(clean) > MAX_NAME_CHARS or not clean.isprintable() or {"", ".", ".."} & set(steps):
        raise ConfigError(f"the policy bundle `{where}` has a member with the name `{name[:80]!r}`: rename it")
    return clean


def _inflate(archive: bytes, where: str) -> bytes:
    if len(archive) > MAX_ARCHIVE_BYTES:
        raise ConfigError(f"the policy bundle `{where}` is larger than {MAX_ARCHIVE_BYTES} bytes")
    # By hand, because a small archive can unpack to any size and the standard reader would not stop.
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    out = bytearray()
    pending = archive
    try:
        while pending and not inflater.eof:
            out += inflater.decompress(pending, _CHUNK)
            pending = inflater.unconsumed_tail
            if len(out) > MAX_UNPACKED_BYTES:
                raise ConfigError(f"the policy bundle `{where}` unpacks to more than {MAX_UNPACKED_BYTES} bytes")
    except zlib.error as error:
        raise ConfigError(
            f"the policy bundle `{where}` is no gzip archive: {error}; make one with `guardrail policy build --bundle`"
        ) from None
    if not inflater.eof:
        raise ConfigError(f"the policy bundle `{where}` is truncated: fetch or build it again")
    if inflater.unused_data:
        raise ConfigError(f"the policy bundle `{where}` goes on behind its end: fetch or build it again")
    return bytes(out)


def _files(directory: Path) -> Iterator[Path]:
    if not directory.is_dir():
        raise NotADirectoryError(20, "there is no such directory", str(directory))
    count = 0
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file():
                count += 1
                if count > MAX_MEMBERS:
                    raise ConfigError(f"the policy bundle `{directory}` has more than {MAX_MEMBERS} files")
                yield path


def _check_sizes(members: Mapping[str, bytes], name: str, where: str) -> None:
    if len(members[name]) > MAX_MEMBER_BYTES:
        raise ConfigError(f"the policy bundle `{where}` has a `{name}` larger than {MAX_MEMBER_BYTES} bytes")
    if len(members) > MAX_MEMBERS:
        raise ConfigError(f"the policy bundle `{where}` has more than {MAX_MEMBERS} members")
