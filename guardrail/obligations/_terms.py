"""What a mandate obliges to, and which calls would do it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

from guardrail.canonical import canonical
from guardrail.mandates import Mandate, Obligation
from guardrail.model import Effect
from guardrail.obligations._events import Terms

MAX_KEPT_AT_BYTES: Final = 4 * 1024
"""How much of a record the places may take at which an order lets a copy be, in bytes; as much those of the asset."""

_STARTING: Final = frozenset("start restart reload enable unmask status show".split())
"""What is said to a service that is not to be ended."""

_DOING: Final = {
    "delete": frozenset({"delete", "api_delete"}),
    "evaluate": frozenset({"record_score"}),
    "transfer": frozenset({"copy", "rename", "net_send", "api_copy"}),
    # It is kept by doing nothing.
    "retain": frozenset[str](),
}


def does(effects: Sequence[Effect], terms: Terms) -> bool:
    """Whether a call with these effects would do what is owed, or a part of it."""
    ops = _DOING.get(terms.effect, frozenset((terms.effect,)))
    return any(
        effect.op in ops and effect.resource.asset == terms.asset and effect.attrs.get("verb") not in _STARTING
        for effect in effects
    )


def _bounded(targets: tuple[str, ...]) -> tuple[str, ...]:
    """As many as a record has room for; a copy at any other is then one that the order does not want."""
    kept, left = list[str](), MAX_KEPT_AT_BYTES
    for target in targets:
        left -= len(canonical(target))
        if left < 0:
            break
        kept.append(target)
    return tuple(kept)


def bounded_places(places: Sequence[str]) -> tuple[str, ...]:
    """Places of an asset, each once, as many as a record has room for; of the rest the inventory alone tells."""
    return _bounded(tuple(dict.fromkeys(places)))


def terms_of(mandate: Mandate, owed: Obligation, now_us: int) -> Terms:
    """What is owed under an obligation that is taken up now."""
    kept_at = tuple(
        dict.fromkeys(
            target
            for grant in mandate.grants
            if "copy" in grant.effects and any(fnmatchcase(owed.asset, glob) for glob in grant.assets)
            for target in grant.targets
        )
    )
    return Terms(
        id=f"{mandate.id}/{owed.id}",
        mandate=mandate.id,
        issuer=mandate.issuer,
        subject=mandate.subject,
        effect=owed.effect,
        asset=owed.asset,
        opened_us=now_us,
        due_us=int((owed.due or mandate.not_after).timestamp() * 1_000_000),
        quiet_us=owed.quiet_seconds * 1_000_000,
        fallback=owed.fallback == "guardrail",
        derivatives=owed.derivatives,
        items=owed.items,
        count=owed.count,
        records=owed.records,
        below=owed.below,
        judge=owed.judge,
        to=owed.to,
        source=owed.source,
        kept_at=_bounded(kept_at),
    )
