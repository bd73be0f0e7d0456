"""The frozen records of review: which call, what was decided, what a person answered, what leave follows.

Not concerned with where they are kept (`_store`), nor with how a person is asked (the adapters and the service).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from guardrail.errors import GuardrailError
from guardrail.model import Decision, Outcome, Reason, ToolCall

State = Literal[
    "decided",
    "pending",
    "approved", "rejected", "responded",
    "released", "paused", "failed",
    "done", "refused",
    "expired", "superseded",
]  # fmt: skip
"""Where a review stands.

`decided`: allowed or denied, no person is needed. `pending`: held for a person.
`approved`, `rejected`, `responded`: what the person said; final.
`released`: a grant was issued and the end is not known yet. `paused`: the tool stopped to ask a question of its own.
`failed`: the tool raised. `done`: it returned; the approval is used up. `refused`: a hard denial beat the approval.
`expired`: nobody answered, or the approval waited too long. `superseded`: the conversation went on without an answer.
"""

AnswerKind = Literal["approve", "edit", "reject", "respond"]
"""What a person may say to a held call; `edit` approves other arguments, `respond` answers in the tool's place."""


class ReviewError(GuardrailError):
    """The review store cannot be used, or was asked for something that may not be."""


class TurnKey(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of one conversation.

    Args:
        thread: the conversation.
        scope: the (sub)agent within it; empty for the outermost.
        message: id of the AI message that made the calls.
    """

    thread: str
    message: str
    scope: str = ""


class CallKey(msgspec.Struct, frozen=True, kw_only=True):
    """The sticky key: under it a decision is read back instead of being made again.

    INVARIANT: `turn.message` is part of it. Model servers reuse call ids (`call_0` in every turn), and without the
    message one approval would release an identical call in every later turn.

    Args:
        turn: the turn that made the call.
        call: id of the tool call within that turn.
        digest: `ToolCall.digest`, that is everything that decides what would run.
    """

    turn: TurnKey
    call: str
    digest: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said about one held call.

    Args:
        kind: approve, edit, reject or respond.
        approver: who, as far as is known; `unverified:thread` if only the right to resume the thread is known.
        t_us: when, in microseconds since the epoch; filled in by the store.
        digest: what is approved: the digest of the call, or of the edited call; empty for reject and respond.
        args: for `edit`, the arguments to use instead.
        message: for `reject` and `respond`, the person's words.
    """

    kind: AnswerKind
    approver: str
    t_us: int = 0
    digest: str = ""
    args: dict[str, Any] | None = None
    message: str | None = None


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """One call of one turn: the decision as it was first made, and what people did about it.

    Args:
        key: the sticky key.
        decision_id: id of the decision; also the id of the escalation.
        outcome: the decision's outcome.
        reasons: the rules that fired.
        tool: the tool's name.
        args: its arguments, as they were judged.
        state: where it stands.
        asked: fingerprint of the question it was part of; empty if no person was asked.
        asker: which part of the adapter asked; another part must not ask again.
        answer: the first answer, which is final.
        created_us: when it was decided, in microseconds since the epoch.
        expires_us: when an unanswered question ends, in microseconds since the epoch.
        releases: how many grants were issued for it.
        result: for `done`, what the tool returned, in the adapter's own encoding, if it was kept.
    """

    key: CallKey
    decision_id: str
    outcome: Outcome
    tool: str
    created_us: int
    expires_us: int
    args: dict[str, Any] = {}
    reasons: tuple[Reason, ...] = ()
    state: State = "decided"
    asked: str = ""
    asker: str = ""
    answer: Answer | None = None
    releases: int = 0
    result: bytes | None = None

    @classmethod
    def of(cls, key: CallKey, call: ToolCall, decision: Decision, *, now_us: int, expires_us: int) -> Review:
        """The review of a call that was just judged."""
        return cls(
            key=key,
            decision_id=decision.decision_id,
            outcome=decision.outcome,
            reasons=decision.reasons,
            tool=call.tool,
            args=call.args,
            state="pending" if decision.outcome is Outcome.ESCALATE else "decided",
            created_us=now_us,
            expires_us=expires_us,
        )


class Scope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Leave for more than one call, within what was asked: each part can only narrow it.

    Args:
        ops: which of the ops that were held; None for all of those.
        assets: which of the assets; None for all of those.
        targets: which of the targets; None for all of those.
        uses: how many calls.
        seconds: for how long, in seconds; None for as long as an approval is good for.
    """

    ops: tuple[str, ...] | None = None
    assets: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    uses: int = 1
    seconds: int | None = None


class Grant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Leave, given by a person, for exactly one execution of exactly one call, or for some within a scope.

    Args:
        id: unique id.
        digest: `ToolCall.digest` of the call it is for; any other call finds it void.
        approver: who gave it.
        created_us: when it was issued, in microseconds since the epoch.
        expires_us: when it ends, in microseconds since the epoch.
        escalation: `decision_id` of the decision that was escalated.
        shown: what the person saw: rule and asset of each reason that held the call. It lifts these and nothing else.
        binding: digest over the call and the files it resolved to, as they were shown; empty binds to the call alone.
        scope: what it covers besides this one call.
        approvers: everybody whose approval counted.
        glass: taken by break-glass: it lifts whatever holds a call within its scope, and still no denial.
    """

    id: str
    digest: str
    approver: str
    created_us: int
    expires_us: int
    escalation: str
    shown: tuple[tuple[str, str | None], ...] = ()
    binding: str = ""
    scope: Scope | None = None
    approvers: tuple[str, ...] = ()
    glass: bool = False
