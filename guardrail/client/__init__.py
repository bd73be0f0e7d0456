"""Asking a guard that runs as a service: what gets no decision in time is a denial, and never an exception.

_wire    what is sent, what may come back, and what a missing answer means; no I/O
_sync    `Client`, and `decide_over_socket` for programs that ask once
_async   `AsyncClient`
_unix    the standard library's connection, to a Unix socket

Needs the standard library alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardrail.client._sync import Client, decide_over_socket
from guardrail.client._wire import TIMEOUT_SECONDS, cause

if TYPE_CHECKING:
    from guardrail.client._async import AsyncClient

__all__ = ["TIMEOUT_SECONDS", "AsyncClient", "Client", "cause", "decide_over_socket"]


def __getattr__(name: str) -> Any:
    # A program that asks once must not load asyncio for it.
    if name == "AsyncClient":
        from guardrail.client._async import AsyncClient

        return AsyncClient
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
