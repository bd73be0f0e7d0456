"""Review over HTTP, as bare ASGI: what waits, what people signed, and the uses of grants.

INVARIANT: the reviewers' token opens this door and is no vote: what counts is the signature in the body. Agents and
enforcement points have another token, which opens none of it but `:redeem` and `:complete`. No GET changes anything.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from guardrail.errors import GuardrailError
from guardrail.review import Case, Clerk, Grant, Redemption, Refused, ReviewDesk
from guardrail.review._statements import MAX_STATEMENT_BYTES, CancelStatement, RevokeStatement
from guardrail.review._view import to_dict
from guardrail.service._bearer import Bearer
from guardrail.service._callers import Caller, Callers
from guardrail.service._elsewhere import Others
from guardrail.service._events import changes
from guardrail.service._http import Answer, Problem, Receive, Scope, Send, read_version
from guardrail.service._respond import Request, respond
from guardrail.service._review_models import Complete, Redeem
from guardrail.service._sse import send_events

if TYPE_CHECKING:
    from guardrail.guard import Guard

PAGE: Final = 100
"""Most escalations in one answer."""

MAX_WAIT_SECONDS: Final = 60
"""Longest long-poll, in seconds."""

MAX_KEY_CHARS: Final = 255
"""Longest idempotency key, in characters."""

_PATH: Final = re.compile(
    r"/v1/(?:review|escalations(?:/[^/:]+(?::cancel|/votes)?)?|grants/[^/:]+:(?:redeem|complete|revoke))"
)
_READING: Final = re.compile(r"/v1/escalations(?:/[^/:]+)?")
_ENFORCING: Final = (":redeem", ":complete")
_WAIT: Final = re.compile(r"(?:^|[,\s])wait=(\d{1,4})\b")
_STATES: Final = ("pending", "approved", "denied", "expired", "cancelled", "superseded", "all")


class ReviewRoutes:
    """`/v1/escalations`, `/v1/grants` and `/v1/review`.

    Args:
        guard: whose desk it is.
        token: what reviewers must send.
        callers: who may take uses of grants of their agents.
    """

    def __init__(self, guard: Guard, token: str, callers: Callers) -> None:
        self._desk: ReviewDesk = guard.desk
        self._clerk: Clerk = guard.clerk
        self._people = Bearer(token, "the reviewers' token")
        self._callers = callers
        self._others = Others(guard)

    def owns(self, path: str) -> bool:
        """Whether a path is answered here."""
        return _PATH.fullmatch(path) is not None

    def enforces(self, path: str) -> bool:
        """Whether a path is for enforcement points, with the agents' token, and not for people."""
        return self.owns(path) and path.endswith(_ENFORCING)

    @property
    def enforcing(self) -> EnforcingRoutes:
        """Those of the routes that are for enforcement points."""
        return EnforcingRoutes(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await respond(scope, receive, send, self._answer)

    async def _answer(self, request: Request) -> Answer | None:
        try:
            if request.path.endswith(_ENFORCING):
                return await self._enforce(request, await self._callers.of(request.scope))
            self._people.check(request.headers)
            return await (self._read(request) if _READING.fullmatch(request.path) else self._write(request))
        except Refused as error:
            kind = _KINDS.get(error.code, error.code.replace("_", "-"))
            raise Problem(kind, str(error), code=error.code) from None
        except GuardrailError as error:
            raise Problem("fault", str(error)) from None

    async def _read(self, request: Request) -> Answer | None:
        request.needs("GET")
        if request.path == "/v1/escalations":
            return await asyncio.to_thread(self._list, request.query)
        if request.path == "/v1/escalations/events":
            await send_events(request, changes(self._desk, request.headers.get(b"last-event-id", b"")))
            return None
        return await self._show(request.path.rpartition("/")[2], request.headers)

    async def _write(self, request: Request) -> Answer | None:
        body = await request.json(MAX_STATEMENT_BYTES)
        return None if body is None else await asyncio.to_thread(self._take, request.path, request.headers, body)

    async def _enforce(self, request: Request, caller: Caller) -> Answer | None:
        body = await request.json(MAX_STATEMENT_BYTES)
        if body is None:
            return None
        name = _name(request.path)
        if request.path.endswith(":redeem"):
            return await asyncio.to_thread(self._redeem, name, _read(body, Redeem), caller)
        return await asyncio.to_thread(self._complete, name, _read(body, Complete), caller)

    def _list(self, query: Mapping[str, str]) -> Answer:
        state, cursor = query.get("state", "pending"), query.get("cursor", "")
        if state not in _STATES:
            raise Problem("malformed", f"`state` must be one of {', '.join(_STATES)}")
        if "origin" in query:
            return self._others.page(query["origin"], state)
        now = self._desk.clock()
        cases = self._desk.cases()
        start = next((at + 1 for at, case in enumerate(cases) if case.held.id == cursor), 0) if cursor else 0
        wanted = [case for case in cases[start:] if state in ("all", case.state_at(now))]
        page = wanted[:PAGE]
        more = page[-1].held.id if len(wanted) > PAGE else None
        return _json({"escalations": [to_dict(case, now) for case in page], "next": more})

    async def _show(self, name: str, headers: Mapping[bytes, bytes]) -> Answer:
        if self._desk.find(name) is None:
            away = await asyncio.to_thread(self._others.show, name)
            if away is not None:
                return away
        case = self._known(name)
        known = _version(headers, b"if-none-match")
        wait = _WAIT.search(headers.get(b"prefer", b"").decode("latin-1"))
        if wait is not None and known in (None, case.version):
            seconds = min(int(wait[1]), MAX_WAIT_SECONDS)
            case = await _changed(self._desk, name, case.version, seconds) or case
        if known == case.version:
            return Answer(status=304, body=b"", headers=(_etag(case),))
        return self._shown(case)

    def _take(self, path: str, headers: Mapping[bytes, bytes], body: bytes) -> Answer:
        """A signed statement; sent twice it is the same one, and gets the same answer."""
        statement = self._clerk.about(body)
        about = getattr(statement, "escalation", None) or getattr(statement, "grant", None)
        wanted = _name(path.removesuffix("/votes"))
        if path != "/v1/review" and about != wanted:
            raise Problem("malformed", f"the statement is about `{about}`, and was sent to `{wanted}`")
        if path.endswith(":cancel") and not isinstance(statement, CancelStatement):
            raise Problem("malformed", "`:cancel` takes a signed cancellation")
        if path.endswith(":revoke") and not isinstance(statement, RevokeStatement):
            raise Problem("malformed", "`:revoke` takes a signed revocation")
        self._desk.look()
        key, digest = _key(headers), _digest(body).hex()
        if key and (before := self._desk.requested(key)) is not None:
            return self._again(before, digest)
        known = self._desk.find(str(about))
        if known is None and self._desk.grant(str(about)) is None:
            away = self._others.take(statement, body)
            if away is not None:
                return away
        if known is not None and any(vote.envelope == body.decode("ascii", "replace") for vote in known.votes):
            return self._shown(known)
        version, request = _version(headers, b"if-match"), f"{key}.{digest}" if key else ""
        return self._shown(self._clerk.take(body, version=version, request=request))

    def _again(self, before: tuple[str, str], digest: str) -> Answer:
        """A request that was carried out before: the case as it is now, or that the key was for something else."""
        body, escalation = before
        if body != digest:
            raise Problem("reused-key", "this `idempotency-key` was sent with another body before: take a new one")
        return self._shown(self._known(escalation))

    def _for_enforcing(self, grant: str, caller: Caller) -> Grant:
        """A grant that enforcement points may say something about.

        INVARIANT: not one of a turn in some guard's own process: that guard takes its uses and says what came of them.
        Whoever else could call one `failed` would have the same approval tried again.
        """
        found = self._desk.grant(grant)
        if found is None:
            raise Refused("unknown", f"there is no grant `{grant[:64]}`")
        if found[0].held.bound:
            raise Refused("not_redeemable", "the grant belongs to the turn that asked, and its guard uses it")
        caller.check(found[0].held.agent)
        return found[1].grant

    def _redeem(self, grant: str, use: Redeem, caller: Caller) -> Answer:
        self._for_enforcing(grant, caller)
        won = self._desk.reserve(grant, use.digest, use.binding)
        if won is None:
            raise Refused("stale", "what people were shown has changed, and the grant is void now")
        return _json({"grant": won.grant.id, "use": won.use, "expires_us": won.grant.expires_us})

    def _complete(self, grant: str, end: Complete, caller: Caller) -> Answer:
        self._desk.finish(Redemption(grant=self._for_enforcing(grant, caller), use=end.use), end.result)
        return _json({"grant": grant, "use": end.use, "result": end.result})

    def _known(self, name: str) -> Case:
        case = self._desk.find(name)
        if case is None:
            raise Problem("not-found", f"there is no escalation `{name[:64]}` here: it may have been forgotten")
        return case

    def _shown(self, case: Case) -> Answer:
        return Answer(body=orjson.dumps(to_dict(case, self._desk.clock())), headers=(_etag(case),))


class EnforcingRoutes:
    """What of review is left where people have a listener of their own.

    Args:
        review: all of it.
    """

    def __init__(self, review: ReviewRoutes) -> None:
        self._review = review

    def owns(self, path: str) -> bool:
        """Whether a path is answered here."""
        return self._review.enforces(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._review(scope, receive, send)


_KINDS: Final[Mapping[str, str]] = {"unknown": "not-found"}
"""Problems that have another name than the refusal behind them."""


async def _changed(desk: ReviewDesk, name: str, version: int, seconds: float) -> Case | None:
    """The case, once it is another than it was or the time is up; no thread waits meanwhile."""
    loop, news = asyncio.get_running_loop(), asyncio.Event()
    end = desk.subscribe(lambda: loop.call_soon_threadsafe(news.set))
    try:
        async with asyncio.timeout(seconds):
            while (case := desk.find(name)) is not None and case.version == version:
                await news.wait()
                news.clear()
    except TimeoutError:
        pass
    finally:
        end()
    return desk.find(name)


def _name(path: str) -> str:
    return path.rpartition("/")[2].partition(":")[0]


def _key(headers: Mapping[bytes, bytes]) -> str:
    """Digest of the idempotency key; it is the sender's, and may be anything."""
    key = headers.get(b"idempotency-key", b"")
    if len(key) > MAX_KEY_CHARS:
        raise Problem("malformed", f"an `idempotency-key` may have at most {MAX_KEY_CHARS} characters")
    return _digest(key).hex() if key else ""


def _read(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem("malformed", f"the body cannot be used: {error}") from None


def _version(headers: Mapping[bytes, bytes], name: bytes) -> int | None:
    return read_version(headers.get(name, b"").decode("latin-1"))


def _etag(case: Case) -> tuple[bytes, bytes]:
    return b"etag", f'"{case.version}"'.encode()


def _json(value: Any) -> Answer:
    return Answer(body=orjson.dumps(value))


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
