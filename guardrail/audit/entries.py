"""What the guard's records say: one decision, one result, one change of policy.

Not concerned with where they go: `Trail` stamps them with number, time and boot, and writes them.
INVARIANT: every part has a bound, so that a record always fits into a leaf, whatever a call holds.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from msgspec import to_builtins

from guardrail.assets import Change
from guardrail.audit._record import Later
from guardrail.audit.disclosure import Disclosures
from guardrail.canonical import canonical
from guardrail.config import Config
from guardrail.enforcement import Enforcement, Observed
from guardrail.errors import TrailError
from guardrail.masking import masked, masked_json
from guardrail.model import FAULT_RULE, Decision, Effect, MandateUse, ToolCall
from guardrail.policy import PolicyNews
from guardrail.printing import printable

MAX_EFFECTS: Final = 16
"""Most effects, assets or rules listed in one record; the rest are counted, and covered by the call's digest."""

MAX_CHARS: Final = 192
"""Longest address, name or message in a record, in characters; in the worst case each takes six bytes."""

MAX_DOCUMENT_BYTES: Final = 12 * 1024
"""Longest document that is recorded with its decision, in bytes."""

ROOM_BYTES: Final = 56 * 1024
"""How much of a leaf a record with its document may take, in bytes; the rest is for what the trail adds."""

SURPRISE_RULE: Final = "kernel.unpredicted"
"""Rule under which records are found of what a program tried on an asset that its call was not judged to touch."""

MAX_WHY_CHARS: Final = 1000
"""Longest account of why a policy bundle was refused, in characters."""


class Scribe:
    """Writes what one guard decided and what came of it, as its settings want it.

    Args:
        config: what is recorded of a call.
        disclosures: takes what is kept beside the trail; None keeps nothing but digests.
    """

    def __init__(self, config: Config, disclosures: Disclosures | None) -> None:
        self._documents = config.trail.documents
        self._wanted = config.trail.disclose
        self._fail_open = config.unsafe_fail_open
        self._disclosures = disclosures

    def decision(
        self,
        call: ToolCall,
        decision: Decision,
        *,
        seen: bytes | None = None,
        duties: Sequence[str] = (),
        enforcement: Enforcement | None = None,
    ) -> dict[str, Any] | Later:
        """The record of a decision, which only commits to what is kept beside it.

        INVARIANT: with nothing kept beside it, it is made of what nobody changes any more, so it can be made later.

        Args:
            call: the call.
            decision: what was decided.
            seen: what policy saw of it, if it decided.
            duties: ids of what is owed that the call would do.
            enforcement: what policy was told that will hold the call.

        Raises:
            TrailError: if what is kept beside it cannot be.
        """
        document = seen if self._documents else None
        if self._disclosures is None:
            make = partial(decision_record, call, decision, self._fail_open, document, duties, enforcement)
            return Later("intent" if decision else "decision", make)
        record = decision_record(call, decision, self._fail_open, document, duties, enforcement)
        kept = self._disclosures.call(call) if "args" in self._wanted else {}
        if "reasoning" in self._wanted and call.reasoning:
            kept |= self._disclosures.text("/call/reasoning", call.reasoning)
        return self._disclosures.keep(record, kept)

    def result(
        self,
        call: ToolCall,
        decision: Decision,
        error: BaseException | None,
        value: object = None,
        facts: Mapping[str, str | int] | None = None,
        changed: Sequence[Change] = (),
    ) -> dict[str, Any]:
        """The record of what came of a call.

        Args:
            call: the call.
            decision: what released it.
            error: what the tool raised, if it did.
            value: what it returned; a tool that the guard started itself says how it ended.
            facts: what is known besides of how it ended.
            changed: files of assets that are not as they were before.
        """
        record = result_record(call, decision, error, facts or getattr(value, "guardrail_facts", None), changed)
        what, said = ("output", value) if error is None else ("error", error)
        if self._disclosures is None or what not in self._wanted:
            return record
        try:
            return self._disclosures.keep(record, self._disclosures.text(f"/{what}", said))
        except TrailError as fault:
            # The tool has run: its record is written all the same, and says less.
            warnings.warn(f"what a call returned is not disclosed: {fault}", RuntimeWarning, stacklevel=4)
            return record


