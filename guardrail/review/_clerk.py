"""The clerk: takes what people signed to the desk, and knows whose key is whose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, assert_never

from guardrail.config import Config
from guardrail.mandates import key_id, public_keys
from guardrail.model import Subject, new_id
from guardrail.names import alike
from guardrail.review._case import Case, Escalation, Group, Quorum, Verdict, Vote
from guardrail.review._commands import GLASS_SECONDS, Refused
from guardrail.review._desk import ReviewDesk
from guardrail.review._hold import Holder
from guardrail.review._oidc import Provider, is_signed_in
from guardrail.review._quorum import is_barred
from guardrail.review._records import Scope
from guardrail.review._statements import (
    AnyStatement,
    CancelStatement,
    GlassStatement,
    ReviewStatement,
    RevokeStatement,
    VoteStatement,
    glass_digest,
    open_statement,
    shown_of,
)

SKEW_US: Final = 300 * 1_000_000
"""How far a voter's clock may be off, in microseconds."""

GLASS_PEOPLE: Final = 2
"""How many people a break-glass needs, the one who asks for it included."""

GLASS_WAIT_SECONDS: Final = 3600
"""How long the second of them may take, in seconds."""


class Clerk:
    """Verifies statements and carries them out.

    Args:
        desk: where they are recorded.
        people: public keys by the name of who owns them.
        provider: who else says who somebody is.
        barred: who may not break glass for an agent, by its id: itself by default.
        origin: name of the trail of the desk.
    """

    def __init__(
        self,
        desk: ReviewDesk,
        people: Mapping[str, bytes],
        provider: Provider | None = None,
        barred: Callable[[str], tuple[str, ...]] = lambda agent: (alike(agent),),
        origin: str = "",
    ) -> None:
        self._desk = desk
        self._origin = origin
        self._barred = barred
        self._people = people
        self._provider = provider

    @classmethod
    def of(cls, config: Config, desk: ReviewDesk) -> Clerk:
        """The clerk of a configuration.

        Raises:
            ConfigError: if a person's key, or the keys of the identity provider, cannot be used.
        """
        oidc = config.review.oidc
        provider = None if oidc is None else Provider(oidc, config.path(oidc.jwks))
        holder = Holder(config)
        barred = partial(_barred_by, holder)
        return cls(desk, public_keys(config), provider, barred, config.trail.origin)

    def take(
        self, envelope: bytes, *, version: int | None = None, now_us: int | None = None, request: str = ""
    ) -> Case:
        """Take in one signed statement.

        Args:
            envelope: as it was signed.
            version: the entity tag of what the person was shown, if they named one.
            now_us: the time, in microseconds since the epoch; the desk's clock by default.
            request: what the request is known by, if it may come again; see `ReviewDesk.requested`.

        Returns:
            The case as it is with it.

        Raises:
            Refused: if it is not theirs, or comes to nothing.
            TrailError: if it cannot be recorded.
        """
        now = self._desk.clock() if now_us is None else now_us
        if is_signed_in(envelope):
            return self._signed_in(envelope, version, now, request)
        statement = open_statement(envelope, self._people)
        if statement.t_us > now + SKEW_US:
            raise Refused("stale", "the vote is dated in the future: set the clock of whoever signed it")
        proof = "ed25519:" + key_id(self._people[statement.voter])
        return self.carry_out(statement, proof, envelope.decode("ascii", "replace"), version, request)

    def about(self, envelope: bytes) -> AnyStatement:
        """What an envelope says, once it is known whose it is.

        Raises:
            Refused: if it is not theirs.
        """
        if is_signed_in(envelope) and self._provider is not None:
            return self._provider.open(envelope, self._desk.clock()).statement
        return open_statement(envelope, self._people)

    def _signed_in(self, envelope: bytes, version: int | None, now_us: int, request: str) -> Case:
        if self._provider is None:
            raise Refused("not_signed", "no identity provider is configured: sign with your key")
        who = self._provider.open(envelope, now_us)
        case = self._desk.find(getattr(who.statement, "escalation", ""))
        # Breaking glass is for no call in particular, and always grave.
        if not who.strong and (case is None or case.held.critical or case.held.glass):
            raise Refused("not_entitled", "this needs a stronger sign-in, with a hardware key, or a signature")
        return self.carry_out(who.statement, who.proof, who.record, version, request)

    def carry_out(
        self, statement: AnyStatement, proof: str, envelope: str, version: int | None = None, request: str = ""
    ) -> Case:
        """Carry out a statement whose author is known.

        Args:
            statement: what is said.
            proof: how its author is known.
            envelope: the proof itself, for the record.
            version: the entity tag of what the person was shown, if they named one.
            request: what the request is known by, if it may come again.

        Raises:
            Refused: if it comes to nothing.
            TrailError: if it cannot be recorded.
        """
        match statement:
            case VoteStatement():
                return self._vote(statement, proof, envelope, version, request)
            case CancelStatement():
                return self._desk.close(
                    statement.escalation, "cancelled", by=statement.voter, envelope=envelope, request=request
                )
            case RevokeStatement():
                self._desk.withdraw(statement.grant, "revoked", by=statement.voter, envelope=envelope, request=request)
                found = self._desk.grant(statement.grant)
                if found is None:
                    raise Refused("unknown", f"there is no grant `{statement.grant}`")
                return found[0]
            case ReviewStatement():
                return self._desk.reviewed(
                    statement.escalation,
                    by=statement.voter,
                    reason=statement.reason,
                    envelope=envelope,
                    request=request,
                )
            case GlassStatement():
                return self._break_glass(statement, proof, envelope, request)
            case _:
                assert_never(statement)

    def _vote(self, statement: VoteStatement, proof: str, envelope: str, version: int | None, request: str) -> Case:
        case = self._desk.find(statement.escalation)
        if case is not None and statement.t_us < case.held.created_us - SKEW_US:
            raise Refused("stale", "the vote is older than the escalation that it is about")
        if case is not None and statement.shown and statement.shown != shown_of(case.held, self._origin):
            raise Refused("stale", "what was shown is not the escalation that is on record here")
        if not statement.subject:
            raise Refused("stale", "the vote does not say what was shown: it needs the digest of the escalation")
        vote = _vote_of(statement, statement.verdict, statement.scope, proof, envelope)
        return self._desk.cast(statement.escalation, vote, subject=statement.subject, version=version, request=request)

    def _break_glass(self, statement: GlassStatement, proof: str, envelope: str, request: str) -> Case:
        """Two people, one hour, and a review owed: the second signs the escalation that the first one opens."""
        now = self._desk.clock()
        if not (statement.reason and statement.ticket and statement.ops and statement.assets):
            raise Refused("too_wide", "breaking the glass needs a reason, a ticket, ops and assets")
        if not 1 <= statement.seconds <= GLASS_SECONDS:
            raise Refused("too_wide", f"broken glass lasts 1 to {GLASS_SECONDS} seconds")
        if statement.t_us < now - SKEW_US:
            raise Refused("stale", "the statement is older than five minutes: sign it again")
        again = next((case for case in self._desk.cases() if case.held.glass and _began(case, envelope)), None)
        if again is not None:
            return again  # the same bytes are the same request
        # INVARIANT: the id is ours and new. What the first person chooses must not be what a second one has signed
        # elsewhere; and what the second one signs is the digest over all that the first one says.
        name = f"glass-{new_id()}"
        held = Escalation(
            id=name,
            digest=glass_digest(envelope),
            agent=statement.agent,
            created_us=now,
            expires_us=now + GLASS_WAIT_SECONDS * 1_000_000,
            leave_seconds=statement.seconds,
            quorum=Quorum(
                groups=(Group(name="break-glass", members=tuple(sorted(self._people)), n=GLASS_PEOPLE),), signed=True
            ),
            barred=self._barred(statement.agent),
            ops=statement.ops,
            assets=statement.assets,
            glass=True,
            view={"ticket": statement.ticket, "reason": statement.reason, "by": statement.voter},
        )
        if is_barred(held, statement.voter):
            raise Refused(
                "separation_of_duties", f"`{statement.voter}` is, operates or directs the agent, and breaks no glass"
            )
        self._desk.open(held)
        return self._desk.cast(name, _vote_of(statement, "approve", None, proof, envelope), request=request)


def _barred_by(holder: Holder, agent: str) -> tuple[str, ...]:
    return holder.barred(Subject(id=agent))


def _began(case: Case, envelope: str) -> bool:
    return bool(case.votes) and case.votes[0].envelope == envelope


def _vote_of(statement: AnyStatement, verdict: Verdict, scope: Scope | None, proof: str, envelope: str) -> Vote:
    return Vote(
        voter=statement.voter,
        verdict=verdict,
        at_us=0,
        proof=proof,
        scope=scope,
        reason=statement.reason,
        envelope=envelope,
    )
