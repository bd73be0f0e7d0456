"""From a decision that holds a call to the escalation that people see, and whether a grant covers a call.

Not concerned with recording it (`_desk`).
INVARIANT: every part has a bound, so that its record fits into a leaf, whatever a call holds.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import orjson

from guardrail.canonical import canonical
from guardrail.config import Config
from guardrail.masking import masked, masked_value
from guardrail.model import Decision, Effect, Outcome, Reason, Subject, ToolCall
from guardrail.names import alike
from guardrail.printing import printable
from guardrail.review._case import Escalation, Group, Quorum
from guardrail.review._records import Grant

MAX_SHOWN: Final = 16
"""Most effects and reasons that people are shown; of more, their number."""

MAX_CHARS: Final = 192
"""Longest name, address or message that they are shown whole, in characters; of a longer one, both ends."""

MAX_READ_CHARS: Final = 4_096
"""Most of each end that is looked through for secrets, in characters."""

MAX_ARGS_BYTES: Final = 8 * 1024
"""Most of a call's arguments that they are shown, in bytes; the rest is covered by the digest, and said to be cut."""

MAX_CLAIM_CHARS: Final = 500
"""Longest claim of an agent that they are shown, in characters."""

MAX_DEEDS: Final = 128
"""Most digests that say what a call does."""

_DEED_DIGITS: Final = 20

MAX_NAMES: Final = 64
"""Most ops, assets or targets that a scope can be chosen from; beyond that, each call is approved by itself."""

CRITICAL_OPS: Final = frozenset(
    {"delete", "truncate", "copy", "rename", "link", "net_send", "api_delete", "api_copy", "api_visibility", "mention"}
)
"""What makes weights leave or be lost. A `mention` may be any of them."""

CRITICAL_CLASSES: Final = frozenset({"weights", "checkpoint", "adapter"})


def held_effects(effects: Sequence[Effect], reasons: Iterable[Reason]) -> tuple[Effect, ...]:
    """The effects that a person has to look at; all of them if a reason names none."""
    places: dict[int, None] = {}
    for reason in reasons:
        if reason.outcome is Outcome.ESCALATE:
            if reason.effect is None:
                return tuple(effects)
            places[reason.effect] = None
    return tuple(effects[place] for place in places if place < len(effects))


def shown_pairs(reasons: Iterable[Reason]) -> tuple[tuple[str, str | None], ...]:
    """Rule and asset of each reason that holds a call."""
    held = ((reason.rule, reason.asset) for reason in reasons if reason.outcome is Outcome.ESCALATE)
    return tuple(dict.fromkeys(held))


def covers(grant: Grant, effects: Sequence[Effect], reasons: Sequence[Reason]) -> bool:
    """Whether a grant is for what holds a call; one without a scope is for its own call, which its digest tells.

    Args:
        grant: as it was issued.
        effects: what the call would do.
        reasons: why it is held.
    """
    scope = grant.scope
    if scope is None:
        return True
    held = held_effects(effects, reasons)
    inside = {effect.op for effect in held} <= set(scope.ops or ()) and _assets(held) <= set(scope.assets or ())
    if grant.glass:
        return inside
    return inside and set(shown_pairs(reasons)) <= set(grant.shown) and set(_targets(held)) <= set(scope.targets or ())


def presented(grant: Grant, reasons: Sequence[Reason]) -> Grant:
    """A grant as policy is shown it: broken glass was for no call in particular, so it shows what holds this one."""
    return msgspec.structs.replace(grant, shown=shown_pairs(reasons)) if grant.glass else grant


