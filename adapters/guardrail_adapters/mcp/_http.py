"""The relay over streamable HTTP: a server for clients, and a client of the one server behind it.

Not concerned with judging (`_gate`), nor with what headers may say (`_headers`).
Both eras pass: JSON and event streams, the stream of a GET, sessions. The transport of 2024-11-05 (HTTP with SSE, two
endpoints) does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, web

from guardrail import ConfigError
from guardrail_adapters.mcp import _answers, _headers
from guardrail_adapters.mcp._client import Client
from guardrail_adapters.mcp._frames import (
    INTERNAL_ERROR,
    MAX_FRAME_BYTES,
    Id,
    Message,
    RefusedFrame,
    dump,
    params_of,
    parse_one,
    request_id,
    table,
)
from guardrail_adapters.mcp._gate import Gate
from guardrail_adapters.mcp._headers import HttpSettings
from guardrail_adapters.mcp._held import WITHDRAWN
from guardrail_adapters.mcp._reach import ServerGone
from guardrail_adapters.mcp._reply import Reply, carried, events, is_stream, kept, message_of, read, returned
from guardrail_adapters.mcp._resume import unbroken

_log: Final = logging.getLogger("guardrail.mcp")

CONNECT_SECONDS: Final = 10.0
"""Longest wait for a connection to the server, in seconds."""

LISTING: Final = "guardrail-tools"
"""Id of the relay's own request for tools."""

LATE: Final = "guardrail-task"
"""Id under which the call of a task goes to the server where the task has outlived a relay."""

STOP_SECONDS: Final = 5.0
"""How long calls may take to be answered when the relay is told to stop, in seconds."""

_CallKey = tuple[tuple[str, str], type, Id]
"""Whose call it is, and its id, of which 1 and "1" are two."""


