"""Which tools of one server a client may see and call: those that are pinned, and what happens to the others.

Not concerned with judging calls (`_gate`), nor with how pins are kept (`_pins`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, cast

from guardrail import TrailError
from guardrail.audit import AnyTrail
from guardrail_adapters.mcp._frames import Message, params_of, table
from guardrail_adapters.mcp._pins import PinError, PinStore
from guardrail_adapters.mcp._reach import List, ServerGone

_log: Final = logging.getLogger("guardrail.mcp")

LEARN_SECONDS: Final = 30.0
"""How long a server may take to list its tools when the relay asks, in seconds."""

MAX_PAGES: Final = 64
"""Most pages of a list that the relay asks for itself."""


class Tools:
    """The tools of one server.

    Args:
        server: its name.
        pins: which tools are known.
        trail: where is written what people should hear of; None keeps no record.
    """

    def __init__(self, server: str, pins: PinStore, trail: AnyTrail | None) -> None:
        self._server = server
        self._pins = pins
        self._trail = trail

    def of(self, server: str) -> Tools:
        """The tools of another server, under the same pins."""
        return Tools(server, self._pins, self._trail)

    def listed(self, message: Message) -> Message | None:
        """A response that lists tools, with those that are pinned only.

        Returns:
            The response to send instead; None if nothing is to be changed. Where the pins cannot be used it is empty.
        """
        found: Any = message.get("result")
        if not isinstance(found, dict) or not isinstance(tools := cast("Any", found).get("tools"), list):
            return None
        given = cast("list[object]", tools)
        try:
            listing = self._pins.listing(self._server, given, more="nextCursor" in found)
        except PinError as error:
            _log.error("no tool is shown: %s", error)
            return {**message, "result": {**found, "tools": []}}
        for notice in listing.notices:
            _log.warning("%s", notice)
            self.note("tool_waits", notice=notice)
        return None if len(listing.tools) == len(given) else {**message, "result": {**found, "tools": listing.tools}}

    async def may_be_called(self, message: Message, listing: List) -> bool:
        """Whether the tool of a `tools/call` is pinned as its server lists it.

        Args:
            message: the call.
            listing: asks the server for its tools, where it has never listed this one.

        Raises:
            PinError: if the pins cannot be used.
            ServerGone: if the server has to be asked and does not answer.
        """
        tool = str(params_of(message).get("name"))
        found = self._pins.callable(self._server, tool)
        if found is None:
            await self._learn(message, listing)
            found = self._pins.callable(self._server, tool)
        if not found:
            self.note("tool_refused", tool=tool)
        return bool(found)

    async def _learn(self, message: Message, listing: List) -> None:
        """Ask the server for its tools, in the words of the client's own call where it speaks without a handshake."""
        meta = {k: v for k, v in table(params_of(message).get("_meta")).items() if k != "progressToken"}
        params: Message = {"_meta": meta} if meta else {}
        try:
            async with asyncio.timeout(LEARN_SECONDS):
                for _ in range(MAX_PAGES):
                    answer = await listing(params)
                    self.listed(answer)
                    cursor = table(answer.get("result")).get("nextCursor")
                    if not isinstance(cursor, str):
                        return
                    params = {**params, "cursor": cursor}
        except TimeoutError:
            raise ServerGone("the server does not list its tools") from None

    def note(self, event: str, **facts: str) -> None:
        """On record: a tool that people have not seen, a call of one, or what became of the server."""
        if self._trail is None:
            return
        try:
            self._trail.append({"kind": "config", "event": event, "server": self._server, **facts}, durable=False)
        except TrailError as error:
            _log.warning("not on record: %s", error)
