"""A book written down, so that opening need not read the whole trail: disposable, and believed only if sealed.

Whoever could write a file beside the trail could otherwise add a grant to it. The seal is a MAC under a key that is
made from the trail's own: whoever has that can write another trail anyway.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path
from typing import Final

import msgspec

from guardrail.audit._files import replace
from guardrail.review._book import Kept

VERSION: Final = b"guardrail.review.snapshot/2\n"
"""First line of the file; another version is not read, and everything is folded anew."""

MAX_SNAPSHOT_BYTES: Final = 256 * 1024 * 1024
"""Largest snapshot that is read, in bytes."""

_MAC_BYTES: Final = 32
_decoder: Final = msgspec.json.Decoder(Kept)


class Snapshot:
    """The file.

    Args:
        path: where it lies.
        key: the file with the trail's key, which seals it.
    """

    def __init__(self, path: Path, key: Path) -> None:
        self._path = path
        self._key = hashlib.sha256(VERSION + key.read_bytes()).digest()

    def load(self) -> Kept | None:
        """What was written down, or None if there is nothing, or nothing that this trail's guard has written."""
        try:
            with self._path.open("rb") as stream:
                data = stream.read(MAX_SNAPSHOT_BYTES + 1)
        except OSError:
            return None
        head, body = data[: len(VERSION) + _MAC_BYTES], data[len(VERSION) + _MAC_BYTES :]
        if len(data) > MAX_SNAPSHOT_BYTES or head[: len(VERSION)] != VERSION:
            return None
        if not hmac.compare_digest(head[len(VERSION) :], self._seal(body)):
            return None
        try:
            return _decoder.decode(body)
        except msgspec.DecodeError:
            return None

    def save(self, kept: Kept) -> None:
        """Write it down; a failure costs only time at the next opening."""
        body = msgspec.json.encode(kept)
        try:
            replace(self._path, VERSION + self._seal(body) + body)
        except OSError:
            self.forget()

    def forget(self) -> None:
        """Delete it."""
        try:
            os.unlink(self._path)
        except OSError:
            pass  # an old one is sealed as well, and what came after it is in the ledger

    def _seal(self, body: bytes) -> bytes:
        return hmac.digest(self._key, VERSION + body, "sha256")
