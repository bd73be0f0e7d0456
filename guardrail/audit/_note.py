"""Checkpoints as the writer makes them: C2SP tlog-checkpoint texts in signed notes, one Ed25519 line for each key.

Sources: c2sp.org/signed-note, c2sp.org/tlog-checkpoint.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from guardrail.audit._files import FULL, replace, sync_directory, write_all
from guardrail.audit._tree import HASH_BYTES, Frontier
from guardrail.errors import TrailError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_FILE: Final = "trail.key"
VKEY_FILE: Final = "trail.vkey"
CHECKPOINT_FILE: Final = "checkpoints"

_ED25519: Final = b"\x01"
_TEXT_LINES: Final = 3
_DASH: Final = "— ".encode()
_PEM_HEAD: Final = b"-----BEGIN"

MAX_KEYS: Final = 2
"""Most keys that sign at one time: the one in use, and the one that is to follow it."""

_TAIL_BYTES: Final = 8192
"""How much of the end of `checkpoints` is read to find the last note, in bytes; a note has about 300."""


class Checkpoint(NamedTuple):
    """The tree's size and root at one moment."""

    size: int
    root: bytes


class SigningKey:
    """One Ed25519 key of a ledger.

    Args:
        origin: name of the ledger; the name of the key too.
        key: Ed25519 private key.
    """

    def __init__(self, origin: str, key: Ed25519PrivateKey) -> None:
        self.private = key
        self._origin = origin
        public = key.public_key().public_bytes_raw()
        self._key_id = hashlib.sha256(origin.encode() + b"\n" + _ED25519 + public).digest()[:4]
        self.vkey = f"{origin}+{self._key_id.hex()}+{_base64(_ED25519 + public)}"

    def line(self, text: str) -> str:
        """The signature line under a note's text."""
        return f"— {self._origin} {_base64(self._key_id + self.private.sign(text.encode()))}\n"


class Signer:
    """The ledger's own keys: one, or two while one is being replaced; each signs every note.

    Args:
        origin: name of the ledger.
        keys: its keys, the older first.
    """

    def __init__(self, origin: str, keys: Sequence[SigningKey]) -> None:
        self.origin = origin
        self.keys = tuple(keys)
        text = self._text(Checkpoint(0, bytes(HASH_BYTES)))
        self.note_bytes = len(f"{text}\n{self.keys[0].line(text)}".encode())
        """Length of the shortest note, in bytes."""

    def _text(self, checkpoint: Checkpoint) -> str:
        return f"{self.origin}\n{checkpoint.size}\n{_base64(checkpoint.root)}\n"

    def sign(self, checkpoint: Checkpoint) -> str:
        """A signed note over the tree as it was then."""
        text = self._text(checkpoint)
        return f"{text}\n{''.join(key.line(text) for key in self.keys)}"

    def read(self, note: str) -> Checkpoint | None:
        """What a note says, or None if it is not, byte for byte, one that one of these keys has signed.

        Lines of other keys of the ledger may stand beside: one that was retired signed along until then.
        """
        text, _, signed = note.partition("\n\n")
        lines = text.split("\n")
        if len(lines) != _TEXT_LINES or not lines[1].isdigit():
            return None
        try:
            checkpoint = Checkpoint(int(lines[1]), base64.b64decode(lines[2], validate=True))
        except ValueError:
            return None
        # Ed25519 is deterministic (RFC 8032), so signing again is the strictest check there is.
        if len(checkpoint.root) != HASH_BYTES or f"{text}\n" != self._text(checkpoint):
            return None
        ours = [key.line(f"{text}\n") for key in self.keys]
        given = signed.splitlines(keepends=True)
        named = all(line.startswith(f"— {self.origin} ") for line in given)
        return checkpoint if named and any(line in ours for line in given) else None


def open_signer(directory: Path, origin: str, *, fresh: bool) -> Signer:
    """The keys of a trail; one is made if the trail is new.

    Args:
        directory: the trail.
        origin: name of the ledger.
        fresh: nothing has been recorded yet.

    Raises:
        TrailError: if the key is missing, readable by everybody, no Ed25519 key, or not the one of this trail.
        OSError: if a file cannot be read or written.
    """
    private, public = directory / KEY_FILE, directory / VKEY_FILE
    if not private.exists():
        if not fresh:
            raise TrailError(f"the trail `{directory}` has records but no `{KEY_FILE}`: put its key back")
        write_keys(private, [new_private_key()])
    signer = Signer(origin, [SigningKey(origin, key) for key in read_keys(private)])
    if fresh:
        replace(public, signer.keys[0].vkey.encode() + b"\n", 0o644)
        return signer
    known = public.read_bytes().decode("utf-8", "replace").split("\n")
    # The newer of two keys is written there last, so it may be missing after a crash; see `rotation`.
    if signer.keys[0].vkey not in known or known[-1] != "":
        raise TrailError(
            f"`{public}` names another key or another ledger than `{origin}`: "
            "put `trail.origin` and the key back, or begin a new trail"
        )
    return signer


