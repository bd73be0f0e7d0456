"""The console in a real browser: a person answers and a graph goes on, keys reach every page, an agent gets nowhere."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
from langchain_core.tools import tool

from guardrail.audit import verify
from tests.adapters.bench import APPROVE, attached
from tests.adapters.toys import Ran, turn
from tests.console_support import browsing
from tests.test_console import OPAQUE, TOKEN, House, _left, house

__all__ = ["_left", "house"]

KEYS = {
    "t": "Timeline", "s": "Search", "m": "Assets", "o": "Orders", "r": "Rules", "p": "Parity", "h": "Health",
    "w": "waiting",
}  # fmt: skip
"""Pages by the letter that leads to each, and a word of its title."""


def test_a_person_approves_in_a_browser_and_the_graph_goes_on(house: House, tmp_path: Path) -> None:
    """A LangGraph run is held; somebody reads it, writes why and signs in once more; the run resumes, once."""
    ran: Ran = []

    @tool("bash")
    def run(command: str) -> str:
        """Run a command."""
        ran.append((command,))
        return "ok"

    command = f"{OPAQUE} # browser"
    call = {"name": "bash", "args": {"command": command}, "id": "c1", "type": "tool_call"}

    async def play(browser: Any) -> None:
        with attached(
            "node", house.guard, [run], [turn(call)], mode="sync", cwd=str(house.root), subject="graph-agent"
        ) as bench:
            pause = await bench.start()
            assert pause.asked == ["c1"]
            assert ran == []
            await asyncio.to_thread(approve, browser)
            pause = await bench.answer(pause, {"c1": APPROVE})
            assert pause.statuses == {"c1": "success"}

    def approve(browser: Any) -> None:
        browser.open(f"{house.url}/console")
        browser.click("#eve")
        browser.wait("document.title.includes('waiting')")
        browser.run("[...document.querySelectorAll('.card a')].find(a => a.textContent === 'graph-agent').click()")
        browser.wait("document.title.startsWith('graph-agent') && document.readyState === 'complete'")
        browser.press("e")
        browser.wait("document.activeElement.id === 'reason'")
        browser.call("Input.insertText", text="it is the planned update")
        light, dark = (browser.shot(tmp_path / f"{dark}.png", dark=dark) for dark in (False, True))
        assert light != dark
        browser.click("button.yes")
        browser.click("#eve")
        browser.wait("document.body.innerText.includes('Recorded.')")
        assert "approved" in browser.text
        assert browser.complaints == []

    with browsing(tmp_path) as browser:
        asyncio.run(play(browser))
    assert ran == [(command,)]
    report = verify(house.root / "trail", deep=True)
    assert report, report.problems


def test_a_page_shows_what_is_new_by_itself_and_is_used_by_keys(house: House, tmp_path: Path) -> None:
    """An escalation appears while somebody looks; `j` and Enter open it, `g` and a letter go to every page."""
    with browsing(tmp_path) as browser:
        browser.open(f"{house.url}/console")
        browser.click("#mallory")
        browser.wait("document.title.includes('waiting') && document.readyState === 'complete'")
        house.hold(f"{OPAQUE} # live", agent="late-agent")
        browser.wait("document.body.innerText.includes('late-agent')")
        browser.press("j")
        browser.wait("!!document.querySelector('.row.on')")
        browser.press("Enter")
        browser.wait("document.body.innerText.includes('What it would do') && document.readyState === 'complete'")
        for key, title in KEYS.items():
            browser.press("g")
            browser.press(key)
            browser.wait(f"document.title.includes('{title}') && document.readyState === 'complete'")
        assert browser.complaints == []


def test_every_page_fits_a_narrow_window(house: House, tmp_path: Path) -> None:
    """At 320 pixels (WCAG 2.2, 1.4.10) nothing but a table scrolls sideways, however long a name or a command is."""
    escalation = house.hold(f"{OPAQUE} # {'narrow' * 40}", agent="an-agent-with-a-name-that-is-rather-long" * 2)
    with browsing(tmp_path) as browser:
        browser.call("Emulation.setDeviceMetricsOverride", width=320, height=900, deviceScaleFactor=1, mobile=False)
        browser.open(f"{house.url}/console")
        browser.click("#mallory")
        browser.wait("document.title.includes('waiting') && document.readyState === 'complete'")
        pages = browser.run("[...document.querySelectorAll('nav a')].map(link => link.pathname)")
        assert len(pages) == len(KEYS)
        for path in (*pages, f"/console/escalations/{escalation}", "/console/records/1"):
            browser.open(f"{house.url}{path}")
            browser.wait(f"location.pathname === '{path}' && document.readyState === 'complete'")
            beyond = browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert (path, beyond) == (path, 0)


def test_an_agents_own_token_opens_nothing_here(house: House, tmp_path: Path) -> None:
    """With the service's token, in a browser's header or a client's, an agent approves nothing."""
    escalation = house.hold(f"{OPAQUE} # agent")
    with browsing(tmp_path) as browser:
        browser.call("Network.enable")
        browser.call("Network.setExtraHTTPHeaders", headers={"authorization": f"Bearer {TOKEN}"})
        browser.open(f"{house.url}/console/escalations/{escalation}")
        browser.wait("document.title === 'Sign in'")
    answer = httpx.post(
        f"{house.url}/console/escalations/{escalation}/vote",
        data={"verdict": "approve", "reason": "I am the agent"},
        headers={"authorization": f"Bearer {TOKEN}", "origin": house.url},
    )
    assert answer.status_code == 401
    case = house.guard.desk.find(escalation)
    assert case is not None
    assert case.votes == ()
