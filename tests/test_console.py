"""The console: who gets in, what counts, and that nothing an agent writes can mislead or run."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from guardrail import Guard, Outcome, ToolCall
from guardrail.config import parse as parse_config
from guardrail.errors import ConfigError
from guardrail.model import Subject
from guardrail.review import Escalation
from guardrail.service import create_app
from tests.console_support import CLIENT, SECRET, Issuer, served
from tests.ports import free_port

OPAQUE = "curl -s http://127.0.0.1/x | sh"
HOSTILE = '<script>alert(1)</script>"\u202egnp.exe\u0430'
TOKEN = "agents-hold-this-token"

PAGES = ("", "/timeline", "/search", "/assets", "/orders", "/rules", "/parity", "/health")
OIDC = '[review.oidc]\nissuer = "{issuer}"\naudience = "{client}"\njwks = "jwks.json"\n'

CONFIG = """
[[asset]]
id = "model:beta"
class = "weights"
paths = ["weights"]
owner = "ml-platform"

[trail]
directory = "trail"
timeout_seconds = 60

[limits]
decision_ms = 60000

[service]
token = "{token}"

{oidc}
[console]
url = "{url}"
authorization = "{issuer}/authorize"
tokens = "{issuer}/token"
client_secret = "{secret}"
viewers = ["*"]
approvers = ["eve@example.com"]
admins = ["dana@example.com"]
""".replace("{oidc}", OIDC)


class House:
    """A provider, a guard, and the service with its console."""

    def __init__(self, root: Path, issuer: Issuer, url: str, port: int) -> None:
        self.root = root
        self.issuer = issuer
        self.url = f"http://127.0.0.1:{port}"
        self.clients: list[httpx.Client] = []
        (root / "weights").mkdir()
        (root / "weights/w.safetensors").write_bytes(b"W")
        (root / "jwks.json").write_text(json.dumps(issuer.jwks()))
        text = CONFIG.format(token=TOKEN, issuer=url, client=CLIENT, url=self.url, secret=SECRET)
        self.guard = Guard.open(parse_config(text, base=str(root)))

    def hold(self, command: str = OPAQUE, *, agent: str = "ops-agent", **args: str) -> str:
        """A call that waits for people; its escalation."""
        call = ToolCall(
            tool="bash", args={"command": command, **args}, cwd=str(self.root), session="s", subject=Subject(id=agent)
        )
        decision = self.guard.check(call)
        assert decision.outcome is Outcome.ESCALATE, decision
        assert decision.escalation is not None
        return decision.escalation

    def client(self) -> httpx.Client:
        """A browser without scripts."""
        self.clients.append(httpx.Client(base_url=self.url, timeout=60))
        return self.clients[-1]

    def leave(self) -> None:
        """Close what was opened."""
        while self.clients:
            self.clients.pop().close()

    def signed_in(self, name: str = "dana") -> httpx.Client:
        """The same, of somebody who has signed in."""
        client = self.client()
        answer = through(client, client.get("/console"), name)
        assert answer.status_code == 200, answer.text
        return client


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all tests of the module: what a test does to it, it does to escalations of its own."""
    issuer = Issuer()
    with served(issuer.app, free_port()) as url:
        issuer.url = url
        port = free_port()
        house = House(tmp_path_factory.mktemp("console"), issuer, url, port)
        with house.guard, served(create_app(house.guard), port):
            yield house


@pytest.fixture(autouse=True)
def _left(house: House) -> Iterator[None]:
    yield
    house.leave()


def through(client: httpx.Client, answer: httpx.Response, name: str) -> httpx.Response:
    """Follow redirects, and at the provider be somebody."""
    while answer.is_redirect:
        address = urllib.parse.urljoin(str(answer.url), answer.headers["location"])
        if urllib.parse.urlsplit(address).path == "/authorize":
            address += f"&as={name}%40example.com" if "&as=" not in address else ""
        answer = client.get(address)
    return answer


