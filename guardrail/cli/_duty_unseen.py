"""Obligations of signed orders that no guard of this configuration has taken up, for somebody without a guard."""

from __future__ import annotations

import time
from collections.abc import Container
from typing import TYPE_CHECKING

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
    from guardrail.obligations._unseen import unseen as unseen_of

    book = MandateBook(
        TakeUp(config, keep=False).merged(), MandateLedger(beside_trail(config, "orders.db"), readonly=True)
    )
    try:
        return unseen_of(book, known, time.time_ns() // 1000)
    finally:
        book.close()
