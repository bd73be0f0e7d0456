"""How duties stand, read from the trail and its index by somebody who changes neither; a guard may be running."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from guardrail.audit import beside_trail, is_store, trail_place
from guardrail.config import Config
from guardrail.mandates import MandateLedger
from guardrail.obligations._book import CLEAN, first_unread
from guardrail.obligations._codec import unpack
from guardrail.obligations._duty import Duty
from guardrail.obligations._replay import Folded


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
    from guardrail.audit._verify import read_records

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
    folded = Folded(ended).take_all(read_records(place, first))
    return {**known, **folded.duties}


def certificate_of(place: Path | str, duty: Duty) -> tuple[int, dict[str, Any]] | None:
    """The certificate of a duty, and the record that holds it; None if there is none, or it holds no more.

    Args:
        place: the trail: a directory, or the address of a shared one.
        duty: which.

    Raises:
        OSError: if the directory cannot be read.
        TrailError: if the database cannot be read.
    """
    from guardrail.audit._verify import read_records

    if not duty.certificate:
        return None
    found: tuple[int, dict[str, Any]] | None = None
    for seq, record in read_records(place, max(0, duty.opened_seq)):
        if record.get("kind") == "obligation" and record.get("obligation") == duty.terms.id:
            what = cast("dict[str, Any]", record.get("what") or {})
            if what.get("event") == "discharged" and what.get("certificate") == duty.certificate:
                found = seq, cast("dict[str, Any]", what.get("envelope"))
    return found
