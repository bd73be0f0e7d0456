"""The whole service as one ASGI application: the token, then decisions, then everything that may be slow."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from guardrail.config import ServiceConfig, secret
from guardrail.errors import ConfigError
from guardrail.service._decisions import DecisionRoutes
from guardrail.service._http import Problem, Receive, Scope, Send, headers_of

if TYPE_CHECKING:
    from fastapi import FastAPI

    from guardrail.guard import Guard
    from guardrail.service._execute import ExecuteRoutes
    from guardrail.service._hooks import HookRoutes
    from guardrail.service._metrics import MetricsRoute
    from guardrail.service._review import ReviewRoutes
    from guardrail.service._tokens import TokenRoutes
    from guardrail.service._webhooks import Webhooks
    from guardrail.service.console import Console

MIN_TOKEN_CHARS: Final = 16
"""Shortest token that is accepted, in characters."""

METRICS: Final = "/metrics"

HEALTH: Final = frozenset({"/livez", "/readyz", "/startupz"})
"""Paths that say whether the service is there."""

PUBLIC: Final = HEALTH | {"/.well-known/authzen-configuration"}
"""Paths that need no token: kubelets and discovery have none, and nothing there depends on a call."""


class Service:
    """The ASGI application. Made by `create_app`.

    Args:
        api: routes that a framework answers.
        decisions: routes that none does.
        token: what clients must send as `authorization: Bearer ...`; empty only where the transport says who asks.
        review: routes of those who review, who send another token; None where nobody reviews over HTTP.
        console: pages of people who sign in; None where there are none.
        more: further routes that no framework answers: those of harnesses, of execution and of tokens.
        apart: people have a listener of their own, `people`, and are not answered here.
    """

    def __init__(
        self,
        api: FastAPI,
        decisions: DecisionRoutes,
        token: str,
        review: ReviewRoutes | None = None,
        console: Console | None = None,
        more: tuple[HookRoutes | ExecuteRoutes | TokenRoutes, ...] = (),
        *,
        apart: bool = False,
    ) -> None:
        self.api = api
        self.decisions = decisions
        self.more = more
        self.review = review
        self.people = People(api, review, console) if review is not None and apart else None
        self.console = console if self.people is None else None
        self._token = _digest(token.encode()) if token else None
        self.metrics: MetricsRoute | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or take part in the server's start and stop."""
        if scope["type"] == "lifespan":
            await self.api(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
        elif self.console is not None and self.console.owns(scope["path"]):
            await self.console(scope, receive, send)
        elif self.review is not None and self._reviews(self.review, scope["path"]):
            await self.review(scope, receive, send)
        elif self.metrics is not None and scope["path"] == METRICS:
            await self.metrics(scope, send)
        elif self._token is not None and scope["path"] not in PUBLIC and not self._known(scope, self._token):
            problem = Problem("unauthorized", "send the service's token as `authorization: Bearer TOKEN`")
            await problem.answer(scope).send(send)
        elif self.decisions.owns(scope["path"]):
            await self.decisions(scope, receive, send)
        else:
            found = next((routes for routes in self.more if routes.owns(scope["path"])), self.api)
            await found(scope, receive, send)

    def _reviews(self, review: ReviewRoutes, path: str) -> bool:
        # INVARIANT: what only people may do is not to be found where agents ask, if people have a place of their own.
        return review.enforces(path) if self.people is not None else review.owns(path)

    def _known(self, scope: Scope, expected: bytes) -> bool:
        scheme, _, token = headers_of(scope).get(b"authorization", b"").partition(b" ")
        # Digests have one length and are compared in constant time, so an answer's time says nothing about the token.
        return hmac.compare_digest(_digest(token.strip()), expected) and scheme.lower() == b"bearer"


class People:
    """The ASGI application of those who review, for a listener that no agent can reach.

    Args:
        api: says whether the service is ready.
        review: their routes.
        console: their pages, if there are any.
    """

    def __init__(self, api: FastAPI, review: ReviewRoutes, console: Console | None = None) -> None:
        self._api = api
        self._review = review
        self._console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; starting and stopping is the business of `Service`."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
        elif self._console is not None and self._console.owns(scope["path"]):
            await self._console(scope, receive, send)
        elif self._review.owns(scope["path"]) and not self._review.enforces(scope["path"]):
            await self._review(scope, receive, send)
        elif scope["path"] in HEALTH:
            await self._api(scope, receive, send)
        else:
            problem = Problem("not-found", f"there is nothing at `{scope['path']}` for those who review")
            await problem.answer(scope).send(send)


def create_app(guard: Guard, settings: ServiceConfig | None = None, *, insecure_no_token: bool = False) -> Service:
    """The service for a guard.

    Args:
        guard: judges; closing it stays with the caller.
        settings: token and limits; those of the guard's own configuration by default.
        insecure_no_token: answer anybody who can connect. Without it a token is needed, unless `settings.socket` says
            that the service listens on a Unix socket, where the directory's permissions decide who can connect.

    Returns:
        An ASGI application; its `api` is the FastAPI part.

    Raises:
        ConfigError: if there is no token where one is needed, it is too short, or FastAPI is not installed.
    """
    wanted = settings if settings is not None else guard.config.service
    token = check_access(wanted, insecure_no_token=insecure_no_token)
    try:
        from guardrail.service._api import build
        from guardrail.service._background import Background
        from guardrail.service._execute import ExecuteRoutes
        from guardrail.service._hooks import HookRoutes
        from guardrail.service._tokens import TokenRoutes
    except ImportError as missing:
        raise ConfigError(f"`{missing.name}` is not installed: install `guardrail-runtime[service]`") from None
    decisions = DecisionRoutes(guard, wanted)
    review = _review_routes(guard, wanted, token)
    api = build(guard, decisions, Background(guard.desk, _webhooks(guard)), review=review is not None)
    apart = bool(wanted.review_socket or wanted.review_host)
    more = (HookRoutes(guard), ExecuteRoutes(guard), TokenRoutes(guard))
    service = Service(api, decisions, token, review, _console(guard), more, apart=apart)
    service.metrics = _metrics(guard, wanted, token, decisions)
    return service


def _metrics(guard: Guard, wanted: ServiceConfig, token: str, decisions: DecisionRoutes) -> MetricsRoute:
    from guardrail.service._metrics import MetricsRoute

    reading = secret(wanted.metrics_token, "service.metrics_token")
    if reading and len(reading) < MIN_TOKEN_CHARS:
        raise ConfigError(f"`service.metrics_token` must have at least {MIN_TOKEN_CHARS} characters")
    return MetricsRoute(guard, decisions, tuple(filter(None, (token, reading))))


def _console(guard: Guard) -> Console | None:
    if guard.config.console is None:
        return None
    try:
        from guardrail.service.console import Console
    except ImportError as missing:
        raise ConfigError(f"`{missing.name}` is not installed: install `guardrail-runtime[service]`") from None
    return Console(guard)


def _webhooks(guard: Guard) -> Webhooks | None:
    from guardrail.review._notices import Endpoint
    from guardrail.service._webhooks import Webhooks

    endpoints = [Endpoint(webhook, guard.config.trail.origin) for webhook in guard.config.review.webhooks]
    return Webhooks(guard.desk, endpoints) if endpoints else None


def _review_routes(guard: Guard, wanted: ServiceConfig, token: str) -> ReviewRoutes | None:
    reviewers = secret(wanted.reviewer_token, "service.reviewer_token")
    if not reviewers:
        return None
    if len(reviewers) < MIN_TOKEN_CHARS:
        raise ConfigError(f"`service.reviewer_token` must have at least {MIN_TOKEN_CHARS} characters")
    if hmac.compare_digest(reviewers.encode(), token.encode()):
        # Whoever may ask for a decision could otherwise read, and answer, what people are asked.
        raise ConfigError("`service.reviewer_token` must be another than `service.token`: agents hold that one")
    from guardrail.service._review import ReviewRoutes

    return ReviewRoutes(guard, reviewers, _digest(token.encode()) if token else None)


def check_access(wanted: ServiceConfig, *, insecure_no_token: bool) -> str:
    """Whether it is settled who may ask.

    Returns:
        The token that clients must send; empty where none is needed.

    Raises:
        ConfigError: if there is no token where one is needed, its variable is not set, or it is too short.
    """
    token = secret(wanted.token, "service.token")
    if token and len(token) < MIN_TOKEN_CHARS:
        raise ConfigError(f"`service.token` must have at least {MIN_TOKEN_CHARS} characters")
    if not token and not wanted.socket and not insecure_no_token:
        raise ConfigError(
            "`service.token` is empty: on TCP anybody who can connect could ask, so set one "
            '(best as "${GUARDRAIL_TOKEN}"), or listen on a Unix socket with `service.socket`'
        )
    return token


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
