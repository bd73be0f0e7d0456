"""One SQLite file of the guard's own state: a connection for each process, and transactions that leave nothing open.

Not concerned with what is in it. What a crash of the process loses is nothing; what a power cut may lose is the last
moments.
"""

from __future__ import annotations

import errno
import os
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guardrail.errors import Fault

if TYPE_CHECKING:
    import sqlite3

LOG_PAGES: Final = 8192
"""Size of the log at which it is written back into the file, in pages of 4 KiB: that waits for the disk."""

_inherited: Final[list[sqlite3.Connection]] = []
"""Connections of a parent process; SQLite allows a child to do nothing with them, not even to close them."""


class StateFile:
    """A file of state; whoever uses it holds `lock` while they do, and a fork opens its own connection.

    Args:
        path: the file.
        busy: longest wait for another process that is writing, in seconds.
        readonly: never write, and do not create it.
        durable: what is written survives a power cut, at the price of waiting for the disk.
    """

    def __init__(self, path: Path, *, busy: float, readonly: bool = False, durable: bool = False) -> None:
        self.path: Final = path
        self.lock: Final = threading.RLock()
        self._busy = busy
        self._readonly = readonly
        self._durable = durable
        self._db: sqlite3.Connection | None = None
        self._pid = 0
        self._end: Callable[[], object] = _nothing

    def create(self) -> None:
        """Make the file, for its owner only, if it is not there.

        Raises:
            OSError: if that cannot be done.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))

    def close(self) -> None:
        """Let go of the file; it cannot be used any more."""
        with self.lock:
            self._end()
            self._db, self._pid = None, -1

    @contextmanager
    def use(self, problem: str) -> Generator[sqlite3.Connection]:
        """The connection of this process, which nobody else uses meanwhile.

        Args:
            problem: what could not be done if this fails, as the beginning of a sentence.

        Raises:
            Fault: if SQLite fails in it.
        """
        import sqlite3

        with self.lock:
            try:
                yield self.connection()
            except sqlite3.Error as error:
                raise Fault(f"{problem}: {error}") from None

    def connection(self) -> sqlite3.Connection:
        """The connection of this process.

        Raises:
            sqlite3.Error: if it cannot be opened, or was closed.
        """
        import sqlite3

        if self._pid == -1:
            raise sqlite3.ProgrammingError("it is closed")
        if self._pid != os.getpid():
            self._end()
            if self.path.is_dir():
                # SQLite calls it an error of the disk.
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            name = f"{self.path.absolute().as_uri()}?mode={'ro' if self._readonly else 'rw'}"
            db = sqlite3.connect(name, timeout=self._busy, isolation_level=None, check_same_thread=False, uri=True)
            self._db, self._pid = db, os.getpid()
            self._end = closes_with(self, db)
            if not self._readonly:
                level = "full" if self._durable else "normal"
                db.executescript(
                    f"pragma journal_mode = wal; pragma synchronous = {level}; pragma wal_autocheckpoint = {LOG_PAGES};"
                )
        if self._db is None:
            raise sqlite3.ProgrammingError("it is closed")
        return self._db


def closes_with(owner: object, db: sqlite3.Connection) -> Callable[[], object]:
    """Close a connection when its owner is let go of; in a child of a fork it is left alone.

    Args:
        owner: whoever uses it.
        db: the connection, which this process has opened.

    Returns:
        What closes it now.
    """
    # Not `__del__`: in a cycle the connection may be finalised first, and Python 3.13 warns that it is open.
    return weakref.finalize(owner, _close, db, os.getpid())


def remedy(error: Exception, lost: str) -> str:
    """Why a file of state cannot be opened and how to mend it, as the end of a sentence.

    Args:
        error: what SQLite or the system said.
        lost: what nobody knows any more if the file is given up.
    """
    told = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
    if "not a database" in told or "malformed" in told or isinstance(error, IsADirectoryError):
        return f"{told}: restore it, or move it away: {lost} is then forgotten"
    return f"{told}: make it readable, and the directory writable, for the user that the guard runs as"


def why_unusable(path: Path, lost: str) -> str:
    """Why a file of state cannot be opened, and how to mend it; empty if it can, or is not there. Nothing is changed.

    Args:
        path: the file.
        lost: what nobody knows any more if the file is given up.
    """
    import sqlite3

    if not os.path.lexists(path):
        return ""
    file = StateFile(path, busy=0.5, readonly=True)
    try:
        file.connection().execute("select count(*) from sqlite_master").fetchone()
    except (OSError, sqlite3.Error) as error:
        return remedy(error, lost)
    finally:
        file.close()
    return ""


@contextmanager
def transaction(db: sqlite3.Connection) -> Generator[sqlite3.Connection]:
    """All of what is written inside, or nothing of it: whatever is raised, no transaction stays open."""
    db.execute("begin immediate")
    try:
        yield db
        db.execute("commit")
    finally:
        if db.in_transaction:
            db.execute("rollback")


def _close(db: sqlite3.Connection, pid: int) -> None:
    if pid == os.getpid():
        db.close()
    else:
        _inherited.append(db)


def _nothing() -> None:
    """There is no connection yet."""
