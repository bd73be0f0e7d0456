"""The desk of a configuration, and what is on record for it, whatever keeps the trail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from guardrail.audit import AnyTrail, Trail, beside_trail, is_store, need_driver, trail_key, trail_place
from guardrail.config import Config
from guardrail.errors import ConfigError
from guardrail.review._desk import ReviewDesk
from guardrail.review._ledger import KINDS
from guardrail.review._ledgers import MemoryLedger, TrailLedger, read_trail
from guardrail.review._snapshot import Snapshot

if TYPE_CHECKING:
    from guardrail.audit.postgres import PostgresTrail


def open_desk(config: Config, trail: AnyTrail | None) -> ReviewDesk:
    """The desk that decides on the records of a trail.

    Args:
        config: its `[review]`.
        trail: open for writing; None decides in memory, for judging alone.

    Raises:
        ReviewError: if the ledger holds what cannot be folded.
        TrailError: if it cannot be read.
    """
    sticky = config.review.sticky_seconds
    if trail is None:
        return ReviewDesk(MemoryLedger(), sticky_seconds=sticky)
    snapshot = Snapshot(beside_trail(config, "review.snapshot"), trail_key(config))
    if isinstance(trail, Trail):
        return ReviewDesk(TrailLedger(trail), snapshot=snapshot, sticky_seconds=sticky)
    # Other replicas answer and redeem as well: a use whose end is not known here may be running there.
    turns = cast("PostgresTrail", trail).ledger(KINDS)
    return ReviewDesk(turns, snapshot=snapshot, sole=False, sticky_seconds=sticky)


def recorded(config: Config) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of review in the trail of a configuration, without opening it for writing.

    Raises:
        ConfigError: if there is none.
        TrailError: if a record is missing or cannot be read.
    """
    place = trail_place(config)
    if is_store(place):
        need_driver()
        from guardrail.audit.postgres import read_rows

        yield from read_rows(place, KINDS, strict=True)
        return
    if not Path(place).is_dir():
        raise ConfigError(f"there is no trail at `{place}`: this configuration has recorded nothing yet")
    yield from read_trail(Path(place))
