"""One SQLite file, used from many threads and processes: reading, durable writing, and nothing else.

Not concerned with what is in it (`_schema`) or what may follow on what (`_machine`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from guardrail.review._records import ReviewError
from guardrail.review._schema import cause, connect, failures
from guardrail.storage import closes_with

if TYPE_CHECKING:
    import sqlite3


class ReviewFile:
    """The file behind a store; it is closed when nobody holds the store any more.

    Args:
        path: the file; None keeps everything in memory.

    Raises:
        ReviewError: if the file cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._path = None if path is None else Path(path)
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; later uses raise `ReviewError`."""
        with self._lock:
            self._end()
            self._db = None

    def _read(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection().execute(sql, values).fetchall()
            except failures() as error:
                raise ReviewError(f"the review store cannot be read: {cause(error)}") from None

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """One durable write; everything in it happens, or nothing."""
        with self._lock:
            db = self._connection()
            try:
                db.execute("begin immediate")
                yield db
                db.execute("commit")
            except BaseException as error:
                if db.in_transaction:
                    db.execute("rollback")
                if isinstance(error, failures()):
                    raise ReviewError(f"the review store cannot be written: {cause(error)}") from None
                raise

    def _connection(self) -> sqlite3.Connection:
        if self._pid != os.getpid():
            # SQLite connections must not cross a fork; a store in memory cannot.
            if self._path is None:
                raise ReviewError("a review store in memory cannot be used after a fork: give it a file")
            if self._db is not None:
                self._end()
                self._open()
        if self._db is None:
            raise ReviewError("the review store is closed")
        return self._db

    def _open(self) -> None:
        # The process is noted after the connection is there: while it is not, the parent's must not pass for it.
        db = connect(self._path)
        self._db, self._pid = db, os.getpid()
        self._end = closes_with(self, db)
