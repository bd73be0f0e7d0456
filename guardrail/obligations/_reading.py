"""How duties stand, read from the trail and its index by somebody who changes neither; a guard may be running."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

from guardrail.audit import beside_trail, is_store, trail_place, trail_records
from guardrail.config import Config
from guardrail.errors import ConfigError
from guardrail.mandates import MandateLedger
from guardrail.obligations._book import CLEAN, first_unread
from guardrail.obligations._codec import unpack
from guardrail.obligations._duty import Duty
from guardrail.obligations._replay import Folded

MAX_NAMED: Final = 5
"""Most duties that are named to somebody who asked for another."""


def read_duties(config: Config, *, whole: bool = False) -> dict[str, Duty]:
    """Every duty of a configuration, by its id.

    Args:
        config: whose.
        whole: read all of the trail, and nothing from the index.

    Raises:
        ConfigError: if the index cannot be opened.
        Fault: if the index cannot be read.
        OSError: if the directory of the trail cannot be read.
        TrailError: if its database cannot be read.
    """
    place = trail_place(config)
    ledger = MandateLedger(beside_trail(config, "orders.db"), readonly=True)
    try:
        known = {} if whole else {row.id: unpack(row.data) for row in ledger.duties()}
        first = 0 if whole else first_unread(ledger.mark(CLEAN), known.values())
    finally:
        ledger.close()
    if not is_store(place) and not Path(place).is_dir():
        return known
    ended = {name: duty for name, duty in known.items() if duty.has_ended}
    folded = Folded(ended).take_all(trail_records(config, first))
    return {**known, **folded.duties}


def find_duty(config: Config, name: str) -> Duty:
    """The duty of an id.

    Args:
        config: whose.
        name: `mandate/obligation`.

    Raises:
        ConfigError: if there is none of that name, with some that there are; and as `read_duties`.
    """
    duties = read_duties(config)
    if name not in duties:
        known = ", ".join(f"`{one}`" for one in list(duties)[:MAX_NAMED])
        hint = f"such as {known}" if known else "nothing was taken up yet"
        raise ConfigError(f"there is no obligation `{name}`: `guardrail obligations list --all` has all, {hint}")
    return duties[name]


def certificate_of(config: Config, duty: Duty) -> tuple[int, dict[str, Any]] | None:
    """The certificate of a duty, and the record that holds it; None if there is none, or it holds no more.

    Args:
        config: whose trail.
        duty: which.

    Raises:
        OSError: if the directory cannot be read.
        TrailError: if the database cannot be read.
    """
    if not duty.certificate:
        return None
    found: tuple[int, dict[str, Any]] | None = None
    for seq, record in trail_records(config, max(0, duty.opened_seq)):
        if record.get("kind") == "obligation" and record.get("obligation") == duty.terms.id:
            what = cast("dict[str, Any]", record.get("what") or {})
            if what.get("event") == "discharged" and what.get("certificate") == duty.certificate:
                found = seq, cast("dict[str, Any]", what.get("envelope"))
    return found