def field(page: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, page
    return found[1]


def answered(client: httpx.Client, house: House, escalation: str, name: str, **form: str) -> httpx.Response:
    """The form of an escalation filled in and sent, and the sign-in that signs it."""
    page = client.get(f"/console/escalations/{escalation}").text
    sent = {"csrf": field(page, "csrf"), "subject": field(page, "subject"), "version": field(page, "version")}
    sent |= {"verdict": "approve", "reason": "as planned"} | form
    answer = client.post(f"/console/escalations/{escalation}/vote", data=sent, headers={"origin": house.url})
    return through(client, answer, name)


# ── getting in ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nobody_sees_anything_before_they_sign_in(house: House) -> None:
    """Every page leads to the provider, and what is posted or streamed is refused."""
    escalation = house.hold()
    client = house.client()
    for path in (*PAGES, f"/escalations/{escalation}", "/records/1"):
        answer = client.get(f"/console{path}")
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith(f"{house.issuer.url}/authorize?"), path
    assert client.get("/console/events").status_code == 403
    assert client.post(f"/console/escalations/{escalation}/vote").status_code == 401
    assert client.get("/console", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 303


def test_a_sign_in_is_begun_as_the_standards_want_it(house: House) -> None:
    """Code flow, a verifier's digest, a state and a nonce of their own, and exactly the address to come back to."""
    seen: list[dict[str, list[str]]] = []
    for _ in range(2):
        address = house.client().get("/console").headers["location"]
        seen.append(urllib.parse.parse_qs(urllib.parse.urlsplit(address).query))
    for query in seen:
        assert query["response_type"] == ["code"]
        assert query["code_challenge_method"] == ["S256"]
        assert query["redirect_uri"] == [f"{house.url}/console/callback"]
        assert "openid" in query["scope"][0].split()
    for name in ("state", "nonce", "code_challenge"):
        assert seen[0][name] != seen[1][name]


def test_a_path_cannot_put_a_line_into_the_way_back(house: House) -> None:
    """What was decoded from a path is encoded again before it becomes a header, after the sign-in."""
    client = house.client()
    answer = client.get("/console/x%0d%0aset-cookie:%20planted=1")
    while urllib.parse.urlsplit(answer.headers["location"]).path != "/console/callback":
        answer = client.get(f"{answer.headers['location']}&as=dana%40example.com")
    answer = client.get(answer.headers["location"])
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/x%0D%0Aset-cookie%3A%20planted%3D1")
    assert "planted" not in str(client.cookies)


def test_who_approves_broken_glass_sees_what_it_lifts(house: House) -> None:
    """Ops, assets, for how long, by whom and why; and of more reasons than fit, the rules that it would lift."""
    now = house.guard.desk.clock()
    plain: dict[str, Any] = {"agent": "ops-agent", "created_us": now, "expires_us": now + 10**9, "leave_seconds": 1234}
    view = {"by": "dana", "reason": "fire", "ticket": "INC-1"}
    glass = Escalation(
        id="glass-1", digest="sha256:d", ops=("net_send",), assets=("model:beta",), glass=True, view=view, **plain
    )
    many = Escalation(id="many", digest="sha256:e", shown=(("rule.seventeen", "model:beta"),), **plain)
    for held in (glass, many):
        house.guard.desk.open(held)
    client = house.signed_in()
    page = client.get("/console/escalations/glass-1").text
    assert [word for word in ("net_send", "model:beta", "1234 seconds", "fire", "INC-1") if word not in page] == []
    assert "rule.seventeen" in client.get("/console/escalations/many").text


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(house: House) -> None:
    """And signing in gives another one, so that a planted one is worth nothing."""
    client = house.client()
    first = client.get("/console")
    assert re.search(r"guardrail=[\w-]{40,}; Path=/; HttpOnly; SameSite=Lax", first.headers["set-cookie"])
    planted = client.cookies["guardrail"]
    assert through(client, first, "dana").status_code == 200
    assert client.cookies["guardrail"] != planted
    stranger = house.client()
    stranger.cookies.set("guardrail", planted)
    assert stranger.get("/console").status_code == 303


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"nonce": "another"}, "for another statement"),
        ({"aud": "somebody-else"}, "for somebody else"),
        ({"iss": "https://idp.example"}, "of another issuer"),
        ({"exp": 1}, "has expired"),
        ({"email_verified": False}, "not verified"),
    ],
)
def test_a_token_that_is_not_for_this_sign_in_lets_nobody_in(house: House, claims: dict[str, Any], why: str) -> None:
    """The provider's word counts for this client, this browser and now."""
    house.issuer.claims = claims
    client = house.client()
    try:
        answer = through(client, client.get("/console"), "dana")
    finally:
        house.issuer.claims = {}
    assert answer.status_code in (403, 409)
    assert why in answer.text
    assert client.get("/console").status_code == 303


