"""One connection to the server: how it is made, what is made sure of before it is used, and what its errors mean.

Not concerned with what lies in the tables.
"""

from __future__ import annotations

import logging
import math
import os
import re
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from guardrail.errors import TrailError
from guardrail.printing import printable

HOLD_SECONDS: Final = 1.0
"""Longest time that a replica which stopped keeps the others from writing, in seconds; at most half of the timeout."""

MAX_CONNECT_SECONDS: Final = 10
"""Longest time for one attempt to connect, in seconds; shorter where the timeout is, but at least two."""

MIN_VERSION: Final = 140000
"""Oldest server, as PostgreSQL numbers its versions: the schema needs `bit_count`."""

TRANSACTION_TIMEOUT_VERSION: Final = 170000
"""First server that can end a transaction by its age."""

MAX_CAUSE_CHARS: Final = 300
"""Longest text of the server that is repeated in a message, in characters."""


# The driver warns on standard error of a pipeline that ended with its connection; whoever waits is told by us.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


class Unreachable(TrailError):
    """The server cannot be used now; it is asked again until it can."""


class Limits(NamedTuple):
    """How long anything on a connection may take.

    Args:
        timeout: for one answer, in seconds.
        hold: for standing still while holding what others wait for, in seconds.
    """

    timeout: float
    hold: float

    @classmethod
    def within(cls, timeout: float) -> Limits:
        """The limits for a wait of `timeout` seconds in all: whoever stopped is put out while others still wait."""
        return cls(timeout, min(HOLD_SECONDS, timeout / 2))


def parameters(store: str) -> dict[str, Any]:
    """The connection that a store names, as libpq understands it.

    Raises:
        TrailError: if it is none; the text is not repeated, because it may hold a password.
    """
    try:
        return dict(conninfo_to_dict(store))
    except psycopg.ProgrammingError:
        raise TrailError(
            "the store of the trail is no connection: write `postgresql://user@host/database` or `service=name`"
        ) from None


