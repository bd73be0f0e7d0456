"""What was accepted last, so that nothing older is accepted; and a copy of it, for a start without its source.

Not concerned with signatures: a bundle that is kept here is verified again like any other.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from guardrail.errors import ConfigError
from guardrail.policy.bundles._archive import MAX_ARCHIVE_BYTES, pack, unpack
from guardrail.policy.bundles._read import Received

MAX_STATE_BYTES: Final = 1024 * 1024
"""Largest record of accepted bundles, in bytes."""

_VERSION: Final = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:\+|$)")


class Accepted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bundle that was accepted last from one source.

    Args:
        revision: its revision.
        digest: SHA-256 over its members.
        issued: when it was made, in seconds since 1970, if it said so.
        at: when it was accepted, in seconds since 1970.
    """

    revision: str
    digest: str
    issued: int | None
    at: int


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    v: int
    sources: dict[str, Accepted]


class BundleState:
    """The record of accepted bundles in one directory.

    Args:
        directory: beside the trail; made when it is first written to.
        writable: whether to write to it; a guard that keeps no trail only reads.
    """

    def __init__(self, directory: Path, *, writable: bool) -> None:
        self._directory = directory
        self._writable = writable

    def last(self, source: str) -> Accepted | None:
        """What was accepted last from a source.

        Raises:
            ConfigError: if the record cannot be read: without it an older bundle could not be told.
        """
        return self._load().get(source)

    def check(self, source: str, received: Received) -> None:
        """Make sure that a bundle is not older than the one accepted last.

        Raises:
            ConfigError: if it is.
        """
        last = self.last(source)
        if last is None or last.digest == received.digest:
            return
        revision = received.bundle.manifest.revision
        if last.issued is not None and (received.issued is None or received.issued < last.issued):
            when = "does not say when it was issued" if received.issued is None else f"was issued at {received.issued}"
            raise _older(source, revision, when, f"`{last.revision}`, issued at {last.issued}", last)
        was, now = _version(last.revision), _version(revision)
        if was is not None and now is not None and now < was:
            raise _older(source, revision, "has a lower version", f"`{last.revision}`", last)

    def accept(self, source: str, received: Received, members: Mapping[str, bytes]) -> None:
        """Remember that a bundle is in force, and keep a copy of it.

        Raises:
            ConfigError: if another process has accepted a newer one meanwhile, or it cannot be written down.
        """
        if not self._writable:
            return
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                self.check(source, received)
                known = self._load()
                last = known.get(source)
                if last is not None and last.digest == received.digest and self._copy(source).is_file():
                    return
                known[source] = Accepted(
                    revision=received.bundle.manifest.revision,
                    digest=received.digest,
                    issued=received.issued,
                    at=int(time.time()),
                )
                # The copy first: a record without its copy costs a start without the source, never more.
                _replace(self._copy(source), pack(members))
                _replace(self._directory / "accepted.json", msgspec.json.encode(_File(v=1, sources=known)))
        except OSError as error:
            raise ConfigError(
                f"cannot write down which policy bundle was accepted, in `{self._directory}`:"
                f" {(error.strerror or str(error)).lower()}: make it writable"
            ) from None

    def kept(self, source: str) -> dict[str, bytes] | None:
        """The members of the bundle accepted last, if there is a copy.

        Raises:
            ConfigError: if the copy cannot be unpacked.
        """
        try:
            with self._copy(source).open("rb") as stream:
                archive = stream.read(MAX_ARCHIVE_BYTES + 1)
        except OSError:
            return None
        return unpack(archive, str(self._copy(source)))

    def _copy(self, source: str) -> Path:
        return self._directory / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.tar.gz"

    def _load(self) -> dict[str, Accepted]:
        path = self._directory / "accepted.json"
        try:
            with path.open("rb") as stream:
                text = stream.read(MAX_STATE_BYTES + 1)
            found = msgspec.json.decode(text, type=_File)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(
                f"the record of accepted policy bundles `{path}` cannot be read: {error};"
                " find out who changed it, and remove it only if any bundle of this source may be accepted"
            ) from None
        if found.v != 1:
            raise ConfigError(f"the record of accepted policy bundles `{path}` is of another version of this program")
        return dict(found.sources)

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _version(revision: str) -> tuple[int, ...] | None:
    """The version in a revision such as `1.2.0+0123456789ab`; other forms have no order of their own."""
    found = _VERSION.match(revision)
    return None if found is None else tuple(int(part) for part in found.groups())


def _older(source: str, revision: str, what: str, than: str, last: Accepted) -> ConfigError:
    return ConfigError(
        f"the policy bundle `{revision}` from `{source}` {what}, and {than} was accepted before (digest"
        f" {last.digest[:12]}): an older policy is not taken up; to go back, issue the old rules under a new version"
    )


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)
    os.replace(fresh, path)
