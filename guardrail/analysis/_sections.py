"""The sections of the report, in their order. Pure.

INVARIANT: every sentence here says what the records show, and none says that anything is fulfilled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardrail.analysis import _charts as charts
from guardrail.analysis._counts import Counts
from guardrail.analysis._decisions import KEPT, OUTCOMES
from guardrail.analysis._markup import Html, join, table, tag
from guardrail.audit.reading.fields import UNKNOWN, moment

if TYPE_CHECKING:
    from guardrail.analysis._html import Made
    from guardrail.analysis._summary import Summary

OPEN: Final = "The trail was open for writing: what came after the start of the verification is not covered by it."

MOST_STEPS: Final = 48
"""Most bars over time."""

MOST_BARS: Final = 12
"""Most bars by name; the table after them has `MOST_ROWS`."""

MOST_ROWS: Final = 40


# ── the head ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def about(summary: Summary, made: Made) -> Html:
    """What it is about."""
    since, until = summary.selection.since_us, summary.selection.until_us
    low = f"from {moment(since)}" if since is not None else "from the first record"
    high = f"up to and without {moment(until)}" if until is not None else "to the last record"
    return join(
        (
            tag("p", f"Period: {low} {high}. All times are UTC.", class_="soft"),
            tag(
                "p",
                f"Ledger {made.verification.get('origin') or UNKNOWN}, {summary.records:,} records in the period, "
                f"read from {made.trail}. Made {moment(made.at_us)} by Guardrail {made.version}.",
                class_="soft",
            ),
        )
    )


def verdict(made: Made) -> Html:
    """Which verification ran, and what it found."""
    found = made.verification
    ok, deep = bool(found.get("ok")), bool(found.get("deep"))
    kind = (
        "deep verification (every byte, every record)"
        if deep
        else "light verification (every byte, records not parsed)"
    )
    key = (
        "The verifier key was given from elsewhere."
        if found.get("key_source") == "given"
        else "The verifier key is the trail's own, so this shows only that the trail agrees with itself."
    )
    problems = [str(problem) for problem in found.get("problems") or ()]
    more = found.get("more") or 0
    return tag(
        "div",
        tag("p", tag("strong", "As written" if ok else "NOT as written"), f": {kind} of the whole trail."),
        tag(
            "p",
            f"{found.get('records', 0):,} records, {found.get('signed', 0):,} of them signed by "
            f"{found.get('checkpoints', 0):,} checkpoints; root ",
            tag("code", found.get("root") or "not computed"),
            f". {key}",
        ),
        tag("p", OPEN) if found.get("live") else "",
        tag("ul", *(tag("li", problem) for problem in problems[:20])) if problems else "",
        tag("p", f"and {more + max(0, len(problems) - 20)} more problems") if more or len(problems) > 20 else "",
        class_="verdict ok" if ok else "verdict",
    )


def tiles(summary: Summary) -> Html:
    """The numbers that are looked for first."""
    decisions, reviews = summary.decisions, summary.reviews
    broken = sum(1 for duty in summary.duties.duties.values() if duty.violations or duty.state == "unmet")
    shown = (
        ("decisions", decisions.total), ("allowed", decisions.outcomes.total("allow")),
        ("held for a person", decisions.outcomes.total("escalate")), ("denied", decisions.outcomes.total("deny")),
        ("faults", decisions.faults), ("escalations open", reviews.unanswered), ("duties not as ordered", broken),
        *((("reviews of broken glass overdue", len(reviews.overdue)),) if reviews.overdue else ()),
    )  # fmt: skip
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", f"{number:,}")) for name, number in shown), class_="tiles")


# ── decisions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def time(summary: Summary) -> Html:
    """Decisions over time, by outcome."""
    timeline, selection = summary.decisions.over_time, summary.selection
    if not summary.decisions.total:
        return tag("p", "No decision was recorded in this period.", class_="none")
    columns = _columns(summary.decisions.outcomes)
    steps = timeline.steps(MOST_STEPS, selection.since_us, selection.until_us)
    width = timeline.width
    rows = [(charts.label(at, width), *(row.get(column, 0) for column in columns)) for at, row in steps if row]
    caption = f"Decisions in steps of {charts.span(width)}; steps without any are left out"
    return join(
        (
            charts.legend(columns),
            charts.over_time("Decisions over time", steps, columns, width),
            table(caption, ("Beginning (UTC)", *columns), rows, numbers=len(columns)),
        )
    )


def _columns(outcomes: Counts) -> tuple[str, ...]:
    return (*OUTCOMES, UNKNOWN) if outcomes.total(UNKNOWN) else OUTCOMES


def names(summary: Summary) -> Html:
    """Decisions by whom, on what, and why."""
    decisions = summary.decisions
    columns = _columns(decisions.outcomes)
    parts: list[Html] = [charts.legend(columns)]
    for title, counts in (
        ("Agents", decisions.agents), ("Assets", decisions.assets), ("Rules that fired", decisions.rules),
        ("What calls would do", decisions.ops),
    ):  # fmt: skip
        parts += [tag("h3", title), _ranked(title, counts, columns)]
    return join(parts)


def _ranked(title: str, counts: Counts, columns: tuple[str, ...]) -> Html:
    rows = counts.largest(MOST_ROWS)
    if not rows:
        return tag("p", "Nothing in this period.", class_="none")
    more = len(counts) - len(rows)
    caption = f"{title}: decisions by outcome" + (f"; {more:,} with fewer are not listed" if more else "")
    if counts.cut:
        caption += "; too many names to tell all of them apart, the rest count as (others)"
    cells = [(name, *(row.get(column, 0) for column in columns)) for name, row in rows]
    return join(
        (
            charts.by_name(title, rows[:MOST_BARS], columns),
            table(caption, ("Name", *columns), cells, numbers=len(columns)),
        )
    )


def faults(summary: Summary) -> Html:
    """Failures in judging."""
    decisions = summary.decisions
    said = "A fault is a failure in judging; unless the guard runs with unsafe_fail_open, the call does not run then."
    rows = [
        (f"record {seq}", when(t_us), outcome, message)
        for seq, t_us, outcome, message in reversed(decisions.newest_faults)
    ]
    if not rows:
        return join((tag("p", said), tag("p", "No fault was recorded in this period.", class_="none")))
    caption = f"The newest of {decisions.faults:,} faults, at most {KEPT}"
    return join((tag("p", said), table(caption, ("Record", "Time (UTC)", "Outcome", "What failed"), rows)))


def when(t_us: int | None) -> str:
    """A time in a table whose head says that it is UTC."""
    return moment(t_us).replace("T", " ")[:19]


def columns_of(counts: Counts, name: str) -> list[tuple[str, int]]:
    return sorted(counts.row(name).items())


# ── the evidence itself ───────────────────────────────────────────────────────────────────────────────────────────────


def controls(summary: Summary) -> Html:
    """For which controls the records are evidence."""
    parts = [
        tag(
            "p",
            "The records are evidence relevant to these controls. Whether a control is met is for an auditor to say; "
            "what is asked is put in our words.",
        )
    ]
    for source in summary.controls.sources:
        rows = [
            (control.control, control.asks, _evidence(summary, control.queries), control.also or "-")
            for control in source.control
        ]
        heads = ("Control", "Asks", "Evidence relevant to it", "See also")
        parts += [tag("h3", source.source), table(f"{source.source}, {source.edition}", heads, rows)]
        if source.note:
            parts.append(tag("p", source.note, class_="soft"))
    return join(parts)


def _evidence(summary: Summary, queries: tuple[str, ...]) -> Html:
    lines: list[Html] = []
    for name in queries:
        query, found = summary.controls.queries[name], summary.controls.found[name]
        such = f", such as {', '.join(map(str, found.examples))}" if found.examples else ""
        lines.append(tag("div", f"{found.count:,} × {query.shows}{such}"))
    return join(lines) if lines else tag("div", "-")


def check(made: Made) -> Html:
    """What to type to see the same."""
    lines = (
        (
            "guardrail audit verify --key VKEY --checkpoint FILE",
            "is the trail what was written? Key and checkpoint from elsewhere.",
        ),
        ("guardrail audit show --seq N", "what does the record of this number say?"),
        (
            "guardrail audit prove N -o N.tlog-proof",
            "the proof of that record, for whoever has no access to the trail.",
        ),
        ("python verify_proof.py N.tlog-proof --key VKEY", "check such a proof without Guardrail."),
    )
    key = made.verification.get("key") or UNKNOWN
    return join(
        (
            tag("dl", *(part for command, why in lines for part in (tag("dt", tag("code", command)), tag("dd", why)))),
            tag("p", "Verifier key that was used: ", tag("code", key)),
        )
    )
