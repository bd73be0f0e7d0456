"""What a relay is told about those on both sides; where it listens over HTTP is in `_headers`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from guardrail import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """What a relay is told about those on both sides.

    Args:
        server: name of the server: its tools are judged as `mcp__SERVER__TOOL`.
        subject: the agent, as mandates name it.
        session: name of the conversation or run.
        cwd: directory that relative paths are relative to: the server's own.
        hold_seconds: how long a call waits for people before it is told to come again, in seconds.
        review_url: page where people answer, with `{id}` for the escalation's id; empty if there is none.
        confine: how much the kernel holds a server that is started here, as `execute.confine` has it.
    """

    server: str
    subject: Subject = field(default_factory=Subject)
    session: str = "default"
    cwd: str | None = None
    hold_seconds: float = 30.0
    review_url: str = ""
    confine: Literal["off", "floor", "default", "strict"] = "off"
