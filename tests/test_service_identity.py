"""Who asks the service, and in whose name they may: certificates, ServiceAccounts, the socket's peer, tokens."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from guardrail.client import Client
from guardrail.config import ClientConfig, Config, KubernetesConfig, ServiceConfig
from guardrail.config import parse as parse_config
from guardrail.errors import ConfigError
from guardrail.model import Subject, ToolCall
from guardrail.service._accounts import MAX_ASKED, REVIEW_SECONDS, ReviewedAccounts, accounts_of
from guardrail.service._app import check_access
from guardrail.service._callers import Callers, certificate_names
from guardrail.service._http import Problem
from tests.pki_support import Authority, Cluster
from tests.test_service_process import Place, records, serving

OWN = "a-token-of-the-trainer"
LS = {"tool": "bash", "args": {"command": "ls"}, "cwd": "/"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def outcome(client: Client, **call: Any) -> str:
    """What comes of a call: the outcome, or why there is none."""
    decision = client.decide(LS | call)
    return decision["reasons"][0]["message"] if decision["reasons"] else decision["outcome"]


def test_each_caller_is_known_over_tls_and_asks_in_its_own_name(place: Place) -> None:
    """A certificate, a ServiceAccount and a token: each opens the service, each for the names of its own agents."""
    authority, stranger, cluster = Authority(place.folder), Authority(place.folder, "stranger"), Cluster()
    server, key = authority.issue("server")
    agent = authority.issue("agent", uri="spiffe://cluster/ns/a/sa/agent")
    other, forged = authority.issue("other"), stranger.issue("forged", uri="spiffe://cluster/ns/a/sa/agent")
    (place.folder / "jwks.json").write_text(cluster.jwks())
    (place.folder / "trainer.token").write_text(OWN + "\n")
    place.write(
        service=f"""
tls = {{certificate = "{server}", key = "{key}", client_ca = "{authority.path}"}}
kubernetes = {{audience = "guardrail", jwks = "jwks.json"}}
[[service.client]]
name = "agent"
certificate = "URI:spiffe://cluster/ns/a/sa/agent"
[[service.client]]
name = "pod"
service_account = "agents/pod"
subjects = ["pod", "pod-*"]
[[service.client]]
name = "trainer"
token = "${{file:{place.folder}/trainer.token}}"
"""
    )
    with serving(place, "--port", "0") as running:
        (address,) = (word.rstrip(",") for word in running.line.split() if word.startswith("https://"))

        def client(*shown: Path, token: str = "") -> Client:
            return Client(address, token=token, timeout_seconds=30, tls=authority.context(*shown))

        with client(*agent) as mine:
            assert outcome(mine) == "allow"
            assert outcome(mine, subject={"id": "agent"}) == "allow"
            assert "403: `agent` may not ask in the name of `pod`" in outcome(mine, subject={"id": "pod"})
        with client(token=cluster.token("agents/pod")) as mine:
            assert [outcome(mine, subject={"id": name}) for name in ("pod", "pod-7")] == ["allow", "allow"]
            assert "may not ask in the name of `agent`" in outcome(mine, subject={"id": "agent"})
        with client(token=OWN) as mine:
            assert outcome(mine, subject={"id": "trainer"}) == "allow"
        for shown, token in (
            ((), ""), (other, ""), ((), "another-token-of-length"), ((), cluster.token("agents/other")),
            (agent, "another-token-of-length"), ((), Cluster().token("agents/pod")),
            ((), cluster.token("agents/pod", aud=["vault"])), ((), cluster.token("agents/pod", exp=time.time() - 90)),
            ((), cluster.token("agents/pod", iss="https://elsewhere")),
            ((), cluster.token("agents/pod", sub="system:serviceaccount:agents:pod:x")),
        ):  # fmt: skip
            with client(*shown, token=token) as unknown:
                assert "answered 401" in outcome(unknown), (shown, token)
        with client(*forged) as unknown:
            assert "gave no answer" in outcome(unknown)
    names = [record["subject"]["id"] for record in records(place.trail) if record["kind"] == "intent"]
    assert names == ["agent", "agent", "pod", "pod-7", "trainer"]


def test_the_socket_tells_whose_process_asks(place: Place) -> None:
    """The kernel's word for the peer's user is enough, and nobody else's is taken."""
    import os

    place.write(service=f'[[service.client]]\nname = "mine"\nuid = {os.geteuid()}\n')
    with serving(place, "--socket", str(place.socket)), Client(f"unix:{place.socket}", timeout_seconds=30) as client:
        assert outcome(client) == "allow"
        assert "may not ask in the name of `another`" in outcome(client, subject={"id": "another"})
    place.write(service=f'[[service.client]]\nname = "other"\nuid = {os.geteuid() + 1}\n')
    with serving(place, "--socket", str(place.socket)), Client(f"unix:{place.socket}", timeout_seconds=30) as client:
        assert "answered 401" in outcome(client)


