"""Asking without blocking an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from guardrail.client._wire import (
    CUT_SHORT,
    DECIDE,
    MAX_HEAD_BYTES,
    UNWRITABLE,
    Service,
    decision_of,
    denial,
    head_of,
    no_answer,
    question,
)

if TYPE_CHECKING:
    Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

MAX_KEPT: Final = 8
"""Most connections that are kept for the next question."""


class AsyncClient(Service):
    """Kept-alive connections to a service, one for each question that is open; for one event loop."""

    @cached_property
    def _kept(self) -> list[Connection]:
        return []

    async def decide(self, call: Mapping[str, Any] | bytes, *, traceparent: str = "") -> dict[str, Any]:
        """`Client.decide`, for coroutines."""
        body = question(call)
        if body is None:
            return denial(UNWRITABLE)
        try:
            status, answer = await self.post(DECIDE, body, traceparent=traceparent)
            return decision_of(status, answer, call)
        except (OSError, ValueError, RecursionError) as error:
            return no_answer(self._address, error)

    async def post(self, target: str, body: bytes, *, traceparent: str = "") -> tuple[int, bytes]:
        """`Client.post`, for coroutines."""
        request, mark = self._wire.request(target, body, traceparent)
        async with asyncio.timeout(self._timeout):
            if self._kept:
                # The service closes idle connections. Asking twice is safe: a decision runs nothing.
                with suppress(BrokenPipeError, ConnectionResetError):
                    return await self._exchange(self._kept.pop(), request, mark)
            return await self._exchange(await self._connect(), request, mark)

    async def _connect(self) -> Connection:
        address = self._address
        if address.path:
            return await asyncio.open_unix_connection(address.path, limit=MAX_HEAD_BYTES)
        tls = (self._tls or True) if address.tls else None
        return await asyncio.open_connection(address.host, address.port, ssl=tls, limit=MAX_HEAD_BYTES)

    async def _exchange(self, connection: Connection, request: bytes, mark: bytes) -> tuple[int, bytes]:
        reader, writer = connection
        clean = False
        try:
            writer.write(request)
            await writer.drain()
            head = head_of(await _head(reader), mark)
            try:
                answer = await reader.readexactly(head.length)
            except asyncio.IncompleteReadError:
                raise ValueError(CUT_SHORT) from None
            clean = head.kept
        finally:
            # INVARIANT: kept after a whole answer only, also where whoever asked was cancelled: the answer that may
            # still come would be taken for the next.
            if clean and len(self._kept) < MAX_KEPT:
                self._kept.append(connection)
            else:
                writer.close()
        return head.status, answer

    async def aclose(self) -> None:
        """Close the connections; the next question opens another."""
        while self._kept:
            _, writer = self._kept.pop()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\r\n\r\n"))[:-4]
    except asyncio.LimitOverrunError:
        raise ValueError("headers without an end") from None
    except asyncio.IncompleteReadError as error:
        # Before the first byte a kept connection was closed; after it the answer was cut short.
        raise ValueError(CUT_SHORT) if error.partial else ConnectionResetError("the connection was closed") from None
