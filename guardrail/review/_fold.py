"""The book of cases as the ledger has it: taken in, waited for, written down, and changed one command at a time.

    with the ledger's turn:  take in the news -> decide -> append -> evolve

Reading needs no lock and no disk: the folded book is in memory, and `look` says what others wrote meanwhile.
Not concerned with which commands there are (`_desk`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from guardrail.audit.clock import Clock
from guardrail.review._book import Book, Kept, digest_of
from guardrail.review._case import AnyEvent, Case, from_record, to_record
from guardrail.review._commands import Command, Refused
from guardrail.review._ledger import Ledger, Turn
from guardrail.review._machine import decide
from guardrail.review._records import ReviewError
from guardrail.review._snapshot import Snapshot

SNAPSHOT_EVERY: Final = 1_000
"""After how many records of review the book is written down again."""


class Fold:
    """A fold of the ledger, kept up to date.

    Args:
        ledger: where records go, and come from.
        snapshot: where the folded state is written down; None folds the whole ledger at each opening.
        clock: the time, in microseconds since the epoch; by default one that cannot be set back.

    Raises:
        ReviewError: if the ledger holds what cannot be folded.
        TrailError: if it cannot be read.
    """

    def __init__(
        self, ledger: Ledger, *, snapshot: Snapshot | None = None, clock: Callable[[], int] | None = None
    ) -> None:
        self.clock: Final = clock or Clock()
        self._ledger = ledger
        self._snapshot = snapshot
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._pid = os.getpid()
        self._since_snapshot = 0
        self._inbox: Callable[[], object] | None = None
        self._told: list[Callable[[], object]] = []
        self._book = self._open()

    @property
    def book(self) -> Book:
        """Every case, for reading."""
        return self._book

    def find(self, escalation: str) -> Case | None:
        """The case of an escalation, as far as this process knows; `look` first where others write too."""
        return self._book.get(escalation)

    def look(self) -> None:
        """Take in what others have written, and what lies in the inbox.

        Raises:
            TrailError: if the ledger cannot be read.
        """
        if self._inbox is not None:
            self._inbox()
        with self._lock, self._ledger.turn() as turn:
            news = self._news(self._book, turn)
        self._tell(news)

    def watch(self, inbox: Callable[[], object]) -> None:
        """Call this before each `look`: it brings in votes that people left somewhere."""
        self._inbox = inbox

    def wait(self, escalation: str, version: int, seconds: float) -> Case | None:
        """Wait until a case is another than it was, at most so long.

        Args:
            escalation: its id.
            version: of what is known.
            seconds: longest wait, in seconds.

        Returns:
            The case as it is then.
        """
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                case = self.find(escalation)
                left = end - time.monotonic()
                if case is None or case.version != version or left <= 0 or case.state_at(self.clock()) != case.state:
                    return case
                self._changed.wait(min(left, 1.0))

    def subscribe(self, told: Callable[[], object]) -> Callable[[], None]:
        """Have something called, in whatever thread, after each change; what it returns ends that.

        Args:
            told: must not wait, and must not raise.
        """
        with self._changed:
            self._told.append(told)

        def end() -> None:
            with self._changed:
                self._told.remove(told)

        return end

    def since(self, seq: int) -> tuple[tuple[int, Case], ...]:
        """Cases that changed behind a record, each with its last record, in that order."""
        with self._lock:
            found = [(last, case) for case in self._book.cases() if (last := self._book.last_of(case.held.id)) > seq]
        return tuple(sorted(found, key=lambda pair: pair[0]))

    def save(self) -> None:
        """Write the folded state down, so that the next opening is quick."""
        if self._snapshot is not None and os.getpid() == self._pid:
            with self._lock:
                kept = self._book.keep()
            if kept.last:
                self._snapshot.save(kept)

    def _do(self, escalation: str, command: Command, request: str = "") -> Sequence[AnyEvent]:
        with self._lock:
            with self._ledger.turn() as turn:
                news = self._news(self._book, turn)
                events = decide(self._book.get(escalation), command)
                if request and events:
                    events = (msgspec.structs.replace(events[0], request=request), *events[1:])
                numbers = turn.append([to_record(event) for event in events]) if events else ()
            # INVARIANT: only what is durable is folded in. What failed, and was written all the same, is in the news.
            for seq, event in zip(numbers, events, strict=True):
                self._book.take(seq, to_record(event))
            self._since_snapshot += len(events)
        self._tell([*news, *events])
        if self._since_snapshot >= SNAPSHOT_EVERY:
            self._since_snapshot = 0
            self.save()
        return events

    def _tell(self, events: Iterable[AnyEvent]) -> None:
        if events:
            with self._changed:
                self._changed.notify_all()
                told = tuple(self._told)
            for one in told:
                one()

    def _news(self, book: Book, turn: Turn) -> list[AnyEvent]:
        return [book.take(seq, record) for seq, record in turn.news(book.seq)]

    def _known(self, escalation: str) -> Case:
        case = self._book.get(escalation)
        if case is None:
            raise Refused("unknown", f"the escalation `{escalation}` was forgotten meanwhile")
        return case

    def _open(self) -> Book:
        kept = self._snapshot.load() if self._snapshot is not None else None
        with self._ledger.turn() as turn:
            if kept is not None and (book := _resumed(kept, turn)) is not None:
                return book
            book = Book()
            self._news(book, turn)
            return book


def _resumed(kept: Kept, turn: Turn) -> Book | None:
    """The book that goes on from what was written down, or None if that does not fit this ledger."""
    news = iter(turn.news(kept.seq - 1))
    first = next(news, None)
    try:
        if first is None or first[0] != kept.seq or digest_of(from_record(first[1])) != kept.last:
            return None
        book = Book(kept)
        for later, following in news:
            book.take(later, following)
    except ReviewError:
        return None
    return book
