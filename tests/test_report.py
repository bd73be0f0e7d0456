"""The report: what it counts, what it says of its own limits, and that nothing of an agent's runs in it."""

from __future__ import annotations

import html.parser
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail import Guard, Subject, ToolCall
from guardrail.analysis import Summary, page
from guardrail.analysis import _controls as controls
from guardrail.analysis import _counts as counts
from guardrail.analysis._charts import ceiling, label, span
from guardrail.analysis._html import Made
from guardrail.analysis._markup import MAX_CHARS, escaped, table, tag
from guardrail.audit import Trail
from guardrail.audit.export import export
from guardrail.audit.export._ocsf import events
from guardrail.audit.export._schema import problems
from guardrail.audit.reading import Found, Selection, begin_of, read_leaves
from guardrail.audit.reading._index import build_index
from guardrail.audit.reading.fields import moment
from guardrail.cli import main
from guardrail.config import parse as parse_config
from guardrail.errors import ConfigError
from tests.audit_support import ROOT, flip, make_trail, open_trail, segments
from tests.trail_support import HOSTILE, cosigned_by, decision, everything, hostile_records, many, reviewed

DAY_US = 86_400_000_000


def summary_of(records: Any, selection: Selection | None = None, *, step_us: int = 1_000_000) -> Summary:
    """A summary of records that were written one after the other from midnight on."""
    summary = Summary(selection or Selection())
    for seq, record in enumerate(records):
        summary.take(seq, {"t_us": 1_796_083_200_000_000 + seq * step_us, "seq": seq, **record})
    return summary


def shown(summary: Summary, **verification: Any) -> str:
    """The page of a summary, with what the verifier found."""
    found = {
        "ok": True,
        "deep": True,
        "records": 9,
        "signed": 9,
        "checkpoints": 1,
        "root": "ab",
        "origin": "x",
        "key": "k",
    }
    return page(summary, Made(at_us=DAY_US, trail="/t", version="0", verification=found | verification))


def text_of(markup: str) -> str:
    """What a reader sees, blanks made one."""
    parts: list[str] = []

    class Reader(html.parser.HTMLParser):
        def handle_data(self, data: str) -> None:
            parts.append(data)

    reader = Reader()
    reader.feed(markup[markup.index("<body") :])
    return " ".join(" ".join(parts).split())


# ── what is counted ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_decisions_are_counted_by_outcome_agent_asset_rule_and_time() -> None:
    """Each once, whoever asks; what is not known has a row of its own."""
    summary = summary_of([decision(1), decision(2, "escalate"), decision(4, "allow", agent="b"), {"kind": "intent"}])
    found = summary.decisions
    assert {name: dict(row) for name, row in found.agents.largest(9)} == {
        "ops-agent": {"deny": 1, "escalate": 1}, "b": {"allow": 1}, "unknown": {"unknown": 1},
    }  # fmt: skip
    assert dict(found.assets.largest(1)[0][1]) == {"deny": 1, "escalate": 1, "allow": 1}
    assert [name for name, _ in found.rules.largest(9)] == ["copy.unsanctioned", "review.needed", "times.forged"]
    assert found.over_time.steps(10) == [
        (1_796_083_200, {"deny": 1}), (1_796_083_201, {"escalate": 1}),
        (1_796_083_202, {"allow": 1}), (1_796_083_203, {"unknown": 1}),
    ]  # fmt: skip
    assert summary.to_dict()["decisions"] == {"allow": 1, "escalate": 1, "deny": 1, "unknown": 1}


