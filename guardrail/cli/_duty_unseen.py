"""Obligations of signed orders that no guard of this configuration has taken up: nobody follows them.

Not concerned with those that were: the ledger of duties is. One that the agent never called for, and whose harness
never said that it had begun, is in no trail; without a word about it here that would be silence.
"""

from __future__ import annotations

import time
from collections.abc import Container
from typing import TYPE_CHECKING

from guardrail.printing import moment

if TYPE_CHECKING:
    from guardrail.config import Config


def unseen(config: Config, known: Container[str]) -> tuple[list[str], bool]:
    """What is owed by orders alone.

    Args:
        config: whose orders.
        known: ids of the duties that were taken up.

    Returns:
        A sentence for each, and whether one of them is overdue; those of orders that were taken back are not owed.
    """
    from guardrail.audit import beside_trail
    from guardrail.central import TakeUp
    from guardrail.mandates import MandateBook, MandateLedger
    from guardrail.obligations._terms import terms_of

    book = MandateBook(
        TakeUp(config, keep=False).merged(), MandateLedger(beside_trail(config, "orders.db"), readonly=True)
    )
    now_us = time.time_ns() // 1000
    told: list[str] = []
    late = False
    try:
        for mandate in book.mandates:
            if book.ended(mandate) is not None or mandate.not_before.timestamp() * 1_000_000 > now_us:
                continue
            for terms in (terms_of(mandate, owed, now_us) for owed in mandate.obligations):
                if terms.id in known:
                    continue
                late = late or terms.due_us <= now_us
                told.append(
                    f"{terms.id}: {terms.effect} {terms.asset}, due {moment(terms.due_us)}, was not taken up here: "
                    f"no guard of this configuration has heard of `{terms.subject}` since it was ordered"
                )
    finally:
        book.close()
    return told, late
