"""A replica's own thread beside the writer: it renews the lease, and answers for those who stopped.

A connection is made for each look and closed again: a replica that does nothing holds one connection, not two.
What fails here is tried again at the next look. Nothing is released on its account, and the writer finds out by itself.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from typing import Any, Final, TypeVar

from guardrail.audit._unfinished import MAX_READ, Answers
from guardrail.audit.postgres._beside import connected, make_tiles
from guardrail.audit.postgres._ledger import PostgresLedger, PostgresTurn
from guardrail.audit.postgres._runs import SAVE_EVERY, Open, Runs
from guardrail.audit.postgres._server import Limits
from guardrail.audit.postgres._tables import Tables
from guardrail.audit.postgres._writer import PostgresWriter
from guardrail.errors import GuardrailError

LOOKS: Final = 3
"""How often a lease is renewed before it would end."""

T = TypeVar("T")


class Lease:
    """One replica's lease, and what it does for others.

    Args:
        store: connection string.
        limits: how long anything may take.
        writer: the writer of this replica; its run is begun.
        seconds: length of the lease.
        sign: sees to it that what was written is signed.
    """

    def __init__(
        self, store: str, limits: Limits, writer: PostgresWriter, seconds: float, sign: Callable[[], None]
    ) -> None:
        self._store = store
        self._limits = limits
        self._writer = writer
        self._seconds = seconds
        self._sign = sign
        self._answers: Answers | None = None
        self._saved = writer.open_now().mark
        self._one = threading.Lock()
        self._end = threading.Event()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="guardrail-lease", daemon=True)
        self._thread.start()

    def settle(self, answers: Answers) -> int:
        """Answer the intents of runs that were left, now and whenever there is another one.

        Returns:
            How many there were now.

        Raises:
            TrailError: if they cannot be read or written.
        """
        self._answers = answers
        return self._answer_all(answers)

    def close(self) -> None:
        """Let the run end; others may answer for what is open. Called when the writer has ended."""
        if os.getpid() != self._pid:
            return
        self._end.set()
        self._thread.join(self._limits.timeout)
        saved = self._writer.open_now()
        try:
            self._with_tables(lambda tables: Runs(tables).close(self._writer.run, saved))
        except GuardrailError:
            pass  # then the lease ends by itself

    def _run(self) -> None:
        while not self._end.wait(self._seconds / LOOKS):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - the next look must come, whatever was wrong with this one
                if not isinstance(error, GuardrailError):
                    warnings.warn(f"intents of a replica that stopped are not answered: {error}", RuntimeWarning, 2)

    def look(self) -> None:
        """Renew the lease, and answer for whoever has stopped.

        Raises:
            TrailError: if the server cannot be used.
        """
        now = self._writer.open_now()
        due = now.mark - self._saved >= SAVE_EVERY
        self._with_tables(lambda tables: Runs(tables).renew(self._writer.run, self._seconds, now if due else None))
        if due:
            self._saved = now.mark
        if self._answers is not None:
            self._answer_all(self._answers)
        self._with_tables(make_tiles)

    def _answer_all(self, answers: Answers) -> int:
        with self._one:
            left = self._with_tables(lambda tables: Runs(tables).left())
            if not left:
                return 0
            ledger = self._writer.ledger(())
            try:
                done = sum(self._answer(ledger, run, answers) for run in left)
            finally:
                ledger.close()
        if done:
            self._sign()
        return done

    def _answer(self, ledger: PostgresLedger, run: int, answers: Answers) -> int:
        """Look first, which takes its time, and then write in one turn what holds for exactly what was looked at."""
        now, known = self._with_tables(lambda tables: _open(tables, run))
        records = answers(now.seqs, known) if now.seqs else ()
        before = now.seqs
        try:
            with ledger.turn() as turn:
                replica = _take(turn, run, now)
                turn.append([{**record, "for": replica} for record in records])
        except _Back:
            return 0  # it is looked at again when it is left again
        return len(before)

    def _with_tables(self, step: Callable[[Tables], T]) -> T:
        with connected(self._store, self._limits) as server:
            return step(Tables(server))


def _take(turn: PostgresTurn, run: int, looked: Open) -> str:
    """End a run in a turn, if it is left and has nothing open but what was looked at."""
    before, replica = looked.seqs, turn.take(run)
    looked.follow(turn.tables)
    if replica is None or looked.seqs != before:
        raise _Back
    return replica


class _Back(GuardrailError):
    """A run that was left has come back: nothing is written for it."""


def _open(tables: Tables, run: int) -> tuple[Open, dict[int, dict[str, Any]]]:
    now = Open(tables, run)
    return now, now.records(tables, MAX_READ)
