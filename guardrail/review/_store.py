"""What an adapter remembers of its turns: decisions that stick, what people were asked, results of calls that ran.

INVARIANT: this is a memory that may be deleted or edited, and nothing in it lets a call run. What people said, what
they gave and what was used of it is read from the ledger (`ReviewDesk`) each time.
Not concerned with asking (adapters, service) or judging (`guardrail.guard`).
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
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from guardrail.errors import TrailError
from guardrail.model import Decision, Outcome, ToolCall
from guardrail.review._case import Ending, Vote
from guardrail.review._commands import Refused
from guardrail.review._desk import Redemption, ReviewDesk
from guardrail.review._file import ReviewFile
from guardrail.review._known import as_known
from guardrail.review._ledgers import MemoryLedger
from guardrail.review._records import Answer, CallKey, Grant, Review, ReviewError, TurnKey
from guardrail.review._schema import COLUMNS, KEY, SELECT, encode_answer, key_row, review_row, to_review

if TYPE_CHECKING:
    import sqlite3

ESCALATION_SECONDS: Final = 24 * 3600
"""How long a question that no ledger knows of is remembered as open, in seconds."""

KEPT_SECONDS: Final = 30 * 24 * 3600
"""How long reviews that came to an end are kept, in seconds; the trail keeps them for good."""

MAX_FORGOTTEN: Final = 10_000
"""Most reviews that are deleted at one time."""

MAX_TURNS_IN_MEMORY: Final = 4096
"""Most turns whose decisions are kept in memory only; the longest unused is dropped first."""

MAX_RESULT_BYTES: Final = 1024 * 1024
"""Largest result kept for a turn that is run again, in bytes; a larger one is forgotten, and the call not repeated."""

MAX_REASON_CHARS: Final = 1000
"""Longest reason that goes on record, in characters."""

Close = Literal["done", "failed", "paused", "refused"]
"""How a released call ended."""

_ENDING: Final[dict[Close, Ending]] = {"done": "completed", "failed": "failed", "paused": "paused"}


class ReviewStore(ReviewFile):
    """An adapter's memory of turns, in one SQLite file that processes may share, beside the desk that decides.

    A decision that no person has to see is remembered in memory only, and written when its turn pauses.
    It is thread-safe; a fork opens its own connection.
    Opening it forgets what ended more than `KEPT_SECONDS` ago.

    Args:
        path: the file, created with mode 0600; None keeps everything in memory, so that nothing outlives the process.
        desk: where answers are recorded and grants come from; by default one of its own, which ends with the process.
        clock: wall clock, in microseconds since the epoch.

    Raises:
        ReviewError: if the file cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        desk: ReviewDesk | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(path)
        self.desk: Final = desk if desk is not None else ReviewDesk(MemoryLedger(), clock=clock)
        self._clock: Callable[[], int] = clock or self.desk.clock
        self._turns: OrderedDict[TurnKey, dict[CallKey, Review]] = OrderedDict()
        # Only housekeeping: a file that cannot be written says so to whoever needs it written.
        with suppress(ReviewError):
            self.forget(self._clock() - KEPT_SECONDS * 1_000_000)

    # ── decisions that stick ─────────────────────────────────────────────────────────────────────────────────────────

    def remember(self, key: CallKey, call: ToolCall, decision: Decision) -> Review:
        """Keep a decision that was just made; the first one under a key stays.

        It is in memory until `keep` or `ask`, so a call that nobody has to see costs no disk write.

        Returns:
            The review to go by.
        """
        now = self._clock()
        review = Review.of(key, call, decision, now_us=now, expires_us=now + ESCALATION_SECONDS * 1_000_000)
        with self._lock:
            turn = self._turns.setdefault(key.turn, {})
            self._turns.move_to_end(key.turn)
            while len(self._turns) > MAX_TURNS_IN_MEMORY:
                self._turns.popitem(last=False)
            return turn.setdefault(key, review)

    def cached(self, key: CallKey) -> Review | None:
        """The review under a key if it is at hand without touching the disk."""
        with self._lock:
            kept = self._turns.get(key.turn, {}).get(key)
        return None if kept is None else self._known(kept)

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
            ReviewError: if it cannot be written, or the ledger holds no such escalation; then nobody may be asked.
        """
        with self._lock, self._transaction() as db:
            for turn in dict.fromkeys(key.turn for key in keys):
                self._insert(db, self._turns.get(turn, {}).values())
            before: list[Review] = []
            for key in keys:
                row = db.execute(SELECT + KEY, key_row(key)).fetchone()
                if row is None:
                    raise ReviewError("a call was put to a person before it was judged")
                before.append(self._known(to_review(row)))
                if self.desk.find(before[-1].decision_id) is None:
                    raise ReviewError("a call was put to a person that is not held on the ledger")
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
        """Record what a person said as an unsigned vote; the first answer that counts is final.

        Args:
            key: the call that was held.
            answer: what was said. An `approve` or `edit` must name the digest it approves.

        Returns:
            The review as it stands then; still pending if the vote does not count, or others have to vote too.

        Raises:
            ReviewError: if no person was asked about this call, or it cannot be recorded.
        """
        if answer.kind in ("approve", "edit") and not answer.digest:
            raise ReviewError("an approval must name the digest of the call that it approves")
        if answer.kind == "approve" and answer.digest != key.digest:
            raise ReviewError("the approval is for another call than the one that was shown")
        review = self._first(SELECT + KEY, key_row(key))
        if review is None or not review.asked:
            raise ReviewError("no person was asked about this call")
        try:
            # A signed vote that came before it goes first.
            self.desk.look()
            case = self.desk.cast(review.decision_id, _vote(answer))
        except Refused:
            return self._known(review)  # it was answered before, is over, or this person may not
        except TrailError as error:
            raise ReviewError(f"an answer cannot be recorded: {error}") from None
        if case.state == "pending":
            return self._known(review)
        said = msgspec.structs.replace(answer, t_us=self._clock())
        with self._transaction() as db:
            db.execute(
                f"update review set state = 'decided', answer = ? where {KEY}", (encode_answer(said), *key_row(key))
            )
        return self._known(msgspec.structs.replace(review, answer=said))

    def supersede(self, turn: TurnKey) -> int:
        """The conversation goes on with `turn`: questions of its earlier turns will not be answered any more.

        Kept results of those turns are dropped too.

        Returns:
            How many questions were superseded.

        Raises:
            ReviewError: if it cannot be recorded.
        """
        other = (turn.thread, turn.scope, turn.message)
        stale = "thread = ? and scope = ? and message <> ?"
        live = f"{stale} and (state = 'pending' or result is not null)"
        # Reading first: nearly always there is nothing to do, and a write lock on every turn would be felt.
        found = self._all(SELECT + live, other)
        if not found:
            return 0
        closed = sum(review.state == "pending" and self._supersede(review) for review in found)
        with self._transaction() as db:
            db.execute(f"update review set result = null, state = 'decided' where {live}", other)
        return closed

    def _supersede(self, review: Review) -> bool:
        try:
            return self.desk.close(review.decision_id, "superseded").state == "superseded"
        except Refused:
            return False
        except TrailError as error:
            raise ReviewError(f"what was superseded cannot be recorded: {error}") from None

    def issue(self, key: CallKey, digest: str) -> Grant | None:
        """A grant for an approved call, for one execution; see `ReviewDesk.issue`.

        Args:
            key: the call that was held.
            digest: digest of what is to run: the call's own, or that of the reviewer's edit.

        Raises:
            ReviewError: if it cannot be recorded.
        """
        review = self.recall(key)
        if review is None:
            return None
        try:
            return self.desk.issue(review.decision_id, digest)
        except TrailError as error:
            raise ReviewError(f"a grant cannot be recorded: {error}") from None

    def finish(self, key: CallKey, ending: Close, *, result: bytes | None = None) -> None:
        """Record how a released call ended; without this it stays `released` and is never run again.

        Args:
            key: the call that was held.
            ending: how it ended.
            result: for `done`, what it returned, kept for a turn that is run again; at most `MAX_RESULT_BYTES`.

        Raises:
            ReviewError: if it cannot be recorded.
        """
        review = self.recall(key)
        if review is None:
            return
        if result is not None and len(result) <= MAX_RESULT_BYTES:
            with self._transaction() as db:
                db.execute(f"update review set result = ? where {KEY}", (result, *key_row(key)))
        try:
            self._end_grant(review.decision_id, ending)
        except (TrailError, Refused) as error:
            raise ReviewError(f"the end of a call cannot be recorded: {error}") from None

    def _end_grant(self, escalation: str, ending: Close) -> None:
        case = self.desk.find(escalation)
        if case is None or not case.grants:
            return
        last = case.grants[-1]
        if ending == "refused":
            self.desk.withdraw(last.grant.id, "refused")
        elif last.uses:
            self.desk.finish(Redemption(grant=last.grant, use=last.uses[-1].number), _ENDING[ending])
        elif ending == "done":
            # Policy let it through without anybody's leave: that leave must not be lying about.
            self.desk.withdraw(last.grant.id, "unneeded")

    def expire(self) -> int:
        """End every question that waited too long.

        Returns:
            How many.
        """
        return self.desk.expire()

    def forget(self, before_us: int) -> int:
        """Delete the oldest reviews made before a time; a call still waiting is kept.

        Args:
            before_us: in microseconds since the epoch.

        Returns:
            How many, at most `MAX_FORGOTTEN`.

        Raises:
            ReviewError: if it cannot be written.
        """
        over = "created_us < ? and (state <> 'pending' or expires_us <= ?) order by created_us limit ?"
        primary = "thread, scope, message, call, digest"
        with self._transaction() as db:
            return db.execute(
                f"delete from review where ({primary}) in (select {primary} from review where {over})",
                (before_us, self._clock(), MAX_FORGOTTEN),
            ).rowcount

    def pending(self) -> tuple[Review, ...]:
        """Every call of a turn that waits for a person, oldest first.

        Raises:
            ReviewError: if the store cannot be read.
        """
        found = self._all(SELECT + "state = 'pending' and asked <> '' order by created_us", ())
        return tuple(review for review in found if review.state == "pending")

    def find(self, decision_id: str) -> Review | None:
        """The review of one decision, if it was ever made durable.

        Raises:
            ReviewError: if the store cannot be read.
        """
        return self._first(SELECT + "decision_id = ?", (decision_id,))

    def _known(self, review: Review) -> Review:
        """A remembered review as the ledger has it."""
        if review.outcome is not Outcome.ESCALATE:
            return review
        return as_known(review, self.desk.find(review.decision_id), self._clock())

    def _insert(self, db: sqlite3.Connection, reviews: Iterable[Review]) -> None:
        marks = ", ".join("?" * (COLUMNS.count(",") + 1))
        db.executemany(f"insert or ignore into review ({COLUMNS}) values ({marks})", [review_row(r) for r in reviews])

    def _first(self, sql: str, values: tuple[Any, ...]) -> Review | None:
        rows = self._read(sql, values)
        return self._known(to_review(rows[0])) if rows else None

    def _all(self, sql: str, values: tuple[Any, ...]) -> tuple[Review, ...]:
        return tuple(self._known(to_review(row)) for row in self._read(sql, values))


def _vote(answer: Answer) -> Vote:
    match answer.kind:
        case "approve":
            return Vote(voter=answer.approver, verdict="approve", at_us=0)
        case "edit":
            return Vote(voter=answer.approver, verdict="approve", at_us=0, edit=answer.digest)
        case "reject":
            return Vote(
                voter=answer.approver, verdict="deny", at_us=0, reason=(answer.message or "")[:MAX_REASON_CHARS]
            )
        case "respond":
            # The words are the tool's result, and so not for the ledger.
            return Vote(voter=answer.approver, verdict="respond", at_us=0)