def test_escalations_are_followed_to_their_answer() -> None:
    """Who answered and after how long; one that nobody answered stays open; expiry is no answer."""
    records = [decision(1, "escalate") | {"decision_id": "e-1"}, *reviewed(), decision(5, "escalate")]
    found = summary_of(records).reviews
    assert (found.opened, found.unanswered) == (3, 1)
    assert dict(found.endings.largest(2)[0][1]) in ({"all": 2}, {"approved": 1, "expired": 1})
    assert found.voters.largest(1) == [("kim@example.com", {"approved": 1})]
    assert found.proofs.largest(1) == [("all", {"signed (ed25519)": 1})]
    assert {name: dict(row) for name, row in found.grants.largest(9)} == {
        "grants": {"issued": 1, "revoked": 1}, "uses": {"taken": 1, "completed": 1},
    }  # fmt: skip
    first = found.newest[0]
    assert (first.ending, first.who, first.took_us) == ("approved", ("kim@example.com",), 3_000_000)
    assert found.took.count == 1


def test_a_trail_without_records_of_review_still_shows_that_a_call_was_let_through() -> None:
    """By the digest of the call that a grant released; who answered is unknown, and said to be."""
    held = decision(1, "escalate")
    released = decision(9, "allow", grant="g") | {"call": held["call"]}
    summary = summary_of([held, decision(3, "escalate"), released])
    assert [asked.ending for asked in summary.reviews.newest] == ["approved", ""]
    assert "Who answered is unknown" in text_of(shown(summary))


def test_leave_that_people_took_at_once_is_told_apart() -> None:
    """Break-glass was asked for by no rule, and whether it was looked at afterwards is counted."""
    opened = next(reviewed())
    taken = {**opened, "held": {**opened["held"], "glass": True, "shown": []}}
    seen = {"kind": "escalation", "event": "reviewed", "escalation": "e-1", "by": "finn"}
    found = summary_of([taken, seen]).reviews
    assert found.newest[0].rule == "break-glass"
    assert dict(found.grants.row("break-glass")) == {"opened": 1, "reviewed": 1}


def test_a_denial_by_a_person_ends_an_escalation() -> None:
    """One is enough, unless it does not count."""
    opened = next(reviewed())
    vote = {"kind": "vote", "event": "voted", "escalation": "e-1", "vote": {"voter": "k", "verdict": "deny"}}
    idle = {**vote, "vote": {**vote["vote"], "counts": False}}
    assert summary_of([opened, vote]).reviews.newest[0].ending == "denied"
    assert summary_of([opened, idle]).reviews.newest[0].ending == ""


def test_duties_stand_as_they_were_recorded_last() -> None:
    """With tries, violations and what was seen; a duty without a try that is not done is a refusal."""
    found = summary_of(everything()).duties.duties
    assert {name: duty.state for name, duty in found.items()} == {
        "m-1/gone": "discharged", "m-2/gone": "unmet", "m-3/gone": "unmet",
    }  # fmt: skip
    assert found["m-1/gone"].states == ("open", "met", "discharged")
    assert found["m-1/gone"].tries == ("1 allow",)
    assert (found["m-1/gone"].word, found["m-1/gone"].certificate) == ("dana@example.com", "ab")
    assert "the guard, on the word of dana@example.com" in text_of(shown(summary_of(everything())))
    assert found["m-3/gone"].tries == ("1 allow", "2 deny")
    assert found["m-3/gone"].violations == ("moved",)
    assert found["m-2/gone"].tries == ()
    assert found["m-2/gone"].evidence == ("`/w` is there",)


def test_only_the_period_counts_and_its_bounds_are_said() -> None:
    """From the first bound on, before the second, in UTC."""
    start = 1_796_083_200_000_000
    selection = Selection(since_us=start + 1_000_000, until_us=start + 3_000_000)
    records = [{"t_us": start + number * 1_000_000, **decision(1)} for number in range(5)]
    kept = [record for number, record in enumerate(records) if selection.in_range(number, record)]
    assert len(kept) == 2
    text = text_of(shown(summary_of(kept, selection)))
    assert (
        "Period: from 2026-12-01T00:00:01.000Z up to and without 2026-12-01T00:00:03.000Z. All times are UTC." in text
    )


