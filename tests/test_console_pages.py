"""What the console's pages show: nothing of an agent's misleads or runs, and the trail is found and proven."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from guardrail import Guard, ToolCall
from guardrail.analysis import Parity
from guardrail.audit._verify import read_records
from guardrail.config import parse as parse_config
from guardrail.model import Subject
from guardrail.service import console
from guardrail.service.console._drawing import drawing
from guardrail.service.console._pages import Pages
from tests.console_support import CLIENT, SECRET
from tests.test_console import CONFIG, HOSTILE, OPAQUE, PAGES, TOKEN, House, _left, house

__all__ = ["_left", "house"]


def test_what_an_agent_wrote_neither_runs_nor_hides(house: House) -> None:
    """Markup is text, and whatever is not ASCII appears as its number: no letter passes for another."""
    escalation = house.hold(f"{OPAQUE} # hostile", agent=HOSTILE, justification=HOSTILE)
    page = house.signed_in().get(f"/console/escalations/{escalation}").text
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "\u0430" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert r"\u202egnp.exe\u0430" in page
    assert "nobody has verified it" in page


def test_every_page_has_a_strict_policy_and_none_is_kept(house: House) -> None:
    """Scripts and styles are ours alone, nothing frames it, and no cache keeps it."""
    client = house.signed_in()
    house.hold(f"{OPAQUE} # pages")
    for path in (*PAGES, "/search?agent=ops-agent", "/records/1", "/static/console.js"):
        answer = client.get(f"/console{path}")
        assert answer.status_code == 200, (path, answer.text)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert " style=" not in answer.text
        assert not re.search(r"<[^>]* on[a-z]+=", answer.text)
    for path in ("/nothing", "/static/../_app.py", "/static/_app.py", "/records/99999999", "/escalations/e-none"):
        assert client.get(f"/console{path}").status_code == 404, path


def test_the_trail_is_found_and_proven(house: House) -> None:
    """A search by asset and agent finds the record, and its proof is one that the independent verifier accepts."""
    reader = Subject(id="reader")
    args = {"command": "cat weights/w.safetensors"}
    house.guard.check(ToolCall(tool="bash", args=args, cwd=str(house.root), subject=reader))
    client = house.signed_in()
    page = client.get("/console/search", params={"agent": "reader", "asset": "model:beta"}).text
    found = re.search(r"/console/records/(\d+)", page)
    assert found is not None, page
    seq = found[1]
    assert "no field" not in client.get(f"/console/records/{seq}").text
    proof = client.get(f"/console/records/{seq}/proof")
    assert proof.text.startswith("c2sp.org/tlog-proof@v1\n")
    assert f'filename="record-{seq}.tlog-proof"' in proof.headers["content-disposition"]
    assert "digits only" in client.get("/console/search", params={"record": "x"}).text


def test_effects_are_drawn_by_what_they_do() -> None:
    """Assets first, then in the order of the call, and what is not certain says so."""
    view = {
        "effects": [
            {"op": "read", "resource": "/a", "precision": "exact", "modality": "must"},
            {"op": "copy", "resource": "/w", "target": "/x", "asset": "m", "precision": "exact", "modality": "may"},
            {"op": "delete", "resource": "/w", "asset": "m", "precision": "exact", "modality": "must"},
            {"op": "set_key", "resource": "/c", "key": "on", "before": "true", "after": "false"},
            "nonsense",
        ]
    }
    rows = drawing(view)
    assert [row.kind for row in rows[:3]] == ["moving", "gone", "looking"]
    assert rows[0].sure == "perhaps"
    assert rows[0].target == "/x"
    changed = next(row for row in rows if row.op == "set_key")
    assert (changed.before, changed.after, changed.words) == ("true", "false", "gets another value")
    assert drawing({"effects": "nonsense"}) == ()


def test_parity_is_rates_with_intervals_by_agent_and_mode(house: House, tmp_path: Path) -> None:
    """The same agent told no and told nothing: what policy would stop counts in both, a fault in neither."""
    text = CONFIG.format(token=TOKEN, issuer=house.issuer.url, client=CLIENT, url=house.url, secret=SECRET)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/w").write_bytes(b"W")
    (tmp_path / "jwks.json").write_text(json.dumps(house.issuer.jwks()))
    parity = Parity()
    for mode, commands in (("enforce", ["ls"] * 9 + ["cp weights/w x"]), ("observe", ["ls"] * 2 + ["cp weights/w x"])):
        with Guard.open(parse_config(f'mode = "{mode}"\n{text}', base=str(tmp_path))) as guard:
            for command in commands:
                call = ToolCall(tool="bash", args={"command": command}, cwd=str(tmp_path), subject=Subject(id="a"))
                guard.check(call)
    for _, record in read_records(tmp_path / "trail", 0):
        parity.take(record)
    parity.take({"kind": "decision", "decision": {"outcome": "deny"}, "subject": {"id": "a"}, "fault": "no engine"})
    parity.take({"kind": "decision", "decision": {"outcome": "allow"}, "subject": {"id": "b"}})
    a, b = parity.rows(10)
    assert [(one.count, one.of) for one in (*a.stopped, *a.assets)] == [(1, 10), (1, 3), (1, 10), (1, 3)]
    assert (b.agent, b.stopped[1].of) == ("b", 0)
    # Wilson's intervals as they stand in tables: 1 of 10, and none of none.
    assert (round(a.stopped[0].low, 4), round(a.stopped[0].high, 4)) == (0.0179, 0.4042)
    assert (b.stopped[1].low, b.stopped[1].high) == (0.0, 1.0)
    house.hold(f"{OPAQUE} # parity")
    page = house.signed_in().get("/console/parity").text
    assert "no verdict" in page
    assert "ops-agent" in page


def test_what_is_not_as_it_should_be_is_said_on_the_health_page(tmp_path: Path, house: House) -> None:
    """A mode that stops nothing, a fault that is let through, and glass that nobody looked at: a sentence for each."""
    text = CONFIG.format(token=TOKEN, issuer=house.issuer.url, client=CLIENT, url=house.url, secret=SECRET)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/w").write_bytes(b"W")
    (tmp_path / "jwks.json").write_text(json.dumps(house.issuer.jwks()))
    config = parse_config(f'mode = "observe"\nunsafe_fail_open = true\n{text}', base=str(tmp_path))
    with pytest.warns(RuntimeWarning, match="unsafe_fail_open"), Guard.open(config) as guard:
        wrong = " ".join(Pages(guard).health()["wrong"])
    assert [word for word in ("`observe`", "`unsafe_fail_open`") if word not in wrong] == []
    assert Pages(house.guard).health()["wrong"] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_of_text_can_be_read(scheme: str) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1 against the page and the panels, in both schemes."""
    css = (Path(console.__file__).parent / "static/console.css").read_text()
    light, dark = (dict(re.findall(r"--(\w+):(#\w+)", found)) for found in re.findall(r":root\{([^}]*)\}", css))
    colours = light if scheme == "light" else dark
    for name in ("ink", "soft", "good", "bad", "ask", "link"):
        for ground in ("page", "panel"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, by WCAG's relative luminance."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
