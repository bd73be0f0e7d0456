"""The conversations of clients over HTTP: whose each is, what its client can, and when its agent begins and is through.

Not concerned with what is said in them.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from typing import Any, Final

import msgspec

from guardrail import Guard
from guardrail_adapters._owed import Owed
from guardrail_adapters.mcp._client import Client
from guardrail_adapters.mcp._settings import RelaySettings

MAX_SESSIONS: Final = 10_000
"""Most sessions that are remembered; of more, the longest unused is through and forgotten."""

Key = tuple[str, str]
"""Whose a session is, and its id; without an id it is all that somebody says without a handshake."""


class Sessions:
    """The sessions of one relay.

    Args:
        guard: keeps what agents owe.
        settings: see `RelaySettings`.
    """

    def __init__(self, guard: Guard, settings: RelaySettings) -> None:
        self._owed = Owed(guard)
        self._settings = settings
        self._clients: OrderedDict[Key, Client] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        return key in self._clients

    async def client(self, key: Key) -> Client:
        """Who speaks in a session; a person's first word without a handshake begins one."""
        if key in self._clients:
            self._clients.move_to_end(key)
            return self._clients[key]
        principal, _ = key
        found = Client(session=self._named(principal), principal=principal)
        if principal:
            await self._begin((principal, ""), found)
        return found

    async def begin(self, key: Key, capabilities: dict[str, Any]) -> None:
        """A client has shaken hands with the server."""
        principal, name = key
        await self._begin(key, Client(capabilities=capabilities, session=self._named(name), principal=principal))

    async def end(self, key: Key) -> None:
        """A client has ended its session: what its agent owes and has not done is on record from here on."""
        client = self._clients.pop(key, None)
        if client is not None:
            await asyncio.to_thread(self._owed.end, self._subject(client), client.session)

    async def close(self) -> None:
        """The relay ends, and with it every session."""
        while self._clients:
            await self.end(next(iter(self._clients)))

    async def _begin(self, key: Key, client: Client) -> None:
        new = key not in self._clients
        self._clients[key] = client
        while len(self._clients) > MAX_SESSIONS:
            await self.end(next(iter(self._clients)))
        if new:
            await asyncio.to_thread(self._owed.begin, self._subject(client), client.session)

    def _subject(self, client: Client) -> Any:
        return msgspec.structs.replace(
            self._settings.subject, principal=client.principal or self._settings.subject.principal
        )

    def _named(self, of: str) -> str:
        """The conversation on record; the id of a session is a secret, so its digest stands there."""
        own = self._settings.session
        return f"{own}-{hashlib.sha256(of.encode()).hexdigest()[:16]}" if of else own
