"""The writer of segment files: when to sync, when to sign, and that a failure is final."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from guardrail.audit._batches import Batches, Entry
from guardrail.audit._note import CheckpointFile
from guardrail.audit._place import cannot
from guardrail.audit._publish import Publisher
from guardrail.audit._segment import Segments
from guardrail.audit._unfinished import Unfinished


class Writer(Batches):
    """The only one who touches the files of an open trail.

    Args:
        directory: the trail, for messages.
        segments: its open end.
        checkpoints: its checkpoints.
        unfinished: its open intents.
        publisher: where checkpoints go from here.
        checkpoint_seconds: longest time between two checkpoints while records arrive, in seconds.
    """

    def __init__(
        self,
        directory: Path,
        segments: Segments,
        checkpoints: CheckpointFile,
        unfinished: Unfinished,
        publisher: Publisher,
        checkpoint_seconds: float,
    ) -> None:
        super().__init__()
        self.size = segments.tree.size
        self.roots = segments.tree.roots
        self._directory = directory
        self._segments = segments
        self._checkpoints = checkpoints
        self._unfinished = unfinished
        self._publisher = publisher
        self._checkpoint_seconds = checkpoint_seconds
        self._signed_at = time.monotonic()
        self.start()

    @property
    def low(self) -> bool:
        """Whether only the reserve is left on the disk."""
        return self._segments.low

    @property
    def signed(self) -> int:
        """Number of records under the last checkpoint."""
        last = self._checkpoints.last
        return 0 if last is None else last.size

    def offer_last(self) -> None:
        """Publish the last checkpoint again, for a place that was added."""
        if self._checkpoints.last is not None:
            self._publisher.offer(self._checkpoints.last, self._checkpoints.last_note)

    def let_go(self) -> None:
        """Close the files."""
        self._segments.close()
        self._checkpoints.close()

    def _unsigned(self) -> bool:
        last = self._checkpoints.last
        return last is None or last.size != self._segments.tree.size

    def _until_checkpoint(self) -> float | None:
        if not self._unsigned():
            return None
        return max(0.001, self._signed_at + self._checkpoint_seconds - time.monotonic())

    def _write(self, batch: Sequence[Entry]) -> None:
        leaves = [entry.leaf for entry in batch if entry.leaf is not None]
        if leaves:
            first = self.size
            self._segments.write(leaves)
            for place, entry in enumerate(entry for entry in batch if entry.leaf is not None):
                self._unfinished.take(entry.record, first + place)
            self.size, self.roots = self._segments.tree.size, self._segments.tree.roots
        elif self.low:
            self._segments.grow(0)

    def _sign(self, *, asked: bool) -> None:
        now = time.monotonic()
        if self._unsigned() and (asked or now - self._signed_at >= self._checkpoint_seconds):
            self._signed_at = now
            if not self._checkpoints.append(self._segments.tree):
                self._segments.low = True
            elif self._checkpoints.last is not None:
                self._publisher.offer(self._checkpoints.last, self._checkpoints.last_note)

    def _final(self, error: Exception) -> str:
        """A sync that failed must not be tried again, and numbers were given that were not written."""
        cause = cannot("write", self._directory, error) if isinstance(error, OSError) else f"the trail failed: {error}"
        return f"{cause}; the trail takes no more records: restart when that is mended"
