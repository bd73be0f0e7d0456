"""Streams that end before their answer has come: the relay goes on with them, and no call is made twice for it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from guardrail_adapters.mcp import _resume
from guardrail_adapters.mcp._sse import Events
from tests.adapters.test_mcp_http import processes, relayed_sdk, sdk, world
from tests.mandate_support import Place
from tests.mcp_far import TOKEN, far_toy
from tests.mcp_support import HOME, Wire, eventually, needs, records, relay_command, words

__all__ = ["processes"]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not say how long to wait is asked again at once."""
    monkeypatch.setattr(_resume, "WAIT_SECONDS", 0.0)


def test_the_sdk_gets_the_answer_of_a_stream_that_its_server_ended_early(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    """A server of the SDK ends the stream of a call in the middle: through the relay nothing is lost; it ran once."""
    needs(HOME / "bin/python")
    upstream, url = relayed_sdk(Place(tmp_path), processes)
    direct, relayed = sdk([["legacy", upstream], ["legacy", url]], [("polled", {"name": "x"})])
    assert direct["said"] == {"polled": [False, "x ran 1 times"]}
    assert relayed["said"] == {"polled": [False, "x ran 2 times"]}
    assert relayed["progress"] == direct["progress"] == [1, 2]


class Broken:
    """A server whose streams end early, and what it is asked for the rest.

    Args:
        rests: the streams that follow, one a request: events, or a status.
        ids: whether its events have any.
    """

    def __init__(self, *rests: list[str] | int, ids: bool = True) -> None:
        self.rests = list(rests)
        self.ids = ids
        self.asked: list[dict[str, str]] = []
        self.posts = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        if request.method == "POST":
            message = await request.json()
            if message["method"] == "tools/list":
                return _listed(message)
            self.posts += 1
            return await self._say(request, ["", "first"], broken=True)
        self.asked.append({name.lower(): value for name, value in request.headers.items()})
        rest = self.rests.pop(0) if self.rests else []
        if isinstance(rest, int):
            return web.Response(status=rest)
        return await self._say(request, rest)

    async def _say(self, request: web.Request, events: list[str], *, broken: bool = False) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            name = f"id: {self.posts}-{event}\n" if self.ids else ""
            await response.write(f"{name}retry: 0\ndata: {_data(event)}\n\n".encode())
        if broken and request.transport is not None:
            request.transport.abort()
        return response


class Slow:
    """A server that answers a call once it is told to."""

    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        message = await request.json()
        if message["method"] == "tools/list":
            return _listed(message)
        self.begun.set()
        await self.go.wait()
        return web.json_response(json.loads(_data("answer")))


def _listed(message: Any) -> web.Response:
    tools = [{"name": "inspect", "inputSchema": {"type": "object"}}]
    return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": {"tools": tools}})


def _data(event: str) -> str:
    match event:
        case "":
            return ""
        case "answer":
            return json.dumps({"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "ran"}]}})
        case _:
            return json.dumps({"jsonrpc": "2.0", "method": f"notifications/{event}"})


CALL = {"id": 7, "method": "tools/call", "params": {"name": "inspect", "arguments": {"thing": "elsewhere"}}}


@pytest.mark.parametrize(
    ("rests", "names"),
    [
        ([["answer"]], ["1-first"]),
        ([["second"], ["answer"]], ["1-first", "1-second"]),
        ([500, [], ["answer"]], ["1-first"] * 3),
    ],
)
async def test_a_stream_is_taken_up_behind_the_last_event_that_came(
    rests: list[list[str] | int], names: list[str], tmp_path: Path
) -> None:
    """Also where it ends again, or the server is away for a moment; the client sees one stream of one call."""
    server = Broken(*rests)
    async with world(tmp_path, server=server) as at:
        status, said = await at.post(CALL, Mcp_Session_Id="secret-session", Mcp_Method="tools/call")
        assert status == 200
        assert words(said[-1]["result"]) == "ran"
        assert said[0]["method"] == "notifications/first"
        assert [asked["last-event-id"] for asked in server.asked] == names
        assert {asked["mcp-session-id"] for asked in server.asked} == {"secret-session"}
        assert not any("mcp-method" in asked for asked in server.asked)
    assert server.posts == 1
    assert [record["kind"] for _, record in records(at.place)].count("result") == 1


@pytest.mark.parametrize(
    ("server", "asked"),
    [
        (Broken(ids=False), 0),
        (Broken(405), 1),
        (Broken(), _resume.TRIES),
        (Broken(*([503] * 9)), _resume.TRIES),
    ],
    ids=["no ids", "refused", "empty", "away"],
)
async def test_a_stream_that_nobody_goes_on_with_is_an_error_and_no_result(
    server: Broken, asked: int, tmp_path: Path
) -> None:
    """Nobody knows what came of the call, and it is not made again; the relay stops asking."""
    async with world(tmp_path, server=server) as at:
        _, said = await at.post(CALL)
        assert "result" not in said[-1]
        assert said[-1]["id"] == 7
        assert (len(server.asked), server.posts) == (asked, 1)


async def test_a_client_that_loses_its_stream_does_not_end_its_call(tmp_path: Path) -> None:
    """With a handshake the end of a connection withdraws nothing: what comes of the call is on record all the same."""
    server = Slow()
    async with world(tmp_path, server=server) as at:
        call = asyncio.create_task(at.post(CALL, Mcp_Session_Id="secret-session"))
        async with asyncio.timeout(60):
            await server.begun.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        # Its id stays taken as long as it runs.
        assert "is in use" in (await at.post(CALL, Mcp_Session_Id="secret-session"))[1]["error"]["message"]
        server.go.set()

        def results() -> list[Any]:
            return [record for _, record in records(at.place) if record["kind"] == "result"]

        (result,) = await asyncio.to_thread(eventually, results)
        assert result["result"] == "completed"


def test_one_of_several_servers_is_gone_on_with_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its call is answered from the stream that follows, and was made once."""
    monkeypatch.setenv("FAR_TOKEN", TOKEN)
    with far_toy() as far:
        named = {"far": {"type": "http", "url": far.url, "headers": {"Authorization": "Bearer ${FAR_TOKEN}"}}}
        (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": named}))
        wire = Wire(relay_command(Place(tmp_path), "--servers", "mcp.json", "--hold", "0"), tmp_path)
        wire.ask("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={})
        wire.send({"method": "notifications/initialized"})
        wire.start("tools/call", name="far__resume", arguments={})
        said = wire.next()
        while "id" not in said:
            said = wire.next()
        assert words(said["result"]) == "far ran resume"
        assert wire.end() == 0
        assert [call["name"] for call in far.calls()] == ["resume"]
        assert next(headers["last-event-id"] for _, headers, _ in far.seen if "last-event-id" in headers) == "e-1"


def test_what_an_event_says_of_itself_is_read() -> None:
    """Its id, an id that ends all ids, and how long to wait; what no header or clock could hold is left out."""
    text = b"id: a\nretry: 50\ndata: x\n\nid\ndata: y\n\nid: \xc3\xbc\nretry: 1e9\ndata: z\n\n: still here\n\n"
    found = [(event.id, event.retry, event.data) for event in Events().feed(text)]
    assert found == [("a", 50, b"x"), ("", None, b"y"), (None, None, b"z"), (None, None, b"")]
