"""People who answer escalations: signed votes, as `guardrail escalations` makes them."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail import Decision, Guard, ToolCall
from guardrail.config import Config
from guardrail.review import Case, Escalation, Holder
from guardrail.review._statements import VoteStatement, sign_statement


def vote(
    case: Case, voter: str, key: Ed25519PrivateKey, verdict: Any = "approve", *, subject: str | None = None, **more: Any
) -> bytes:
    """A signed vote about a case as it was shown."""
    held = case.held
    statement = VoteStatement(
        voter=voter,
        t_us=more.pop("t_us", time.time_ns() // 1000),
        escalation=more.pop("escalation", held.id),
        subject=(held.binding or held.digest) if subject is None else subject,
        verdict=verdict,
        **more,
    )
    return sign_statement(statement, key)


def say(
    guard: Guard, decision: Decision, voter: str, key: Ed25519PrivateKey, verdict: Any = "approve", **more: Any
) -> Case:
    """What a person says to a call that a guard holds."""
    assert decision.escalation is not None
    case = guard.desk.find(decision.escalation)
    assert case is not None
    return guard.clerk.take(vote(case, voter, key, verdict, **more))


def escalation(call: ToolCall, decision: Decision, config: Config | None = None, **more: Any) -> Escalation:
    """The escalation that a guard would open for a call."""
    options = {
        "binding": decision.binding,
        "bound": False,
        "now_us": time.time_ns() // 1000,
        "class_of": lambda _: None,
        "severe": lambda _: False,
    }
    return Holder(config or Config()).escalation(call, decision, **(options | more))


@contextlib.contextmanager
def serving(app: Any, path: Path) -> Iterator[str]:
    """An application on a Unix socket, in a thread; its address."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(16)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", ws="none"))
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    thread.start()
    try:
        # The socket listens already: a request waits until the server takes it.
        yield f"unix://{path}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        listener.close()
