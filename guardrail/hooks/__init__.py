"""Harness hooks: an event becomes a tool call, the decision the harness's own words, and no answer a denial."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guardrail.hooks._desk import HookDesk
    from guardrail.hooks._events import Agent

__all__ = ["Agent", "HookDesk"]


def __getattr__(name: str) -> Any:
    # The process that a harness starts for each call only asks: what judges is loaded when it is named.
    if name not in __all__:
        raise AttributeError(f"module `guardrail.hooks` has no attribute `{name}`")
    return getattr(importlib.import_module(f"guardrail.hooks.{'_desk' if name == 'HookDesk' else '_events'}"), name)
