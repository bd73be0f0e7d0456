"""Examples of a rule, in a short form, made into documents and put to an engine when it starts.

The short form is what stands in a rule's METADATA and in the corpus of decisions: one effect with its context.
Not concerned with what rules mean: an example says only whether its rule must be among the hits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
import orjson

from guardrail.errors import ConfigError
from guardrail.policy._conclude import read_answer
from guardrail.policy._rules import RuleBook
from guardrail.policy._ruling import Ruling

TIME_US: Final = 1_763_791_200_000_000
"""The time of every example, in microseconds since 1970."""


class _Asker(Protocol):
    @property
    def rules(self) -> RuleBook: ...

    def decide(self, document: bytes, *, deadline: float) -> Ruling: ...


class _Mandate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    effects: tuple[str, ...]
    assets: tuple[str, ...]
    targets: tuple[str, ...] = ()
    approval: bool = False
    left: int | None = None
    registered_from: str | None = None
    registered_until: str | None = None
    barred: tuple[str, ...] = ()
    due: tuple[str, ...] = ()


class _Effect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"class_": "class"}):
    """One effect; everything left out is the usual."""

    op: str
    id: str = "/srv/x"
    type: str = "file"
    asset: str | None = None
    class_: str = "weights"
    pattern: bool = False
    target: str | None = None
    target_type: str = "file"
    target_asset: str | None = None
    target_class: str = "weights"
    target_pattern: bool = False
    target_zones: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    host: str | None = None
    target_host: str | None = None
    registered: str | None = None
    relation: str = "other"
    model: str | None = None
    asset_zones: tuple[str, ...] = ()
    precision: str = "exact"
    modality: str = "must"
    attrs: dict[str, Any] = {}


class _Shown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reason that a person has seen before giving leave."""

    rule: str
    asset: str | None = None


class _Enforcement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    mode: str
    required: bool = False
    lacking: tuple[str, ...] = ()
    connect: tuple[int, ...] = ()
    write: tuple[str, ...] = ("/w",)
    serving: tuple[str, ...] = ()


