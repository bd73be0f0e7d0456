"""`POST /v1/hooks/HARNESS`: events of harnesses, for the hook's own client and for Claude Code's hooks over HTTP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from guardrail.hooks._answers import Answer as HookAnswer
from guardrail.hooks._answers import as_http
from guardrail.hooks._desk import HookDesk
from guardrail.hooks._events import HARNESSES, MAX_EVENT_BYTES, Agent
from guardrail.service._http import Answer, Problem, Receive, Scope, Send
from guardrail.service._respond import Request, respond
from guardrail.service._turns import Turns

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.guard import Guard

PREFIX: Final = "/v1/hooks/"
"""Before the harness's name."""

EXIT_HEADER: Final = b"x-guardrail-exit"
"""The exit code that the hook's process ends with; its client asks for it with `x-guardrail-client`."""


class HookRoutes:
    """The routes of harness hooks.

    Args:
        guard: what judges.
        turns: limit on what is judged at one time.
    """

    def __init__(self, guard: Guard, turns: Turns) -> None:
        self._desk = HookDesk(guard)
        self._turns = turns
        self._stale = Staleness(guard.config)

    def owns(self, path: str) -> bool:
        """Whether a path is answered here."""
        return path.startswith(PREFIX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one event; a problem is an answer that no harness takes for an allow."""
        await respond(scope, receive, send, self._answer)

    async def _answer(self, request: Request) -> Answer | None:
        harness = request.path.removeprefix(PREFIX)
        request.needs("POST")
        if harness not in HARNESSES:
            raise Problem("not-found", f"`{harness}` is no harness that is known: one of {', '.join(HARNESSES)}")
        body = await request.json(MAX_EVENT_BYTES)
        if body is None:
            return None
        if self._stale.is_stale():
            raise Problem("not-ready", "the configuration has changed: start the guard again")
        caller, agent = request.caller, _agent(request.headers)
        agent = msgspec.structs.replace(agent, id=agent.id or caller.name)
        caller.check(agent.id or harness)
        async with self._turns.turn(caller.share(agent.id or harness)):
            said = await asyncio.to_thread(self._desk.answer, harness, body, agent)
        return _for_client(said) if b"x-guardrail-client" in request.headers else Answer(body=as_http(said))


class Staleness:
    """Whether the configuration that a guard was started with is still the one on the disk.

    Args:
        config: what it was started with.
    """

    def __init__(self, config: Config) -> None:
        self._files = tuple(path for path in (config.source, *config.asset_files) if path)
        self._before = self._look()

    def is_stale(self) -> bool:
        """Whether a file is another now, or gone."""
        return self._look() != self._before

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in self._files)


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _for_client(said: HookAnswer) -> Answer:
    return Answer(
        body=said.stderr if said.exit_code else said.stdout,
        kind=b"text/plain; charset=utf-8",
        headers=((EXIT_HEADER, str(said.exit_code).encode()),),
    )


def _agent(headers: Mapping[bytes, bytes]) -> Agent:
    def text(name: bytes) -> str:
        return headers.get(name, b"").decode("utf-8", "replace")

    return Agent(id=text(b"x-guardrail-subject"), model=text(b"x-guardrail-model") or None)