async def test_what_a_request_is_sent_with_counts_before_its_connection() -> None:
    """A token that is wrong is not made up for by the user at the socket; without one the user counts."""
    callers = Callers(
        ServiceConfig(socket="/s", clients=(ClientConfig(name="a", uid=7), ClientConfig(name="b", token=OWN)))
    )

    async def of(token: str = "", **state: Any) -> str:
        headers = [(b"authorization", token.encode())] if token else []
        return (await callers.of({"headers": headers, "state": state})).name

    assert await of(uid=7) == "a"
    assert await of(f"Bearer {OWN}", uid=7) == "b"
    for token, uid in (("", 8), ("", -1), ("Bearer wrong", 7), ("Basic x", 7), (f"Basic {OWN}", 7)):
        with pytest.raises(Problem, match=r"send a token of one of `service\.client`"):
            await of(token, uid=uid)


def test_a_call_that_names_no_agent_is_one_of_its_callers_own() -> None:
    """And one that names another agent is refused, whatever it calls itself."""
    caller = Callers(ServiceConfig(clients=(ClientConfig(name="b", token=OWN, subjects=("b-?",)),)))
    (known,) = caller._tokens.values()
    assert known.attributed(ToolCall(tool="ls")).subject.id == "b"
    assert known.attributed(ToolCall(tool="ls", subject=Subject(id="b-1", model="m"))).subject.model == "m"
    for name in ("b-12", "B-1", "a", ""):
        with pytest.raises(Problem, match="may not ask in the name of"):
            known.attributed(ToolCall(tool="ls", subject=Subject(id=name)))


def test_names_in_a_certificate_say_of_what_kind_they_are() -> None:
    """A common name that looks like a host name or an address of SPIFFE is none."""
    certificate = {"subject": ((("commonName", "URI:x"),),), "subjectAltName": (("DNS", "h"), ("URI", "spiffe://a/b"))}
    assert list(certificate_names(certificate)) == ["URI:spiffe://a/b", "DNS:h", "CN:URI:x"]
    assert list(certificate_names(None)) == []


@pytest.mark.parametrize(
    ("service", "why"),
    [
        ('[[service.client]]\nname = "a"\n', "must have exactly one of"),
        ('[[service.client]]\nname = "a"\ntoken = "x"\nuid = 1\n', "must have exactly one of"),
        ('[[service.client]]\nname = "a"\ncertificate = "CN:a"\n', "no `service.tls.client_ca` says"),
        ('[[service.client]]\nname = "a"\nservice_account = "n/a"\n', "no `service.kubernetes` says"),
        ('[service]\ntoken = "t"\n[[service.client]]\nname = "a"\ntoken = "x"\n', "for every agent's name"),
        ('[service]\nagent = "a"\n[[service.client]]\nname = "b"\nuid = 1\n', "leave one of them out"),
        ('[service.kubernetes]\naudience = "g"\n', "needs either `jwks` or `review`"),
        ('[service.kubernetes]\naudience = "g"\nreview = "http://api"\n', "must be an `https://` address"),
        ('[service]\nsocket = "/s"\ntls = {certificate = "c", key = "k"}\n', "is for TCP"),
        ('[service]\nsocket = "/s"\n' + '[[service.client]]\nname = "a"\nuid = 1\n' * 2, "`a` is listed twice"),
    ],
)  # fmt: skip
def test_a_caller_that_cannot_be_meant_is_refused(service: str, why: str) -> None:
    """Each with what is wrong, before anything listens."""
    with pytest.raises(ConfigError, match=why):
        parse_config(f'[[asset]]\nid = "a"\nclass = "weights"\npaths = ["/m"]\n{service}', base="/")


def test_a_token_that_two_have_is_nobodys() -> None:
    """It would be the first one's, without anybody having said so; and a user is known at a socket alone."""
    with pytest.raises(ConfigError, match="which only a Unix socket tells"):
        check_access(ServiceConfig(clients=(ClientConfig(name="a", uid=1),)), insecure_no_token=False)
    with pytest.raises(ConfigError, match="is that of another client"):
        Callers(ServiceConfig(clients=(ClientConfig(name="a", token=OWN), ClientConfig(name="b", token=OWN))))


