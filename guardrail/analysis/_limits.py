"""How far the evidence reaches: the sections on policy, coverage and limits. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from guardrail.analysis import _charts as charts
from guardrail.analysis._decisions import KEPT
from guardrail.analysis._markup import Html, join, table, tag
from guardrail.analysis._sections import MOST_ROWS, columns_of, when
from guardrail.audit.reading.fields import UNKNOWN, moment

if TYPE_CHECKING:
    from guardrail.analysis._html import Made
    from guardrail.analysis._summary import Summary

NO_RESULT: Final = "their caller reports none or they were cut off"

NOT_RECORDED: Final = (
    "Not recorded at all: calls that are made past the guard; a preview that was allowed; and, if the host crashes, "
    "the last moments of calls that touch no asset, which are written without waiting for the disk."
)

DIGESTS_ONLY: Final = (
    "Tool arguments and output are in the records as digests only; where they are disclosed at all, they lie beside "
    "the trail and can be redacted. Names come from agents, and are shown escaped."
)


def policy(summary: Summary) -> Html:
    """Which policy was in force, and what changed."""
    rows = [
        (f"record {seq}", when(t_us), event, revision, why or "-")
        for seq, t_us, event, revision, why in reversed(summary.coverage.changes)
    ]
    heads = ("Record", "Time (UTC)", "Event", "Policy", "Source or reason")
    return table(f"Starts and changes of policy, the newest {KEPT}", heads, rows)


def limits(summary: Summary, made: Made) -> Html:
    """How far the evidence reaches."""
    kinds = [(name, row.get("records", 0)) for name, row in summary.coverage.kinds.largest(MOST_ROWS)]
    results = columns_of(summary.decisions.results, "all")
    return join(
        (
            tag("ul", *(tag("li", line) for line in _limits(summary, made)), class_="limits"),
            table("Records by kind", ("Kind", "Records"), kinds, numbers=1),
            table("What came of calls that were released", ("Result", "Calls"), results, numbers=1),
        )
    )


def _limits(summary: Summary, made: Made) -> Sequence[str]:
    found, decisions = summary.coverage, summary.decisions
    first, last = found.first, found.last
    modes = ", ".join(f"{name} ({row.get('openings', 0)})" for name, row in found.modes.largest(9))
    modes = modes or "unknown, since the guard did not start in this period"
    reach = (
        f"records {first[0]} ({moment(first[1])}) to {last[0]} ({moment(last[1])})" if first and last else "no record"
    )
    unsafe = (
        f"unsafe_fail_open was on at {found.unsafe_openings} starts, and {found.unsafe_records} records were made "
        "under it: calls ran although judging them had failed."
        if found.unsafe_openings or found.unsafe_records
        else "unsafe_fail_open: not seen on."
    )
    unknown = dict(columns_of(decisions.results, "all")).get(UNKNOWN, 0)
    return (
        f"Reach: {reach}, of {found.boots} boots of a host, over {found.openings} starts of the guard.",
        f"Mode at those starts: {modes}. {decisions.observed} calls ran that a rule under trial would have stopped.",
        unsafe,
        f"Gaps: {found.lost} records are recorded as lost, and {found.unreadable} could not be read.",
        f"Results: {found.unanswered} released calls have none, since {NO_RESULT}; {unknown} are recorded as unknown.",
        f"Clock: it went back by more than a second {found.back} times; the order of records is their number.",
        f"Redactions: {found.redactions}. Changes of the ledger's key: {found.keys}.",
        _retention(made),
        _tamper(summary, made),
        NOT_RECORDED,
        DIGESTS_ONLY,
    )


def _retention(made: Made) -> str:
    pruned, holds = made.verification.get("pruned"), made.verification.get("holds") or ()
    gone = "nothing was pruned"
    if pruned:
        gone = f"records before {pruned.get('minimum')} were pruned, by the order in record {pruned.get('record')}"
    missing = made.verification.get("disclosures_missing") or 0
    return (
        f"Retention: {gone}; legal holds in force: {', '.join(map(str, holds)) or 'none'}; "
        f"{missing} disclosures are gone without a redaction."
    )


def _tamper(summary: Summary, made: Made) -> str:
    left = summary.coverage.left_us
    signed = (
        f" The trail was last signed {_ago(made.at_us, made.checkpoint_us)}." if made.checkpoint_us is not None else ""
    )
    seen = made.verification.get("witnesses") or ()
    if seen:
        return f"Tamper window: the witnesses that were asked for have cosigned: {_told(made, seen)}.{signed}"
    if made.verification.get("checkpoint_given"):
        return f"Tamper window: this report was checked against a checkpoint that was kept elsewhere.{signed}"
    if made.cosigned:
        return (
            f"Tamper window: cosignatures lie with the trail: {_told(made, made.cosigned)}. "
            f"They were not checked, since no verifier key of a witness was given.{signed}"
        )
    if left is None:
        return (
            "Tamper window: no checkpoint is on record as having left this host in the period, so whoever holds this "
            f"directory and its key could have written all of it anew.{signed}"
        )
    return (
        f"Tamper window: the last checkpoint on record as having left this host did so {_ago(made.at_us, left)}; "
        f"what came after it could be written anew by whoever holds this directory and its key.{signed}"
    )


def _told(made: Made, seen: Sequence[tuple[str, int, int]]) -> str:
    return ", ".join(f"{name} {size:,} records, {_ago(made.at_us, at_s * 1_000_000)}" for name, size, at_s in seen)


def _ago(now_us: int, then_us: int) -> str:
    return f"{charts.span(max(0, now_us - then_us) / 1_000_000)} before this report ({moment(then_us)})"
