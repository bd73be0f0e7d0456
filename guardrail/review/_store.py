"""The review store: decisions that stick, answers that are final, grants that are used once.

Not concerned with asking (adapters, service), judging (`guardrail.guard`) or grants (`_grants`).
Values reach SQL as parameters only; what is formatted into a statement is a constant of this package.

    pending ─┬─ approved ─ released ─┬─ done                     one grant is issued for each `released`
             ├─ rejected             ├─ failed ──┐
             ├─ responded            ├─ paused ──┴─ released     a retry, or the tool asked a question of its own
             ├─ expired              └─ refused                  a hard denial beats the approval
             └─ superseded
"""

# ruff: noqa: S608 - the formatted parts are constants, see above
from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardrail.model import Decision, ToolCall
from guardrail.review._grants import GRANT_SECONDS, GrantStore
from guardrail.review._records import Answer, CallKey, Review, ReviewError, State, TurnKey, clock_us
from guardrail.review._schema import COLUMNS, KEY, SELECT, encode_answer, key_row, review_row, to_review

if TYPE_CHECKING:
    import sqlite3

ESCALATION_SECONDS: Final = 24 * 3600
"""How long a question may wait for a person, in seconds; after that it counts as not answered."""

KEPT_SECONDS: Final = 30 * 24 * 3600
"""How long reviews and grants that came to an end are kept, in seconds; the trail keeps them for good."""

MAX_FORGOTTEN: Final = 10_000
"""Most reviews, and most grants, that are deleted at one time."""

MAX_TURNS_IN_MEMORY: Final = 4096
"""Most turns whose decisions are kept in memory only; the longest unused is dropped first."""

_STATE_OF: Final[dict[str, State]] = {
    "approve": "approved",
    "edit": "approved",
    "reject": "rejected",
    "respond": "responded",
}


