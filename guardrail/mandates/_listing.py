"""Every order of a configuration in a line: what it says, how it stands, and the files that are refused with why."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import UNSET, UnsetType

from guardrail.mandates._directory import SUFFIX
from guardrail.mandates._mandate import Mandate, microseconds

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.mandates._book import MandateBook

Stands = Literal["holds", "not yet", "over", "revoked", "refused", "not read"]
"""How an order stands, in a word; `refused` and `not read` are files that are no order of this configuration."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One order, or one file that is none.

    Args:
        ok: whether it counts now.
        stands: how it stands, in a word.
        state: the same in a sentence; `counts` if it does.
        file: name of a file that is refused or not read.
        id: of the mandate.
        summary: what it says, in a sentence.
        notes: what a person should know of it besides.
        left: for each of its grants how many uses are left; None for any number.
        mandate: as it was signed.
    """

    ok: bool
    stands: Stands
    state: str
    file: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    summary: str | UnsetType = UNSET
    notes: tuple[str, ...] | UnsetType = UNSET
    left: tuple[int | None, ...] | UnsetType = UNSET
    mandate: Mandate | UnsetType = UNSET


def listed(config: Config, book: MandateBook, now_us: int) -> tuple[Listed, ...]:
    """Every file in the directory of mandates, but revocations and words that hold: what is refused comes first.

    Args:
        config: with the assets, zones and agents that mandates are about.
        book: its mandates.
        now_us: the time, in microseconds since 1970.

    Raises:
        Fault: if it cannot be told how often a grant was used.
    """
    refused = (*book.problems, *book.words()[1])
    rows = [Listed(ok=False, stands="refused", state=f"refused: {one.reason}", file=one.file) for one in refused]
    known = {asset.id for asset in config.assets}
    rows += [_row(mandate, config, known, book, now_us) for mandate in book.mandates]
    unread = f"not read: its name does not end in `{SUFFIX}`"
    rows += [Listed(ok=False, stands="not read", state=unread, file=name) for name in book.unread]
    return tuple(rows)


def stands_of(mandate: Mandate, book: MandateBook, now_us: int) -> Stands:
    """How a genuine mandate stands, in a word.

    Args:
        mandate: which.
        book: knows what was revoked.
        now_us: the time, in microseconds since 1970.
    """
    if book.ended(mandate) is not None:
        return "revoked"
    if now_us < microseconds(mandate.not_before):
        return "not yet"
    return "over" if now_us >= microseconds(mandate.not_after) else "holds"


def summary(mandate: Mandate) -> str:
    """What a person should read before and after signing."""
    grants = [
        f"{'/'.join(grant.effects)} {' '.join(grant.assets)}"
        + (f" to {' '.join(grant.targets)}" if grant.targets else "")
        + (f" registered from {grant.registered_from}" if grant.registered_from else "")
        + (f" registered until {grant.registered_until}" if grant.registered_until else "")
        + (" with approval" if grant.approval else "")
        + (f" at most {'once' if grant.uses == 1 else f'{grant.uses} times'}" if grant.uses is not None else "")
        for grant in mandate.grants
    ]
    duties = [
        f"must {duty.effect} {duty.asset}"
        + (f" if the mean of {duty.records} is below {duty.below}" if duty.records else "")
        + (f" by {duty.due.isoformat()}" if duty.due is not None else "")
        + (", or the guard does it" if duty.fallback else "")
        + (" with all copies" if duty.derivatives else "")
        for duty in mandate.obligations
    ]
    window = f"{mandate.not_before.isoformat()} to {mandate.not_after.isoformat()}"
    return f"{mandate.issuer} lets {mandate.subject}: {'; '.join((*grants, *duties))}; {window}"


def goes_nowhere(effect: str) -> str:
    """What is wrong with a grant of an effect that needs a target and has none."""
    return f"`{effect}` goes nowhere without a target, so it is not allowed"


def _row(mandate: Mandate, config: Config, known: set[str], book: MandateBook, now_us: int) -> Listed:
    reason, left = book.why_nobody(mandate, now_us), book.left(mandate)
    return Listed(
        ok=reason is None,
        stands=stands_of(mandate, book, now_us),
        state=reason or "counts",
        id=mandate.id,
        summary=summary(mandate),
        notes=tuple(_notes(mandate, config, known, book, left)),
        left=left,
        mandate=mandate,
    )


def _notes(
    mandate: Mandate, config: Config, known: set[str], book: MandateBook, left: Sequence[int | None]
) -> list[str]:
    notes = [f"no asset is called `{name}`" for name in mandate.unknown_assets(known)]
    notes += [f"no zone is called `{name}`" for name in mandate.unknown_zones(config.zones)]
    notes += [goes_nowhere(effect) for effect in mandate.without_target()]
    notes += [
        f"{count} of {grant.uses} uses left"
        for grant, count in zip(mandate.grants, left, strict=True)
        if grant.uses is not None
    ]
    if fnmatchcase(mandate.issuer, mandate.subject):
        notes.append(f"not for `{mandate.issuer}`, who signed it: nobody gives an order to themselves")
    operated = [agent.id for agent in config.agents if agent.operator.casefold() == mandate.issuer.casefold()]
    if book.separation.required and operated:
        agents = ", ".join(f"`{agent}`" for agent in operated)
        notes.append(f"its issuer operates {agents}: it does not count for those where separation is required")
    subject = mandate.subject
    plain = not any(char in subject for char in "*?[")
    if book.separation.required and plain and not any(fnmatchcase(subject, agent.id) for agent in config.agents):
        notes.append(f"nobody is known to operate `{subject}`: it does not count where separation is required")
    return notes
