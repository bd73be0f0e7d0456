"""What a trail must look like, written down a second time: the verifier's own reading of leaves, and its tree.

INVARIANT: nothing here or in `_verify` is imported from the writer, so that a mistake made there is not repeated here.
Needs the standard library; `msgspec` and `orjson`, if they are there, only make the check of canonical form fast.

Sources: RFC 6962 section 2.1, RFC 8785.
"""

from __future__ import annotations

import hashlib
import json
import operator
import re
from collections.abc import Callable
from typing import Annotated, Any, Final, NoReturn

_LARGEST_INT: Final = 2**53 - 1

_MAX_DEPTH: Final = 254
"""Deepest nesting of arrays and objects in a leaf; no trail holds a deeper one, because none could be written."""

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')

_QUICK_DEPTH: Final = 6
"""How deep a leaf may be nested to be read the quick way; the guard's own records have three levels."""

_orjson: Any
_decode: Any
try:
    import msgspec
    import orjson as _orjson
except ImportError:  # pragma: no cover - the verifier also runs where only the standard library is
    _orjson = _decode = None
else:
    # No type in here takes a float, or an integer beyond 2**53 - 1: that is checked while reading.
    _value: Any = None | bool | Annotated[int, msgspec.Meta(ge=-_LARGEST_INT, le=_LARGEST_INT)] | str
    _any: Any = _value
    for _ in range(_QUICK_DEPTH - 1):
        _any = _value | list[_any] | dict[str, _any]
    _decode = msgspec.json.Decoder(dict[str, _any]).decode


def read_leaf(leaf: bytes) -> dict[str, Any]:
    """A leaf, if it is in canonical form: RFC 8785, without floats and with ASCII keys.

    Raises:
        ValueError: if another program could write the same record differently, or it is nested too deep.
    """
    if _orjson is None or not leaf.isascii():
        return _read_leaf_slowly(leaf)
    try:
        record: dict[str, Any] = _decode(leaf)
    except ValueError:
        return _read_leaf_slowly(leaf)  # deeper than most, or wrong: that one says what
    if _orjson.dumps(record, option=_orjson.OPT_SORT_KEYS) != leaf:
        raise ValueError("is not in canonical form")
    return record


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
    _check_depth(leaf)
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
        self.size += 1
        self.rows[0].append(digest)
        self._carry(digest, self.size - 1, 0)

    def push_many(self, digests: bytes) -> None:
        """Take many leaf hashes that stand one after the other: whole tiles are folded level by level."""
        at, end = 0, len(digests)
        while at < end:
            if self.size & 255 or end - at < 256 * 32:
                self.push(digests[at : at + 32])
                at += 32
                continue
            tile = digests[at : at + 256 * 32]
            self._push_tile(_fold(tile), tile)
            at += 256 * 32

    def _push_tile(self, digest: bytes, tile: bytes) -> None:
        """Take 256 leaves at once, given as the root over them; the tree is between two tiles."""
        index = self.size >> 8
        self.size += 256
        self._full(0, index, tile, digest)
        self._carry(digest, index, 8)

    def _carry(self, digest: bytes, carry: int, height: int) -> None:
        """Join a whole subtree of some height, the `carry`-th of them, with what stands to its left."""
        while carry & 1:
            digest = hashlib.sha256(b"\x01" + self.stack.pop() + digest).digest()
            carry >>= 1
            height += 1
            if height % 8 == 0:
                level = height // 8
                self._full(level - 1, carry, b"".join(self.rows[level - 1]), digest)
        self.stack.append(digest)

    def _full(self, level: int, index: int, hashes: bytes, root: bytes) -> None:
        """A tile is full: it is shown, and its root stands in the one above."""
        if self.on_tile is not None:
            self.on_tile(level, index, hashes)
        self.rows[level] = []
        if level + 1 == len(self.rows):
            self.rows.append([])
        self.rows[level + 1].append(root)

    def root(self) -> bytes:
        """Root over all leaves so far."""
        if not self.stack:
            return hashlib.sha256().digest()
        rest = list(self.stack)
        digest = rest.pop()
        while rest:
            digest = hashlib.sha256(b"\x01" + rest.pop() + digest).digest()
        return digest


def _fold(tile: bytes) -> bytes:
    """Root over the hashes of a tile, level by level."""
    # A copy of a hash that was begun costs less than a new one.
    begun = hashlib.sha256(b"\x01").copy
    row = [tile[here : here + 64] for here in range(0, len(tile), 64)]
    while True:
        above: list[bytes] = []
        for both in row:
            hashed = begun()
            hashed.update(both)
            above.append(hashed.digest())
        if len(above) == 1:
            return above[0]
        row = list(map(operator.add, above[::2], above[1::2]))
