"""The SQLite file behind the review store: opening it, its tables, and rows to records.

Not concerned with what may follow on what (`_machine`): it is a memory, and nothing in it lets a call run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardrail.masking import masked, masked_value
from guardrail.model import Outcome, Reason
from guardrail.review._records import Answer, CallKey, Review, ReviewError, TurnKey
from guardrail.storage import remedy

if TYPE_CHECKING:
    # Loaded where a store is opened: `import guardrail` is on the path of every harness hook.
    import sqlite3

SCHEMA_VERSION: Final = 2
"""`PRAGMA user_version` of a store this code can use."""

BUSY_SECONDS: Final = 2.0
"""Longest wait for another process that holds the file, in seconds."""

LOST: Final = "what adapters remember of turns that wait for people"
"""What nobody knows any more without the file."""

_TABLES: Final = """
create table review (
    thread text not null, scope text not null, message text not null, call text not null, digest text not null,
    decision_id text not null, outcome text not null, reasons blob not null, tool text not null, args blob not null,
    state text not null, asked text not null, asker text not null, answer blob,
    created_us integer not null, expires_us integer not null, result blob,
    primary key (thread, scope, message, call, digest)
) strict, without rowid;
create index review_state on review (state, thread, scope);
create index review_decision on review (decision_id);
create index review_age on review (created_us);
"""

COLUMNS: Final = (
    "thread, scope, message, call, digest, decision_id, outcome, reasons, tool, args, state, asked, asker, answer,"
    " created_us, expires_us, result"
)
"""Columns of `review`, in the order that `review_row` writes and `to_review` reads."""

SELECT: Final = f"select {COLUMNS} from review where "  # noqa: S608 - a constant
"""How reviews are read; a condition follows."""

KEY: Final = "thread = ? and scope = ? and message = ? and call = ? and digest = ?"
"""The condition for one sticky key, with the values of `key_row`."""

_encode: Final = msgspec.msgpack.Encoder().encode
_reasons: Final = msgspec.msgpack.Decoder(tuple[Reason, ...])
_args: Final = msgspec.msgpack.Decoder(dict[str, Any])
_answer: Final = msgspec.msgpack.Decoder(Answer)


def connect(path: Path | None) -> sqlite3.Connection:
    """Open the store, and create it if it is not there.

    Args:
        path: the file, or None for memory.

    Returns:
        A connection in autocommit mode; the caller serialises its use.

    Raises:
        ReviewError: if it cannot be opened, or was made by another version.
    """
    import sqlite3

    name = ":memory:" if path is None else str(path)
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # It holds arguments and approvals: nobody but the owner may read or write it.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(name, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except failures() as error:
        raise ReviewError(f"cannot open the review store `{name}`: {_remedy(error)}") from None
    try:
        _prepare(db)
    except failures() as error:
        db.close()
        raise ReviewError(f"cannot use the review store `{name}`: {_remedy(error)}") from None
    except ReviewError:
        db.close()
        raise
    return db


def failures() -> tuple[type[Exception], ...]:
    """What a use of the file may raise: SQLite's own errors, and values that it cannot hold."""
    import sqlite3

    return (sqlite3.Error, OSError, UnicodeError, OverflowError)


def _remedy(error: Exception) -> str:
    return remedy(error, LOST)


def cause(error: BaseException) -> str:
    """What SQLite or the system says, without numbers of errors."""
    return error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)


def _prepare(db: sqlite3.Connection) -> None:
    # Not WAL: before 3.51.3 a WAL reset with two connections can lose commits (sqlite.org/wal.html#walresetbug),
    # and with a lost commit a person would be asked again what they have answered.
    db.execute("pragma journal_mode = delete")
    db.execute("pragma synchronous = full")
    db.execute("begin immediate")
    try:
        (version,) = db.execute("pragma user_version").fetchone()
        if version == 1:
            # Its grants were the only ones there were; now they are in the ledger, and those count for nothing.
            db.execute("drop table leave")
            db.execute("drop table review")
        if version in (0, 1):
            for statement in filter(str.strip, _TABLES.split(";")):
                db.execute(statement)
            db.execute(f"pragma user_version = {SCHEMA_VERSION}")
        db.execute("commit")
    except BaseException:
        db.execute("rollback")
        raise
    if version not in (0, 1, SCHEMA_VERSION):
        raise ReviewError(
            f"the review store has version {version}, this program needs {SCHEMA_VERSION}: move the file away"
        )


def review_row(review: Review) -> tuple[Any, ...]:
    """One review as the values of `COLUMNS`."""
    return (
        *key_row(review.key),
        review.decision_id,
        review.outcome.value,
        _encode([msgspec.structs.replace(reason, message=masked(reason.message)) for reason in review.reasons]),
        review.tool,
        encode_args(masked_value(review.args)),
        review.state,
        review.asked,
        review.asker,
        None if review.answer is None else encode_answer(review.answer),
        review.created_us,
        review.expires_us,
        review.result,
    )


def key_row(key: CallKey) -> tuple[str, str, str, str, str]:
    """One sticky key as the values of the primary key."""
    return (key.turn.thread, key.turn.scope, key.turn.message, key.call, key.digest)


def to_review(row: tuple[Any, ...]) -> Review:
    """One row of `COLUMNS` as a review.

    Raises:
        ReviewError: if the row is not one that this code wrote.
    """
    try:
        return Review(
            key=CallKey(turn=TurnKey(thread=row[0], scope=row[1], message=row[2]), call=row[3], digest=row[4]),
            decision_id=row[5],
            outcome=Outcome(row[6]),
            reasons=_reasons.decode(row[7]),
            tool=row[8],
            args=_args.decode(row[9]),
            state=row[10],
            asked=row[11],
            asker=row[12],
            answer=None if row[13] is None else _answer.decode(row[13]),
            created_us=row[14],
            expires_us=row[15],
            result=row[16],
        )
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        raise ReviewError(f"the review store holds a damaged review: {error}") from None


def encode_args(args: dict[str, Any]) -> bytes:
    """Tool arguments as bytes.

    Raises:
        ReviewError: if they are not plain values, so that they could not be shown or restored.
    """
    try:
        return _encode(args)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ReviewError(f"the arguments of a call cannot be kept for review: {error}") from None


def encode_answer(answer: Answer) -> bytes:
    """An answer as bytes.

    Raises:
        ReviewError: if edited arguments are not plain values.
    """
    try:
        return _encode(answer)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ReviewError(f"an answer cannot be kept: {error}") from None
