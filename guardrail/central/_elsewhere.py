"""Escalations of other guards, for the people who ask this one: read at the centre, and answered by way of it.

Not concerned with what an answer is worth: the guard that asked verifies it, in its own trail.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from guardrail.central import _cases
from guardrail.central._cases import Found
from guardrail.central._database import Database
from guardrail.central._signed import Away, Said, read_case, read_said
from guardrail.config import Config, secret

WAIT_SECONDS: Final = 5.0
"""How long an answer is waited for where nobody says otherwise, in seconds."""

ASK_SECONDS: Final = 0.1
"""How often it is looked for meanwhile, in seconds."""


class Elsewhere:
    """What can be seen and said of others.

    Args:
        config: its `[central]` names the database; cases of its own trail are left out.

    Raises:
        ConfigError: if the database is in an environment variable that is not set.
    """

    def __init__(self, config: Config) -> None:
        self._store = secret(config.central.store, "central.store")
        self._timeout = config.central.timeout_seconds
        self._own = config.trail.origin

    def cases(self, *, waiting: bool) -> tuple[Away, ...]:
        """Cases of others, those that wait or those that changed last.

        Raises:
            TrailError: if the centre does not answer.
        """
        with self._database() as database:
            found = (_cases.waiting if waiting else _cases.latest)(database, but=self._own)
        return tuple(self._others(found))

    def find(self, escalation: str) -> Away | None:
        """The case of an escalation; None if there is none.

        Raises:
            TrailError: if the centre does not answer.
        """
        with self._database() as database:
            found = _cases.named(database, escalation)
        return next((away for away in self._others(found) if away.escalation == escalation), None)

    def named(self, beginning: str) -> tuple[Away, ...]:
        """Cases whose id begins so, two at most.

        Raises:
            TrailError: if the centre does not answer.
        """
        with self._database() as database:
            return tuple(self._others(_cases.named(database, beginning)))

    def of_grant(self, grant: str) -> Away | None:
        """The case that a grant came of; None if there is none.

        Raises:
            TrailError: if the centre does not answer.
        """
        with self._database() as database:
            found = tuple(self._others(_cases.of_grant(database, grant)))
        return next(
            (away for away in found if away.case and any(one.grant.id == grant for one in away.case.grants)), None
        )

    def say(self, origin: str, envelope: bytes, seconds: float = WAIT_SECONDS) -> Said | None:
        """Leave a statement for a guard, and wait a moment for what comes of it.

        Args:
            origin: name of its trail.
            envelope: what somebody signed.
            seconds: longest wait, in seconds.

        Returns:
            What that guard has signed of it; None if it has not said anything yet.

        Raises:
            TrailError: if the centre does not answer; the statement may be there.
        """
        end = time.monotonic() + seconds
        with self._database() as database:
            digest = _cases.leave(database, origin, envelope)
            while True:
                found = _cases.answered(database, origin, digest)
                said = None if found is None else read_said(found[0], origin, digest, found[1])
                if said is not None or time.monotonic() >= end:
                    return said
                time.sleep(ASK_SECONDS)

    def _database(self) -> Database:
        return Database(self._store, self._timeout)

    def _others(self, found: Iterable[Found]) -> Iterable[Away]:
        # What the centre has of the own trail is a copy of what is known here.
        return (read_case(one.note, one.origin, one.escalation, one.vkey) for one in found if one.origin != self._own)
