"""Calls that wait for people as tasks (`io.modelcontextprotocol/tasks`, 2026-07-28): the client polls until they say.

A task is whose it was begun by; a token of somebody else's does not find it. One that a relay left behind is taken up
again by the next relay of the same configuration, when its client asks for it.
Not concerned with tasks of servers: their ids are not ours, and pass.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import secrets
from collections.abc import Coroutine
from typing import Any, Final

from guardrail_adapters.mcp import _answers
from guardrail_adapters.mcp._frames import Id, Message, params_of
from guardrail_adapters.mcp._held import WITHDRAWN
from guardrail_adapters.mcp._kept import Kept, TaskError, TaskFile

_log: Final = logging.getLogger("guardrail.mcp")

PREFIX: Final = "guardrail-"
"""How ids of our tasks begin."""

POLL_MS: Final = 1000
"""How often a client is asked to look, in milliseconds."""

MAX_TASKS: Final = 1024
"""Most tasks at one time; of those that are done the oldest are forgotten first."""

_UNKNOWN: Final = {"code": -32602, "message": "there is no such task: send the call again"}


class _Task:
    def __init__(self, kept: Kept, work: asyncio.Task[Message]) -> None:
        self.kept = kept
        self.work = work


class Tasks:
    """The tasks of one relay.

    Args:
        seconds: how long one may wait, in seconds.
        file: where they outlive the relay; None where they do not.
    """

    def __init__(self, seconds: int, file: TaskFile | None) -> None:
        self._seconds = seconds
        self._file = file
        self._tasks: dict[str, _Task] = {}
        self._closing = False

    @staticmethod
    def named() -> str:
        """A new id, which nobody can guess."""
        return PREFIX + secrets.token_urlsafe(24)

    @staticmethod
    def owns(message: Message) -> bool:
        """Whether a request is about one of our tasks."""
        name = params_of(message).get("taskId")
        return (
            message.get("method") in ("tasks/get", "tasks/update", "tasks/cancel")
            and isinstance(name, str)
            and name.startswith(PREFIX)
        )

    def start(self, kept: Kept, work: Coroutine[Any, Any, Message]) -> Message:
        """Make a task, and say so.

        Args:
            kept: the task.
            work: ends in the response to the request.
        """
        if self._file is not None:
            try:
                self._file.put(kept)
            except TaskError as error:
                _log.warning("a task will not outlive this relay: %s", error)
        self.go_on(kept, work)
        return _answers.result(kept.id, {"resultType": "task", **self._facts(self._tasks[kept.name])})

    def go_on(self, kept: Kept, work: Coroutine[Any, Any, Message]) -> None:
        """Work on a task from here on."""
        self._make_room()
        running = asyncio.ensure_future(work)
        running.add_done_callback(lambda done: self._ended(kept.name, done))
        self._tasks[kept.name] = _Task(kept, running)

    def left_behind(self, message: Message, owner: str) -> tuple[Kept, Message | None] | None:
        """A task of an earlier relay that a request is about, with what came of it if that is known.

        Raises:
            TaskError: if it cannot be looked for.
        """
        name = str(params_of(message)["taskId"])
        if self._file is None or name in self._tasks:
            return None
        return self._file.get(name, owner)

    def server_of(self, message: Message) -> str:
        """The server that the call of a task is for; empty if nobody knows."""
        name = str(params_of(message)["taskId"])
        task = self._tasks.get(name)
        if task is not None or self._file is None:
            return "" if task is None else task.kept.server
        found = self._file.get(name, "")
        return "" if found is None else found[0].server

    def answer(self, message: Message, id: Id, owner: str) -> Message:  # noqa: A002 - JSON-RPC's name
        """Answer a request about one of our tasks.

        Args:
            message: the request.
            id: of it.
            owner: who asks.
        """
        task = self._tasks.get(str(params_of(message)["taskId"]))
        # INVARIANT: whoever asks for a task of somebody else's learns no more than that they have none.
        if task is None or task.kept.owner != owner:
            return {"jsonrpc": "2.0", "id": id, "error": _UNKNOWN}
        if message.get("method") == "tasks/cancel":
            task.work.cancel(WITHDRAWN)
        # We never ask for input, so what `tasks/update` brings is of no use.
        facts = self._facts(task) if message.get("method") == "tasks/get" else {}
        return _answers.result(id, {"resultType": "complete", **facts})

    def close(self) -> None:
        """Let all of them go: what waits stays with the desk, and with the next relay."""
        self._closing = True
        for task in self._tasks.values():
            task.work.cancel()

    def _ended(self, name: str, done: asyncio.Task[Message]) -> None:
        if self._file is None or (done.cancelled() and self._closing):
            return
        try:
            self._file.done(name, None if done.cancelled() else done.result())
        except TaskError as error:
            _log.warning("what came of a task will not outlive this relay: %s", error)

    def _facts(self, task: _Task) -> Message:
        facts: Message = {
            "taskId": task.kept.name,
            "createdAt": task.kept.created,
            "lastUpdatedAt": now(),
            "ttlMs": self._seconds * 1000,
            "pollIntervalMs": POLL_MS,
        }
        if not task.work.done():
            return {**facts, "status": "working", "statusMessage": f"Approval {task.kept.escalation} is pending."}
        if task.work.cancelled():
            return {**facts, "status": "cancelled"}
        response = task.work.result()
        if "error" in response:
            return {**facts, "status": "failed", "error": response["error"]}
        return {**facts, "status": "completed", "result": response.get("result", {})}

    def _make_room(self) -> None:
        for name in [name for name, task in self._tasks.items() if task.work.done()]:
            if len(self._tasks) < MAX_TASKS:
                return
            del self._tasks[name]


def now() -> str:
    """The time, as the protocol writes it."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