class Holder:
    """Makes escalations by the rules of a configuration.

    Args:
        config: who operates which agent, which people decide what, and for how long.
    """

    def __init__(self, config: Config) -> None:
        self._review = config.review
        self._people = bool(config.people) or config.review.oidc is not None
        # What is kept beside the ledger so that it can be redacted does not stand in it after all.
        self._texts = config.trail.documents and "args" not in config.trail.disclose
        self._operators = [(agent.id, agent.operator) for agent in config.agents]

    def escalation(
        self,
        call: ToolCall,
        decision: Decision,
        *,
        binding: str,
        bound: bool,
        now_us: int,
        class_of: Callable[[str], str | None],
        severe: Callable[[str], bool],
    ) -> Escalation:
        """The escalation of a call.

        Args:
            call: the call.
            decision: the decision that holds it.
            binding: digest over the call and its files.
            bound: whether the approval is for the asking turn alone.
            now_us: the time, in microseconds since the epoch.
            class_of: the class of an asset.
            severe: whether a rule is one of the gravest.
        """
        held = held_effects(decision.effects, decision.reasons)
        shown = shown_pairs(decision.reasons)
        rules = [rule for rule, _ in shown]
        critical = any(severe(rule) or _matches(self._review.critical, rule) for rule in rules) or any(
            _is_critical(effect, class_of) for effect in held
        )
        ops, assets, targets = _names(effect.op for effect in held), _names(_assets(held)), _names(_targets(held))
        wide = max(len(ops), len(assets), len(targets), len(shown)) > MAX_NAMES
        return Escalation(
            id=decision.decision_id,
            digest=decision.digest,
            binding=binding,
            agent=call.subject.id,
            session=_short(call.session),
            shown=shown[:MAX_NAMES],
            created_us=now_us,
            expires_us=now_us + self._review.escalation_seconds * 1_000_000,
            leave_seconds=self._review.grant_seconds,
            quorum=self.quorum(rules, critical=critical),
            barred=self.barred(call.subject),
            deeds=deeds_of(call, decision.effects, decision.reasons),
            ops=() if wide else ops,
            assets=() if wide else assets,
            targets=() if wide else targets,
            # What cannot be listed cannot be narrowed either: such a call is approved by itself.
            critical=critical or wide,
            bound=bound,
            view=self._view(call, decision),
            claim=_claim(call) if self._texts else "",
        )

    def quorum(self, rules: Sequence[str], *, critical: bool) -> Quorum:
        """Who has to say yes to a call that is held by these rules."""
        groups = tuple(
            Group(name=name, members=group.members, n=group.n)
            for name, group in sorted(self._review.groups.items())
            if any(_matches(group.rules, rule) for rule in rules)
        )
        # An unsigned answer is one of whoever can resume the conversation: never enough where it is grave.
        signed = not self._review.accept_unsigned or bool(groups) or (critical and self._people)
        return Quorum(groups=groups, distinct=self._review.distinct, signed=signed)

    def barred(self, subject: Subject) -> tuple[str, ...]:
        """Who may not approve what this agent does: itself, who operates it, for whom it acts, who delegated to it."""
        names = [subject.id, *(operator for glob, operator in self._operators if fnmatch.fnmatchcase(subject.id, glob))]
        names += [name for name in (subject.principal, *subject.delegation) if name]
        return tuple(sorted({alike(name) for name in names}))

    def _view(self, call: ToolCall, decision: Decision) -> dict[str, Any]:
        view: dict[str, Any] = {
            "tool": _short(call.tool),
            "cwd": None if call.cwd is None else _short(call.cwd),
            "effects": [_effect(effect) for effect in _gravest(decision)[:MAX_SHOWN]],
            "reasons": [
                {"rule": reason.rule, "asset": reason.asset, "message": _short(reason.message)}
                for reason in sorted(decision.reasons, key=lambda reason: reason.outcome is not Outcome.ESCALATE)
            ][:MAX_SHOWN],
        }
        if (more := len(decision.effects) - MAX_SHOWN) > 0:
            view["effects_more"] = more
        if self._texts:
            # Masked before it is cut: half a token may not look like one. The digest is over what was not masked.
            text = canonical(masked_value(call.args))
            view["args"] = text[:MAX_ARGS_BYTES].decode("utf-8", "ignore")
            view["args_bytes"] = len(text)
        return view


def _gravest(decision: Decision) -> tuple[Effect, ...]:
    """The effects, those first that hold the call: nothing harmless can crowd them out of sight."""
    held = held_effects(decision.effects, decision.reasons)
    chosen = {id(effect) for effect in held}
    return (*held, *(effect for effect in decision.effects if id(effect) not in chosen))


