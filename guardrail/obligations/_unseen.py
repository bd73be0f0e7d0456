"""Obligations of signed orders that no guard of this configuration has taken up: nobody follows them.

Not concerned with those that were: the ledger of duties is. One that the agent never called for, and whose harness
never said that it had begun, is in no trail; without a word about it here that would be silence.
"""

from __future__ import annotations

from collections.abc import Container

from guardrail.mandates import MandateBook, microseconds
from guardrail.obligations._terms import terms_of
from guardrail.printing import moment


def unseen(book: MandateBook, known: Container[str], now_us: int) -> tuple[list[str], bool]:
    """What is owed by orders alone.

    Args:
        book: the orders.
        known: ids of the duties that were taken up.
        now_us: the time, in microseconds since 1970.

    Returns:
        A sentence for each, and whether one of them is overdue; those of orders that were taken back are not owed.
    """
    told: list[str] = []
    late = False
    for mandate in book.mandates:
        if book.ended(mandate) is not None or microseconds(mandate.not_before) > now_us:
            continue
        for terms in (terms_of(mandate, owed, now_us) for owed in mandate.obligations):
            if terms.id in known:
                continue
            late = late or terms.due_us <= now_us
            told.append(
                f"{terms.id}: {terms.effect} {terms.asset}, due {moment(terms.due_us)}, was not taken up here: "
                f"no guard of this configuration has heard of `{terms.subject}` since it was ordered"
            )
    return told, late
