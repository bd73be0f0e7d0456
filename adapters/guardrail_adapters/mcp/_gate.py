"""Who passes: one `tools/call`, from the message to its answer, whatever transport it came by.

    pinned? ─▶ Guard.arun ─▶ forward the message that was judged ─▶ the server's answer
                  ├ Denied, or any fault  ─▶ a neutral result
                  └ Escalated ─▶ a task │ a page to open, once │ wait ─▶ again, once people approved │ pending

Not concerned with frames on the wire: `forward` carries a message to the server and brings its response.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, replace
from typing import Final, cast

import msgspec

from guardrail import Blocked, Decision, Denied, Escalated, Guard, InvalidCall, ToolCall
from guardrail.confine import EXECUTABLE_TOOL, Confinement, JobError
from guardrail.execution import confining
from guardrail.model import MAX_NAME_CHARS
from guardrail.printing import printable
from guardrail.telemetry import serving
from guardrail_adapters.mcp import _answers
from guardrail_adapters.mcp._client import Client
from guardrail_adapters.mcp._frames import Id, Message, RefusedFrame, params_of, request_id, table
from guardrail_adapters.mcp._held import WITHDRAWN, Waiting
from guardrail_adapters.mcp._kept import Kept, TaskFile
from guardrail_adapters.mcp._pins import PinError, PinStore
from guardrail_adapters.mcp._reach import Forward, List, ServerGone, Tell
from guardrail_adapters.mcp._seal import Sealer, is_ours
from guardrail_adapters.mcp._sessions import Sessions
from guardrail_adapters.mcp._settings import RelaySettings
from guardrail_adapters.mcp._tasks import Tasks, now
from guardrail_adapters.mcp._tools import Tools

_log: Final = logging.getLogger("guardrail.mcp")


class ToolFailed(Exception):
    """The server answered that the tool failed: its own affair, and on record as a failure."""

    def __init__(self, response: Message) -> None:
        super().__init__("the tool failed")
        self.response: Final = response


class _Ran:
    """What happened inside `Guard.arun`, to tell the server's failures from the guard's."""

    __slots__ = ("response", "started", "stopped")

    def __init__(self) -> None:
        self.response: Message | None = None
        self.started = False
        self.stopped = False


class Gate:
    """Judges the calls of one server.

    Args:
        guard: what judges; it keeps a trail, or nothing runs.
        pins: which tools are known.
        settings: see `RelaySettings`.
        tasks: where tasks outlive the relay; None where they do not.
    """

    def __init__(self, guard: Guard, pins: PinStore, settings: RelaySettings, tasks: TaskFile | None = None) -> None:
        self.settings = settings
        self.tools = Tools(settings.server, pins, guard.trail)
        self.tasks: Final = Tasks(guard.config.review.escalation_seconds, tasks)
        self._guard = guard
        self._subject = msgspec.to_builtins(settings.subject)
        self._waiting = Waiting(guard.desk)
        self._sealer = Sealer()

    def of(self, server: str) -> Gate:
        """The same gate, with the same tasks, for another server."""
        other = copy.copy(self)
        other.settings = replace(self.settings, server=server)
        other.tools = self.tools.of(server)
        return other

    # ── tools/call ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def call(self, message: Message, client: Client, forward: Forward, tell: Tell, listing: List) -> Message:
        """Answer one `tools/call`.

        Args:
            message: the request; it has an id.
            client: who sent it.
            forward: carries it to the server.
            tell: sends progress to the client.
            listing: asks the server for its tools, where it has never listed the one that is called.

        Returns:
            The response; whatever goes wrong it is a denial, unless the tool ran.
        """
        identity = cast("Id", request_id(message))
        try:
            call = self._tool_call(message, identity, client)
            message, again = self._own_state(message, call)
            request = _Request(
                message=message, id=identity, call=call, client=client, forward=forward, tell=tell, listing=listing
            )
            return await self._judged(request, again=again)
        except RefusedFrame as error:
            return {**error.answer(), "id": identity}
        except ServerGone as error:
            return _answers.failed(identity, str(error))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the answer is a denial
            return _faulted(identity, error)

    async def _judged(self, request: _Request, *, again: bool) -> Message:
        answer = await self._attempt(request)
        if not isinstance(answer, Decision):
            return answer
        escalation = answer.escalation
        if escalation is None:
            return _answers.pending(request.id, None)
        if request.client.takes_tasks:
            return self.tasks.start(self._kept(request, escalation), self._later(request, escalation))
        if request.client.opens_pages and self.settings.review_url and not again:
            return self._to_page(request, escalation, answer.digest)
        return await self._after(request, escalation, self.settings.hold_seconds)

    async def _after(self, request: _Request, escalation: str, seconds: float) -> Message:
        """The answer once people have said theirs, or the time is up."""
        end = time.monotonic() + seconds
        while True:
            state = await self._waiting.decided(escalation, end - time.monotonic(), request.beat(escalation))
            if state == "pending":
                return _answers.pending(request.id, escalation)
            if state not in ("approved", "superseded"):
                return _answers.denied(request.id)
            # The guard finds the leave by the digest of the call, and uses it up.
            answer = await self._attempt(request)
            if not isinstance(answer, Decision):
                return answer
            if state == "approved" or answer.escalation is None:
                return _answers.pending(request.id, answer.escalation)
            # Whoever had asked the same has withdrawn it, before this call was seen to wait: it is asked anew.
            escalation = answer.escalation

    async def _later(self, request: _Request, escalation: str) -> Message:
        try:
            return await self._after(request, escalation, self._guard.config.review.escalation_seconds)
        except ServerGone as error:
            return _answers.failed(request.id, str(error))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the answer is a denial
            return _faulted(request.id, error)

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def task(self, message: Message, client: Client, forward: Forward, listing: List) -> Message:
        """Answer a request about one of our tasks, which is taken up again here if an earlier relay began it.

        Args:
            message: the request; it has an id.
            client: who sent it.
            forward: carries the task's call to the server.
            listing: asks the server for its tools.
        """
        identity = cast("Id", request_id(message))
        try:
            found = self.tasks.left_behind(message, client.principal)
            if found is not None:
                self.tasks.go_on(found[0], self._again(*found, forward, listing))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, its client may send the call again
            _log.warning("a task of an earlier relay cannot be taken up: %s", error)
        return self.tasks.answer(message, identity, client.principal)

    async def _again(self, kept: Kept, response: Message | None, forward: Forward, listing: List) -> Message:
        """What comes of a task that an earlier relay began; it is judged anew, so an approval counts only once."""
        if response is not None:
            return response

        async def nobody(_: Message) -> None:
            """No stream of that client's is open any more."""

        try:
            case = self._guard.desk.find(kept.escalation)
            if case is not None and any(issued.uses for issued in case.grants):
                return _answers.failed(kept.id, "the relay was stopped during the call: what came of it is not known")
            client = Client(session=kept.session, principal=kept.owner, stateless=True)
            call = self._tool_call(kept.message, kept.id, client)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the answer is a denial
            return _faulted(kept.id, error)
        request = _Request(
            message=kept.message, id=kept.id, call=call, client=client, forward=forward, tell=nobody, listing=listing
        )
        return await self._later(request, kept.escalation)

    def _kept(self, request: _Request, escalation: str) -> Kept:
        return Kept(
            name=self.tasks.named(),
            id=request.id,
            owner=request.client.principal,
            server=self.settings.server,
            session=request.call.session,
            escalation=escalation,
            message=request.message,
            created=now(),
        )

    async def _attempt(self, request: _Request) -> Message | Decision:
        """Judge, and run if it may: the response, or the decision that holds the call."""
        # INVARIANT: looked at before each attempt: a tool may have changed while its call waited for people.
        if not await self.tools.may_be_called(request.message, request.listing):
            return _answers.told(request.id, _answers.UNKNOWN_TOOL)
        return await self._run(request)

    async def _run(self, request: _Request) -> Message | Decision:
        ran = _Ran()

        async def execute(_: ToolCall) -> Message:
            if ran.stopped:
                raise asyncio.CancelledError
            ran.started = True
            # INVARIANT: what is forwarded is the message that the call was made from, and nobody else holds it.
            response = await request.forward(request.message)
            ran.response = response
            if "error" in response or table(response.get("result")).get("isError") is True:
                raise ToolFailed(response)
            return response

        # Judging is not cut short: what it holds for people is then withdrawn from them as well.
        with serving(_trace_of(request.message)):
            judging = asyncio.ensure_future(self._guard.arun(request.call, execute))
        try:
            return await asyncio.shield(judging)
        except asyncio.CancelledError as stop:
            await self._stop(judging, ran, withdrawn=WITHDRAWN in stop.args)
            raise
        except Escalated as held:
            return held.decision
        except Denied:
            return _answers.denied(request.id)
        except ToolFailed as failure:
            return failure.response
        except (Blocked, RefusedFrame, ServerGone):
            raise
        except Exception:
            if ran.response is not None:
                _log.exception("a tool ran and recording that failed")
                return ran.response
            if ran.started:
                # Not a denial, which says that nothing was carried out.
                _log.exception("a call was forwarded and bringing its answer failed")
                raise ServerGone("the relay lost the answer of the server") from None
            raise

    async def _stop(self, judging: asyncio.Future[Message], ran: _Ran, *, withdrawn: bool) -> None:
        ran.stopped = True
        if ran.started:
            judging.cancel()
        try:
            await judging
        except Escalated as held:
            if withdrawn and held.decision.escalation is not None:
                self._waiting.withdraw(held.decision.escalation)
        except (Exception, asyncio.CancelledError):  # noqa: BLE001 - nobody waits for the answer any more
            return

    # ── what it takes ────────────────────────────────────────────────────────────────────────────────────────────────

    def _tool_call(self, message: Message, identity: Id, client: Client) -> ToolCall:
        params = params_of(message)
        name, arguments = params.get("name"), params.get("arguments", {})
        if not isinstance(name, str) or not name:
            raise RefusedFrame("`params.name` of a tool call must be text", id=identity)
        if not isinstance(arguments, dict):
            raise RefusedFrame("`params.arguments` of a tool call must be an object", id=identity)
        return ToolCall.from_mapping(
            {
                "tool": f"mcp__{self.settings.server}__{name}",
                "args": arguments,
                "id": printable(str(identity))[:MAX_NAME_CHARS],
                "cwd": self.settings.cwd,
                "subject": {**self._subject, "principal": client.principal} if client.principal else self._subject,
                "session": client.session or self.settings.session,
            }
        )

    def _own_state(self, message: Message, call: ToolCall) -> tuple[Message, bool]:
        """The message without what we had its client carry, and whether this is its second round."""
        params = params_of(message)
        state = params.get("requestState")
        if not is_ours(state):
            return message, False
        # INVARIANT: what the client says in `inputResponses` is never an approval: the agent may have said it itself.
        rest = {key: value for key, value in params.items() if key not in ("requestState", "inputResponses")}
        claims = self._sealer.opened(state, principal=self._principal(call), method="tools/call", digest=call.digest)
        return {**message, "params": rest}, claims is not None

    def _to_page(self, request: _Request, escalation: str, digest: str) -> Message:
        state = self._sealer.seal(
            principal=self._principal(request.call), method="tools/call", digest=digest, escalation=escalation
        )
        return _answers.input_required(request.id, state, self.settings.review_url.replace("{id}", escalation))

    @staticmethod
    def _principal(call: ToolCall) -> str:
        return f"{call.subject.id}\0{call.subject.principal or ''}\0{call.session}"

    def sessions(self) -> Sessions:
        """The conversations of clients that have sessions of their own."""
        return Sessions(self._guard, self.settings)

    @contextlib.contextmanager
    def confining(self, cwd: str | None) -> Generator[Confinement]:
        """What holds the server while it runs; what that saw of it is on record once it has ended.

        INVARIANT: it reaches no asset that everybody may not read, for its profile is made before any call is judged.
        What people are asked about besides (`execute.confine_escalate`) is asked in the agent's name.

        Args:
            cwd: where the server runs.
        """
        settings = self.settings
        asker = ToolCall(tool=EXECUTABLE_TOOL, args={}, cwd="/", subject=settings.subject, session=settings.session)
        with confining(self._guard, cwd, settings.confine, call=asker) as held:
            yield held
            try:
                seen = held.seen()
            except JobError as error:
                _log.error("the server `%s`: %s", self.settings.server, error)
                self.tools.note("server_ended", why=str(error))
                return
            if seen.facts:
                self.tools.note("server_ended", **{name: str(value) for name, value in seen.facts.items()})
            for one in seen.observed:
                if one.is_surprise:
                    _log.warning("the kernel kept the server `%s` from `%s`", self.settings.server, one.asset)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """One `tools/call` on its way."""

    message: Message
    id: Id
    call: ToolCall
    client: Client
    forward: Forward
    tell: Tell
    listing: List

    def beat(self, escalation: str) -> Callable[[], Awaitable[None]] | None:
        """What keeps the client patient, if it asked for progress."""
        token = table(params_of(self.message).get("_meta")).get("progressToken")
        if not isinstance(token, str | int) or isinstance(token, bool):
            return None
        beats = 0

        async def beat() -> None:
            nonlocal beats
            beats += 1
            await self.tell(_answers.progress(token, beats, escalation))

        return beat


def _trace_of(message: Message) -> dict[str, str]:
    """The trace that a client is in, as MCP carries it (SEP-414): in `_meta`, under the names of W3C's headers."""
    meta = table(params_of(message).get("_meta"))
    return {name: value for name in ("traceparent", "tracestate") if isinstance(value := meta.get(name), str)}


def _faulted(identity: Id, error: Exception) -> Message:
    known = isinstance(error, InvalidCall | PinError)
    _log.warning("a tool call was denied because judging it failed: %s", error if known else repr(error))
    return _answers.denied(identity)