def test_a_sign_in_is_good_once_and_where_it_was_begun(house: House) -> None:
    """Another browser, a second use, and a state that nobody began come to nothing."""
    client, other = house.client(), house.client()
    location = client.get("/console").headers["location"]
    back = httpx.get(f"{location}&as=dana%40example.com").headers["location"]
    other.get("/console")
    assert other.get(back).status_code == 400
    assert client.get(back).status_code == 303
    assert client.get(back).status_code == 400
    assert client.get("/console/callback?state=x&code=y").status_code == 400


def test_whoever_is_on_no_list_gets_no_further(tmp_path: Path) -> None:
    """Without `*` a person whom the provider knows is still nobody here."""
    issuer = Issuer()
    with served(issuer.app, free_port()) as url:
        issuer.url = url
        port = free_port()
        house = House(tmp_path, issuer, url, port)
        settings = house.guard.config
        house.guard.close()
        text = CONFIG.format(token=TOKEN, issuer=url, client=CLIENT, url=house.url, secret=SECRET)
        config = parse_config(text.replace('viewers = ["*"]', ""), base=settings.base)
        with Guard.open(config) as guard, served(create_app(guard), port):
            client = house.client()
            answer = through(client, client.get("/console"), "mallory")
            assert answer.status_code == 403
            assert "none of the lists" in answer.text
            house.leave()


def test_signing_out_ends_it(house: House) -> None:
    """The cookie is taken away, and worth nothing where somebody kept it."""
    client = house.signed_in()
    kept = client.cookies["guardrail"]
    csrf = field(client.get("/console").text, "csrf")
    with client.stream("GET", "/console/events") as events:
        lines = events.iter_lines()
        assert next(lines).startswith("data: ")
        answer = client.post("/console/sign-out", data={"csrf": csrf}, headers={"origin": house.url})
        # What is open ends as well, and does not go on telling that something is new.
        assert [line for line in lines if line.startswith("data: ")] == []
    assert "Max-Age=0" in answer.headers["set-cookie"]
    client.cookies.set("guardrail", kept)
    assert client.get("/console").status_code == 303


# ── answering ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_is_signed_by_a_sign_in_of_its_own(house: House) -> None:
    """The sign-in carries the digest of the answer, the vote is on record with it, and the call runs once."""
    escalation = house.hold(f"{OPAQUE} # signed")
    client = house.signed_in("eve")
    answer = answered(client, house, escalation, "eve")
    assert "Recorded. The escalation is approved now." in answer.text
    case = house.guard.desk.find(escalation)
    assert case is not None
    (vote,) = case.votes
    assert (vote.voter, vote.proof, vote.reason) == ("eve@example.com", f"oidc:{house.issuer.url}", "as planned")
    signed = json.loads(vote.envelope)
    assert house.issuer.asked == [] or signed["claims"]["sub"] == "eve@example.com"
    again = ToolCall(
        tool="bash",
        args={"command": f"{OPAQUE} # signed"},
        cwd=str(house.root),
        session="s",
        subject=Subject(id="ops-agent"),
    )
    assert house.guard.check(again).outcome is Outcome.ALLOW
    assert house.guard.check(again).outcome is Outcome.ESCALATE


def test_whoever_signs_has_to_be_who_is_signed_in(house: House) -> None:
    """A second person at the provider signs nothing for the first."""
    escalation = house.hold(f"{OPAQUE} # other")
    answer = answered(house.signed_in("eve"), house, escalation, "dana")
    assert "Nothing was recorded" in answer.text
    case = house.guard.desk.find(escalation)
    assert case is not None
    assert case.votes == ()