def test_what_is_missing_or_not_known_is_said() -> None:
    """Mode, unsafe_fail_open, gaps, results, clocks, redactions, and how long nothing has left the host."""
    opened = {"kind": "config", "event": "opened", "mode": "observe", "unsafe_fail_open": True}
    records = [*everything(), opened, decision(1, "allow") | {"t_us": 5}]
    summary = summary_of(records)
    text = text_of(shown(summary))
    for sentence in (
        "Mode at those starts: enforce (1), observe (1).",
        "unsafe_fail_open was on at 1 starts, and 2 records were made under it",
        "Gaps: 3 records are recorded as lost",
        "Clock: it went back by more than a second 1 times",
        "Redactions: 1. Changes of the ledger's key: 1.",
        "Tamper window: the last checkpoint on record as having left this host did so",
        "Not recorded at all: calls that are made past the guard",
    ):
        assert sentence in text
    bare = text_of(shown(summary_of([decision(1)])))
    assert "no checkpoint is on record as having left this host" in bare
    assert "unsafe_fail_open: not seen on." in bare
    assert "was checked against a checkpoint that was kept elsewhere" in text_of(
        shown(summary_of([]), checkpoint_given=True)
    )


_LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=8) | st.sampled_from((HOSTILE, "x"))
)
_SHAPES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("id", "op", "kind", "outcome", "rules", "voter", "x")), inner, max_size=3)
    ),
    max_leaves=6,
)
_NAMES = sorted({name for record in everything() for name in record} | {"t_us", "boot", "log", "seq"})
_KINDS = sorted({str(record["kind"]) for record in everything()})


@given(st.sampled_from(_KINDS), st.dictionaries(st.sampled_from(_NAMES), _SHAPES, max_size=6))
@settings(max_examples=30, deadline=None)
def test_no_record_of_any_shape_keeps_the_rest_from_being_told(kind: str, record: dict[str, Any]) -> None:
    """Neither the report nor an export stops at what another version, or an enemy, has written."""
    odd = {**record, "kind": kind}
    summary = summary_of([odd, decision(1)])
    assert summary.records == 2
    structure(shown(summary))
    hit = (Found(0, json.dumps(odd).encode(), "0" * 20 + ".seg", 0), odd)
    assert [problem for event in events(hit) for problem in problems(event)] == []
    stream = io.BytesIO()
    stream.close = lambda: None  # type: ignore[method-assign]
    export([hit], stream, "csv")


# ── bounded memory ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_names_that_agents_make_up_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a bound they are counted together, and the page says so."""
    monkeypatch.setattr(counts, "MAX_NAMES", 5)
    summary = summary_of(decision(number, agent=f"a{number}") for number in range(20))
    rows = dict(summary.decisions.agents.largest(9))
    assert len(rows) == 6
    assert rows[counts.OTHERS] == {"deny": 15}
    assert "too many names to tell all of them apart" in text_of(shown(summary))
    table = counts.Counts()
    table.add("x" * 10_000, "deny")
    assert len(table.largest(1)[0][0]) == counts.MAX_CHARS


def test_a_long_time_becomes_wider_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost when steps are put together, and a chart has no more bars than fit."""
    monkeypatch.setattr(counts, "MAX_MOMENTS", 50)
    timeline = counts.Timeline()
    for number in range(3000):
        timeline.add(number * 61_000_000, "deny")
    assert timeline.width > 60
    steps = timeline.steps(48)
    assert len(steps) <= 48
    assert sum(row.get("deny", 0) for _, row in steps) == 3000
    timeline.add(10**18, "deny")
    assert len(timeline.steps(48)) <= 48
    assert len(counts.Timeline().steps(48, 0, 10 * DAY_US)) > 8, "a period in which nothing was written is not empty"


def test_durations_have_shares_and_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearest rank, clocks that went back count as nothing, and too many are said to be so."""
    monkeypatch.setattr(counts, "MAX_DURATIONS", 4)
    found = counts.Durations()
    assert found.share(0.5) is None
    for value in (40, 10, -5, 20, 1000):
        found.add(value)
    assert (found.share(0.5), found.share(1.0), found.count, found.cut) == (10, 40, 5, True)
    assert found.within((10, 20)) == [2, 1, 1]
    assert [span(value) for value in (0, 0.004, 0.9996, 1, 90, 3600, 200_000)] == [
        "0 seconds", "4 ms", "1000 ms", "1 second", "1.5 minutes", "1 hour", "2.3 days",
    ]  # fmt: skip
    assert [ceiling(value) for value in (0, 1, 3, 5, 10, 11, 40, 41)] == [2, 2, 4, 10, 10, 20, 40, 100]
    assert label(2**60, 1) == "no time"


