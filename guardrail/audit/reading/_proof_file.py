"""A proof that one record is in a signed trail, as a C2SP `.tlog-proof` that needs nothing else to be checked.

The record itself stands in the line `extra`, which the format has for what is needed to work out the record's hash.
Sources: c2sp.org/tlog-proof@v1, c2sp.org/tlog-checkpoint.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final, NamedTuple

from guardrail.audit._proof import inclusion_proof
from guardrail.audit._verify_note import split_notes
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
    note, size = _checkpoint(Path(directory), seq)
    if seq >= size:
        last = f"the last signed one is {size - 1}" if size else "none is"
        raise TrailError(f"record {seq} is not signed yet, {last}: try again when the trail has been signed")
    found = _leaf(Path(directory), seq)
    if found is None:
        raise TrailError(f"record {seq} cannot be read: see `guardrail audit verify`")
    path = inclusion_proof(directory, seq, size)
    lines = [HEADER, f"extra {_base64(found.leaf)}", f"index {seq}", *map(_base64, path)]
    return Proof("\n".join(lines) + "\n\n" + note, seq, size)


def _checkpoint(directory: Path, seq: int) -> tuple[str, int]:
    """The note to prove under, with its size; whether its signatures hold is for whoever gets the proof to see."""
    cosigned = _largest(directory / "cosigned")
    own = _largest(directory / "checkpoints")
    if own[1] < 0 and cosigned[1] < 0:
        raise TrailError(f"the trail `{directory}` has no checkpoint, so nothing in it can be proven")
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
