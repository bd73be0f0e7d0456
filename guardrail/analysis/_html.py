"""The report as one HTML file: no script, no request, readable on paper and by those who do not see it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardrail.analysis import _limits as limits
from guardrail.analysis import _people as people
from guardrail.analysis import _sections as sections
from guardrail.analysis._markup import Html, join, tag, trusted
from guardrail.audit.reading.fields import moment

if TYPE_CHECKING:
    from guardrail.analysis._summary import Summary

STYLE: Final = Path(__file__).with_name("report.css")
"""The style sheet; it stands in the page, and the page names its digest, so that no other style counts."""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """Under which circumstances a report was made.

    Args:
        at_us: when, in microseconds since the epoch.
        trail: where the trail lies, as it was named.
        version: of this program.
        verification: the verifier's report, as plain values.
        checkpoint_us: when the trail was last signed, as far as the file of checkpoints says.
        cosigned: what witnesses are said to have seen, by cosignatures that lie with the trail: name, number of
            records, and when, in seconds since the epoch; checked only where the verifier was given their keys.
    """

    at_us: int
    trail: str
    version: str
    verification: Mapping[str, Any]
    checkpoint_us: int | None = None
    cosigned: tuple[tuple[str, int, int], ...] = ()


def page(summary: Summary, made: Made) -> str:
    """The report.

    Args:
        summary: what the records say.
        made: when, from what, and what the verifier found.
    """
    title = f"Guardrail: evidence from {_day(summary.selection.since_us, summary.coverage.first)} to {_until(summary)}"
    parts = [
        ("time", "Decisions over time", sections.time(summary)),
        ("who", "By agent, asset and rule", sections.names(summary)),
        ("faults", "Faults", sections.faults(summary)),
        ("reviews", "Escalations and grants", people.reviews(summary)),
        ("duties", "Orders and obligations", people.duties(summary)),
        ("policy", "Policy and configuration", limits.policy(summary)),
        ("limits", "Coverage and limits", limits.limits(summary, made)),
        ("controls", "Controls this is evidence for", sections.controls(summary)),
        ("check", "How to check this report", sections.check(made)),
    ]
    body = [
        tag(
            "header",
            tag("h1", "Guardrail report"),
            sections.about(summary, made),
            sections.verdict(made),
            sections.tiles(summary),
        ),
        tag(
            "nav",
            tag("ul", *(tag("li", tag("a", name, href=f"#{key}")) for key, name, _ in parts)),
            aria_label="Contents",
        ),
        tag("main", *(tag("section", tag("h2", name, id=key), part) for key, name, part in parts)),
    ]
    return "<!doctype html>\n" + tag("html", _head(title), tag("body", *body), lang="en") + "\n"


def _head(title: str) -> Html:
    style, digest = _style()
    rules = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        trusted(f'<meta http-equiv="Content-Security-Policy" content="{rules}"/>'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        join((trusted("<style>"), style, trusted("</style>"))),
    )


@cache
def _style() -> tuple[Html, str]:
    text = STYLE.read_text("utf-8")
    return trusted(text), base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _day(since_us: int | None, first: tuple[int, int | None] | None) -> str:
    if since_us is not None:
        return moment(since_us)[:16] + "Z"
    return moment(first[1])[:16] + "Z" if first is not None and first[1] is not None else "the beginning"


def _until(summary: Summary) -> str:
    until, last = summary.selection.until_us, summary.coverage.last
    if until is not None:
        return moment(until)[:16] + "Z"
    return moment(last[1])[:16] + "Z" if last is not None and last[1] is not None else "the end"
