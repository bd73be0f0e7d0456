"""Telling the outside: what is signed, what is retried, and that the ledger is the queue."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail import Guard
from guardrail.audit import Trail
from guardrail.config import WebhookConfig
from guardrail.config import parse as parse_config
from guardrail.config._addresses import refused
from guardrail.errors import ConfigError
from guardrail.review import MemoryLedger, ReviewDesk, TrailLedger, Vote
from guardrail.review._notices import Endpoint
from guardrail.service import create_app
from guardrail.service._post import send
from guardrail.service._webhooks import RETRY_SECONDS, Webhooks
from tests.test_review_desk import held

KEY = b"k" * 32
SECRET = "whsec_" + base64.b64encode(KEY).decode()
NO = Vote(voter="dana", verdict="deny", at_us=0)


def endpoint(**more: Any) -> Endpoint:
    """An endpoint."""
    plain = {"name": "oncall", "url": "https://h/x", "secret": SECRET, "link": "https://c/e/{id}"}
    return Endpoint(WebhookConfig(**plain | more), "guardrail.example/trail")


class Outside:
    """What was sent, and what the other side answers."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, dict[str, str], bytes]] = []

    def __call__(self, url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        self.sent.append((url, headers, body))
        return (self.answers.pop(0) if self.answers else 200), b""


@pytest.fixture
def desk() -> ReviewDesk:
    """A desk that ends with the test."""
    return ReviewDesk(MemoryLedger())


def test_a_message_is_a_cloud_event_signed_as_standard_webhooks_asks(desk: ReviewDesk) -> None:
    """Anybody who has the secret can check it, with nothing of ours."""
    case = desk.open(held(desk, shown=(("opaque.code", None),), critical=True))
    outside = Outside()
    assert Webhooks(desk, [], post=outside).tell(endpoint()) == 1
    ((url, headers, body),) = outside.sent
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert (url, headers["webhook-signature"]) == ("https://h/x", wanted)
    event = json.loads(body)
    assert (event["specversion"], event["type"]) == ("1.0", "guardrail.escalation.opened")
    assert (event["source"], event["subject"]) == ("guardrail.example/trail", case.held.id)
    assert event["data"]["link"] == f"https://c/e/{case.held.id}"
    assert event["id"] == headers["webhook-id"]
    assert headers["content-type"] == "application/cloudevents+json"


def test_each_change_is_told_once_also_after_a_restart(tmp_path: Path) -> None:
    """The record of the delivery is what keeps it from being sent again."""
    outside = Outside()
    with Trail.open(tmp_path / "trail") as trail:
        desk = ReviewDesk(TrailLedger(trail))
        case = desk.open(held(desk))
        hooks = Webhooks(desk, [], post=outside)
        assert [hooks.tell(endpoint()) for _ in range(2)] == [1, 0]
        version = desk.cast(case.held.id, NO).version
        assert hooks.tell(endpoint()) == 1
        assert desk.find(case.held.id).version == version  # type: ignore[union-attr]
    with Trail.open(tmp_path / "trail") as trail:
        hooks = Webhooks(ReviewDesk(TrailLedger(trail)), [], post=outside)
        assert hooks.tell(endpoint()) == 0
        assert hooks.tell(endpoint(name="another")) == 2
    assert [headers["webhook-id"].partition(".")[2] for _, headers, _ in outside.sent] == [
        "opened", "denied", "opened", "denied",
    ]  # fmt: skip


def test_an_endpoint_that_is_away_is_tried_again_for_a_while_and_then_given_up(desk: ReviewDesk) -> None:
    """With growing pauses, under the same id; that it was given up is on record."""
    case, now, outside = desk.open(held(desk)), [0.0], Outside(*[503] * 99)
    hooks = Webhooks(desk, [], post=outside, clock=lambda: now[0])
    for pause in RETRY_SECONDS:
        sent = len(outside.sent)
        assert [hooks.tell(endpoint()) for _ in range(2)] == [0, 0]
        assert len(outside.sent) == sent + 1
        now[0] += pause
    hooks.tell(endpoint())
    now[0] += 10**6
    hooks.tell(endpoint())
    assert len(outside.sent) == len(RETRY_SECONDS) + 1
    assert len({headers["webhook-id"] for _, headers, _ in outside.sent}) == 1
    assert desk.find(case.held.id).notices == ("oncall:opened",)  # type: ignore[union-attr]


def test_old_news_are_not_told(desk: ReviewDesk) -> None:
    """An endpoint that is new is not flooded with what was long ago."""
    desk.open(held(desk, created_us=desk.clock() - 25 * 3600 * 1_000_000))
    assert Webhooks(desk, [], post=Outside()).tell(endpoint()) == 0


def test_a_chat_gets_a_link_and_nothing_to_press(desk: ReviewDesk) -> None:
    """No button, no mention, no link but ours, whatever the agent is called."""
    desk.open(held(desk, agent="<!channel> <https://evil|here> *x*"))
    outside = Outside()
    Webhooks(desk, [], post=outside).tell(endpoint(format="slack"))
    message = json.loads(outside.sent[0][2])
    assert {block["type"] for block in message["blocks"]} == {"section"}
    text = json.dumps(message)
    assert "actions" not in text
    assert "<!channel>" not in text
    assert "evil|" not in text.replace("&lt;https://evil|here&gt;", "")
    assert text.count("<https://c/e/") == 1
    # Slack makes links of bare addresses, and fetches them, unless it is told not to.
    assert all(block["text"]["verbatim"] for block in message["blocks"])
    assert (message["parse"], message["unfurl_links"], message["unfurl_media"]) == ("none", False, False)


class Receiver(http.server.BaseHTTPRequestHandler):
    """A real endpoint: notes what comes, and sends everybody elsewhere at `/moved`."""

    def do_POST(self) -> None:
        """Answer."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        self.send_response(307 if self.path == "/moved" else 204)
        self.send_header("location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def receiver() -> Iterator[Any]:
    """A server that is there for the test."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join(timeout=20)
    server.server_close()


def test_messages_arrive_at_a_real_server_and_follow_nobody_elsewhere(desk: ReviewDesk, receiver: Any) -> None:
    """204 is delivered; a redirect is not followed and not counted; a port where nobody listens is no answer."""
    port = receiver.server_address[1]
    desk.open(held(desk))
    for name, told in (("hook", 1), ("moved", 0)):
        one = endpoint(name=name, url=f"http://127.0.0.1:{port}/{name}", private=True)
        assert Webhooks(desk, []).tell(one) == told
    assert [path for path, _, _ in receiver.seen] == ["/hook", "/moved"]
    for nowhere in ("http://127.0.0.1:1/x", f"https://{'a' * 64}.example/x", "https://h/\u00e9", "http://h:99999/"):
        assert send(nowhere, {}, b"") == (0, b"")


def test_a_name_that_comes_to_mean_an_address_inside_gets_no_message(
    desk: ReviewDesk, receiver: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who answers counts, each time anew: the name is that of a place on the internet, until it is not."""
    port, asked = receiver.server_address[1], []

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    case, one = desk.open(held(desk)), endpoint(url="http://hooks.example/s3cret")
    assert Webhooks(desk, []).tell(one) == 0
    assert (asked, receiver.seen) == (["hooks.example"], [])
    assert "guardrail.post.refused hooks.example: `127.0.0.1` is not on the internet" in caplog.text
    assert "s3cret" not in caplog.text
    assert desk.find(case.held.id).notices == ()  # type: ignore[union-attr]
    assert Webhooks(desk, []).tell(endpoint(url=one.url, private=True)) == 1
    assert [path for path, _, _ in receiver.seen] == ["/s3cret"]


INSIDE = (
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "0.0.0.0",
    "::1",
    "fd12::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "224.0.0.1",
)
METADATA = (
    "169.254.169.254",
    "169.254.170.2",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
)


def test_addresses_inside_need_a_word_and_those_of_a_clouds_own_machines_are_refused() -> None:
    """Also where an IPv4 address is written as one of IPv6; what is on the internet is left alone."""
    for address in INSIDE:
        assert "private = true" in refused(address, private=False)
        assert not refused(address, private=True)
    for address in METADATA:
        assert "cloud" in refused(address, private=False)
        assert "cloud" in refused(address, private=True)
    for address in ("1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"):
        assert not refused(address, private=False)


async def test_an_endpoint_that_does_not_answer_keeps_no_other_from_being_told(desk: ReviewDesk) -> None:
    """The one that pages people is told while the other one is still being waited for."""
    desk.open(held(desk))
    told, over = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def post(url: str, _: dict[str, str], __: bytes) -> tuple[int, bytes]:
        if url == "https://slow/x":
            over.wait(20)
        else:
            loop.call_soon_threadsafe(told.set)
        return 204, b""

    hooks = Webhooks(desk, [endpoint(name="slow", url="https://slow/x"), endpoint()], post=post)
    running = asyncio.create_task(hooks.run(0.01))
    try:
        async with asyncio.timeout(10):
            await told.wait()
    finally:
        over.set()
        running.cancel()


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ('name = "a"\nurl = "ftp://h/x"\nsecret = "s"', "must be `https://host/path`"),
        ('name = "a b"\nurl = "https://h/x"\nsecret = "s"', "`name` must have"),
        (f'name = "a"\nurl = "https://h/x"\nsecret = "{SECRET}"\nformat = "mail"', "format"),
        ('name = "a"\nurl = "http://localhost:1/x"\nsecret = "s"', "`localhost` is not on the internet: set `private"),
        ('name = "a"\nurl = "https://10.0.0.1/x"\nsecret = "s"', "`10.0.0.1` is not on the internet: set `private"),
        ('name = "a"\nurl = "https://[fd12::1]/x"\nsecret = "s"', "`fd12::1` is not on the internet: set `private"),
        (
            'name = "a"\nurl = "http://169.254.169.254/x"\nsecret = "s"\nprivate = true',
            "`169.254.169.254` is where a cloud answers",
        ),
    ],
)
def test_a_webhook_that_cannot_be_meant_is_refused(lines: str, why: str) -> None:
    """When the configuration is read, and not when somebody should be told."""
    with pytest.raises(ConfigError, match=why):
        parse_config(f"[[review.webhook]]\n{lines}\n")


def test_a_service_does_not_start_with_a_secret_that_is_none(tmp_path: Path) -> None:
    """Too short, or without its prefix."""
    for secret in ("whsec_c2hvcnQ=", base64.b64encode(KEY).decode()):
        toml = f'[[review.webhook]]\nname = "a"\nurl = "https://h/x"\nsecret = "{secret}"\n[service]\nsocket = "s"\n'
        with (
            Guard.open(parse_config(toml, base=str(tmp_path)), record=False) as guard,
            pytest.raises(ConfigError, match="whsec_"),
        ):
            create_app(guard)
