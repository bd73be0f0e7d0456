"""What this replica has seen of the shared tree, so that nobody puts the ledger back, or another in its place.

A replica signs only a tree that extends all it has seen: it folds the hashes of what others wrote onto its own tree,
and compares. Its last checkpoint also lies in its own directory, for the next start.

INVARIANT: `tree` was folded here, from a signed checkpoint or from the first record on; it is never taken from the
frontier alone.
Blind spot: a replica without a directory of its own believes the last signed checkpoint of the database. What was put
back before it began is noticed by the other replicas, or by whoever kept a later checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from guardrail.audit._files import replace
from guardrail.audit._note import Checkpoint, Signer
from guardrail.audit._recover import time_of
from guardrail.audit._tree import Frontier
from guardrail.audit._verify_note import read_key, read_note
from guardrail.audit.postgres._tables import Kept, Tables, frontier_of
from guardrail.errors import TrailError

CHECKPOINT_FILE: Final = "checkpoint"
"""The last note that this replica signed, in its own directory; good for `guardrail audit verify --checkpoint`."""

MENDING: Final = "keep a copy of it, and restore the newest backup or begin a new trail in another database"


class Known:
    """The tree as this replica has seen it.

    Args:
        directory: the replica's own.
        signer: the key of the ledger.
        where: the ledger, for messages.
        vkeys: verifier keys of all keys that it ever had.
    """

    def __init__(self, directory: Path, signer: Signer, where: str, vkeys: Sequence[str] = ()) -> None:
        self.tree = Frontier()
        self.last = Frontier()
        """The newest tree that was seen, perhaps not folded yet."""
        self.signed = -1
        self.note: tuple[Checkpoint, str] | None = None
        """The last checkpoint that this replica signed, or began with."""
        self._directory = directory
        self._path = directory / CHECKPOINT_FILE
        self._signer = signer
        self._all_keys = tuple(vkeys)
        self.where = where
        self.replica = ""
        """What this replica is called."""
        self.last_us = 0
        """When the last record of the ledger was written, in microseconds since 1970."""
        self.run = 0
        """The run that began with this."""

    @property
    def vkeys(self) -> list[str]:
        """The verifier keys of the keys that this replica signs with."""
        return [key.vkey for key in self._signer.keys]

    def copy(self) -> Known:
        """The same knowledge, for another thread to go on from."""
        copied = Known(self._directory, self._signer, self.where, self._all_keys)
        copied.tree, copied.last = self.tree, self.last
        return copied

    def begin(self, tables: Tables, elsewhere: str = "") -> None:
        """Take up what was known, and follow the ledger to its end.

        Args:
            tables: the ledger.
            elsewhere: a note of this replica that was kept in another place.

        Raises:
            TrailError: if the ledger does not continue what was known.
            Unreachable: if the server cannot be asked.
        """
        own = max(filter(None, (self._own(), self._other(elsewhere))), default=None)
        last = tables.checkpoint()
        if own is not None:
            self._resume(tables, own)
        elif last is not None:
            self.tree = self._believed(last)
        self.signed = -1 if last is None else last.size
        if last is not None and (checkpoint := self._signer.read(last.note)) is not None:
            self.note = checkpoint, last.note
        self.follow(tables, tables.frontier())
        self.last_us = max((time_of(leaf) for _, leaf in tables.some([self.tree.size - 1])), default=0)

    def _own(self) -> Checkpoint | None:
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            text = ""
        checkpoint = self._read(text)
        if checkpoint is None:
            raise TrailError(
                f"`{self._path}` is not a checkpoint of the trail `{self.where}`: put it back, or give this replica"
                " another `trail.directory`"
            )
        return checkpoint

    def _other(self, note: str) -> Checkpoint | None:
        checkpoint = self._read(note) if note else None
        if note and checkpoint is None:
            raise TrailError(
                f"the last note in `trail.checkpoint_file` is not a checkpoint of the trail `{self.where}`:"
                " find out who changed it, or give this replica another file"
            )
        return checkpoint

    def _read(self, text: str) -> Checkpoint | None:
        """A note that this replica kept; it may be by a key that was retired while it did not run."""
        checkpoint = self._signer.read(text)
        if checkpoint is None:
            with suppress(ValueError):
                note = read_note(text.encode())
                lines = {line.key_id: line.signature for line in note.lines if line.name == note.origin}
                keys = [key for key in map(read_key, self._all_keys) if key.key_id in lines]
                if note.origin == self._signer.origin and any(key.check(lines[key.key_id], note.text) for key in keys):
                    return Checkpoint(note.size, note.root)
        return checkpoint

    def _resume(self, tables: Tables, own: Checkpoint) -> None:
        kept = tables.checkpoint(own.size)
        if kept is not None:
            try:
                tree = frontier_of(kept.size, kept.roots)
            except ValueError:
                tree = Frontier()
            if tree.size == own.size and tree.root() == own.root:
                self.tree = tree
                return
        # The short cut is not there: everything up to the checkpoint is read.
        size = tables.frontier().size
        if size < own.size:
            raise TrailError(self._put_back(size, own.size))
        self._fold(tables, own.size)
        if self.tree.root() != own.root:
            raise TrailError(self._replaced(own.size))

    def _believed(self, kept: Kept) -> Frontier:
        checkpoint = self._signer.read(kept.note)
        try:
            tree = frontier_of(kept.size, kept.roots)
        except ValueError:
            tree = Frontier()
        if checkpoint != (kept.size, tree.root()):
            raise TrailError(
                f"the last checkpoint of the trail `{self.where}` was not signed with its key, or was changed:"
                " run `guardrail audit verify` on it"
            )
        return tree

    def check(self, now: Frontier) -> None:
        """Refuse a tree that cannot continue the known one.

        Raises:
            TrailError: if it is smaller, or another one of the same size.
        """
        for seen in (self.last, self.tree):
            if now.size < seen.size:
                raise TrailError(self._put_back(now.size, seen.size))
            if now.size == seen.size and now.roots != seen.roots:
                raise TrailError(self._replaced(now.size))

    def saw(self, now: Frontier) -> None:
        """Remember a tree that this replica wrote, or was shown while it held the ledger."""
        self.last = now

    def advance(self, before: Frontier, after: Frontier) -> None:
        """Take over what this replica wrote itself, if it knew all that stood before."""
        if before.size == self.tree.size and before.roots == self.tree.roots:
            self.tree = after

    def follow(self, tables: Tables, now: Frontier) -> None:
        """Fold what others wrote, up to a tree that the frontier showed.

        Raises:
            TrailError: if that tree does not extend the known one.
            Unreachable: if the server cannot be asked.
        """
        self.check(now)
        if self.tree.size < self.last.size < now.size:
            self.follow(tables, self.last)
        self._fold(tables, now.size)
        self.check(now)
        self.last = now

    def _fold(self, tables: Tables, end: int) -> None:
        tree = Frontier(self.tree.size, self.tree.roots)
        while tree.size < end:
            for digest in tables.hashes(tree.size, end):
                tree.add(digest)
        if tree.size > self.tree.size:
            self.tree = tree

    def sign(self, tables: Tables, upto: Frontier) -> None:
        """Sign a tree that extends all that was known, and keep the note in the database and here.

        Raises:
            TrailError: if it does not, or the note cannot be kept here.
            Unreachable: if the server cannot be asked.
        """
        if upto.size >= self.tree.size:
            self.follow(tables, upto)
        retired = tables.retired_keys()
        if retired.issuperset(self.vkeys):
            raise TrailError(
                f"the key of this replica of the trail `{self.where}` was retired:"
                " give it the `trail.key` of the others"
            )
        checkpoint = Checkpoint(self.tree.size, self.tree.root())
        note = self._signer.sign(checkpoint)
        tables.keep_checkpoint(self.tree, note)
        self.note = checkpoint, note
        self.signed = self.tree.size
        try:
            replace(self._path, note.encode(), 0o644)
        except OSError as error:
            raise TrailError(
                f"cannot keep the checkpoint `{self._path}`: {(error.strerror or str(error)).lower()}:"
                " make the directory writable and free some space"
            ) from None

    def _put_back(self, size: int, known: int) -> str:
        return (
            f"the trail `{self.where}` ends after {_records(size)}, but this replica has seen {known}:"
            f" it was put back to an older state: {MENDING}"
        )

    def _replaced(self, size: int) -> str:
        return (
            f"the first {_records(size)} of the trail `{self.where}` are not those that this replica has seen:"
            f" they were changed: {MENDING}"
        )


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number} records"
