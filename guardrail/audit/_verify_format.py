"""What a trail must look like, written down a second time: the verifier's own reading of notes and leaves.

INVARIANT: nothing here or in `_verify` is imported from the writer, so that a mistake made there is not repeated here.
Needs the standard library and `cryptography`; `orjson`, if it is there, only makes the check of canonical form fast.

Sources: RFC 6962 section 2.1, RFC 8785, c2sp.org/signed-note, c2sp.org/tlog-checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, NoReturn

_LARGEST_INT: Final = 2**53 - 1
_ED25519: Final = 1
_NOTE_LINES: Final = 5
_DASH: Final = "— "

_MAX_DEPTH: Final = 254
"""Deepest nesting of arrays and objects in a leaf; no trail holds a deeper one, because none could be written."""

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')

_MEMBER: Final = re.compile(rb'":-?(?:[0-9]+[.eE]|[0-9]{17}|9[0-9]{15})')
_FIRST: Final = re.compile(rb"\[[-0-9]")
_FURTHER: Final = re.compile(rb",[-0-9]")
"""Where a number can stand in compact JSON: after a key, first in an array, further in an array.

A hit may be a float or an integer beyond 2**53 (or only text that looks so), and such leaves are checked the slow way.
Three patterns that each begin with fixed bytes are twenty times faster than one that does not.
"""

_orjson: Any
try:
    import orjson as _orjson
except ImportError:  # pragma: no cover - the verifier also runs where only the standard library is
    _orjson = None


class Note(NamedTuple):
    """One signed note, its text parsed and its signature not yet checked."""

    origin: str
    size: int
    root: bytes
    text: bytes
    key_id: bytes
    signature: bytes


class Key(NamedTuple):
    """A verifier key: whose it is, and how to check with it."""

    name: str
    key_id: bytes
    check: Callable[[bytes, bytes], bool]


def read_key(vkey: str) -> Key:
    """A C2SP verifier key, `name+hash+base64(type and key)`.

    Raises:
        ValueError: if it is not one, or its hash does not fit.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    parts = vkey.split("+", 2)
    if len(parts) != 3 or not parts[0]:
        raise ValueError("is not of the form `name+hash+key`")
    name, given, material = parts[0], parts[1], _unbase64(parts[2])
    if len(material) != 33 or material[0] != _ED25519:
        raise ValueError("is not an Ed25519 key")
    key_id = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
    if key_id.hex() != given:
        raise ValueError("does not fit its own hash")
    public = Ed25519PublicKey.from_public_bytes(material[1:])

    def check(signature: bytes, text: bytes) -> bool:
        try:
            public.verify(signature, text)
        except InvalidSignature:
            return False
        return True

    return Key(name, key_id, check)


def read_note(data: bytes) -> Note:
    """One note as the trail writes them: a text of three lines, an empty line, one signature line.

    Raises:
        ValueError: if it is anything else, down to the last byte.
    """
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    if len(lines) != _NOTE_LINES + 1 or lines[3] or lines[5]:
        raise ValueError("does not have the lines of a checkpoint")
    origin, size, root, signed = lines[0], lines[1], _unbase64(lines[2]), lines[4]
    if not origin or not size.isascii() or not size.isdigit() or size != str(int(size)) or len(root) != 32:
        raise ValueError("is not a checkpoint")
    name, _, blob = signed.removeprefix(_DASH).partition(" ")
    raw = _unbase64(blob)
    if not signed.startswith(_DASH) or name != origin or len(raw) != 68:
        raise ValueError("has no Ed25519 signature line of its own ledger")
    text = f"{origin}\n{size}\n{lines[2]}\n".encode()
    return Note(origin, int(size), root, text, raw[:4], raw[4:])


