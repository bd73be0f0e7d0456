"""`POST /v1/execute`: judge a call and carry it out, by the same code as `guardrail run`.

Off unless `execute.over_http` says otherwise: what runs, runs as the service's own user.

INVARIANT: nothing is started but by `guardrail.execution`, after the decision that it tells.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from guardrail.confine import JobError, Stream
from guardrail.errors import Blocked, InvalidCall, TrailError
from guardrail.execution import Execution, aexecute
from guardrail.model import Decision, ToolCall
from guardrail.service._decisions import FAULT, log_fault
from guardrail.service._http import (
    Answer,
    Problem,
    Receive,
    Scope,
    Send,
    check_json,
    headers_of,
    problem_document,
    read_body,
    request_id,
)

if TYPE_CHECKING:
    from guardrail.guard import Guard

EXECUTE: Final = "/v1/execute"


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent.

    Args:
        call: a ToolCall, `bash` with a `command`.
        stream: whether output is wanted as it comes, as one JSON object a line.
    """

    call: msgspec.Raw
    stream: bool = False


_decoder: Final = msgspec.json.Decoder(_Request)


class ExecuteRoutes:
    """The route of owned execution.

    Args:
        guard: judges, records, and starts.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._limit = guard.config.service.body_bytes
        self._most = guard.config.execute.concurrency
        self._active = 0

    def owns(self, path: str) -> bool:
        """Whether a path is answered here."""
        return path == EXECUTE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry out one call."""
        headers = headers_of(scope)
        echo = request_id(headers)
        try:
            request = await self._request(scope, headers, receive)
            if request is not None:
                await self._serve(request, receive, send, echo)
        except Problem as problem:
            await problem.answer(scope).send(send, *echo)
        except Exception as error:  # noqa: BLE001 - whatever happens, the answer is no allow
            log_fault(error)
            await FAULT.answer(scope).send(send, *echo)

    async def _request(self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive) -> _Request | None:
        if scope["method"] != "POST":
            raise Problem("method-not-allowed", f"`{EXECUTE}` takes POST only")
        if not self._guard.config.execute.over_http:
            raise Problem("not-found", "this service carries nothing out: set `execute.over_http`")
        check_json(headers)
        body = await read_body(headers, receive, self._limit)
        if body is None:
            return None
        try:
            return _decoder.decode(body)
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem("malformed", f"not a request to carry out a call: {error}") from None

    async def _serve(
        self, request: _Request, receive: Receive, send: Send, echo: tuple[tuple[bytes, bytes], ...]
    ) -> None:
        if self._active >= self._most:
            raise Problem("overloaded", f"{self._most} tools are running already: ask again")
        try:
            call = ToolCall.from_json(bytes(request.call))
        except InvalidCall as error:
            raise Problem("malformed", str(error)) from None
        self._active += 1
        try:
            reply: _Whole | _Lines = _Lines(send, echo) if request.stream else _Whole(send, echo)
            await _carried_out(self._guard, call, reply, receive)
        finally:
            self._active -= 1


async def _carried_out(guard: Guard, call: ToolCall, reply: _Whole | _Lines, receive: Receive) -> None:
    """Carry out a call for as long as the client is there."""
    loop = asyncio.get_running_loop()

    def sink(stream: Stream, chunk: bytes) -> None:
        loop.call_soon_threadsafe(reply.output, stream, chunk)

    def told(decision: Decision) -> None:
        loop.call_soon_threadsafe(reply.decided, decision)

    work = asyncio.create_task(aexecute(guard, call, sink, told=told))
    watch = asyncio.create_task(_gone(receive))
    writing = asyncio.create_task(reply.write())
    try:
        await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            # Nobody is there any more who could want what it does: the tool ends, and its end is recorded.
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            return
        await _told(work, reply, writing)
    finally:
        for task in (watch, writing):
            task.cancel()


async def _told(work: asyncio.Task[Execution], reply: _Whole | _Lines, writing: asyncio.Task[None]) -> None:
    try:
        done = work.result()
    except Blocked as blocked:
        reply.decided(blocked.decision)
        reply.ended(None)
    except InvalidCall as error:
        raise Problem("malformed", str(error)) from None
    except (JobError, TrailError) as error:
        reply.failed(str(error))
    else:
        reply.ended(done)
    await writing


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Whole:
    """One JSON object, when everything is over."""

    def __init__(self, send: Send, echo: tuple[tuple[bytes, bytes], ...]) -> None:
        self._send = send
        self._echo = echo
        self._output: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._facts: dict[str, Any] = {}
        self._status = 200
        self._over = asyncio.Event()

    def decided(self, decision: Decision) -> None:
        """The decision that releases the call, or stops it."""
        self._facts["decision"] = decision.to_dict()

    def output(self, stream: Stream, chunk: bytes) -> None:
        """A piece of output."""
        self._output[stream] += chunk

    def ended(self, done: Execution | None) -> None:
        """The tool is over, or was never started."""
        self._facts["ran"] = done is not None
        if done is not None:
            self._facts["ended"] = msgspec.to_builtins(done.ended)
            for stream, data in self._output.items():
                self._facts |= _text(stream, bytes(data))
        self._over.set()

    def failed(self, why: str) -> None:
        """It could not be carried out."""
        self._status = 500
        self._facts = problem_document("fault", 500, why, EXECUTE)
        self._over.set()

    async def write(self) -> None:
        """Send it, once there is something to send."""
        await self._over.wait()
        kind = b"application/json" if self._status == 200 else b"application/problem+json"
        answer = Answer(status=self._status, body=orjson.dumps(self._facts), kind=kind)
        await answer.send(self._send, *self._echo)


class _Lines:
    """One JSON object a line, as it comes: the decision, pieces of output, the end."""

    def __init__(self, send: Send, echo: tuple[tuple[bytes, bytes], ...]) -> None:
        self._send = send
        self._echo = echo
        self._waiting: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def decided(self, decision: Decision) -> None:
        """The decision that releases the call, or stops it."""
        self._waiting.put_nowait({"decision": decision.to_dict()})

    def output(self, stream: Stream, chunk: bytes) -> None:
        """A piece of output."""
        self._waiting.put_nowait(_text(stream, chunk))

    def ended(self, done: Execution | None) -> None:
        """The tool is over, or was never started."""
        end = {"ran": done is not None, **({"ended": msgspec.to_builtins(done.ended)} if done is not None else {})}
        self._waiting.put_nowait(end)
        self._waiting.put_nowait(None)

    def failed(self, why: str) -> None:
        """It could not be carried out."""
        self._waiting.put_nowait({"problem": problem_document("fault", 500, why, EXECUTE)})
        self._waiting.put_nowait(None)

    async def write(self) -> None:
        """Send lines until there are no more."""
        line = await self._waiting.get()
        headers = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store"), *self._echo]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        while line is not None:
            await self._send({"type": "http.response.body", "body": orjson.dumps(line) + b"\n", "more_body": True})
            line = await self._waiting.get()
        await self._send({"type": "http.response.body", "body": b""})


def _text(stream: Stream, data: bytes) -> dict[str, str]:
    """Output as text, or in base64 where it is none."""
    try:
        return {stream: data.decode()}
    except UnicodeDecodeError:
        return {f"{stream}_base64": base64.b64encode(data).decode()}
