"""Intents and what came of them: each has one result, and each result one intent before it.

INVARIANT: nothing here is imported from the writer.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable

from guardrail.audit._verify_scan import Scan


class Pairs:
    """Pairs that go beyond one part of a trail; each part has paired its own.

    Args:
        tell: takes problems, with `file`, `offset` and `seq` by name.
    """

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell
        self.open: dict[int, None] = {}
        """Intents without a result so far, in order."""
        self.intents: list[array[int]] = []
        """Numbers of all intents, part by part."""

    def take(self, found: Scan, name: str, *, whole: bool, minimum: int) -> None:
        """Join the next part.

        Args:
            found: what it holds.
            name: where it lies.
            whole: every record before its end could be read.
            minimum: number of the first record that was not pruned.
        """
        for seq, offset, intent in found.answers:
            if intent in self.open:
                del self.open[intent]
            elif isinstance(intent, int) and self._is_intent(intent):
                self._tell(f"a second result of record {intent}", file=name, offset=offset, seq=seq)
            elif whole and not (isinstance(intent, int) and 0 <= intent < minimum):
                # Otherwise its intent may be among the records that could not be read, or that were pruned.
                what = f"the result of `{intent}`, which is no intent before it"
                self._tell(what, file=name, offset=offset, seq=seq)
        self.intents.append(found.intents)
        self.open.update(dict.fromkeys(found.unanswered))

    def _is_intent(self, seq: int) -> bool:
        for known in self.intents:
            if known and known[0] <= seq <= known[-1]:
                at = bisect_left(known, seq)
                return known[at] == seq
        return False