class HttpRelay:
    """One server behind HTTP, any number of clients.

    Args:
        gate: what judges.
        settings: see `HttpSettings`.
        session: the connections to the server.
    """

    def __init__(self, gate: Gate, settings: HttpSettings, session: ClientSession) -> None:
        self._gate = gate
        self._settings = settings
        self._session = session
        self.sessions: Final = gate.sessions()
        self._calls: dict[_CallKey, tuple[asyncio.Task[Message], Reply]] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        try:
            oauth = self._settings.oauth
            if oauth is not None and (request.method, request.path) == ("GET", oauth.path):
                return _json(oauth.metadata())
            caller = self._admitted(request)
            if request.method == "POST":
                return await self._post(request, caller)
            return await self._pass(request, caller, None)
        except _headers.Forbidden as error:
            refused = RefusedFrame(str(error)).answer()
            more = {"www-authenticate": error.challenge} if error.challenge else {}
            return _json(refused, error.status, more)
        except RefusedFrame as error:
            return _json(error.answer(), 400)
        except (ClientError, TimeoutError, ServerGone) as error:
            _log.warning(
                "the server at `%s` gave no answer: %s", self._settings.upstream, str(error) or type(error).__name__
            )
            return _json({"jsonrpc": "2.0", "id": None, "error": _GONE}, 502)

    def _admitted(self, request: web.Request) -> _Caller:
        """Who asks, if they may ask here.

        Raises:
            Forbidden: if not.
        """
        settings = self._settings
        headers = _headers.single(iter(request.headers.items()))
        _headers.admit(headers, host=settings.host, origins=settings.origins, token=settings.token)
        who = settings.oauth.principal(headers, time.time()) if settings.oauth is not None else ""
        _headers.addressed(request.method, request.path, request.app[ENDPOINT])
        caller = _Caller(headers=headers, principal=who)
        if who and caller.session[1] and caller.session not in self.sessions:
            # INVARIANT: a session is whose it was begun with; a token of somebody else's does not go on with it.
            raise _headers.Forbidden(404, "there is no such session: begin a new one")
        return caller

    async def _post(self, request: web.Request, caller: _Caller) -> web.StreamResponse:
        if caller.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise _headers.Forbidden(415, "send `content-type: application/json`")
        message = parse_one(await _body(request))
        identity, method = request_id(message), message.get("method")
        _headers.agree(caller.headers, message)
        if method == "tools/call":
            if identity is None:
                raise RefusedFrame("a tool call needs an `id`: nobody could be answered about it")
            return await self._call(request, caller, message, identity)
        if identity is not None and self._gate.tasks.owns(message):
            return _json(await self._task(caller, message))
        if method == "notifications/cancelled" and self._is_withdrawn(caller, params_of(message).get("requestId")):
            return web.Response(status=202)
        return await self._pass(request, caller, message)

    # ── tools/call ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _call(self, request: web.Request, caller: _Caller, message: Message, identity: Id) -> web.StreamResponse:
        client = Client.of(message, await self.sessions.client(caller.session))
        reply = Reply(request)
        key = (caller.session, type(identity), identity)
        if not client.stateless and key in self._calls:
            raise RefusedFrame(f"`id` {identity} is in use by another request", id=identity)

        async def forward(judged: Message) -> Message:
            if task.cancelling():
                # Its client has withdrawn it a moment ago, and the server, which has not heard of it, was not told.
                raise asyncio.CancelledError
            reply.forwarded = True
            try:
                async with self._ask("POST", caller.headers, judged) as response:
                    return await self._answer(response, reply, identity, caller.headers)
            except (ClientError, TimeoutError, RefusedFrame) as error:
                # Not a denial, which says that nothing was carried out: nobody knows how far the server came.
                _log.warning("the server at `%s` gave no answer: %s", self._settings.upstream, str(error))
                raise ServerGone("the server gave no answer") from None

        task = asyncio.ensure_future(
            self._gate.call(message, client, forward, reply.tell, lambda params: self._list(caller.headers, params))
        )
        # Without a handshake ids are the client's own, and only the end of its request withdraws it.
        if not client.stateless:
            self._calls[key] = task, reply
            task.add_done_callback(lambda _: self._calls.pop(key))
        try:
            return await reply.finish(await asyncio.shield(task))
        except asyncio.CancelledError:
            if task.cancelled():
                return web.Response(status=202)  # withdrawn by a notification: its answer is of no use
            if reply.forwarded and not client.stateless:
                # A connection that ends says nothing of the call (2025-11-25, `basic/transports`): what comes of it is
                # put on record, and its client may go on with its stream, which the server keeps.
                reply.leave()
                raise
            task.cancel(WITHDRAWN if client.stateless else None)
            await asyncio.wait((task,))
            raise

    async def close(self) -> None:
        """Nobody will be answered any more: what is still under way is cut off, and the sessions are over."""
        tasks = [task for task, _ in self._calls.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.sessions.close()

    async def _answer(
        self, response: ClientResponse, reply: Reply, identity: Id, headers: Mapping[str, str]
    ) -> Message:
        """The server's response to a call; what comes before it on a stream goes to the client at once.

        A stream that the server ends before is taken up again, under the headers of the client's request.
        """
        if response.status >= 300:
            self._tell_of(response)
            reply.other = await returned(response)
            raise ServerGone(f"the server answered {response.status}")
        reply.headers = response.headers
        if not is_stream(response):
            return message_of(await read(response))
        further = functools.partial(self._further, headers)
        async with contextlib.aclosing(unbroken(response, further)) as stream:
            async for event in stream:
                message = carried(event)
                if message is not None and "method" not in message:
                    if message.get("id") != identity:
                        _log.warning("an answer of the server to another request was left out")
                        continue
                    reply.last = event, message
                    return message
                if message is not None or not event.data:
                    await reply.raw(event.raw)
        raise ServerGone("the server ended its stream without an answer")

    def _is_withdrawn(self, caller: _Caller, identity: object) -> bool:
        if not isinstance(identity, str | int):
            return False
        found = self._calls.get((caller.session, type(identity), identity))
        if found is None:
            return False
        task, reply = found
        task.cancel(WITHDRAWN)
        return not reply.forwarded

    async def _task(self, caller: _Caller, message: Message) -> Message:
        async def late(call: Message) -> Message:
            """Carry the call of a task of an earlier relay, under an id that is no client's."""
            answer = await self._own({**call, "id": LATE}, caller.headers)
            return {**answer, "id": call["id"]}

        client = Client.of(message, await self.sessions.client(caller.session))
        return await self._gate.task(message, client, late, lambda params: self._list(caller.headers, params))

    async def _list(self, headers: Mapping[str, str], params: Message) -> Message:
        return await self._own({"jsonrpc": "2.0", "id": LISTING, "method": "tools/list", "params": params}, headers)

    async def _own(self, message: Message, headers: Mapping[str, str]) -> Message:
        """Put a request of ours to the server, under the headers of the client's own, and bring its response."""
        sent = _headers.of_ours(headers, message)
        try:
            async with self._ask("POST", sent, message) as response:
                return await self._answer(response, Reply(None), message["id"], sent)
        except (ClientError, TimeoutError, RefusedFrame) as error:
            _log.warning("the server at `%s` gave no answer: %s", self._settings.upstream, str(error))
            raise ServerGone("the server gave no answer") from None

    # ── everything else ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _pass(self, request: web.Request, caller: _Caller, message: Message | None) -> web.StreamResponse:
        async with self._ask(request.method, caller.headers, message) as response:
            if response.status >= 300:
                self._tell_of(response)
                return await returned(response)
            if request.method == "DELETE":
                await self.sessions.end(caller.session)
            if is_stream(response):
                return await self._stream(request, caller, response, message)
            data = await read(response)
            if not data:
                return web.Response(status=response.status, headers=kept(response.headers))
            # INVARIANT: nothing that a client might take for a list of tools passes unread, whatever type it is said to
            # be.
            answer = message_of(data)
            await self._remember(caller, message, response)
            return _json(self._seen(message, answer), response.status, kept(response.headers))

    async def _stream(
        self, request: web.Request, caller: _Caller, response: ClientResponse, message: Message | None
    ) -> web.StreamResponse:
        await self._remember(caller, message, response)
        reply = Reply(request)
        reply.headers = response.headers
        await reply.open()
        try:
            async for event in events(response):
                found = carried(event)
                if found is not None:
                    seen = self._seen(message, found)
                    await reply.raw(event.raw if seen is found else event.carrying(seen))
                elif not event.data:
                    await reply.raw(event.raw)
        except (ClientError, TimeoutError, RefusedFrame) as error:
            # The stream has begun: it ends here, as it would without the relay, and no second answer follows in it.
            _log.warning("a stream of the server at `%s` broke off: %s", self._settings.upstream, str(error))
        return await reply.end()

    def _seen(self, request: Message | None, answer: Message) -> Message:
        """An answer as the client may see it. On any stream a list of tools is one, whoever asked for it."""
        seen = self._gate.tools.listed(answer) or answer
        if request is not None and request.get("method") == "server/discover":
            return _answers.with_tasks(seen)
        return seen

    def _ask(self, method: str, headers: Mapping[str, str], message: Message | None) -> Any:
        sent = _headers.passed(headers, authorization=self._settings.forward_authorization)
        own = self._settings.upstream_token
        if own is not None:
            try:
                sent["authorization"] = f"Bearer {own.now()}"
            except ConfigError as error:
                raise ServerGone(str(error)) from None
        if message is not None:
            sent["content-type"] = "application/json"
        return self._session.request(
            method,
            self._settings.upstream,
            headers={**sent, "accept-encoding": "identity"},
            data=None if message is None else dump(message),
            # INVARIANT: what was judged goes where the operator said, and nowhere else.
            allow_redirects=False,
        )

    def _tell_of(self, response: ClientResponse) -> None:
        """Say how to mend what only the operator can: the client's token ends at the relay."""
        if response.status == 401 and not self._settings.forward_authorization:
            _log.warning(
                "the server at `%s` wants another token: give the relay one with --upstream-token-file or"
                " --upstream-token-env",
                self._settings.upstream,
            )

    def _further(self, headers: Mapping[str, str], last: str) -> Any:
        """Ask for the rest of a client's stream."""
        return self._ask("GET", _headers.to_resume(headers, last), None)

    async def _remember(self, caller: _Caller, message: Message | None, response: ClientResponse) -> None:
        name = response.headers.get("mcp-session-id", "")
        if message is not None and message.get("method") == "initialize" and name:
            await self.sessions.begin((caller.principal, name), table(params_of(message).get("capabilities")))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Caller:
    """Who sent a request: its headers, in small letters, and who that is, where a token says it."""

    headers: Mapping[str, str]
    principal: str

    @property
    def session(self) -> tuple[str, str]:
        """Whose session it is, and its id."""
        return self.principal, self.headers.get("mcp-session-id", "")


ENDPOINT: Final = web.AppKey("endpoint", str)

_GONE: Final = {"code": INTERNAL_ERROR, "message": "the server gave no answer"}


async def serve(gate: Gate, settings: HttpSettings, ready: Callable[[str], None]) -> int:
    """Relay until told to stop.

    Args:
        gate: what judges.
        settings: see `HttpSettings`.
        ready: is told the address once it is listened on.

    Returns:
        The exit code.

    Raises:
        ConfigError: if the address cannot be listened on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with listening(gate, settings) as address:
        ready(address)
        await stop.wait()
    return 0


@contextlib.asynccontextmanager
async def listening(gate: Gate, settings: HttpSettings) -> AsyncGenerator[str]:
    """Relay as long as the block lasts, which is given the address.

    Args:
        gate: what judges.
        settings: see `HttpSettings`.

    Raises:
        ConfigError: if the address cannot be listened on.
    """
    timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    async with ClientSession(timeout=timeout, cookie_jar=DummyCookieJar()) as session:
        app = web.Application(client_max_size=MAX_FRAME_BYTES)
        app[ENDPOINT] = path = urlsplit(settings.upstream).path or "/"
        relay = HttpRelay(gate, settings, session)
        app.router.add_route("*", "/{tail:.*}", relay.handle)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=STOP_SECONDS)
        await runner.setup()
        try:
            host, port = await _listened(runner, settings)
            yield f"http://[{host}]:{port}{path}" if ":" in host else f"http://{host}:{port}{path}"
        finally:
            gate.tasks.close()
            await runner.cleanup()
            await relay.close()


async def _listened(runner: web.AppRunner, settings: HttpSettings) -> tuple[str, int]:
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ConfigError(f"cannot listen on `{settings.host}:{settings.port}`: {why}") from None
    return cast("tuple[str, int]", runner.addresses[0][:2])


async def _body(request: web.Request) -> bytes:
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > MAX_FRAME_BYTES:
            raise _headers.Forbidden(413, f"a message may have at most {MAX_FRAME_BYTES} bytes")
    return bytes(data)


def _json(message: Message, status: int = 200, more: Mapping[str, str] | None = None) -> web.Response:
    headers = {**(more or {}), "content-type": "application/json"}
    return web.Response(body=dump(message), status=status, headers=headers)