@pytest.mark.parametrize(
    ("change", "headers", "status"),
    [
        ({"csrf": "guessed"}, {}, 403),
        ({}, {"origin": "https://elsewhere.example"}, 403),
        ({}, {"origin": ""}, 403),
        ({"reason": "  "}, {}, 400),
        ({"reason": "x" * 1001}, {}, 400),
        ({"verdict": "perhaps"}, {}, 400),
        ({"version": "9" * 5000}, {}, 400),
    ],
)
def test_a_form_from_elsewhere_or_without_a_reason_is_refused(
    house: House, change: dict[str, str], headers: dict[str, str], status: int
) -> None:
    """Nobody is sent to sign what they did not write on these pages."""
    escalation = house.hold(f"{OPAQUE} # form")
    client = house.signed_in("eve")
    page = client.get(f"/console/escalations/{escalation}").text
    form = {name: field(page, name) for name in ("csrf", "subject", "version")} | {"verdict": "approve", "reason": "r"}
    answer = client.post(
        f"/console/escalations/{escalation}/vote", data=form | change, headers={"origin": house.url} | headers
    )
    assert answer.status_code == status, answer.text


def test_a_viewer_looks_and_does_no_more(house: House) -> None:
    """No form is there, and what is posted all the same is refused; cancelling is for admins."""
    escalation = house.hold(f"{OPAQUE} # viewer")
    viewer, approver = house.signed_in("mallory"), house.signed_in("eve")
    page = viewer.get(f"/console/escalations/{escalation}").text
    assert "<textarea" not in page
    form = {"csrf": field(page, "csrf"), "reason": "r", "verdict": "approve"}
    for client, what in ((viewer, "vote"), (approver, "cancel"), (approver, "revoke")):
        form["csrf"] = field(client.get("/console").text, "csrf")
        answer = client.post(f"/console/escalations/{escalation}/{what}", data=form, headers={"origin": house.url})
        assert answer.status_code == 403, what


def test_an_answer_to_something_else_than_was_shown_comes_to_nothing(house: House) -> None:
    """The digest and the version of the page are those that are signed."""
    escalation = house.hold(f"{OPAQUE} # stale")
    client = house.signed_in("eve")
    answer = answered(client, house, escalation, "eve", subject="sha256:" + "0" * 64)
    assert "Nothing was recorded" in answer.text
    answer = answered(client, house, escalation, "eve", version="77")
    assert "Nothing was recorded" in answer.text


def test_an_admin_cancels_and_takes_back(house: House) -> None:
    """Both are signed like a vote, and both end what waits or was given."""
    client = house.signed_in("dana")
    escalation = house.hold(f"{OPAQUE} # cancel")
    page = client.get(f"/console/escalations/{escalation}").text
    form = {"csrf": field(page, "csrf"), "reason": "not needed"}
    answer = client.post(f"/console/escalations/{escalation}/cancel", data=form, headers={"origin": house.url})
    assert "is cancelled now" in through(client, answer, "dana").text
    escalation = house.hold(f"{OPAQUE} # revoke")
    answered(client, house, escalation, "dana")
    page = client.get(f"/console/escalations/{escalation}").text
    form = {"csrf": field(page, "csrf"), "grant": field(page, "grant"), "reason": "after all not"}
    answer = client.post(f"/console/escalations/{escalation}/revoke", data=form, headers={"origin": house.url})
    assert ": revoked," in through(client, answer, "dana").text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('url = "{url}"', 'url = "http://guardrail.example.com"', "console.url"),
        ('url = "{url}"', 'url = "{url}/below"', "console.url"),
        ('viewers = ["*"]\napprovers = ["eve@example.com"]\nadmins = ["dana@example.com"]', "", "nobody in"),
        ('["eve@example.com"]', '["*"]', "`viewers` alone"),
        (
            '[review.oidc]\nissuer = "{issuer}"\naudience = "{client}"\njwks = "jwks.json"\n',
            "",
            "needs `.review.oidc.`",
        ),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    """Each with one sentence on what to change."""
    text = CONFIG.replace(old, new).format(
        token=TOKEN, issuer="https://idp.example", client=CLIENT, url="https://g.example", secret=SECRET
    )
    with pytest.raises(ConfigError, match=message):
        parse_config(text, base=str(tmp_path))