def decision_record(
    call: ToolCall,
    decision: Decision,
    fail_open: bool,
    document: bytes | None = None,
    duties: Sequence[str] = (),
    enforcement: Enforcement | None = None,
) -> dict[str, Any]:
    """One decision: an `intent` if it releases the call, a `decision` if not.

    Args:
        call: the call; its arguments are covered by its digest and not written.
        decision: what was decided.
        fail_open: whether the guard runs with `unsafe_fail_open`, which every record has to say.
        document: what policy saw, to be recorded if it fits.
        duties: ids of what is owed that the call would do: the record is what counts the attempt.
        enforcement: what policy was told that will hold the call.
    """
    effects = [_effect_record(effect) for effect in decision.effects[:MAX_EFFECTS]]
    assets = decision.assets
    record: dict[str, Any] = {
        "kind": "intent" if decision else "decision",
        "decision_id": decision.decision_id,
        "call": {
            "id": _short(call.id),
            "tool": _short(call.tool),
            "digest": decision.digest,
        },
        "session": _short(call.session),
        "subject": {
            name: _short(value)
            for name, value in (
                ("id", call.subject.id),
                ("model", call.subject.model),
                ("principal", call.subject.principal),
            )
            if value is not None
        },
        "effects": effects,
        "assets": list(assets[:MAX_EFFECTS]),
        "decision": {
            "outcome": decision.outcome.value,
            "rules": [reason.rule for reason in decision.reasons[:MAX_EFFECTS]],
            "policy": decision.policy,
            "engine": decision.engine,
            "elapsed_us": decision.elapsed_us,
        },
    }
    record |= _besides(decision, duties, enforcement)
    if fail_open:
        record["unsafe_fail_open"] = True
    document = masked_json(document) if document is not None and len(document) <= MAX_DOCUMENT_BYTES else None
    if document is not None and _fits(record, document):
        record["document"] = document.decode()
    return record


def _besides(decision: Decision, duties: Sequence[str], enforcement: Enforcement | None) -> dict[str, Any]:
    """What most decisions do not have."""
    record: dict[str, Any] = {}
    if len(decision.effects) > MAX_EFFECTS:
        record["effects_more"] = len(decision.effects) - MAX_EFFECTS
    fault = next((reason for reason in decision.reasons if reason.rule == FAULT_RULE), None)
    if fault is not None:
        record["fault"] = _short(fault.message)
    if decision.mode != "enforce":
        record["mode"] = decision.mode
    if decision.observed is not None:
        record["observed"] = {
            "outcome": decision.observed.value,
            "rules": [reason.rule for reason in decision.reasons if reason.asked is not None][:MAX_EFFECTS],
        }
    if decision.mismatch is not None:
        record["mismatch"] = to_builtins(decision.mismatch)
    if decision.grant is not None:
        record["grant"] = decision.grant
        record["use"] = decision.use
    if decision.escalation is not None:
        record["escalation"] = decision.escalation
    if decision.mandates:
        record["mandates"] = [_use_record(use) for use in decision.mandates[:MAX_EFFECTS]]
    if duties:
        record["duties"] = list(duties[:MAX_EFFECTS])
    if enforcement is not None:
        record["enforcement"] = to_builtins(enforcement)
    return record


def _fits(record: dict[str, Any], document: bytes) -> bool:
    """Whether a leaf has room for the document too: as a string inside of JSON it is at most twice as long."""
    if len(document) > MAX_DOCUMENT_BYTES:
        return False
    few = len(record["effects"]) <= 2 and len(record["assets"]) <= 2
    return few or len(canonical(record)) + 2 * len(document) <= ROOM_BYTES


