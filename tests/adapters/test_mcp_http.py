"""The MCP relay over streamable HTTP: a real client and server of the SDK, and requests that no SDK would send."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from guardrail import ConfigError, Guard, Subject
from guardrail_adapters.mcp import Gate, HttpSettings, OwnToken, PinStore, RelaySettings, ResourceServer
from guardrail_adapters.mcp._http import serve
from tests.duty_support import Retirement
from tests.mandate_support import Place
from tests.mcp_support import (
    HOME,
    ROOT,
    STATELESS,
    TASKS,
    TOOLS,
    answer,
    environment,
    eventually,
    needs,
    records,
    reference_server,
    relay_command,
    tool,
    waiting,
    words,
)
from tests.ports import free_port
from tests.test_review_oidc import Issuer

SDK = [str(HOME / "bin/python"), str(ROOT / "tests/mcp_sdk.py")]
HELD = {"thing": "models/beta.safetensors"}
NEUTRAL = "This action is not permitted here and was not carried out."
PAGE = "https://review.example/{id}"


def is_up(port: int) -> bool:
    """Whether somebody listens there."""
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that end with the test."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.terminate()
        process.communicate(timeout=60)


def sdk(targets: list[Any], calls: list[Any], program: Sequence[str] = SDK) -> list[Any]:
    """What the SDK's client says of some calls, to each of some servers."""
    done = subprocess.run(
        [*program, "call", json.dumps(targets)],
        env={**environment(), "CALLS": json.dumps(calls)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def relayed_sdk(place: Place, processes: list[subprocess.Popen[str]], program: Sequence[str] = SDK) -> tuple[str, str]:
    """A server of the SDK, and a relay before it: where each is."""
    port, quiet = free_port(), {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes.append(subprocess.Popen([*program, "serve", str(port)], text=True, **quiet))
    upstream = f"http://127.0.0.1:{port}/mcp"
    command = relay_command(place, "--name", "filesystem", "--hold", "0", "--http", upstream, "--listen", "127.0.0.1:0")
    relay = subprocess.Popen(command, cwd=place.root, env=environment(), stdout=subprocess.PIPE, text=True)
    processes.append(relay)
    assert relay.stdout is not None
    ready = relay.stdout.readline()
    eventually(lambda: is_up(port))
    return upstream, ready.split()[3].rstrip(",")


def test_the_sdk_speaks_through_the_relay_in_both_eras(tmp_path: Path, processes: list[subprocess.Popen[str]]) -> None:
    """Over HTTP, client and server of the SDK: allowed calls and progress pass, a denied one is a result."""
    needs(HOME / "bin/python")
    upstream, url = relayed_sdk(Place(tmp_path), processes)
    key = str(tmp_path / "trail/trail.key")
    calls = [
        ("read_file", {"path": "elsewhere/x"}),
        ("slow", {"steps": 3}),
        ("write_file", {"path": key, "content": "mine"}),
    ]
    answers = sdk([[mode, where] for mode in ("auto", "legacy") for where in (upstream, url)], calls)
    for version, direct, relayed in (("2026-07-28", *answers[:2]), ("2025-11-25", *answers[2:])):
        assert relayed["version"] == direct["version"] == version
        assert relayed["said"].pop("write_file") == [True, NEUTRAL]
        assert direct["said"].pop("write_file")[0] is False
        assert relayed == direct
        assert relayed["progress"] == [0, 1, 2]


def test_the_sdk_speaks_to_a_reference_server_over_standard_input(tmp_path: Path) -> None:
    """A real client, the relay, and server-everything from npm."""
    needs(HOME / "bin/python")
    place = Place(tmp_path)
    command = relay_command(place, "--hold", "0", command=[*reference_server("server-everything"), "stdio"])
    (said,) = sdk([["legacy", command]], [("echo", {"message": "hi"}), ("get-sum", {"a": 2, "b": 3})])
    assert said["said"]["echo"] == [False, "Echo: hi"]
    assert "5" in said["said"]["get-sum"][1]


# ── in this process, with a server that does as it is told ────────────────────────────────────────────────────────────


class Upstream:
    """A server over HTTP without an SDK: remembers what reached it, and answers as JSON or as a stream."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], Any]] = []
        self.tools = list(TOOLS)
        self.stream = False
        self.session = "secret-session"
        self.silent = asyncio.Event()
        self.gone = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        message = json.loads(await request.text() or "null")
        self.seen.append((request.method, headers, message))
        late = {"jsonrpc": "2.0", "id": 9, "result": {"tools": [tool("late")]}}
        if request.method != "POST":
            return await self._events(request, [{"jsonrpc": "2.0", "method": "notifications/x"}, late])
        if "id" not in message or "method" not in message:
            return web.Response(status=202)
        method, params = message["method"], message.get("params", {})
        result: dict[str, Any] = {"method": method, "params": params}
        if method == "server/discover":
            return await self._events(request, [late, {"jsonrpc": "2.0", "id": 8, "result": {"capabilities": {}}}])
        if method == "tools/list":
            result = {"tools": self.tools}
        if method == "tools/call":
            if params["name"] == "never":
                self.silent.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    self.gone.set()
            if params["name"] == "fail":
                return web.Response(status=401, headers={"WWW-Authenticate": 'Bearer resource_metadata="x"'}, text="no")
            result = {"content": [{"type": "text", "text": f"ran {params['name']}"}]}
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        more = {"Mcp-Session-Id": self.session} if method == "initialize" else {}
        if self.stream:
            return await self._events(request, [{"jsonrpc": "2.0", "method": "notifications/x"}, answer])
        return web.json_response(answer, headers=more)

    async def _events(self, request: web.Request, messages: list[Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number, message in enumerate(messages):
            await response.write(f"id: {number}\ndata: {json.dumps(message)}\n\n".encode())
        await response.write_eof()
        return response

    def calls(self) -> list[Any]:
        """The tool calls that reached it."""
        return [m["params"] for _, _, m in self.seen if m and m.get("method") == "tools/call"]


class World:
    """A relay in this process between a client and an `Upstream`."""

    def __init__(self, place: Place, url: str, upstream: Upstream, session: aiohttp.ClientSession) -> None:
        self.place, self.url, self.upstream, self._session = place, url, upstream, session
        self._last = 0
        self.stop: Callable[[], Awaitable[None]]

    async def post(self, message: Any, **headers: str) -> tuple[int, Any]:
        """Any body, or a message; status and what came back, the events of a stream in a list."""
        data = message if isinstance(message, bytes) else json.dumps({"jsonrpc": "2.0", **message}).encode()
        sent = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.post(self.url, data=data, headers={**sent, **named}) as response:
            text = await response.text()
            if response.content_type == "text/event-stream":
                return response.status, [
                    json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")
                ]
            return response.status, json.loads(text) if text and response.content_type == "application/json" else text

    async def call(self, name: str, arguments: Any, capabilities: Any = None, **more: Any) -> Any:
        """A tool's result in the era without a handshake."""
        self._last += 1
        meta = {**STATELESS, "io.modelcontextprotocol/clientCapabilities": capabilities or {}}
        params = {"name": name, "arguments": arguments, "_meta": meta, **more}
        _, answer = await self.post({"id": self._last, "method": "tools/call", "params": params})
        return answer["result"]


@contextlib.asynccontextmanager
async def world(
    root: Path, hold: float = 0.0, *, made: Callable[[Path], Any] = Place, server: Any = None, **transport: Any
) -> AsyncIterator[World]:
    """Everything started, and ended."""
    place, upstream, port = made(root), server or Upstream(), free_port()
    app = web.Application()
    app.router.add_route("*", "/mcp", upstream.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    agent = Subject(id="ops-agent")
    settings = RelaySettings(server="filesystem", subject=agent, cwd=str(root), hold_seconds=hold, review_url=PAGE)
    to = HttpSettings(upstream=f"http://127.0.0.1:{port}/mcp", host="127.0.0.1", port=0, **transport)
    with Guard.open(place.toml) as guard, contextlib.closing(PinStore(None)) as pins:
        running = asyncio.create_task(serve(Gate(guard, pins, settings), to, ready.set_result))
        try:
            async with aiohttp.ClientSession() as session:
                found = World(place, await ready, upstream, session)
                found.stop = runner.cleanup
                yield found
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await runner.cleanup()


async def settled(get: Callable[[], Awaitable[Any]]) -> Any:
    """A task once it is done."""
    async with asyncio.timeout(60):
        while (found := await get())["status"] == "working":  # noqa: ASYNC110 - a client polls
            await asyncio.sleep(0)
    return found


async def test_json_streams_sessions_and_the_stream_of_a_get_pass(tmp_path: Path) -> None:
    """Both forms of answers, what comes before them, 202s, the session of a handshake, refusals with their headers."""
    async with world(tmp_path) as at:
        hello = {"id": 1, "method": "initialize", "params": {"capabilities": {}, "protocolVersion": "2025-11-25"}}
        status, answered = await at.post(hello)
        assert (status, answered["result"]["method"]) == (200, "initialize")
        assert (await at.post({"method": "notifications/initialized"}))[0] == 202
        assert (await at.post({"id": "s", "result": {"said": "yes"}}))[0] == 202
        for at.upstream.stream in (False, True):
            _, said = await at.post(
                {"id": 2, "method": "prompts/get", "params": {"x": "ü"}}, Mcp_Session_Id="secret-session"
            )
            events = said if at.upstream.stream else [{}, said]
            assert events[-1]["result"] == {"method": "prompts/get", "params": {"x": "ü"}}
            call = {
                "id": 3,
                "method": "tools/call",
                "params": {"name": "read_file", "arguments": {"path": "elsewhere/x"}},
            }
            _, ran = await at.post(call, Mcp_Session_Id="secret-session")
            assert words((ran[-1] if at.upstream.stream else ran)["result"]) == "ran read_file"
        status, said = await at.post({**call, "params": {"name": "fail", "arguments": {}}})
        assert (status, said) == (401, "no")
        async with at._session.get(at.url, headers={"Accept": "text/event-stream"}) as response:
            text = await response.text()
        assert "notifications/x" in text
        _, found = await at.post({"id": 8, "method": "server/discover", "params": {"_meta": STATELESS}})
        assert len(found) == 2
        # A list of tools that comes late on another stream is one all the same.
        for late in (text, json.dumps(found, separators=(",", ":"))):
            assert '"tools":[]' in late
            assert '"late"' not in late
    kept = str(records(at.place))
    assert "secret-session" not in kept
    assert len(set(re.findall(r"default-[0-9a-f]{16}", kept))) == 1


async def test_a_session_that_ends_shows_what_its_agent_has_not_done(tmp_path: Path) -> None:
    """A client ends one by DELETE, and the relay the others when it ends; what is owed is taken up when one begins."""
    hello = {"id": 1, "method": "initialize", "params": {"capabilities": {}, "protocolVersion": "2025-11-25"}}
    async with world(tmp_path, made=Retirement) as at:
        assert at.place.events() == []
        await at.post(hello)
        assert at.place.events() == ["opened"]
        async with at._session.delete(at.url, headers={"Mcp-Session-Id": "secret-session"}):
            pass
        assert at.place.events()[-1] == "violated"
        at.upstream.session = "another-session"
        await at.post(hello)
        assert at.place.events().count("violated") == 1
    assert at.place.events().count("violated") == 2


async def test_what_headers_and_bodies_may_not_say(tmp_path: Path) -> None:
    """Each is refused with a status and one sentence, and nothing of it reaches the server."""
    call: dict[str, Any] = {
        "id": 1,
        "method": "tools/call",
        "params": {"name": "read_file", "arguments": {"path": "a"}},
    }
    version = {**call, "params": {**call["params"], "_meta": STATELESS}}
    async with world(tmp_path, origins=("http://localhost:6274",), token="t0k", upstream_token=OwnToken("own")) as at:
        ok = {"Authorization": "Bearer t0k"}
        refused: list[tuple[Any, dict[str, str], int, str]] = [
            (call, {}, 401, "Bearer TOKEN"),
            (call, {"Authorization": "Bearer other"}, 401, "Bearer TOKEN"),
            (call, {**ok, "Origin": "http://evil.example"}, 403, "--origin"),
            (call, {**ok, "Origin": "null"}, 403, "--origin"),
            (call, {**ok, "Host": "evil.example:80"}, 421, "no relay for"),
            (call, {**ok, "Content-Type": "text/plain"}, 415, "application/json"),
            (call, {**ok, "Mcp_Method": "ping"}, 400, "header mismatch"),
            (call, {**ok, "Mcp_Name": "write_file"}, 400, "header mismatch"),
            (call, {**ok, "Mcp_Param_Path": "b"}, 400, "header mismatch"),
            (version, {**ok, "MCP_Protocol_Version": "2025-11-25"}, 400, "header mismatch"),
            (b"[" + json.dumps({"jsonrpc": "2.0", **call}).encode() + b"]", ok, 400, "batches"),
            (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', ok, 400, "stands twice"),
            ({"method": "tools/call", "params": call["params"]}, ok, 400, "needs an `id`"),
        ]  # fmt: skip
        for message, headers, status, why in refused:
            found, said = await at.post(message, **headers)
            assert (found, why in said["error"]["message"]) == (status, True), (headers, said)
        assert at.upstream.seen == []
        encoded = f"=?base64?{base64.b64encode(b'read_file').decode()}?="
        allowed = {
            **ok,
            "Origin": "http://localhost:6274",
            "Mcp_Name": encoded,
            "Mcp_Method": "tools/call",
            "Cookie": "c=1",
            "Content-Type": "application/json; charset=utf-7",
        }
        _, said = await at.post(call, Mcp_Param_Path="a", **allowed)
        assert words(said["result"]) == "ran read_file"
        headers = at.upstream.seen[-1][1]
        # The client's token was for the relay, and is not passed on.
        assert headers["authorization"] == "Bearer own"
        assert headers["mcp-param-path"] == "a"
        # Else the server would read other words in the bytes that were judged.
        assert headers["content-type"] == "application/json"
        assert "cookie" not in headers


async def test_a_server_that_wants_a_token_gets_the_one_of_this_moment(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From a file that something renews; a 401 reaches the client, and the operator hears how to give one."""
    file = tmp_path / "token"
    with pytest.raises(ConfigError, match="cannot be read: no such file"):
        OwnToken(file=file)
    file.write_text("one two\n")
    with pytest.raises(ConfigError, match="has no token"):
        OwnToken(file=file)
    file.write_text("first\n")
    (tmp_path / "at").mkdir()
    call = {"id": 1, "method": "tools/call", "params": {"name": "read_file", "arguments": {"path": "elsewhere/x"}}}
    async with world(tmp_path / "at", upstream_token=OwnToken(file=file)) as at:
        for now in ("first", "second"):
            file.write_text(now)
            assert words((await at.post(call))[1]["result"]) == "ran read_file"
            assert at.upstream.seen[-1][1]["authorization"] == f"Bearer {now}"
        status, _ = await at.post({**call, "params": {"name": "fail", "arguments": {}}})
        assert status == 401
        assert "give the relay one with --upstream-token-file" in caplog.text
        seen = len(at.upstream.seen)
        file.unlink()
        assert "cannot be read" in (await at.post(call))[1]["error"]["message"]
        assert (await at.post({"id": 2, "method": "ping"}))[0] == 502
        assert len(at.upstream.seen) == seen


async def test_who_asks_is_what_a_token_says_that_was_made_out_for_the_relay(tmp_path: Path) -> None:
    """Else there is a 401 with where to get one; the server never sees it; a session is whose it was begun with."""
    issuer, relay = Issuer(), "https://relay.example/mcp"
    (tmp_path / "jwks.json").write_text(json.dumps(issuer.jwks()))
    idp = {"issuer": "https://idp.example", "jwks": tmp_path / "jwks.json"}
    oauth = ResourceServer(resource=relay, scopes=("mcp:tools",), **idp)  # type: ignore[arg-type]

    def token(sub: str = "alice", **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {issuer.token(**{'aud': relay, 'scope': 'mcp:tools', 'sub': sub} | claims)}"}

    metadata = "https://relay.example/.well-known/oauth-protected-resource/mcp"
    (tmp_path / "at").mkdir()
    async with world(tmp_path / "at", oauth=oauth) as at:
        where = at.url.removesuffix("/mcp") + "/.well-known/oauth-protected-resource/mcp"
        async with at._session.get(where) as response:
            said = await response.json()
        assert (said["resource"], said["authorization_servers"]) == (relay, ["https://idp.example"])
        call = {"id": 1, "method": "tools/call", "params": {"name": "read_file", "arguments": {"path": "elsewhere/x"}}}
        late = int(time.time()) - 3600
        other = Issuer()
        for headers, status, why in (
            ({}, 401, "send an access token"),
            ({"Authorization": "Bearer nonsense"}, 401, "not an access token"),
            ({"Authorization": f"Bearer {other.token(aud=relay, scope='mcp:tools')}"}, 401, "signature"),
            (token(header={"alg": "none"}), 401, "not signed with"),
            (token(aud="https://other.example"), 401, "for somebody else"),
            (token(iss="https://evil.example"), 401, "another issuer"),
            (token(exp=late), 401, "has expired"),
            (token(nbf=time.time() + 3600), 401, "does not count yet"),
            (token(sub=""), 401, "does not say who"),
            (token(scope="other"), 403, "does not grant `mcp:tools`"),
        ):
            async with at._session.post(at.url, json={"jsonrpc": "2.0", **call}, headers=headers) as response:
                challenge = response.headers["WWW-Authenticate"]
                assert (response.status, why in (await response.json())["error"]["message"]) == (status, True), why
            assert challenge.startswith(f'Bearer resource_metadata="{metadata}"')
            assert ('error="insufficient_scope"' in challenge) == (status == 403)
        assert at.upstream.seen == []
        hello = {"id": 0, "method": "initialize", "params": {"capabilities": {}, "protocolVersion": "2025-11-25"}}
        assert (await at.post(hello, **token()))[0] == 200
        mine = {"Mcp_Session_Id": "secret-session"}
        assert words((await at.post(call, **mine, **token()))[1]["result"]) == "ran read_file"
        assert (await at.post(call, **mine, **token("mallory")))[0] == 404
        assert len(at.upstream.calls()) == 1
        # A task is theirs who began it, whoever else knows its name.
        meta = {**STATELESS, "io.modelcontextprotocol/clientCapabilities": {"extensions": {TASKS: {}}}}
        held = {"id": 2, "method": "tools/call", "params": {"name": "inspect", "arguments": HELD, "_meta": meta}}
        task = (await at.post(held, **token()))[1]["result"]["taskId"]
        get = {"id": 3, "method": "tasks/get", "params": {"taskId": task}}
        assert (await at.post(get, **token()))[1]["result"]["status"] == "working"
        for method in ("tasks/get", "tasks/cancel"):
            told = (await at.post({**get, "method": method}, **token("mallory")))[1]
            assert told["error"]["message"] == "there is no such task: send the call again"
        assert (await at.post(get, **token()))[1]["result"]["status"] == "working"
        assert not [headers for _, headers, _ in at.upstream.seen if "authorization" in headers]
    intents = [record for _, record in records(at.place) if record["kind"] == "intent"]
    assert [record["subject"]["principal"] for record in intents] == ["alice"]


async def test_a_page_is_where_people_answer_and_a_client_s_word_is_no_approval(tmp_path: Path) -> None:
    """2026-07-28 with `elicitation.url`: one page to open, then `pending` whatever the client accepts."""
    can = {"elicitation": {"url": {}}}
    async with world(tmp_path) as at:
        asked = await at.call("inspect", HELD, can)
        assert asked["resultType"] == "input_required"
        (case,) = waiting(at.place)
        request = asked["inputRequests"]["guardrail_approval"]["params"]
        assert request["url"] == PAGE.replace("{id}", case.held.id)
        accepts = {"inputResponses": {"guardrail_approval": {"action": "accept"}}}
        again = await at.call("inspect", HELD, can, requestState=asked["requestState"], **accepts)
        assert words(again) == f"Approval {case.held.id} is pending; retry the same call."
        # A state for another call, a broken one, and one that somebody made up begin anew.
        for state in (asked["requestState"], asked["requestState"][:-4] + "AAAA", "guardrail.v1.AAAA"):
            other = await at.call("inspect", {"thing": "models"}, can, requestState=state, **accepts)
            assert other["resultType"] == "input_required"
        answer(at.place, case)
        ran = await at.call("inspect", HELD, can, requestState=asked["requestState"], **accepts)
        assert words(ran) == "ran inspect"
        (sent,) = at.upstream.calls()
        assert "requestState" not in sent
        assert "inputResponses" not in sent
        assert (await at.call("inspect", HELD, can))["resultType"] == "input_required"
        # What a server asks for itself is its own, and passes.
        await at.call("read_file", {"path": "elsewhere/x"}, can, requestState="theirs", inputResponses={"q": {}})
        assert at.upstream.calls()[-1]["requestState"] == "theirs"


async def test_a_client_that_takes_tasks_polls_until_people_have_answered(tmp_path: Path) -> None:
    """`tasks/get` says working, then completed with the result; a task that is cancelled leaves no question behind."""
    can = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
    async with world(tmp_path) as at:
        made = await at.call("inspect", HELD, can)
        assert (made["resultType"], made["status"]) == ("task", "working")

        async def get() -> Any:
            _, found = await at.post({"id": "t", "method": "tasks/get", "params": {"taskId": made["taskId"]}})
            return found["result"]

        assert (await get())["status"] == "working"
        (case,) = waiting(at.place)
        at.upstream.stream = True  # what the server says before its answer has no place to go any more
        answer(at.place, case)
        found = await settled(get)
        assert (found["status"], words(found["result"])) == ("completed", "ran inspect")
        made = await at.call("inspect", HELD, can)
        await at.post({"id": "c", "method": "tasks/cancel", "params": {"taskId": made["taskId"]}})
        assert (await settled(get))["status"] == "cancelled"
        assert waiting(at.place) == []
        _, unknown = await at.post({"id": "u", "method": "tasks/get", "params": {"taskId": "guardrail-x"}})
        assert "no such task" in unknown["error"]["message"]
        assert len(at.upstream.calls()) == 1


async def test_a_tool_that_changes_while_its_call_waits_does_not_run(tmp_path: Path) -> None:
    """People approved the call of another tool: pins are looked at before each attempt."""
    async with world(tmp_path, hold=50.0) as at:
        held = asyncio.create_task(at.call("inspect", HELD))
        (case,) = await asyncio.to_thread(eventually, lambda: waiting(at.place))
        at.upstream.tools = [tool("inspect", "Does something else.")]
        _, listed = await at.post({"id": "l", "method": "tools/list"})
        assert listed["result"]["tools"] == []
        answer(at.place, case)
        assert "has changed since it was accepted" in words(await held)
        assert at.upstream.calls() == []


async def test_a_client_that_goes_away_is_not_waited_for(tmp_path: Path) -> None:
    """Without a handshake the end of a request cancels it: a held call is withdrawn, a running one is cut off."""
    async with world(tmp_path, hold=50.0) as at:
        held = asyncio.create_task(at.call("inspect", HELD))
        await asyncio.to_thread(eventually, lambda: waiting(at.place))
        held.cancel()
        running = asyncio.create_task(at.call("never", {}))
        async with asyncio.timeout(60):
            await at.upstream.silent.wait()
            running.cancel()
            await at.upstream.gone.wait()
        await asyncio.to_thread(eventually, lambda: not waiting(at.place))
        await asyncio.gather(held, running, return_exceptions=True)


async def test_a_server_that_is_away_or_answers_nonsense_is_an_error_and_no_result(tmp_path: Path) -> None:
    """502 for what passes, an error of the protocol for a call, which is on record; the relay goes on."""
    async with world(tmp_path) as at:
        call = {"id": 7, "method": "tools/call", "params": {"name": "read_file", "arguments": {"path": "elsewhere/x"}}}
        assert words((await at.post(call))[1]["result"]) == "ran read_file"
        await at.stop()
        assert (await at.post({"id": 1, "method": "ping"}))[0] == 502
        _, said = await at.post(call)
        assert said["id"] == 7
        assert "result" not in said
        at.url = at.url.replace("/mcp", "/other")
        assert (await at.post({"id": 1, "method": "ping"}))[0] == 404


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--http", "http://h/mcp"), "needs --name"),
        (("--http", "ftp://h", "--name", "n", "--listen", "127.0.0.1:0"), "is no endpoint"),
        (("--http", "http://h/mcp", "--name", "n", "--listen", "8080"), "is no address"),
        (("--http", "http://h/mcp", "--name", "n", "--listen", "0.0.0.0:0"), "give --token-env"),
        (("--http", "http://h/mcp", "--name", "n", "--listen", "127.0.0.1:0", "--token-env", "NO_SUCH"), "is empty"),
        (
            ("--http", "http://h/mcp", "--name", "n", "--listen", "0.0.0.0:0", "--oauth-scope", "s"),
            "need --oauth-resource",
        ),
        (("--http", "http://h/mcp", "--", "true"), "not both"),
        (
            ("--http", "http://h/mcp", "--name", "n", "--listen", "127.0.0.1:0", "--upstream-token-file", "no/such"),
            "cannot be read: no such file",
        ),
        (
            (
                *("--http", "http://h/mcp", "--name", "n", "--listen", "127.0.0.1:0"),
                *("--upstream-token-file", "f", "--upstream-token-env", "E"),
            ),
            "not two",
        ),
    ],
)
def test_an_unsafe_address_is_refused_before_anything_starts(
    tmp_path: Path, options: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one sentence."""
    from guardrail.cli import main

    assert os.environ.get("NO_SUCH") is None
    assert main(["proxy", "mcp", "--config", str(Place(tmp_path).toml), *options]) == 2
    assert why in capsys.readouterr().err
