"""Whose signatures count, and from which record on.

1. The first key is given, or the trail's own.
2. A `key` record that a checkpoint by a key already trusted covers adds the key that it names; one that retires a key
   takes it away for every later checkpoint.
3. A checkpoint counts if a trusted key signed it; a wrong signature by a trusted key spoils it; others are passed over.
4. A cosigned checkpoint counts for each witness whose key was given and whose cosignature is right.

INVARIANT: nothing here is imported from the writer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from guardrail.audit._verify_note import WITNESS_KEY, Key, Note, cosigned_at, read_key

Tell = Callable[..., None]
"""Takes what is wrong, and `file`, `offset` and `seq` by name."""


@dataclasses.dataclass(slots=True)
class Expected:
    """A checkpoint that waits for the tree to reach its size."""

    note: Note
    file: str
    offset: int


class Trust:
    """The keys of a ledger, as far as the trail has been read.

    Args:
        tell: takes problems.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._keys: dict[bytes, Key] = {}
        self._waiting: list[tuple[int, int, dict[str, Any]]] = []
        self.origin = ""
        self.vkeys: list[str] = []
        """Every key that was trusted, in order."""

    def start(self, vkey: str) -> None:
        """Trust a first key.

        Raises:
            ValueError: if it is none.
        """
        self.origin = read_key(vkey).name
        self._add(vkey)

    def _add(self, vkey: str) -> None:
        key = read_key(vkey)
        if key.name != self.origin:
            raise ValueError(f"is of another ledger, `{key.name}`")
        self._keys[key.key_id] = key
        if vkey not in self.vkeys:
            self.vkeys.append(vkey)

    def learn(self, seq: int, offset: int, record: dict[str, Any]) -> None:
        """A `key` record was read; it counts once a checkpoint covers it."""
        if record.get("kind") == "key":
            self._waiting.append((seq, offset, record))

    def confirm(self, size: int) -> None:
        """A good checkpoint of this size: what the records below it say of keys holds from here on."""
        while self._waiting and self._waiting[0][0] < size:
            seq, offset, record = self._waiting.pop(0)
            try:
                self._add(str(record.get("next")))
                if record.get("event") == "retired":
                    self._keys.pop(read_key(str(record.get("key"))).key_id, None)
            except ValueError as error:
                self._tell(f"the key that the record names {error}", seq=seq, offset=offset)

    def knows(self, note: Note) -> bool:
        """Whether any line of a note is by a trusted key."""
        return any(line.name == self.origin and line.key_id in self._keys for line in note.lines)

    def signed(self, item: Expected) -> bool:
        """Whether a trusted key signed a checkpoint, and none signed it wrongly; what is wrong is told."""
        note, good = item.note, False
        if not self._keys:
            self._tell("the checkpoint cannot be checked without a key", file=item.file, offset=item.offset)
            return False
        for line in note.lines:
            key = self._keys.get(line.key_id) if line.name == self.origin else None
            if key is not None and not key.check(line.signature, note.text):
                self._tell("the signature of the checkpoint is wrong", file=item.file, offset=item.offset)
                return False
            good = good or key is not None
        if not good or note.origin != self.origin:
            what = f"the checkpoint is by another ledger or key, `{note.origin}`"
            self._tell(what, file=item.file, offset=item.offset)
            return False
        return True


class Witnesses:
    """Those who are believed to have seen a checkpoint.

    Args:
        vkeys: their verifier keys.
        quorum: how many of them have to have seen it; 0 means all.
        tell: takes problems.
    """

    def __init__(self, vkeys: Sequence[str], quorum: int, tell: Tell) -> None:
        self._tell = tell
        self._keys: dict[tuple[str, bytes], Key] = {}
        for vkey in vkeys:
            try:
                key = read_key(vkey, WITNESS_KEY)
            except ValueError as error:
                tell(f"the given witness key {error}")
                continue
            self._keys[key.name, key.key_id] = key
        self.quorum = quorum or len(vkeys)
        self.given = bool(vkeys)
        self.size = -1
        """Largest checkpoint that enough of them have cosigned."""
        self.seen: dict[str, tuple[int, int]] = {}
        """For each of them the largest checkpoint it has cosigned, and when, in seconds since the epoch."""

    def take(self, item: Expected) -> None:
        """A checkpoint that fits the records and is signed by the ledger."""
        names: set[str] = set()
        for line in item.note.lines:
            key = self._keys.get((line.name, line.key_id))
            if key is None:
                continue
            if len(line.signature) != 72 or not key.check(line.signature, item.note.text):
                what = f"the cosignature of the witness `{line.name}` is wrong"
                self._tell(what, file=item.file, offset=item.offset)
                continue
            names.add(line.name)
            if item.note.size >= self.seen.get(line.name, (-1, 0))[0]:
                self.seen[line.name] = item.note.size, cosigned_at(line.signature)
        if self.given and len(names) >= self.quorum:
            self.size = max(self.size, item.note.size)

    def finish(self) -> None:
        """Say so if no checkpoint was cosigned by enough of them."""
        if self.given and self.size < 0:
            what = f"no checkpoint of these records is cosigned by {self.quorum} of the given witnesses"
            self._tell(f"{what}: they have seen another trail, or none", file="cosigned")
