"""An engine's answer, read strictly: anything that is not exactly a decision is a fault, and so a denial.

Not concerned with which engine answered: both are held to the same form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from guardrail.config import is_protected
from guardrail.errors import EngineFault
from guardrail.model import Effect, MandateUse, Outcome, Reason, strictest
from guardrail.policy._rules import RuleBook

MAX_ANSWER_BYTES: Final = 1024 * 1024
"""Largest answer of an engine, in bytes."""


class Hit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule that fired: ids and operands, never text."""

    id: str
    outcome: Literal["allow", "escalate", "deny"]
    i: int | None = None
    asset: str | None = None
    lifted: str | None = None
    asked: Literal["escalate", "deny"] | None = None


class Use(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A grant that covers an effect: `grant` is its place in its mandate, from 0."""

    mandate: str
    grant: int


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the entrypoint gives back."""

    outcome: Literal["allow", "escalate", "deny"]
    hits: tuple[Hit, ...]
    revision: str
    uses: tuple[Use, ...] = ()


_decoder: Final = msgspec.json.Decoder(Answer)


def read_answer(answer: bytes) -> Answer:
    """Take an answer apart.

    Raises:
        EngineFault: if it is too large, not JSON, or not of the form of an answer.
    """
    if len(answer) > MAX_ANSWER_BYTES:
        raise EngineFault(f"the policy engine answered {len(answer)} bytes, more than {MAX_ANSWER_BYTES}")
    try:
        return _decoder.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EngineFault(f"the policy engine answered something that is not a decision: {error}") from None


def conclude(answer: bytes, *, rules: RuleBook, effects: Sequence[Effect]) -> tuple[Outcome, tuple[Reason, ...]]:
    """Read a decision and say it in sentences.

    Args:
        answer: what the engine gave back.
        rules: the rules of the engine's policy.
        effects: the effects that the document was made from.

    Returns:
        The outcome, and one reason for each rule that fired, strictest first.

    Raises:
        EngineFault: if the answer is not a decision of this policy about these effects.
    """
    read = read_answer(answer)
    if read.revision != rules.revision:
        raise EngineFault(f"the policy engine answered with revision `{read.revision}`, not `{rules.revision}`")
    if not read.hits and read.outcome == "allow":
        return Outcome.ALLOW, ()  # what nearly every call comes to
    reasons = {_reason(hit, rules, effects) for hit in read.hits}
    # INVARIANT: no hit is ALLOW, everything else is the strictest hit; an engine that adds up otherwise is a fault.
    outcome = strictest(reason.outcome for reason in reasons) if reasons else Outcome.ALLOW
    if outcome.value != read.outcome:
        raise EngineFault(f"the policy engine answered `{read.outcome}`, but its rules add up to `{outcome.value}`")
    return outcome, tuple(sorted(reasons, key=_order))


def enforced(outcome: Outcome, reasons: Sequence[Reason]) -> Outcome | None:
    """What the outcome would be with every rule rolled out, if that is stricter than what it is."""
    if not reasons:
        return None
    asked = strictest([outcome, *(reason.asked for reason in reasons if reason.asked is not None)])
    return asked if asked is not outcome else None


def mandates_of(answer: bytes, orders: Sequence[Any]) -> tuple[MandateUse, ...]:
    """The grants that a decision rests on.

    Args:
        answer: what the engine gave back.
        orders: the mandates of the document.

    Returns:
        Each grant once.

    Raises:
        EngineFault: if one of them was not in the document.
    """
    if not orders:
        return ()
    sizes = {order.id: len(order.grants) for order in orders}
    found: dict[MandateUse, None] = {}
    for use in read_answer(answer).uses:
        if not 0 <= use.grant < sizes.get(use.mandate, 0):
            raise EngineFault(
                f"the policy engine rested on grant {use.grant} of `{use.mandate}`, which is not in force"
            )
        found[MandateUse(mandate=use.mandate, grant=use.grant + 1)] = None
    return tuple(sorted(found, key=lambda use: (use.mandate, use.grant)))


def _reason(hit: Hit, rules: RuleBook, effects: Sequence[Effect]) -> Reason:
    if hit.id not in rules:
        raise EngineFault(f"the policy engine answered with the rule `{hit.id}`, which its manifest does not have")
    if hit.asked is not None and (is_protected(hit.id) or Outcome(hit.asked) <= Outcome(hit.outcome)):
        raise EngineFault(f"the policy engine answered that `{hit.id}` asked for `{hit.asked}`, which cannot be")
    effect = None
    if hit.i is not None:
        if not 0 <= hit.i < len(effects):
            raise EngineFault(f"the policy engine answered about effect {hit.i} of {len(effects)}")
        effect = effects[hit.i]
        sides = (effect.resource, effect.target)
        if hit.asset is not None and all(side is None or side.asset != hit.asset for side in sides):
            raise EngineFault(f"the policy engine answered about the asset `{hit.asset}`, which effect {hit.i} has not")
    return Reason(
        rule=hit.id,
        outcome=Outcome(hit.outcome),
        message=rules.message(hit.id, _operands(hit, effect)),
        effect=hit.i,
        asset=hit.asset,
        asked=None if hit.asked is None else Outcome(hit.asked),
    )


def _operands(hit: Hit, effect: Effect | None) -> dict[str, object]:
    operands: dict[str, object] = {"asset": hit.asset, "i": hit.i, "lifted": hit.lifted}
    if effect is not None:
        operands["op"] = effect.op
        operands["resource"] = effect.resource.address
        # What is sent, and not to a path, goes to what it is done to.
        there = effect.resource if effect.op == "net_send" else None
        target = effect.target or there
        operands["target"] = target.address if target is not None else None
    return operands


def _order(reason: Reason) -> tuple[int, int, str, str]:
    strictness = {Outcome.DENY: 0, Outcome.ESCALATE: 1, Outcome.ALLOW: 2}[reason.outcome]
    return strictness, -1 if reason.effect is None else reason.effect, reason.rule, reason.message
