"""Make the pictures of the console in docs: a real guard, a real sign-in, and Chromium.

    python -m scripts.console_pictures

Writes docs/console.png (an escalation, light) and docs/console-parity.png (the page of parity, dark).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Final

from guardrail import Guard
from guardrail.config import load
from guardrail.model import Subject
from guardrail.service import create_app
from tests.console_support import CLIENT, SECRET, Browser, Issuer, browsing, served
from tests.mandate_support import Place
from tests.ports import free_port

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"

SETTINGS: Final = """
[service]
token = "agents-hold-this-token"
[review.oidc]
issuer = "{issuer}"
audience = "{client}"
jwks = "jwks.json"
[console]
url = "{url}"
authorization = "{issuer}/authorize"
tokens = "{issuer}/token"
client_secret = "{secret}"
approvers = ["eve@example.com"]
"""

READY: Final = "document.readyState === 'complete' && document.body.innerText.includes({words!r})"


def main() -> None:
    """Make them."""
    issuer, port = Issuer(), free_port()
    with tempfile.TemporaryDirectory(prefix="console-") as scratch, served(issuer.app, free_port()) as url:
        issuer.url = url
        settings = SETTINGS.format(issuer=url, client=CLIENT, secret=SECRET, url=f"http://127.0.0.1:{port}")
        place = Place(Path(scratch), more=settings)
        (place.root / "jwks.json").write_text(json.dumps(issuer.jwks()))
        grant = {"effects": ["copy", "delete"], "assets": ["model:beta"], "targets": [f"{place.root}/backup/*"]}
        place.order(grants=[grant | {"approval": True}])
        _behave(place)
        with Guard.open(load(str(place.toml))) as guard:
            case = _asked(place, guard)
            with served(create_app(guard), port) as address, browsing(place.root) as browser:
                browser.open(f"{address}/console/escalations/{case}")
                browser.click("#eve")
                _picture(browser, "asks for leave", "console.png", dark=False)
                browser.open(f"{address}/console/parity")
                _picture(browser, "no verdict", "console-parity.png", dark=True)


def _behave(place: Place) -> None:
    """Two agents, told no for a while and then only watched; one of them asks for more where it is not told."""
    text = place.toml.read_text()
    for mode, copies in (("enforce", 1), ("observe", 6)):
        place.toml.write_text(f'mode = "{mode}"\n{text}')
        with place.guard() as guard:
            for number in range(20):
                command = "cp models/beta.safetensors elsewhere/" if number < copies else "ls -l models"
                guard.check(place.bash(command, subject=Subject(id="night-shift")))
                guard.check(place.bash("cp models/beta.safetensors elsewhere/" if number < 2 else "ls",
                                       subject=Subject(id="trainer")))  # fmt: skip
    place.toml.write_text(text)


def _asked(place: Place, guard: Guard) -> str:
    call = place.tool(
        "bash",
        session="run-8d1f",
        command="cp models/beta.safetensors backup/ && rm models/beta.safetensors",
        description="Move the weights aside before the upgrade \u202eas you asked",
    )
    decision = guard.check(call)
    if decision.escalation is None:
        raise SystemExit(f"the call should wait for a person: {decision.to_json().decode()}")
    return decision.escalation


def _picture(browser: Browser, words: str, name: str, *, dark: bool) -> None:
    browser.wait(READY.format(words=words))
    browser.shot(DOCS / name, dark=dark)


if __name__ == "__main__":
    main()
