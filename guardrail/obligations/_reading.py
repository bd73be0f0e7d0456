"""How duties stand, read from the trail and its index by somebody who changes neither; a guard may be running."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from guardrail.audit import beside_trail, trail_directory
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
        OSError: if the trail cannot be read.
    """
    from guardrail.audit._verify import read_records

    directory = trail_directory(config)
    ledger = MandateLedger(beside_trail(config, "orders.db"), readonly=True)
    try:
        known = {} if whole else {row.id: unpack(row.data) for row in ledger.duties()}
        first = 0 if whole else first_unread(ledger.mark(CLEAN), known.values())
    finally:
        ledger.close()
    if not directory.is_dir():
        return known
    ended = {name: duty for name, duty in known.items() if duty.has_ended}
    folded = Folded(ended).take_all(read_records(directory, first))
    return {**known, **folded.duties}


def certificate_of(directory: Path, duty: Duty) -> dict[str, Any] | None:
    """The certificate of a duty, as the trail has it; None if there is none, or it holds no more.

    Args:
        directory: the trail.
        duty: which.

    Raises:
        OSError: if the trail cannot be read.
    """
    from guardrail.audit._verify import read_records

    if not duty.certificate:
        return None
    found: dict[str, Any] | None = None
    for _, record in read_records(directory, max(0, duty.opened_seq)):
        if record.get("kind") == "obligation" and record.get("obligation") == duty.terms.id:
            what = cast("dict[str, Any]", record.get("what") or {})
            if what.get("event") == "discharged" and what.get("certificate") == duty.certificate:
                found = cast("dict[str, Any]", what.get("envelope"))
    return found
