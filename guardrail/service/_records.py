"""Orders, duties and the trail over HTTP, as bare ASGI, for the people who review.

INVARIANT: the reviewers' token opens this door and orders nothing: a mandate or revocation counts by the signature in
it. Nothing that the trail keeps apart from its records is shown. No GET changes what is ordered, owed or on record.
"""

from __future__ import annotations

import asyncio
import re
import time
import urllib.parse
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from guardrail.audit.reading import Selection, newest_checkpoint
from guardrail.errors import ConfigError, GuardrailError
from guardrail.mandates._laying import NotLaid, Why, lay
from guardrail.mandates._listing import Stands, listed, stands_of
from guardrail.mandates._revocation import MAX_REVOCATION_BYTES
from guardrail.mandates._signing import WrongSigner
from guardrail.names import RECORD_KINDS
from guardrail.obligations import facts_of
from guardrail.obligations._unseen import unseen
from guardrail.service._bearer import Bearer
from guardrail.service._http import Answer, Problem, Receive, Scope, Send, read_body
from guardrail.service._reading import SHOWN, Reading
from guardrail.service._records_models import LaidDown, MandateList, ObligationList, Records
from guardrail.service._respond import Request, respond

if TYPE_CHECKING:
    from guardrail.guard import Guard
    from guardrail.mandates._laying import Laid
    from guardrail.obligations._duty import Duty

MAX_RECORDS: Final = SHOWN
"""Most records in one answer."""

MAX_DIGITS: Final = 15
"""Longest number of a record, in digits."""

MAX_NOTHING_BYTES: Final = 1024
"""Largest body where none is wanted, in bytes."""

VERIFY: Final = ":verify"

_MANDATES: Final = "/v1/mandates"
_OBLIGATIONS: Final = "/v1/obligations"
_RECORDS: Final = "/v1/audit/records"
_CHECKPOINT: Final = "/v1/audit/checkpoint"
_PROOF: Final = "/proof"
_PATH: Final = re.compile(r"/v1/(?:mandates|obligations(?:/.+)?|audit/(?:checkpoint|records(?:/[^/]+(?:/proof)?)?))")

_NOTE: Final = b"text/plain; charset=utf-8"

_PROBLEMS: Final[Mapping[Why, str]] = {
    "no_directory": "not-found",
    "too_large": "too-large",
    "taken": "already-there",
    "full": "too-many",
    "cannot_write": "fault",
}
"""Problems by why something is not laid down."""


