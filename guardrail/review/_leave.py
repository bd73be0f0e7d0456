"""Leave for a call that is being judged: what may lift what holds it, and one use of it taken and given back.

Not concerned with the order of the questions (`guard`), nor with how people are asked.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from guardrail.errors import Fault, GuardrailError
from guardrail.model import Decision, Effect, Outcome, Reason, ToolCall
from guardrail.review._bind import Binding
from guardrail.review._case import Escalation, Vote
from guardrail.review._commands import Refused
from guardrail.review._desk import Redemption, ReviewDesk
from guardrail.review._hold import Holder, covers, deeds_of
from guardrail.review._records import Grant

_REJECTED: Final = "people rejected this of this agent shortly before, and are not asked again"


class Leave:
    """What people have said of a call, and what is taken of it.

    Args:
        desk: who may overrule, and who did.
        holder: makes escalations.
    """

    def __init__(self, desk: ReviewDesk, holder: Holder) -> None:
        self._desk = desk
        self._holder = holder

    def that_covers(
        self, call: ToolCall, digest: str, effects: Sequence[Effect], reasons: Sequence[Reason], given: Grant | None
    ) -> Iterator[Grant]:
        """Leave to try: what came with the call, or else what was given for exactly this call, or for calls like it.

        Args:
            call: the call.
            digest: its digest.
            effects: what it would do.
            reasons: why it is held.
            given: leave that came with it.
        """
        now_us = self._desk.clock()
        if given is None:
            leaves = self._desk.leaves(call.subject.id, digest, now_us)
        else:
            valid = self._desk.valid(given, digest, now_us, agent=call.subject.id)
            leaves = () if valid is None else (valid,)
        return (leave for leave in leaves if covers(leave, effects, reasons))

    def take(self, leave: Grant, digest: str, effects: Sequence[Effect]) -> Redemption | None:
        """Take a use, with the files held; None if they are not those that people were shown.

        INVARIANT: a grant is used up by the call that it lets through, exactly once, whoever else holds it, and only
        while the files behind the call are those that people were shown.

        Args:
            leave: one that covers the call.
            digest: the call's digest.
            effects: what it would do.

        Raises:
            Fault: if the ledger refuses.
        """
        with Binding(digest, effects) as files:
            try:
                taken = self._desk.reserve(leave, digest, files.digest)
            except Refused as error:
                raise Fault(str(error)) from None
            if taken is None or files.holds() or leave.scope is not None:
                return taken
        # Something moved between the two looks: nothing was released, and what was shown is gone.
        self._desk.finish(taken, None)
        self._desk.withdraw(leave.id, "voided", by="guardrail")
        return None

    def no(self, call: ToolCall, effects: Sequence[Effect], reasons: Sequence[Reason]) -> Reason | None:
        """Why people are not asked again about what a call does; None if they may be.

        Args:
            call: the call.
            effects: what it would do.
            reasons: why it is held.
        """
        if not self._desk.rejected(call.subject.id, deeds_of(call, effects, reasons), self._desk.clock()):
            return None
        return Reason(rule="review.rejected", outcome=Outcome.DENY, message=_REJECTED)

    def question(
        self,
        call: ToolCall,
        decision: Decision,
        *,
        bound: bool,
        class_of: Callable[[str], str | None],
        severe: Callable[[str], bool],
    ) -> tuple[str, Escalation | None]:
        """What people are to be asked about a call that is held.

        Args:
            call: the call.
            decision: what holds it.
            bound: whether an approval is for the asking turn alone, whose adapter asks for itself.
            class_of: the class of an asset.
            severe: whether a rule is one of the gravest.

        Returns:
            Id of the escalation, and the escalation itself if it is not open yet.
        """
        now_us = self._desk.clock()
        waiting = None if bound else self._desk.asked(decision.digest, decision.binding, now_us)
        if waiting is not None:
            return waiting.held.id, None
        held = self._holder.escalation(
            call,
            decision,
            binding=decision.binding,
            bound=bound,
            now_us=now_us,
            class_of=class_of,
            severe=severe,
        )
        return held.id, held

    def on_word(self, decision: Decision, by: str) -> Redemption | None:
        """Approve and take leave on the word of somebody who was asked elsewhere; it is not signed.

        Args:
            decision: what holds the call, with an escalation.
            by: who said so.

        Raises:
            ReviewError: if the escalation cannot be answered like this.
        """
        escalation = decision.escalation or ""
        self._desk.cast(escalation, Vote(voter=by, verdict="approve", at_us=0))
        leave = self._desk.issue(escalation, decision.digest)
        return None if leave is None else self._desk.reserve(leave, decision.digest, decision.binding)

    def give_back(self, taken: Redemption) -> None:
        """Say that a use came to nothing, because the call was not released after all."""
        try:
            self._desk.finish(taken, None)
        except GuardrailError as error:
            # It stays reserved, and so is never used again.
            warnings.warn(f"a grant was not given back: {error}", RuntimeWarning, stacklevel=4)

    def ended(self, decision: Decision, error: BaseException | None) -> None:
        """Say what came of the grant that released a call.

        Args:
            decision: what released it.
            error: what the call failed with, if it did.
        """
        if decision.grant is None:
            return
        found = self._desk.grant(decision.grant)
        if found is None:
            return
        marked = getattr(error, "guardrail_result", "failed")
        # What was cut short may have done anything: it is not tried again under the same approval.
        ending: Any = "completed" if error is None else marked if isinstance(error, Exception) else "unknown"
        try:
            self._desk.finish(Redemption(grant=found[1].grant, use=decision.use), ending)
        except GuardrailError as failure:
            warnings.warn(f"the end of a grant's use is not in the trail: {failure}", RuntimeWarning, stacklevel=4)


def binding_of(digest: str, effects: Sequence[Effect]) -> str:
    """The digest over a call and the files behind it, as they are now.

    Args:
        digest: the call's digest.
        effects: what it would do.
    """
    with Binding(digest, effects) as files:
        return files.digest