def _claim(call: ToolCall) -> str:
    """What the agent says why, where its tools have an argument for that. It is no evidence of anything."""
    for name in ("justification", "reason", "explanation", "description"):
        said = call.args.get(name)
        if isinstance(said, str) and said.strip():
            return masked(printable(said)[: 4 * MAX_CLAIM_CHARS])[:MAX_CLAIM_CHARS]
    return ""


def deeds_of(call: ToolCall, effects: Sequence[Effect], reasons: Iterable[Reason]) -> tuple[str, ...]:
    """Digests over who does what to which thing, of what a person has to look at, in whatever words and session.

    Where the analysis does not see what is done, everything else about the call stands in for that: all its effects,
    and the words that it is made of, without quotes, order and number. A call that was added to has all of them still.

    Args:
        call: the call.
        effects: what it would do.
        reasons: why it is held.
    """
    held = held_effects(effects, reasons)
    blind = not held or any(effect.precision != "exact" for effect in held)
    seen = effects if blind else held
    items: list[Any] = [[effect.op, *_sides(effect), effect.asset, effect.attrs] for effect in seen]
    if blind:
        items += [["tool", call.tool], *(["word", word] for word in _words(call.args))]
    digests = {hashlib.sha256(canonical([call.subject.id, item])).hexdigest()[:_DEED_DIGITS] for item in items}
    # Of very many some stand for all; which ones does not depend on the order of the call.
    return tuple(sorted(digests)[:MAX_DEEDS])


def _sides(effect: Effect) -> list[str | None]:
    return [None if side is None else side.real or side.address for side in (effect.resource, effect.target)]


def _words(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for name, inner in value.items():  # pyright: ignore[reportUnknownVariableType]
                yield from (f"{name}={word}" for word in _words(inner))
        case list() | tuple():
            for inner in value:  # pyright: ignore[reportUnknownVariableType]
                yield from _words(inner)
        case str():
            yield from filter(None, _BETWEEN_WORDS.split(_QUOTES.sub("", value)))
        case _:
            yield canonical(value).decode()


_QUOTES: Final = re.compile(r"[\"'`\\]")
_BETWEEN_WORDS: Final = re.compile(r"[\s;|&()<>]+")


def _is_critical(effect: Effect, class_of: Callable[[str], str | None]) -> bool:
    assets = _assets((effect,))
    return effect.op in CRITICAL_OPS and any(class_of(asset) in CRITICAL_CLASSES for asset in assets)


def _assets(effects: Iterable[Effect]) -> set[str]:
    sides = (side for effect in effects for side in (effect.resource, effect.target) if side is not None)
    return {side.asset for side in sides if side.asset is not None}


def _targets(effects: Iterable[Effect]) -> list[str]:
    return [effect.target.address for effect in effects if effect.target is not None]


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({name[:512] for name in names}))


def _effect(effect: Effect) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "op": effect.op,
        "resource": _short(effect.resource.address),
        "precision": effect.precision,
        "modality": effect.modality,
    }
    for name, value in (
        ("asset", effect.asset),
        ("target", effect.target.address if effect.target is not None else None),
        ("real", effect.resource.real if effect.resource.real != effect.resource.path else None),
        ("key", effect.attrs.get("key")),
        ("before", effect.attrs.get("before")),
        ("after", effect.attrs.get("after")),
    ):
        if value is not None:
            shown[name] = _short(value if isinstance(value, str) else _json(value))
    return shown


def _json(value: Any) -> str:
    try:
        return orjson.dumps(msgspec.to_builtins(value)).decode()
    except (TypeError, ValueError):
        return str(value)


def _short(text: str) -> str:
    if len(text) <= MAX_CHARS:
        return masked(printable(text))
    # A host name, and what a path leads to, is told by the end: both ends are shown, and the cut is said.
    # Masked before it is cut: half a token may not look like one.
    start, end = (masked(printable(part)) for part in (text[:MAX_READ_CHARS], text[-MAX_READ_CHARS:]))
    half = MAX_CHARS // 2
    return f"{start[:half]} [{len(text) - MAX_CHARS} characters left out] {end[-half:]}"


def _matches(globs: Iterable[str], rule: str) -> bool:
    return any(fnmatch.fnmatchcase(rule, glob) for glob in globs)
