"""The console as bare ASGI: which page a path is, who may see it, and what every answer carries.

INVARIANT: nothing is changed by whoever has a session alone. A form needs the session's own secret and comes from these
pages (`Origin`); what it asks for happens only once the provider has signed exactly that statement in a sign-in of its
own, and the clerk has verified it like any other signed vote.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import urllib.parse
from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from guardrail.errors import ConfigError, GuardrailError
from guardrail.names import same
from guardrail.review import Refused
from guardrail.review._oidc import Provider
from guardrail.review._statements import (
    MAX_REASON_CHARS,
    AnyStatement,
    CancelStatement,
    ReviewStatement,
    RevokeStatement,
    VoteStatement,
)
from guardrail.service._http import Answer, Problem, Receive, Scope, Send, read_body, read_version
from guardrail.service._post import Post, send
from guardrail.service._respond import Request
from guardrail.service._sse import send_events
from guardrail.service.console._live import news
from guardrail.service.console._pages import Missing, Pages
from guardrail.service.console._sessions import Role, Session, Sessions
from guardrail.service.console._signin import CALLBACK, SignIn, SignInFailed, envelope
from guardrail.service.console._templates import Templates

if TYPE_CHECKING:
    from guardrail.guard import Guard

_log: Final = logging.getLogger("guardrail.service")

ROOT: Final = "/console"

MAX_FORM_BYTES: Final = 16 * 1024
"""Largest form, in bytes."""

_STATIC: Final = {
    "console.css": b"text/css; charset=utf-8",
    "console.js": b"text/javascript; charset=utf-8",
    "icon.svg": b"image/svg+xml",
}
_ESCALATION: Final = re.compile(rf"{ROOT}/escalations/([^/]{{1,128}})(?:/(vote|cancel|revoke|reviewed))?")
_RECORD: Final = re.compile(rf"{ROOT}/records/(\d{{1,18}})(/proof)?")


class _Visit:
    """One request, and whose it is."""

    def __init__(self, request: Request, cookie: str, session: Session | None, state: str) -> None:
        self.path = request.path
        self.method = request.method
        self.headers = request.headers
        self.query = request.query
        self.cookie = cookie
        self.session = session
        # As it was before the page was made: what comes while it is made is new to whoever reads it.
        self.state = state

    def needs(self, role: Role) -> Session:
        """The session, if it may do what this role may.

        Raises:
            Problem: if not.
        """
        if self.session is None or not self.session.may(role):
            raise Problem("not-entitled", f"this is for people with the role `{role}`")
        return self.session


class Console:
    """Pages for people, below `/console`.

    Args:
        guard: what they are about.
        post: how a form is sent to the provider.
        clock: seconds that only ever grow.

    Raises:
        ConfigError: if the settings, or the provider's keys, cannot be used.
    """

    def __init__(self, guard: Guard, *, post: Post = send, clock: Callable[[], float] = time.monotonic) -> None:
        settings, oidc = guard.config.console, guard.config.review.oidc
        if settings is None or oidc is None:
            raise ConfigError("the console needs `[console]` and `[review.oidc]`")
        self._guard = guard
        self._settings = settings
        self._clock = clock
        self._provider = Provider(oidc, guard.config.path(oidc.jwks))
        self._signin = SignIn(settings, oidc, post)
        self._sessions = Sessions(settings.session_seconds, clock)
        self._pages = Pages(guard)
        self._templates = Templates()
        self._secure = settings.url.startswith("https://")
        # A browser sends a cookie of this name only over TLS, to this host alone, and no subdomain can set it.
        self._cookie = "__Host-guardrail" if self._secure else "guardrail"
        provider = urllib.parse.urlsplit(settings.authorization)
        self._headers = _headers(f"{provider.scheme}://{provider.netloc}")

    def owns(self, path: str) -> bool:
        """Whether a path is answered here."""
        return path == ROOT or path.startswith(f"{ROOT}/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive, send)
        cookie = _cookie(request.headers.get(b"cookie", b""), self._cookie)
        visit = _Visit(request, cookie, self._sessions.find(cookie) if cookie else None, self._pages.state)
        try:
            if visit.path == f"{ROOT}/events":
                visit.needs("viewer")
                await send_events(request, news(self._pages, lambda: self._sessions.find(cookie) is not None))
                return
            answer = await self._answer(visit, receive)
        except Missing as missing:
            answer = self._say(visit, 404, str(missing))
        except Problem as problem:
            answer = self._say(visit, problem.status, str(problem))
        except GuardrailError as error:
            answer = self._say(visit, 409 if isinstance(error, Refused) else 500, str(error))
        except Exception:  # noqa: BLE001 - whatever it is, nothing was let through, and the log has it
            # What went wrong may quote a call: it is for the log, and not for a page.
            _log.exception("guardrail.console.failed")
            answer = self._say(visit, 500, "the service failed; its log says why")
        if answer is not None:
            await answer.send(send, *self._headers)

    async def _answer(self, visit: _Visit, receive: Receive) -> Answer | None:
        if visit.method == "GET":
            return await self._get(visit)
        if visit.method == "POST":
            return await self._post(visit, receive)
        raise Problem("method-not-allowed", f"`{visit.path}` takes another method")

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _get(self, visit: _Visit) -> Answer:
        path = visit.path
        if path.startswith(f"{ROOT}/static/"):
            return _static(path.rpartition("/")[2])
        if path == CALLBACK:
            return await self._back(visit)
        if visit.session is None or not visit.session.name:
            return self._sign_in(visit)
        visit.needs("viewer")
        match = _RECORD.fullmatch(path)
        if match is not None:
            seq = int(match[1])
            if match[2]:
                return await self._proof(seq)
            return await self._made(visit, "record.html", lambda: self._pages.record(seq))
        match = _ESCALATION.fullmatch(path)
        if match is not None and match[2] is None:
            name = match[1]
            return await self._made(visit, "case.html", lambda: self._pages.case(name))
        if path == f"{ROOT}/search":
            return await self._made(visit, "search.html", lambda: self._pages.search(visit.query))
        pages: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
            "": ("queue.html", self._pages.queue),
            "/timeline": ("timeline.html", self._pages.timeline),
            "/assets": ("assets.html", self._pages.assets),
            "/orders": ("orders.html", self._pages.orders),
            "/rules": ("rules.html", self._pages.rules),
            "/parity": ("parity.html", self._pages.parity),
            "/health": ("health.html", self._pages.health),
        }
        page = pages.get(path.removeprefix(ROOT).rstrip("/"))
        if page is None:
            raise Missing(f"there is no page `{path[:64]}`")
        return await self._made(visit, *page)

    async def _proof(self, seq: int) -> Answer:
        text = await asyncio.to_thread(self._pages.proof, seq)
        name = f'attachment; filename="record-{seq}.tlog-proof"'.encode()
        return Answer(body=text.encode(), kind=b"text/plain; charset=utf-8", headers=((b"content-disposition", name),))

    # ── signing in, and signing ───────────────────────────────────────────────────────────────────────────────────────

    def _sign_in(self, visit: _Visit) -> Answer:
        """To the provider, and back to this page."""
        cookie, session = (visit.cookie, visit.session) if visit.session is not None else self._sessions.open()
        # The path was decoded: what is sent back as a header must hold no line break again.
        started = self._signin.begin(self._clock(), urllib.parse.quote(visit.path))
        address = self._signin.address(started, session.begin(started), again=False)
        return _redirect(address, self._set(cookie))

    async def _back(self, visit: _Visit) -> Answer:
        """Back from the provider: somebody is known now, or has signed a statement."""
        session = visit.session
        started = None if session is None else session.end(visit.query.get("state", ""), self._clock())
        if session is None or started is None:
            raise Problem("malformed", "this sign-in was not begun here, or took too long: open the console again")
        if "code" not in visit.query:
            raise Problem("not-entitled", "the provider did not let you in: open the console again to retry")
        try:
            token = await asyncio.to_thread(self._signin.token, started, visit.query["code"])
        except SignInFailed as error:
            raise Problem("not-entitled", str(error)) from None
        if started.statement is not None:
            return await self._signed(session, started.statement, token, started.version, started.back)
        name = self._provider.signed_in(token, started.nonce, time.time_ns() // 1000)
        role = self._role(name)
        if role is None:
            raise Problem("not-entitled", f"`{name}` is in none of the lists of `[console]`")
        self._sessions.close(visit.cookie)
        cookie, _ = self._sessions.open(name, role)
        return _redirect(started.back, self._set(cookie))

    async def _signed(
        self, session: Session, statement: AnyStatement, token: str, version: int | None, back: str
    ) -> Answer:
        signed = envelope(statement, token)
        try:
            session.said = await asyncio.to_thread(self._take, statement, signed, version)
        except (GuardrailError, Problem) as error:
            session.said = f"Nothing was recorded: {error}."
        return _redirect(back)

    def _take(self, statement: AnyStatement, signed: bytes, version: int | None) -> str:
        """Have a statement recorded, here or by the guard that asked; what came of it, in words."""
        desk = self._guard.desk
        about = getattr(statement, "escalation", "")
        if isinstance(statement, RevokeStatement):
            known = desk.grant(statement.grant) is not None
        else:
            known = desk.find(about) is not None
        brought = None if known else self._pages.others.bring(statement, signed)
        if brought is None:
            case = self._guard.clerk.take(signed, version=version)
        elif brought.left:
            return f"Left at the centre for {brought.away.origin}, which has not answered yet."
        else:
            case = brought.case
        return f"Recorded. The escalation is {case.state_at(desk.clock())} now."

    def _role(self, name: str) -> Role | None:
        lists: tuple[tuple[Role, tuple[str, ...]], ...] = (
            ("admin", self._settings.admins),
            ("approver", self._settings.approvers),
            ("viewer", self._settings.viewers),
        )
        for role, names in lists:
            if "*" in names or any(same(name) == same(one) for one in names):
                return role
        return None

    # ── answering ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _post(self, visit: _Visit, receive: Receive) -> Answer | None:
        if visit.session is None or not visit.session.name:
            raise Problem("unauthorized", "sign in first")
        # A browser says where a form stands; one that stands elsewhere is not looked into.
        if visit.headers.get(b"origin", b"").decode("latin-1") != self._settings.url.rstrip("/"):
            raise Problem("not-entitled", f"the form does not come from `{self._settings.url}`")
        body = await read_body(visit.headers, receive, MAX_FORM_BYTES)
        if body is None:
            return None
        form = _form(body)
        if not visit.session.is_theirs(form.get("csrf", "")):
            raise Problem("not-entitled", "the form is not one of this session: open the page again")
        if visit.path == f"{ROOT}/sign-out":
            self._sessions.close(visit.cookie)
            return _redirect(ROOT, self._set("", ended=True))
        match = _ESCALATION.fullmatch(visit.path)
        if match is None or match[2] is None:
            raise Problem("method-not-allowed", f"`{visit.path}` takes another method")
        return self._ask_to_sign(visit, visit.session, match[1], match[2], form)

    def _ask_to_sign(self, visit: _Visit, session: Session, name: str, what: str, form: dict[str, str]) -> Answer:
        """To the provider, with the digest of what is said."""
        visit.needs("admin" if what in ("cancel", "revoke") else "approver")
        statement = _statement(name, what, session.name, form, time.time_ns() // 1000)
        back = f"{ROOT}/escalations/{urllib.parse.quote(name)}"
        version = read_version(form.get("version", ""))
        if version is None and "version" in form:
            raise Problem("malformed", "the form's version is no number: open the page again")
        started = self._signin.begin(self._clock(), back, statement, version)
        case = self._guard.desk.find(name)
        # What is grave is not answered by a window that somebody left open.
        again = case is None or case.held.critical or case.held.glass
        return _redirect(self._signin.address(started, session.begin(started), again=again))

    # ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _made(self, visit: _Visit, template: str, values: Callable[[], dict[str, Any]]) -> Answer:
        """A page; long ones take tens of milliseconds to write, in which no decision must wait."""
        return await asyncio.to_thread(lambda: self._page(visit, template, values()))

    def _page(self, visit: _Visit, template: str, values: dict[str, Any], status: int = 200) -> Answer:
        session = visit.session
        said = ""
        if session is not None:
            said, session.said = session.said, ""
        whole = {"session": session, "here": visit.path, "state": visit.state, "said": said, **values}
        return Answer(status=status, body=self._templates.page(template, whole), kind=b"text/html; charset=utf-8")

    def _say(self, visit: _Visit, status: int, sentence: str) -> Answer:
        return self._page(visit, "problem.html", {"sentence": sentence, "status": status}, status)

    def _set(self, cookie: str, *, ended: bool = False) -> tuple[bytes, bytes]:
        secure = "; Secure" if self._secure else ""
        # Lax: the provider sends the browser back with a link, and a form on another site carries nothing.
        text = f"{self._cookie}={cookie}; Path=/; HttpOnly; SameSite=Lax{secure}" + ("; Max-Age=0" if ended else "")
        return b"set-cookie", text.encode()


def _statement(name: str, what: str, voter: str, form: dict[str, str], now_us: int) -> AnyStatement:
    reason = form.get("reason", "").strip()
    if not reason:
        raise Problem("malformed", "say why: a reason goes on record with every answer")
    if len(reason) > MAX_REASON_CHARS:
        raise Problem("malformed", f"a reason may have at most {MAX_REASON_CHARS} characters")
    if what == "cancel":
        return CancelStatement(voter=voter, t_us=now_us, reason=reason, escalation=name)
    if what == "revoke":
        return RevokeStatement(voter=voter, t_us=now_us, reason=reason, grant=form.get("grant", ""))
    if what == "reviewed":
        return ReviewStatement(voter=voter, t_us=now_us, reason=reason, escalation=name)
    verdict = form.get("verdict", "")
    if verdict not in ("approve", "deny"):
        raise Problem("malformed", "an answer is `approve` or `deny`")
    return VoteStatement(
        voter=voter,
        t_us=now_us,
        reason=reason,
        escalation=name,
        subject=form.get("subject", ""),
        verdict="approve" if verdict == "approve" else "deny",
        shown=form.get("shown") or UNSET,
    )


def _headers(provider: str) -> tuple[tuple[bytes, bytes], ...]:
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        # The sign-in that signs an answer is where a form of ours ends.
        f"form-action 'self' {provider}; frame-ancestors 'none'; base-uri 'none'"
    )
    return (
        (b"content-security-policy", policy.encode("latin-1")),
        (b"x-content-type-options", b"nosniff"),
        # With `no-referrer` a browser sends `Origin: null` with our own forms.
        (b"referrer-policy", b"same-origin"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
    )


def _redirect(address: str, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(status=303, body=b"", headers=((b"location", address.encode("latin-1")), *headers))


def _static(name: str) -> Answer:
    kind = _STATIC.get(name)
    if kind is None:
        raise Missing(f"there is no file `{name[:64]}`")
    return Answer(body=(resources.files(__package__ or "") / "static" / name).read_bytes(), kind=kind)


def _cookie(header: bytes, name: str) -> str:
    for part in header.decode("latin-1").split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = urllib.parse.parse_qs(body.decode("ascii"), keep_blank_values=True, strict_parsing=False)
    except (UnicodeDecodeError, ValueError):
        raise Problem("malformed", "the form cannot be read") from None
    return {name: values[-1] for name, values in pairs.items()}
