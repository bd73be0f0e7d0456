"""The whole service as one ASGI application: who asks, then decisions, then everything that may be slow."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from guardrail.config import NO_USER, ServiceConfig, secret
from guardrail.errors import ConfigError
from guardrail.service._callers import MIN_TOKEN_CHARS, Callers
from guardrail.service._decisions import DecisionRoutes
from guardrail.service._http import Problem, Receive, Scope, Send
from guardrail.service._judging import Judging
from guardrail.service._respond import CALLER
from guardrail.service._turns import Limits, Turns

if TYPE_CHECKING:
    from fastapi import FastAPI

    from guardrail.guard import Guard
    from guardrail.service._metrics import MetricsRoute
    from guardrail.service._records import RecordRoutes
    from guardrail.service._review import ReviewRoutes
    from guardrail.service._webhooks import Webhooks
    from guardrail.service.console import Console

HEALTH: Final = frozenset({"/livez", "/readyz", "/startupz"})
"""Paths that say whether the service is there."""

PUBLIC: Final = HEALTH | {"/.well-known/authzen-configuration"}
"""Paths that need no token: kubelets and discovery have none, and nothing there depends on a call."""


class Routes(Protocol):
    """Some routes, as an ASGI application of their own."""

    def owns(self, path: str) -> bool:
        """Whether a path is answered here."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        ...


class Service:
    """The ASGI application. Made by `create_app`.

    Args:
        api: routes that a framework answers.
        callers: who may ask, everywhere but at `PUBLIC` and `doors`.
        routes: routes that no framework answers.
        doors: routes that see for themselves who asks: those of people, and of whoever reads metrics.
        people: what answers at a listener of their own, if there is one.
    """

    def __init__(
        self,
        api: FastAPI,
        callers: Callers,
        routes: Sequence[Routes],
        doors: Sequence[Routes],
        people: People | None = None,
    ) -> None:
        self.api = api
        self.people = people
        self._callers = callers
        self._routes = routes
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or take part in the server's start and stop."""
        if scope["type"] == "lifespan":
            await self.api(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        door = next((routes for routes in self._doors if routes.owns(path)), None)
        if door is not None:
            await door(scope, receive, send)
            return
        if path not in PUBLIC:
            try:
                scope[CALLER] = await self._callers.of(scope)
            except Problem as problem:
                await problem.answer(scope).send(send)
                return
        found = next((routes for routes in self._routes if routes.owns(path)), self.api)
        await found(scope, receive, send)


class People:
    """The ASGI application of those who review, for a listener that no agent can reach.

    Args:
        api: says whether the service is ready.
        review: their routes.
        records: what they read and lay down besides.
        console: their pages, if there are any.
    """

    def __init__(
        self, api: FastAPI, review: ReviewRoutes, records: RecordRoutes, console: Console | None = None
    ) -> None:
        self._api = api
        self._review = review
        self._records = records
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
        elif self._records.owns(scope["path"]):
            await self._records(scope, receive, send)
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
    callers = Callers.open(guard.config, wanted, token)
    try:
        from guardrail.service._api import build
        from guardrail.service._background import Background
        from guardrail.service._execute import ExecuteRoutes
        from guardrail.service._hooks import HookRoutes
        from guardrail.service._tokens import TokenRoutes
    except ImportError as missing:
        raise ConfigError(f"`{missing.name}` is not installed: install `guardrail-runtime[service]`") from None
    turns, running = Turns(Limits.of_judging(wanted)), Turns(Limits.of_execution(guard.config.execute, wanted))
    judging = Judging(guard, turns)
    people, console = _people_routes(guard, wanted, token, callers), _console(guard)
    api = build(guard, turns, Background(guard.desk, _webhooks(guard)), review=people is not None)
    routes = (
        DecisionRoutes(judging, wanted),
        HookRoutes(guard, turns),
        ExecuteRoutes(guard, running),
        TokenRoutes(guard, judging),
    )
    metrics = _metrics(guard, wanted, (turns, running), callers)
    if people is not None and (wanted.review_socket or wanted.review_host):
        # INVARIANT: what only people may do is not to be found where agents ask, if people have a place of their own.
        own = (metrics, people[0].enforcing)
        return Service(api, callers, routes, own, People(api, *people, console))
    doors = tuple(door for door in (console, *(people or ()), metrics) if door is not None)
    return Service(api, callers, routes, doors)


def _metrics(guard: Guard, wanted: ServiceConfig, turns: tuple[Turns, Turns], callers: Callers) -> MetricsRoute:
    from guardrail.service._metrics import MetricsRoute

    reading = secret(wanted.metrics_token, "service.metrics_token")
    if reading and len(reading) < MIN_TOKEN_CHARS:
        raise ConfigError(f"`service.metrics_token` must have at least {MIN_TOKEN_CHARS} characters")
    return MetricsRoute(guard, *turns, reading, callers)


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


def _people_routes(
    guard: Guard, wanted: ServiceConfig, token: str, callers: Callers
) -> tuple[ReviewRoutes, RecordRoutes] | None:
    reviewers = secret(wanted.reviewer_token, "service.reviewer_token")
    if not reviewers:
        return None
    if len(reviewers) < MIN_TOKEN_CHARS:
        raise ConfigError(f"`service.reviewer_token` must have at least {MIN_TOKEN_CHARS} characters")
    if hmac.compare_digest(reviewers.encode(), token.encode()):
        # Whoever may ask for a decision could otherwise read, and answer, what people are asked.
        raise ConfigError("`service.reviewer_token` must be another than `service.token`: agents hold that one")
    from guardrail.service._records import RecordRoutes
    from guardrail.service._review import ReviewRoutes

    return ReviewRoutes(guard, reviewers, callers), RecordRoutes(guard, reviewers)


def check_access(wanted: ServiceConfig, *, insecure_no_token: bool) -> str:
    """Whether it is settled who may ask.

    Returns:
        The token that clients must send; empty where none is needed.

    Raises:
        ConfigError: if there is no token where one is needed, its variable is not set, or it is too short.
    """
    token = secret(wanted.token, "service.token")
    for client in wanted.clients:
        if client.uid != NO_USER and not wanted.socket:
            raise ConfigError(f"`{client.name}` is known by its `uid`, which only a Unix socket tells: listen on one")
    if wanted.agent and not wanted.socket:
        raise ConfigError("`service.agent` is whoever can enter the directory of a Unix socket: listen on one")
    if token and len(token) < MIN_TOKEN_CHARS:
        raise ConfigError(f"`service.token` must have at least {MIN_TOKEN_CHARS} characters")
    if not token and not wanted.socket and not wanted.clients and not insecure_no_token:
        raise ConfigError(
            "`service.token` is empty: on TCP anybody who can connect could ask, so set one "
            '(best as "${GUARDRAIL_TOKEN}"), or listen on a Unix socket with `service.socket`'
        )
    return token