class _Context(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes with it.

    Args:
        subject_model: the model behind the agent.
        labels: assets that the session has seen.
        owes: duties that are open.
        history: more of the session's history.
        agent: of the agent's.
        mandate: an order.
        mandates: several.
        leave: a person's grant for this very call, given after seeing these reasons.
        maturity: how far rules are rolled out.
        enforcement: what the kernel will hold.
    """

    subject_model: str | None = None
    labels: tuple[str, ...] = ()
    owes: tuple[str, ...] = ()
    history: dict[str, Any] = {}
    agent: dict[str, Any] = {}
    mandate: _Mandate | None = None
    mandates: tuple[_Mandate, ...] = ()
    leave: tuple[_Shown, ...] | None = None
    maturity: dict[str, str] | None = None
    enforcement: _Enforcement | None = None


_NOTHING_YET: Final[Mapping[str, Any]] = {
    "labels": (),
    "calls": 0,
    "denied": 0,
}
"""The history of somebody who did nothing: what there is none of is left out."""


def expand(example: Mapping[str, Any]) -> dict[str, Any]:
    """The document that an example stands for.

    Args:
        example: `raw` with a whole document; or an effect's fields, or `effects` with a list of such, and context.

    Raises:
        ConfigError: if it has an unknown or ill-typed field.
    """
    if "raw" in example:
        return dict(example["raw"])
    own = {key: value for key, value in example.items() if key in _Context.__struct_fields__}
    rest = {key: value for key, value in example.items() if key not in own}
    try:
        context = msgspec.convert(own, _Context)
        effects = msgspec.convert(rest.pop("effects") if set(rest) == {"effects"} else [rest], tuple[_Effect, ...])
    except msgspec.ValidationError as error:
        raise ConfigError(f"not an example: {error}") from None
    return {
        "subject": {
            "type": "agent",
            "id": "ops-agent",
            "properties": {"model": context.subject_model, "principal": None},
        },
        "context": _context(context),
        "evaluations": [_evaluation(effect) for effect in effects],
    }


def _context(context: _Context) -> dict[str, Any]:
    mandates = (*context.mandates, *((context.mandate,) if context.mandate is not None else ()))
    return {
        "time_us": TIME_US,
        "session": "s1",
        "tool": "bash",
        "history": _history(context),
        "mandates": [_mandate(number, mandate) for number, mandate in enumerate(mandates, 1)],
        "grant": None if context.leave is None else _leave(context.leave),
        **({} if context.maturity is None else {"maturity": context.maturity}),
        **({} if context.enforcement is None else {"enforcement": msgspec.to_builtins(context.enforcement)}),
    }


def _history(context: _Context) -> dict[str, Any]:
    return {
        **_NOTHING_YET,
        "labels": context.labels,
        "owes": context.owes,
        **context.history,
        "agent": {**_NOTHING_YET, "sessions": 1, **context.agent},
    }


def _mandate(number: int, mandate: _Mandate) -> dict[str, Any]:
    grant = msgspec.to_builtins(mandate)
    own = {name: grant.pop(name) for name in ("barred", "due")}
    return {"id": f"m{number}", "issuer": "dana", **own, "grants": [grant]}


def _leave(shown: Sequence[_Shown]) -> dict[str, Any]:
    return {"id": "g1", "approver": "dana", "shown": [{"rule": s.rule, "asset": s.asset} for s in shown]}


def _evaluation(effect: _Effect) -> dict[str, Any]:
    target = None
    if effect.target is not None:
        target = _resource(
            effect,
            effect.target_type,
            effect.target,
            effect.target_asset,
            effect.target_class,
            effect.target_pattern,
            effect.target_zones,
            effect.target_host,
        )
    return {
        "action": {"name": effect.op},
        "resource": _resource(
            effect, effect.type, effect.id, effect.asset, effect.class_, effect.pattern, effect.zones, effect.host
        ),
        "properties": {
            "target": target,
            "precision": effect.precision,
            "modality": effect.modality,
            "attrs": effect.attrs,
            "flow": [],
        },
    }


def _resource(
    effect: _Effect,
    kind: str,
    name: str,
    asset: str | None,
    asset_class: str,
    pattern: bool,
    zones: tuple[str, ...],
    host: str | None,
) -> dict[str, Any]:
    facts = {
        "id": asset,
        "class": asset_class,
        "model": effect.model,
        "owner": None,
        "registered": effect.registered,
        "relation": effect.relation,
        "zones": effect.asset_zones,
    }
    properties = {
        "asset": None if asset is None else facts,
        "pattern": pattern,
        "recursive": False,
        "zones": zones,
        "host": host,
    }
    return {"type": kind, "id": name, "properties": properties}


def probe() -> Iterator[bytes]:
    """Documents that show whether an engine answers at all: nothing, a plain one, and one that is held."""
    yield b"{}"
    for example in ({"op": "read"}, {"op": "exec_opaque", "type": "code", "precision": "opaque"}):
        yield orjson.dumps(expand(example))


SILENT: Final = frozenset({"guardrail.malformed_rule", "guardrail.undecided"})
"""Rules that speak only when a bundle is broken, so that no input is an example of them; `main_test.rego` is."""


class Covered(msgspec.Struct, frozen=True, kw_only=True):
    """What the examples of one rule show.

    Args:
        id: the rule.
        match: number of examples that it answered.
        not_match: number of counter-examples that it left alone.
        lacks: what is missing; empty if nothing is.
    """

    id: str
    match: int
    not_match: int
    lacks: str = ""


def covered(engine: _Asker, *, moved: Sequence[str] = (), seconds: float = 10.0) -> tuple[Covered, ...]:
    """Which rules are shown to fire and to stay silent, by putting their examples to an engine.

    Args:
        engine: the engine.
        moved: rules whose examples the settings overrule.
        seconds: longest time for one answer.

    Raises:
        EngineFault: if the engine gives no usable answer.
    """
    found: list[Covered] = []
    for rule_id in engine.rules.ids:
        examples = engine.rules[rule_id].examples
        hit = [_fires(engine, rule_id, example, seconds) for example in examples.match]
        missed = [not _fires(engine, rule_id, example, seconds) for example in examples.not_match]
        lacks = ""
        if rule_id not in SILENT and rule_id not in moved:
            problems = (
                (not hit, "no example that it must answer"),
                (not missed, "no example that it must not answer"),
                (bool(hit) and not all(hit), "an example that it does not answer"),
                (bool(missed) and not all(missed), "a counter-example that it answers"),
            )
            lacks = "; ".join(text for wrong, text in problems if wrong)
        found.append(Covered(id=rule_id, match=sum(hit), not_match=sum(missed), lacks=lacks))
    return tuple(found)


def _fires(engine: _Asker, rule_id: str, example: Mapping[str, Any], seconds: float) -> bool:
    ruling = engine.decide(orjson.dumps(expand(example)), deadline=time.monotonic() + seconds)
    return any(hit.id == rule_id for hit in read_answer(ruling.answer).hits)


def check_examples(engine: _Asker, seconds: float, *, moved: Sequence[str] = ()) -> None:
    """Put every example of every rule to an engine.

    Args:
        engine: the engine.
        seconds: longest time for one answer.
        moved: ids of rules to leave out, because the settings of this policy were moved away from their examples.

    Raises:
        ConfigError: if a rule answers an example that it must not, or does not answer one that it must.
        EngineFault: if the engine gives no usable answer.
    """
    wrong = {
        rule_id: told
        for rule_id in sorted(set(engine.rules.ids) - set(moved))
        if (told := _wrong(engine, rule_id, seconds)) is not None
    }
    if wrong:
        (first, told), *others = wrong.items()
        more = f"; so it is with {', '.join(f'`{one}`' for one, _ in others)}" if others else ""
        raise ConfigError(f"the policy is not what it says: rule `{first}` {told}{more}")


def _wrong(engine: _Asker, rule_id: str, seconds: float) -> str | None:
    """What a rule does that its examples do not say, if anything."""
    examples = engine.rules[rule_id].examples
    for wanted, given in ((True, examples.match), (False, examples.not_match)):
        for number, example in enumerate(given, 1):
            if _fires(engine, rule_id, example, seconds) is not wanted:
                verb = "does not answer its example" if wanted else "answers its counter-example"
                return f"{verb} number {number}"
    return None
