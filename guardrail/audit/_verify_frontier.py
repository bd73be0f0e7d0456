"""The writer's short cut, compared with what the verifier has found.

INVARIANT: nothing here is imported from the writer.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Final, Protocol

from guardrail.audit._verify_format import Tree
from guardrail.audit._verify_note import Note, read_note
from guardrail.audit._verify_pairs import Pairs
from guardrail.audit._verify_trust import Expected, Trust

MAX_OPEN: Final = 100_000
"""Most open intents that the writer keeps in mind."""


class Walked(Protocol):
    """How far a verification has come."""

    directory: Path
    deep: bool
    trust: Trust
    tree: Tree
    whole: bool
    suspect: bool
    previous: bytes | None
    pairs: Pairs

    def problem(self, what: str, *, file: str = "", offset: int | None = None, seq: int | None = None) -> None:
        """Take something that is wrong."""
        ...


@dataclasses.dataclass(slots=True)
class SavedFrontier:
    """The writer's short cut, `frontier`: it proves nothing, but a wrong one would mislead the next start.

    Blind spot: which intents it calls open is compared by a deep verification only.
    """

    note: Note
    previous: str
    edge: list[str]
    unfinished: list[int]

    @classmethod
    def read(cls, walk: Walked) -> SavedFrontier | None:
        """What is saved, if anything is; what is wrong with it is told."""
        path = walk.directory / "frontier"
        if not path.is_file():
            return None
        data = path.read_bytes()
        try:
            value = json.loads(data)
            as_left = json.dumps(value, sort_keys=True, indent=1).encode() + b"\n" == data
            found = cls(read_note(str(value["note"]).encode()), value["previous"], value["edge"], value["open"])
        except (ValueError, KeyError, TypeError):
            walk.problem("cannot be read; remove it, it will be made anew", file="frontier", offset=0)
            return None
        if not as_left:
            walk.problem("is not as the writer leaves it; remove it, it will be made anew", file="frontier", offset=0)
            return None
        item = Expected(found.note, "frontier", 0)
        return found if not walk.trust.knows(item.note) or walk.trust.signed(item) else None

    def compare(self, walk: Walked, first: int) -> None:
        """Say so if it does not fit what was found before record `first`."""
        if first != self.note.size or not walk.whole or walk.suspect:
            return
        if not walk.trust.signed(Expected(self.note, "frontier", 0)):
            return
        expected = [b"".join(row).hex() for row in walk.tree.rows], (walk.previous or b"").hex(), walk.tree.root()
        if (self.edge, self.previous, self.note.root) != expected or not self._knows_what_is_open(walk):
            walk.problem("does not fit the records; remove it, it will be made anew", file="frontier", offset=0)

    def _knows_what_is_open(self, walk: Walked) -> bool:
        if not walk.deep:
            return True
        # Of more than it keeps in mind the writer has let some go; those that it names are open all the same.
        if sum(map(len, walk.pairs.intents)) > MAX_OPEN:
            return all(seq in walk.pairs.open for seq in self.unfinished)
        return self.unfinished == list(walk.pairs.open)
