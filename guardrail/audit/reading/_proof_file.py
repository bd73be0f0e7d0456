"""A proof that one record is in a signed trail, as a C2SP `.tlog-proof` that needs nothing else to be checked.

The record itself stands in the line `extra`, which the format has for what is needed to work out the record's hash.
Sources: c2sp.org/tlog-proof@v1, c2sp.org/tlog-checkpoint.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Final, NamedTuple

from guardrail.audit._place import is_store
from guardrail.audit._proof import inclusion_proof, root_of_inclusion
from guardrail.audit._tree import leaf_hash
from guardrail.audit._verify_format import read_leaf
from guardrail.audit._verify_note import Note, read_key, read_note, split_notes
from guardrail.audit.reading._leaves import Found, Place, read_leaves
from guardrail.errors import TrailError

HEADER: Final = "c2sp.org/tlog-proof@v1"
"""First line of a proof."""


class Proof(NamedTuple):
    """A proof, and what it is of."""

    text: str
    seq: int
    size: int


def prove(directory: Path | str, seq: int) -> Proof:
    """The proof of one record, under the latest checkpoint that witnesses have cosigned and that covers it, if any.

    Args:
        directory: the trail.
        seq: number of the record.

    Raises:
        TrailError: if there is no such record, it is not signed yet, or the trail is damaged.
        OSError: if the trail cannot be read.
    """
    source = _source(directory)
    note, size = _checkpoint(source, seq)
    if seq >= size:
        last = f"the last signed one is {size - 1}" if size else "none is"
        raise TrailError(f"record {seq} is not signed yet, {last}: try again when the trail has been signed")
    leaf = source.leaf(seq)
    if leaf is None:
        raise TrailError(f"record {seq} cannot be read: see `guardrail audit verify`")
    path = inclusion_proof(directory, seq, size)
    lines = [HEADER, f"extra {_base64(leaf)}", f"index {seq}", *map(_base64, path)]
    return Proof("\n".join(lines) + "\n\n" + note, seq, size)


def newest_checkpoint(directory: Path | str) -> str:
    """The newest signed checkpoint of a trail, as a C2SP note, with what witnesses have said of it.

    Args:
        directory: the trail.

    Raises:
        TrailError: if it has none.
        OSError: if the trail cannot be read.
    """
    source = _source(directory)
    return _checkpoint(source, max(source.note("cosigned")[1], source.note("checkpoints")[1]) - 1)[0]


def proven(text: str, vkeys: str) -> tuple[dict[str, Any], Proof]:
    """The record that a proof proves.

    Args:
        text: content of the proof's file.
        vkeys: verifier keys of the ledger, one a line, best kept elsewhere; one of them has to have signed.

    Raises:
        ValueError: if it proves nothing, with the reason.
    """
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    if lines[0] != HEADER or len(lines) < 3 or not lines[1].startswith("extra ") or not lines[2].startswith("index "):
        raise ValueError("its proof is none in the format `c2sp.org/tlog-proof@v1`")
    leaf, index = base64.b64decode(lines[1][6:], validate=True), lines[2][6:]
    path = [base64.b64decode(line, validate=True) for line in lines[3:]]
    checkpoint = read_note(note.encode(), cosigned=True)
    seq = int(index) if index.isascii() and index.isdigit() else -1
    if root_of_inclusion(leaf_hash(leaf), seq, checkpoint.size, path) != checkpoint.root:
        raise ValueError("its record does not lead to the root that was signed")
    _check_signed(checkpoint, vkeys)
    record = read_leaf(leaf)
    if (record.get("seq"), record.get("log")) != (seq, checkpoint.origin):
        raise ValueError("its record calls itself by another number or ledger")
    return record, Proof(text, seq, checkpoint.size)


def _check_signed(note: Note, vkeys: str) -> None:
    """Refuse a checkpoint that none of the keys signed, or one of them wrongly."""
    keys = {key.key_id: key for key in map(read_key, vkeys.split()) if key.name == note.origin}
    lines = [line for line in note.lines if line.name == note.origin and line.key_id in keys]
    if not lines:
        raise ValueError("its checkpoint is not signed by the given key")
    if not all(keys[line.key_id].check(line.signature, note.text) for line in lines):
        raise ValueError("the signature of its checkpoint is wrong")


class _Files:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.where = str(directory)

    def note(self, name: str) -> tuple[str, int]:
        return _largest(self._directory / name)

    def leaf(self, seq: int) -> bytes | None:
        found = _leaf(self._directory, seq)
        return None if found is None else found.leaf


class _Rows:
    def __init__(self, store: str) -> None:
        self._store = store
        self.where = "in the database"

    def note(self, name: str) -> tuple[str, int]:
        from guardrail.audit.postgres._reading import Reader

        with Reader.open(self._store) as reader:
            self.where = reader.where
            return reader.note(name)

    def leaf(self, seq: int) -> bytes | None:
        from guardrail.audit.postgres._reading import Reader

        with Reader.open(self._store) as reader:
            return reader.leaf(seq)


def _source(directory: Path | str) -> _Files | _Rows:
    return _Rows(str(directory)) if is_store(directory) else _Files(Path(directory))


def _checkpoint(source: _Files | _Rows, seq: int) -> tuple[str, int]:
    """The note to prove under, with its size; whether its signatures hold is for whoever gets the proof to see."""
    cosigned, own = source.note("cosigned"), source.note("checkpoints")
    if own[1] < 0 and cosigned[1] < 0:
        raise TrailError(f"the trail `{source.where}` has no checkpoint, so nothing in it can be proven")
    return cosigned if cosigned[1] > seq else own


def _largest(path: Path) -> tuple[str, int]:
    best = ("", -1)
    for _, data in split_notes(path.read_bytes() if path.is_file() else b""):
        text = data.decode("utf-8", "replace")
        size = text.split("\n", 2)[1] if text.count("\n") > 2 else ""
        if text.endswith("\n") and size.isascii() and size.isdigit() and int(size) >= best[1]:
            best = (text, int(size))
    return best


def _leaf(directory: Path, seq: int) -> Found | None:
    # A segment is named for its first record, so that only one has to be read.
    before = [name for path in directory.glob("*.seg") if (name := path.name)[:20].isdigit() and int(name[:20]) <= seq]
    if not before:
        return None
    for found in read_leaves(directory, Place(max(before), 0, int(max(before)[:20]))):
        if found.seq >= seq:
            return found if found.seq == seq else None
    return None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
