"""Escalations of other guards, for the reviewers of this one: shown as the centre has them, answered by way of it.

Not concerned with what a statement is worth: the guard that asked verifies it. It is looked at here only to keep out
what is nobody's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from guardrail.errors import TrailError
from guardrail.review import Case, Refused
from guardrail.review._statements import AnyStatement, GlassStatement, RevokeStatement, shown_of
from guardrail.review._view import to_dict
from guardrail.service._http import Answer, Problem

if TYPE_CHECKING:
    from guardrail.central._signed import Away
    from guardrail.guard import Guard

EVERY: Final = "*"
"""What `origin` is where all other guards are meant."""


class Brought(NamedTuple):
    """What became of a statement for another guard.

    Args:
        away: the case that it is about, as it was found.
        case: the case as it is now.
        left: the guard has not said anything of it yet.
    """

    away: Away
    case: Case
    left: bool


class Others:
    """What reviewers see and say of other guards.

    Args:
        guard: whose reviewers; its `[central]` says whether they see others.
    """

    def __init__(self, guard: Guard) -> None:
        self._elsewhere = None if guard.central is None else guard.central.elsewhere
        self._clock = guard.desk.clock

    def page(self, origin: str, state: str) -> Answer:
        """What waits elsewhere, or what changed there last.

        Args:
            origin: name of a trail, or `EVERY`.
            state: of the cases that are wanted, or `all`.

        Raises:
            Problem: if this guard does not ask for them, or the centre does not answer.
        """
        if self._elsewhere is None:
            raise Problem("malformed", "`origin` is for guards that have escalations in common: `central.escalations`")
        try:
            found = self._elsewhere.cases(waiting=state == "pending")
        except TrailError as error:
            raise _away(error) from None
        now = self._clock()
        wanted = [(away, away.case) for away in found if away.case is not None and origin in (EVERY, away.origin)]
        cases = [_shown(away, case, now) for away, case in wanted if state in ("all", case.state_at(now))]
        return Answer(body=orjson.dumps({"escalations": cases, "next": None}))

    def show(self, name: str) -> Answer | None:
        """One case of another guard; None if there is none, or none that its guard has signed.

        Raises:
            Problem: if the centre does not answer.
        """
        away = self.find(name)
        if away is None or away.case is None:
            return None
        return Answer(body=orjson.dumps(_shown(away, away.case, self._clock())))

    def take(self, statement: AnyStatement, envelope: bytes) -> Answer | None:
        """Bring a statement to the guard that it is for, and answer with the case; None if no other guard is meant.

        Args:
            statement: what it says; whose it is, is known.
            envelope: what was signed.

        Raises:
            Problem: if the centre does not answer.
            Refused: if the guard refuses it.
        """
        brought = self.bring(statement, envelope)
        if brought is None:
            return None
        body = _shown(brought.away, brought.case, self._clock()) | {"left": brought.left}
        return Answer(status=202 if brought.left else 200, body=orjson.dumps(body))

    def bring(self, statement: AnyStatement, envelope: bytes) -> Brought | None:
        """Bring a statement to the guard that it is for; None if no other guard is meant.

        Args:
            statement: what it says; whose it is, is known.
            envelope: what was signed.

        Raises:
            Problem: if the centre does not answer.
            Refused: if the guard refuses it.
        """
        if self._elsewhere is None or isinstance(statement, GlassStatement):
            return None
        away = self._about(statement)
        if away is None or away.case is None:
            return None
        try:
            said = self._elsewhere.say(away.origin, envelope)
            after = self._elsewhere.find(away.escalation)
        except TrailError as error:
            raise _away(error) from None
        if said is not None and said.code:
            raise Refused(said.code, said.why)
        return Brought(away, away.case if after is None or after.case is None else after.case, said is None)

    def find(self, name: str) -> Away | None:
        """One case of another guard, as it was found; None if there is none.

        Raises:
            Problem: if the centre does not answer.
        """
        try:
            return None if self._elsewhere is None else self._elsewhere.find(name)
        except TrailError as error:
            raise _away(error) from None

    def waiting(self) -> tuple[Away, ...]:
        """What waits for people elsewhere.

        Raises:
            TrailError: if the centre does not answer.
        """
        return () if self._elsewhere is None else self._elsewhere.cases(waiting=True)

    def _about(self, statement: AnyStatement) -> Away | None:
        if not isinstance(statement, RevokeStatement):
            return self.find(str(getattr(statement, "escalation", "")))
        try:
            return None if self._elsewhere is None else self._elsewhere.of_grant(statement.grant)
        except TrailError as error:
            raise _away(error) from None


def _shown(away: Away, case: Case, now: int) -> dict[str, Any]:
    return to_dict(case, now) | {"origin": away.origin, "shown": shown_of(case.held, away.origin)}


def _away(error: TrailError) -> Problem:
    # What the network says of the database is for operators, who find it in the log and at `/v1/info`.
    del error
    return Problem("not-ready", "the centre does not answer, and nothing here has this name: try again")