# ── the page ──────────────────────────────────────────────────────────────────────────────────────────────────────────


ALLOWED_TAGS = {
    "html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section", "div", "p", "ul", "li", "dl",
    "dt", "dd", "a", "h1", "h2", "h3", "strong", "code", "table", "caption", "thead", "tbody", "tr", "th", "td",
    "svg", "g", "rect", "line", "text", "desc",
}  # fmt: skip
ALLOWED_ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "class", "href", "id", "aria-label", "aria-hidden", "scope",
    "viewbox", "role", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "text-anchor",
}  # fmt: skip


class Structure(html.parser.HTMLParser):
    """What a browser would make of a page: its elements, their attributes, and whether they are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def structure(markup: str) -> Structure:
    """The structure of a page."""
    found = Structure()
    found.feed(markup)
    assert found.open == []
    return found


def test_text_of_records_is_only_ever_text() -> None:
    """Markup, quotes, bidirectional and control characters in every field: no element, no attribute, no direction."""
    summary = summary_of(hostile_records())
    markup = shown(summary, problems=[HOSTILE], ok=False, origin=HOSTILE, root=HOSTILE, key=HOSTILE)
    found = structure(markup)
    assert set(found.tags) <= ALLOWED_TAGS
    assert {name for name, _ in found.attributes} <= ALLOWED_ATTRIBUTES
    assert "&lt;script&gt;alert(1)" in markup
    assert "\\u202e" in markup
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\x7f]", markup)
    assert len(escaped("x" * 9999)) == MAX_CHARS
    assert tag("a", HOSTILE, href=HOSTILE).count("<") == 2
    assert table("c", ("a", "b"), [(HOSTILE, HOSTILE)]).count("<script") == 0


def test_the_page_asks_for_nothing_and_runs_nothing() -> None:
    """No address, no script, no style but its own, and a policy that says so to the browser."""
    import base64
    import hashlib

    markup = shown(summary_of(everything()))
    style = markup[markup.index("<style>") + 7 : markup.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}"/>' in markup
    found = structure(markup)
    assert {"script", "img", "link", "iframe", "form", "object"} & set(found.tags) == set()
    assert all(str(value).startswith("#") for name, value in found.attributes if name == "href")
    assert not [name for name, _ in found.attributes if name.startswith("on") or name == "style"]
    assert "://" not in style
    assert "url(" not in style


def test_charts_have_tables_and_the_page_has_headings() -> None:
    """Whoever does not see the charts reads the same numbers; headings go down one step at a time."""
    markup = shown(summary_of(everything()))
    found = structure(markup)
    assert ("lang", "en") in found.attributes
    charts = re.findall(r"<svg [^>]*viewBox.*?</svg>(.*?)</section>", markup)
    assert charts
    assert all("<table>" in after for after in charts)
    levels = [int(name[1]) for name in found.tags if name in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert markup.count('role="img"') == markup.count("<desc>") >= 5
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {f"#{value}" for value in ids} == {value for name, value in found.attributes if name == "href"}


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(d * 2 for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "print"])
def test_colours_can_be_told_from_the_page(theme: int) -> None:
    """WCAG 2.2: 4.5 for text, 3 for what a chart is drawn with."""
    css = (Path(counts.__file__).with_name("report.css")).read_text()
    sets = [
        dict(re.findall(r"--([a-z]+):(#[0-9a-f]+)", block)) for block in re.findall(r":root\{(.*?)\}", css, re.DOTALL)
    ]
    assert len(sets) == 3
    colours = sets[0] | sets[theme]

    def contrast(one: str, other: str) -> float:
        high, low = sorted((_luminance(colours[one]), _luminance(colours[other])), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for name in ("ink", "soft", "good", "bad", "allow"):
        assert contrast(name, "page") >= 4.5, name
        assert contrast(name, "panel") >= 4.5, name
    for name in ("allow", "escalate", "deny", "unknown", "one"):
        assert contrast(name, "page") >= 3, name


# ── controls ──────────────────────────────────────────────────────────────────────────────────────────────────────────


FORBIDDEN = re.compile(
    r"complian|complies|comply|conform|certif(?!icate)|fulfil|satisf|\bmeets\b|\bpass(es|ed)?\b", re.IGNORECASE
)


def test_the_report_never_says_that_anything_is_fulfilled() -> None:
    """Evidence relevant to a control is all that it claims, in every map and every sentence of the page."""
    text = text_of(shown(summary_of([*everything(), *many(50)])))
    assert "evidence relevant to these controls" in text
    assert not FORBIDDEN.findall(text)
    for path in controls.CONTROLS.glob("*.toml"):
        assert not FORBIDDEN.findall(path.read_text()), path.name
    assert FORBIDDEN.search("fully compliant")


def test_each_control_has_counts_and_examples() -> None:
    """The numbers of the first records that bear on it, for whoever wants to look."""
    summary = summary_of(everything())
    assert summary.controls.found["votes"].examples == [6, 20]
    assert summary.controls.found["broken"].count == 1
    text = text_of(shown(summary))
    for source in ("EU AI Act", "ISO/IEC 42001", "NIST AI Risk Management", "NIST SP 800-53", "SOC 2", "PCI DSS"):
        assert source in text
    for control in ("Article 12(1)", "Article 14(4)(e)", "Article 19(1)", "Article 26(6)", "A.6.2.8", "AU-12", "10.7"):
        assert control in text
    assert "2 × what a named person answered, such as 6, 20" in text
    used = {name for source in summary.controls.sources for control in source.control for name in control.queries}
    assert used == set(summary.controls.queries), "a query that no control names counts for nothing"
    assert all(summary.controls.found[name].count for name in used), "every query finds what it is meant for"


def test_a_map_that_is_wrong_is_refused(tmp_path: Path) -> None:
    """An unknown field, an unknown query, a control that nothing bears on, and what is no TOML."""
    shutil.copy(controls.CONTROLS / "queries.toml", tmp_path)
    path = tmp_path / "x.toml"
    good = 'source = "x"\nedition = "y"\n[[control]]\ncontrol = "1"\nasks = "z"\n'
    for text, says in (
        (good + 'queries = ["none"]', "names the query `none`"),
        (good + 'querys = ["votes"]', "cannot be used"),
        (good, "says nothing that bears on `1`"),
        ("x = ", "cannot be read"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=says):
            controls.load(tmp_path)
    path.write_text(good + 'queries = ["votes"]')
    assert len(controls.load(tmp_path).sources) == 1


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_verdict_of_the_verifier_stands_at_the_top(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which verification ran and what it found; a damaged trail is reported, with exit code 1."""
    directory, out = make_trail(tmp_path / "t", 12), tmp_path / "r.html"
    assert main(["report", str(directory), "-o", str(out)]) == 0
    assert "trail as written (deep)" in capsys.readouterr().out
    head = text_of(out.read_text())[:900]
    assert "As written : deep verification (every byte, every record) of the whole trail." in head
    assert "12 records, 12 of them signed by" in head
    assert "the trail's own, so this shows only that the trail agrees with itself" in head
    key = (directory / "trail.vkey").read_text().strip()
    assert main(["report", str(directory), "-o", str(out), "--light", "--key", key, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["deep"] is False
    text = text_of(out.read_text())
    assert "light verification (every byte, records not parsed)" in text
    assert "The verifier key was given from elsewhere." in text
    with open_trail(directory):
        assert main(["report", str(directory), "-o", str(out)]) == 0
        assert "The trail was open for writing" in text_of(out.read_text())
    flip(segments(directory)[0], 40)
    assert main(["report", str(directory), "-o", str(out)]) == 1
    text = text_of(out.read_text())
    assert text.index("NOT as written") < text.index("Decisions over time")
    assert "the record is damaged" in text
    assert main(["report", str(directory), "-o", str(tmp_path / "no" / "r")]) == 2
    assert main(["report", str(tmp_path / "none"), "-o", str(out)]) == 2


def test_what_witnesses_have_seen_is_said_and_checked_if_asked_for(tmp_path: Path) -> None:
    """Without their key the cosignatures are only told; with it the verifier decides, and one may be missing."""
    directory, out = make_trail(tmp_path / "t", 12), tmp_path / "r.html"
    note = "".join((directory / "checkpoints").read_text().splitlines(keepends=True)[-5:])
    cosigned, witness = cosigned_by(note, Ed25519PrivateKey.generate(), at_s=int(time.time()) - 60)
    (directory / "cosigned").write_text(cosigned)
    assert main(["report", str(directory), "-o", str(out)]) == 0
    text = text_of(out.read_text())
    assert "cosignatures lie with the trail: w.example 12 records, 1 minute" in text
    assert "They were not checked" in text
    assert main(["report", str(directory), "-o", str(out), "--witness", witness]) == 0
    assert "the witnesses that were asked for have cosigned: w.example 12 records" in text_of(out.read_text())
    stranger = cosigned_by(note, Ed25519PrivateKey.generate())[1]
    assert main(["report", str(directory), "-o", str(out), "--witness", stranger]) == 1
    assert "NOT as written" in text_of(out.read_text())


def test_an_index_saves_reading_what_came_before(tmp_path: Path) -> None:
    """The page is the same with and without it, but for the moment it was made."""
    directory, out = tmp_path / "t", tmp_path / "r.html"
    with open_trail(directory) as trail:
        for number in range(30):
            trail.append(decision(number))
    times = [found.record()["t_us"] for found in read_leaves(directory)]  # type: ignore[index]
    build_index(directory)
    place = begin_of(directory, times[20])
    assert place is not None
    assert place.seq == times.index(times[20])
    pages = []
    for words in ((), ("--no-index",)):
        assert main(["report", str(directory), "-o", str(out), "--since", moment(times[20]), *words]) == 0
        told = text_of(out.read_text())
        pages.append(re.sub(r"Made \S+|[0-9.]+ \w+ before this report", "", told))
    assert pages[0] == pages[1]


def test_the_commands_of_the_page_work_as_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line after a prompt in docs/audit.md, in its order, beside a guard's real trail."""
    text = (ROOT / "docs/audit.md").read_text()
    (tmp_path / "guardrail.toml").write_text(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0])
    (tmp_path / "models/beta").mkdir(parents=True)
    (tmp_path / "models/beta/w").write_bytes(b"W")
    with Guard.open(tmp_path / "guardrail.toml") as guard:
        for command in ("ls models", "cp models/beta/w x", "cat models/beta/w"):
            call = ToolCall(tool="bash", args={"command": command}, cwd=str(tmp_path), subject=Subject(id="ops-agent"))
            guard.check(call)
    shutil.copy(tmp_path / "trail/trail.vkey", tmp_path)
    shutil.copy(ROOT / "scripts/verify_proof.py", tmp_path)
    lines = [line[2:] for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    assert len(lines) >= 14
    monkeypatch.chdir(tmp_path)
    for line in lines:
        program, *words = line.split()
        if program == "guardrail":
            assert main(words) == 0, line
        else:
            done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith("proven: record 2")
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


# ── a real browser ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def chromium() -> str:
    """The browser; where there is none, the tests say how to get it, and CI fails."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        message = "the report is opened in a real browser: `apt-get install chromium`"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


def browse(chromium: str, directory: Path, name: str, *options: str) -> tuple[str, list[str]]:
    """What a browser printed, and every line that the page's console got."""
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr",
        f"--user-data-dir={directory / 'profile'}", "--virtual-time-budget=2000", *options, (directory / name).as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a session through a real guard, with hostile names in it."""
    base = tmp_path_factory.mktemp("guarded")
    (base / "w").write_bytes(b"W")
    text = (
        '[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["w"]\n[trail]\ntimeout_seconds = 60\n'
        'directory = "t"\n'
    )
    with Guard.open(parse_config(f"{text}[limits]\ndecision_ms = 60000\n", base=str(base))) as guard:
        for agent in ("ops-agent", HOSTILE):
            for command in ("ls", "cat w", "cp w x", "rm w"):
                call = ToolCall(tool=agent[:60], args={"command": command}, cwd=str(base), subject=Subject(id=agent))
                guard.check(call)
            guard.run(
                ToolCall(tool="bash", args={"command": "ls"}, cwd=str(base), subject=Subject(id=agent)), lambda _: None
            )
    assert main(["report", str(base / "t"), "-o", str(base / "report.html")]) == 0
    return base


def test_a_browser_opens_the_report_without_a_complaint(chromium: str, guarded: Path) -> None:
    """The style counts, nothing is refused, nothing runs, and the page is whole."""
    dom, console = browse(chromium, guarded, "report.html", "--dump-dom")
    assert console == []
    assert "As written" in dom
    assert dom.count("<section") == 9
    assert "<script" not in dom
    assert "onerror=" not in re.sub(r">[^<]*<", "><", dom), "an attribute of ours, not the text of an agent"


def test_a_browser_shows_what_agents_write_into_every_field_as_text(chromium: str, tmp_path: Path) -> None:
    """Names, paths, rules, reasons, what people said and why: markup in any of them stays text, and runs nothing."""
    with Trail.open(tmp_path / "t") as trail:
        for record in hostile_records():
            trail.append(record)
    # Not as written: nothing of what stands for votes and grants here is what review writes.
    assert main(["report", str(tmp_path / "t"), "-o", str(tmp_path / "report.html")]) == 1
    dom, console = browse(chromium, tmp_path, "report.html", "--dump-dom")
    assert console == []
    # What a browser gives back is its own spelling: `<` of a text comes as `&lt;`.
    assert dom.count("&lt;script&gt;alert(1)") > 20
    found = Structure()
    found.feed(re.sub(r"<meta[^>]*>", "", dom))
    assert set(found.tags) <= ALLOWED_TAGS
    assert not [name for name, _ in found.attributes if name.startswith("on") or name in ("src", "style")]


def test_a_browser_would_complain(chromium: str, guarded: Path) -> None:
    """The test above can fail: a script, a style and an image that are slipped in are refused, and told."""
    markup = (guarded / "report.html").read_text()
    slipped = "<script>console.log(1)</script><p style='color:red'>x</p><img src='x.png'>"
    (guarded / "slipped.html").write_text(markup.replace("<main>", "<main>" + slipped))
    _, console = browse(chromium, guarded, "slipped.html", "--dump-dom")
    assert len(console) >= 3
    assert all("Content Security Policy" in line for line in console)


def test_the_report_can_be_printed_and_looked_at(chromium: str, guarded: Path) -> None:
    """To PDF by its own page rules, and on a screen, light and dark."""
    browse(chromium, guarded, "report.html", f"--print-to-pdf={guarded / 'r.pdf'}", "--no-pdf-header-footer")
    pdf = (guarded / "r.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert len(pdf) > 20_000
    assert b"/MediaBox [0 0 594" in pdf or b"/MediaBox [0 0 595" in pdf, "A4, as @page says"
    sizes = set()
    for name, options in (("light", ()), ("dark", ("--blink-settings=preferredColorScheme=0",))):  # light is 1
        out = guarded / f"{name}.png"
        browse(chromium, guarded, "report.html", f"--screenshot={out}", "--window-size=1000,1400", *options)
        assert out.read_bytes().startswith(b"\x89PNG")
        sizes.add(out.read_bytes())
    assert len(sizes) == 2, "the two differ"
