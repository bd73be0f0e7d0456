"""A relay for the Model Context Protocol: every tool call is judged on its way to the server, everything else passes.

    client ──frames──▶ parse ──▶ tools/call ──▶ Guard.arun ──▶ the server, re-serialised ──▶ answer
                         │          │ held: task, page to open, or a wait with progress
                         │          └ denied: a result that says so neutrally, never an error of the protocol
                         └─ everything else, both ways, unchanged in meaning

Not concerned with what a call would do: the guard says that. No MCP SDK is used, so that both eras of the protocol
pass, and an agent's own SDK can be of any version.
"""

from __future__ import annotations

from guardrail_adapters.mcp._client import Client
from guardrail_adapters.mcp._frames import RefusedFrame
from guardrail_adapters.mcp._gate import Gate
from guardrail_adapters.mcp._headers import HttpSettings
from guardrail_adapters.mcp._oauth import ResourceServer
from guardrail_adapters.mcp._pins import PinStore
from guardrail_adapters.mcp._settings import RelaySettings
from guardrail_adapters.mcp._token import OwnToken

__all__ = ["Client", "Gate", "HttpSettings", "OwnToken", "PinStore", "RefusedFrame", "RelaySettings", "ResourceServer"]
