"""What a framework may answer: health, discovery, what is loaded, and the OpenAPI document of all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from guardrail.policy import refusal
from guardrail.service._decisions import DECIDE, EVALUATION, EVALUATIONS
from guardrail.service._execute import EXECUTE
from guardrail.service._hooks import PREFIX as HOOKS
from guardrail.service._http import Problem, problem_document
from guardrail.service._metrics import METRICS
from guardrail.service._openapi import HEALTH, READING, SECURITY, describe
from guardrail.service._openapi_records import with_records
from guardrail.service._openapi_review import with_review
from guardrail.service._readiness import Readiness
from guardrail.service._tokens import TOKEN

if TYPE_CHECKING:
    from guardrail.guard import Guard
    from guardrail.service._background import Background
    from guardrail.service._turns import Turns

SPARE_THREADS: Final = 8
"""Threads besides those of calls that are judged or carried out: for readiness, metrics, pages and webhooks."""


def build(guard: Guard, turns: Turns, background: Background, *, review: bool = False) -> FastAPI:
    """The FastAPI part of the service.

    Args:
        guard: what is reported on.
        turns: know how many calls are being judged.
        background: what is done while the service runs.
        review: people review over HTTP, so that the document has their routes too.
    """
    readiness = Readiness(guard)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        # Without one of our own there are six on two cores, and six tools that run would hold up all other work.
        threads = guard.config.service.concurrency + guard.config.execute.concurrency + SPARE_THREADS
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads, "guardrail-service"))
        readiness.started = True
        async with background.running():
            yield
        readiness.started = False

    api = FastAPI(
        title="Guardrail",
        summary="Judges what an agent's tool call would do to model assets, before it runs.",
        version=_version(),
        docs_url=None,  # its page loads scripts from another host
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers={HTTPException: _http_problem, Exception: _fault},
        # Our spans say what happened; FastAPI's would double them, and its logs may quote a call.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )

    pages = _Pages(guard, turns, readiness)
    for path, page, tag, summary, answers, needs in (
        ("/livez", pages.livez, "health", "The process answers", HEALTH, None),
        ("/startupz", pages.startupz, "health", "Start-up is over", HEALTH, None),
        (
            "/readyz",
            pages.readyz,
            "health",
            "The engine answers, a bundle is in force, and the trail takes records",
            HEALTH,
            None,
        ),
        ("/v1/info", pages.info, "guardrail", "What is loaded", READING, SECURITY),
        ("/.well-known/authzen-configuration", pages.metadata, "authzen", "AuthZEN 1.0 metadata", {}, None),
    ):
        api.add_api_route(
            path, page, methods=["GET"], tags=[tag], summary=summary, response_model=None, responses=answers,
            openapi_extra=needs,
        )  # fmt: skip
    plain: Callable[[], dict[str, Any]] = api.openapi
    described: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not described:
            document = describe(
                plain(),
                decide=DECIDE,
                evaluation=EVALUATION,
                evaluations=EVALUATIONS,
                execute=EXECUTE,
                token=TOKEN,
                hooks=HOOKS,
                metrics=METRICS,
            )
            described.update(with_records(with_review(document)) if review else document)
        return described

    api.openapi = openapi  # type: ignore[method-assign]
    return api


class _Pages:
    """What each page says."""

    def __init__(self, guard: Guard, turns: Turns, readiness: Readiness) -> None:
        self._guard = guard
        self._turns = turns
        self._readiness = readiness

    async def livez(self) -> JSONResponse:
        return _health({"alive": True})

    async def startupz(self) -> JSONResponse:
        return _health({"started": self._readiness.started})

    async def readyz(self) -> JSONResponse:
        return _health(await self._readiness.checks(), **self._readiness.notes())

    async def info(self) -> JSONResponse:
        return JSONResponse(
            {
                "version": _version(),
                "policy": self._guard.engine.revision,
                "engine": self._guard.engine.name,
                "policy_refused": refusal(self._guard.engine),
                "mode": self._guard.config.mode,
                "decision_log_dropped": log.dropped if (log := self._guard.decision_log) is not None else 0,
                "assets": len(self._guard.config.assets),
                "own_assets": len(self._guard.inventory) - len(self._guard.config.assets),
                "recording": self._guard.trail is not None,
                "unsafe_fail_open": self._guard.config.unsafe_fail_open,
                "active": self._turns.active,
                "central": "" if (central := self._guard.central) is None else str(central.status),
            }
        )

    async def metadata(self, request: Request) -> JSONResponse:
        base = str(request.base_url).rstrip("/")
        return JSONResponse(
            {
                "policy_decision_point": base,
                "access_evaluation_endpoint": base + EVALUATION,
                "access_evaluations_endpoint": base + EVALUATIONS,
            }
        )


def _health(checks: dict[str, bool], **notes: str) -> JSONResponse:
    if all(checks.values()):
        return JSONResponse({"status": "ok", "checks": checks, **notes}, headers={"cache-control": "no-store"})
    failing = ", ".join(name for name, fine in checks.items() if not fine)
    problem = Problem("not-ready", f"not ready: {failing}")
    return _problem(problem.kind, problem.status, str(problem), "", checks=checks, **notes)


async def _http_problem(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    kind = {404: "not-found", 405: "method-not-allowed"}.get(status, "fault")
    detail = {404: f"there is nothing at `{request.url.path}`", 405: f"`{request.url.path}` takes another method"}
    answer = _problem(kind, status, detail.get(status, "the request failed"), request.url.path)
    if isinstance(error, HTTPException) and error.headers:
        answer.headers.update(error.headers)
    return answer


async def _fault(request: Request, _: Exception) -> JSONResponse:
    return _problem("fault", 500, "the service failed; its log says why", request.url.path)


def _problem(kind: str, status: int, detail: str, instance: str, **facts: Any) -> JSONResponse:
    return JSONResponse(
        problem_document(kind, status, detail, instance, **facts), status, media_type="application/problem+json"
    )


def _version() -> str:
    from guardrail import __version__

    return __version__
