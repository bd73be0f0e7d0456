"""The part of `guardrail.Guard` that adapters use, so that a test or a client of the sidecar can stand in for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from guardrail import ConfigError, Decision, Grant, ToolCall
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


def require(guard: object, *names: str) -> None:
    """Refuse what is no guard when an adapter is set up, not when the first call comes.

    Args:
        guard: what was given.
        names: what is used of it.

    Raises:
        ConfigError: if it has not all of them.
    """
    if not all(hasattr(guard, name) for name in names):
        raise ConfigError(
            f'`guard` must be an open guard, such as `Guard.open("guardrail.toml")`, not a `{type(guard).__name__}`'
        )
