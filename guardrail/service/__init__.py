"""The sidecar: decisions over HTTP, on TCP or a Unix socket, and never an allow for want of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guardrail.service._app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    # Whoever only looks whether a service is ready must not load what answers.
    if name == "create_app":
        from guardrail.service._app import create_app

        return create_app
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