def test_the_one_agent_of_a_socket_asks_in_its_own_name(place: Place) -> None:
    """What it calls itself does not count, but for agents below its name, and the trail has it under its own."""
    place.write(service='agent = "agents/ops"\n')
    with serving(place, "--socket", str(place.socket)), Client(str(place.socket), timeout_seconds=30) as mine:
        assert outcome(mine) == "allow"
        assert [outcome(mine, subject={"id": f"agents/ops{name}"}) for name in ("", "/helper")] == ["allow", "allow"]
        for other in ("agents/other", "agents/ops-2"):
            assert f"403: `agents/ops` may not ask in the name of `{other}`" in outcome(mine, subject={"id": other})
    names = [record["subject"]["id"] for record in records(place.folder / "trail") if record.get("kind") == "intent"]
    assert sorted(set(names)) == ["agents/ops", "agents/ops/helper"]


# -- reviews by the API server -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def api_server(authority: Authority, answers: list[Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An API server that answers token reviews, the last answer again and again; its address, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append({"path": self.path, "own": self.headers["authorization"], **body["spec"]})
            status, answer = answers[0] if len(answers) == 1 else answers.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer if isinstance(answer, bytes) else json.dumps({"status": answer}).encode())

    certificate, key = authority.issue("api")
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


POD = {"authenticated": True, "user": {"username": "system:serviceaccount:agents:pod"}, "audiences": ["guardrail"]}


async def test_an_api_server_says_whose_token_it_is_and_is_not_asked_each_time(tmp_path: Path) -> None:
    """It is shown our own token; its answer is good for a while; what is not for us, or not believed, is nobody's."""
    authority, clock = Authority(tmp_path), SimpleNamespace(now=0.0)
    (tmp_path / "own").write_text("our-own\n")
    answers = [(201, POD), (201, POD | {"audiences": []}), (201, {"authenticated": False}), (201, {})]
    with api_server(authority, answers) as (url, asked):
        settings = KubernetesConfig(audience="guardrail", review=url)
        accounts = ReviewedAccounts(settings, authority.path, tmp_path / "own", lambda: clock.now)
        assert [await accounts.account_of("one"), await accounts.account_of("one")] == ["agents/pod"] * 2
        (first,) = asked
        assert (first["path"], first["own"]) == ("/apis/authentication.k8s.io/v1/tokenreviews", "Bearer our-own")
        assert (first["token"], first["audiences"]) == ("one", ["guardrail"])
        clock.now += REVIEW_SECONDS
        assert await accounts.account_of("one") is None
        assert [await accounts.account_of(token) for token in ("two", "three")] == [None, None]


@pytest.mark.parametrize("answer", [(500, {}), (201, b"<html>"), (201, b'{"status": 3}')])
async def test_an_api_server_that_cannot_say_is_a_503_and_is_asked_again(tmp_path: Path, answer: Any) -> None:
    """Not knowing is no permission, and it is not remembered either."""
    authority = Authority(tmp_path)
    (tmp_path / "own").write_text("our-own")
    with api_server(authority, [answer]) as (url, asked):
        accounts = ReviewedAccounts(KubernetesConfig(audience="g", review=url), authority.path, tmp_path / "own")
        for _ in range(2):
            with pytest.raises(Problem) as problem:
                await accounts.account_of("one")
            assert (problem.value.kind, problem.value.status) == ("not-ready", 503)
        assert len(asked) == 2
    with pytest.raises(Problem, match="does not say whose token"):
        await accounts.account_of("one")


async def test_tokens_that_nobody_knows_are_reviewed_a_few_at_a_time(tmp_path: Path) -> None:
    """Whoever sends one after the other occupies neither our threads nor the API server; none of them is let in."""
    authority = Authority(tmp_path)
    (tmp_path / "own").write_text("our-own")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        accounts = ReviewedAccounts(KubernetesConfig(audience="g", review=url), authority.path, tmp_path / "own")
        asked = [asyncio.create_task(accounts.account_of(f"token {number}")) for number in range(MAX_ASKED)]
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="being reviewed already") as problem:
            await accounts.account_of("one more")
        assert problem.value.status == 503
        # Each is hung up on in the middle of its handshake: `ssl` loses a socket that is reset just before it.
        for _ in asked:
            connection, _peer = await asyncio.to_thread(silent.accept)
            with connection:
                assert await asyncio.to_thread(connection.recv, 1)
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [one.kind for one in found if isinstance(one, Problem)] == ["not-ready"] * MAX_ASKED


def test_keys_that_cannot_be_read_stop_the_start(tmp_path: Path) -> None:
    """One sentence with the setting."""
    config = Config(base=str(tmp_path))
    with pytest.raises(ConfigError, match=r"cannot read `service\.kubernetes\.jwks`"):
        accounts_of(KubernetesConfig(audience="g", jwks="absent"), config)
    with pytest.raises(ConfigError, match=r"cannot use `service\.kubernetes\.ca`"):
        accounts_of(KubernetesConfig(audience="g", review="https://api", ca="absent"), config)
