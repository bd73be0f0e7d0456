"""Grants: leave for one execution, issued from an approval and used up exactly once.

Not concerned with how the approval came about (`_store`).
Values reach SQL as parameters only; what is formatted into a statement is a constant of this package.
"""

# ruff: noqa: S608 - the formatted parts are constants, see above
from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from guardrail.model import Outcome, Reason, new_id
from guardrail.review._file import ReviewFile
from guardrail.review._records import CallKey, Grant, ReviewError, clock_us
from guardrail.review._schema import KEY, SELECT, key_row, to_review

if TYPE_CHECKING:
    import sqlite3

GRANT_SECONDS: Final = 900
"""How long an approval may wait for its call, in seconds."""

MAX_RELEASES: Final = 16
"""Most grants for one approval: the call itself, retries after the tool raised, and pauses of the tool."""

MAX_RESULT_BYTES: Final = 1024 * 1024
"""Largest result kept for a turn that is run again, in bytes; a larger one is forgotten, and the call not repeated."""

Ending = Literal["done", "failed", "paused", "refused"]
"""How a released call ended."""

_LEAVE: Final = "id, digest, approver, created_us, expires_us, escalation"
_FIND: Final = (
    f"select {_LEAVE}, (select reasons from review where decision_id = leave.escalation limit 1) from leave where "
)
_reasons: Final = msgspec.msgpack.Decoder(tuple[Reason, ...])


class GrantStore(ReviewFile):
    """The half of the review store that deals with grants.

    Args:
        path: the file; None keeps everything in memory.
        grant_seconds: how long an approval may wait for its call, in seconds.
        clock: wall clock, in microseconds since the epoch.

    Raises:
        ReviewError: if the file cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        *,
        grant_seconds: int = GRANT_SECONDS,
        clock: Callable[[], int] = clock_us,
    ) -> None:
        super().__init__(path)
        self._grant_us = grant_seconds * 1_000_000
        self._clock = clock

    def issue(self, key: CallKey, digest: str) -> Grant | None:
        """A grant for an approved call, for one execution.

        A grant that was issued and never redeemed is given again, so two processes that resume the same thread race
        for one grant.

        Args:
            key: the call that was held.
            digest: digest of what is to run: the call's own, or that of the reviewer's edit.

        Returns:
            The grant, or None if the approval is for another call, used up, waited too long, or is none.

        Raises:
            ReviewError: if it cannot be written.
        """
        now = self._clock()
        with self._transaction() as db:
            row = db.execute(SELECT + KEY, key_row(key)).fetchone()
            review = None if row is None else to_review(row)
            # 1. Somebody said yes, and said it to exactly this.
            if review is None or review.answer is None or review.answer.digest != digest or not digest:
                return None
            # 2. A release whose end is not known gives its own grant again if that was never redeemed, and none else.
            if review.state == "released":
                return _active(db, review.decision_id, digest, now)
            # 3. The approval is not used up, and was not left lying about.
            if review.state not in ("approved", "failed", "paused") or review.releases >= MAX_RELEASES:
                return None
            if review.state == "approved" and now >= review.answer.t_us + self._grant_us:
                db.execute(f"update review set state = 'expired' where {KEY}", key_row(key))
                return None
            grant = Grant(
                id=new_id(),
                digest=digest,
                approver=review.answer.approver,
                created_us=now,
                expires_us=now + self._grant_us,
                escalation=review.decision_id,
                shown=_shown(review.reasons),
            )
            db.execute(
                f"update review set state = 'released', releases = releases + 1 where {KEY}",
                key_row(key),
            )
            db.execute(
                "insert into leave values (?, ?, ?, ?, ?, ?, 'active', null)",
                (grant.id, digest, grant.approver, now, grant.expires_us, grant.escalation),
            )
            return grant

    def valid(self, grant: Grant | str, digest: str, now_us: int | None = None) -> Grant | None:
        """The grant as it was issued, if it could be redeemed now; nothing is used up.

        INVARIANT: only the id of what is given counts, the rest is read from the file. Anybody can make a `Grant`.

        Args:
            grant: the grant or its id.
            digest: digest of the call it is wanted for, worked out afresh.
            now_us: the time, in microseconds since the epoch; the store's clock by default.

        Raises:
            ReviewError: if the store cannot be read.
        """
        now = self._clock() if now_us is None else now_us
        sql = _FIND + "id = ? and digest = ? and state = 'active' and expires_us > ?"
        rows = self._read(sql, (_id(grant), digest, now))
        return _grant(rows[0]) if rows else None

    def redeem(self, grant: Grant | str, digest: str, now_us: int | None = None) -> Grant | None:
        """Use a grant up.

        INVARIANT: of all callers in all processes, exactly one gets the grant (compare and set in one statement).

        Args:
            grant: the grant or its id.
            digest: digest of the call that is about to run, worked out afresh.
            now_us: the time, in microseconds since the epoch; the store's clock by default.

        Returns:
            The grant as it was issued, or None if it is unknown, used, expired, or for another call.

        Raises:
            ReviewError: if it cannot be written; then it must count as not redeemed.
        """
        now = self._clock() if now_us is None else now_us
        with self._transaction() as db:
            won = db.execute(
                "update leave set state = 'redeemed', redeemed_us = ?"
                " where id = ? and digest = ? and state = 'active' and expires_us > ?",
                (now, _id(grant), digest, now),
            )
            if won.rowcount != 1:
                return None
            return _grant(db.execute(_FIND + "id = ?", (_id(grant),)).fetchone())

    def finish(self, key: CallKey, ending: Ending, *, result: bytes | None = None) -> None:
        """Record how a released call ended; without this it stays `released` and is never run again.

        Args:
            key: the call that was held.
            ending: how it ended.
            result: for `done`, what it returned, kept for a turn that is run again; at most `MAX_RESULT_BYTES`.

        Raises:
            ReviewError: if it cannot be written.
        """
        kept = result if result is not None and len(result) <= MAX_RESULT_BYTES else None
        with self._transaction() as db:
            db.execute(
                f"update review set state = ?, result = ? where state = 'released' and {KEY}",
                (ending, kept, *key_row(key)),
            )
            db.execute(
                "update leave set state = 'revoked' where state = 'active' and escalation ="
                f" (select decision_id from review where {KEY})",
                key_row(key),
            )


def _id(grant: Grant | str) -> str:
    return grant if isinstance(grant, str) else grant.id


def _grant(row: tuple[Any, ...]) -> Grant:
    *own, reasons = row
    try:
        # INVARIANT: without the review that it was issued from, a grant has shown nothing, and so lifts nothing.
        shown = () if reasons is None else _shown(_reasons.decode(reasons))
        return msgspec.convert({**dict(zip(_LEAVE.split(", "), own, strict=True)), "shown": shown}, Grant)
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        raise ReviewError(f"the review store holds a damaged grant: {error}") from None


def _shown(reasons: Iterable[Reason]) -> tuple[tuple[str, str | None], ...]:
    held = ((reason.rule, reason.asset) for reason in reasons if reason.outcome is Outcome.ESCALATE)
    return tuple(dict.fromkeys(held))


def _active(db: sqlite3.Connection, escalation: str, digest: str, now: int) -> Grant | None:
    row = db.execute(
        _FIND + "escalation = ? and digest = ? and state = 'active' and expires_us > ?",
        (escalation, digest, now),
    ).fetchone()
    return None if row is None else _grant(row)
