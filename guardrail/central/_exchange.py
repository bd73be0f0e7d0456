"""What a guard does at the centre for the people who answer it there: shows its escalations, and hears what they say.

    take in what was said -> the clerk verifies and records it in this guard's own trail -> say what came of it
    show each case that is open, or was lately, as it is then

INVARIANT: a statement that comes from there is worth exactly what it is worth when a person leaves it here: the same
clerk takes it. What was shown there is compared, letter for letter, with what is on record here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final, Literal

import msgspec

from guardrail.central import _cases
from guardrail.central._bell import Bell
from guardrail.central._cases import Line
from guardrail.central._database import Database
from guardrail.central._signed import MAX_NOTE_BYTES, Pen
from guardrail.errors import TrailError
from guardrail.review import Case, Clerk, Refused, ReviewDesk
from guardrail.review._commands import Refusal
from guardrail.review._statements import AnyStatement, GlassStatement, VoteStatement

SHOWN_SECONDS: Final = 24 * 3600
"""How long a case is shown after it came to its end, in seconds."""

MAX_ENDED: Final = 500
"""Most cases that are shown after they came to their end, the newest of them."""


class Exchange:
    """The guard's side.

    Args:
        desk: whose escalations.
        clerk: takes what people signed.
        pen: signs for the trail.
    """

    def __init__(self, desk: ReviewDesk, clerk: Clerk, pen: Pen) -> None:
        self._desk = desk
        self._clerk = clerk
        self._pen = pen
        self._notes: dict[str, tuple[Case, Line]] = {}
        self._ends: list[Callable[[], None]] = []

    @property
    def origin(self) -> str:
        """Name of the trail."""
        return self._pen.origin

    def ring(self, bell: Bell) -> None:
        """Ring whenever a case changes."""
        self._ends.append(self._desk.subscribe(bell.ring))

    def close(self) -> None:
        """Ring no more."""
        while self._ends:
            self._ends.pop()()

    def look(self, database: Database) -> str:
        """Everything once.

        Returns:
            Why what was said could not be recorded here; empty if it was, or came to nothing.

        Raises:
            TrailError: if the centre does not answer.
        """
        why = self._take_in(database)
        self._show(database)
        return why

    # ── hearing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take_in(self, database: Database) -> str:
        for envelope in _cases.statements(database, self.origin):
            digest = hashlib.sha256(envelope).hexdigest()
            try:
                code, words = self._taken(envelope, digest)
            except TrailError as error:
                return str(error)  # it stays there, and is taken in when the trail takes records again
            _cases.answer(database, digest, self._pen.said(digest, code, words))
        _cases.sweep(database, self.origin)
        return ""

    def _taken(self, envelope: bytes, digest: str) -> tuple[Refusal | Literal[""], str]:
        """Have a statement recorded; why it was not, if it was not.

        Raises:
            TrailError: if it cannot be recorded now.
        """
        # INVARIANT: what was recorded before is recorded: a crash before the answer, or a centre that brings the same
        # bytes again, makes nothing of it a second time.
        if self._desk.requested(digest) is not None:
            return "", ""
        try:
            _check(self._clerk.about(envelope))
            self._clerk.take(envelope, request=f"{digest}.{digest}")
        except TrailError:
            raise
        except Refused as error:
            return error.code, str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who said something else are heard
            return "not_signed", f"it cannot be read: {type(error).__name__}"
        return "", ""

    # ── showing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _show(self, database: Database) -> None:
        shown = {case.held.id: self._line(case) for case in self._wanted()}
        there = _cases.digests(database, self.origin)
        for name, line in shown.items():
            # Also where somebody has changed it there: what is compared is what it says.
            if there.get(name) != line.digest:
                _cases.put(database, self.origin, name, line)
        gone = there.keys() - shown.keys()
        if gone:
            _cases.take_away(database, self.origin, gone)
        self._notes = {name: (case, line) for name, (case, line) in self._notes.items() if name in shown}

    def _wanted(self) -> Iterable[Case]:
        now = self._desk.clock()
        cases = self._desk.cases()
        yield from (case for case in cases if _waits(case))
        since = now - SHOWN_SECONDS * 1_000_000
        ended = [case for case in cases if not _waits(case) and (case.decided_us > since or _can_be_used(case, now))]
        yield from ended[-MAX_ENDED:]

    def _line(self, case: Case) -> Line:
        kept = self._notes.get(case.held.id)
        if kept is not None and kept[0] is case:
            return kept[1]
        note = self._pen.case(case)
        if len(note) > MAX_NOTE_BYTES:
            # So many and so long votes: each is in the trail, and what counts is how the case stands.
            note = self._pen.case(msgspec.structs.replace(case, votes=()))
        line = Line(note, _waits(case), tuple(issued.grant.id for issued in case.grants))
        self._notes[case.held.id] = case, line
        return line


def _check(statement: AnyStatement) -> None:
    """Whether this may come by way of the centre.

    Raises:
        Refused: if not.
    """
    if isinstance(statement, GlassStatement):
        # It names no guard: whoever carries it could break the glass at all of them.
        raise Refused("not_entitled", "glass is broken at the guard itself: say it there")
    if isinstance(statement, VoteStatement) and not statement.shown:
        raise Refused("stale", "a vote by way of the centre has to say what was shown: `shown`")


def _waits(case: Case) -> bool:
    return case.state == "pending" or case.review_due_us is not None


def _can_be_used(case: Case, now_us: int) -> bool:
    return any(issued.usable(now_us) for issued in case.grants)
