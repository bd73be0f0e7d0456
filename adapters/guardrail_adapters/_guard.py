"""The part of `guardrail.Guard` that adapters use, so that a test or a client of the sidecar can stand in for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from guardrail import Decision, Grant, ToolCall
from guardrail.review import ReviewStore


class GuardLike(Protocol):
    """The part of `guardrail.Guard` that is used here."""

    @property
    def reviews(self) -> ReviewStore: ...
    def check(self, call: ToolCall, *, grant: Grant | None = None) -> Decision: ...
    async def acheck(self, call: ToolCall, *, grant: Grant | None = None) -> Decision: ...
    def run(self, call: ToolCall, execute: Callable[[ToolCall], Any], *, grant: Grant | None = None) -> Any: ...
    async def arun(
        self, call: ToolCall, execute: Callable[[ToolCall], Awaitable[Any]], *, grant: Grant | None = None
    ) -> Any: ...
