"""Signed notes as a trail must have them, written down a second time: the verifier's own reading.

INVARIANT: nothing here is imported from the writer, so that a mistake made there is not repeated here.
Needs the standard library and `cryptography`.

Sources: c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

LOG_KEY: Final = 1
"""Type of a key that signs notes with Ed25519, in C2SP signed-note."""

WITNESS_KEY: Final = 4
"""Type of a key that cosigns with Ed25519 and a time, in C2SP tlog-cosignature."""

_MAX_LINES: Final = 16
"""Most signature lines of one note."""
_DASH: Final = "— "


class Line(NamedTuple):
    """One signature line of a note, its signature not yet checked."""

    name: str
    key_id: bytes
    signature: bytes


class Note(NamedTuple):
    """One signed note, its text parsed."""

    origin: str
    size: int
    root: bytes
    text: bytes
    lines: tuple[Line, ...]


class Key(NamedTuple):
    """A verifier key: whose it is, and how to check with it.

    `check` takes a signature and a text; that of a witness takes its time from the signature.
    """

    name: str
    key_id: bytes
    check: Callable[[bytes, bytes], bool]
    vkey: str = ""


def read_key(vkey: str, kind: int = LOG_KEY) -> Key:
    """A C2SP verifier key, `name+hash+base64(type and key)`.

    Args:
        vkey: the text.
        kind: `LOG_KEY` or `WITNESS_KEY`.

    Raises:
        ValueError: if it is not one, not of that kind, or its hash does not fit.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    parts = vkey.split("+", 2)
    if len(parts) != 3 or not parts[0]:
        raise ValueError("is not of the form `name+hash+key`")
    name, given, material = parts[0], parts[1], _unbase64(parts[2])
    if len(material) != 33 or material[0] != kind:
        raise ValueError("is not an Ed25519 key" if kind == LOG_KEY else "is not the Ed25519 key of a witness")
    key_id = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
    if key_id.hex() != given:
        raise ValueError("does not fit its own hash")
    public = Ed25519PublicKey.from_public_bytes(material[1:])

    def check(signature: bytes, text: bytes) -> bool:
        if kind == WITNESS_KEY:
            signature, text = signature[8:], b"cosignature/v1\ntime %d\n%s" % (cosigned_at(signature), text)
        try:
            public.verify(signature, text)
        except InvalidSignature:
            return False
        return True

    return Key(name, key_id, check, vkey)


def cosigned_at(signature: bytes) -> int:
    """When a witness says that it signed, in seconds since the epoch."""
    return int.from_bytes(signature[:8], "big")


def read_note(data: bytes, *, cosigned: bool = False) -> Note:
    """One note as the trail writes them: a text of three lines, an empty line, signature lines.

    Args:
        data: the note.
        cosigned: lines of witnesses may stand below those of the ledger.

    Raises:
        ValueError: if it is anything else, down to the last byte.
    """
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    if not 6 <= len(lines) <= 5 + _MAX_LINES or lines[3] or lines[-1]:
        raise ValueError("does not have the lines of a checkpoint")
    origin, size, root = lines[0], lines[1], _unbase64(lines[2])
    if not origin or not size.isascii() or not size.isdigit() or size != str(int(size)) or len(root) != 32:
        raise ValueError("is not a checkpoint")
    signed = tuple(_read_line(line, origin, cosigned) for line in lines[4:-1])
    if all(line.name != origin for line in signed):
        raise ValueError("has no Ed25519 signature line of its own ledger")
    return Note(origin, int(size), root, f"{origin}\n{size}\n{lines[2]}\n".encode(), signed)


def _read_line(line: str, origin: str, cosigned: bool) -> Line:
    name, _, blob = line.removeprefix(_DASH).partition(" ")
    raw = _unbase64(blob)
    if not line.startswith(_DASH) or not name or (name == origin and len(raw) != 68) or len(raw) < 5:
        raise ValueError("has no Ed25519 signature line of its own ledger")
    if name != origin and not cosigned:
        raise ValueError(f"has no Ed25519 signature line of its own ledger but one of `{name}`")
    return Line(name, raw[:4], raw[4:])


def split_notes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each note in a file of notes with its offset; what is no note comes as it is."""
    at, dash = 0, _DASH.encode()
    while at < len(data):
        first = data.find(b"\n\n" + dash, at)
        if first < 0:
            end = at
            for _ in range(5):
                found = data.find(b"\n", end)
                end = len(data) if found < 0 else found + 1
        else:
            # Cut behind the next signature lines, so that a broken note does not shift those that follow.
            end = first + 2
            while data.startswith(dash, end):
                found = data.find(b"\n", end)
                end = len(data) if found < 0 else found + 1
        yield at, data[at:end]
        at = end


def _unbase64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("holds something that is not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise ValueError("holds base64 with stray bits")
    return raw