class RecordRoutes:
    """`/v1/mandates`, `/v1/obligations` and `/v1/audit`.

    Args:
        guard: whose orders, duties and trail.
        token: what reviewers must send.
    """

    def __init__(self, guard: Guard, token: str) -> None:
        self._guard = guard
        self._people = Bearer(token, "the reviewers' token")
        self._reading = Reading(guard.config)
        self._looking = False

    def owns(self, path: str) -> bool:
        """Whether a path is answered here."""
        return _PATH.fullmatch(path) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await respond(scope, receive, send, self._answer)

    async def _answer(self, request: Request) -> Answer | None:
        self._people.check(request.headers)
        try:
            if request.path == _MANDATES:
                return await self._mandates(request)
            if request.path.startswith(_OBLIGATIONS):
                return await self._obligations(request)
            request.needs("GET")
            return await asyncio.to_thread(self._audit, request)
        except GuardrailError as error:
            raise Problem("fault", str(error)) from None

    # ── orders ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _mandates(self, request: Request) -> Answer | None:
        request.needs("GET", "POST")
        if request.method == "GET":
            _query(request, ())
            return await asyncio.to_thread(self._list)
        body = await request.json(MAX_REVOCATION_BYTES)
        return None if body is None else await asyncio.to_thread(self._take, body)

    def _list(self) -> Answer:
        rows = listed(self._guard.config, self._guard.mandates, _now_us())
        return _json(MandateList(mandates=rows))

    def _take(self, body: bytes) -> Answer:
        try:
            laid = lay(body, self._guard.config, self._guard.mandates)
        except NotLaid as error:
            raise Problem(_PROBLEMS[error.code], str(error)) from None
        except WrongSigner as error:
            raise Problem("not-signed", str(error)) from None
        except ConfigError as error:
            raise Problem("malformed", str(error)) from None
        stands, state = self._standing(laid)
        found = LaidDown(file=laid.file, kind=laid.kind, mandate=laid.mandate, stands=stands, state=state)
        return Answer(status=201 if laid.new else 200, body=msgspec.json.encode(found))

    def _standing(self, laid: Laid) -> tuple[Stands, str]:
        """How the mandate stands that something was brought about, as the next call will find it."""
        book, now_us = self._guard.mandates, _now_us()
        mandate = next((one for one in book.mandates if one.id == laid.mandate), None)
        if mandate is not None:
            return stands_of(mandate, book, now_us), book.why_nobody(mandate, now_us) or "counts"
        if laid.kind == "revocation" and laid.mandate in book.revoked:
            return "revoked", "no mandate of that id will count"
        return "refused", "; ".join(map(str, book.problems)) or "there is no mandate of that id here"

    # ── duties ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _obligations(self, request: Request) -> Answer | None:
        name = request.path.removeprefix(_OBLIGATIONS).removeprefix("/")
        if name.endswith(VERIFY):
            request.needs("POST")
            if await read_body(request.headers, request.receive, MAX_NOTHING_BYTES) is None:
                return None
            return await self._verify(name.removesuffix(VERIFY))
        request.needs("GET")
        if name:
            return await asyncio.to_thread(self._show, name)
        query = _query(request, ("all",))
        if query.get("all", "false") not in ("true", "false"):
            raise Problem("malformed", "`all` must be `true` or `false`")
        return await asyncio.to_thread(self._owed, ended=query.get("all") == "true")

    def _owed(self, *, ended: bool) -> Answer:
        duties, statuses = self._guard.obligations, self._guard.obligations.statuses()
        told, _ = unseen(self._guard.mandates, [one.id for one in statuses], _now_us())
        wanted = (one for one in statuses if ended or not _has_ended(duties.get(one.id)))
        return _json(ObligationList(obligations=tuple(wanted), notes=tuple(told)))

    def _show(self, name: str) -> Answer:
        return Answer(body=orjson.dumps(facts_of(self._duty(name))))

    def _duty(self, name: str) -> Duty:
        duty = self._guard.obligations.get(name)
        if duty is None:
            raise Problem("not-found", f"there is no obligation `{name[:64]}`: `{_OBLIGATIONS}?all=true` has all")
        return duty

    async def _verify(self, name: str) -> Answer:
        self._duty(name)  # only what is owed can be looked for
        if self._looking:
            # Each look searches disks, and there are threads for few.
            raise Problem("overloaded", "somebody has another obligation looked for: ask again")
        self._looking = True
        try:
            statuses = await asyncio.to_thread(self._guard.settle, only=name)
        finally:
            self._looking = False
        return _json(next(status for status in statuses if status.id == name))

    # ── the trail ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _audit(self, request: Request) -> Answer:
        if self._guard.trail is None:
            raise Problem("not-found", "this service keeps no trail")
        if request.path == _RECORDS:
            return self._records(_query(request, ("after", "limit", *_FILTERS)), self._guard.trail.size)
        _query(request, ())
        if request.path == _CHECKPOINT:
            self._guard.trail.checkpoint()
            return Answer(body=newest_checkpoint(self._reading.place).encode(), kind=_NOTE)
        text = request.path.removeprefix(f"{_RECORDS}/")
        seq = _number(text.removesuffix(_PROOF), "the number of a record")
        line = self._reading.one(seq) if seq < self._guard.trail.size else None
        if line is None:
            raise Problem("not-found", f"there is no record {seq} in this trail, or it cannot be read")
        if text.endswith(_PROOF):
            return Answer(body=self._reading.proof(seq, self._guard.trail).encode(), kind=_NOTE)
        return Answer(body=orjson.dumps(line.record))

    def _records(self, query: Mapping[str, str], size: int) -> Answer:
        after = _number(query["after"], "`after`") if "after" in query else -1
        limit = _number(query.get("limit", str(MAX_RECORDS)), "`limit`")
        if not 0 < limit <= MAX_RECORDS:
            raise Problem("malformed", f"`limit` must be 1 to {MAX_RECORDS}")
        if "kind" in query and query["kind"] not in RECORD_KINDS:
            raise Problem("malformed", f"`kind` must be one of {', '.join(RECORD_KINDS)}")
        chosen: dict[str, Any] = {f"{name}s": (query[name],) for name in _FILTERS if name in query}
        found = self._reading.stretch(Selection(**chosen), after, size, limit)
        return _json(Records(records=tuple(line.record for line in found.lines), next=found.following))


_FILTERS: Final = ("kind", "agent", "asset", "rule", "call")
"""By what records are chosen; each is a field of `Selection` with an `s` at its end."""


def _has_ended(duty: Duty | None) -> bool:
    return duty is None or duty.has_ended


def _query(request: Request, known: Collection[str]) -> dict[str, str]:
    """The query by name. A name that means nothing here would otherwise widen what is asked for, silently."""
    text = request.scope["query_string"].decode("latin-1")
    pairs = urllib.parse.parse_qsl(text, keep_blank_values=True)
    found = dict(pairs)
    unknown = next((name for name in found if name not in known), None)
    if unknown is not None:
        raise Problem("malformed", f"`{unknown[:64]}` is nothing that can be asked for here")
    if len(found) < len(pairs):
        raise Problem("malformed", "something is asked for twice: give each name once")
    return found


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > MAX_DIGITS:
        raise Problem("malformed", f"{what} must be a number of at most {MAX_DIGITS} digits")
    return int(text)


def _now_us() -> int:
    return time.time_ns() // 1000


def _json(value: msgspec.Struct) -> Answer:
    return Answer(body=msgspec.json.encode(value))