def split_notes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each note in a file of notes with its offset; what is no note comes as it is."""
    at = 0
    while at < len(data):
        end = at
        for _ in range(_NOTE_LINES):
            found = data.find(b"\n", end)
            end = len(data) if found < 0 else found + 1
        dash = data.find(b"\n\n" + _DASH.encode(), at)
        if dash >= 0:
            # Cut behind the next signature line, so that a broken note does not shift those that follow.
            found = data.find(b"\n", dash + 2)
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


def read_leaf(leaf: bytes) -> dict[str, Any]:
    """A leaf, if it is in canonical form: RFC 8785, without floats and with ASCII keys.

    Raises:
        ValueError: if another program could write the same record differently, or it is nested too deep.
    """
    _check_depth(leaf)
    if _orjson is None or not leaf.isascii() or _MEMBER.search(leaf) or _FIRST.search(leaf) or _FURTHER.search(leaf):
        return _read_leaf_slowly(leaf)
    try:
        record: object = _orjson.loads(leaf)
    except ValueError:
        raise ValueError("is not JSON") from None
    if not isinstance(record, dict) or _orjson.dumps(record, option=_orjson.OPT_SORT_KEYS) != leaf:
        raise ValueError("is not in canonical form")
    return record  # pyright: ignore[reportUnknownVariableType]


def _check_depth(leaf: bytes) -> None:
    # Parsers differ in how deep they go, and some of them from one Python to the next; a verdict must not.
    if leaf.count(b"[") + leaf.count(b"{") <= _MAX_DEPTH:
        return
    depth = 0
    for byte in _STRING.sub(b"", leaf):
        if byte in b"[{":
            depth += 1
            if depth > _MAX_DEPTH:
                raise ValueError("is nested too deep")
        elif byte in b"]}":
            depth -= 1


def _read_leaf_slowly(leaf: bytes) -> dict[str, Any]:
    try:
        record = json.loads(
            leaf.decode(),
            object_pairs_hook=_object,
            parse_float=_refuse_float,
            parse_constant=_refuse_float,
            parse_int=_integer,
        )
        again = json.dumps(record, ensure_ascii=False, separators=(",", ":"), check_circular=False).encode()
    except (json.JSONDecodeError, UnicodeError):
        raise ValueError("is not JSON") from None
    if not isinstance(record, dict) or again != leaf:
        raise ValueError("is not in canonical form")
    return record  # pyright: ignore[reportUnknownVariableType]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    # For ASCII keys the order of code points is that of UTF-16 code units, which RFC 8785 asks for.
    if any(not key.isascii() for key in keys) or keys != sorted(set(keys)):
        raise ValueError("has keys out of order, twice, or beyond ASCII")
    return dict(pairs)


def _refuse_float(text: str) -> NoReturn:
    raise ValueError(f"holds the number `{text}`")


def _integer(text: str) -> int:
    value = int(text)
    if not -_LARGEST_INT <= value <= _LARGEST_INT:
        raise ValueError(f"holds the number `{text}`, beyond 2**53 - 1")
    return value


class Tree:
    """An RFC 6962 tree, folded as leaves come. The verifier's own.

    Args:
        on_tile: called with level, index and the 256 hashes of each tile of C2SP tlog-tiles that becomes full.
    """

    __slots__ = ("on_tile", "rows", "size", "stack")

    def __init__(self, on_tile: Callable[[int, int, bytes], None] | None = None) -> None:
        self.size = 0
        self.stack: list[bytes] = []
        self.rows: list[list[bytes]] = [[]]
        self.on_tile = on_tile

    def push(self, digest: bytes) -> None:
        """Take the next leaf hash."""
        carry = self.size
        self.size = carry + 1
        self.rows[0].append(digest)
        if carry & 255 == 255:
            self._push_last(digest, carry)
            return
        while carry & 1:
            digest = hashlib.sha256(b"\x01" + self.stack.pop() + digest).digest()
            carry >>= 1
        self.stack.append(digest)

    def _push_last(self, digest: bytes, carry: int) -> None:
        """Take the leaf that fills a tile, and perhaps tiles above it."""
        height = 0
        while carry & 1:
            digest = hashlib.sha256(b"\x01" + self.stack.pop() + digest).digest()
            carry >>= 1
            height += 1
            if height % 8 == 0:
                level = height // 8
                if self.on_tile is not None:
                    self.on_tile(level - 1, carry, b"".join(self.rows[level - 1]))
                self.rows[level - 1] = []
                if level == len(self.rows):
                    self.rows.append([])
                self.rows[level].append(digest)
        self.stack.append(digest)

    def root(self) -> bytes:
        """Root over all leaves so far."""
        if not self.stack:
            return hashlib.sha256().digest()
        rest = list(self.stack)
        digest = rest.pop()
        while rest:
            digest = hashlib.sha256(b"\x01" + rest.pop() + digest).digest()
        return digest
