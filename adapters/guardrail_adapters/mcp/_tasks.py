"""Calls that wait for people as tasks (`io.modelcontextprotocol/tasks`, 2026-07-28): the client polls until they say.

Tasks are in memory: after a restart the same call, sent again, finds the approval that its task would have waited for.
Not concerned with tasks of servers: their ids are not ours, and pass.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import secrets
from collections.abc import Coroutine
from typing import Any, Final

from guardrail_adapters.mcp._frames import Id, Message, params_of
from guardrail_adapters.mcp._held import WITHDRAWN

PREFIX: Final = "guardrail-"
"""How ids of our tasks begin."""

POLL_MS: Final = 1000
"""How often a client is asked to look, in milliseconds."""

MAX_TASKS: Final = 1024
"""Most tasks at one time; of those that are done the oldest are forgotten first."""

_UNKNOWN: Final = {"code": -32602, "message": "there is no such task: send the call again"}


class _Task:
    def __init__(self, escalation: str, work: asyncio.Task[Message]) -> None:
        self.escalation = escalation
        self.work = work
        self.created = _now()


class Tasks:
    """The tasks of one relay.

    Args:
        seconds: how long one may wait, in seconds.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._tasks: dict[str, _Task] = {}

    def start(self, id: Id, escalation: str, work: Coroutine[Any, Any, Message]) -> Message:  # noqa: A002 - JSON-RPC's name
        """Make a task, and say so.

        Args:
            id: of the request.
            escalation: what it waits on.
            work: ends in the response to the request.
        """
        self._make_room()
        name = PREFIX + secrets.token_urlsafe(24)
        self._tasks[name] = _Task(escalation, asyncio.ensure_future(work))
        return {"jsonrpc": "2.0", "id": id, "result": {"resultType": "task", **self._facts(name)}}

    def owns(self, message: Message) -> bool:
        """Whether a request is about one of our tasks."""
        name = params_of(message).get("taskId")
        return (
            message.get("method") in ("tasks/get", "tasks/update", "tasks/cancel")
            and isinstance(name, str)
            and name.startswith(PREFIX)
        )

    def answer(self, message: Message, id: Id) -> Message:  # noqa: A002 - JSON-RPC's name
        """Answer a request about one of our tasks."""
        name = str(params_of(message)["taskId"])
        task = self._tasks.get(name)
        if task is None:
            return {"jsonrpc": "2.0", "id": id, "error": _UNKNOWN}
        if message.get("method") == "tasks/cancel":
            task.work.cancel(WITHDRAWN)
        if message.get("method") != "tasks/get":
            # We never ask for input, so what `tasks/update` brings is of no use.
            return {"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete"}}
        return {"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", **self._facts(name)}}

    def close(self) -> None:
        """Let all of them go: what waits stays with the desk."""
        for task in self._tasks.values():
            task.work.cancel()

    def _facts(self, name: str) -> Message:
        task = self._tasks[name]
        facts: Message = {
            "taskId": name,
            "createdAt": task.created,
            "lastUpdatedAt": _now(),
            "ttlMs": self._seconds * 1000,
            "pollIntervalMs": POLL_MS,
        }
        if not task.work.done():
            return {**facts, "status": "working", "statusMessage": f"Approval {task.escalation} is pending."}
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


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
