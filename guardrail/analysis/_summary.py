"""One pass over the records of a period: everything that a report says of them. Pure but for the maps it loads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from guardrail.analysis._controls import Controls, load
from guardrail.analysis._coverage import Coverage
from guardrail.analysis._decisions import OUTCOMES, Decisions
from guardrail.analysis._duties import Duties
from guardrail.analysis._reviews import Reviews
from guardrail.audit.reading import Found, Selection, fields

PROGRESS_EVERY: Final = 20_000
"""How many records lie between two calls of the progress callback."""

Progress = Callable[[int], None]
"""Called now and then with the number of records read."""

_REVIEW: Final = frozenset({"escalation", "vote", "grant", "redemption"})


class Summary:
    """What the records of a period say.

    Args:
        selection: the period.
        controls: maps of controls; those that are shipped by default.
    """

    def __init__(self, selection: Selection, controls: Controls | None = None) -> None:
        self.selection = selection
        self.controls = controls if controls is not None else load()
        self.decisions = Decisions()
        self.reviews = Reviews()
        self.duties = Duties()
        self.coverage = Coverage()
        self.records = 0

    def take(self, seq: int, record: dict[str, Any]) -> None:
        """Go on by one record."""
        t_us, kind = fields.time_of(record), fields.kind_of(record)
        self.records += 1
        self.coverage.take(seq, record, t_us)
        self.controls.take(seq, record)
        if kind in ("intent", "decision"):
            self.decisions.take(seq, record, t_us)
            self.duties.used(record)
            if fields.outcome_of(record) == "escalate":
                self.reviews.held(seq, record, t_us)
            if record.get("grant"):
                self.reviews.granted(record, t_us)
        elif kind == "result":
            self.decisions.take_result(record)
        elif kind in _REVIEW:
            self.reviews.take(seq, record, t_us)
        elif kind in ("obligation", "order"):
            self.duties.take(seq, record, t_us)

    def to_dict(self) -> dict[str, Any]:
        """The main numbers as plain JSON values."""
        decisions, reviews, coverage = self.decisions, self.reviews, self.coverage
        return {
            "records": self.records,
            "decisions": {outcome: decisions.outcomes.total(outcome) for outcome in (*OUTCOMES, fields.UNKNOWN)},
            "faults": decisions.faults,
            "observed": decisions.observed,
            "escalations": {
                "opened": reviews.opened,
                "unanswered": reviews.unanswered,
                "endings": dict(reviews.endings.row("how")),
                "median_us": reviews.took.share(0.5),
                "reviews_overdue": len(reviews.overdue),
            },
            "obligations": dict(self.duties.states.row("all")),
            "coverage": {
                "openings": coverage.openings,
                "unsafe_fail_open": coverage.unsafe_openings,
                "lost": coverage.lost,
                "unreadable": coverage.unreadable,
                "unanswered": coverage.unanswered,
                "clock_back": coverage.back,
            },
            "controls": {name: found.count for name, found in self.controls.found.items()},
        }


def summarise(leaves: Iterable[Found], selection: Selection, *, progress: Progress | None = None) -> Summary:
    """Fold the leaves of a period; memory does not grow with their number.

    Args:
        leaves: leaves of the trail, in order, at least those of the period.
        selection: the period.
        progress: called now and then.
    """
    summary = Summary(selection)
    following: int | None = None
    for read, found in enumerate(leaves, 1):
        record = found.record()
        gap = 0 if following is None else max(0, found.seq - following)
        following = found.seq + 1
        summary.coverage.unreadable += gap + (record is None)
        if record is not None and selection.in_range(found.seq, record):
            summary.take(found.seq, record)
        if progress is not None and not read % PROGRESS_EVERY:
            progress(read)
    return summary
