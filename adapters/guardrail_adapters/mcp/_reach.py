"""How the gate reaches the server and the client, whatever lies between: what each transport gives it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from guardrail_adapters.mcp._frames import Message

Forward = Callable[[Message], Awaitable[Message]]
"""Carries a message to the server, and brings its response."""

Tell = Callable[[Message], Awaitable[None]]
"""Sends a notification to the client, where a stream is open."""

List = Callable[[Message], Awaitable[Message]]
"""Puts a `tools/list` with these parameters to the server, in the client's name, and brings its response."""


class ServerGone(Exception):
    """The server gave no answer."""
