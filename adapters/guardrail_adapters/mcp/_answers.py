"""What the relay itself says to a client. Pure.

A denial is a result with `isError`, in every version of the protocol: it reaches the model, which an error does not.
"""

from __future__ import annotations

from typing import Final

from guardrail.model import NEUTRAL, Outcome
from guardrail_adapters.mcp._frames import INTERNAL_ERROR, Id, Message, table

PENDING: Final = "Approval {id} is pending; retry the same call."
"""What a held call says when nobody has answered in time. The same words as long as it waits."""

UNKNOWN_TOOL: Final = (
    "This tool is not available: it is new, or has changed since it was accepted. The operator has to accept it."
)
"""What a call of a tool says that is not pinned."""

TASKS: Final = "io.modelcontextprotocol/tasks"
"""Identifier of the extension by which a call may be answered with a task (2026-07-28)."""

APPROVAL_KEY: Final = "guardrail_approval"
"""Name of our question among those of an `input_required` result."""


def result(id: Id, value: Message) -> Message:  # noqa: A002 - JSON-RPC's name
    """A response with a result."""
    return {"jsonrpc": "2.0", "id": id, "result": value}


def told(id: Id, text: str) -> Message:  # noqa: A002 - JSON-RPC's name
    """A tool result that says that the tool did not run."""
    return result(id, tool_error(text))


def tool_error(text: str) -> Message:
    """The result alone."""
    return {"resultType": "complete", "isError": True, "content": [{"type": "text", "text": text}]}


def denied(id: Id) -> Message:  # noqa: A002 - JSON-RPC's name
    """The neutral denial, also of what could not be judged."""
    return told(id, NEUTRAL[Outcome.DENY])


def pending(id: Id, escalation: str | None) -> Message:  # noqa: A002 - JSON-RPC's name
    """A call that waits for people."""
    return told(id, NEUTRAL[Outcome.ESCALATE] if escalation is None else PENDING.format(id=escalation))


def failed(id: Id, text: str) -> Message:  # noqa: A002 - JSON-RPC's name
    """The server gave no answer."""
    return {"jsonrpc": "2.0", "id": id, "error": {"code": INTERNAL_ERROR, "message": text}}


def input_required(id: Id, state: str, url: str) -> Message:  # noqa: A002 - JSON-RPC's name
    """Protocol 2026-07-28: the client opens a page and repeats the call; see its `basic/patterns/mrtr`."""
    question = {"mode": "url", "message": "A person has to approve this action.", "url": url}
    return result(
        id,
        {
            "resultType": "input_required",
            "requestState": state,
            "inputRequests": {APPROVAL_KEY: {"method": "elicitation/create", "params": question}},
        },
    )


def progress(token: Id, done: int, escalation: str) -> Message:
    """A sign of life while a call waits for people."""
    params = {"progressToken": token, "progress": done, "message": f"Approval {escalation} is pending."}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


def with_tasks(message: Message) -> Message:
    """A server's `server/discover`, with the extension that held calls are answered with."""
    found = table(message.get("result"))
    capabilities = table(found.get("capabilities"))
    if not capabilities:
        return message
    extensions: Message = {TASKS: {}, **table(capabilities.get("extensions"))}
    return {**message, "result": {**found, "capabilities": {**capabilities, "extensions": extensions}}}