class ReviewStore(GrantStore):
    """Escalations, the answers people gave, and grants, in one SQLite file that processes may share.

    A decision that no person has to see is remembered in memory only, and written when its turn pauses.
    It is thread-safe; a fork opens its own connection.
    Opening it ends what waited too long and forgets what ended more than `KEPT_SECONDS` ago.

    Args:
        path: the file, created with mode 0600; None keeps everything in memory, so that nothing outlives the process.
        grant_seconds: how long an approval may wait for its call, in seconds.
        escalation_seconds: how long a question may wait for a person, in seconds.
        clock: wall clock, in microseconds since the epoch.

    Raises:
        ReviewError: if the file cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        grant_seconds: int = GRANT_SECONDS,
        escalation_seconds: int = ESCALATION_SECONDS,
        clock: Callable[[], int] = clock_us,
    ) -> None:
        super().__init__(path, grant_seconds=grant_seconds, clock=clock)
        self._escalation_us = escalation_seconds * 1_000_000
        self._turns: OrderedDict[TurnKey, dict[CallKey, Review]] = OrderedDict()
        # Only housekeeping: a file that cannot be written says so to whoever needs it written.
        with suppress(ReviewError):
            self.expire()
            self.forget(clock() - KEPT_SECONDS * 1_000_000)

    # ── decisions that stick ─────────────────────────────────────────────────────────────────────────────────────────

    def remember(self, key: CallKey, call: ToolCall, decision: Decision) -> Review:
        """Keep a decision that was just made; the first one under a key stays.

        It is in memory until `keep` or `ask`, so a call that nobody has to see costs no disk write.

        Returns:
            The review to go by.
        """
        now = self._clock()
        review = Review.of(key, call, decision, now_us=now, expires_us=now + self._escalation_us)
        with self._lock:
            turn = self._turns.setdefault(key.turn, {})
            self._turns.move_to_end(key.turn)
            while len(self._turns) > MAX_TURNS_IN_MEMORY:
                self._turns.popitem(last=False)
            return turn.setdefault(key, review)

    def cached(self, key: CallKey) -> Review | None:
        """The review under a key if it is at hand without touching the disk."""
        with self._lock:
            return self._turns.get(key.turn, {}).get(key)

    def recall(self, key: CallKey) -> Review | None:
        """The review under a key, or None if this call of this turn was never judged.

        Raises:
            ReviewError: if the store cannot be read.
        """
        return self.cached(key) or self._first(SELECT + KEY, key_row(key))

    def shown(self, turn: TurnKey, call: str) -> tuple[Review, ...]:
        """What a person was asked about this call id in this turn, whatever its arguments were.

        Raises:
            ReviewError: if the store cannot be read.
        """
        where = "thread = ? and scope = ? and message = ? and call = ? and asked <> ''"
        return self._all(SELECT + where, (turn.thread, turn.scope, turn.message, call))

    def keep(self, turn: TurnKey) -> None:
        """Make everything remembered about a turn durable, because it is about to pause.

        Raises:
            ReviewError: if it cannot be written.
        """
        with self._lock:
            reviews = tuple(self._turns.get(turn, {}).values())
            if reviews:
                with self._transaction() as db:
                    self._insert(db, reviews)

    def ask(self, keys: Sequence[CallKey], *, asked: str, asker: str) -> tuple[Review, ...]:
        """Write down that a person is about to be asked; the whole turn becomes durable with it.

        Args:
            keys: the calls of one question, in the order in which they are shown; one turn.
            asked: fingerprint of the question.
            asker: which part of the adapter asks.

        Returns:
            The reviews as they were before: those whose `asked` differs have not been shown in this question yet,
            so an answer that is at hand now cannot be theirs.

        Raises:
            ReviewError: if it cannot be written; then nobody may be asked.
        """
        with self._lock, self._transaction() as db:
            for turn in dict.fromkeys(key.turn for key in keys):
                self._insert(db, self._turns.get(turn, {}).values())
            before: list[Review] = []
            for key in keys:
                row = db.execute(SELECT + KEY, key_row(key)).fetchone()
                if row is None:
                    raise ReviewError("a call was put to a person before it was judged")
                before.append(to_review(row))
                db.execute(
                    f"update review set asked = ?, asker = ? where asked = '' and {KEY}",
                    (asked, asker, *key_row(key)),
                )
        with self._lock:
            # From here on other processes may change them: the file is the only truth.
            for key in keys:
                self._turns.get(key.turn, {}).pop(key, None)
        return tuple(before)

    # ── what people say ──────────────────────────────────────────────────────────────────────────────────────────────

    def answer(self, key: CallKey, answer: Answer) -> Review:
        """Record what a person said; the first answer is final, a later one changes nothing.

        Args:
            key: the call that was held.
            answer: what was said. An `approve` or `edit` must name the digest it approves.

        Returns:
            The review with the answer that counts; without one if the question had expired.

        Raises:
            ReviewError: if no person was asked about this call, or it cannot be written.
        """
        if answer.kind in ("approve", "edit") and not answer.digest:
            raise ReviewError("an approval must name the digest of the call that it approves")
        now = self._clock()
        said = msgspec.structs.replace(answer, t_us=now)
        with self._transaction() as db:
            db.execute(
                f"update review set state = 'expired' where state = 'pending' and expires_us <= ? and {KEY}",
                (now, *key_row(key)),
            )
            db.execute(
                f"update review set state = ?, answer = ? where state = 'pending' and {KEY}",
                (_STATE_OF[answer.kind], encode_answer(said), *key_row(key)),
            )
            row = db.execute(SELECT + KEY, key_row(key)).fetchone()
        if row is None:
            raise ReviewError("no person was asked about this call")
        return to_review(row)

    def supersede(self, turn: TurnKey) -> int:
        """The conversation goes on with `turn`: questions of its earlier turns will not be answered any more.

        Kept results of those turns are dropped too.

        Returns:
            How many questions were superseded.

        Raises:
            ReviewError: if it cannot be written.
        """
        other = (turn.thread, turn.scope, turn.message)
        stale = "thread = ? and scope = ? and message <> ?"
        live = f"{stale} and (state = 'pending' or result is not null)"
        # Reading first: nearly always there is nothing to do, and a write lock on every turn would be felt.
        if self._read(f"select 1 from review where {live} limit 1", other) == []:
            return 0
        with self._transaction() as db:
            db.execute(f"update review set result = null where {stale}", other)
            done = db.execute(f"update review set state = 'superseded' where state = 'pending' and {stale}", other)
            return done.rowcount

    def expire(self) -> int:
        """End every question that waited too long.

        Returns:
            How many.

        Raises:
            ReviewError: if it cannot be written.
        """
        with self._transaction() as db:
            sql = "update review set state = 'expired' where state = 'pending' and expires_us <= ?"
            return db.execute(sql, (self._clock(),)).rowcount

    def forget(self, before_us: int) -> int:
        """Delete the oldest reviews and grants made before a time; a call still waiting is kept.

        Args:
            before_us: in microseconds since the epoch.

        Returns:
            How many reviews, at most `MAX_FORGOTTEN`.

        Raises:
            ReviewError: if it cannot be written.
        """
        oldest = "created_us < ? and {} order by created_us limit ?"
        used = oldest.format("(state <> 'active' or expires_us <= ?)")
        over = oldest.format("state <> 'pending'")
        primary = "thread, scope, message, call, digest"
        with self._transaction() as db:
            db.execute(
                f"delete from leave where id in (select id from leave where {used})",
                (before_us, self._clock(), MAX_FORGOTTEN),
            )
            return db.execute(
                f"delete from review where ({primary}) in (select {primary} from review where {over})",
                (before_us, MAX_FORGOTTEN),
            ).rowcount

    def pending(self) -> tuple[Review, ...]:
        """Every call that waits for a person, oldest first.

        Raises:
            ReviewError: if the store cannot be read.
        """
        where = "state = 'pending' and asked <> '' and expires_us > ? order by created_us"
        return self._all(SELECT + where, (self._clock(),))

    def find(self, decision_id: str) -> Review | None:
        """The review of one decision, if it was ever made durable.

        Raises:
            ReviewError: if the store cannot be read.
        """
        return self._first(SELECT + "decision_id = ?", (decision_id,))

    def _insert(self, db: sqlite3.Connection, reviews: Iterable[Review]) -> None:
        marks = ", ".join("?" * (COLUMNS.count(",") + 1))
        db.executemany(f"insert or ignore into review ({COLUMNS}) values ({marks})", [review_row(r) for r in reviews])

    def _first(self, sql: str, values: tuple[Any, ...]) -> Review | None:
        rows = self._read(sql, values)
        return to_review(rows[0]) if rows else None

    def _all(self, sql: str, values: tuple[Any, ...]) -> tuple[Review, ...]:
        return tuple(to_review(row) for row in self._read(sql, values))
