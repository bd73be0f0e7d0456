"""The desk of a configuration, over whatever ledger its trail is."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from guardrail.audit import AnyTrail, Trail, beside_trail, trail_key
from guardrail.audit.clock import Clock
from guardrail.config import Config
from guardrail.review._desk import ReviewDesk
from guardrail.review._ledger import KINDS
from guardrail.review._ledgers import MemoryLedger, TrailLedger
from guardrail.review._snapshot import Snapshot

if TYPE_CHECKING:
    from guardrail.audit.postgres import PostgresTrail


def open_desk(config: Config, trail: AnyTrail | None) -> ReviewDesk:
    """The desk over a trail that is open.

    Args:
        config: the settings.
        trail: where records go; None keeps them in memory, which suits judging alone.

    Raises:
        ReviewError: if the ledger holds what cannot be folded.
        TrailError: if it cannot be read.
    """
    sticky = config.review.sticky_seconds
    if trail is None:
        return ReviewDesk(MemoryLedger(), sticky_seconds=sticky)
    clock = Clock(trail.last_us)
    snapshot = Snapshot(beside_trail(config, "review.snapshot"), trail_key(config))
    if isinstance(trail, Trail):
        return ReviewDesk(TrailLedger(trail), snapshot=snapshot, sticky_seconds=sticky, clock=clock)
    # Other replicas answer and redeem as well: a use whose end is not known here may be running there.
    turns = cast("PostgresTrail", trail).ledger(KINDS)
    return ReviewDesk(turns, snapshot=snapshot, sole=False, sticky_seconds=sticky, clock=clock)