def new_private_key() -> Ed25519PrivateKey:
    """A fresh key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate()


def write_keys(path: Path, keys: Sequence[Ed25519PrivateKey]) -> None:
    """Put private keys into a file, all of them or none, readable by its owner only.

    Raises:
        OSError: if it cannot be written.
    """
    from cryptography.hazmat.primitives import serialization

    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    replace(path, b"".join(key.private_bytes(*form) for key in keys), 0o600)


def read_keys(path: Path) -> list[Ed25519PrivateKey]:
    """The private keys in a file, at most two.

    Raises:
        TrailError: if everybody may read it, or it holds anything else.
        OSError: if it cannot be read.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    # Group access is let pass: cluster volumes add it on their own. Everybody is never right.
    if os.stat(path).st_mode & stat.S_IRWXO:
        raise TrailError(f"`{path}` can be read by everybody: `chmod 600` it")
    head, *blocks = path.read_bytes().split(_PEM_HEAD)
    keys: list[Ed25519PrivateKey] = []
    for block in blocks or [head]:
        try:
            key = load_pem_private_key(_PEM_HEAD + block, None)
        except (ValueError, TypeError):
            raise TrailError(f"`{path}` is not a private key in PEM: put the trail's key back") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise TrailError(f"`{path}` is not an Ed25519 key: put the trail's key back")
        keys.append(key)
    if len(keys) > MAX_KEYS:
        raise TrailError(f"`{path}` holds {len(keys)} keys, and a trail has at most {MAX_KEYS}: put its own back")
    return keys


class CheckpointFile:
    """The file `checkpoints`: signed notes, one after the other.

    Args:
        directory: the trail.
        signer: its key.

    Raises:
        TrailError: if the last whole note was not signed by this key.
        OSError: if it cannot be read or cut.
    """

    def __init__(self, directory: Path, signer: Signer) -> None:
        self._path = directory / CHECKPOINT_FILE
        self._signer = signer
        new = not self._path.exists()
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if new:
                sync_directory(directory)
            self._end = os.fstat(self._fd).st_size
            self.last_note = ""
            self.last = self._find_last()
        except BaseException:
            os.close(self._fd)
            raise

    def _find_last(self) -> Checkpoint | None:
        start = max(0, self._end - _TAIL_BYTES)
        data = os.pread(self._fd, self._end - start, start)
        whole = _cut_torn(data)
        if start and not whole:
            raise TrailError(f"the end of `{self._path}` holds no checkpoint: run `guardrail audit verify`")
        rest = data[len(whole) :]
        if len(rest) >= self._signer.note_bytes and b"\0" not in rest:
            raise TrailError(f"the end of `{self._path}` is not a checkpoint of this trail: it was changed")
        if rest:
            # A crash while a note was written; it had not been counted on by anybody.
            self._end = start + len(whole)
            os.ftruncate(self._fd, self._end)
            os.fsync(self._fd)
        if not whole:
            return None
        note = _last_note(whole)
        try:
            last = self._signer.read(note.decode())
        except UnicodeDecodeError:
            last = None
        if last is None:
            raise TrailError(f"the last note in `{self._path}` is not a checkpoint of this trail: it was changed")
        self.last_note = note.decode()
        return last

    def append(self, tree: Frontier) -> bool:
        """Sign the tree as it is and keep the note, durably.

        Returns:
            False if there is no room for it; the file is as before.

        Raises:
            OSError: if it cannot be written for another reason.
        """
        checkpoint = Checkpoint(tree.size, tree.root())
        note = self._signer.sign(checkpoint).encode()
        try:
            write_all(self._fd, note, self._end)
            os.fdatasync(self._fd)
        except OSError as error:
            if error.errno not in FULL:
                raise
            os.ftruncate(self._fd, self._end)
            return False
        self._end += len(note)
        self.last, self.last_note = checkpoint, note.decode()
        return True

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _cut_torn(data: bytes) -> bytes:
    """What is left without an unfinished note at the end: one without its last newline, or with holes of zeros."""
    hole = data.find(b"\0")
    if hole >= 0:
        data = data[:hole]
    # The last newline that ends a signature line: what stands behind it is no whole note yet.
    end = data.rfind(b"\n")
    while end >= 0:
        start = data.rfind(b"\n", 0, end) + 1
        if data.startswith(_DASH, start) and start:
            return data[: end + 1]
        end = start - 1 if start else -1
    return b""


def _last_note(data: bytes) -> bytes:
    """The last of whole notes: three lines, an empty one, and the signature lines."""
    lines = data.splitlines(keepends=True)
    signed = len(lines)
    while signed and lines[signed - 1].startswith(_DASH):
        signed -= 1
    return b"".join(lines[max(0, signed - _TEXT_LINES - 1) :])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
