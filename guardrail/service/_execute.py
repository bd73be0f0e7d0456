"""`POST /v1/execute`: judge a call and carry it out, by the same code as `guardrail run`.

Off unless `execute.over_http` says otherwise: what runs, runs as the service's own user.

INVARIANT: nothing is started but by `guardrail.execution`, after the decision that it tells.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from guardrail.confine import JobError, Stream
from guardrail.errors import Blocked, InvalidCall, TrailError
from guardrail.execution import Execution, aexecute
from guardrail.model import Decision, ToolCall
from guardrail.service._http import Answer, Problem, Receive, Scope, Send, problem_document, request_id
from guardrail.service._respond import FAULT, Request, respond
from guardrail.service._turns import Turns

if TYPE_CHECKING:
    from guardrail.guard import Guard

EXECUTE: Final = "/v1/execute"

READING_SECONDS: Final = 30.0
"""Longest time that a client may take to read what is left of an answer once its tool has ended, in seconds."""


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
        turns: limits on what is carried out.
    """

    def __init__(self, guard: Guard, turns: Turns) -> None:
        self._guard = guard
        self._turns = turns
        self._limit = guard.config.service.body_bytes

    def owns(self, path: str) -> bool:
        """Whether a path is answered here."""
        return path == EXECUTE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry out one call."""
        await respond(scope, receive, send, self._answer)

    async def _answer(self, request: Request) -> None:
        request.needs("POST")
        if not self._guard.config.execute.over_http:
            raise Problem("not-found", "this service carries nothing out: set `execute.over_http`")
        body = await request.json(self._limit)
        if body is None:
            return
        wanted = _read(body)
        call = request.caller.attributed(ToolCall.from_json(bytes(wanted.call)))
        echo = request_id(request.headers)
        reply = _Lines(request.send, echo) if wanted.stream else _Whole(request.send, echo)
        gone = asyncio.create_task(request.gone())
        try:
            async with self._turns.turn(request.caller.share(call.subject.id)):
                if not gone.done():
                    await _carried_out(self._guard, call, reply, gone)
        finally:
            gone.cancel()


def _read(body: bytes) -> _Request:
    try:
        return _decoder.decode(body)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("malformed", f"not a request to carry out a call: {error}") from None


async def _carried_out(guard: Guard, call: ToolCall, reply: _Whole | _Lines, gone: asyncio.Task[None]) -> None:
    """Carry out a call for as long as the client is there."""
    loop = asyncio.get_running_loop()

    def sink(stream: Stream, chunk: bytes) -> None:
        loop.call_soon_threadsafe(reply.output, stream, chunk)

    def told(decision: Decision) -> None:
        loop.call_soon_threadsafe(reply.decided, decision)

    work = asyncio.create_task(aexecute(guard, call, sink, told=told))
    writing = asyncio.create_task(reply.write())
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            _tell(work, reply)
            # A client that neither reads nor goes away would keep others from their turn.
            await asyncio.wait((writing, gone), timeout=READING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                writing.result()
    finally:
        # Nobody is there any more who could want what it does, or the service stops: the tool ends, and its end is
        # recorded, before this does.
        for task in (work, writing):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await work


def _tell(work: asyncio.Task[Execution], reply: _Whole | _Lines) -> None:
    """How it ended; the client may have half of an answer already, so a fault is told in its form."""
    try:
        done = work.result()
    except Blocked as blocked:
        reply.decided(blocked.decision)
        reply.ended(None)
    except InvalidCall:
        raise  # nothing was judged, and nothing told yet
    except (JobError, TrailError) as error:
        reply.failed(str(error))
    except Exception as error:
        logging.getLogger("guardrail.service").error("guardrail.service.fault", exc_info=error)
        reply.failed(str(FAULT))
    else:
        reply.ended(done)


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
    """One JSON object a line, as it comes: the decision, pieces of output, the end.

    A client that reads slowly gets longer pieces and not more of them: what waits is no more than a tool may write.
    """

    def __init__(self, send: Send, echo: tuple[tuple[bytes, bytes], ...]) -> None:
        self._send = send
        self._echo = echo
        self._first: list[dict[str, Any]] = []
        self._output: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._last: dict[str, Any] | None = None
        self._news = asyncio.Event()

    def decided(self, decision: Decision) -> None:
        """The decision that releases the call, or stops it."""
        self._first.append({"decision": decision.to_dict()})
        self._news.set()

    def output(self, stream: Stream, chunk: bytes) -> None:
        """A piece of output."""
        self._output[stream] += chunk
        self._news.set()

    def ended(self, done: Execution | None) -> None:
        """The tool is over, or was never started."""
        self._last = {"ran": done is not None, **({"ended": msgspec.to_builtins(done.ended)} if done else {})}
        self._news.set()

    def failed(self, why: str) -> None:
        """It could not be carried out."""
        self._last = {"problem": problem_document("fault", 500, why, EXECUTE)}
        self._news.set()

    async def write(self) -> None:
        """Send lines until there are no more."""
        await self._news.wait()
        headers = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store"), *self._echo]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        over = False
        while not over:
            await self._news.wait()
            self._news.clear()
            over, lines = self._last is not None, self._taken()
            body = b"".join(orjson.dumps(line) + b"\n" for line in lines)
            await self._send({"type": "http.response.body", "body": body, "more_body": not over})

    def _taken(self) -> list[dict[str, Any]]:
        """What has come since the last time, in its order; the two outputs have none between them."""
        lines, self._first = self._first, []
        for stream, data in self._output.items():
            if data:
                lines.append(_text(stream, bytes(data)))
                data.clear()
        return lines if self._last is None else [*lines, self._last]


def _text(stream: Stream, data: bytes) -> dict[str, str]:
    """Output as text, or in base64 where it is none."""
    try:
        return {stream: data.decode()}
    except UnicodeDecodeError:
        return {f"{stream}_base64": base64.b64encode(data).decode()}