def result_record(
    call: ToolCall,
    decision: Decision,
    error: BaseException | None,
    facts: Mapping[str, str | int] | None = None,
    changed: Sequence[Change] = (),
) -> dict[str, Any]:
    """What came of a call that was released.

    Args:
        call: the call.
        decision: what released it, with the number of its intent.
        error: what the tool raised, if it did; its type is recorded and not its text.
        facts: what is known besides of how it ended, such as an exit code.
        changed: files of assets that are not as they were before.
    """
    record: dict[str, Any] = {
        "kind": "result",
        "intent": decision.seq,
        "decision_id": decision.decision_id,
        "call": _short(call.id),
        # An adapter marks the exception of a tool that only paused to ask a question of its own.
        "result": "completed" if error is None else getattr(error, "guardrail_result", "failed"),
    }
    if error is not None:
        record["error"] = type(error).__name__
    if facts:
        record["facts"] = dict(list(facts.items())[:MAX_EFFECTS])
    if changed:
        record["changes"] = [{**to_builtins(one), "path": _short(one.path)} for one in changed[:MAX_EFFECTS]]
    if len(changed) > MAX_EFFECTS:
        record["changes_more"] = len(changed) - MAX_EFFECTS
    return record


def kernel_record(call: ToolCall, decision: Decision, seen: Observed, *, trace_id: str = "") -> dict[str, Any]:
    """One effect on an asset that the kernel saw, or held, of a call that was released.

    Args:
        call: the call.
        decision: what released it, with the number of its intent.
        seen: what was seen.
        trace_id: the trace that the call was made in, if there is one.
    """
    place, *others = seen.resources
    found: dict[str, Any] = {
        "op": seen.op,
        "resource": _short(place.address),
        "asset": seen.asset,
        "outcome": seen.outcome,
        "why": seen.why,
        "syscall": seen.syscall,
        "pid": seen.pid,
        "at_us": int(seen.at * 1_000_000),
        "predicted": seen.predicted,
    }
    if others:
        found["target"] = _short(others[0].address)
    if place.ino is not None:
        found["inode"] = [place.dev, place.ino]
    if seen.is_surprise:
        found |= {"rule": SURPRISE_RULE, "severity": "high"}
    return {
        "kind": "kernel",
        "source": seen.source,
        "intent": decision.seq,
        "decision_id": decision.decision_id,
        **({"trace_id": trace_id} if trace_id else {}),
        "call": _short(call.id),
        "session": _short(call.session),
        "subject": {"id": _short(call.subject.id)},
        "kernel": found,
    }


def _use_record(use: MandateUse) -> dict[str, Any]:
    record: dict[str, Any] = {"mandate": use.mandate, "grant": use.grant}
    if use.use is not None:
        record |= {"use": use.use, "of": use.of}
    return record


def _effect_record(effect: Effect) -> dict[str, Any]:
    record: dict[str, Any] = {
        "op": effect.op,
        "resource": _short(effect.resource.address),
        "precision": effect.precision,
    }
    if effect.target is not None:
        record["target"] = _short(effect.target.address)
    if effect.asset is not None:
        record["asset"] = effect.asset
        if effect.resource.ino is not None:
            record["inode"] = [effect.resource.dev, effect.resource.ino]
    if effect.op == "set_key":
        record["key"] = _short(str(effect.attrs.get("key")))
    return record


def policy_record(news: PolicyNews) -> dict[str, Any]:
    """Another policy in force, or one that was refused."""
    record = {"kind": "config", "event": news.event, "policy": news.revision, "source": _short(news.source)}
    if news.why:
        record["why"] = masked(printable(news.why))[:MAX_WHY_CHARS]
    return record


def _short(text: str) -> str:
    # Masked before it is cut: half a token may not look like one.
    long = text[: 4 * MAX_CHARS]
    return masked(long if long.isascii() else printable(long))[:MAX_CHARS]
