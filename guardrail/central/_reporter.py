"""How far a trail is, as the centre is told: its newest checkpoint, and the proof that it extends the one before.

The centre is a witness: it compares and sets, so a trail that was rewritten, even with its own key, is not recorded any
more, and both sides know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from guardrail.audit import Trail
from guardrail.audit._note import VKEY_FILE
from guardrail.audit._note import Checkpoint as Signed
from guardrail.audit._proof import consistency_proof
from guardrail.central._database import Checkpoint, Database, RefusedTrail
from guardrail.errors import TrailError


class Reporter:
    """What the centre is told of one trail.

    Args:
        trail: a trail in files, of a name of its own.
        origin: its name.
        facts: what the guard says of itself.

    Raises:
        OSError: if its key cannot be read.
    """

    def __init__(self, trail: Trail, origin: str, facts: Callable[[], Mapping[str, str | int]]) -> None:
        self._directory: Path = trail.directory
        self._origin = origin
        # The last of them signs from now on, if one is being replaced.
        self._vkey = (trail.directory / VKEY_FILE).read_text(encoding="utf-8").split()[-1]
        self._facts = facts
        self._newest: tuple[Signed, str] | None = None
        trail.tell(self._take)

    @property
    def size(self) -> int:
        """How many records are under the newest checkpoint."""
        return 0 if self._newest is None else self._newest[0].size

    def _take(self, checkpoint: Signed, note: str) -> None:
        self._newest = checkpoint, note

    def report(self, database: Database) -> int:
        """Have the newest checkpoint recorded.

        Args:
            database: the centre.

        Returns:
            How many records are under it.

        Raises:
            RefusedTrail: if it does not extend what the centre has seen.
            TrailError: if the centre does not answer.
        """
        if self._newest is None:
            return 0
        (size, _), note = self._newest
        seen = database.recorded(self._origin) or 0
        if seen > size:
            raise RefusedTrail(
                f"the centre has seen {seen} records of the trail `{self._origin}`, and it has {size}:"
                " it was put back to an older state, or two trails have this name"
            )
        try:
            proof = consistency_proof(self._directory, seen, size)
        except (TrailError, OSError) as error:
            raise RefusedTrail(f"that the trail extends what the centre has cannot be shown: {error}") from None
        database.record(Checkpoint(self._origin, self._vkey, note, proof, self._facts()))
        return size
