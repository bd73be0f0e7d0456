"""What is known of whoever sends a request, and how it may be answered. Pure.

Not concerned with whether it may ask at all: `_headers` and `_oauth` are.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

from guardrail_adapters.mcp import _answers
from guardrail_adapters.mcp._frames import Message, params_of, table

CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
VERSION: Final = "io.modelcontextprotocol/protocolVersion"
"""Keys of `_meta` that make a request one of the stateless era (2026-07-28)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What is known of whoever sent a request.

    Args:
        capabilities: as it declared them, in its handshake or with this request.
        session: name of its conversation.
        principal: who it acts for, where a token says so.
        stateless: it speaks the era without a handshake.
    """

    capabilities: dict[str, Any] = field(default_factory=dict[str, Any])
    session: str = ""
    principal: str = ""
    stateless: bool = False

    @classmethod
    def of(cls, message: Message, known: Client) -> Client:
        """The client of one request: what the request says of it goes before what the handshake said."""
        meta = table(params_of(message).get("_meta"))
        if VERSION not in meta and CAPABILITIES not in meta:
            return known
        return replace(known, capabilities=table(meta.get(CAPABILITIES)), stateless=True)

    @property
    def opens_pages(self) -> bool:
        """Whether it can show its user a page in the middle of a call."""
        return self.stateless and table(self.capabilities.get("elicitation")).get("url") is not None

    @property
    def takes_tasks(self) -> bool:
        """Whether it can be given a task instead of a result."""
        return self.stateless and _answers.TASKS in table(self.capabilities.get("extensions"))
