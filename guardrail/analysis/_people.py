"""The sections on people: what they were asked and ordered, who answered, and what is owed to them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from guardrail.analysis import _charts as charts
from guardrail.analysis._decisions import KEPT
from guardrail.analysis._markup import Html, join, table, tag
from guardrail.analysis._sections import MOST_ROWS, columns_of, when
from guardrail.audit.reading.fields import UNKNOWN

if TYPE_CHECKING:
    from guardrail.analysis._duties import Duty
    from guardrail.analysis._summary import Summary

BOUNDS: Final = (
    (60_000_000, "up to 1 minute"), (300_000_000, "up to 5 minutes"), (900_000_000, "up to 15 minutes"),
    (3_600_000_000, "up to 1 hour"), (14_400_000_000, "up to 4 hours"), (86_400_000_000, "up to 1 day"),
)  # fmt: skip
"""How response times are sorted, in microseconds."""


def reviews(summary: Summary) -> Html:
    """Who was asked, who answered, how long it took, and what leave came of it."""
    found = summary.reviews
    if not found.opened and not len(found.voters) and not len(found.grants):
        return tag("p", "Nobody was asked anything in this period.", class_="none")
    endings = [*columns_of(found.endings, "how"), ("open at the end of the period", found.unanswered)]
    parts = [
        tag("p", f"Escalations opened: {found.opened:,}. An unanswered one releases nothing."),
        table("How escalations ended", ("Ending", "Escalations"), endings, numbers=1),
        _response(summary),
    ]
    people = [
        (name, *(row.get(c, 0) for c in ("approved", "denied", "respond")))
        for name, row in found.voters.largest(MOST_ROWS)
    ]
    if people:
        parts.append(table("Who answered", ("Person", "Approved", "Denied", "Answered otherwise"), people, numbers=3))
        parts.append(table("How votes were proven", ("Proof", "Votes"), columns_of(found.proofs, "all"), numbers=1))
    elif found.opened:
        parts.append(tag("p", "Who answered is unknown: this trail has no records of votes.", class_="none"))
    if found.overdue:
        late = ", ".join(f"{name} (record {seq})" for name, seq in list(found.overdue.items())[:MOST_ROWS])
        parts.append(tag("p", f"Broken glass that nobody had looked at in time: {late}."))
    grants = [
        (f"{name}: {what}", number) for name, row in found.grants.largest(9) for what, number in sorted(row.items())
    ]
    parts.append(table("Grants and their uses", ("What happened", "Times"), grants, numbers=1))
    rows = [
        (f"record {asked.seq}", when(asked.opened_us), asked.agent, asked.rule, asked.ending or "open",
         ", ".join(asked.who) or UNKNOWN, _took(asked.took_us))
        for asked in reversed(found.newest)
    ]  # fmt: skip
    heads = ("Opened by", "Time (UTC)", "Agent", "Rule", "Ending", "Who", "After")
    parts.append(table(f"The newest escalations, at most {KEPT}", heads, rows))
    return join(parts)


def _response(summary: Summary) -> Html:
    took = summary.reviews.took
    if not took.count:
        return tag("p", "No escalation was answered in this period.", class_="none")
    found = took.within(tuple(bound for bound, _ in BOUNDS))
    rows: list[tuple[str, Mapping[str, int]]] = [
        (name, {"answers": number}) for (_, name), number in zip((*BOUNDS, (0, "longer")), found, strict=True)
    ]
    median, most = _took(took.share(0.5)), _took(took.share(1.0))
    said = f"Answers: {took.count:,}. Half of them came within {median}, the slowest after {most}."
    if took.cut:
        said += " Times are of the first answers only; there are too many to keep."
    cells = [(name, row["answers"]) for name, row in rows]
    return join(
        (
            tag("p", said),
            charts.by_name("Time to an answer", rows, ("answers",)),
            table("Time from question to answer", ("Time", "Answers"), cells, numbers=1),
        )
    )


def _took(duration_us: int | None) -> str:
    return UNKNOWN if duration_us is None else charts.span(duration_us / 1_000_000)


def duties(summary: Summary) -> Html:
    """What was ordered and owed, and how it ended."""
    found = summary.duties
    rows = [
        (duty.name, duty.what, duty.agent, ", then ".join(duty.states), ", ".join(duty.violations) or "-",
         _tries(duty), _seen(duty), f"record {duty.seq}")
        for duty in list(found.duties.values())[-MOST_ROWS:]
    ]  # fmt: skip
    heads = ("Duty", "What is owed", "By", "States", "Violations", "Tries", "Seen last", "Record")
    more = len(found.duties) + found.forgotten - len(rows)
    caption = "Obligations, with every state that they were seen in" + (
        f"; {more:,} older ones are not listed" if more else ""
    )
    states = [(state, number) for state, number in columns_of(found.states, "all")]
    mandates = [(name, row.get("calls", 0)) for name, row in found.mandates.largest(MOST_ROWS)]
    orders = [(state, number) for state, number in columns_of(found.orders, "all")]
    return join(
        (
            tag("p", "A duty without a try that is not done is what a refusal or an omission looks like."),
            table("Obligations by state", ("State", "Duties"), states, numbers=1),
            table(caption, heads, rows),
            table("Orders", ("State", "Records"), orders, numbers=1),
            table("Calls that were released on an order", ("Mandate", "Calls"), mandates, numbers=1),
        )
    )


def _tries(duty: Duty) -> str:
    tries = [*duty.tries, *([f"the guard, on the word of {duty.word}"] if duty.word else [])]
    return ", ".join(tries) or "none"


def _seen(duty: Duty) -> str:
    seen = [*duty.evidence, *([f"certificate {duty.certificate}"] if duty.certificate else [])]
    return "; ".join(seen) or "-"