def place(store: str) -> str:
    """How a store is named in messages and reports: where it is, never who connects or with what password."""
    given = parameters(store)
    if given.get("service") and not given.get("host"):
        return f"service={given['service']}"
    host = str(given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST") or "")
    port = f":{given['port']}" if given.get("port") else ""
    return f"postgresql://{host}{port}/{given.get('dbname') or os.environ.get('PGDATABASE') or ''}"


def cause(error: Exception) -> str:
    """What the server or the network said, as one piece of a sentence."""
    text = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    # Libpq tells each address that it tried in a line of its own, with advice in lines that begin with a tab.
    lines = [line for line in (text or str(error)).strip().splitlines() if line[:1].strip()]
    line = re.sub(r"^connection (failed|is bad): ", "", lines[-1] if lines else type(error).__name__)
    return printable(line[:1].lower() + line[1:]).rstrip(".")[:MAX_CAUSE_CHARS]


@contextmanager
def told(where: str) -> Generator[None]:
    """Errors of the driver as errors of the trail: passing ones as `Unreachable`, others as they are.

    Raises:
        Unreachable: if asking again may help: no connection, a time limit, a failover, a missing right.
        TrailError: if the rows themselves contradict each other; asking again would not help.
    """
    try:
        yield
    except psycopg.IntegrityError as error:
        raise TrailError(
            f"the trail `{where}` is damaged: {cause(error)}: run `guardrail audit verify` on it"
        ) from None
    except (psycopg.Error, OSError) as error:
        raise Unreachable(cause(error)) from None


class Server:
    """An open connection, and the clock of the call that is under way on it. Call `prepare` before anything else.

    Args:
        store: connection string; what it says of time limits is kept.
        limits: how long anything may take.

    Raises:
        Unreachable: if there is no server.
        TrailError: if the store names none.
    """

    def __init__(self, store: str, limits: Limits) -> None:
        self.limits = limits
        self.where = place(store)
        self._since = 0.0
        self._lock = threading.Lock()
        given = parameters(store)
        defaults: dict[str, Any] = {
            "application_name": "guardrail",
            "connect_timeout": min(MAX_CONNECT_SECONDS, max(2, math.ceil(limits.timeout))),
            # After a failover the old address may answer nothing at all, for a quarter of an hour by default.
            "tcp_user_timeout": int(limits.timeout * 1000),
            "keepalives_idle": 5,
            "target_session_attrs": "read-write",
        }
        with told(self.where):
            self.connection = psycopg.connect(**{**defaults, **given}, autocommit=True, prepare_threshold=0)
            # INVARIANT: a descriptor of our own, so that another thread never shuts down a number that was reused.
            self._cord = socket.socket(fileno=os.dup(self.connection.fileno()))

    def prepare(self) -> None:
        """Make sure that the server keeps what it acknowledges, and set the time limits.

        Raises:
            Unreachable: if it cannot take records now.
            TrailError: if it would lose records, or is too old.
        """
        with self.call():
            self._set_limits(self._check())

    def _check(self) -> str:
        """Refuse a server that cannot keep a ledger; its `synchronous_commit` if it can."""
        version = self.connection.info.server_version
        if version < MIN_VERSION:
            raise TrailError(
                f"the server of the trail `{self.where}` is PostgreSQL {version // 10000}:"
                f" use {MIN_VERSION // 10000} or later"
            )
        row = self.connection.execute(
            "select current_setting('synchronous_commit'), current_setting('fsync'),"
            " current_setting('transaction_read_only')"
        ).fetchone()
        synchronous, fsync, readonly = map(str, row or ("off", "off", "on"))
        if synchronous == "off" or fsync == "off":
            name = "synchronous_commit" if synchronous == "off" else "fsync"
            raise TrailError(
                f"the server of the trail `{self.where}` has `{name} = off`,"
                f" so it loses records that it acknowledged: set it to `on`"
            )
        if readonly == "on":
            raise Unreachable("the server is read-only")
        return synchronous

    def _set_limits(self, synchronous: str) -> None:
        hold = f"{max(1, int(self.limits.hold * 1000))}ms"
        answer = f"{max(1, int(self.limits.timeout * 1000))}ms"
        wanted = {
            "statement_timeout": answer,
            # Longer than the server lets a holder stand still: to give up earlier would be in vain.
            "lock_timeout": f"{max(1, int(self.limits.hold * 1500))}ms",
            "idle_in_transaction_session_timeout": hold,
            "search_path": "pg_catalog",
            "default_transaction_isolation": "read committed",
        }
        if self.connection.info.server_version >= TRANSACTION_TIMEOUT_VERSION:
            wanted["transaction_timeout"] = answer
        # What was found at the start stays, whatever is reloaded later.
        wanted["synchronous_commit"] = synchronous
        self.connection.execute(
            "select set_config(name, value, false) from unnest(%s::text[], %s::text[]) as t (name, value)",
            (list(wanted), list(wanted.values())),
        )

    @contextmanager
    def call(self) -> Generator[psycopg.Connection[Any]]:
        """The connection, for one call that others may `cut` when it takes too long.

        Raises:
            Unreachable: as `told`; the connection must be closed then.
            TrailError: as `told`.
        """
        self._since = time.monotonic()
        try:
            with told(self.where):
                yield self.connection
        finally:
            self._since = 0.0

    def cut(self, *, now: bool = False) -> None:
        """End a call that has taken longer than the timeout; from any thread. Whoever made it gets `Unreachable`.

        Args:
            now: end it however long it has taken.
        """
        with self._lock:
            since = self._since
            if since and (now or time.monotonic() - since > self.limits.timeout):
                try:
                    self._cord.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the other end was faster, or it is closed

    @contextmanager
    def deadline(self, seconds: float) -> Generator[None]:
        """End whatever call is under way when the time is up: a server that hangs answers no time limit of its own."""
        timer = threading.Timer(max(0.0, seconds), lambda: self.cut(now=True))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def close(self) -> None:
        """Let go; what was not committed never happened."""
        with self._lock:
            self._cord.close()
        self.connection.close()


LOCKED_OUT: Final = errors.LockNotAvailable
"""What a wait for a lock ends with when it takes longer than `lock_timeout`."""
